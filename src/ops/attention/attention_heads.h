/* attention_heads.h -- how the kernels of attention see their inputs: by kv head, rows and keys
 *
 * The queries of one kv head are its "rows": row n = token n / G, head n % G of the G query heads that share it. Keys
 * have positions relative to the first new token; those below 0 come from the session's ring.
 */
#ifndef PHA__ATTENTION_HEADS_H
#define PHA__ATTENTION_HEADS_H

#include "backend/cpu/rows.h"
#include "ops/attention/attention.h"

/* Vectors run over lanes: many rows (or keys, in backward), few, or those of one token, the query heads of a kv head.
 * The other side is walked in tiles. */
enum { LANES_MANY = 64, LANES_FEW = 16, LANES_LEAST = VF > 8 ? LANES_FEW : 8, KEYS_TILE = 64, KEYS_SEGMENT = 256 };

typedef struct heads { /* one kv head of one sequence and the query heads that read it */
    const pha__args *a;
    const pha__attention_attr *c;
    int b, h, dh, group;
    pha__sequence tokens;
    int64_t rows;           /* tokens * group */
    int64_t window, local;  /* local 0: a window, which may be endless */
    int64_t count, cached, capacity;
    const void *ring[2];    /* keys, values (capacity, dh) */
    bool half;              /* in bf16, and so is what will go there */
    bool drop;              /* dropout is on; then there is no ring */
} heads;

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t blocks(int64_t n, int64_t size) { return (n + size - 1) / size; }

static inline int group_of(const pha__args *a)
{
    const pha__attention_attr *c = a->attr;
    return c->n_head / c->n_kv_head;
}

/* Kv heads of all sequences, and blocks of the rows of one of them. */
static inline int64_t groups(const pha__args *a)
{
    return (int64_t)a->B * ((const pha__attention_attr *)a->attr)->n_kv_head;
}
static inline int64_t row_blocks(const pha__args *a, int lanes) { return blocks((int64_t)a->T * group_of(a), lanes); }

static inline int64_t capacity_of(const pha__args *a)
{
    int64_t n = pha__attention_capacity(a->attr, a->max_context);
    return n > 0 ? n : 1;
}

/* A slot's count; the ring of keys (w = 0) or values (w = 1) of kv head h. */
static inline int64_t *count_of(const pha__args *a, int b) { return pha__slot(a, b); }
static inline void *ring_of(const pha__args *a, int b, int w, int h)
{
    const pha__attention_attr *c = a->attr;
    int64_t at = ((int64_t)w * c->n_kv_head + h) * capacity_of(a) * c->head_width;
    return (char *)pha__slot(a, b) + PHA__ATTENTION_HEADER + (size_t)at * pha__dtype_size(c->cache);
}

/* Token and query head of row n. */
static inline int64_t token_of(const heads *x, int64_t n) { return n / x->group; }
static inline int64_t head_of(const heads *x, int64_t n) { return x->h * x->group + n % x->group; }

/* The first key that a token sees, and the last token that sees a key; tokens and keys are counted alike. */
static inline int64_t first_key(const heads *x, int64_t token)
{
    return x->local ? token - (x->count + token) % x->local : token - x->window + 1;
}
static inline int64_t last_token(const heads *x, int64_t key)
{
    return x->local ? key + x->local - 1 - (x->count + key) % x->local : key + x->window - 1;
}

/* The functions of attention_heads_cpu.c. */
#define heads_of PHA__ISA_NAME(pha__attention_heads_of)
#define load_rows PHA__ISA_NAME(pha__attention_load_rows)
#define load_keys PHA__ISA_NAME(pha__attention_load_keys)
#define to_lanes PHA__ISA_NAME(pha__attention_to_lanes)
#define mask PHA__ISA_NAME(pha__attention_mask)
#define drop_rows PHA__ISA_NAME(pha__attention_drop_rows)
#define drop_keys PHA__ISA_NAME(pha__attention_drop_keys)
#define mul_many PHA__ISA_NAME(pha__attention_mul_many)
#define mul_many_t PHA__ISA_NAME(pha__attention_mul_many_t)
#define mul_few PHA__ISA_NAME(pha__attention_mul_few)
#define mul_few_t PHA__ISA_NAME(pha__attention_mul_few_t)
#define mul_least PHA__ISA_NAME(pha__attention_mul_least)
#define mul_least_t PHA__ISA_NAME(pha__attention_mul_least_t)

heads heads_of(const pha__args *a, int64_t index); /* of groups(a) */

/* Rows [n, n+count) of a value with n_head heads, dense, times a factor. */
void load_rows(const heads *x, const pha__view *v, int64_t n, int count, float *dst, float factor);
/* Keys (w = 0) or values (w = 1) [s, s+count): dense in buffer, or where they lie in a ring of fp32. */
const float *load_keys(const heads *x, int w, int64_t s, int count, float *buffer);
/* (dh, lanes) from `count` dense rows; the lanes that are missing become zeros. */
void to_lanes(float *dst, const float *rows, int lanes, int count, int dh);
/* Logits x (count, lanes) of keys from `key` that a lane does not see become -inf. Lanes are queries. */
void mask(int lanes, const heads *x, float *logits, const int32_t *token, int64_t key, int count);

/* p (count, lanes), for keys from `key`, times the masks of rows [n, n+lanes) of the tokens given: lanes are queries.
 * The masks of row n for LANES_MANY keys from `key`, a multiple of that: lanes are keys. */
void drop_rows(int lanes, const heads *x, float *p, int64_t n, const int32_t *token, int64_t key, int count);
void drop_keys(const heads *x, float *factor, int64_t n, int64_t key);

/* C (m, lanes) = or += A (m, k) B (k, lanes); _t: A transposed. One routine per kind, so that their unrolled blocks
 * exist once. */
typedef void mul(float *c, const float *a, int64_t lda, const float *b, int m, int k, bool add);
mul mul_many, mul_many_t, mul_few, mul_few_t, mul_least, mul_least_t;

#endif
