/* report_layers.c -- figures of what the layers of a model show: shares, their course, last values by layer
 *
 * What is drawn of a name stands in its row (program/watch.h); of a name without a row, the mean of the layers.
 */
#include <math.h>

#include "base/mem.h"
#include "base/print.h"
#include "nn/shown.h"
#include "runtime/look/report.h"
#include "runtime/look/svg.h"

typedef struct labels { /* those of a watch that are drawn: slots from `first` on */
    int first, n;
    const char *title[PHA__REPORT_LABELS];
} labels;

static labels labels_of(const pha__report_watch *w)
{
    labels l = {.first = w->known ? 0 : w->n_known};
    for (int k = l.first; k < w->n_labels; k++)
        l.title[l.n++] = w->row ? pha__label_title(w->row, w->label[k]) : *w->label[k] ? w->label[k] : w->name;
    return l;
}

static const char *title_of(const pha__report_watch *w) { return w->row && w->row->title ? w->row->title : w->name; }

static void bars(pha__str *out, const pha__report_log *log, const pha__report_watch *w)
{
    labels l = labels_of(w);
    size_t n = (size_t)l.n;
    char title[120];
    double *values = pha__alloc_zero(log->n_layers * n + 1, sizeof *values);
    if (!values) {
        out->failed = 1;
        return;
    }
    for (size_t i = 0; i < log->n_layers; i++)
        for (int k = 0; k < l.n; k++) {
            double v = pha__points_last(pha__report_points(w, i, l.first + k));
            values[i * n + (size_t)k] = isfinite(v) ? v : 0;
        }
    pha__print(title, sizeof title, "%s, last", title_of(w));
    pha__svg_bars figure = {.title = title,
                            .row_label = "layer",
                            .parts = l.title,
                            .values = values,
                            .n_rows = log->n_layers,
                            .n_parts = n};
    pha__svg_stacked(out, &figure);
    pha__free(values);
}

/* One line per layer would be a thicket: the mean over the layers, of each label. */
static void mean(pha__str *out, const pha__report_log *log, const pha__report_watch *w)
{
    labels l = labels_of(w);
    double *y[PHA__REPORT_LABELS] = {NULL};
    pha__svg_series s[PHA__REPORT_LABELS];
    char title[120];
    for (int k = 0; k < l.n; k++) {
        const pha__points *first = pha__report_points(w, 0, l.first + k);
        size_t n = first->n, layers = 0;
        y[k] = pha__alloc_zero(n ? n : 1, sizeof *y[k]);
        if (!y[k]) out->failed = 1;
        for (size_t i = 0; y[k] && i < log->n_layers; i++) {
            const pha__points *p = pha__report_points(w, i, l.first + k);
            if (p->n != n) continue;
            for (size_t t = 0; t < n; t++) y[k][t] += p->y[t];
            layers++;
        }
        for (size_t t = 0; y[k] && t < n; t++) y[k][t] /= (double)layers;
        s[k] = (pha__svg_series){.name = n ? l.title[k] : NULL, .x = first->x, .y = y[k], .n = y[k] ? n : 0};
    }
    pha__print(title, sizeof title, "%s, mean of the layers", title_of(w));
    pha__svg_chart c = {.title = title, .x_label = "step", .series = s, .n_series = (size_t)l.n};
    pha__svg_lines(out, &c);
    for (int k = 0; k < l.n; k++) pha__free(y[k]);
}

/* The layers over the steps, of one label. */
static void each(pha__str *out, const pha__report_log *log, const pha__report_watch *w, int label, const char *name)
{
    pha__svg_series *s = pha__alloc_zero(log->n_layers, sizeof *s);
    char title[120], names[PHA__REPORT_LAYERS][24];
    bool any = false;
    pha__print(title, sizeof title, "%s %s by layer", w->row->each, name);
    for (size_t i = 0; s && i < log->n_layers; i++) {
        const pha__points *p = pha__report_points(w, i, label);
        pha__print(names[i], sizeof names[i], "%zu", i);
        s[i] = (pha__svg_series){.name = log->n_layers <= 14 ? names[i] : NULL, .x = p->x, .y = p->y, .n = p->n};
        any = any || s[i].n;
    }
    pha__svg_chart c = {.title = title, .x_label = "step", .series = s, .n_series = log->n_layers};
    if (!s) out->failed = 1;
    if (s && any) pha__svg_lines(out, &c);
    pha__free(s);
}

static void every_label(pha__str *out, const pha__report_log *log, const pha__report_watch *w)
{
    labels l = labels_of(w);
    for (int k = 0; k < l.n; k++) each(out, log, w, l.first + k, l.title[k]);
}

/* The last values over the layers. */
static void by_layer(pha__str *out, const pha__report_log *log, const pha__report_watch *w)
{
    labels l = labels_of(w);
    size_t L = log->n_layers;
    double *x = pha__alloc(L, sizeof *x), *y = pha__alloc(L * (size_t)l.n + 1, sizeof *y);
    pha__svg_series s[PHA__REPORT_LABELS];
    char title[120];
    bool any = false;
    if (!x || !y) out->failed = 1;
    for (size_t i = 0; x && i < L; i++) x[i] = (double)i;
    for (int k = 0; x && y && k < l.n; k++) {
        double *values = y + (size_t)k * L;
        for (size_t i = 0; i < L; i++) {
            values[i] = pha__points_last(pha__report_points(w, i, l.first + k));
            any = any || isfinite(values[i]);
        }
        s[k] = (pha__svg_series){.name = l.title[k], .x = x, .y = values, .n = L, .marks = true};
    }
    pha__print(title, sizeof title, "%s, last", title_of(w));
    pha__svg_chart c = {.title = title,
                        .x_label = "layer",
                        .y_label = w->row->unit,
                        .log_y = w->row->log_scale,
                        .series = s,
                        .n_series = (size_t)l.n};
    if (any) pha__svg_lines(out, &c);
    pha__free(x);
    pha__free(y);
}

static bool has_points(const pha__report_log *log, const pha__report_watch *w)
{
    for (size_t i = 0; i < log->n_layers; i++)
        for (int k = 0; k < w->n_labels; k++)
            if (pha__report_points(w, i, k)->n) return true;
    return false;
}

void pha__report_layers(pha__str *out, const pha__report_log *log)
{
    static const struct {
        int figure;
        void (*draw)(pha__str *out, const pha__report_log *log, const pha__report_watch *w);
    } kinds[] = {{PHA__FIGURE_BARS, bars},
                 {PHA__FIGURE_MEAN, mean},
                 {PHA__FIGURE_EACH, every_label},
                 {PHA__FIGURE_LAYERS, by_layer}};
    if (!log->n_layers) return;
    pha__str_puts(out, "<h2>Layers</h2>\n<div class=\"figures\">\n");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (int k = 0; k < log->n_watches; k++) {
            const pha__report_watch *w = &log->watch[k];
            int figures = w->row ? w->row->figures : PHA__FIGURE_MEAN;
            if (figures & kinds[i].figure && has_points(log, w)) kinds[i].draw(out, log, w);
        }
    pha__str_puts(out, "</div>\n");
}
