/* lab.h -- small models for tests: configurations of every option, a program with weights bound to it, data, errors */
#ifndef PHA__LAB_H
#define PHA__LAB_H

#include "models/models.h"
#include "runtime/train/optimizer.h"
#include "support/check.h"

/* The tiny preset with options: every switch of pha.md 8 and 10 that the models know. */
typedef struct lab_variant {
    const char *name, *arch, *options; /* options: members of a JSON object, may be "" */
} lab_variant;

extern const lab_variant lab_variants[];
extern const int lab_n_variants;

const lab_variant *lab_find(const char *name);
void lab_config(pha__config *c, const lab_variant *v);
void lab_write_config(const char *path, const lab_variant *v, int vocab); /* a config.json; vocab 0: the data's */

/* A program, its weights and the executor. Weights are functions of path and seed alone; vectors are moved off their
 * initial values (gains of exactly 1 hide errors) and matrices are rounded to bf16, so that programs of both types have
 * the same weights. */
typedef struct lab {
    pha__program *program;
    pha__exec *exec;
    pha__store *store;
    pha__optimizer optimizer;
    float *weights, *grads; /* the blocks of the store */
    float *out;             /* of lab_output */
} lab;

/* Closes everything and returns the status where something fails. */
pha_status lab_try(lab *l, const pha__config *c, const pha__program_options *options, pha__head head,
                   pha__device *device);
void lab_open(lab *l, const pha__config *c, const pha__program_options *options, pha__head head, pha__device *device);
void lab_bind(lab *l, pha__device *device); /* weights and executor of l->program, recorded by the caller */
void lab_close(lab *l);

pha__device *lab_device(void); /* the processor with two threads, made on first use */

/* Rows of an output of the last run; valid until the next call and lab_close. */
const float *lab_output(lab *l, const char *name, int64_t rows);
/* Numbers of parameter i. */
float *lab_weight(const lab *l, int i);
float *lab_grad(const lab *l, int i);

/* Tokens and the targets that follow them; unscored: percentage of targets that are -1. Returns a number of scored
 * tokens. */
int lab_tokens(int32_t *tokens, int32_t *targets, int n, int vocabulary, int unscored, uint64_t seed);
uint32_t lab_random(uint64_t *state); /* splitmix64 */
double lab_normal(uint64_t *state);

/* |x - y| / |y| over n numbers; not finite: infinity. 0 / 0 is 0. */
double lab_e2(const float *x, const float *y, int64_t n);
double lab_loss(lab *l, int rows, double scale); /* scale * sum nll of the last run */
bool lab_same(const void *x, const void *y, size_t bytes);

#endif
