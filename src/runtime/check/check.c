/* check.c -- pha_check: the list of checks, and what they are done on */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "runtime/check/check.h"
#include "runtime/stop.h"

static const struct check_row {
    const char *name;
    pha__check_fn *fn;
} rows[] = {
    {"streaming", pha__try_cuts},
    {"side by side", pha__try_together},
    {"back and copies", pha__try_moves},
    {"saved state", pha__try_saved},
    {"long text", pha__try_long},
    {"threads", pha__try_threads},
    {"instruction sets", pha__try_isas},
    {"gradients", pha__try_gradient},
    {"resumed training", pha__try_resume},
    {"training threads", pha__try_training_threads},
    {"tokenizer", pha__try_tokenizer},
};
enum { N = sizeof rows / sizeof *rows };

/* ---- for all checks ----------------------------------------------------------------------------------------- */

double pha__check_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u); /* splitmix64 */
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

void pha__check_tokens(int32_t *ids, int64_t n, int32_t V, uint64_t seed)
{
    for (int64_t i = 0; i < n; i++) ids[i] = (int32_t)(V * pha__check_random(&seed));
}

void pha__check_same(pha__finding *f, bool same, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pha__vprint(f->text, sizeof f->text, format, args);
    va_end(args);
    f->passed = same;
}

/* ---- what they are done on ------------------------------------------------------------------------------------ */

static pha_status make_work(pha__check *c)
{
    const char *tmp = getenv("TMPDIR");
    c->work = pha__path_join(tmp && *tmp ? tmp : "/tmp", "pha-check-XXXXXX");
    if (!c->work) return PHA_NO_MEMORY;
    if (mkdtemp(c->work)) return PHA_OK;
    pha_status status = pha__fail(PHA_IO, "%s: cannot make a folder for files that are needed for a while (TMPDIR "
                                          "names another place)", c->work);
    pha__free(c->work);
    c->work = NULL;
    return status;
}

/* A folder is a model; a configuration gets initial values. */
static pha_status open_model(pha__check *c)
{
    char *inner = pha__path_join(c->o->model, "model"), *folder = pha__path_join(c->work, "full");
    char *run = pha__path_join(c->o->model, "run.json");
    pha_status status = inner && folder && run ? PHA_OK : PHA_NO_MEMORY;
    if (!status && pha__is_dir(c->o->model)) {
        bool is_run = pha__exists(run) && pha__is_dir(inner);
        status = pha_model_open(&c->model, is_run ? inner : c->o->model);
    } else if (!status) {
        status = pha_model_init(c->o->model, 1, NULL, folder);
        if (!status) status = pha_model_open(&c->model, folder);
    }
    pha__free(inner);
    pha__free(folder);
    pha__free(run);
    return status;
}

static pha_status open_small(pha__check *c)
{
    pha__config narrow;
    pha__config_rules rules = pha__rules();
    char *folder = pha__path_join(c->work, "small");
    c->small_config = pha__path_join(c->work, "small.json");
    pha_status status = folder && c->small_config ? PHA_OK : PHA_NO_MEMORY;
    pha__check_narrow(&narrow, &c->model->config);
    if (!status) status = pha__config_save(&narrow, c->small_config, &rules);
    if (!status) status = pha_model_init(c->small_config, 7, NULL, folder);
    if (!status) status = pha_model_open(&c->small, folder);
    pha__free(folder);
    return status;
}

static void close_all(pha__check *c)
{
    pha__check_close_text(c);
    pha_model_close(c->model);
    pha_model_close(c->small);
    pha__free(c->small_config);
    pha__free(c->data);
    if (c->work) pha__discard(c->work);
    pha__free(c->work);
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

/* A check that cannot be made is one that failed, unless nothing could be made any more. */
static pha_status one(pha__check *c, const struct check_row *row, pha_verdict *v)
{
    pha__finding f = {0};
    double begin = pha__seconds();
    pha_status status = row->fn(c, &f);
    if (status == PHA_NO_MEMORY || status == PHA_STOPPED) return status;
    if (status) pha__print(f.text, sizeof f.text, "%s", pha_errmsg()), f.passed = false;
    *v = (pha_verdict){.what = row->name, .passed = f.passed, .error = f.error, .limit = f.limit,
                       .seconds = pha__seconds() - begin};
    memcpy(v->text, f.text, sizeof v->text);
    return PHA_OK;
}

static pha_status all(pha__check *c, pha_check_result *r)
{
    TRY(make_work(c));
    TRY(open_model(c));
    TRY(open_small(c));
    for (int i = 0; i < N; i++) {
        if (pha__stop_requested()) FAIL(STOPPED, "asked to stop with %d of %d checks made", i, N);
        TRY(one(c, &rows[i], &r->verdict[i]));
        r->n++;
        r->failed += !r->verdict[i].passed;
        if (c->o->verdict) c->o->verdict(c->o->user, &r->verdict[i]);
    }
    if (r->failed) FAIL(FAILED, "%d of %d checks failed", r->failed, N);
    return PHA_OK;
}

pha_status pha_check(const pha_check_options *o, pha_check_result *result)
{
    pha_check_result unused;
    double begin = pha__seconds();
    _Static_assert(N <= PHA_CHECKS, "the result has room for all checks");
    if (!result) result = &unused;
    *result = (pha_check_result){0};
    NEED(o, "options");
    if (!o->model) FAIL(USAGE, "a check needs a model folder or a configuration");
    pha__check c = {.o = o};
    pha_status status = all(&c, result);
    close_all(&c);
    result->seconds = pha__seconds() - begin;
    return status;
}
