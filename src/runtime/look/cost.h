/* cost.h -- what a model costs, from its recorded program alone: operations, traffic, memory (algorithms.md 9 to 11)
 *
 * Nothing here allocates a model or runs one. Operations are useful ones, 2 per multiply-add, in the classes of the
 * cost model; the small work of norms, mixing, scan and activations is counted apart.
 */
#ifndef PHA__COST_H
#define PHA__COST_H

#include "runtime/model.h"

typedef struct pha__cost {
    double linear;    /* products with weights, without the head */
    double head;      /* logits */
    double attention; /* the core: grows with the context */
    double other;     /* everything elementwise; not part of the cost model */
} pha__cost;

/* Operations of a pass for all its B * T tokens, `context` tokens being in the state. Repeats don't count. */
pha__cost pha__cost_of(const pha__program *p, pha__pass pass, int64_t context);
double pha__cost_total(const pha__cost *c); /* of the cost model: without `other` */
/* Operations per token of a sequence of `context` tokens. */
pha_status pha__cost_per_token(const pha__config *c, int32_t context, pha__cost *forward, pha__cost *training);

typedef struct pha__state_size { /* bytes of one session */
    size_t cache, recurrent, other, total;
} pha__state_size;
pha__state_size pha__state_size_of(const pha__program *p);

typedef enum pha__memory_kind {
    PHA__MEM_WEIGHTS, PHA__MEM_HALF, PHA__MEM_GRADS, PHA__MEM_MOMENTS, PHA__MEM_STATE, /* blocks of their own */
    PHA__MEM_SCRATCH,
    PHA__MEM_ACTIVATIONS, PHA__MEM_ACT_GRADS, PHA__MEM_SAVED, PHA__MEM_LOGITS, PHA__MEM_WORK,
    PHA__MEM_KINDS
} pha__memory_kind;
#define PHA__MEM_PLANNED PHA__MEM_ACTIVATIONS /* from here on: parts of the planned block */

extern const char *const pha__memory_names[PHA__MEM_KINDS]; /* for a person */
extern const char *const pha__memory_keys[PHA__MEM_KINDS];  /* of JSON */

typedef struct pha__memory {
    size_t kind[PHA__MEM_KINDS]; /* of the block: each at its highest, so they needn't sum to it */
    size_t block, naive, total;  /* total: blocks of their own and the planned block */
} pha__memory;

/* Plans the program for the device, if it isn't planned yet, and adds up. */
pha_status pha__memory_of(pha__memory *m, pha__program *p, pha__device *device);

/* What the machine has free, in bytes, also under a control group's limit; SIZE_MAX where that can't be found out. */
size_t pha__memory_free(void);

json_t *pha__memory_json(const pha__memory *m); /* new reference; NULL: out of memory */

#endif
