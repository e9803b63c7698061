/* harness.h -- how an op is tested: a reference, a list of cases, and everything else is done here
 *
 * ops/<op>/<op>_test.c defines one constant, pha__test_<op>: the op, its equations in plain double loops (forward and
 * gradient), the limits of its errors and a list of cases. For every case the harness checks
 *
 *   the reference   its gradient against central differences (cases with `differences`)
 *   each kernel     for every instruction set of this machine, in fp32 and in bf16 storage:
 *     forward, backward    against the reference: E2 = |x - ref| / |ref|, Emax = max |x - ref| / rms(ref); all finite
 *     contract             stores over NaN, adds to given content, leaves out gradients that are not wanted, reads only
 *                          what the row of the op says backward reads (the rest is NaN), writes nothing outside of its
 *                          views, work, scratch, saved and state, accepts views with gaps between the rows
 *     order of tasks       one by one, backwards, in random ranges, by three threads: the same bits
 *     size                 smaller B and T than work, scratch and saved were sized for
 *     causality            changing row t leaves every output before t the same bits
 *     rows                 alone or beside others, as sequences, as tokens or as sessions: the same bits
 *     cuts in time         ops with state: any cut of T into pieces gives the bits that the whole gives
 *                          (an op that is `apart` in programs with gradients: within the limits of its output there)
 *     microbatches         any cut of the sequences into microbatches gives the same bits: to the gradients of
 *                          parameters all of them together, to those of values each its own
 *     formats              a weight in any format gives the bits that its numbers give as floats
 */
#ifndef PHA__HARNESS_H
#define PHA__HARNESS_H

#include "backend/cpu/kernel.h"

typedef uint64_t pha__random; /* state of a small generator; any value is a seed */

uint32_t pha__random_next(pha__random *r);
int pha__random_below(pha__random *r, int n); /* [0, n) */
float pha__random_normal(pha__random *r);     /* N(0, 1) */

/* What a reference sees: dense doubles, row r of input i at in[i] + r * width[i]; a value has B * T rows, row b * T +
 * t. forward writes out. backward adds to d_in[i], which the harness has cleared, from d_out; out holds forward's
 * result. An absent input is NULL; a gradient that does not exist (no_grad) is NULL too. */
typedef struct pha__op_reference {
    int B, T;
    const void *attr;
    const double *in[PHA__MAX_IN];
    int rows[PHA__MAX_IN], width[PHA__MAX_IN];
    double *out;
    int out_width;
    const double *d_out; /* of a loss: loss_scale in column 0, else 0 */
    double *d_in[PHA__MAX_IN];
    const pha__run *run;
} pha__op_reference;

typedef struct pha__input { /* width 0: absent */
    int rows;               /* a parameter's rows; 0: a value (B, T, width) */
    int width;
    float scale, shift;     /* content: normal(0,1) * scale + shift, or */
    void (*fill)(float *x, int rows, int width, pha__random *r);
    bool f32;               /* stays fp32 in bf16 mode (as parameters of one row always do) */
    bool no_grad;           /* a constant */
} pha__input;

/* Limits of E2 and Emax in fp32 and in bf16 storage (numerics.md 2); 0: that measure is not limited. Of each tensor at
 * least one must be, unless the test says `unlimited`. */
typedef struct pha__limits {
    double e2, emax, bf16_e2, bf16_emax;
    bool absolute;          /* emax is max |x - ref| itself and E2 is |x - ref| / sqrt(n) */
    double floor;           /* rms(ref) counts as at least this (tensors that are zero but for rounding) */
    bool unlimited;
} pha__limits;

typedef struct pha__op_case {
    const char *name;
    int B, T;
    const void *attr;
    pha__input in[PHA__MAX_IN];
    int vocabulary;         /* > 0: run->tokens and run->targets are random ids below it */
    int distinct;           /* the tokens are among this many ids; 0: vocabulary */
    int unscored;           /* percentage of targets that are -1 */
    bool dropout;           /* with the rate and site of attr */
    int max_context;        /* ops with state: tokens a session may have, 0: T */
    bool forward_only;      /* attr is that of a program without gradients */
    bool cpu_only;          /* kernels of a GPU refuse attr */
    bool apart_on_card;     /* there the form that is used follows from B and T: rows are alike within the limits */
    bool differences;       /* small enough to check the reference by central differences */
    bool big;               /* against the reference, by threads and by cuts only, not the other contract checks */
    pha__limits out, grad[PHA__MAX_IN]; /* replace those of the test if not all zero */
} pha__op_case;

typedef struct pha__op_test {
    const pha__op *op;
    void (*forward)(pha__op_reference *r);
    void (*backward)(pha__op_reference *r); /* NULL: op->no_grad */
    pha__limits out, grad[PHA__MAX_IN];
    const pha__op_case *cases;
    int n_case;
    bool apart_on_card; /* of every case */
    /* Checks beyond the list above, and all checks of an op that is run by the trainer: NULL or a function that calls
     * pha__check for everything that must be true. Done for every instruction set. */
    void (*extra)(const pha__kernel *kernel);
} pha__op_test;

#define PHA__LIMITS(e2_, emax_, bf16_e2_, bf16_emax_) \
    {.e2 = (e2_), .emax = (emax_), .bf16_e2 = (bf16_e2_), .bf16_emax = (bf16_emax_)}

#define PHA__CASES(array) .cases = (array), .n_case = (int)(sizeof(array) / sizeof(array)[0])

/* The dropout mask of one element of a reference, 0 or 1 / (1 - rate), as backend/cpu/dropout.h describes it. */
double pha__mask_of(const pha__op_reference *r, float rate, uint32_t site, int64_t row, int column);

/* For references of ops that end in a norm, by row: x becomes gain x / rms(x); d, the gradient of that, becomes the
 * gradient of x. dgain may be NULL. */
void pha__norm_of(double *x, const double *gain, int n, double eps);
void pha__norm_gradient(double *d, const double *x, const double *gain, double *dgain, int n, double eps);

/* ---- for `extra` ---- */

/* Records a failure of the running test, with printf text, unless ok. Returns ok. */
bool pha__check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));

typedef enum pha__order { PHA__ONE_BY_ONE, PHA__BACKWARDS, PHA__RANGES, PHA__THREADS, PHA__N_ORDER } pha__order;

/* Runs all phases of a pass. work and scratch come from the kernel's own sizes for `plan` (a, if NULL), hold NaN
 * before and are checked for writes outside. */
void pha__run_kernel(const pha__kernel *kernel, const pha__args *a, const pha__args *plan, pha__pass pass,
                     pha__order order);

/* E2 and Emax of x against ref. */
void pha__errors(const float *x, const double *ref, int64_t n, const pha__limits *limits, double *e2, double *emax);

/* ---- for main.c ---- */

/* Each returns the number of failures, all of which have been printed. */
int pha__test_reference(const pha__op_test *test);
int pha__test_kernel(const pha__op_test *test, const pha__kernel *kernel, const char *isa);

#endif
