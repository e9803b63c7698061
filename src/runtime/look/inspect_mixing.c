/* inspect_mixing.c -- how the branches of every layer are weighted (Table 9 of the paper; pha.md 2.1 and 8, A12)
 *
 * The shares and their names are what the layers show as "mix" and "mix_scaled" (nn/mix.c): w, and w rms(gain).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/print.h"
#include "nn/shown.h"
#include "runtime/look/inspect.h"
#include "runtime/look/svg.h"

enum { SIDES = 2, MAX_BRANCHES = 16 }; /* sides: raw, scaled */
static const pha__watch_row *const sides[SIDES] = {&pha__shown[PHA__SHOW_MIX], &pha__shown[PHA__SHOW_MIX_SCALED]};

typedef struct mix_row { /* of one piece; the shares of a side sum to 1 */
    const char *path;
    int layer, n;
    const char *const *branch;
    double share[SIDES][MAX_BRANCHES];
} mix_row;

/* A row per piece that mixes, filled side by side. */
static pha_status add_watch(mix_row *rows, int *n, const pha__watching *w, const pha__store *store)
{
    int side = 0, at = 0;
    while (side < SIDES && w->row != sides[side]) side++;
    if (side == SIDES || w->n > MAX_BRANCHES) return PHA_OK;
    while (at < *n && strcmp(rows[at].path, w->path)) at++;
    if (at == *n) rows[(*n)++] = (mix_row){.path = w->path, .layer = w->layer, .n = w->n, .branch = w->labels};
    return pha__watch_read(w, NULL, store, 0, rows[at].share[side]);
}

static pha_status mixing_rows(mix_row **rows, int *n, const pha__program *names, const pha__store *store)
{
    *n = 0;
    *rows = pha__alloc_zero((size_t)names->n_watches + 1, sizeof **rows);
    pha_status status = *rows ? PHA_OK : PHA_NO_MEMORY;
    for (int i = 0; i < names->n_watches && !status; i++) status = add_watch(*rows, n, &names->watches[i], store);
    return status;
}

static pha_status check_finite(const pha__subject *s, const mix_row *rows, int n)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < rows[i].n; k++)
            if (!isfinite(rows[i].share[0][k]) || !isfinite(rows[i].share[1][k]))
                FAIL(NUMERIC, "%s: layer %d: the mixing weights or the gains are not finite; the weights are damaged",
                     s->path, rows[i].layer);
    return PHA_OK;
}

#define WIDTH 720

/* ---- showing ------------------------------------------------------------------------------------------ */

static mix_row mean_of(const mix_row *rows, int n)
{
    mix_row mean = rows[0];
    for (int side = 0; side < SIDES; side++)
        for (int k = 0; k < mean.n; k++) {
            mean.share[side][k] = 0;
            for (int i = 0; i < n; i++) mean.share[side][k] += rows[i].share[side][k] / n;
        }
    return mean;
}

static void text_row(pha__str *out, const char *label, const mix_row *row)
{
    pha__str_printf(out, "%-6s", label);
    for (int side = 0; side < SIDES; side++) {
        for (int k = 0; k < row->n; k++) pha__str_printf(out, " %9.1f", 100 * row->share[side][k]);
        pha__str_puts(out, side ? "\n" : "   |");
    }
}

static const char *mode_of(const pha__subject *s)
{
    return s->config.mix == PHA__MIX_UNIFORM   ? "uniform"
           : s->config.mix == PHA__MIX_DYNAMIC ? "dynamic"
                                               : "learned";
}

static void as_text(pha__str *out, const pha__subject *s, const mix_row *rows, int n)
{
    pha__str_printf(out, "Mixing weights of %s in percent (%s)%s\n", s->path, mode_of(s),
                    s->model ? "" : "; a configuration only: values before training");
    if (s->config.mix == PHA__MIX_DYNAMIC)
        pha__str_puts(out, "Dynamic weights differ by token; these are those of a token whose own part is zero.\n");
    pha__str_printf(out, "%-6s", "layer");
    for (int side = 0; side < SIDES; side++) {
        for (int k = 0; k < rows[0].n; k++)
            pha__str_printf(out, " %9s", pha__label_title(sides[side], rows[0].branch[k]));
        pha__str_puts(out, side ? "\n" : "   |");
    }
    for (int i = 0; i < n; i++) {
        char label[16];
        pha__print(label, sizeof label, "L%d", rows[i].layer);
        text_row(out, label, &rows[i]);
    }
    mix_row mean = mean_of(rows, n);
    text_row(out, "mean", &mean);
    pha__str_printf(out, "left: %s; right: %s\n", sides[0]->note, sides[1]->note);
}

static json_t *row_json(const mix_row *row, bool with_layer)
{
    static const char *const keys[SIDES] = {"raw", "scaled"};
    json_t *o = pha__json_object();
    if (with_layer) pha__json_set(&o, "layer", pha__json_number(row->layer));
    for (int side = 0; side < SIDES; side++) {
        json_t *shares = pha__json_object();
        for (int k = 0; k < row->n; k++) pha__json_set(&shares, row->branch[k], pha__json_decimal(row->share[side][k]));
        pha__json_set(&o, keys[side], shares);
    }
    return o;
}

static json_t *as_json(const pha__subject *s, const mix_row *rows, int n)
{
    json_t *layers = pha__json_list();
    for (int i = 0; i < n; i++) pha__json_add(&layers, row_json(&rows[i], true));
    mix_row mean = mean_of(rows, n);
    json_t *o = pha__json_object();
    pha__json_set(&o, "model", pha__json_text(s->path));
    pha__json_set(&o, "mix", pha__json_text(mode_of(s)));
    pha__json_set(&o, "trained", json_boolean(s->model != NULL));
    pha__json_set(&o, "layers", layers);
    pha__json_set(&o, "mean", row_json(&mean, false));
    return o;
}

/* One figure of shares; side 0: raw, 1: scaled. Adds its height to *below. */
static pha_status draw(pha__str *out, const mix_row *rows, int n, int side, int *below)
{
    int parts = rows[0].n;
    double *values = pha__alloc((size_t)n * (size_t)parts, sizeof *values);
    if (!values) return PHA_NO_MEMORY;
    const char *names[MAX_BRANCHES];
    for (int k = 0; k < parts; k++) names[k] = pha__label_title(sides[side], rows[0].branch[k]);
    for (int i = 0; i < n; i++)
        memcpy(values + (size_t)i * (size_t)parts, rows[i].share[side], (size_t)parts * sizeof *values);
    pha__svg_bars bars = {.title = sides[side]->title,
                          .row_label = "layer", .parts = names, .values = values, .n_rows = (size_t)n,
                          .n_parts = (size_t)parts, .width = WIDTH, .standalone = side == 0};
    size_t begin = out->size;
    pha__svg_stacked(out, &bars);
    pha__free(values);
    if (out->failed) return PHA_NO_MEMORY;
    int height = 0;
    const char *box = strstr(out->data + begin, "viewBox=\"0 0 ");
    if (!box || sscanf(box, "viewBox=\"0 0 %*d %d", &height) != 1) FAIL(FAILED, "a figure has no size");
    *below += height;
    return PHA_OK;
}

/* Two figures in one file, one above the other; the first brings the style for both. */
static pha_status write_svg(const char *path, const mix_row *rows, int n)
{
    pha__str parts = {0}, svg = {0};
    int height = 0;
    pha_status status = draw(&parts, rows, n, 0, &height);
    pha__str_printf(&parts, "<g transform=\"translate(0 %d)\">\n", height);
    if (!status) status = draw(&parts, rows, n, 1, &height);
    pha__str_puts(&parts, "</g>\n");
    pha__str_printf(&svg,
                    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\">\n",
                    WIDTH, height, WIDTH, height);
    if (!status && !parts.failed) pha__str_add(&svg, parts.data, parts.size);
    pha__str_puts(&svg, "</svg>\n");
    if (!status && (svg.failed || parts.failed)) status = PHA_NO_MEMORY;
    if (!status) status = pha__write_file(path, svg.data, svg.size);
    pha__str_free(&parts);
    pha__str_free(&svg);
    return status;
}

pha_status pha__inspect_mixing(pha__str *out, const pha__subject *s, const pha_inspect_options *o)
{
    mix_row *rows;
    int n;
    pha_status status = mixing_rows(&rows, &n, s->names, s->model ? s->model->store : NULL);
    if (!status) status = check_finite(s, rows, n);
    if (!status && !n)
        status = pha__fail(PHA_BAD_INPUT,
                           "%s: a model of arch '%s' with these branches mixes nothing: it has no mixing "
                           "weights",
                           s->path, s->config.arch);
    else if (!status && o->json) status = pha__add_json(out, as_json(s, rows, n));
    else if (!status) as_text(out, s, rows, n);
    if (!status && o->svg) status = write_svg(o->svg, rows, n);
    pha__free(rows);
    return status;
}
