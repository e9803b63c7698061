/* svg.c -- line charts and stacked bars as SVG */
#include "runtime/look/svg.h"

#include <math.h>
#include <string.h>

#include "base/print.h"
#include "base/utf8.h"

#define LEFT 64
#define RIGHT 16
#define TOP 34
#define BOTTOM 44

void pha__svg_style(pha__str *out)
{
    pha__str_puts(
        out, ".pha{--ink:#1d2430;--soft:#667085;--grid:#e4e7ec;--paper:#fff;--c1:#0072b2;--c2:#d55e00;--c3:#009e73;"
             "--c4:#cc79a7;--c5:#e69f00;--c6:#56b4e9;--c7:#7f7f7f;--value:#fff;font:12px "
             "system-ui,sans-serif;max-width:100%;height:auto}\n"
             "@media(prefers-color-scheme:dark){.pha{--ink:#e6e9ef;--soft:#98a2b3;--grid:#344054;--paper:#14181f;--c1:#"
             "56a9e0;"
             "--c2:#f58a4b;--c3:#3cc79b;--c4:#e3a0c6;--c5:#f2bd4b;--c6:#8fd0f5;--c7:#aaa;--value:#111}}\n"
             ".pha .paper{fill:var(--paper)}.pha text{fill:var(--soft)}.pha "
             ".title{fill:var(--ink);font-weight:600;font-size:14px}\n"
             ".pha .grid{stroke:var(--grid);stroke-width:1;fill:none}.pha "
             ".line{fill:none;stroke-width:1.8;stroke-linejoin:round}\n"
             ".pha .faint{opacity:.32;stroke-width:1}.pha .dash{stroke-dasharray:5 3}.pha "
             ".value{fill:var(--value);font-size:11px}\n");
    for (int i = 1; i <= 7; i++)
        pha__str_printf(out, ".pha .s%d{stroke:var(--c%d)}.pha .f%d{fill:var(--c%d)}\n", i, i, i, i);
}

void pha__xml_escape(pha__str *out, const char *text, size_t size)
{
    const unsigned char *s = (const unsigned char *)text;
    for (size_t i = 0; i < size;) {
        int32_t code;
        int n = pha__utf8_decode(s + i, size - i, &code);
        bool bad =
            code < 0 || (code < 32 && code != '\n' && code != '\t' && code != '\r') || code == 0xfffe || code == 0xffff;
        if (bad) pha__str_puts(out, "\xef\xbf\xbd");
        else if (code == '&') pha__str_puts(out, "&amp;");
        else if (code == '<') pha__str_puts(out, "&lt;");
        else if (code == '>') pha__str_puts(out, "&gt;");
        else if (code == '"') pha__str_puts(out, "&quot;");
        else if (code == '\'') pha__str_puts(out, "&#39;");
        else pha__str_add(out, text + i, (size_t)n);
        i += (size_t)n;
    }
}

static void escaped(pha__str *out, const char *text)
{
    pha__xml_escape(out, text, strlen(text));
}

void pha__svg_open(pha__str *out, const char *title, int width, int height, bool standalone)
{
    pha__str_printf(out, "<svg class=\"pha\" xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 %d %d\" "
                         "width=\"%d\" height=\"%d\">", width, height, width, height);
    if (standalone) {
        pha__str_puts(out, "<style>");
        pha__svg_style(out);
        pha__str_puts(out, "</style>");
    }
    pha__str_puts(out, "<title>");
    escaped(out, title ? title : "figure");
    pha__str_printf(out, "</title>\n<rect class=\"paper\" width=\"%d\" height=\"%d\"/>\n", width, height);
    if (title) {
        pha__str_printf(out, "<text class=\"title\" x=\"%d\" y=\"20\">", 12);
        escaped(out, title);
        pha__str_puts(out, "</text>\n");
    }
}

/* ---- axes ----------------------------------------------------------------------------------------------- */

typedef struct axis {
    bool log;
    double low, high; /* of the data, log10 taken when log */
    double at, length; /* pixel of low; length may be negative (upwards) */
} axis;

/* Beyond MOST differences are not finite. */
static bool usable(const axis *a, double v)
{
    static const double MOST = 1e300;
    return fabs(v) <= MOST && (!a->log || v > 0);
}

static double place(const axis *a, double v)
{
    return a->at + a->length * ((a->log ? log10(v) : v) - a->low) / (a->high - a->low);
}

static void fit(axis *a, const pha__svg_chart *c, bool is_x)
{
    a->low = INFINITY, a->high = -INFINITY;
    for (size_t i = 0; i < c->n_series; i++)
        for (size_t k = 0; k < c->series[i].n; k++) {
            double v = is_x ? c->series[i].x[k] : c->series[i].y[k];
            if (!usable(a, v)) continue;
            v = a->log ? log10(v) : v;
            a->low = fmin(a->low, v), a->high = fmax(a->high, v);
        }
    if (!(a->low <= a->high)) a->low = 0, a->high = 1;
    double least = a->log ? 0.1 : 1e-9 * fmax(1e-6, fabs(a->high));
    double pad = a->high - a->low < least ? fmax(least, a->log ? 0.1 : 0.05 * fabs(a->high))
                 : is_x ? 0
                                          : 0.04 * (a->high - a->low);
    if (pad == 0 && a->high == a->low) pad = 1;
    a->low -= pad, a->high += pad;
}

/* A round distance between about n ticks: 1, 2 or 5 times a power of ten. */
static double round_step(double range, int n)
{
    double raw = range / n, power = pow(10, floor(log10(raw))), lead = raw / power;
    return power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
}

static void number(char *text, size_t size, double v, double step)
{
    static const struct { double scale; const char *unit; } units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
    if (fabs(v) < step * 1e-6) v = 0;
    for (int i = 0; i < 4; i++)
        if (fabs(v) >= 10 * units[i].scale || (fabs(v) >= units[i].scale && step >= units[i].scale / 10)) {
            pha__print(text, size, "%.4g%s", v / units[i].scale, units[i].unit);
            return;
        }
    pha__print(text, size, "%.6g", v);
}

static void tick(pha__str *out, const axis *x, const axis *y, bool is_x, double v, double step)
{
    char text[40];
    double bottom = y->at, top = y->at + y->length, left = x->at, right = x->at + x->length;
    number(text, sizeof text, v, step);
    if (is_x) {
        double p = place(x, v);
        pha__str_printf(out,
                        "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/><text x=\"%.1f\" y=\"%.1f\" "
                        "text-anchor=\"middle\">%s</text>\n",
                        p, bottom, top, p, bottom + 16, text);
    } else {
        double p = place(y, v);
        pha__str_printf(
            out,
            "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
            left, p, right, left - 6, p + 4, text);
    }
}

static void draw_axis(pha__str *out, const axis *x, const axis *y, bool is_x)
{
    const axis *a = is_x ? x : y;
    if (!a->log) {
        double step = round_step(a->high - a->low, is_x ? 7 : 5);
        double first = ceil(a->low / step - 1e-9) * step;
        for (int i = 0; i < 50 && first + i * step <= a->high + 1e-9 * step; i++)
            tick(out, x, y, is_x, first + i * step, step);
        return;
    }
    bool dense = a->high - a->low < 2.5; /* 1, 2, 5 within each decade, else only 1 */
    int stride = a->high - a->low > 10 ? (int)ceil((a->high - a->low) / 8) : 1;
    for (int e = (int)floor(a->low); e <= (int)ceil(a->high); e += stride)
        for (int m = 1; m <= (dense ? 5 : 1); m += m == 2 ? 3 : 1) {
            double v = m * pow(10, e);
            if (log10(v) >= a->low - 1e-9 && log10(v) <= a->high + 1e-9) tick(out, x, y, is_x, v, 0);
        }
}

/* ---- lines ---------------------------------------------------------------------------------------------- */

/* Long series are thinned to each pixel column's first, lowest, highest and last point: no peak is lost. */
static void draw_path(pha__str *out, const pha__svg_series *s, const axis *x, const axis *y, int colour, bool dash)
{
    bool pen = false;
    pha__str_printf(out, "<path class=\"line s%d%s%s\" d=\"", colour, s->faint ? " faint" : "", dash ? " dash" : "");
    bool thin = s->n > 1500;
    for (size_t i = 0; i < s->n;) {
        if (!usable(x, s->x[i]) || !usable(y, s->y[i])) {
            pen = false, i++;
            continue;
        }
        double px = place(x, s->x[i]), low = s->y[i], high = low, last = low;
        size_t k = i + 1;
        for (; thin && k < s->n && usable(x, s->x[k]) && usable(y, s->y[k]) && fabs(place(x, s->x[k]) - px) < 0.75; k++)
            low = fmin(low, s->y[k]), high = fmax(high, s->y[k]), last = s->y[k];
        pha__str_printf(out, "%c%.1f %.1f", pen ? 'L' : 'M', px, place(y, s->y[i]));
        if (high > low) pha__str_printf(out, "V%.1fV%.1fV%.1f", place(y, low), place(y, high), place(y, last));
        pen = true, i = k;
    }
    pha__str_puts(out, "\"/>\n");
    for (size_t i = 0; (s->marks || s->n == 1) && i < s->n && s->n < 400; i++)
        if (usable(x, s->x[i]) && usable(y, s->y[i]))
            pha__str_printf(out, "<circle class=\"f%d\" r=\"2.6\" cx=\"%.1f\" cy=\"%.1f\"/>", colour, place(x, s->x[i]),
                            place(y, s->y[i]));
}

static int colour_of(const pha__svg_series *s, size_t i)
{
    return s->colour ? s->colour : (int)(i % 7) + 1;
}

/* The palette's second round is dashed. */
static bool dashed(const pha__svg_series *s, size_t i)
{
    return !s->colour && i % 14 >= 7;
}

static void draw_legend(pha__str *out, const pha__svg_chart *c, int width)
{
    double at = width - RIGHT;
    for (size_t i = c->n_series; i-- > 0;) { /* right to left, so that it ends at the right edge */
        const char *name = c->series[i].name;
        if (!name) continue;
        at -= 7.0 * (double)strlen(name);
        pha__str_printf(
            out, "<path class=\"line s%d%s\" style=\"stroke-width:4\" d=\"M%.1f 15h14\"/><text x=\"%.1f\" y=\"20\">",
            colour_of(&c->series[i], i), dashed(&c->series[i], i) ? " dash" : "", at - 19, at);
        escaped(out, name);
        pha__str_puts(out, "</text>\n");
        at -= 34;
    }
}

void pha__svg_lines(pha__str *out, const pha__svg_chart *c)
{
    int width = c->width ? c->width : 720, height = c->height ? c->height : 320;
    axis x = {.log = c->log_x, .at = LEFT, .length = width - LEFT - RIGHT};
    axis y = {.log = c->log_y, .at = height - BOTTOM, .length = -(height - TOP - BOTTOM)};
    fit(&x, c, true);
    fit(&y, c, false);
    pha__svg_open(out, c->title, width, height, c->standalone);
    draw_axis(out, &x, &y, true);
    draw_axis(out, &x, &y, false);
    if (c->x_label) {
        pha__str_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", x.at + x.length / 2, height - 8);
        escaped(out, c->x_label);
        pha__str_puts(out, "</text>\n");
    }
    if (c->y_label) {
        pha__str_printf(out, "<text transform=\"translate(14 %.1f) rotate(-90)\" text-anchor=\"middle\">",
                        y.at + y.length / 2);
        escaped(out, c->y_label);
        pha__str_puts(out, "</text>\n");
    }
    for (size_t i = 0; i < c->n_series; i++)
        draw_path(out, &c->series[i], &x, &y, colour_of(&c->series[i], i), dashed(&c->series[i], i));
    draw_legend(out, c, width);
    pha__str_puts(out, "</svg>\n");
}

/* ---- stacked bars --------------------------------------------------------------------------------------- */

static double share(double v)
{
    return isfinite(v) && v > 0 ? v : 0;
}

static void draw_row(pha__str *out, const pha__svg_bars *b, size_t row, double y, double length)
{
    const double *values = b->values + row * b->n_parts;
    double sum = 0, at = LEFT;
    for (size_t i = 0; i < b->n_parts; i++) sum += share(values[i]);
    pha__str_printf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 8, y + 14);
    if (b->row_label) escaped(out, b->row_label);
    pha__str_printf(out, " %zu</text>", row);
    for (size_t i = 0; i < b->n_parts && sum > 0; i++) {
        double w = share(values[i]) / sum;
        pha__str_printf(out, "<rect class=\"f%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"20\"/>",
                        (int)(i % 7) + 1, at, y, w * length);
        if (w > 0.07)
            pha__str_printf(out, "<text class=\"value\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.1f %%</text>",
                            at + w * length / 2, y + 14, 100 * w);
        at += w * length;
    }
    pha__str_puts(out, "\n");
}

void pha__svg_stacked(pha__str *out, const pha__svg_bars *b)
{
    int width = b->width ? b->width : 720, height = TOP + 10 + 24 * (int)b->n_rows + 12;
    pha__svg_series names[8] = {{0}};
    pha__svg_chart legend = {.series = names, .n_series = b->n_parts < 8 ? b->n_parts : 8};
    for (size_t i = 0; i < legend.n_series; i++) names[i].name = b->parts[i];
    pha__svg_open(out, b->title, width, height, b->standalone);
    draw_legend(out, &legend, width);
    for (size_t i = 0; i < b->n_rows; i++) draw_row(out, b, i, TOP + 6 + 24 * (double)i, width - LEFT - RIGHT);
    pha__str_puts(out, "</svg>\n");
}
