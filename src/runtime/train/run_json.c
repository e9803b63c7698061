/* run_json.c -- run.json: everything needed to repeat a training run */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "runtime/train/train.h"

static const char *const schedules[] = {"", "constant", "cosine", "plateau"};
static const char *const precisions[] = {"", "fp32", "bf16"};

/* Every option as resolved, under the names of the command line. */
static json_t *options_json(const pha_trainer *t)
{
    const pha_train_options *o = &t->o;
    json_t *j = json_object();
#define INT(name) json_object_set_new(j, #name, json_integer((json_int_t)o->name))
#define REAL(name) json_object_set_new(j, #name, json_real(o->name))
#define TEXT(name) if (o->name) json_object_set_new(j, #name, json_string(o->name))
    TEXT(config); TEXT(init_from); TEXT(data); TEXT(out);
    INT(seed); INT(context); INT(batch); INT(micro_batch); INT(steps);
    REAL(lr); REAL(lr_min_ratio); INT(warmup);
    json_object_set_new(j, "schedule", json_string(schedules[o->schedule]));
    REAL(plateau_factor); INT(plateau_patience); REAL(beta1); REAL(beta2); REAL(eps); REAL(weight_decay);
    json_object_set_new(j, "decay_all", json_boolean(o->decay_all));
    REAL(clip); REAL(dropout);
    json_object_set_new(j, "precision", json_string(precisions[o->precision]));
    json_object_set_new(j, "recompute", json_boolean(o->recompute));
    json_object_set_new(j, "fuse", json_boolean(!o->no_fuse));
    INT(eval_every); INT(checkpoint_every); INT(detail_every); REAL(spike);
    json_object_set_new(j, "keep_best", json_integer(o->keep_best > 0 ? o->keep_best : 0)); /* negative: none */
    json_object_set_new(j, "average_best", json_integer(o->average_best > 0 ? o->average_best : 0));
    if (o->eval_tokens > 0) INT(eval_tokens);
#undef INT
#undef REAL
#undef TEXT
    return j;
}

static json_t *data_json(const pha_trainer *t)
{
    json_t *j = json_object();
    char hash[20];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)pha__tokens_tokenizer_hash(t->data));
    json_object_set_new(j, "folder", json_string(t->o.data));
    json_object_set_new(j, "train_tokens", json_integer((json_int_t)pha__tokens_count(t->data)));
    if (t->valid) json_object_set_new(j, "valid_tokens", json_integer((json_int_t)pha__tokens_count(t->valid)));
    json_object_set_new(j, "vocab_size", json_integer(pha__tokens_vocab(t->data)));
    json_object_set_new(j, "tokenizer_hash", json_string(hash));
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
    json_object_set_new(j, "threads", json_integer(pha__device_units(t->device)));
    json_object_set_new(j, "host", json_string(host));
    json_object_set_new(j, "started", json_string(when));
    pha_status status = pha__json_save(j, path);
    json_decref(j);
    pha__free(path);
    return status;
}
