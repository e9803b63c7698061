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
    json_t *j = json_object();
    for (size_t i = 0; i < pha__n_train_options; i++) {
        const pha__option *row = &pha__train_options[i];
        json_t *value = row->role == PHA__CALL ? NULL : pha__option_json(row, &t->o);
        if (value) json_object_set_new(j, row->key, value);
    }
    return j;
}

static json_t *data_json(const pha_trainer *t)
{
    json_t *j = json_object();
    json_object_set_new(j, "folder", json_string(t->o.data));
    json_object_set_new(j, "train_tokens", json_integer((json_int_t)pha__tokens_count(t->data)));
    if (t->valid) json_object_set_new(j, "valid_tokens", json_integer((json_int_t)pha__tokens_count(t->valid)));
    json_object_set_new(j, "vocab_size", json_integer(pha__tokens_vocab(t->data)));
    json_object_set_new(j, "tokenizer_hash", pha__json_hex(pha__tokens_tokenizer_hash(t->data)));
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
    json_t *j = json_object();
    if (t->o.command) json_object_set_new(j, "command", json_string(t->o.command));
    json_object_set_new(j, "config", pha__config_to_json(&t->config, &rules));
    json_object_set_new(j, "options", options_json(t));
    json_object_set_new(j, "data", data_json(t));
    json_object_set_new(j, "parameters", json_integer((json_int_t)t->program->parameters));
    json_object_set_new(j, "pha_version", json_string(pha_version()));
    json_object_set_new(j, "isa", json_string(pha_isa()));
    json_object_set_new(j, "kernels", json_integer(PHA__KERNELS));
    json_object_set_new(j, "threads", json_integer(pha__device_units(t->device)));
    json_object_set_new(j, "host", json_string(host));
    json_object_set_new(j, "started", json_string(when));
    pha_status status = pha__json_save(j, path);
    json_decref(j);
    pha__free(path);
    return status;
}
