/* svg_heat.c -- a table of shares as shades of one colour, each with its number */
#include <math.h>
#include <string.h>

#include "runtime/look/svg.h"

enum { TOP = 34, CELL_HEIGHT = 26, CHARACTER = 7, LEAST_WIDTH = 64, EDGE = 12 };

static int longest(const char *const *names, size_t n)
{
    size_t most = 0;
    for (size_t i = 0; i < n; i++) most = strlen(names[i]) > most ? strlen(names[i]) : most;
    return most < 200 ? (int)most : 200;
}

static void label(pha__str *out, double x, double y, const char *anchor, const char *text)
{
    pha__str_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    pha__xml_escape(out, text, strlen(text));
    pha__str_puts(out, "</text>\n");
}

/* The number is light on dark shades. */
static void cell(pha__str *out, double x, double y, int width, double value)
{
    bool known = isfinite(value);
    double shade = !known ? 0 : value < 0 ? 0 : value > 1 ? 1 : value;
    pha__str_printf(out,
                    "<rect class=\"f1\" fill-opacity=\"%.3f\" x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%d\"/>"
                    "<rect class=\"grid\" x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%d\"/>",
                    shade, x, y, width, CELL_HEIGHT, x, y, width, CELL_HEIGHT);
    if (!known) return;
    pha__str_printf(out, "<text%s x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.1f %%</text>\n",
                    shade > 0.5 ? " class=\"value\"" : "", x + width / 2.0, y + CELL_HEIGHT / 2.0 + 4, 100 * value);
}

void pha__svg_heat_map(pha__str *out, const pha__svg_heat *m)
{
    int left = EDGE + 8 + CHARACTER * longest(m->rows, m->n_rows);
    int wide = 12 + CHARACTER * longest(m->columns, m->n_columns);
    if (wide < LEAST_WIDTH) wide = LEAST_WIDTH;
    int height = TOP + CELL_HEIGHT * ((int)m->n_rows + 1) + EDGE, width = left + wide * (int)m->n_columns + EDGE;
    int titled = 2 * EDGE + 8 * (int)(m->title ? strlen(m->title) : 0);
    pha__svg_open(out, m->title, width > titled ? width : titled, height, m->standalone);
    for (size_t c = 0; c < m->n_columns; c++)
        label(out, left + wide * ((double)c + 0.5), TOP + CELL_HEIGHT - 8, "middle", m->columns[c]);
    for (size_t r = 0; r < m->n_rows; r++) {
        double y = TOP + CELL_HEIGHT * (double)(r + 1);
        label(out, left - 8, y + CELL_HEIGHT / 2.0 + 4, "end", m->rows[r]);
        for (size_t c = 0; c < m->n_columns; c++)
            cell(out, left + wide * (double)c, y, wide, m->values[r * m->n_columns + c]);
    }
    pha__str_puts(out, "</svg>\n");
}
