/* run_json.c -- run.json: everything needed to repeat a training run */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "runtime/train/options.h"
#include "runtime/train/train.h"

/* Every option as resolved, under the names of the command line. */
static json_t *options_json(const pha_trainer *t)
{
    json_t *j = pha__json_object();
    for (size_t i = 0; i < pha__n_train_options; i++) {
        const pha__option *row = &pha__train_options[i];
        if (row->role != PHA__CALL && pha__option_has(row, &t->o))
            pha__json_set(&j, row->key, pha__option_json(row, &t->o));
    }
    return j;
}

static json_t *data_json(const pha_trainer *t)
{
    json_t *j = pha__json_object();
    pha__json_set(&j, "folder", pha__json_path(t->o.data));
    pha__json_set(&j, "train_tokens", pha__json_number((int64_t)pha__tokens_count(t->data)));
    if (t->valid) pha__json_set(&j, "valid_tokens", pha__json_number((int64_t)pha__tokens_count(t->valid)));
    pha__json_set(&j, "vocab_size", pha__json_number(pha__tokens_vocab(t->data)));
    pha__json_set(&j, "tokenizer_hash", pha__json_hex(pha__tokens_tokenizer_hash(t->data)));
    return j;
}

pha_status pha__run_json_write(const pha_trainer *t)
{
    char *path = pha__path_join(t->o.out, "run.json"), host[256] = "", when[40];
    if (!path) return PHA_NO_MEMORY;
    gethostname(host, sizeof host - 1);
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    pha__config_rules rules = pha__rules();
    json_t *j = pha__json_object();
    if (t->o.command) pha__json_set(&j, "command", pha__json_text(t->o.command));
    pha__json_set(&j, "config", pha__config_to_json(&t->config, &rules));
    pha__json_set(&j, "options", options_json(t));
    pha__json_set(&j, "data", data_json(t));
    pha__json_set(&j, "parameters", pha__json_number((int64_t)t->program->parameters));
    pha__json_set(&j, "pha_version", pha__json_text(pha_version()));
    pha__json_set(&j, "isa", pha__json_text(pha_isa()));
    pha__json_set(&j, "kernels", pha__json_number(PHA__KERNELS));
    pha__json_set(&j, "threads", pha__json_number(pha__device_units(t->device)));
    pha__json_set(&j, "ranks", pha__json_number(t->comm->size));
    pha__json_set(&j, "host", pha__json_text(host));
    pha__json_set(&j, "started", pha__json_text(when));
    pha_status status = pha__json_save(j, path);
    json_decref(j);
    pha__free(path);
    return status;
}
