/* attention.h -- causal softmax attention with grouped heads, over all of the past or a part of it
 *
 *   X_ts = scale * q_t . k_s     for s <= t (and t - s < window, or in one chunk of `local` tokens with t), else -inf
 *   o_t  = sum_s softmax_s(X_t.) v_s          head i of q reads kv head floor(i Hkv / Hq)      pha.md 2.2
 *
 * In training a share `dropout` of the weights softmax(X) is set to zero and the others grow by 1 / (1 - dropout)
 * (masks by counter: backend/cpu/dropout.h).
 *
 * in[0] q (B, T, Hq dh) with rope and its scale applied; in[1] k, in[2] v (B, T, Hkv dh). out (B, T, Hq dh).
 * Flash form (algorithms.md 3): tiles with an online softmax, never a T x T matrix. Saved: lse (B, T, Hq).
 * State: a ring of the keys and values that can still be seen (window, local or max_context of them), and the count of
 * tokens read. Chunks lie at multiples of `local` of the position in the text. */
#ifndef PHA__ATTENTION_H
#define PHA__ATTENTION_H

#include "ops/op.h"

typedef struct pha__attention_attr {
    int32_t n_head, n_kv_head, head_width;
    int32_t window; /* 0: unlimited */
    float scale;
    int32_t local;  /* 0: no chunks; not with a window */
    float dropout;
    uint32_t site;  /* of the masks */
    pha__dtype cache; /* of keys and values in sessions: f32; or bf16, and then all of them are rounded, also those of
                         the run itself, so that a text has the same bits however it is cut. Only forward */
} pha__attention_attr;

/* The state: an int64 count of the tokens seen, then, PHA__ATTENTION_HEADER bytes from the start, a ring of keys and a
 * ring of values, each (n_kv_head, capacity, head_width) in the format `cache`; token i lies at i mod capacity. */
#define PHA__ATTENTION_HEADER 64

/* The most keys that a token sees; 0: all before it. */
static inline int64_t pha__attention_reach(const pha__attention_attr *c) { return c->window ? c->window : c->local; }

/* A ring holds more than can be seen, so that a session can go back some tokens. */
#define PHA__ATTENTION_SLACK 320

static inline int64_t pha__attention_capacity(const pha__attention_attr *c, int64_t max_context)
{
    int64_t reach = pha__attention_reach(c), ring = reach + PHA__ATTENTION_SLACK;
    return reach && ring < max_context ? ring : max_context;
}

#endif
