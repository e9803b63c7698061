/* show.c -- the cells as a table, and as a heat map: a row for each model, width and depth, a column for each length
 * and number of things, the best of the learning rates in each place */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/print.h"
#include "runtime/lab/lab.h"
#include "runtime/look/svg.h"

enum { LABEL = 80 };

/* A configuration without its folders and without .json; a model folder as it was named. */
static void name_of(char text[LABEL], const pha__lab_cell *cell)
{
    const char *slash = cell->trained ? NULL : strrchr(cell->model, '/'), *name = slash ? slash + 1 : cell->model;
    size_t n = strlen(name);
    if (!cell->trained && n > 5 && !strcmp(name + n - 5, ".json")) n -= 5;
    char plain[LABEL];
    pha__print(plain, sizeof plain, "%.*s", (int)(n < LABEL - 1 ? n : LABEL - 1), name);
    pha__print_visible(text, LABEL, plain);
}

static double share(const json_t *of, const char *key)
{
    const json_t *x = json_object_get(of, key);
    return json_is_number(x) ? json_number_value(x) : NAN;
}

/* ---- the table ------------------------------------------------------------------------------------------- */

static void percent(char text[16], double x)
{
    if (isnan(x)) pha__print(text, 16, "-");
    else pha__print(text, 16, "%.2f %%", 100 * x);
}

static void line(pha__str *out, const pha__lab *l, const pha__lab_cell *cell, const json_t *score, int width)
{
    char name[LABEL], accuracy[16], whole[16], loss[16] = "-";
    const json_t *depth = json_object_get(score, "depth");
    name_of(name, cell);
    percent(accuracy, share(score, "accuracy"));
    percent(whole, share(score, "whole"));
    if (!isnan(share(score, "loss"))) pha__print(loss, sizeof loss, "%.4f", share(score, "loss"));
    pha__str_printf(out, "%-*s %6d %7d %6d", width, name, cell->config.d_model, cell->s.T, cell->s.n);
    if (!l->o.test_only) pha__str_printf(out, " %9.3g", cell->lr);
    if (l->o.n_depths && depth) pha__str_printf(out, " %5lld %%", (long long)json_integer_value(depth));
    else if (l->o.n_depths) pha__str_printf(out, " %7s", "all");
    pha__str_printf(out, " %9s %9s %9s\n", accuracy, whole, loss);
}

static void head(pha__str *out, const pha__lab *l, int width)
{
    const pha_lab_options *o = &l->o;
    pha__str_printf(out, "%s, vocabulary %d", l->row->name, l->cells[0].s.V);
    if (l->row->has_chains) pha__str_printf(out, ", chains %d", l->cells[0].s.chains);
    if (!o->test_only)
        pha__str_printf(out, ", layers %d, %lld steps of %d", o->layers, (long long)o->steps, o->batch);
    pha__str_printf(out, ", %lld tests%s, seed %llu\n", (long long)o->tests, o->n_depths ? " at each depth" : "",
                    (unsigned long long)o->seed);
    pha__str_printf(out, "%-*s %6s %7s %6s", width, "model", "width", "length", "pairs");
    if (!o->test_only) pha__str_printf(out, " %9s", "lr");
    if (o->n_depths) pha__str_printf(out, " %7s", "depth");
    pha__str_printf(out, " %9s %9s %9s\n", "accuracy", "whole", "loss");
}

void pha__lab_table(pha__str *out, const pha__lab *l)
{
    int width = 5;
    for (size_t i = 0; i < l->n_cells; i++) {
        char name[LABEL];
        name_of(name, &l->cells[i]);
        int n = (int)strlen(name);
        width = n > width ? n : width;
    }
    head(out, l, width);
    for (size_t i = 0; i < l->n_cells; i++) {
        const pha__lab_cell *cell = &l->cells[i];
        const json_t *depths = json_object_get(cell->result, "depths");
        for (size_t k = 0; k < json_array_size(depths); k++) line(out, l, cell, json_array_get(depths, k), width);
        if (cell->result) line(out, l, cell, cell->result, width);
    }
}

/* ---- the figure ------------------------------------------------------------------------------------------ */

typedef struct grid {
    const pha__lab *l;
    char (*rows)[LABEL + 40], (*columns)[48];
    const char **row_names, **column_names;
    size_t n_rows, n_columns;
    double *values; /* NaN: not known */
} grid;

static size_t place(char *names, size_t size, size_t *n, const char *name)
{
    for (size_t i = 0; i < *n; i++)
        if (!strcmp(names + i * size, name)) return i;
    pha__print(names + *n * size, size, "%s", name);
    return (*n)++;
}

/* Where a score stands; what is the same in all cells is named nonetheless, for a figure is looked at alone. */
static void put(grid *g, const pha__lab_cell *cell, const json_t *score, size_t most_columns, bool measure)
{
    char name[LABEL], row[LABEL + 40], column[48];
    const json_t *depth = json_object_get(score, "depth");
    name_of(name, cell);
    pha__print(row, sizeof row, "%s, D %d", name, cell->config.d_model);
    size_t end = strlen(row);
    if (depth) pha__print(row + end, sizeof row - end, ", %lld %%", (long long)json_integer_value(depth));
    pha__print(column, sizeof column, "T %d, n %d", cell->s.T, cell->s.n);
    size_t r = place(g->rows[0], sizeof g->rows[0], &g->n_rows, row);
    size_t c = place(g->columns[0], sizeof g->columns[0], &g->n_columns, column);
    double x = share(score, "accuracy"), *at = &g->values[measure ? 0 : r * most_columns + c];
    if (!measure && (isnan(*at) || x > *at)) *at = x;
}

static void put_all(grid *g, size_t columns, bool measure)
{
    for (size_t i = 0; i < g->l->n_cells; i++) {
        const pha__lab_cell *cell = &g->l->cells[i];
        const json_t *depths = json_object_get(cell->result, "depths");
        for (size_t k = 0; k < json_array_size(depths); k++) put(g, cell, json_array_get(depths, k), columns, measure);
        if (cell->result && !depths) put(g, cell, cell->result, columns, measure);
    }
}

static bool open_grid(grid *g, size_t most)
{
    g->rows = pha__alloc_zero(most, sizeof *g->rows);
    g->columns = pha__alloc_zero(most, sizeof *g->columns);
    g->row_names = pha__alloc(most, sizeof *g->row_names);
    g->column_names = pha__alloc(most, sizeof *g->column_names);
    g->values = pha__alloc(1, sizeof *g->values);
    if (!g->rows || !g->columns || !g->row_names || !g->column_names || !g->values) return false;
    put_all(g, 0, true); /* how many there are */
    pha__free(g->values);
    g->values = pha__alloc(g->n_rows ? g->n_rows * g->n_columns : 1, sizeof *g->values);
    if (!g->values) return false;
    for (size_t i = 0; i < g->n_rows * g->n_columns; i++) g->values[i] = NAN;
    put_all(g, g->n_columns, false);
    for (size_t i = 0; i < g->n_rows; i++) g->row_names[i] = g->rows[i];
    for (size_t i = 0; i < g->n_columns; i++) g->column_names[i] = g->columns[i];
    return true;
}

static void close_grid(grid *g)
{
    pha__free(g->rows);
    pha__free(g->columns);
    pha__free(g->row_names);
    pha__free(g->column_names);
    pha__free(g->values);
}

void pha__lab_figure(pha__str *out, const pha__lab *l)
{
    grid g = {.l = l};
    size_t most = l->n_cells * (l->o.n_depths ? l->o.n_depths : 1);
    char title[80];
    pha__print(title, sizeof title, "%s: accuracy", l->row->name);
    bool made = open_grid(&g, most);
    if (!made) out->failed = 1;
    if (made && g.n_rows) {
        pha__svg_heat map = {.title = title, .rows = g.row_names, .columns = g.column_names, .n_rows = g.n_rows,
                             .n_columns = g.n_columns, .values = g.values, .standalone = true};
        pha__svg_heat_map(out, &map);
    }
    close_grid(&g);
}
