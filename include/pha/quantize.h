/* pha/quantize.h -- smaller weights; of pha.h */
#ifndef PHA_QUANTIZE_H
#define PHA_QUANTIZE_H

#include "pha/eval.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pha_quantize_options {
    const char *model; /* folder */
    pha_weights to;    /* the format of its matrices; what is no matrix stays fp32 */
    const char *out;   /* model folder to write, as for pha_model_init; NULL: only measure */
    const char *data;  /* data folder to measure on; NULL: don't */
    const char *split; /* NULL: "valid" */
    int32_t context;   /* tokens of a window, which is streamed; 0: 16384, or the positions of the model */
    int64_t max_tokens; /* 0: 65536 */
    int threads;        /* 0: PHA_THREADS or all processors */
    pha_progress_fn *progress;
    void *user; /* passed to progress */
} pha_quantize_options;

typedef struct pha_quantize_result {
    uint64_t bytes_before, bytes_after; /* of the matrices and all else in memory while a model runs, first in fp32 */
    uint64_t tokens, windows;           /* measured; 0: nothing below was */
    int32_t context;
    double loss_before, loss_after, kl, kl_error; /* nats a token: means; kl: of what was to what is */
    double same_choice;                           /* share of tokens at which both have the same likeliest next one */
    /* By position in a window, as in pha_positions_result; NaN where there was none. */
    double bucket_before[PHA_POSITION_BUCKETS], bucket_after[PHA_POSITION_BUCKETS], bucket_kl[PHA_POSITION_BUCKETS];
    uint64_t bucket_tokens[PHA_POSITION_BUCKETS];
    double kl_early, kl_late; /* of positions 64 to 1023, and of the last half of windows of 2048 and more; else NaN */
    bool grows;               /* kl_late is above 1.5 kl_early by more than three standard errors */
    double seconds;
} pha_quantize_result;

/* Writes a model with smaller weights, which everything that reads models reads; and measures what that costs. NUMERIC:
 * the error grows along a window (nothing is written, the result is there), or a loss is not finite. STOPPED: on a stop
 * request. USAGE: the model lies in `out`. */
PHA_API pha_status pha_quantize(const pha_quantize_options *options, pha_quantize_result *result);

#ifdef __cplusplus
}
#endif
#endif
