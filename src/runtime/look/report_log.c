/* report_log.c -- reads log.jsonl */
#include "runtime/look/report_log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"

static const struct { const char *event, *key; } columns[] = {
#define X(name, event, key) {event, key},
    PHA__REPORT_SERIES(X)
#undef X
};
static const char *const mix_keys[] = {"gss", "attn", "aux"};
static const char *const horizon_keys[] = {"p10", "p50", "p90"};

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

static void each_layer(pha__report_log *log, void (*fn)(pha__points *, double), double x)
{
    for (size_t i = 0; i < log->n_layers; i++) {
        for (int k = 0; k < PHA__N_MIX; k++) fn(&log->layers[i].mix[k], x), fn(&log->layers[i].mix_scaled[k], x);
        for (int k = 0; k < PHA__N_HORIZON; k++) fn(&log->layers[i].horizon[k], x);
    }
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

static pha_status add_layer(pha__report_layer *l, double step, const json_t *object)
{
    for (int k = 0; k < PHA__N_MIX; k++) {
        TRY(add(&l->mix[k], step, json_object_get(json_object_get(object, "mix"), mix_keys[k])));
        TRY(add(&l->mix_scaled[k], step, json_object_get(json_object_get(object, "mix_scaled"), mix_keys[k])));
    }
    for (int k = 0; k < PHA__N_HORIZON; k++)
        TRY(add(&l->horizon[k], step, json_object_get(json_object_get(object, "horizon"), horizon_keys[k])));
    return PHA_OK;
}

static pha_status add_detail(pha__report_log *log, double step, const json_t *line)
{
    const json_t *layers = json_object_get(line, "layers");
    size_t n = json_array_size(layers);
    if (n > PHA__REPORT_LAYERS) n = PHA__REPORT_LAYERS;
    if (n && !log->layers && !(log->layers = pha__alloc_zero(PHA__REPORT_LAYERS, sizeof *log->layers)))
        return PHA_NO_MEMORY;
    if (n > log->n_layers) log->n_layers = n;
    for (size_t i = 0; i < n; i++) TRY(add_layer(&log->layers[i], step, json_array_get(layers, i)));
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
    if (strcmp(event, "sample") == 0 && json_array_append(log->samples, line) != 0) return PHA_NO_MEMORY;
    if (strcmp(event, "end") == 0) {
        json_decref(log->end);
        log->end = json_incref(line);
    }
    return PHA_OK;
}

static pha_status read_lines(pha__report_log *log, const char *text, size_t size)
{
    for (const char *end = text + size; text < end;) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((newline ? newline : end) - text);
        json_t *line = n ? json_loadb(text, n, 0, NULL) : NULL;
        pha_status status = PHA_OK;
        if (n) log->lines++;
        if (json_is_object(line)) status = add_line(log, line);
        else if (n) log->bad_lines++;
        json_decref(line);
        if (status) return status;
        text += n + 1;
    }
    return PHA_OK;
}

pha_status pha__report_log_read(pha__report_log *log, const char *path)
{
    pha__map map = {0};
    memset(log, 0, sizeof *log);
    log->samples = json_array();
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
    pha__free(log->layers);
    json_decref(log->samples);
    json_decref(log->end);
    memset(log, 0, sizeof *log);
}
