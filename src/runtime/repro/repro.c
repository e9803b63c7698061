/* repro.c -- pha_repro: the runs that have no result yet, one after the other */
#include "runtime/repro/repro.h"

#include <math.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/range.h"
#include "runtime/stop.h"

/* The next run without a result whose rate is known; NULL: there is none. */
static const pha__trial *next(const pha__repro *r)
{
    for (size_t i = 0; i < r->n_runs; i++)
        if (!r->runs[i].result && r->runs[i].lr) return &r->runs[i];
    return NULL;
}

/* Of some model no rate of the search could be used. */
static pha_status check_left(const pha__repro *r)
{
    for (size_t i = 0; i < r->n_runs; i++)
        if (!r->runs[i].result)
            FAIL(NUMERIC, "%s: training of %s diverged with every rate; add smaller ones to \"rates\"", r->e.path,
                 r->runs[i].system->name);
    return PHA_OK;
}

pha_status pha__repro_may_go_on(const pha__repro *r, pha_repro_result *left)
{
    pha__plan_left(r, false, left);
    if (pha__stop_requested()) FAIL(STOPPED, "asked to stop with %zu of %zu runs done", left->done, left->runs);
    if (r->o.minutes > 0 && pha__seconds() - r->began > 60 * r->o.minutes)
        FAIL(STOPPED, "the %g minutes are over with %zu of %zu runs done", r->o.minutes, left->done, left->runs);
    return PHA_OK;
}

static pha_status run_all(pha__repro *r)
{
    const pha__trial *run;
    while ((run = next(r))) {
        char key[PHA__REPRO_KEY];
        pha_repro_result left;
        TRY(pha__repro_may_go_on(r, &left));
        pha__trial_key(key, run);
        pha__log(PHA__LOG_NOTE, "run %zu of %zu: %s", left.done + 1, left.runs, key);
        TRY(pha__repro_run(r, run));
        TRY(pha__repro_pages(r));
    }
    TRY(check_left(r));
    return pha__efficiency_run(r);
}

/* One process at a time has the folder; what is shown of a plan needs no lock. */
static pha_status work(pha__repro *r)
{
    pha__lock lock;
    TRY(pha__mkdirs(r->o.out));
    TRY(pha__lock_folder(&lock, r->o.out, "at work in"));
    pha_status status = pha__results_load(r);
    if (!status) status = pha__plan_runs(r);
    if (!status && !r->o.pages_only && r->n_runs) status = pha__repro_prepare(r);
    if (!status && !r->o.pages_only) status = run_all(r);
    if (!status) status = pha__repro_pages(r);
    pha__lock_close(&lock);
    return status;
}

static pha_status check_options(const pha_repro_options *o)
{
    if (!o->out) FAIL(USAGE, "an experiment needs a folder for its results");
    if (o->n_only && !o->only) FAIL(USAGE, "the list of models is NULL");
    if (!pha__in_range(o->minutes, 0, 1e9)) FAIL(USAGE, "minutes = %.15g is not from 0 to 1e9", o->minutes);
    if (o->dry_run && o->pages_only) FAIL(USAGE, "a plan alone and the pages alone: one of the two");
    return PHA_OK;
}

static pha_status tell(char **text, const pha__repro *r)
{
    pha__str out = {0};
    if (r->o.dry_run) pha__plan_text(&out, r);
    else pha__repro_table(&out, r);
    if (!out.failed) return *text = out.data, PHA_OK;
    pha__str_free(&out);
    FAIL(NO_MEMORY, "no memory for a table");
}

static pha_status open_and_work(pha__repro *r)
{
    TRY(check_options(&r->o));
    TRY(pha__experiment_open(&r->e, &r->o));
    TRY(pha__systems_weigh(&r->e));
    if (!r->o.dry_run) return work(r);
    TRY(pha__results_load(r));
    return pha__plan_runs(r);
}

pha_status pha_repro(const pha_repro_options *options, char **text, pha_repro_result *result)
{
    NEED(text, "a place for its text");
    *text = NULL;
    if (result) *result = (pha_repro_result){.seconds_left = NAN};
    NEED(options, "options");
    pha__repro *r = pha__alloc_zero(1, sizeof *r);
    if (!r) return PHA_NO_MEMORY;
    r->o = *options, r->began = pha__seconds();
    pha_status status = open_and_work(r);
    if (!status || (status == PHA_STOPPED && r->runs)) {
        pha__message why = pha__message_keep();
        pha_status told = tell(text, r);
        if (result) pha__plan_left(r, true, result);
        if (status && !told) pha__message_restore(&why);
        if (!status) status = told;
    }
    pha__free(r->runs);
    pha__free(r->data);
    json_decref(r->results);
    json_decref(r->data_of);
    pha__experiment_close(&r->e);
    pha__free(r);
    return status;
}
