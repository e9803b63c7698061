/* The fast transform against its definition in double, on every instruction set; convolution and correlation of it
 * against the plain sums. PHA_TEST_VERBOSE=1 prints errors. */
#include <complex.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backend/cpu/detect.h"
#undef PHA__ISA
#define PHA__ISA generic
#include "backend/cpu/fft.h"

typedef struct transforms {
    const char *isa;
    int lanes;
    void (*table)(float *, int64_t);
    void (*real)(float *, const float *, const float *, int64_t);
    void (*back)(float *, float *, const float *, int64_t);
} transforms;

#define TRANSFORMS(isa, lanes)                                                            \
    extern void pha__fft_table_##isa(float *, int64_t);                                   \
    extern void pha__fft_real_##isa(float *, const float *, const float *, int64_t);      \
    extern void pha__fft_real_back_##isa(float *, float *, const float *, int64_t);       \
    static const transforms of_##isa = {#isa, lanes, pha__fft_table_##isa, pha__fft_real_##isa, \
                                        pha__fft_real_back_##isa};
TRANSFORMS(generic, 4)
#if PHA__HAVE_avx2
TRANSFORMS(avx2, 8)
#endif
#if PHA__HAVE_avx512
TRANSFORMS(avx512, 16)
#endif
#if PHA__HAVE_neon
TRANSFORMS(neon, 4)
#endif
static const transforms *const all[] = {
    &of_generic,
#if PHA__HAVE_avx2
    &of_avx2,
#endif
#if PHA__HAVE_avx512
    &of_avx512,
#endif
#if PHA__HAVE_neon
    &of_neon,
#endif
};

static bool supported(const char *isa)
{
    const pha__cpu_table_info *tables;
    size_t n = pha__cpu_tables(&tables);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(tables[i].isa, isa)) return tables[i].supported;
    return false;
}

typedef struct job {
    const transforms *f;
    int64_t n;
    float *table, *x, *y, *z, *zy; /* x, y: [n][lanes]; z, zy: their transforms */
} job;

static float uniform(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(*seed >> 33) / 1073741824.0 - 1);
}

static job open_job(const transforms *f, int64_t n)
{
    size_t size = (size_t)(n * f->lanes);
    job j = {f, n, NULL, NULL, NULL, NULL, NULL};
    float **block[] = {&j.table, &j.x, &j.y, &j.z, &j.zy};
    size_t floats[] = {(size_t)pha__fft_floats(n), size, size, 2 * size, 2 * size};
    for (int i = 0; i < 5; i++) { /* what lies behind must stay NaN */
        *block[i] = aligned_alloc(64, (floats[i] + 16 + 15) / 16 * 64);
        for (size_t k = 0; k < floats[i] + 16; k++) (*block[i])[k] = NAN;
    }
    uint64_t seed = (uint64_t)n;
    for (size_t k = 0; k < size; k++) j.x[k] = uniform(&seed), j.y[k] = uniform(&seed);
    f->table(j.table, n);
    f->real(j.z, j.x, j.table, n);
    f->real(j.zy, j.y, j.table, n);
    assert_true(isnan(j.table[floats[0]]) && isnan(j.z[floats[3]]) && isnan(j.zy[floats[4]]));
    return j;
}

static void close_job(job *j)
{
    float *block[] = {j->table, j->x, j->y, j->z, j->zy};
    for (int i = 0; i < 5; i++) free(block[i]);
}

/* The digits of point k, from the last one on (2 or 4 values where n is no power of 4, then 4 each), in reverse. */
static int64_t reversed(int64_t k, int64_t n)
{
    int64_t out = 0, base = 1;
    while (base * 4 <= n) base *= 4;
    for (int64_t left = n / base == 2 ? 2 : 4, size = n; size > 1; size /= left, left = 4) {
        int64_t digit = k % left;
        out += digit * (size / left);
        k /= left;
    }
    return out;
}

/* max |x - ref| / rms(ref) */
typedef struct worst {
    double error, squares;
    int64_t n;
} worst;

static void note(worst *w, double x, double ref)
{
    w->error = fmax(w->error, isfinite(x) ? fabs(x - ref) : INFINITY);
    w->squares += ref * ref, w->n++;
}

static void within(const worst *w, const job *j, const char *what)
{
    double e = w->error / sqrt(w->squares / (double)w->n);
    if (getenv("PHA_TEST_VERBOSE")) printf("%-8s %7lld %-12s %.1e\n", j->f->isa, (long long)j->n, what, e);
    if (!(e < 5e-6)) fail_msg("%s, %lld points: %s is off by %.1e", j->f->isa, (long long)j->n, what, e);
}

static void check_definition(const job *j, int64_t step)
{
    worst w = {0};
    int L = j->f->lanes;
    for (int64_t k = 0; k < j->n; k += step) {
        for (int c = 0; c < L; c += L - 1) {
            double complex sum = 0;
            double turns = (0.25 + (double)reversed(k, j->n)) / (double)j->n;
            for (int64_t t = 0; t < j->n; t++)
                sum += j->x[t * L + c] * cexp(2 * M_PI * I * fmod(turns * (double)t, 1));
            note(&w, j->z[(2 * k) * L + c], creal(sum));
            note(&w, j->z[(2 * k + 1) * L + c], cimag(sum));
        }
    }
    within(&w, j, "transform");
}

/* Multiplies the transforms (conj: the first one's conjugate), goes back, and compares with the sums at some places. */
static void check_product(job *j, bool conjugate, int64_t step)
{
    int64_t n = j->n;
    int L = j->f->lanes;
    float *back = aligned_alloc(64, (size_t)(n * L) * sizeof *back);
    float *z = aligned_alloc(64, (size_t)(2 * n * L) * sizeof *z);
    for (int64_t k = 0; k < n; k++) {
        for (int c = 0; c < L; c++) {
            float complex a = j->z[2 * k * L + c] + I * j->z[(2 * k + 1) * L + c];
            float complex b = j->zy[2 * k * L + c] + I * j->zy[(2 * k + 1) * L + c], p = (conjugate ? conjf(a) : a) * b;
            z[2 * k * L + c] = crealf(p), z[(2 * k + 1) * L + c] = cimagf(p);
        }
    }
    j->f->back(back, z, j->table, n);
    worst w = {0};
    for (int64_t t = 0; t < n; t += step) {
        for (int c = 0; c < L; c += L - 1) {
            double sum = 0;
            for (int64_t s = 0; s <= t; s++)
                sum += conjugate ? (double)j->x[s * L + c] * j->y[(n - 1 - t + s) * L + c]
                                 : (double)j->x[s * L + c] * j->y[(t - s) * L + c];
            note(&w, back[(conjugate ? n - 1 - t : t) * L + c] / (double)n, sum);
        }
    }
    within(&w, j, conjugate ? "correlation" : "convolution");
    free(back);
    free(z);
}

static void test_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!supported(all[i]->isa)) continue;
        for (int64_t n = PHA__FFT_MIN; n <= 65536; n *= 2) {
            job j = open_job(all[i], n);
            int64_t step = n <= 1024 ? 1 : n / 64 + 1;
            check_definition(&j, step);
            check_product(&j, false, step);
            check_product(&j, true, step);
            close_job(&j);
        }
    }
}

/* Channels do not see each other, and a channel of zeros stays zero. */
static void test_channels(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!supported(all[i]->isa)) continue;
        int L = all[i]->lanes;
        job j = open_job(all[i], 2048);
        for (int64_t t = 0; t < j.n; t++) {
            for (int c = 1; c < L; c++) j.y[t * L + c] = 0;
            j.y[t * L] = j.x[t * L];
        }
        all[i]->real(j.zy, j.y, j.table, j.n);
        for (int64_t k = 0; k < 2 * j.n; k++) {
            assert_true(j.zy[k * L] == j.z[k * L]);
            for (int c = 1; c < L; c++) assert_true(j.zy[k * L + c] == 0);
        }
        close_job(&j);
    }
}

static void test_length(void **state)
{
    (void)state;
    assert_int_equal(pha__fft_length(1), 4);
    assert_int_equal(pha__fft_length(64), 64);
    assert_int_equal(pha__fft_length(65), 128);
    assert_int_equal(pha__fft_length(1000), 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
