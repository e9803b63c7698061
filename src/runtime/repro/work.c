/* work.c -- one run: the data, a training in a folder of its own, its score */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/print.h"
#include "io/tokens.h"
#include "runtime/look/report_log.h"
#include "runtime/repro/repro.h"
#include "runtime/train/run_folder.h"

/* ---- data ------------------------------------------------------------------------------------------------ */

/* What is trained on and scored, as one number; results of other data are not put beside these. */
static pha_status identify(uint64_t *out, const pha__repro *r, const pha__data *data)
{
    *out = 0;
    for (size_t i = 0; i < data->n; i++) {
        pha__tokens *tokens;
        TRY(pha__tokens_open(&tokens, r->data, data->split[i].name, false));
        uint64_t one = pha__tokens_identity(tokens);
        pha__tokens_close(tokens);
        *out = pha__hash(&one, sizeof one, *out);
    }
    return PHA_OK;
}

static pha_status check_content(pha__repro *r, const pha__data *data)
{
    uint64_t identity;
    TRY(identify(&identity, r, data));
    json_t *now = pha__json_hex(identity), *was = r->data_of;
    if (!now) FAIL(NO_MEMORY, "no memory to compare %s with the results", r->data);
    bool other = was && !json_equal(was, now);
    r->data_of = now;
    json_decref(was);
    if (other)
        FAIL(USAGE, "%s: is not the data that the results in %s are of; put that back, or name another folder", r->data,
             r->o.out);
    return PHA_OK;
}

static pha_status check_data(pha__repro *r)
{
    pha__data data;
    TRY(pha__data_read(&data, r->data));
    if (data.vocab_size != r->e.vocab_size)
        FAIL(BAD_INPUT, "%s: has a vocabulary of %d tokens, %s says vocab_size = %d", r->data, data.vocab_size,
             r->e.path, r->e.vocab_size);
    return check_content(r, &data);
}

pha_status pha__repro_prepare(pha__repro *r)
{
    const pha__experiment *e = &r->e;
    r->data = e->folder ? pha__strdup(e->folder) : pha__path_join(r->o.out, "data");
    if (!r->data) return PHA_NO_MEMORY;
    if (e->folder || pha__exists(r->data)) return check_data(r);
    if (!pha__repro_leads(r))
        FAIL(IO, "%s: is not there; all ranks of an experiment need one folder that all of them see", r->data);
    pha_prepare_result result;
    pha_prepare_options o = {.inputs = e->texts[0], .n_inputs = e->n_texts[0], .valid = e->texts[1],
                             .n_valid = e->n_texts[1], .test = e->texts[2], .n_test = e->n_texts[2], .out = r->data,
                             .tokenizer = e->tokenizer, .vocab_size = e->tokenizer ? 0 : e->vocab_size,
                             .valid_fraction = e->n_texts[1] ? -1 : e->shares[0],
                             .test_fraction = e->n_texts[2] || e->shares[1] == 0 ? -1 : e->shares[1],
                             .threads = r->o.threads,
                             .progress = r->o.progress, .user = r->o.user};
    TRY(pha_prepare(&o, &result));
    return check_data(r);
}

/* ---- training -------------------------------------------------------------------------------------------- */

typedef struct folders {
    char key[PHA__REPRO_KEY];
    char *run, *config, *model;
} folders;

static void close_folders(folders *f)
{
    pha__free(f->run);
    pha__free(f->config);
    pha__free(f->model);
}

pha_status pha__repro_config(char **path, const pha__repro *r, const pha__system *s)
{
    pha__str file = {0};
    pha__str_printf(&file, "%s/models/%s.json", r->o.out, s->name);
    *path = file.data;
    return file.failed ? PHA_NO_MEMORY : PHA_OK;
}

pha_status pha__repro_configs(pha__repro *r)
{
    pha__config_rules rules = pha__rules();
    char *folder = pha__path_join(r->o.out, "models");
    pha_status status = folder ? pha__mkdirs(folder) : PHA_NO_MEMORY;
    pha__free(folder);
    for (size_t i = 0; i < r->e.n_systems && !status; i++) {
        char *path;
        if (!pha__is_wanted(r, &r->e.systems[i])) continue;
        status = pha__repro_config(&path, r, &r->e.systems[i]);
        if (!status) status = pha__config_save(&r->e.systems[i].config, path, &rules);
        pha__free(path);
    }
    return status;
}

/* OUT/runs/KEY, its model, and the configuration. */
static pha_status open_folders(folders *f, const pha__repro *r, const pha__trial *run)
{
    pha__str path = {0};
    *f = (folders){.run = NULL};
    pha__trial_key(f->key, run);
    pha__str_printf(&path, "%s/runs/%s", r->o.out, f->key);
    f->run = path.data;
    f->model = f->run ? pha__path_join(f->run, "model") : NULL;
    pha_status status = path.failed || !f->model ? PHA_NO_MEMORY : pha__repro_config(&f->config, r, run->system);
    if (status) close_folders(f);
    return status;
}

static pha_train_options options_of(const pha__repro *r, const pha__trial *run, const folders *f)
{
    pha_train_options o = run->system->train;
    int64_t steps = pha__trial_steps(&r->e, run);
    o.config = f->config, o.data = r->data, o.out = f->run, o.resume = pha__exists(f->run);
    o.seed = run->seed, o.lr = run->lr, o.steps = steps;
    o.warmup = (int64_t)((double)steps * r->e.warmup);
    o.threads = r->o.threads, o.progress = r->o.progress, o.user = r->o.user;
    if (run->search) o.eval_every = steps, o.eval_tokens = o.context; /* its score comes at the end */
    return o;
}

static pha_status score(pha_eval_result *out, const pha__repro *r, const pha__trial *run, const folders *f)
{
    pha_eval_options o = {.model = f->model, .data = r->data, .split = run->search ? "valid" : r->e.split,
                          .context = r->e.train.context, .max_tokens = run->search ? r->e.search_scored : 0,
                          .threads = r->o.threads, .progress = r->o.progress, .user = r->o.user};
    return pha_eval(&o, out);
}

/* ---- its result ------------------------------------------------------------------------------------------ */

static json_t *describe(const pha__repro *r, const pha__trial *run)
{
    pha__config_rules rules = pha__rules();
    json_t *j = pha__json_object();
    pha__json_set(&j, "model", pha__json_text(run->system->name));
    pha__json_set(&j, "config", pha__config_to_json(&run->system->config, &rules));
    if (run->system->own) pha__json_set(&j, "options", pha__json_text(run->system->own));
    pha__json_set(&j, "parameters", pha__json_number((int64_t)run->system->parameters));
    pha__json_set(&j, "flops_per_token", pha__json_decimal(run->system->flops));
    pha__json_set(&j, "tokens", pha__json_decimal(run->tokens));
    pha__json_set(&j, "steps", pha__json_number(pha__trial_steps(&r->e, run)));
    pha__json_set(&j, "lr", pha__json_decimal(run->lr));
    pha__json_set(&j, "seed", pha__json_number((int64_t)run->seed));
    pha__json_set(&j, "search", json_boolean(run->search));
    pha__json_set(&j, "isa", pha__json_text(pha_isa()));
    return j;
}

/* The last loss and the time of the run's steps, by its log: a run is made by as many calls as it is stopped and
 * killed. */
static pha_status add_course(json_t **j, const pha__repro *r, const folders *f)
{
    pha__report_log log = {.lines = 0};
    char *path = pha__path_join(f->run, "log.jsonl");
    pha_status status = path ? pha__report_log_read(&log, path) : PHA_NO_MEMORY;
    const pha__points *speed = &log.series[PHA__REPORT_SPEED];
    double of_step = (double)r->e.train.batch * r->e.train.context, seconds = 0;
    for (size_t i = 0; i < speed->n; i++) seconds += of_step / speed->y[i];
    bool timed = !status && speed->n > 0 && isfinite(seconds);
    pha__json_set(j, "train_loss", pha__json_decimal(pha__points_last(&log.series[PHA__REPORT_LOSS])));
    pha__json_set(j, "seconds", pha__json_decimal(timed ? seconds : NAN));
    pha__json_set(j, "tokens_per_second", pha__json_decimal(timed ? (double)speed->n * of_step / seconds : NAN));
    pha__report_log_free(&log);
    pha__free(path);
    return status;
}

static void add_score(json_t **j, const pha_train_result *t, const pha_eval_result *s)
{
    pha__json_set(j, "refused_steps", pha__json_number(t->refused));
    pha__json_set(j, "peak_bytes", pha__json_number((int64_t)t->peak_bytes));
    pha__json_set(j, "scored_tokens", pha__json_number((int64_t)s->tokens));
    pha__json_set(j, "nll", pha__json_decimal(s->nll));
    pha__json_set(j, "token_ppl", pha__json_decimal(s->token_ppl));
    pha__json_set(j, "word_ppl", pha__json_decimal(s->word_ppl));
    pha__json_set(j, "bits_per_byte", pha__json_decimal(s->bits_per_byte));
    pha__json_set(j, "accuracy", pha__json_decimal(s->accuracy));
}

/* Of a search a rate at which training diverges is a result. */
static pha_status diverged(json_t **j, pha_status status, const pha__trial *run, const folders *f)
{
    if (status != PHA_NUMERIC || !run->search) return status;
    pha__log(PHA__LOG_NOTE, "%s: diverged, so this rate is not taken: %s", f->key, pha_errmsg());
    pha__json_set(j, "diverged", json_true());
    return PHA_OK;
}

/* Says which it is. */
static void announce(const pha__repro *r, const folders *f)
{
    pha_repro_result left;
    pha__plan_left(r, false, &left);
    pha__log(PHA__LOG_NOTE, "run %zu of %zu: %s", left.done + 1, left.runs, f->key);
}

pha_status pha__repro_run(pha__repro *r, const pha__trial *run, json_t **out)
{
    folders f;
    pha_train_result trained;
    pha_eval_result scored;
    *out = NULL;
    TRY(open_folders(&f, r, run));
    announce(r, &f);
    json_t *result = describe(r, run);
    pha_train_options o = options_of(r, run, &f);
    pha_status status = pha_train(&o, &trained);
    if (!status && !(status = score(&scored, r, run, &f))) add_score(&result, &trained, &scored);
    else status = diverged(&result, status, run, &f);
    if (!status) status = add_course(&result, r, &f);
    if (!status && !result) status = PHA_NO_MEMORY;
    if (!status) *out = result;
    else json_decref(result);
    close_folders(&f);
    return status;
}
