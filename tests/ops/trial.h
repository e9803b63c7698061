/* trial.h -- one run of a kernel on a problem, in guarded memory */
#ifndef PHA__TRIAL_H
#define PHA__TRIAL_H

#include "problem.h"

/* Columns on either side of a view with gaps: odd, so that no row but the first is aligned; 8 for kernels that copy
 * by 16 bytes. */
extern int pha__gap;

typedef struct pha__trial {
    /* what the caller sets */
    const pha__problem *problem;
    const pha__kernel *kernel;
    const pha__problem *plan;  /* work, scratch and saved are sized for this one; NULL: problem */
    pha__order order;
    bool gaps;                 /* views have columns of others between their rows */
    bool add;                  /* gradients are added to content (random) instead of stored */
    uint32_t without;          /* gradients that are not wanted */
    char **state;              /* NULL: none; see pha__state_open */
    const pha__dtype *weights; /* format of the parameters of several rows; NULL: as the problem says */
    /* One of the microbatches of a lane: where the gradients of parameters are (dense, PHA__MAX_IN of them; NULL: this
     * is the only one), whether some went before and some come behind. */
    float **lane;
    bool more, not_last;
    bool shared;   /* another step has written those gradients */
    float *sums;   /* op->sums floats; NULL: none */
    /* what it gets */
    pha__args args, sizes;
    double *content[PHA__MAX_IN];
    struct pha__block {
        unsigned char *base, *copy; /* copy: what it must still be after the run */
        size_t size;
    } block[3 * PHA__MAX_IN];
    int n_block;
} pha__trial;

void pha__trial_open(pha__trial *t);
void pha__trial_forward(pha__trial *t);
void pha__trial_backward(pha__trial *t); /* what the op does not declare to read is NaN by now */
void pha__trial_close(pha__trial *t);    /* checks the guards */

/* Dense copies, to be freed by the caller. */
float *pha__trial_out(const pha__trial *t);
float *pha__trial_grad(const pha__trial *t, int i);

/* Zeroed state for the sequences of a problem, with guards. */
char **pha__state_open(const pha__problem *p);
void pha__state_close(const pha__problem *p, char **state);

/* ---- checks of the harness in files of their own ---- */

void pha__now(const char *what); /* names the running check in messages */
/* n floats of rows that ought to be the same: by their bits, or, of an op whose `apart` says so, within the limits of
 * its output, which counts as at least of that size (rms). */
bool pha__same_rows(const pha__problem *p, const float *x, const float *y, int64_t n, double size);
/* Within those limits. */
bool pha__close_rows(const pha__problem *p, const float *x, const float *y, int64_t n, double size);
void pha__check_rows(const pha__problem *p, const pha__kernel *kernel);    /* rows.c */
void pha__check_cuts(const pha__problem *p, const pha__kernel *kernel);    /* rows.c, ops with state */
void pha__check_formats(const pha__problem *p, const pha__kernel *kernel); /* formats.c */
void pha__check_microbatches(const pha__problem *p, const pha__kernel *kernel); /* microbatches.c */

#endif
