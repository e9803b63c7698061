/* store.h -- where the parameters of a model are: one place per parameter and role
 *
 * A role is what a copy of the parameters is for. A store holds, for each of its roles, one address and one format per
 * parameter, on one device. What it allocates itself is one block per role, laid out as the program lays out its
 * weights (program/fuse.c: stacks that one product reads lie together); a model's mapped file is a role whose places
 * were set one by one.
 */
#ifndef PHA__STORE_H
#define PHA__STORE_H

#include "backend/backend.h"
#include "program/program.h"

typedef enum pha__role {
    PHA__WEIGHT,  /* the parameters themselves: fp32 in training, what the file holds in a model */
    PHA__WORKING, /* copies that programs read instead, where there are some: bf16 matrices, panels */
    PHA__GRADIENT,
    PHA__MOMENT_1,
    PHA__MOMENT_2,
    PHA__MASTER, /* the weights of which programs read working copies, where they are elsewhere than the others */
    PHA__ROLES
} pha__role;

typedef struct pha__place {
    void *data; /* on the store's device; NULL: this parameter has no such place, or lies in that of others */
    pha__dtype format;
} pha__place;

/* Which parameters a role is added for; or-ed. Of frozen ones only with PHA__ALL_FROZEN. */
enum {
    PHA__ALL_MATRICES = 1,
    PHA__ALL_VECTORS = 2,
    PHA__ALL_CONSTANTS = 4,
    PHA__ALL_FROZEN = 8,
    PHA__ALL_PARAMS = 15
};

typedef struct pha__store {
    const pha__program *names; /* paths, shapes and layout of the parameters; outlives the store */
    pha__device *device;       /* NULL: memory of the host that others own */
    pha__place *place[PHA__ROLES]; /* n_params each; NULL: no such role */
    void *block[PHA__ROLES];
    int64_t first[PHA__ROLES]; /* the element with which the block begins: 0, but of a part */
} pha__store;

pha_status pha__store_open(pha__store **out, const pha__program *names, pha__device *device);
void pha__store_close(pha__store *s); /* NULL is allowed */

/* Allocates a block for a role, filled with zeros: matrices in `format`, all others in fp32. */
pha_status pha__store_add(pha__store *s, pha__role role, int which, pha__dtype format);
/* The same with a format for each parameter. Matrices that lie together have one: where theirs differ, `mixed`. */
pha_status pha__store_add_each(pha__store *s, pha__role role, int which, const pha__dtype *formats, pha__dtype mixed);
/* Allocates fp32 numbers for the elements [begin, end) of the learned parameters' layout alone, filled with zeros: no
 * parameter has a place in such a role, whoever uses it knows its block. */
pha_status pha__store_add_part(pha__store *s, pha__role role, int64_t begin, int64_t end);
/* Sets one place to memory that is not the store's. */
pha_status pha__store_set(pha__store *s, pha__role role, int i, void *data, pha__dtype format);

/* The place of parameter i, data NULL if there is none. */
pha__place pha__store_at(const pha__store *s, pha__role role, int i);
/* The one that programs read: the working copy where there is one, else the weight. */
pha__place pha__store_read(const pha__store *s, int i);

/* Numbers of parameter i from and to the host, fp32 (rows, width), dense. Fails if it has no such place. */
pha_status pha__store_copy_in(pha__store *s, pha__role role, int i, const float *from);
pha_status pha__store_copy_out(const pha__store *s, pha__role role, int i, float *to);
/* Fills all places of a role of `to` with the numbers of a role of `from`, in the formats of the places. The stores may
 * be the same one, and lie on different devices; their programs have the same parameters. Where both formats are the
 * same the numbers stay as they are. */
pha_status pha__store_convert(pha__store *to, pha__role to_role, const pha__store *from, pha__role from_role);

/* Fills the weights of `to` that `from` has under the same path and in the same shape, as fp32 numbers. */
pha_status pha__store_copy_named(pha__store *to, const pha__store *from);

/* Initial values of all weights, each a function of (seed, path) alone. */
pha_status pha__init_weights(pha__store *s, uint64_t seed);

/* The address of a role's numbers if the host may read them where they are, as fp32; else NULL. */
const float *pha__store_host(const pha__store *s, pha__role role, int i);

/* The numbers of all parameters in the order of their places; `out` has room for n_params. */
void pha__place_order(const pha__program *p, int *out);

/* Elements of parameter i. */
static inline int64_t pha__param_size(const pha__program *p, int i)
{
    return (int64_t)p->params[i]->rows * p->params[i]->width;
}

#endif
