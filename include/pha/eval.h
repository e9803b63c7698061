/* pha/eval.h -- evaluation; of pha.h */
#ifndef PHA_EVAL_H
#define PHA_EVAL_H

#include "pha/model.h"
#include "pha/process.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum pha_eval_mode {
    PHA_EVAL_WINDOWS, /* pha.md 7: windows without overlap, state zero in each */
    PHA_EVAL_SLIDING, /* overlapping windows with `stride`; not comparable */
    PHA_EVAL_CARRIED, /* state carried from window to window; not comparable */
} pha_eval_mode;

typedef struct pha_eval_options {
    const char *model; /* folder */
    const char *data;  /* data folder; its tokenizer must be the model's */
    const char *split; /* NULL: "valid" */
    int32_t context;   /* T; 0: 1024 */
    int32_t batch;     /* windows per run; 0: 1 */
    pha_eval_mode mode;
    int32_t stride;          /* SLIDING: tokens from window to window, 1 to context - 1 */
    int64_t max_tokens;      /* 0: all */
    double rope_theta;       /* base of rotary positions in place of the model's, 1.5 to 1e12; 0: that one */
    pha_precision precision; /* storage of activations, and of weights unless the next one says otherwise [fp32] */
    pha_weights weights;     /* [as in the files] */
    int threads;             /* 0: PHA_THREADS or all processors */
    pha_progress_fn *progress;
    void *user; /* passed to progress */
} pha_eval_options;

#define PHA_EVAL_BUCKETS 16
typedef struct pha_eval_result {
    double nll;                                          /* total, nats, summed in double */
    uint64_t tokens;                                     /* scored */
    uint64_t end_tokens;      /* of those: the ones that end documents and stand for no text */
    double text_nll;          /* of the others */
    uint64_t words, bytes;    /* of the split; 0, as the next three, where only a part was scored */
    uint64_t scored_words, scored_bytes; /* without those of the first token, which is never a target */
    uint64_t published_words; /* of the split of WikiText that this is; 0: it is none */
    double token_ppl, accuracy;      /* over all targets scored */
    double word_ppl, bits_per_byte;  /* text_nll over scored_words, scored_bytes; NaN where these are 0 */
    uint64_t tokenizer_hash;
    int32_t context, stride;
    double bucket_loss[PHA_EVAL_BUCKETS]; /* mean loss by position in the window, equal parts of T */
    uint64_t bucket_tokens[PHA_EVAL_BUCKETS];
    double seconds;
    size_t peak_bytes;
} pha_eval_result;

/* Scores a split by the protocol of pha.md 7 (perplexity: Eq. 1 of the paper). STOPPED: on a stop request. */
PHA_API pha_status pha_eval(const pha_eval_options *options, pha_eval_result *result);
/* What the branches of each layer are worth to a trained model (arch pha with branch_gain): weights as pha_inspect has
 * them, the share of each in the norm of what the layer adds on the first window, and the token perplexity of the split
 * without it, in one layer and in all. A branch is switched off by a gain of zero; the weights of the others stay. The
 * options are those of pha_eval; the split is scored once more for each branch. *text: a table or JSON, fresh memory
 * for the caller to pha_free. BAD_INPUT: the model mixes no branches. STOPPED: on a stop request. */
PHA_API pha_status pha_eval_branches(const pha_eval_options *options, bool json, char **text);

/* Losses by the number of tokens in front. */
#define PHA_POSITION_BUCKETS 21
typedef struct pha_positions_result {
    double nll, token_ppl; /* of all that was scored, summed in double */
    uint64_t tokens, windows;
    int32_t context;
    /* Position 0, 1, 2 to 3, 4 to 7, ... of a window: part k >= 1 begins at 2^(k-1). The mean loss, and its standard
     * error as if losses did not depend on each other; NaN where none was scored. */
    double bucket_nll[PHA_POSITION_BUCKETS], bucket_loss[PHA_POSITION_BUCKETS], bucket_error[PHA_POSITION_BUCKETS];
    uint64_t bucket_tokens[PHA_POSITION_BUCKETS];
    bool grows;         /* the state grows with the context: the model has attention without a window */
    size_t state_bytes; /* of a window */
    uint64_t tokenizer_hash;
    double seconds;
    size_t peak_bytes;
} pha_positions_result;

/* Scores a split in windows without overlap, as pha_eval does, but streams each one with a carried state: windows may
 * be as long as 2^20 tokens, and memory grows with them only as the state of the model does. The losses have the bits
 * of pha_eval with that context. context 0: 65536, or the positions of the model if they are fewer. mode, stride and
 * batch are not used (USAGE). svg: also write a figure here; may be NULL. STOPPED: on a stop request. */
PHA_API pha_status pha_eval_positions(const pha_eval_options *options, const char *svg, pha_positions_result *result);
/* tokens_npy: .npy of integers (B, T), little-endian; writes logits (B, T, V), always fp32, as .npy. */
PHA_API pha_status pha_eval_logits(const char *model, const char *tokens_npy, const char *logits_npy, int threads);

#ifdef __cplusplus
}
#endif
#endif
