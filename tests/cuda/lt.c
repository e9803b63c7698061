/* lt.c -- cuBLASLt for tests: multiplies on the host, and ends the program over a call that the library might refuse
 *
 * PHA_TEST_LT=nothing: it offers no algorithm. An algorithm is a function of the shape, so that one that was chosen for
 * another shape is noticed.
 */
#include "backend/cuda/lt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"

typedef struct desc {
    int compute, scale, turned[2];
} desc;
typedef struct layout {
    int type;
    int64_t rows, columns, ld;
} layout;
typedef struct preference {
    size_t workspace;
    uint32_t align[4];
} preference;

static int started;

static void need(int fine, const char *what)
{
    if (fine) return;
    fprintf(stderr, "cuBLASLt for tests: %s\n", what);
    abort();
}

#define EXPORT __attribute__((visibility("default")))
#define LT_DECLARE(name, result, arguments) EXPORT result cublasLt##name arguments;
LT_FUNCTIONS(LT_DECLARE)

int cublasLtCreate(lt_handle *out) { return *out = &started, started++, LT_SUCCESS; }
int cublasLtDestroy(lt_handle handle) { return need(handle == &started, "another handle"), started--, LT_SUCCESS; }
size_t cublasLtGetVersion(void) { return 1; }

int cublasLtMatmulDescCreate(lt_desc *out, int compute, int scale)
{
    desc *d = calloc(1, sizeof *d);
    need(compute == LT_COMPUTE_32F && scale == LT_R_32F, "sums in another format");
    *out = d;
    return LT_SUCCESS;
}
int cublasLtMatmulDescDestroy(lt_desc d) { return free(d), LT_SUCCESS; }
int cublasLtMatmulDescSetAttribute(lt_desc d, int what, const void *from, size_t size)
{
    need(what == LT_DESC_TRANSA || what == LT_DESC_TRANSB, "an attribute of the product");
    need(size == sizeof(int32_t), "the size of an attribute");
    memcpy(&((desc *)d)->turned[what - LT_DESC_TRANSA], from, size);
    return LT_SUCCESS;
}

int cublasLtMatrixLayoutCreate(lt_layout *out, int type, uint64_t rows, uint64_t columns, int64_t ld)
{
    layout *l = malloc(sizeof *l);
    need(type == LT_R_32F || type == LT_R_16BF, "a type");
    need(rows > 0 && columns > 0 && ld >= (int64_t)rows, "a leading dimension below the rows");
    *l = (layout){type, (int64_t)rows, (int64_t)columns, ld};
    *out = l;
    return LT_SUCCESS;
}
int cublasLtMatrixLayoutDestroy(lt_layout l) { return free(l), LT_SUCCESS; }

int cublasLtMatmulPreferenceCreate(lt_preference *out)
{
    preference *p = calloc(1, sizeof *p);
    for (int i = 0; i < 4; i++) p->align[i] = 256;
    *out = p;
    return LT_SUCCESS;
}
int cublasLtMatmulPreferenceDestroy(lt_preference p) { return free(p), LT_SUCCESS; }
int cublasLtMatmulPreferenceSetAttribute(lt_preference to, int what, const void *from, size_t size)
{
    preference *p = to;
    if (what == LT_PREF_MAX_WORKSPACE_BYTES) {
        need(size == sizeof(size_t), "the size of a preference");
        memcpy(&p->workspace, from, size);
        return LT_SUCCESS;
    }
    need(what >= LT_PREF_MIN_ALIGNMENT_A && what < LT_PREF_MIN_ALIGNMENT_A + 4 && size == 4, "a preference");
    memcpy(&p->align[what - LT_PREF_MIN_ALIGNMENT_A], from, size);
    return LT_SUCCESS;
}

/* ---- shapes ---- */

static int64_t op_rows(const desc *d, const layout *l, int i) { return d->turned[i] ? l->columns : l->rows; }
static int64_t op_columns(const desc *d, const layout *l, int i) { return d->turned[i] ? l->rows : l->columns; }

static void check(const desc *d, const layout *a, const layout *b, const layout *c, const layout *out)
{
    need(op_columns(d, a, 0) == op_rows(d, b, 1), "operands that do not fit together");
    need(op_rows(d, a, 0) == out->rows && op_columns(d, b, 1) == out->columns, "a result of another shape");
    need(!memcmp(c, out, sizeof *c), "C unlike D");
    need(a->type == b->type && (a->type == LT_R_16BF || out->type == LT_R_32F), "types that it has no product for");
}

static lt_algo algorithm(const desc *d, const layout *a, const layout *b, const layout *out, const uint32_t *align)
{
    lt_algo algo = {{(uint64_t)out->rows, (uint64_t)out->columns, (uint64_t)op_columns(d, a, 0)}};
    algo.word[3] = (uint64_t)(d->turned[0] + 2 * d->turned[1] + 4 * a->type + 128 * out->type);
    algo.word[4] = (uint64_t)a->ld, algo.word[5] = (uint64_t)b->ld, algo.word[6] = (uint64_t)out->ld;
    algo.word[7] = align[0] | (uint64_t)align[1] << 16 | (uint64_t)align[2] << 32 | (uint64_t)align[3] << 48;
    return algo;
}

int cublasLtMatmulAlgoGetHeuristic(lt_handle handle, lt_desc d, lt_layout a, lt_layout b, lt_layout c, lt_layout out,
                                   lt_preference how, int wanted, lt_offer *offers, int *n)
{
    const char *test = getenv("PHA_TEST_LT");
    preference *p = how;
    need(handle == &started && started > 0, "no handle");
    check(d, a, b, c, out);
    *n = wanted > 0 && !(test && !strcmp(test, "nothing"));
    if (*n) offers[0] = (lt_offer){.algo = algorithm(d, a, b, out, p->align), .workspace = p->workspace};
    return LT_SUCCESS;
}

int cublasLtMatmulAlgoCheck(lt_handle handle, lt_desc d, lt_layout a, lt_layout b, lt_layout c, lt_layout out,
                            const lt_algo *algo, lt_offer *offer)
{
    need(handle == &started, "no handle");
    check(d, a, b, c, out);
    *offer = (lt_offer){.algo = *algo};
    return LT_SUCCESS;
}

/* ---- the product ---- */

static float element(const layout *l, const void *data, int64_t row, int64_t column)
{
    int64_t at = column * l->ld + row;
    return l->type == LT_R_16BF ? bf16_to_f32(((const uint16_t *)data)[at]) : ((const float *)data)[at];
}

static void store(const layout *l, void *data, int64_t row, int64_t column, float x)
{
    int64_t at = column * l->ld + row;
    if (l->type == LT_R_16BF) ((uint16_t *)data)[at] = f32_to_bf16(x);
    else ((float *)data)[at] = x;
}

int cublasLtMatmul(lt_handle handle, lt_desc how, const void *alpha, const void *A, lt_layout of_a, const void *B,
                   lt_layout of_b, const void *beta, const void *C, lt_layout of_c, void *D, lt_layout of_d,
                   const lt_algo *algo, void *workspace, size_t size, lt_stream stream)
{
    const desc *d = how;
    const layout *a = of_a, *b = of_b, *out = of_d;
    float scale, keep;
    memcpy(&scale, alpha, sizeof scale);
    memcpy(&keep, beta, sizeof keep);
    (void)stream;
    need(handle == &started && started > 0, "no handle");
    check(d, a, b, of_c, out);
    need(C == D && workspace && size > 0, "no workspace, or C is not D");
    uint32_t align[4] = {algo->word[7] & 0xffff, algo->word[7] >> 16 & 0xffff, algo->word[7] >> 32 & 0xffff,
                         (uint32_t)(algo->word[7] >> 48)};
    lt_algo right = algorithm(d, a, b, out, align);
    need(!memcmp(&right, algo, sizeof right), "an algorithm of another shape");
    const void *at[] = {A, B, C, D};
    for (int i = 0; i < 4; i++) need((uintptr_t)at[i] % align[i] == 0, "an operand less aligned than was said");
    for (int64_t j = 0; j < out->columns; j++)
        for (int64_t i = 0; i < out->rows; i++) {
            double sum = 0;
            for (int64_t k = 0; k < op_columns(d, a, 0); k++)
                sum += (double)(d->turned[0] ? element(a, A, k, i) : element(a, A, i, k)) *
                       (d->turned[1] ? element(b, B, j, k) : element(b, B, k, j));
            store(out, D, i, j, (float)(scale * sum) + (keep != 0 ? keep * element(out, C, i, j) : 0));
        }
    return LT_SUCCESS;
}
