/* report_log.h -- what report.html needs of a run's log.jsonl, as series over the steps */
#ifndef PHA__REPORT_LOG_H
#define PHA__REPORT_LOG_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"

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
enum { PHA__MIX_GSS, PHA__MIX_ATTN, PHA__MIX_AUX, PHA__N_MIX };
enum { PHA__P10, PHA__P50, PHA__P90, PHA__N_HORIZON };

typedef struct pha__report_layer {
    pha__points mix[PHA__N_MIX], mix_scaled[PHA__N_MIX], horizon[PHA__N_HORIZON];
} pha__report_layer;

/* Zero-initialise. */
typedef struct pha__report_log {
    pha__points series[PHA__REPORT_N_SERIES];
    pha__report_layer *layers;
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

#endif
