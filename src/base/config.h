/* config.h -- the configuration of a model: plain data (keys of config.json, spec names in brackets)
 *
 * io/config.c reads and writes it; an architecture declares in its row which keys it uses, and any other key in a file
 * is an error.
 */
#ifndef PHA__CONFIG_H
#define PHA__CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PHA__MAX_LAYER 256
#define PHA__OWN 64

enum { PHA__BRANCH_ATTN = 1, PHA__BRANCH_GSS = 2, PHA__BRANCH_AUX = 4 };
typedef enum {
    PHA__RES_POST,
    PHA__RES_POST_RAW,
    PHA__RES_PRE,
    PHA__RES_PRE_ALPHA,
    PHA__RES_PRE_INV
} pha__residual_mode;
typedef enum { PHA__BIAS_ZERO, PHA__BIAS_NONE, PHA__BIAS_MATCHED } pha__gate_bias;
typedef enum { PHA__WB_INIT, PHA__WB_NONE, PHA__WB_FIXED } pha__wb_scale;
typedef enum { PHA__MIX_LEARNED, PHA__MIX_UNIFORM, PHA__MIX_DYNAMIC } pha__mix_mode;
typedef enum { PHA__QK_COSINE, PHA__QK_RMS, PHA__QK_DOT } pha__qk_mode;
typedef enum { PHA__ROPE_HALF, PHA__ROPE_INTERLEAVED } pha__rope_mode;
typedef enum { PHA__STATE_REAL, PHA__STATE_COMPLEX } pha__gss_state;
typedef enum { PHA__FILTER_SILU, PHA__FILTER_NONE, PHA__FILTER_NORM, PHA__FILTER_CONV4 } pha__gss_filter;

typedef struct pha__config {
    char arch[16];                /* pha, seq, ... : a name of models.def */
    int32_t vocab_size;           /* V */
    int32_t d_model;              /* D */
    int32_t n_layer;              /* L */
    int32_t n_head, n_kv_head;    /* Hq, Hkv */
    int32_t d_state;              /* S */
    int32_t d_ffn, d_aux;         /* F1, F2 */
    int32_t branches;             /* mask of PHA__BRANCH_* */
    int32_t residual;             /* pha__residual_mode */
    bool main_residual;
    double alpha;                 /* absent or null in the file: (2 L)^(1/4); here always the value */
    double embed_std;
    int32_t gate_bias, wb_scale;
    bool seq_norm;
    int32_t window[PHA__MAX_LAYER]; /* per layer, 0: unlimited */
    int32_t local;                /* attention within chunks of so many tokens; 0: no chunks */
    int32_t mix, qk;
    bool branch_gain;
    double rope_theta;
    int32_t rope;
    int32_t gss_state;            /* pha__gss_state: S numbers, or S/2 pairs; pha.md 10 */
    int32_t gss_filter;           /* feature filter or what replaces it, spec A7 */
    uint64_t attn_layers[PHA__MAX_LAYER / 64]; /* bit l: layer l is attention, where others are not */
    int32_t n_positions;          /* learned positions: the longest text */
    double dropout, attn_dropout; /* of training, not keys of config.json */
    _Alignas(8) unsigned char own[PHA__OWN]; /* keys that belong to one architecture: a struct of its file */
} pha__config;

static inline bool pha__is_attn_layer(const pha__config *c, int layer)
{
    return c->attn_layers[layer / 64] >> layer % 64 & 1;
}

/* Tokens that attention of a layer looks back at, its own among them; 0: all. */
static inline int32_t pha__attn_reach(const pha__config *c, int layer)
{
    return c->window[layer] ? c->window[layer] : c->local;
}

/* ---- keys of config.json ---- */

typedef enum pha__key_kind {
    PHA__KEY_INT,                 /* int32_t */
    PHA__KEY_REAL,                /* double */
    PHA__KEY_BOOL,                /* bool */
    PHA__KEY_NAME,                /* int32_t, one of names */
    PHA__KEY_TEXT, PHA__KEY_BRANCHES, PHA__KEY_WINDOW, PHA__KEY_LAYERS /* for the keys of io/config.c only */
} pha__key_kind;

typedef struct pha__config_key {
    const char *key;
    pha__key_kind kind;
    size_t offset;                /* of the field */
    bool required;                /* where the architecture uses it */
    double low, high, init;       /* range of a number, default */
    const char *const *names;     /* of the values 0, 1, ...; ended by NULL */
    int32_t needs;                /* these branches, one of them or more; 0: used whatever the branches are */
} pha__config_key;

/* An architecture's own keys are the fields of a struct of at most PHA__OWN bytes, declared beside its row:
 *
 *   PHA__OWN_KEYS(ladder) { int32_t rungs; double slope; };          read with ladder_of(c)->rungs
 *   static const pha__config_key own[] = {
 *       {PHA__OWN_KEY(ladder, rungs), .kind = PHA__KEY_INT, .low = 1, .high = 9, .init = 3}, ..., {0}};
 */
#define PHA__OWN_KEYS(name)                                                                                            \
    typedef struct name name;                                                                                          \
    static inline const name *name##_of(const pha__config *c) { return (const name *)(const void *)c->own; }           \
    struct name
#define PHA__OWN_KEY(name, field)                                                                                      \
    .key = #field, .offset = offsetof(pha__config, own) + offsetof(name, field) +                                      \
                             0 * sizeof(char[sizeof(name) <= PHA__OWN ? 1 : -1]) /* it fits */

#endif
