/* test_gemm.c -- the matrix product of every instruction set against double: sizes around every block edge, all
 * layouts, formats, store and add; nothing is written beside C or beyond the scratch; any order of tasks, equal bits;
 * a row has the bits that it has alone, and the same from panels as from rows */
#include <setjmp.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backend/cpu/detect.h"
#define PHA__ISA generic
#include "backend/cpu/gemm.h"
#include "backend/cpu/simd.h"
#include "base/format.h"

typedef struct set {
    const char *isa;
    int64_t (*tasks)(const pha__gemm *);
    size_t (*scratch)(int64_t, int64_t, int64_t);
    void (*run)(const pha__gemm *, int64_t, int64_t, void *);
} set;

#define SET(isa)                                                                  \
    extern int64_t pha__gemm_tasks_##isa(const pha__gemm *);                      \
    extern size_t pha__gemm_scratch_##isa(int64_t, int64_t, int64_t);             \
    extern void pha__gemm_run_##isa(const pha__gemm *, int64_t, int64_t, void *); \
    static const set set_##isa = {#isa, pha__gemm_tasks_##isa, pha__gemm_scratch_##isa, pha__gemm_run_##isa};
SET(generic)
#if PHA__HAVE_avx2
SET(avx2)
#endif
#if PHA__HAVE_avx512
SET(avx512)
#endif
#if PHA__HAVE_neon
SET(neon)
#endif
static const set *const sets[] = {
    &set_generic,
#if PHA__HAVE_avx2
    &set_avx2,
#endif
#if PHA__HAVE_avx512
    &set_avx512,
#endif
#if PHA__HAVE_neon
    &set_neon,
#endif
};

static uint64_t seed = 1;

static float uniform(void) /* [-1, 1) */
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(seed >> 40) * 0x1p-23 - 1);
}

typedef struct matrix {
    int64_t rows, columns, ld, size;
    bool transposed;
    pha__dtype type;
    void *data;
    double *value; /* rows x columns, after rounding to the format */
} matrix;

static float get(const matrix *x, int64_t i)
{
    return x->type == PHA__F32 ? ((const float *)x->data)[i] : bf16_to_f32(((const uint16_t *)x->data)[i]);
}

static matrix matrix_open(int64_t rows, int64_t columns, bool transposed, pha__dtype type)
{
    matrix x = {.rows = rows, .columns = columns, .transposed = transposed, .type = type};
    x.ld = (transposed ? rows : columns) + 5;
    x.size = (transposed ? columns : rows) * x.ld;
    size_t element = pha__dtype_size(type);
    x.data = malloc((size_t)x.size * element + 1);
    x.value = malloc((size_t)(rows * columns) * sizeof(double) + 1);
    for (int64_t i = 0; i < x.size; i++) {
        if (type == PHA__F32) ((float *)x.data)[i] = uniform();
        else ((uint16_t *)x.data)[i] = f32_to_bf16(uniform());
    }
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            x.value[i * columns + j] = get(&x, transposed ? j * x.ld + i : i * x.ld + j);
    return x;
}

static void matrix_close(matrix *x)
{
    free(x->data);
    free(x->value);
}

static const set *which;

static void run(const pha__gemm *g, bool backwards)
{
    size_t size = which->scratch(g->m, g->n, g->k);
    unsigned char *scratch = aligned_alloc(64, (size / 64 + 2) * 64);
    memset(scratch, 0xff, (size / 64 + 2) * 64); /* NaN: nothing may be read before it's written */
    int64_t n = which->tasks(g);
    if (backwards)
        for (int64_t t = n; t-- > 0;) which->run(g, t, t + 1, scratch);
    else which->run(g, 0, n, scratch);
    for (size_t i = size; i < (size / 64 + 2) * 64; i++) assert_int_equal(scratch[i], 0xff);
    free(scratch);
}

static void check(int64_t m, int64_t n, int64_t k, int options)
{
    pha__dtype type[3];
    for (int i = 0; i < 3; i++) type[i] = options >> i & 1 ? PHA__BF16 : PHA__F32;
    bool at = options >> 3 & 1, bt = options >> 4 & 1, add = options >> 5 & 1;
    matrix a = matrix_open(m, k, at, type[0]), b = matrix_open(k, n, bt, type[1]),
           c = matrix_open(m, n, false, type[2]);
    size_t bytes = (size_t)c.size * pha__dtype_size(c.type);
    void *old = malloc(bytes + 1), *first = malloc(bytes + 1);
    memcpy(old, c.data, bytes);
    pha__gemm g = {.m = m, .n = n, .k = k, .a = a.data, .b = b.data, .c = c.data, .a_row = at ? 1 : a.ld,
                   .a_col = at ? a.ld : 1, .b_row = bt ? 1 : b.ld, .b_col = bt ? b.ld : 1, .c_row = c.ld,
                   .a_type = a.type, .b_type = b.type, .c_type = c.type, .add = add};
    run(&g, false);
    memcpy(first, c.data, bytes);
    matrix before = c;
    before.data = old;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < c.ld; j++) {
            double got = get(&c, i * c.ld + j), sum = 0, size = 0;
            if (j >= n) { /* beside the matrix */
                assert_true(got == get(&before, i * c.ld + j));
                continue;
            }
            for (int64_t p = 0; p < k; p++) {
                double x = a.value[i * k + p] * b.value[p * n + j];
                sum += x;
                size += x < 0 ? -x : x;
            }
            if (add) sum += c.value[i * n + j], size += 1;
            double limit = 1e-6 * size + (c.type == PHA__BF16 ? (sum < 0 ? -sum : sum) / 256 : 0);
            if (!(got - sum <= limit && sum - got <= limit))
                fail_msg("%s: %ld x %ld x %ld, options %d: C(%ld, %ld) is %g, not %g", which->isa, (long)m, (long)n,
                         (long)k, options, (long)i, (long)j, got, sum);
        }
    memcpy(c.data, old, bytes);
    run(&g, true);
    assert_memory_equal(first, c.data, bytes);
    free(old);
    free(first);
    matrix_close(&a);
    matrix_close(&b);
    matrix_close(&c);
}

static bool choose(const char *isa)
{
    const pha__cpu_table_info *tables;
    size_t n = pha__cpu_tables(&tables);
    which = NULL;
    for (size_t i = 0; i < n; i++)
        if (!strcmp(tables[i].isa, isa) && tables[i].supported)
            for (size_t j = 0; j < sizeof sets / sizeof *sets; j++)
                if (!strcmp(sets[j]->isa, isa)) which = sets[j];
    if (!which) print_message("%s: skipped, this machine can't run it\n", isa);
    return which;
}

static void test_small(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 48, 49, 97};
    enum { N = sizeof sizes / sizeof *sizes };
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        if (!choose(sets[s]->isa)) continue;
        for (int i = 0; i < 4 * 64; i++) {
            int m = sizes[(unsigned)(uniform() * 1e4f + 1e4f) % N], n = sizes[(unsigned)(uniform() * 1e4f + 1e4f) % N];
            check(m, n, sizes[(unsigned)(uniform() * 1e4f + 1e4f) % N], i % 64);
        }
    }
}

/* Sizes that need several tasks and several steps along k. */
static void test_blocks(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        if (!choose(sets[s]->isa)) continue;
        for (int options = 0; options < 64; options += 7) check(40, 301, 1300, options);
        for (int options = 0; options < 64; options += 11) check(601, 330, 65, options);
        for (int m = 1; m < 40; m += 3) check(m, 531, 77, 16 | m % 8);
        check(3, 7, 2500, 16 | 4);
        check(9, 11, 0, 0);
        check(9, 11, 0, 32);
        check(2, 11, 0, 16);
        check(0, 11, 3, 0);
        check(11, 0, 3, 0);
    }
}

/* C of rows [i0, i0+m), dense, from a garbage-filled buffer. */
static void product(void *c, const pha__gemm *like, int64_t i0, int64_t m)
{
    pha__gemm g = *like;
    size_t element = pha__dtype_size(g.c_type);
    g.m = m, g.c = c, g.c_row = g.n;
    g.a = (const char *)g.a + (size_t)(i0 * g.a_row) * pha__dtype_size(g.a_type);
    memset(c, 0xff, (size_t)(m * g.n) * element);
    run(&g, false);
}

/* Rows of C come out as in `all` alone and with others. */
enum { ALL = 340 };
static void check_parts(const pha__gemm *g, const char *all, const char *what)
{
    static const int64_t parts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 18, 33, 40, 64, 200, ALL};
    size_t row = (size_t)g->n * pha__dtype_size(g->c_type);
    char *part = malloc(ALL * row);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int64_t i0 = (ALL - parts[i]) * 2 / 3;
        product(part, g, i0, parts[i]);
        if (memcmp(part, all + (size_t)i0 * row, (size_t)parts[i] * row))
            fail_msg("%s: %ld rows of %ld x %ld, %s, a %d, c %d: other bits", which->isa, (long)parts[i], (long)g->n,
                     (long)g->k, what, (int)g->a_type, (int)g->c_type);
    }
    free(part);
}

/* The same over a weight in any panels that hold the same numbers. */
static void check_panels(int64_t n, int64_t k, pha__dtype a_type, pha__dtype c_type, pha__dtype format)
{
    matrix a = matrix_open(ALL, k, false, a_type), w = matrix_open(n, k, false, PHA__F32);
    size_t element = pha__dtype_size(c_type), row = (size_t)n * element;
    char *all = malloc(ALL * row);
    void *packed = malloc(pha__format_bytes(format, n, k));
    pha__format_pack(format, packed, n, k, 0, n, w.data, w.ld);
    for (int64_t i = 0; i < n; i++) pha__format_unpack(format, packed, k, i, 0, k, (float *)w.data + i * w.ld);
    pha__gemm g = {.n = n, .k = k, .a = a.data, .a_row = a.ld, .a_col = 1, .a_type = a_type, .b = w.data, .b_row = 1,
                   .b_col = w.ld, .c_type = c_type};
    product(all, &g, 0, ALL);
    check_parts(&g, all, "rows");
    g.b = packed, g.b_col = k, g.b_type = format;
    check_parts(&g, all, pha__format_of(format)->name);
    free(packed);
    free(all);
    matrix_close(&a);
    matrix_close(&w);
}

/* A row of A as integers: each the number over the largest of its 32 neighbours, in units of 1 / 32767. */
static void as_integers(double *q, const double *x, int64_t k)
{
    for (int64_t p = 0; p < k; p += PHA__BLOCK) {
        int64_t end = p + PHA__BLOCK < k ? p + PHA__BLOCK : k;
        double top = 0;
        for (int64_t i = p; i < end; i++) top = fmax(top, fabs(x[i]));
        for (int64_t i = p; i < end; i++) q[i] = top > 0 ? nearbyint(x[i] / top * 32767) * (top / 32767) : 0;
    }
}

/* Over blocks of integers: sums over what becomes of the rows of A, and their distance from the product itself. */
static void check_blocks(int64_t n, int64_t k, pha__dtype a_type, pha__dtype c_type, pha__dtype format)
{
    matrix a = matrix_open(ALL, k, false, a_type), w = matrix_open(n, k, false, PHA__F32);
    size_t row = (size_t)n * pha__dtype_size(c_type);
    char *all = malloc(ALL * row);
    void *packed = malloc(pha__format_bytes(format, n, k));
    double *q = malloc((size_t)k * sizeof *q + 1), off = 0, far = 0, size = 0;
    pha__format_pack(format, packed, n, k, 0, n, w.data, w.ld);
    for (int64_t i = 0; i < n; i++) pha__format_unpack(format, packed, k, i, 0, k, (float *)w.data + i * w.ld);
    pha__gemm g = {.n = n, .k = k, .a = a.data, .a_row = a.ld, .a_col = 1, .a_type = a_type, .b = packed, .b_row = 1,
                   .b_col = k, .b_type = format, .c_type = c_type};
    product(all, &g, 0, ALL);
    for (int64_t i = 0; i < ALL; i++) {
        as_integers(q, a.value + i * k, k);
        for (int64_t j = 0; j < n; j++) {
            double exact = 0, sum = 0, c = c_type == PHA__F32 ? ((float *)(void *)all)[i * n + j]
                                                              : bf16_to_f32(((uint16_t *)(void *)all)[i * n + j]);
            for (int64_t p = 0; p < k; p++) {
                double b = ((const float *)w.data)[j * w.ld + p];
                exact += a.value[i * k + p] * b, sum += q[p] * b;
            }
            off += (c - sum) * (c - sum), far += (c - exact) * (c - exact), size += exact * exact;
        }
    }
    double limit = c_type == PHA__F32 ? 3e-6 : 3e-3, most = c_type == PHA__F32 ? 3e-5 : 3e-3;
    if (!(sqrt(off) <= limit * sqrt(size) && sqrt(far) <= most * sqrt(size)))
        fail_msg("%s: %ld x %ld, %s, a %d, c %d: %.1e from the sum of integers, %.1e from the product", which->isa,
                 (long)n, (long)k, pha__format_of(format)->name, (int)a_type, (int)c_type, sqrt(off / size),
                 sqrt(far / size));
    check_parts(&g, all, pha__format_of(format)->name);
    free(q);
    free(packed);
    free(all);
    matrix_close(&a);
    matrix_close(&w);
}

static void check_rows(int64_t n, int64_t k, pha__dtype a_type, pha__dtype c_type)
{
    static const pha__dtype formats[] = {PHA__F32_PANEL, PHA__BF16_PANEL, PHA__F16_PANEL};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) check_panels(n, k, a_type, c_type, formats[i]);
    check_blocks(n, k, a_type, c_type, PHA__Q8_PANEL);
    check_blocks(n, k, a_type, c_type, PHA__Q4_PANEL);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        if (!choose(sets[s]->isa)) continue;
        for (int types = 0; types < 4; types++) {
            pha__dtype a = types & 1 ? PHA__BF16 : PHA__F32, c = types & 2 ? PHA__BF16 : PHA__F32;
            check_rows(60, 76, a, c);
            check_rows(17, 1300, a, c); /* three steps along k */
            check_rows(300, 33, a, c);
            check_rows(1, 5, a, c);
        }
        check_rows(1500, 20, PHA__F32, PHA__F32);
        check_rows(5, 0, PHA__F32, PHA__F32);
    }
}

/* What is not finite in a row of A spoils the row and no other; what is tiny counts as zero. */
static void test_odd_numbers(void **state)
{
    (void)state;
    enum { M = 7, N = 20, K = 70 };
    static float x[M][K], y[M][N], w[N][K];
    for (int i = 0; i < N; i++)
        for (int p = 0; p < K; p++) w[i][p] = uniform();
    for (int i = 0; i < M; i++)
        for (int p = 0; p < K; p++) x[i][p] = i == 3 ? 0 : i == 4 ? 1e-38f : uniform();
    x[1][40] = INFINITY, x[2][69] = NAN, x[5][3] = 1e38f, x[6][0] = -INFINITY;
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        if (!choose(sets[s]->isa)) continue;
        for (int t = PHA__Q8_PANEL; t <= PHA__Q4_PANEL; t++) {
            void *packed = malloc(pha__format_bytes((pha__dtype)t, N, K));
            pha__format_pack((pha__dtype)t, packed, N, K, 0, N, w[0], K);
            pha__gemm g = {.n = N, .k = K, .a = x, .a_row = K, .a_col = 1, .b = packed, .b_row = 1, .b_col = K,
                           .b_type = (pha__dtype)t};
            for (int few = 0; few < 2; few++) {
                for (int i = 0; i < M; i += few ? 1 : M) product(y[i], &g, i, few ? 1 : M);
                for (int i = 0; i < M; i++)
                    for (int j = 0; j < N; j++) {
                        if (i == 1 || i == 2 || i == 6) assert_true(isnan(y[i][j]));
                        else assert_true(isfinite(y[i][j]));
                        if (i == 3 || i == 4) assert_true(y[i][j] == 0);
                    }
            }
            free(packed);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_small), cmocka_unit_test(test_blocks),
                                       cmocka_unit_test(test_rows), cmocka_unit_test(test_odd_numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
