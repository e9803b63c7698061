/* tasks.h -- the tasks of the recall laboratory: sequences that are made, not read (docs/lab.md has the definitions)
 *
 * An example is T inputs and T targets; a target of -1 is not scored. It is a function of (seed, part, index) and of
 * the sizes alone, so there is no data set to keep, and any number of readers see the same.
 */
#ifndef PHA__LAB_TASKS_H
#define PHA__LAB_TASKS_H

#include "base/status.h"
#include "runtime/lab/draw.h"

enum { PHA__LAB_ANY_DEPTH = -1, PHA__LAB_WORDS = 30 };

typedef struct pha__lab_sizes {
    int32_t T, V, n; /* length, vocabulary, and how many things are to be recalled */
    int32_t chains;  /* of a task with chains */
    int32_t depth;   /* percent, of a task with depths; PHA__LAB_ANY_DEPTH: drawn for each example */
    int32_t avoid;   /* an id that no example of ordinary words has (the one that ends texts); -1: none */
} pha__lab_sizes;

typedef struct pha__lab_task pha__lab_task;

/* A task: one constant row. */
typedef struct pha__lab_row {
    const char *name, *things; /* what n counts: "pairs" */
    int32_t T, V, n;           /* defaults */
    bool has_depth, has_chains;
    pha_status (*check)(const pha__lab_sizes *s);
    void (*make)(pha__lab_task *t, int32_t *x, int32_t *y); /* x holds zeros and y -1 when it is called */
} pha__lab_row;

extern const pha__lab_row pha__lab_mqar, pha__lab_induction, pha__lab_copy, pha__lab_selective, pha__lab_passkey,
    pha__lab_needle, pha__lab_tracking;
extern const pha__lab_row *const pha__lab_rows[]; /* ended by NULL */

/* USAGE: there is none of this name; the message has the nearest. */
pha_status pha__lab_find(const pha__lab_row **out, const char *name);

struct pha__lab_task {
    const pha__lab_row *row;
    pha__lab_sizes s;
    uint64_t seed;
    pha__draws draws;
    int32_t word[PHA__LAB_WORDS];      /* ids with a part of their own, of (seed, V) alone */
    int32_t *pool, *undo, *a, *b, *c;  /* scratch: pool holds 0, 1, ... between calls */
    double *rates, *times;             /* of a race (recall.c) */
};

/* Zeros in `sizes` are the task's defaults (depth and avoid are taken as they are). USAGE: there are no such examples,
 * and why. Making one allocates nothing. */
pha_status pha__lab_open(pha__lab_task *t, const pha__lab_row *row, const pha__lab_sizes *sizes, uint64_t seed);
void pha__lab_close(pha__lab_task *t); /* a zeroed one is allowed */
/* The same without opening it; fills in the zeros. */
pha_status pha__lab_check(const pha__lab_row *row, pha__lab_sizes *sizes);
/* Example `index` below 2^63 of the training or of the test part. */
void pha__lab_make(pha__lab_task *t, bool test, uint64_t index, int32_t *inputs, int32_t *targets);

/* ---- for the tasks ---- */

/* k different numbers of low .. low + count - 1, in an order that is drawn too; count <= max(T, V), k <= count. */
void pha__lab_distinct(pha__lab_task *t, int32_t low, int32_t count, int32_t k, int32_t *out);
/* k different numbers below `count`, ascending: every such set is as likely. */
void pha__lab_places(pha__lab_task *t, int32_t count, int32_t k, int32_t *out);
/* Ordinary words are numbered 0, 1, ...; the id of a word. All ids but `avoid` are words, in an order that (seed, V)
 * draws. */
int32_t pha__lab_word(const pha__lab_task *t, int32_t number);
int32_t pha__lab_words(const pha__lab_sizes *s);
/* Which of `count` places a depth means, 0 to count - 1. */
int32_t pha__lab_depth(pha__lab_task *t, int32_t count);

#endif
