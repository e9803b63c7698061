/* scaling.c -- families of models over sizes and budgets: their losses, the fit, and what it says of a size that nobody
 * has trained yet */
#include <math.h>
#include <string.h>

#include "base/print.h"
#include "runtime/look/subject.h"
#include "runtime/look/svg.h"
#include "runtime/repro/fit.h"
#include "runtime/repro/repro.h"

enum { POINTS = 512 };

typedef struct cloud {
    pha__point at[POINTS];
    size_t n;
} cloud;

static bool is_of(const pha__family *f, const pha__system *s)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->systems[i] == s) return true;
    return false;
}

/* A point for each model and stage: the mean loss over the seeds. */
static void gather(cloud *c, const pha__repro *r, const pha__family *f)
{
    c->n = 0;
    for (int stage = 0; stage < (int)r->e.n_stages; stage++) {
        size_t at = 0;
        pha__group g;
        while (c->n < POINTS && pha__next_group(r, stage, &at, &g)) {
            double loss = 0;
            if (!is_of(f, g.system)) continue;
            for (size_t i = 0; i < g.n; i++)
                loss += log(pha__result_number(g.runs[i]->result, "token_ppl")) / (double)g.n;
            if (loss > 0)
                c->at[c->n++] = (pha__point){(double)g.system->parameters, r->e.stages[stage].tokens, loss};
        }
    }
}

/* ---- the table ------------------------------------------------------------------------------------------- */

static const char head[] = "| family | points | E | alpha | beta | rms of ln L | loss there | with any one point left "
                           "out | perplexity there |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n";

static void line(pha__str *out, const pha__repro *r, const pha__family *f, const cloud *c)
{
    pha__fit fit;
    double low, high, n = r->e.at_parameters, d = r->e.at_tokens;
    if (!pha__fit_loss(&fit, c->at, c->n)) {
        pha__str_printf(out, "| %s | %zu | too few: at least %d, of three sizes and three budgets |||||||\n", f->name,
                        c->n, PHA__FIT_POINTS);
        return;
    }
    double loss = pha__fit_at(&fit, n, d);
    pha__str_printf(out, "| %s | %zu | %.3f | %.3f | %.3f | %.4f | %.3f |", f->name, c->n, fit.e, fit.alpha, fit.beta,
                    fit.rms, loss);
    if (pha__fit_range(&low, &high, c->at, c->n, n, d)) pha__str_printf(out, " %.3f to %.3f |", low, high);
    else pha__str_puts(out, " - |");
    pha__str_printf(out, " %.1f |\n", exp(loss));
}

void pha__scaling_table(pha__str *out, const pha__repro *r)
{
    cloud *c = r->e.n_families ? pha__alloc(1, sizeof *c) : NULL;
    if (!r->e.n_families) return;
    if (!c) {
        out->failed = 1;
        return;
    }
    pha__str_printf(out, "\n## Scaling\n\nL(N, D) = E + A / N^alpha + B / D^beta, least squares of ln L. \"There\" is "
                         "%s parameters and %s tokens, outside of what was measured.\n\n%s",
                    pha__digits((uint64_t)r->e.at_parameters).text, pha__digits((uint64_t)r->e.at_tokens).text, head);
    for (size_t i = 0; i < r->e.n_families; i++) {
        gather(c, r, &r->e.families[i]);
        line(out, r, &r->e.families[i], c);
    }
    pha__free(c);
}

/* ---- the figure ------------------------------------------------------------------------------------------ */

/* Losses over the operations of training, 6 N D. */
void pha__scaling_figure(pha__str *out, const pha__repro *r)
{
    double *x = pha__alloc((size_t)PHA__REPRO_FAMILIES * POINTS * 2, sizeof *x);
    cloud *c = pha__alloc(1, sizeof *c);
    pha__svg_series series[PHA__REPRO_FAMILIES];
    size_t n = 0;
    for (size_t i = 0; x && c && i < r->e.n_families; i++) {
        double *to = x + n * POINTS * 2;
        gather(c, r, &r->e.families[i]);
        for (size_t k = 0; k < c->n; k++)
            to[k] = 6 * c->at[k].n * c->at[k].d, to[POINTS + k] = c->at[k].loss;
        if (c->n)
            series[n++] = (pha__svg_series){.name = r->e.families[i].name, .x = to, .y = to + POINTS, .n = c->n,
                                            .marks = true, .faint = true, .colour = (int)(i % 7) + 1};
    }
    pha__svg_chart chart = {.title = "Loss over the work of training", .x_label = "6 N D", .y_label = "nats",
                            .log_x = true, .series = series, .n_series = n};
    if (!x || !c) out->failed = 1;
    else if (n) pha__svg_lines(out, &chart);
    pha__free(x);
    pha__free(c);
}
