/* backend.h -- where a program runs: memory, copies, the execution of one step
 *
 * A backend is a constant struct of functions; a device is what its `open` makes, used by one thread at a time. The
 * processor is the first backend. Nothing outside of backend/ knows more of a device than this header says; no type of
 * any vendor appears in it, and it compiles as C++ too.
 *
 * Memory of a device may be touched by the host only if the backend says so (host_memory); all others go through
 * upload, download, copy and fill. In the arguments of a step the addresses of views, `saved`, `work`, `run` and
 * `state` are the device's; `attr` is the host's.
 */
#ifndef PHA__BACKEND_H
#define PHA__BACKEND_H

#include "ops/op.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pha__backend pha__backend;

typedef struct pha__device { /* a backend's own struct begins with it */
    const pha__backend *backend;
} pha__device;

typedef struct pha__needs { /* bytes */
    size_t work;            /* of this step, beside its values */
    size_t scratch;         /* of the device while the step runs; steps run one after another and share it */
} pha__needs;

typedef struct pha__device_info {
    char name[128], version[64]; /* "cpu"; of the processor: the instruction set of the kernels */
    int units;                   /* threads or multiprocessors */
} pha__device_info;

typedef struct pha__ceiling { /* what the device can do, measured; 0: not known */
    double flops;             /* fused multiply-adds, operations per second */
    double bytes;             /* copying memory, read and written, per second */
} pha__ceiling;

enum { PHA__MARKS = 4096, PHA__LINK_ID = 128 };

/* The version of the kernels' arithmetic: raised by every change after which one of them gives other bits. A training
 * checkpoint has it, so that a run that goes on with other bits says so. */
#define PHA__KERNELS 4

struct pha__backend {
    const char *name;
    bool host_memory; /* the host may read and write the device's memory */
    bool by_sequence; /* gradients of parameters are sums over sequences, one after the other: the same bits however
                         those of a lane are cut into microbatches */
    size_t align;     /* of buffers in a block */
    pha__dtype matrices; /* the format in which its products read fp32 matrices best, in inference */

    /* which: what stands behind "name:", or "". threads: of a processor; 0: PHA_THREADS or all. */
    pha_status (*open)(pha__device **out, const char *which, int threads);
    void (*close)(pha__device *d);
    void (*info)(pha__device *d, pha__device_info *out);
    pha_status (*ceiling)(pha__device *d, pha__ceiling *out); /* takes a second */

    /* Content undefined; aligned to 64 bytes at least. NULL with a message: no memory. */
    void *(*alloc)(pha__device *d, size_t size);
    void (*free)(pha__device *d, void *p); /* NULL is allowed */

    /* These happen in the order of the calls. upload: `from` may change on return. download waits, and reports what
     * failed before it. */
    pha_status (*upload)(pha__device *d, void *to, const void *from, size_t size);
    pha_status (*download)(pha__device *d, void *to, const void *from, size_t size);
    pha_status (*copy)(pha__device *d, void *to, const void *from, size_t size);
    pha_status (*fill)(pha__device *d, void *to, int byte, size_t size);

    const void *(*kernel)(pha__device *d, const char *op); /* opaque; NULL: this backend has none */
    /* By the sizes in a alone, for any smaller B and T too. Fails if this step can't run here. */
    pha_status (*needs)(pha__device *d, const void *kernel, const pha__args *a, pha__pass pass, pha__needs *out);
    /* All phases of a pass. Allocates nothing. */
    pha_status (*run)(pha__device *d, const void *kernel, const pha__args *a, pha__pass pass, void *scratch);

    /* A sequence of runs, recorded to be repeated with other contents of the same memory (recordings.h). From begin to
     * end nothing is called but run, and nothing is done. begin NULL: not offered. */
    pha_status (*begin)(pha__device *d);
    pha_status (*end)(pha__device *d, void **recording); /* NULL with a failure */
    pha_status (*replay)(pha__device *d, void *recording);
    void (*forget)(pha__device *d, void *recording);

    /* Messages straight from this device's memory to that of other ranks' devices. link_id NULL: not offered. id, of
     * PHA__LINK_ID bytes: made by one rank, for all; NULL: only asks; NO_DEVICE: what it takes is not there. open: by
     * all ranks together. exchange: sends n_out bytes to the device of a rank and receives n_in from it, in the order
     * of the calls; either may be 0. */
    pha_status (*link_id)(pha__device *d, char *id);
    pha_status (*link_open)(pha__device *d, const char *id, int rank, int size, void **link);
    pha_status (*link_exchange)(pha__device *d, void *link, int peer, const void *out, size_t n_out, void *in,
                                size_t n_in);
    void (*link_close)(pha__device *d, void *link);
    /* Between aside(true) and aside(false) all calls go aside: they happen in their order, behind those before and
     * beside those after. join: calls after it happen behind all that went aside. */
    pha_status (*link_aside)(pha__device *d, void *link, bool aside);
    pha_status (*link_join)(pha__device *d, void *link);

    /* Time: marks 0 to PHA__MARKS - 1 are set between runs; seconds from mark a to mark b. */
    pha_status (*mark)(pha__device *d, int mark);
    pha_status (*between)(pha__device *d, int a, int b, double *seconds);
};

/* name: "cpu"; NULL: the environment's PHA_DEVICE, else "cpu". DEVICE: there is none of that name. */
pha_status pha__device_open(pha__device **out, const char *name, int threads);
void pha__device_close(pha__device *d); /* NULL is allowed */

/* The instruction set of the processor's kernels: "avx2". */
const char *pha__host_isa(void);
/* Those that this machine can run, from the plainest to the best, NULL behind the last. The device "cpu:" and one of
 * them runs its kernels. */
const char *pha__host_isa_at(size_t i);

/* On the processor, by its best instructions: sums[i] = sum of exp((x - largest) * scale) over block i of n numbers, of
 * which some may be -inf, to a relative 1e-12. Returns the largest; NaN if there is none, or one is not a number. */
#define PHA__WEIGH_BLOCK 64
float pha__weigh(const float *x, int64_t n, double scale, double *sums);

/* ---- calls through the struct ---------------------------------------------------------------------------- */

static inline int pha__device_units(pha__device *d)
{
    pha__device_info info;
    d->backend->info(d, &info);
    return info.units;
}
static inline void *pha__device_alloc(pha__device *d, size_t size) { return d->backend->alloc(d, size); }
static inline void pha__device_free(pha__device *d, void *p)
{
    if (p) d->backend->free(d, p);
}
static inline pha_status pha__upload(pha__device *d, void *to, const void *from, size_t size)
{
    return d->backend->upload(d, to, from, size);
}
static inline pha_status pha__download(pha__device *d, void *to, const void *from, size_t size)
{
    return d->backend->download(d, to, from, size);
}
static inline pha_status pha__fill(pha__device *d, void *to, int byte, size_t size)
{
    return d->backend->fill(d, to, byte, size);
}

#ifdef __cplusplus
}
#endif
#endif
