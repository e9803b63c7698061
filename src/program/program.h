/* program.h -- a model as a flat list of steps
 *
 * Running a model function once records nodes (build.c: values, parameters, shapes). Passes then turn the nodes into a
 * program: fuse.c merges products that share an input, derive.c lists the forward steps and adds the backward ones,
 * plan.c gives every buffer a place in one block, run.c binds pointers and executes. print.c shows all of it.
 *
 * A Var is a recorded node: its shape, path and source line are there to be looked at in a debugger. A shape error
 * marks the program as failed, keeps the first message and returns a poisoned Var; model functions need no checks.
 */
#ifndef PHA__PROGRAM_H
#define PHA__PROGRAM_H

#include <stdint.h>

#include "base/mem.h"
#include "base/status.h"
#include "ops/op.h"

struct pha__backend;
struct pha__device;
struct pha__store;

typedef struct pha__program pha__program;
typedef struct pha__node *Var;
typedef struct pha__part pha__part;       /* watch.h */
typedef struct pha__watching pha__watching;

/* Fills a parameter from (seed, path) alone; arg are the numbers given at the declaration. */
typedef void pha__init_fn(float *out, int32_t rows, int32_t width, const double *arg, uint64_t seed, const char *path);

typedef struct pha__init {
    pha__init_fn *fill;
    double arg[3];
} pha__init;

/* What a parameter is to the optimiser and to storage. */
typedef enum pha__param_kind {
    PHA__MATRIX,   /* decays; stored as bf16 in a bf16 program */
    PHA__VECTOR,   /* gains, biases, mixing scalars, rates: no decay, fp32 always */
    PHA__DYNAMICS, /* a vector that says how a state moves: its learning rate is at most PHA__MOST_DYNAMICS */
    PHA__CONSTANT, /* computed, not learned, not in checkpoints */
} pha__param_kind;
#define PHA__MOST_DYNAMICS 1e-3 /* baselines.md 6 */

typedef struct pha__node {
    const char *path;  /* layer3.gss.gate */
    const pha__op *op; /* NULL: a parameter */
    Var in[PHA__MAX_IN];
    int n_in;
    const void *attr;
    size_t attr_size;
    int32_t rows, width; /* rows: parameters */
    int layer;           /* -1 before the first layer, n_layer after the last */
    pha__dtype dtype;    /* of the value in memory */
    const char *file;    /* where in the model it was recorded */
    int line;
    const pha__part *part; /* what it is counted under; NULL: nothing in particular */

    pha__param_kind kind; /* parameters only, down to `group` */
    bool frozen;    /* stored like the others, but not learned: set before pha__program_finish */
    pha__init init;
    int index;      /* in pha__program.params, sorted by path */
    int64_t offset; /* elements from the start of a weight block (fuse.c) */
    int group;      /* id of a stack of weights, -1: none */

    Var merged;                   /* set by fuse.c: this value is a slice of that product */
    int32_t column;               /* where the slice begins */
    int32_t stack_rows, stack_in; /* of a merged product: rows of all its weights, and which input they are (else -1) */
    int uses;                     /* how often nodes read it, outputs or watches show it (fuse.c) */
    size_t state_offset;          /* in a session's block */
    bool live, wants_grad;        /* derive.c */
    int value[2], saved[2], grad; /* buffers; [1]: of the repeated forward pass */
} pha__node;

/* Has it a gradient, moments and updates? */
static inline bool pha__learned(const pha__node *v) { return v->kind != PHA__CONSTANT && !v->frozen; }

/* ---- recording (build.c) --------------------------------------------------------------------------------- */

/* A place in the tree of names. Passed by value, so scopes need no push and pop. */
typedef struct Params {
    pha__program *program;
    const char *path;
    int layer;
    const pha__part *part;
} Params;

/* The rules of fuse.c. */
typedef enum pha__fuse_rule {
    PHA__FUSE_PROJECTIONS = 1, /* products that share an input */
    PHA__FUSE_MIX = 2,         /* mix and the norm of its sum */
    PHA__FUSE_RESIDUAL = 4,    /* residual and the norm of its sum */
    PHA__FUSE_SCAN = 8,        /* scan and the filter of its state */
    PHA__FUSE_ALL = 15,
} pha__fuse_rule;

typedef struct pha__program_options {
    int B, T;            /* largest run */
    int64_t max_context; /* of a session, for the state; 0: no state (training from zero states) */
    pha__dtype dtype;    /* of activations and matrices */
    pha__dtype cache;    /* of keys and values in sessions: f32, or bf16 */
    bool gradients;      /* derive the backward pass */
    bool recompute;      /* keep only what enters a layer, repeat its forward before its backward */
    bool by_sequence;    /* microbatches of any size give a lane's gradients the same bits: of a device that does too,
                            and where no parameter takes turns */
    unsigned unfused;    /* rules to leave out, a mask; also PHA_UNFUSED=scan,mix or =all */
    bool keep_watched;   /* what the pieces show (watch.h) exists and stays readable after a run */
    bool keep_all;       /* every value exists and stays readable after a run (tests); also PHA_KEEP_ALL=1 */
} pha__program_options;

pha_status pha__program_open(pha__program **out, const pha__program_options *options);
void pha__program_close(pha__program *p);

Params pha__root(pha__program *p);
Params pha__sub(Params p, const char *name);
Params pha__at_layer(Params p, int layer); /* sub "layerN"; what is recorded there belongs to that layer */

/* A parameter; asking for an existing path with the same shape returns the same node (tied weights). */
Var pha__param_at(Params p, const char *name, int32_t rows, int32_t width, pha__param_kind kind, pha__init init,
                  const char *file, int line);
/* The result of an op. in[i] may be NULL where the op allows it. attr is copied. */
Var pha__apply_at(Params p, const char *name, const pha__op *op, const Var *in, int n_in, const void *attr,
                  size_t attr_size, const char *file, int line);
#define pha__param(p, name, rows, width, kind, init) pha__param_at(p, name, rows, width, kind, init, __FILE__, __LINE__)
#define pha__apply(p, name, op, in, n_in, attr, attr_size)                                                             \
    pha__apply_at(p, name, op, in, n_in, attr, attr_size, __FILE__, __LINE__)

/* An op without inputs that all layers share: asking again for the name, with the same op and attributes, returns the
 * same node. It lives at the root. */
Var pha__shared_at(Params p, const char *name, const pha__op *op, const void *attr, size_t attr_size, const char *file,
                   int line);
#define pha__shared(p, name, op, attr, attr_size) pha__shared_at(p, name, op, attr, attr_size, __FILE__, __LINE__)

/* Marks a value as a result that stays readable after a run (at most PHA__MAX_OUTPUT, by name). A product that shares
 * its input with others cannot be one: it is merged with them and has no memory of its own. */
void pha__output(Params p, const char *name, Var value);
/* An output that is a loss: (B, T, 2), a number per token and whether it was hit. Training minimises the sum of weight
 * times the mean over all tokens; the op knows its weight too. */
void pha__loss(Params p, const char *name, Var value, double weight);
/* Fails the recording with a message (a model's own check). */
void pha__reject(Params p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Ends the recording and runs the passes; once. */
pha_status pha__program_finish(pha__program *p);

/* ---- the finished program -------------------------------------------------------------------------------- */

typedef enum pha__ref_kind { PHA__REF_NONE, PHA__REF_BUFFER, PHA__REF_PARAM, PHA__REF_GRAD } pha__ref_kind;

typedef struct pha__ref { /* what a step reads or writes */
    pha__ref_kind kind;
    int index; /* of the buffer or of the parameter */
    int32_t column, ld, rows, width;
    pha__dtype dtype;
} pha__ref;

typedef struct pha__plan_step {
    Var node;
    pha__pass pass;
    bool repeat; /* forward, done again for the backward pass */
    pha__ref in[PHA__MAX_IN], out, d_in[PHA__MAX_IN], d_out;
    int saved, sums, work; /* buffers, -1: none */
    uint32_t add;         /* gradients that an earlier step has written */
    uint32_t add_if_more; /* parameter gradients that are stored for the first microbatch and added to after it */
} pha__plan_step;

typedef enum pha__buffer_kind {
    PHA__BUF_VALUE,
    PHA__BUF_REPEAT,
    PHA__BUF_GRAD,
    PHA__BUF_SAVED,
    PHA__BUF_SUMS, /* stays from run to run */
    PHA__BUF_WORK,
    PHA__BUF_KINDS
} pha__buffer_kind;

typedef struct pha__buffer {
    const char *path;
    pha__buffer_kind kind;
    size_t size;     /* bytes at the largest B, T */
    int first, last; /* steps between which it is live */
    size_t offset;   /* in the block */
} pha__buffer;

#define PHA__MAX_OUTPUT 264 /* one of each layer, and some more */

struct pha__program {
    pha__program_options options;
    pha__arena arena;
    pha_status status; /* sticky */
    bool finished;
    char message[512];
    Var poison;
    Var *nodes; /* results of ops, in canonical order once finished */
    int n_nodes, nodes_capacity;
    Var *params; /* sorted by path once finished */
    int n_params, params_capacity;
    Var *names; /* parameters by the hash of their path (build.c) */
    int n_names;
    int64_t weights;     /* elements of a weight block, padding included: learned matrices and vectors, then what is
                            frozen, then constants (fuse.c) */
    int64_t matrices;    /* elements before the first learned vector */
    int64_t steady;      /* elements before the first PHA__DYNAMICS */
    int64_t trainable;   /* elements before the first that is not learned */
    uint64_t parameters; /* numbers of a model file, without padding */
    bool takes_turns;    /* steps of a microbatch add to one gradient in turns, and the op has no `sums`: the bits of
                            its sum follow the microbatches */
    struct {
        const char *name;
        Var value;
        bool loss;
        double weight; /* of a loss */
    } outputs[PHA__MAX_OUTPUT];
    int n_outputs;
    int tail; /* the last layer: what stands behind those of the model */
    pha__watching *watches; /* in the order in which they are shown, once finished */
    int n_watches, watches_capacity;
    pha__plan_step *steps;
    int n_steps, steps_capacity;
    pha__buffer *buffers;
    int n_buffers, buffers_capacity;
    size_t block, naive; /* bytes: planned, and the sum of all buffers */
    size_t scratch;      /* bytes that the device needs besides while it runs a step, the most of any */
    const struct pha__backend *planned_for; /* NULL: not planned */
    size_t state;        /* bytes of a session's block */
};

/* passes, in this order; each fails with a message */
pha_status pha__canonical_order(pha__program *p); /* order.c */
pha_status pha__fuse(pha__program *p);
pha_status pha__derive(pha__program *p);
pha_status pha__plan(pha__program *p, struct pha__device *device); /* asking again for its backend is allowed */

/* Appends a buffer; sizes that no machine has fail. first > last: not used yet. */
pha_status pha__new_buffer(pha__program *p, const char *path, pha__buffer_kind kind, size_t size, int first, int last,
                           int *out);
#define PHA__FOREVER 0x3fffffff /* a last step that never comes */

/* Shape of a step's node as its op wants it. */
void pha__shape_of(const pha__program *p, const pha__node *n, pha__shape *s);
int32_t pha__rows_of(const pha__node *n, int i);  /* of input i, which is there; of a merged product: of all weights */
uint32_t pha__inputs_of(const pha__node *n);      /* a mask of those that are there */
pha_status pha__unfused_by_environment(unsigned *rules); /* adds those of PHA_UNFUSED (fuse.c) */

int64_t pha__longest_text(const pha__program *p); /* tokens, as op->longest says; INT64_MAX: no op sets a limit */
Var pha__find_param(const pha__program *p, const char *path); /* NULL: none */
Var pha__find_value(const pha__program *p, const char *path); /* the result of an op; NULL: none */

/* ---- running (run.c) ------------------------------------------------------------------------------------- */

typedef struct pha__exec pha__exec;

/* Plans for the device, binds the steps to the places of the store's parameters (store.h) and allocates the block. The
 * program, the store and the device must outlive it. */
pha_status pha__exec_open(pha__exec **out, pha__program *p, const struct pha__store *store, struct pha__device *device);
void pha__exec_close(pha__exec *e);

/* Runs all steps for B, T up to the planned sizes. tokens and targets in run are memory of the host, `order` is made
 * here; they are copied. state: B addresses of session blocks on the device, or NULL. more: not the first microbatch,
 * parameter gradients are added. Allocates nothing. Fails only if the device does, or under PHA_TRACE (a value is not
 * finite). */
pha_status pha__exec_run(pha__exec *e, int B, int T, const pha__run *run, char *const *state, bool more);

/* The same where backward follows forward from states that are not zero: B addresses each of the states that forward
 * moves on, of equal ones that stay as they were before it, for backward, and of equal ones for the repeated forward of
 * recomputation (NULL without that). */
typedef struct pha__states {
    char *const *now, *const *before, *const *again;
} pha__states;
/* last: the last microbatch of a lane, after which its gradients are there (of programs with by_sequence; else always).
 * states NULL: from zero, and kept nowhere. */
pha_status pha__exec_run_from(pha__exec *e, int B, int T, const pha__run *run, const pha__states *states, bool more,
                              bool last);

/* In the next runs `visit` is called behind n of the steps, at most PHA__RUN_PIECES - 1, whose numbers ascend, with k =
 * 0, 1, ... A device that works beside the host has been given all steps so far then, and may not have made them. n =
 * 0: no more. `at` and self outlive that. */
enum { PHA__RUN_PIECES = 16 };
typedef pha_status pha__visit(void *self, int k);
void pha__exec_visit(pha__exec *e, const int *at, int n, pha__visit *visit, void *self);
/* The last step that adds to the gradient of parameter i; -1: none does. */
int pha__last_addition(const pha__program *p, int i);

/* The first n rows of an output, or of the value or gradient at a path, as fp32 rows of the host, dense. The value at a
 * path must have been kept to the end (options.keep_all). FAILED: there is none of that name. */
pha_status pha__exec_output(pha__exec *e, const char *name, int64_t n, float *to);
pha_status pha__exec_value(pha__exec *e, const char *path, bool gradient, int64_t n, float *to);
/* Seconds per step since the last call with on = true; the pointer stays valid. */
void pha__exec_profile(pha__exec *e, bool on);
const double *pha__exec_times(const pha__exec *e);

/* Prints the ranges of what a step has just written; fails where a number is not finite (trace.c). */
pha_status pha__trace_step(const pha__program *p, const pha__plan_step *s, const pha__args *a,
                           struct pha__device *device);

/* ---- seeing it (print.c) --------------------------------------------------------------------------------- */

struct pha__str;
void pha__print_program(const pha__program *p, struct pha__str *out);

/* Bytes of values (those kept for backward included) and of weights, or their gradients, that one step reads and
 * writes. */
void pha__step_traffic(const pha__program *p, const pha__plan_step *s, double *values, double *weights);

#endif
