/* pha/process.h -- the process; of pha.h */
#ifndef PHA_PROCESS_H
#define PHA_PROCESS_H

#include "pha/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The allocator of everything libpha allocates. alloc returns memory aligned to `align` bytes (a power of two) or NULL.
 * Set it before anything else is called; NULL restores the default. Once libpha holds memory a change is ignored, with
 * a warning in the log. What jansson, zlib and zstd allocate for libpha comes from it as well.
 *
 * jansson has one allocator for the whole process: libpha sets it when it is loaded. A program that uses jansson too
 * keeps what it has: its values and texts come from the functions that were set before (malloc and free, as a rule),
 * and values may go from one to the other. If it sets functions of its own it does so before libpha is loaded, or while
 * no call of libpha runs and no object of libpha is open; from then on jansson's share of libpha's memory is theirs. */
typedef struct pha_allocator {
    void *(*alloc)(void *context, size_t size, size_t align);
    void (*free)(void *context, void *memory);
    void *context;
} pha_allocator;
PHA_API void pha_set_allocator(const pha_allocator *allocator);

/* Warnings and notes; level 0 warning, 1 note, 2 trace. Default: stderr. fn = NULL restores the default. */
typedef void pha_log_fn(void *context, int level, const char *message);
PHA_API void pha_set_log(pha_log_fn *fn, void *context);

PHA_API void pha_free(void *memory); /* for memory that a function below hands to the caller */
PHA_API const char *pha_isa(void);   /* instruction set of the kernels in use: "avx512", ... (PHA_ISA overrides) */

/* Asks training, evaluation, preparation and generation in this process to stop soon and cleanly (they return
 * PHA_STOPPED). Async-signal-safe: meant for signal handlers. */
PHA_API void pha_request_stop(void);
PHA_API void pha_clear_stop(void);

/* Several processes that train or evaluate together are started by mpirun, mpiexec or srun: how many these are, and the
 * number of this one, by what the starter left in the environment. Alone, or with PHA_RANKS=1: 1 and 0. Only pha_train,
 * pha_trainer_open with the steps that follow, and pha_eval are done together; all ranks make the same calls. */
PHA_API int pha_ranks(void);
PHA_API int pha_rank(void);

/* The path of the file whose contents are mapped at an address, NULL: none. Of use in a handler of SIGBUS, which comes
 * when a file that is open here is truncated by somebody else; it may be called there. */
PHA_API const char *pha_mapped_file(const void *address);

/* Called now and then by long work; `done` and `total` in `unit`s, rate per second, `seconds_left` < 0: unknown.
 * `line` is a ready text for a person (loss, tokens/s, time left ...). */
typedef struct pha_progress {
    const char *phase, *unit, *line;
    double done, total, rate, seconds_left;
} pha_progress;
typedef void pha_progress_fn(void *user, const pha_progress *progress);

#ifdef __cplusplus
}
#endif
#endif
