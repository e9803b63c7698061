/* The pool: every task exactly once, whatever the number of threads and the pauses between runs */
#include "base/threads.h"

#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "base/mem.h"
#include "support/check.h"

#define MAX 5000

typedef struct job {
    int threads, slow;
    atomic_int done[MAX];
    atomic_int inside[8]; /* is this worker's scratch in use? */
} job;

static void mark(void *context, int64_t begin, int64_t end, int worker)
{
    job *j = context;
    if (worker < 0 || worker >= j->threads || begin >= end) abort();
    if (atomic_fetch_add(&j->inside[worker], 1) != 0) abort();
    for (int64_t i = begin; i < end; i++) {
        atomic_fetch_add(&j->done[i], 1);
        if (j->slow && i % 97 == 0) nanosleep(&(struct timespec){ 0, 20000 }, NULL);
    }
    atomic_fetch_sub(&j->inside[worker], 1);
}

static void run_once(pha__pool *pool, job *j, int64_t n)
{
    memset(j->done, 0, sizeof j->done);
    pha__pool_run(pool, n, mark, j);
    for (int64_t i = 0; i < n; i++)
        if (atomic_load(&j->done[i]) != 1)
            fail_msg("task %d of %d ran %d times", (int)i, (int)n, atomic_load(&j->done[i]));
}

static void every_task_once(void **state)
{
    (void)state;
    static job j;
    for (int threads = 1; threads <= 4; threads++) {
        pha__pool *pool;
        OK(pha__pool_open(&pool, threads));
        assert_int_equal(pha__pool_threads(pool), threads);
        j.threads = threads;
        static const int64_t sizes[] = { 0, 1, 2, 3, 4, 5, 64, 1000, MAX };
        uint64_t before = pha__mem_count();
        for (int round = 0; round < 300; round++) {
            j.slow = round % 50 == 7;
            if (round % 60 == 0) nanosleep(&(struct timespec){ 0, 2000000 }, NULL); /* let the workers sleep */
            run_once(pool, &j, sizes[round % 9]);
        }
        assert_int_equal(pha__mem_count(), before);
        pha__pool_close(pool);
    }
}

/* Many tiny runs: the next run's data must never be touched by a worker of the last one. */
static void add_one(void *context, int64_t begin, int64_t end, int worker)
{
    (void)worker;
    int *x = context;
    for (int64_t i = begin; i < end; i++) x[i]++;
}

static void back_to_back(void **state)
{
    (void)state;
    for (int threads = 2; threads <= 4; threads++) {
        pha__pool *pool;
        OK(pha__pool_open(&pool, threads));
        int a[7] = { 0 }, b[7] = { 0 }, rounds = 20000;
        for (int i = 0; i < rounds; i++) {
            pha__pool_run(pool, 7, add_one, a);
            pha__pool_run(pool, 3, add_one, b);
        }
        for (int i = 0; i < 7; i++) assert_int_equal(a[i], rounds);
        for (int i = 0; i < 7; i++) assert_int_equal(b[i], i < 3 ? rounds : 0);
        pha__pool_close(pool);
    }
}

static void *whole_life(void *arg)
{
    pha__pool *pool;
    int x[64] = { 0 };
    if (pha__pool_open(&pool, 2) != PHA_OK) return arg;
    for (int i = 0; i < 200; i++) pha__pool_run(pool, 64, add_one, x);
    pha__pool_close(pool);
    return x[63] == 200 ? NULL : arg;
}

static void two_pools(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) assert_null(whole_life(&i)); /* open and close at once, too */
}

static void counts(void **state)
{
    (void)state;
    pha__pool *pool;
    assert_true(pha__processors() >= 1);
    FAILS(USAGE, "threads", pha__pool_open(&pool, -1));
    assert_null(pool);
    setenv("PHA_THREADS", "three", 1);
    FAILS(USAGE, "PHA_THREADS = three", pha__pool_open(&pool, 0));
    setenv("PHA_THREADS", "3", 1);
    OK(pha__pool_open(&pool, 0));
    assert_int_equal(pha__pool_threads(pool), 3);
    pha__pool_close(pool);
    unsetenv("PHA_THREADS");
    pha__pool_close(NULL);
    for (int n = 1; n <= 2; n++) {
        pha__mem_fail_at((uint64_t)n);
        FAILS(NO_MEMORY, "memory", pha__pool_open(&pool, 2));
        assert_null(pool);
    }
    pha__mem_fail_at(0);
    assert_int_equal(pha__mem_now(), 0);
}

/* No room for the threads' stacks: a failure of memory that says what to do, not some failure. */
static void no_stacks(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    print_message("skipped: the sanitizer needs its address space\n");
#else
    int result;
    pid_t child = fork();
    if (child == 0) {
        unsigned long pages = 0;
        FILE *f = fopen("/proc/self/statm", "r");
        if (!f || fscanf(f, "%lu", &pages) != 1) _exit(99);
        rlim_t most = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (16 << 20);
        pha__pool *pool;
        if (setrlimit(RLIMIT_AS, &(struct rlimit){most, most})) _exit(98);
        pha_status status = pha__pool_open(&pool, 500);
        _exit(pool || !strstr(pha_errmsg(), "too many threads") ? 97 : (int)status);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), PHA_NO_MEMORY);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_once), cmocka_unit_test(back_to_back),
        cmocka_unit_test(two_pools), cmocka_unit_test(counts), cmocka_unit_test(no_stacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
