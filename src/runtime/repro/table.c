/* table.c -- what was measured, beside what was published, as Markdown and as CSV */
#include <math.h>
#include <string.h>

#include "base/print.h"
#include "runtime/look/subject.h"
#include "runtime/repro/repro.h"

/* ---- groups ---------------------------------------------------------------------------------------------- */

bool pha__next_group(const pha__repro *r, int stage, size_t *at, pha__group *g)
{
    for (; *at < r->e.n_systems; ++*at) {
        const pha__system *s = &r->e.systems[*at];
        *g = (pha__group){.system = s};
        for (size_t i = 0; i < r->n_runs && g->n < PHA__REPRO_LIST; i++) {
            const pha__trial *run = &r->runs[i];
            if (run->search || run->stage != stage || run->system != s || !run->result) continue;
            g->runs[g->n++] = run, g->lr = run->lr;
        }
        if (!g->n) continue;
        ++*at;
        return true;
    }
    return false;
}

/* The 97.5 % quantile of Student's t. */
static double student(size_t degrees)
{
    static const double t[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                               2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086};
    size_t n = sizeof t / sizeof *t;
    return degrees <= n ? t[degrees - 1] : 1.96 + 2.4 / (double)degrees;
}

void pha__group_mean(const pha__group *g, const char *key, double *mean, double *half)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < g->n; i++) sum += pha__result_number(g->runs[i]->result, key);
    *mean = sum / (double)g->n;
    for (size_t i = 0; i < g->n; i++) squares += pow(pha__result_number(g->runs[i]->result, key) - *mean, 2);
    *half = g->n > 1 ? student(g->n - 1) * sqrt(squares / (double)(g->n - 1) / (double)g->n) : NAN;
}

/* ---- Markdown -------------------------------------------------------------------------------------------- */

/* "24.91" or "24.91 +- 0.35", "-" where there is none. */
static void interval(pha__str *out, const pha__group *g, const char *key, double scale, int decimals)
{
    double mean, half;
    pha__group_mean(g, key, &mean, &half);
    if (isnan(mean)) pha__str_puts(out, " - |");
    else if (isnan(half)) pha__str_printf(out, " %.*f |", decimals, scale * mean);
    else pha__str_printf(out, " %.*f ± %.*f |", decimals, scale * mean, decimals, scale * half);
}

static void line(pha__str *out, const pha__group *g)
{
    double seconds = 0, speed, half;
    for (size_t i = 0; i < g->n; i++) seconds += pha__result_number(g->runs[i]->result, "seconds");
    pha__str_printf(out, "| %s | %s | %.3g | %zu |", g->system->name, pha__digits(g->system->parameters).text, g->lr,
                    g->n);
    interval(out, g, "token_ppl", 1, 2);
    interval(out, g, "word_ppl", 1, 1);
    interval(out, g, "accuracy", 100, 2);
    pha__str_printf(out, " %.1f |", g->system->flops / 1e6);
    pha__group_mean(g, "tokens_per_second", &speed, &half);
    if (isnan(speed)) pha__str_puts(out, " - |"); /* no log */
    else pha__str_printf(out, " %.0f |", speed);
    pha__str_printf(out, " %.1f |\n", seconds / 60);
}

static void published(pha__str *out, const pha__repro *r)
{
    if (!r->e.n_published) return;
    pha__str_puts(out, "\nPublished, not measured here:\n\n"
                       "| model | token perplexity | word perplexity | how | where |\n|---|---:|---:|---|---|\n");
    for (size_t i = 0; i < r->e.n_published; i++) {
        const pha__published *p = &r->e.published[i];
        char token[32] = "-", word[32] = "-";
        if (!isnan(p->token_ppl)) pha__print(token, sizeof token, "%.10g", p->token_ppl);
        if (!isnan(p->word_ppl)) pha__print(word, sizeof word, "%.10g", p->word_ppl);
        pha__str_printf(out, "| %s | %s | %s | %s | %s |\n", p->model, token, word, p->how, p->where);
    }
}

static bool has_intervals(const pha__repro *r)
{
    for (size_t i = 0; i < r->e.n_stages; i++)
        if (r->e.stages[i].seeds.n > 1) return true;
    return false;
}

static const char head[] = "| model | parameters | rate | seeds | token perplexity | word perplexity | accuracy, % | "
                           "MFLOP per token | tokens/s | minutes |\n"
                           "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";

void pha__repro_table(pha__str *out, const pha__repro *r)
{
    pha_repro_result left;
    pha__plan_left(r, false, &left);
    pha__str_printf(out, "# %s\n\n", r->e.title);
    if (r->e.note) pha__str_printf(out, "%s\n\n", r->e.note);
    pha__str_printf(out, "%zu of %zu runs have a result.", left.done, left.runs);
    if (r->n_runs) pha__str_printf(out, " Scored on the %s split, context %d.", r->e.split, r->e.train.context);
    if (has_intervals(r)) pha__str_puts(out, " ± is half the 95 % interval of the mean over seeds (Student's t).");
    pha__str_puts(out, "\n");
    for (int stage = 0; stage < (int)r->e.n_stages; stage++) {
        size_t at = 0;
        pha__group g;
        bool any = false;
        while (pha__next_group(r, stage, &at, &g)) {
            if (!any)
                pha__str_printf(out, "\n## %s tokens\n\n%s", pha__digits((uint64_t)r->e.stages[stage].tokens).text,
                                head);
            any = true;
            line(out, &g);
        }
    }
    pha__scaling_table(out, r);
    pha__efficiency_table(out, r);
    published(out, r);
}

/* ---- CSV ------------------------------------------------------------------------------------------------- */

void pha__repro_csv(pha__str *out, const pha__repro *r)
{
    static const char *const keys[] = {"parameters", "flops_per_token", "steps", "train_loss", "scored_tokens", "nll",
                                       "token_ppl", "word_ppl", "bits_per_byte", "accuracy", "tokens_per_second",
                                       "seconds", "peak_bytes", "refused_steps", NULL};
    pha__str_puts(out, "model,search,tokens,lr,seed");
    for (size_t k = 0; keys[k]; k++) pha__str_printf(out, ",%s", keys[k]);
    pha__str_puts(out, "\n");
    for (size_t i = 0; i < r->n_runs; i++) {
        const pha__trial *run = &r->runs[i];
        if (!run->result) continue;
        pha__str_printf(out, "%s,%d,%.15g,%.15g,%llu", run->system->name, run->search, run->tokens, run->lr,
                        (unsigned long long)run->seed);
        for (size_t k = 0; keys[k]; k++) pha__result_csv(out, run->result, keys[k]);
        pha__str_puts(out, "\n");
    }
}
