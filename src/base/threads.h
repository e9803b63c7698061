/* threads.h -- a pool of threads that runs numbered tasks
 *
 * The tasks are defined by the data, never by the number of threads, so a result does not depend on which thread ran
 * which task. The calling thread is worker 0.
 */
#ifndef PHA__THREADS_H
#define PHA__THREADS_H

#include <stdint.h>

#include "base/status.h"

typedef struct pha__pool pha__pool;

/* Does tasks [begin, end); worker is in [0, threads) and names the scratch memory that may be used. */
typedef void pha__task(void *context, int64_t begin, int64_t end, int worker);

int pha__processors(void); /* processors this process may run on */

/* n_threads = 0: PHA_THREADS if set, else pha__processors(). Threads are not pinned. */
pha_status pha__pool_open(pha__pool **out, int n_threads);
void pha__pool_close(pha__pool *pool);
int pha__pool_threads(const pha__pool *pool);

/* Runs all of [0, n) and returns when done. Tasks are claimed in order; no allocation, no lock on the fast path
 * (workers spin for some microseconds before they sleep). One caller at a time per pool. */
void pha__pool_run(pha__pool *pool, int64_t n, pha__task *task, void *context);

#endif
