/* report_log.c -- reads log.jsonl */
#include "runtime/look/report_log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/print.h"
#include "nn/shown.h"

static const struct { const char *event, *key; } columns[] = {
#define X(name, event, key) {event, key},
    PHA__REPORT_SERIES(X)
#undef X
};

static pha_status add(pha__points *p, double x, const json_t *value)
{
    if (!json_is_number(value)) return PHA_OK;
    while (p->n && p->x[p->n - 1] >= x) p->n--; /* the run went on from an earlier checkpoint */
    if (p->n == p->capacity) {
        size_t capacity = p->capacity ? 2 * p->capacity : 64;
        double *xs = pha__realloc(p->x, capacity, sizeof *xs);
        if (!xs) return PHA_NO_MEMORY;
        p->x = xs;
        double *ys = pha__realloc(p->y, capacity, sizeof *ys);
        if (!ys) return PHA_NO_MEMORY;
        p->y = ys;
        p->capacity = capacity;
    }
    p->x[p->n] = x;
    p->y[p->n++] = json_number_value(value);
    return PHA_OK;
}

pha__points *pha__report_points(const pha__report_watch *w, size_t layer, int label)
{
    return &w->points[layer * PHA__REPORT_LABELS + (size_t)label];
}

double pha__points_last(const pha__points *p) { return p->n ? p->y[p->n - 1] : NAN; }

static void each_layer(pha__report_log *log, void (*fn)(pha__points *, double), double x)
{
    for (int w = 0; w < log->n_watches; w++)
        for (size_t i = 0; i < log->n_layers; i++)
            for (int k = 0; k < log->watch[w].n_labels; k++) fn(pha__report_points(&log->watch[w], i, k), x);
}

static void drop_from(pha__points *p, double x)
{
    while (p->n && p->x[p->n - 1] >= x) p->n--;
}

static void release(pha__points *p, double x)
{
    (void)x;
    pha__free(p->x);
    pha__free(p->y);
    memset(p, 0, sizeof *p);
}

/* ---- what layers show ---- */

static const pha__watch_row *row_of(const char *name)
{
    for (int i = 0; i < PHA__SHOWN; i++)
        if (!strcmp(pha__shown[i].name, name)) return &pha__shown[i];
    return NULL;
}

/* NULL in *out: not drawn. */
static pha_status watch_of(pha__report_log *log, const char *name, pha__report_watch **out)
{
    const pha__watch_row *row = row_of(name);
    *out = NULL;
    for (int i = 0; i < log->n_watches; i++)
        if (!strcmp(log->watch[i].name, name)) return *out = &log->watch[i], PHA_OK;
    if ((row && !row->figures) || log->n_watches == PHA__REPORT_NAMES || strlen(name) >= sizeof log->watch->name)
        return PHA_OK;
    pha__report_watch *w = &log->watch[log->n_watches];
    *w = (pha__report_watch){.row = row};
    strcpy(w->name, name);
    w->points = pha__alloc_zero((size_t)PHA__REPORT_LAYERS * PHA__REPORT_LABELS, sizeof *w->points);
    if (!w->points) return PHA_NO_MEMORY;
    for (const pha__label *l = row ? row->labels : NULL; l && l->key; l++) strcpy(w->label[w->n_known++], l->key);
    w->n_labels = w->n_known;
    log->n_watches++;
    *out = w;
    return PHA_OK;
}

static pha_status add_number(pha__report_watch *w, size_t layer, double step, const char *label, const json_t *value)
{
    int k = 0;
    if (!json_is_number(value)) return PHA_OK;
    while (k < w->n_labels && strcmp(w->label[k], label)) k++;
    if (k == PHA__REPORT_LABELS || strlen(label) >= sizeof w->label[0]) return PHA_OK;
    if (k == w->n_labels) strcpy(w->label[w->n_labels++], label);
    w->known |= k < w->n_known;
    return add(pha__report_points(w, layer, k), step, value);
}

static pha_status add_shown(pha__report_log *log, size_t layer, double step, const char *name, const json_t *value)
{
    pha__report_watch *w;
    const char *label;
    json_t *item;
    size_t i;
    TRY(watch_of(log, name, &w));
    if (!w) return PHA_OK;
    json_object_foreach((json_t *)(uintptr_t)value, label, item) TRY(add_number(w, layer, step, label, item));
    json_array_foreach(value, i, item)
    {
        char index[24];
        pha__print(index, sizeof index, "%zu", i);
        TRY(add_number(w, layer, step, index, item));
    }
    return add_number(w, layer, step, "", value);
}

static pha_status add_detail(pha__report_log *log, double step, const json_t *line)
{
    const json_t *layers = json_object_get(line, "layers");
    const char *name;
    json_t *value;
    size_t n = json_array_size(layers);
    if (n > PHA__REPORT_LAYERS) n = PHA__REPORT_LAYERS;
    if (n > log->n_layers) log->n_layers = n;
    for (size_t i = 0; i < n; i++)
        json_object_foreach(json_array_get(layers, i), name, value) TRY(add_shown(log, i, step, name, value));
    return PHA_OK;
}

static pha_status add_line(pha__report_log *log, json_t *line)
{
    const char *event = json_string_value(json_object_get(line, "event"));
    const json_t *at = json_object_get(line, "step");
    double step = json_is_number(at) ? json_number_value(at) : log->last_step;
    if (!event) return PHA_OK;
    if (strcmp(event, "step") == 0) {
        if (step <= log->last_step) {
            for (int i = 0; i < PHA__REPORT_N_SERIES; i++) drop_from(&log->series[i], step);
            each_layer(log, drop_from, step);
        }
        log->last_step = step;
        const json_t *tokens = json_object_get(line, "tokens");
        if (json_is_number(tokens)) log->last_tokens = json_number_value(tokens);
    }
    for (int i = 0; i < PHA__REPORT_N_SERIES; i++)
        if (strcmp(event, columns[i].event) == 0)
            TRY(add(&log->series[i], step, json_object_get(line, columns[i].key)));
    if (strcmp(event, "detail") == 0) return add_detail(log, step, line);
    if (strcmp(event, "skip") == 0) log->skips++;
    if (strcmp(event, "sample") == 0) pha__json_add(&log->samples, json_incref(line));
    if (!log->samples) FAIL(NO_MEMORY, "no memory for the samples of a run");
    if (strcmp(event, "end") == 0) {
        json_decref(log->end);
        log->end = json_incref(line);
    }
    return PHA_OK;
}

static pha_status read_line(pha__report_log *log, const char *text, size_t size)
{
    json_t *line;
    json_error_t error;
    pha_status status = pha__json_parse_line(&line, text, size, 0, &error);
    if (status == PHA_NO_MEMORY) return status;
    status = PHA_OK;
    log->lines++;
    if (json_is_object(line)) status = add_line(log, line);
    else log->bad_lines++;
    json_decref(line);
    return status;
}

static pha_status read_lines(pha__report_log *log, const char *text, size_t size)
{
    for (const char *end = text + size; text < end;) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((newline ? newline : end) - text);
        if (n) TRY(read_line(log, text, n));
        text += n + 1;
    }
    return PHA_OK;
}

pha_status pha__report_log_read(pha__report_log *log, const char *path)
{
    pha__map map = {0};
    memset(log, 0, sizeof *log);
    log->samples = pha__json_list();
    if (!log->samples) FAIL(NO_MEMORY, "%s: no memory for the log", path);
    if (!pha__exists(path)) return PHA_OK;
    pha_status status = pha__map_open(&map, path);
    if (!status) status = read_lines(log, (const char *)map.data, map.size);
    pha__map_close(&map);
    if (status) pha__report_log_free(log);
    return status;
}

void pha__report_log_free(pha__report_log *log)
{
    for (int i = 0; i < PHA__REPORT_N_SERIES; i++) release(&log->series[i], 0);
    each_layer(log, release, 0);
    for (int i = 0; i < log->n_watches; i++) pha__free(log->watch[i].points);
    json_decref(log->samples);
    json_decref(log->end);
    memset(log, 0, sizeof *log);
}
