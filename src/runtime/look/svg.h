/* svg.h -- small figures: line charts, stacked bars and heat maps, written as SVG text
 *
 * Colours follow the reader's light or dark setting through CSS and are told apart by colour-blind readers (Okabe-Ito).
 * A figure inside HTML takes its rules from pha__svg_style, written once; a standalone file carries them itself.
 */
#ifndef PHA__SVG_H
#define PHA__SVG_H

#include <stdbool.h>

#include "base/str.h"

typedef struct pha__svg_series {
    const char *name;    /* NULL: not in the legend */
    const double *x, *y; /* points that are not finite leave a gap */
    size_t n;
    int colour;          /* 1..7 of the palette; 0: by position */
    bool faint, marks;   /* a pale thin line; a dot at each point */
} pha__svg_series;

typedef struct pha__svg_chart {
    const char *title, *x_label, *y_label;
    bool log_x, log_y;
    const pha__svg_series *series;
    size_t n_series;
    int width, height;   /* 0: 720 x 320 */
    bool standalone;
} pha__svg_chart;

void pha__svg_lines(pha__str *out, const pha__svg_chart *chart);

typedef struct pha__svg_bars {
    const char *title, *row_label;  /* "layer" */
    const char *const *parts;       /* names, n_parts */
    const double *values;           /* (rows, n_parts); each row is drawn as shares of its sum; negative counts as 0 */
    size_t n_rows, n_parts;
    int width;                      /* 0: 720 */
    bool standalone;
} pha__svg_bars;

void pha__svg_stacked(pha__str *out, const pha__svg_bars *bars);

/* A share in each place of a table, as a number and as a shade (svg_heat.c). */
typedef struct pha__svg_heat {
    const char *title;
    const char *const *rows, *const *columns; /* names */
    const double *values;                     /* (n_rows, n_columns), 0 to 1; what is not finite is left empty */
    size_t n_rows, n_columns;
    bool standalone;
} pha__svg_heat;

void pha__svg_heat_map(pha__str *out, const pha__svg_heat *map);

/* What every figure begins with: <svg>, its style if it stands alone, its paper and its title. */
void pha__svg_open(pha__str *out, const char *title, int width, int height, bool standalone);
void pha__svg_style(pha__str *out); /* CSS rules, without <style> */
/* Text with & < > " ' escaped; control characters that XML forbids become U+FFFD, as do bytes that are not UTF-8. */
void pha__xml_escape(pha__str *out, const char *text, size_t size);

#endif
