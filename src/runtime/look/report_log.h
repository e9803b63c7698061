/* report_log.h -- what report.html needs of a run's log.jsonl, as series over the steps */
#ifndef PHA__REPORT_LOG_H
#define PHA__REPORT_LOG_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"
#include "program/watch.h"

typedef struct pha__points {
    double *x, *y;
    size_t n, capacity;
} pha__points;

/* The series of a run: X(name, event, key). */
#define PHA__REPORT_SERIES(X)                     \
    X(LOSS,       "step", "loss")                 \
    X(LR,         "step", "lr")                   \
    X(GRADIENT,   "step", "gradient_norm")        \
    X(SPEED,      "step", "tokens_per_second")    \
    X(VALID_LOSS, "eval", "valid_loss")           \
    X(VALID_PPL,  "eval", "valid_ppl")            \
    X(ACCURACY,   "eval", "accuracy")

typedef enum pha__report_series {
#define X(name, event, key) PHA__REPORT_##name,
    PHA__REPORT_SERIES(X)
#undef X
    PHA__REPORT_N_SERIES
} pha__report_series;

#define PHA__REPORT_LAYERS 256 /* more are not drawn */
#define PHA__REPORT_NAMES 16
#define PHA__REPORT_LABELS 16

/* What the layers show under one name, over the steps. Slots of labels: the known ones of the row, then those found. */
typedef struct pha__report_watch {
    char name[40];
    const pha__watch_row *row; /* NULL: a name that this library doesn't know, drawn as it comes */
    char label[PHA__REPORT_LABELS][40]; /* "": a number alone */
    int n_known, n_labels;
    bool known;                /* some known label was found: all of them keep their place */
    pha__points *points;       /* (PHA__REPORT_LAYERS, PHA__REPORT_LABELS) */
} pha__report_watch;

/* Zero-initialise. */
typedef struct pha__report_log {
    pha__points series[PHA__REPORT_N_SERIES];
    pha__report_watch watch[PHA__REPORT_NAMES];
    int n_watches;
    size_t n_layers;
    json_t *samples;  /* array of {"text", "prompt", ...} */
    json_t *end;      /* the last "end" line, or NULL */
    size_t lines, bad_lines, skips;
    double last_step, last_tokens;
} pha__report_log;

/* A missing file is an empty log. Lines that are not JSON objects (a torn last one) are counted and left out. Where the
 * steps go back, as after a resume, the newer points replace the older ones. */
pha_status pha__report_log_read(pha__report_log *log, const char *path);
void pha__report_log_free(pha__report_log *log);
pha__points *pha__report_points(const pha__report_watch *w, size_t layer, int label);
double pha__points_last(const pha__points *p); /* NaN: none */

#endif
