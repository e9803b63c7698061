/* plan.c -- the runs of an experiment: for each model the search for its rate, then the stages, seed by seed, so that
 * all models have one result before any has two */
#include <math.h>
#include <string.h>

#include "base/print.h"
#include "runtime/look/bench.h"
#include "runtime/look/subject.h"
#include "runtime/repro/repro.h"

static int64_t tokens_of_step(const pha__experiment *e)
{
    return (int64_t)e->train.context * (e->train.batch ? e->train.batch : 24);
}

int64_t pha__trial_steps(const pha__experiment *e, const pha__trial *run)
{
    int64_t steps = llround(run->tokens / (double)tokens_of_step(e));
    return steps > 0 ? steps : 1;
}

void pha__trial_key(char key[PHA__REPRO_KEY], const pha__trial *run)
{
    pha__print(key, PHA__REPRO_KEY, "%s-%.6gM-%.6g-%llu", run->system->name, run->tokens / 1e6, run->lr,
               (unsigned long long)run->seed);
}

/* ---- which --------------------------------------------------------------------------------------------- */

bool pha__is_wanted(const pha__repro *r, const pha__system *s)
{
    for (size_t i = 0; i < r->o.n_only; i++)
        if (!strcmp(r->o.only[i], s->name)) return true;
    return !r->o.n_only;
}

static pha_status check_only(const pha__repro *r)
{
    for (size_t i = 0; i < r->o.n_only; i++) {
        size_t k = 0;
        if (!r->o.only[i]) FAIL(USAGE, "name %zu of a model is NULL", i + 1);
        while (k < r->e.n_systems && strcmp(r->e.systems[k].name, r->o.only[i])) k++;
        if (k < r->e.n_systems) continue;
        pha__str names = {0};
        for (k = 0; k < r->e.n_systems; k++) pha__str_printf(&names, "%s%s", k ? ", " : "", r->e.systems[k].name);
        pha_status status = pha__fail(PHA_USAGE, "the experiment has no model '%.60s' but %.600s", r->o.only[i],
                                      names.failed ? "others" : names.data);
        pha__str_free(&names);
        return status;
    }
    return PHA_OK;
}

static void add(pha__repro *r, bool count, pha__trial run)
{
    if (!count) r->runs[r->n_runs] = run;
    r->n_runs++;
}

static void add_search(pha__repro *r, bool count)
{
    const pha__experiment *e = &r->e;
    for (size_t i = 0; i < e->n_systems; i++) {
        const pha__system *s = &e->systems[i];
        for (size_t k = 0; k < s->rates.n && s->rates.n > 1 && pha__is_wanted(r, s); k++)
            add(r, count, (pha__trial){.system = s, .tokens = e->search_tokens, .lr = s->rates.at[k],
                                       .seed = (uint64_t)e->stages[0].seeds.at[0], .search = true});
    }
}

static void add_stage(pha__repro *r, bool count, int n)
{
    const pha__experiment *e = &r->e;
    const pha__stage *s = &e->stages[n];
    for (size_t seed = 0; seed < s->seeds.n; seed++)
        for (size_t i = 0; i < e->n_systems; i++)
            if (s->of[i] && pha__is_wanted(r, &e->systems[i]))
                add(r, count, (pha__trial){.system = &e->systems[i], .tokens = s->tokens, .stage = n,
                                           .lr = e->systems[i].rates.n == 1 ? e->systems[i].rates.at[0] : 0,
                                           .seed = (uint64_t)s->seeds.at[seed]});
}

pha_status pha__plan_runs(pha__repro *r)
{
    TRY(check_only(r));
    for (int count = 1; count >= 0; count--) {
        r->n_runs = 0;
        add_search(r, count);
        for (size_t i = 0; i < r->e.n_stages; i++) add_stage(r, count, (int)i);
        if (count && !(r->runs = pha__alloc_zero(r->n_runs + 1, sizeof *r->runs))) return PHA_NO_MEMORY;
    }
    pha__plan_update(r);
    return PHA_OK;
}

/* ---- what is known ------------------------------------------------------------------------------------- */

/* The rate with the least perplexity, once all have a result; one that diverged has none. 0: not yet. */
static double best_rate(const pha__repro *r, const pha__system *s)
{
    double best = 0, least = INFINITY;
    for (size_t i = 0; i < r->n_runs; i++) {
        const pha__trial *run = &r->runs[i];
        if (!run->search || run->system != s) continue;
        if (!run->result) return 0;
        double ppl = pha__result_number(run->result, "token_ppl");
        if (ppl < least) least = ppl, best = run->lr;
    }
    return best;
}

void pha__plan_update(pha__repro *r)
{
    char key[PHA__REPRO_KEY];
    for (size_t i = 0; i < r->n_runs; i++) {
        pha__trial *run = &r->runs[i];
        if (!run->lr) run->lr = best_rate(r, run->system);
        if (!run->lr) continue;
        pha__trial_key(key, run);
        run->result = json_object_get(r->results, key);
    }
}

/* ---- what is left --------------------------------------------------------------------------------------- */

static double flops_of(const pha__repro *r, const pha__trial *run)
{
    return run->system->flops * (double)(pha__trial_steps(&r->e, run) * tokens_of_step(&r->e));
}

/* Operations of training per second: the median of the runs that were timed whole; else a share of what products reach
 * on this machine; NaN: neither. */
static double speed(const pha__repro *r)
{
    double *x = pha__alloc(r->n_runs + 1, sizeof *x), median = NAN;
    int n = 0;
    for (size_t i = 0; x && i < r->n_runs; i++) {
        double rate = pha__result_number(r->runs[i].result, "tokens_per_second");
        if (rate > 0) x[n++] = rate * r->runs[i].system->flops;
    }
    if (n) median = pha__bench_median(x, n);
    pha__free(x);
    if (n) return median;
    pha__bench b = {0};
    if (pha__device_open(&b.device, NULL, r->o.threads)) return NAN;
    if (!pha__bench_machine(&b)) median = 0.8 * b.product;
    pha__device_close(b.device);
    return median;
}

void pha__plan_left(const pha__repro *r, bool predict, pha_repro_result *left)
{
    *left = (pha_repro_result){.runs = r->n_runs, .seconds_left = NAN};
    for (size_t i = 0; i < r->n_runs; i++) {
        if (r->runs[i].result) left->done++;
        else left->flops += flops_of(r, &r->runs[i]);
    }
    pha__efficiency_left(r, left);
    if (left->flops == 0) left->seconds_left = 0;
    else if (predict) left->seconds_left = left->flops / speed(r);
}

/* ---- the plan as text ------------------------------------------------------------------------------------ */

static void tell_systems(pha__str *out, const pha__repro *r)
{
    pha__str_printf(out, "%-20s %14s %16s %14s\n", "model", "parameters", "MFLOP per token", "memory, MB");
    for (size_t i = 0; i < r->e.n_systems; i++) {
        const pha__system *s = &r->e.systems[i];
        if (!pha__is_wanted(r, s)) continue;
        pha__str_printf(out, "%-20s %14s %16.1f %14.0f%s\n", s->name, pha__digits(s->parameters).text, s->flops / 1e6,
                        (double)s->bytes / 1e6, s->other_budget ? "  (another budget)" : "");
    }
}

static void tell_time(pha__str *out, double seconds)
{
    if (isnan(seconds)) pha__str_puts(out, "an unknown time");
    else if (seconds > 72 * 3600) pha__str_printf(out, "%.0f days", seconds / 86400);
    else if (seconds < 5400) pha__str_printf(out, "%.0f minutes", ceil(seconds / 60));
    else pha__str_printf(out, "%.1f hours", seconds / 3600);
}

void pha__plan_text(pha__str *out, const pha__repro *r)
{
    pha_repro_result left;
    pha__plan_left(r, true, &left);
    pha__str_printf(out, "%s\n\n", r->e.title);
    tell_systems(out, r);
    pha__str_printf(out, "\n%zu runs, %zu with a result", left.runs, left.done);
    if (r->n_runs)
        pha__str_printf(out, "; steps of %lld tokens, context %d", (long long)tokens_of_step(&r->e),
                        r->e.train.context);
    if (r->e.contexts.n) pha__str_printf(out, "; speed and memory (%s) at %zu contexts", r->e.what, r->e.contexts.n);
    pha__str_puts(out, "\n");
    if (!r->n_runs) return;
    pha__str_printf(out, "left: %.3g FLOP of training, about ", left.flops);
    tell_time(out, left.seconds_left);
    pha__str_puts(out, " on this machine, evaluations not counted\n");
}
