/* main.c -- the tests of all ops: one per op for its reference, one per op and instruction set for its kernel
 *
 *   test_ops             all of them
 *   test_ops 'scan*'     those whose name fits
 * PHA_TEST_VERBOSE=1 prints every error that was measured.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backend/cpu/detect.h"
#include "cuda/rows.h"
#include "harness.h"

/* ops/<op>/<op>_test.c defines pha__test_<op>; an op without one doesn't link. */
#define PHA__OP(name) extern const pha__op_test pha__test_##name;
#include "ops/ops.def"
#undef PHA__OP

static const pha__op_test *const tests[] = {
#define PHA__OP(name) &pha__test_##name,
#include "ops/ops.def"
#undef PHA__OP
};

enum { N_OP = sizeof tests / sizeof tests[0], MAX_TABLE = 8 };

typedef struct job {
    const pha__op_test *test;
    const pha__kernel *kernel; /* NULL: the reference */
    const char *isa;
    char name[80];
} job;

static void run_job(void **state)
{
    const job *j = *state;
    int failures = j->kernel ? pha__test_kernel(j->test, j->kernel, j->isa) : pha__test_reference(j->test);
    assert_int_equal(failures, 0);
}

static const pha__kernel *find_kernel(const pha__cpu_table_info *table, const pha__op *op)
{
    const pha__cpu_row *row = table->rows;
    while (row->op && row->op != op) row++;
    return row->kernel;
}

#ifdef PHA__TEST_ROWS /* "cuda" or "cuda-emulated": the kernels of a GPU are linked */
void pha__rows_failed(const char *refused, int error)
{
    if (refused) pha__check(false, "refused: %s", refused);
    else pha__check(false, "a launch failed: CUDA's error %d", error);
}

static job job_of_rows(const pha__op_test *test)
{
    job j = {.test = test, .kernel = pha__rows_kernel(test->op->name), .isa = PHA__TEST_ROWS};
    snprintf(j.name, sizeof j.name, "%s/%s", test->op->name, PHA__TEST_ROWS);
    return j;
}
#endif

int main(int argc, char **argv)
{
    static job jobs[N_OP * (MAX_TABLE + 2)];
    static struct CMUnitTest list[N_OP * (MAX_TABLE + 2)];
    const pha__cpu_table_info *tables;
    size_t n = 0, n_table = pha__cpu_tables(&tables);

    for (int i = 0; i < N_OP; i++) {
        const char *op = tests[i]->op->name;
        jobs[n] = (job){.test = tests[i], .isa = "reference"};
        snprintf(jobs[n].name, sizeof jobs[n].name, "%s/reference", op);
        n++;
        for (size_t k = 0; k < n_table && k < MAX_TABLE; k++) {
            if (!tables[k].supported) continue;
            jobs[n] = (job){.test = tests[i], .kernel = find_kernel(&tables[k], tests[i]->op), .isa = tables[k].isa};
            snprintf(jobs[n].name, sizeof jobs[n].name, "%s/%s", op, tables[k].isa);
            n++;
        }
#ifdef PHA__TEST_ROWS
        jobs[n] = job_of_rows(tests[i]);
        n += jobs[n].kernel != NULL;
#endif
    }
    for (size_t k = 0; k < n; k++) {
        list[k] = (struct CMUnitTest){.name = jobs[k].name, .test_func = run_job, .initial_state = &jobs[k]};
    }
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return _cmocka_run_group_tests("ops", list, n, NULL, NULL);
}
