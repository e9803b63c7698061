/* threads.c -- the pool
 *
 * A run opens a gate, raises the epoch, works along and, when no task is left to claim, shuts the gate and waits until
 * nobody is inside. A worker that sees a new epoch steps inside and looks at the gate: if it is shut, the worker came
 * too late and leaves. (The worker writes `inside` and then reads `gate`, the caller writes `gate` and then reads
 * `inside`, all sequentially consistent: one of the two sees the other.) So a run never waits for a thread that sleeps.
 */
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define MAX_THREADS 1024
#define SPINS 3000      /* pauses before a worker sleeps: some tens of microseconds */
#define SPINS_BUSY 50   /* the same with more threads than processors */
#define LINE _Alignas(64)

typedef struct worker {
    pha__pool *pool;
    int index;
    pthread_t thread;
} worker;

struct pha__pool {
    int threads, started, spins;
    worker *workers;
    /* the run */
    pha__task *task;
    void *context;
    int64_t n, grain;
    LINE atomic_int_fast64_t next; /* first task that is not claimed */
    LINE atomic_uint epoch;
    atomic_int gate, stop;
    LINE atomic_int inside;
    LINE atomic_int sleepers;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

int pha__processors(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
}

static void work(pha__pool *pool, int index)
{
    int64_t n = pool->n, grain = pool->grain;
    for (;;) {
        int64_t begin = atomic_fetch_add_explicit(&pool->next, grain, memory_order_relaxed);
        if (begin >= n) return;
        pool->task(pool->context, begin, n - begin < grain ? n : begin + grain, index);
    }
}

/* Returns when the epoch is no longer `seen`. */
static unsigned wait_epoch(pha__pool *pool, unsigned seen)
{
    unsigned epoch;
    for (int i = 0; i < pool->spins; i++) {
        epoch = atomic_load_explicit(&pool->epoch, memory_order_acquire);
        if (epoch != seen) return epoch;
        relax();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while ((epoch = atomic_load(&pool->epoch)) == seen) pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
    return epoch;
}

static void *worker_main(void *arg)
{
    worker *w = arg;
    pha__pool *pool = w->pool;
    for (unsigned epoch = 0;;) {
        epoch = wait_epoch(pool, epoch);
        if (atomic_load(&pool->stop)) return NULL;
        atomic_fetch_add(&pool->inside, 1);
        if (atomic_load(&pool->gate)) work(pool, w->index);
        atomic_fetch_sub(&pool->inside, 1);
    }
}

/* Tells all workers that something changed. */
static void raise_epoch(pha__pool *pool)
{
    atomic_fetch_add(&pool->epoch, 1);
    if (atomic_load(&pool->sleepers) == 0) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

void pha__pool_run(pha__pool *pool, int64_t n, pha__task *task, void *context)
{
    if (n <= 0) return;
    if (pool->threads == 1 || n == 1) {
        task(context, 0, n, 0);
        return;
    }
    pool->task = task;
    pool->context = context;
    pool->n = n;
    pool->grain = n / ((int64_t)pool->threads * 16);
    if (pool->grain < 1) pool->grain = 1;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store(&pool->gate, 1);
    raise_epoch(pool);
    work(pool, 0);
    atomic_store(&pool->gate, 0);
    for (int i = 0; atomic_load(&pool->inside) != 0; i++) {
        if (i < SPINS) relax();
        else sched_yield();
    }
}

/* Workers take no signals: those belong to the threads of the application. */
static pha_status start_workers(pha__pool *pool)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = 0;
    for (int i = 1; i < pool->threads && error == 0; i++) {
        pool->workers[i] = (worker){ .pool = pool, .index = i };
        error = pthread_create(&pool->workers[i].thread, NULL, worker_main, &pool->workers[i]);
        if (error == 0) pool->started = i;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!error) return PHA_OK;
    FAIL(NO_MEMORY, "cannot start thread %d of %d (%s): too little memory for it, or too many threads; use fewer",
         pool->started + 2, pool->threads, strerror(error));
}

static pha_status choose_threads(int *n)
{
    if (*n < 0 || *n > MAX_THREADS) FAIL(USAGE, "the number of threads is %d, not in 1 to %d", *n, MAX_THREADS);
    if (*n > 0) return PHA_OK;
    const char *text = getenv("PHA_THREADS");
    *n = pha__processors();
    if (!text || !*text) return PHA_OK;
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || value < 1 || value > MAX_THREADS)
        FAIL(USAGE, "PHA_THREADS = %s is not a number in 1 to %d", text, MAX_THREADS);
    *n = (int)value;
    return PHA_OK;
}

pha_status pha__pool_open(pha__pool **out, int n_threads)
{
    *out = NULL;
    TRY(choose_threads(&n_threads));
    pha__pool *pool = pha__alloc_zero(1, sizeof *pool);
    if (!pool) return PHA_NO_MEMORY;
    pool->threads = n_threads;
    pool->spins = n_threads <= pha__processors() ? SPINS : SPINS_BUSY;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->workers = pha__alloc_zero((size_t)n_threads, sizeof *pool->workers);
    pha_status status = pool->workers ? start_workers(pool) : PHA_NO_MEMORY;
    if (status != PHA_OK) {
        pha__pool_close(pool);
        return status;
    }
    *out = pool;
    return PHA_OK;
}

void pha__pool_close(pha__pool *pool)
{
    if (!pool) return;
    atomic_store(&pool->stop, 1);
    raise_epoch(pool);
    for (int i = 1; i <= pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    pha__free(pool->workers);
    pha__free(pool);
}

int pha__pool_threads(const pha__pool *pool) { return pool->threads; }
