/* inspect_mixing.c -- how the branches of every layer are weighted (Table 9 of the paper; pha.md 2.1 and 8, A12)
 *
 * With gains in the branch norms only w_k gain_k matters, so that w alone is not identified: both are shown, w and
 * w rms(gain), each as shares of its sum. Branches stand in the order of the paper: GSS, attention, FFN.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "ops/mix/mix.h"
#include "runtime/look/inspect.h"
#include "runtime/look/svg.h"

_Static_assert(PHA__MIX_ROW == PHA__MIX_MAX, "a row has room for all branches of a mix");

static double softplus(double p) { return fmax(p, 0) + log1p(exp(-fabs(p))); }

/* The numbers of a parameter in fresh memory: those of the store, or without one those it starts with. NULL: failed. */
static float *values_of(const pha__node *v, const pha__store *store)
{
    float *out = pha__alloc((size_t)v->rows * (size_t)v->width, sizeof *out);
    if (out && !store) v->init.fill(out, v->rows, v->width, v->init.arg, 0, v->path);
    if (!out || !store || !pha__store_copy_out(store, PHA__WEIGHT, v->index, out)) return out;
    pha__free(out);
    return NULL;
}

static pha_status rms_of(double *out, const pha__node *gain, const pha__store *store)
{
    float *g = values_of(gain, store);
    if (!g) return PHA_NO_MEMORY;
    double sum = 0;
    for (int32_t i = 0; i < gain->width; i++) sum += (double)g[i] * g[i];
    *out = sqrt(sum / gain->width);
    pha__free(g);
    return PHA_OK;
}

/* "layer3.attn.out" is the branch "attn". */
static void name_branch(char *out, size_t size, const char *path)
{
    const char *dot = strchr(path, '.');
    const char *name = dot ? dot + 1 : path;
    snprintf(out, size, "%.*s", (int)strcspn(name, "."), name);
}

static int rank_of(const char *branch) { return !strcmp(branch, "gss") ? 0 : !strcmp(branch, "attn") ? 1 : 2; }

static void normalise(double *x, int n)
{
    double sum = 0;
    for (int k = 0; k < n; k++) sum += x[k];
    for (int k = 0; k < n; k++) x[k] = sum == 0 ? 0 : x[k] / sum; /* what is not finite stays so */
}

static pha_status fill_row(pha__mix_row *row, const pha__node *mix, const pha__store *store)
{
    const pha__mix_attr *attr = mix->attr;
    pha__mix_row got = {.layer = mix->layer, .n = attr->n};
    float *p = mix->in[PHA__MIX_P] ? values_of(mix->in[PHA__MIX_P], store) : NULL;
    if (mix->in[PHA__MIX_P] && !p) return PHA_NO_MEMORY;
    for (int k = 0; k < got.n; k++) got.raw[k] = p ? softplus((double)p[k]) : 1;
    pha__free(p);
    normalise(got.raw, got.n);
    for (int k = 0; k < got.n; k++) {
        double rms = 1;
        if (mix->in[PHA__MIX_GAIN + k]) TRY(rms_of(&rms, mix->in[PHA__MIX_GAIN + k], store));
        got.scaled[k] = got.raw[k] * rms;
        name_branch(got.branch[k], sizeof got.branch[k], mix->in[PHA__MIX_BRANCH + k]->path);
    }
    normalise(got.scaled, got.n);
    *row = (pha__mix_row){.layer = got.layer, .n = 0};
    for (int rank = 0; rank < 3; rank++)
        for (int k = 0; k < got.n; k++) {
            if (rank_of(got.branch[k]) != rank) continue;
            int at = row->n++;
            memcpy(row->branch[at], got.branch[k], sizeof got.branch[k]);
            row->raw[at] = got.raw[k], row->scaled[at] = got.scaled[k];
        }
    return PHA_OK;
}

static bool is_mix(const pha__node *v) { return v->op == &pha__op_mix && ((const pha__mix_attr *)v->attr)->n > 1; }

pha_status pha__mixing_rows(pha__mix_row **rows, int *n, const pha__program *names, const pha__store *store)
{
    *n = 0;
    *rows = pha__alloc_zero((size_t)names->n_nodes + 1, sizeof **rows);
    pha_status status = *rows ? PHA_OK : PHA_NO_MEMORY;
    for (int i = 0; i < names->n_nodes && !status; i++)
        if (is_mix(names->nodes[i])) status = fill_row(&(*rows)[(*n)++], names->nodes[i], store);
    if (status) pha__free(*rows), *rows = NULL;
    return status;
}

static pha_status check_finite(const pha__subject *s, const pha__mix_row *rows, int n)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < rows[i].n; k++)
            if (!isfinite(rows[i].raw[k]) || !isfinite(rows[i].scaled[k]))
                FAIL(NUMERIC, "%s: layer %d: the mixing weights or the gains are not finite; the weights are damaged",
                     s->path, rows[i].layer);
    return PHA_OK;
}

#define WIDTH 720

/* ---- showing ------------------------------------------------------------------------------------------ */

static const char *title_of(const char *branch)
{
    return !strcmp(branch, "gss")    ? "GSS"
           : !strcmp(branch, "attn") ? "attention"
           : !strcmp(branch, "aux")  ? "FFN"
                                     : branch;
}

static pha__mix_row mean_of(const pha__mix_row *rows, int n)
{
    pha__mix_row mean = rows[0];
    for (int k = 0; k < mean.n; k++) {
        mean.raw[k] = mean.scaled[k] = 0;
        for (int i = 0; i < n; i++) mean.raw[k] += rows[i].raw[k] / n, mean.scaled[k] += rows[i].scaled[k] / n;
    }
    return mean;
}

static void text_row(pha__str *out, const char *label, const pha__mix_row *row)
{
    pha__str_printf(out, "%-6s", label);
    for (int k = 0; k < row->n; k++) pha__str_printf(out, " %9.1f", 100 * row->raw[k]);
    pha__str_puts(out, "   |");
    for (int k = 0; k < row->n; k++) pha__str_printf(out, " %9.1f", 100 * row->scaled[k]);
    pha__str_puts(out, "\n");
}

static const char *mode_of(const pha__subject *s)
{
    return s->config.mix == PHA__MIX_UNIFORM   ? "uniform"
           : s->config.mix == PHA__MIX_DYNAMIC ? "dynamic"
                                               : "learned";
}

static void as_text(pha__str *out, const pha__subject *s, const pha__mix_row *rows, int n)
{
    pha__str_printf(out, "Mixing weights of %s in percent (%s)%s\n", s->path, mode_of(s),
                    s->model ? "" : "; a configuration only: values before training");
    if (s->config.mix == PHA__MIX_DYNAMIC)
        pha__str_puts(out, "Dynamic weights differ by token; these are those of a token whose own part is zero.\n");
    pha__str_printf(out, "%-6s", "layer");
    for (int side = 0; side < 2; side++) {
        for (int k = 0; k < rows[0].n; k++) pha__str_printf(out, " %9s", title_of(rows[0].branch[k]));
        pha__str_puts(out, side ? "\n" : "   |");
    }
    for (int i = 0; i < n; i++) {
        char label[16];
        snprintf(label, sizeof label, "L%d", rows[i].layer);
        text_row(out, label, &rows[i]);
    }
    pha__mix_row mean = mean_of(rows, n);
    text_row(out, "mean", &mean);
    pha__str_puts(out, "left: w = softplus(p) / sum; right: w rms(gain) / sum\n");
}

static json_t *row_json(const pha__mix_row *row, bool with_layer)
{
    json_t *o = json_object(), *raw = json_object(), *scaled = json_object();
    if (with_layer) json_object_set_new(o, "layer", json_integer(row->layer));
    for (int k = 0; k < row->n; k++) {
        json_object_set_new(raw, row->branch[k], json_real(row->raw[k]));
        json_object_set_new(scaled, row->branch[k], json_real(row->scaled[k]));
    }
    json_object_set_new(o, "raw", raw);
    json_object_set_new(o, "scaled", scaled);
    return o;
}

static json_t *as_json(const pha__subject *s, const pha__mix_row *rows, int n)
{
    json_t *layers = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(layers, row_json(&rows[i], true));
    pha__mix_row mean = mean_of(rows, n);
    return json_pack("{s:s,s:s,s:b,s:o,s:o}", "model", s->path, "mix", mode_of(s), "trained", s->model != NULL,
                     "layers", layers, "mean", row_json(&mean, false));
}

/* One figure of shares; side 0: raw, 1: scaled. Adds its height to *below. */
static pha_status draw(pha__str *out, const pha__mix_row *rows, int n, int side, int *below)
{
    int parts = rows[0].n;
    double *values = pha__alloc((size_t)n * (size_t)parts, sizeof *values);
    if (!values) return PHA_NO_MEMORY;
    const char *names[PHA__MIX_ROW];
    for (int k = 0; k < parts; k++) names[k] = title_of(rows[0].branch[k]);
    for (int i = 0; i < n; i++)
        memcpy(values + (size_t)i * (size_t)parts, side ? rows[i].scaled : rows[i].raw, (size_t)parts * sizeof *values);
    pha__svg_bars bars = {.title = side ? "Mixing weights times rms of the gains" : "Mixing weights",
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
static pha_status write_svg(const char *path, const pha__mix_row *rows, int n)
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
    pha__mix_row *rows;
    int n;
    TRY(pha__mixing_rows(&rows, &n, s->names, s->model ? s->model->store : NULL));
    pha_status status = check_finite(s, rows, n);
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
