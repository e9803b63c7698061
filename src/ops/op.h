/* op.h -- what an op is
 *
 * An op is a constant struct (the row: mathematics, no control flow) and, per backend, a kernel. Nothing else in the
 * library knows which ops exist: every list is made from ops.def.
 *
 * Values.  A value is (B, T, W): B sequences, T tokens, W features, stored as B*T rows of W elements; consecutive rows
 * are `ld` elements apart, because a value may be a slice of columns of a merged product. A parameter is (rows, width).
 * B and T of one run may be smaller than those the program was planned for; W never changes.
 */
#ifndef PHA__OP_H
#define PHA__OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/dtype.h"
#include "base/status.h"

#define PHA__MAX_IN 13
#define PHA__IN(i) (1u << (i)) /* bit of input i in a mask */

typedef struct pha__view { /* row r begins at element r * ld of data */
    void *data;            /* NULL: the optional input is absent, or its gradient is not wanted */
    int64_t ld;
    int32_t rows, width;   /* rows: parameters only; a value has B * T */
    pha__dtype dtype;
} pha__view;

/* What changes from run to run and is no value of the program. The executor makes one block of it in the memory of the
 * device, so that a sequence of steps can be repeated with other contents. */
typedef struct pha__run {
    const int32_t *tokens;  /* (B, T) input ids */
    const int32_t *targets; /* (B, T) ids to predict, -1: not scored; NULL where no loss is taken */
    const int32_t *order;   /* (B, T) rows sorted by token, then by row: for sums over the rows of a token. Programs
                               with gradients have it, the executor makes it. */
    float loss_scale;       /* factor of the summed loss in the gradient: 1 / scored tokens of the whole batch */
    bool dropout;           /* dropout on? */
    uint64_t seed;          /* with step and row0: the key of the dropout masks */
    uint64_t step;
    int64_t row0;           /* index, within the whole batch, of row 0 of this microbatch */
    struct {                /* of the optimizer (ops/adamw) */
        float lr, scale;    /* scale: clip factor min(1, clip / (norm + 1e-6)) */
        float c1, c2;       /* bias corrections 1 - beta^step */
    } update;
} pha__run;

typedef enum pha__pass { PHA__FORWARD, PHA__BACKWARD } pha__pass;

typedef struct pha__args {
    int B, T;
    int n_in;
    pha__view in[PHA__MAX_IN], out; /* backward: of what is not kept only rows, width and out's dtype */
    pha__view d_in[PHA__MAX_IN]; /* backward: gradients to write, data NULL where none is wanted */
    pha__view d_out;             /* backward: gradient of out */
    uint32_t add;                /* backward: bit i set: add to d_in[i]; clear: store (old content is garbage) */
    bool more, last;             /* backward, of the microbatches of a lane: some went before, none comes behind */
    float *sums;                 /* backward: what op->sums says, the same from the first of them to the last, which
                                    writes d_in of the parameters; NULL: each of them does */
    const void *attr;            /* the op's own attribute struct, constant */
    float *saved;                /* what forward keeps for backward: op->saved floats */
    void *work;                  /* kernel->work bytes for this step, shared by its tasks and phases, uninitialised */
    char *const *state;          /* streaming: B addresses, see pha__slot; NULL: state is zero and is not kept.
                                    Backward: the states from which forward began, to be read only */
    size_t state_offset;
    const pha__run *run;
    int64_t max_context;         /* of the sessions, what op->state was asked for (set also where sizes are asked);
                                    0: no state */
} pha__args;

/* What an op keeps of a session: `fixed` bytes, which are zero when a session starts, then `lanes` rings of room for
 * `capacity` tokens of `token` bytes each; token t lies at place t mod capacity of each lane, and what no token has
 * filled is never looked at. So copies and files need not touch what has not been read. */
typedef struct pha__state_layout {
    size_t fixed, token; /* bytes */
    int32_t lanes;
    int64_t capacity;    /* tokens; 0: nothing per token */
} pha__state_layout;

/* Bytes of all of it; SIZE_MAX: more than there can be. */
static inline size_t pha__state_bytes(const pha__state_layout *l)
{
    size_t lanes, all;
    if (__builtin_mul_overflow((size_t)l->lanes * l->token, (size_t)l->capacity, &lanes)) return SIZE_MAX;
    return __builtin_add_overflow(lanes, l->fixed, &all) ? SIZE_MAX : all;
}

#define PHA__ALL_TOKENS INT64_MAX /* a lookback without end */

/* The state of sequence b. */
PHA__BOTH static inline void *pha__slot(const pha__args *a, int b) { return a->state[b] + a->state_offset; }

/* Sequence b: its tokens are rows [row, row + n) of every value, in order. */
typedef struct pha__sequence {
    int64_t row, n;
} pha__sequence;

PHA__BOTH static inline pha__sequence pha__sequence_of(const pha__args *a, int b)
{
    return (pha__sequence){(int64_t)b * a->T, a->T};
}

/* Shape inference: what an op is told of its inputs and what it answers. */
typedef struct pha__shape {
    int B, T;          /* the largest of any run */
    pha__dtype dtype;  /* of the program */
    int n_in;
    struct { bool present, param; int32_t rows, width; } in[PHA__MAX_IN]; /* rows: parameters only */
    const void *attr;
    int32_t width;     /* answer: width of the output */
    bool f32;          /* answer, where out_f32 of the row leaves it to the attributes: the output is fp32 always */
} pha__shape;

/* The classes of the cost model (algorithms.md 9); what no field names is elementwise work or small state. */
typedef enum pha__work_class {
    PHA__WORK_ELEMENTWISE,
    PHA__WORK_LINEAR,
    PHA__WORK_HEAD,
    PHA__WORK_ATTENTION,
} pha__work_class;
typedef enum pha__state_class { PHA__STATE_OTHER, PHA__STATE_CACHE, PHA__STATE_RECURRENT } pha__state_class;

typedef struct pha__op {
    const char *name;
    const char *equation;  /* one line, with the source of the formula */
    int min_in, max_in;    /* number of inputs; trailing ones may be absent (NULL) as the header of the op says */
    uint32_t params;       /* inputs that are parameters */
    uint32_t keep_in;      /* inputs whose values backward reads */
    bool keep_out;         /* backward reads the output's value */
    bool out_f32;          /* the output is fp32 also in a bf16 program (losses, sums, tables) */
    bool no_grad;          /* nothing to differentiate (tables) */
    bool is_loss;          /* backward needs no d_out and computes the output too: a program with gradients skips
                              forward */
    uint32_t constant;     /* inputs that count as constants: no gradient flows through them */
    bool carries;          /* its gradient is right also where forward began from a state, a constant to it: what it
                              saves has that, or backward finds it in args->state */
    bool windows;          /* it reads earlier tokens of the window and has no state: not in sessions */
    /* An op that does the next one's work too if input `in` (not 0) is there, which belonged to that one (fuse.c). */
    struct {
        int in;
        uint32_t keep_in;  /* these stand for the fields above */
        bool keep_out, out_f32;
    } fused;

    /* Sets s->width; fails with a message without a path (the builder adds it). */
    pha_status (*shape)(pha__shape *s);
    int64_t (*saved)(const pha__shape *s);                       /* floats kept from forward to backward; NULL: 0 */
    /* Floats that backward adds up from microbatch to microbatch of a lane, where the gradients of parameters are more
     * than sums over sequences, or another step adds to them as well (shared); NULL: 0, which is an error if shared.
     * For devices that promise the same bits for any microbatches (backend.h, by_sequence). */
    int64_t (*sums)(const pha__shape *s, bool shared);
    /* What a session of max_context tokens keeps; NULL: nothing. */
    pha__state_layout (*state)(const pha__shape *s, int64_t max_context);
    int64_t (*lookback)(const pha__shape *s); /* tokens, the newest one included, that it reads of its lanes; NULL: 0 */
    /* Does forward treat a sequence as a whole, so that a row is within the limits of numerics.md 2 of what it is alone
     * or in a session, and not the same bits? Only in programs with gradients. NULL: never. */
    bool (*apart)(const void *attr);
    /* Cost for (B, T) of s at `context` earlier tokens: useful floating-point operations of a pass. Bytes are derived
     * from the values. */
    double (*flops)(const pha__shape *s, pha__pass pass, int64_t context);
    pha__work_class work_class;
    pha__state_class state_class; /* a cache grows with the context, a recurrent state does not */
    bool gathers;                 /* of its parameters it touches one row per token, not all */
    /* Tokens read, as the fixed part of a session's state tells; an op that addresses memory by that number has this
     * function, so that a state from a file is checked before use. NULL: the op keeps no such number. */
    int64_t (*position)(const void *state);
    /* The most tokens that a text may have (an op that has something for each place); NULL: any number. */
    int64_t (*longest)(const pha__shape *s);
} pha__op;

/* What depends on which inputs are there (a mask): of a fused op other fields count. */
static inline bool pha__is_fused(const pha__op *op, uint32_t present)
{
    return op->fused.in && present & PHA__IN(op->fused.in);
}
static inline uint32_t pha__keep_in(const pha__op *op, uint32_t present)
{
    return pha__is_fused(op, present) ? op->fused.keep_in : op->keep_in;
}
static inline bool pha__keep_out(const pha__op *op, uint32_t present)
{
    return pha__is_fused(op, present) ? op->fused.keep_out : op->keep_out;
}
static inline pha__dtype pha__out_dtype(const pha__op *op, uint32_t present, pha__dtype of_program)
{
    return (pha__is_fused(op, present) ? op->fused.out_f32 : op->out_f32) ? PHA__F32 : of_program;
}

/* ops/<op>/<op>.c defines pha__op_<op>. */
#define PHA__OP(name) extern const pha__op pha__op_##name;
#include "ops/ops.def"
#undef PHA__OP

#endif
