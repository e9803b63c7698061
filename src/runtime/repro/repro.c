/* repro.c -- pha_repro: the runs that have no result yet, one after the other */
#include "runtime/repro/repro.h"

#include <math.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/range.h"
#include "runtime/stop.h"

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

bool pha__repro_leads(const pha__repro *r) { return r->world->rank == 0; }

/* What the leading rank does alone. */
static pha_status by_leader(pha__repro *r, pha_status (*work)(pha__repro *))
{
    return pha__comm_agree(r->world, pha__repro_leads(r) ? work(r) : PHA_OK);
}

static pha_status show(pha__repro *r) { return pha__repro_pages(r); }

static pha_status run_all(pha__repro *r)
{
    TRY(by_leader(r, pha__repro_configs));
    for (bool more = true; more;) {
        pha_repro_result left;
        pha__plan_left(r, false, &left);
        if (left.done < left.runs) TRY(pha__comm_agree(r->world, pha__repro_may_go_on(r, &left)));
        TRY(pha__repro_turn(r, &more));
        if (more) TRY(by_leader(r, show));
    }
    TRY(check_left(r));
    return by_leader(r, pha__efficiency_run);
}

static pha_status work(pha__repro *r)
{
    pha_status status = pha__repro_begin(r);
    if (!status) status = pha__comm_agree(r->world, pha__plan_runs(r));
    if (!status && !r->o.pages_only && r->n_runs) status = pha__repro_data(r);
    if (!status && !r->o.pages_only) status = run_all(r);
    return status ? status : by_leader(r, show);
}

static pha_status lock(pha__lock *out, const pha__repro *r)
{
    TRY(pha__mkdirs(r->o.out));
    return pha__lock_folder(out, r->o.out, "at work in");
}

/* One experiment at a time has the folder; what is shown of a plan needs no lock. */
static pha_status work_locked(pha__repro *r)
{
    pha__lock held = {0};
    pha_status locked = pha__repro_leads(r) ? lock(&held, r) : PHA_OK;
    pha_status status = pha__comm_agree(r->world, locked);
    if (!status) status = work(r);
    if (pha__repro_leads(r) && !locked) pha__lock_close(&held);
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
    pha_status opened = check_options(&r->o);
    if (!opened) opened = pha__experiment_open(&r->e, &r->o);
    if (!opened) opened = pha__systems_weigh(&r->e);
    TRY(pha__comm_agree(r->world, opened));
    if (!r->o.dry_run) return work_locked(r);
    TRY(pha__results_load(r));
    return pha__plan_runs(r);
}

pha_status pha__repro_rank(const pha_repro_options *options, char **text, pha_repro_result *result, pha__comm *world)
{
    pha__repro *r = pha__alloc_zero(1, sizeof *r);
    if (!r) return PHA_NO_MEMORY;
    r->o = *options, r->began = pha__seconds(), r->world = world;
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
    return pha__comm_end(world, status);
}

pha_status pha_repro(const pha_repro_options *options, char **text, pha_repro_result *result)
{
    pha__comm *world;
    NEED(text, "a place for its text");
    *text = NULL;
    if (result) *result = (pha_repro_result){.seconds_left = NAN};
    NEED(options, "options");
    TRY(pha__comm_world(&world));
    return pha__repro_rank(options, text, result, world);
}
