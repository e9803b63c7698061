// products.cu -- cuBLASLt: found at run time, one plan per shape, kept
//
// The library knows columns where we know rows: what it is told is D' = B' A', with its first operand our B.
#include "backend/cuda/products.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/library.h"
#include "backend/cuda/lt.h"
#ifdef PHA__EMULATE
#include "cuda/runtime.h"
#include "cuda/stream.h"
#elif __has_include(<cublasLt.h>)
#include <cublasLt.h>
static_assert(sizeof(cublasLtMatmulAlgo_t) == sizeof(lt_algo) &&
              sizeof(cublasLtMatmulHeuristicResult_t) == sizeof(lt_offer) &&
              offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize) == offsetof(lt_offer, workspace) &&
              LT_R_32F == (int)CUDA_R_32F && LT_R_16BF == (int)CUDA_R_16BF &&
              LT_COMPUTE_32F == (int)CUBLAS_COMPUTE_32F &&
              LT_OP_T == (int)CUBLAS_OP_T && LT_DESC_TRANSA == (int)CUBLASLT_MATMUL_DESC_TRANSA &&
              LT_DESC_TRANSB == (int)CUBLASLT_MATMUL_DESC_TRANSB &&
              LT_PREF_MAX_WORKSPACE_BYTES == (int)CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES &&
              LT_PREF_MIN_ALIGNMENT_A == (int)CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES &&
              LT_PREF_MIN_ALIGNMENT_A + 3 == (int)CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, "lt.h");
#endif

namespace {

enum { PLANS = 1024 };
const size_t WORKSPACE = (size_t)32 << 20;

struct functions {
#define POINTER(name, result, arguments) result(*name) arguments;
    LT_FUNCTIONS(POINTER)
#undef POINTER
};

struct shape { // of a product, compared byte by byte
    int64_t m, n, k, ld[3];
    int32_t types[3], turned[2], align[3];
};

struct plan {
    shape of;
    bool made, usable;
    lt_desc desc;
    lt_layout layout[3]; // B, A, D
    lt_algo algo;
};

struct choice { // a row of products.def
    int capability, units;
    size_t version;
    int64_t m, n, k;
    int turned_a, turned_b, input, output;
    lt_algo algo;
};

const choice choices[] = {
#define PHA__CHOICE(capability, units, version, m, n, k, ta, tb, input, output, ...)                                   \
    {capability, units, version, m, n, k, ta, tb, input, output, {{__VA_ARGS__}}},
#include "backend/cuda/products.def"
#undef PHA__CHOICE
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {{0}}}};

} // namespace

struct pha__products {
    void *library, *workspace;
    functions f;
    lt_handle handle;
    int capability, units;
    size_t version;
    plan plans[PLANS];
    int used;
};

// ---- the library ----------------------------------------------------------------------------------------------------

static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so", NULL};
// As toolkits and Python's packages lay it out.
static const char *const places[] = {"/usr/local/cuda*/lib64/libcublasLt.so.1[23]",
                                     "/opt/cuda*/lib64/libcublasLt.so.1[23]",
                                     "/usr/lib/python3*/*-packages/nvidia/c*/lib/libcublasLt.so.1[23]",
                                     "/usr/local/lib/python3*/*-packages/nvidia/c*/lib/libcublasLt.so.1[23]",
                                     "/opt/*/lib/python3*/*-packages/nvidia/c*/lib/libcublasLt.so.1[23]", NULL};

static bool find(pha__products *p, char *why, size_t size) {
    p->library = pha__cuda_library("PHA_CUBLASLT", names, places, why, size);
    if (!p->library) return false;
#define FIND(name, result, arguments)                                                                                  \
    p->f.name = (result(*) arguments)dlsym(p->library, "cublasLt" #name);                                              \
    if (!p->f.name) {                                                                                                  \
        snprintf(why, size, "it has no cublasLt%s", #name);                                                            \
        return false;                                                                                                  \
    }
    LT_FUNCTIONS(FIND)
#undef FIND
    return true;
}

bool pha__products_open(pha__products **out, int capability, int units, char *why, size_t size) {
    pha__products *p = (pha__products *)calloc(1, sizeof *p);
    *out = NULL;
    snprintf(why, size, "no memory");
    if (!p) return false;
    p->capability = capability, p->units = units;
    bool fine = find(p, why, size);
    if (fine) {
        int e = p->f.Create(&p->handle);
        cudaError_t memory = e ? cudaSuccess : cudaMalloc(&p->workspace, WORKSPACE);
        fine = !e && memory == cudaSuccess;
        if (e) snprintf(why, size, "it does not start: status %d", e);
        else if (!fine) snprintf(why, size, "no memory on the card for its workspace");
    }
    if (fine) p->version = p->f.GetVersion();
    if (fine) *out = p;
    else pha__products_close(p);
    return fine;
}

static void forget(pha__products *p, plan *q) {
    if (q->desc) p->f.MatmulDescDestroy(q->desc);
    for (lt_layout layout : q->layout)
        if (layout) p->f.MatrixLayoutDestroy(layout);
    memset(q, 0, sizeof *q);
}

void pha__products_close(pha__products *p) {
    if (!p) return;
    for (plan &q : p->plans) forget(p, &q);
    if (p->handle) p->f.Destroy(p->handle);
    if (p->workspace) cudaFree(p->workspace);
    if (p->library) dlclose(p->library);
    free(p);
}

size_t pha__products_version(const pha__products *p) { return p->version; }

// ---- plans ----------------------------------------------------------------------------------------------------------

static int type_of(pha__dtype t) { return t == PHA__BF16 ? LT_R_16BF : LT_R_32F; }

static int alignment(const void *p) { // a power of two, at most 256
    int n = 256;
    while ((uintptr_t)p % (uintptr_t)n) n /= 2;
    return n;
}

static shape shape_of(const pha__product *p) {
    shape s;
    const pha__operand *operands[] = {&p->b, &p->a, &p->d};
    memset(&s, 0, sizeof s);
    s.m = p->m, s.n = p->n, s.k = p->k;
    for (int i = 0; i < 3; i++) {
        s.ld[i] = operands[i]->ld, s.types[i] = type_of(operands[i]->dtype), s.align[i] = alignment(operands[i]->data);
        if (i < 2) s.turned[i] = operands[i]->turned;
    }
    return s;
}

static bool describe(pha__products *p, plan *q) {
    const shape *s = &q->of;
    // Rows and columns as the library counts them: those of the operand as it lies, turned.
    int64_t rows[] = {s->turned[0] ? s->k : s->n, s->turned[1] ? s->m : s->k, s->n};
    int64_t columns[] = {s->turned[0] ? s->n : s->k, s->turned[1] ? s->k : s->m, s->m};
    if (p->f.MatmulDescCreate(&q->desc, LT_COMPUTE_32F, LT_R_32F)) return false;
    for (int i = 0; i < 2; i++) {
        int32_t op = s->turned[i] ? LT_OP_T : LT_OP_N;
        if (p->f.MatmulDescSetAttribute(q->desc, i ? LT_DESC_TRANSB : LT_DESC_TRANSA, &op, sizeof op)) return false;
    }
    for (int i = 0; i < 3; i++)
        if (p->f.MatrixLayoutCreate(&q->layout[i], s->types[i], (uint64_t)rows[i], (uint64_t)columns[i], s->ld[i]))
            return false;
    return true;
}

// The first algorithm that the library offers.
static bool offered(pha__products *p, plan *q) {
    lt_preference preference;
    lt_offer offer;
    int n = 0;
    if (p->f.MatmulPreferenceCreate(&preference)) return false;
    bool fine = !p->f.MatmulPreferenceSetAttribute(preference, LT_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE,
                                                   sizeof WORKSPACE);
    for (int i = 0; i < 4 && fine; i++) {
        uint32_t align = (uint32_t)q->of.align[i < 2 ? i : 2];
        fine = !p->f.MatmulPreferenceSetAttribute(preference, LT_PREF_MIN_ALIGNMENT_A + i, &align, sizeof align);
    }
    fine = fine && !p->f.MatmulAlgoGetHeuristic(p->handle, q->desc, q->layout[0], q->layout[1], q->layout[2],
                                                q->layout[2], preference, 1, &offer, &n) && n > 0;
    p->f.MatmulPreferenceDestroy(preference);
    if (fine) q->algo = offer.algo;
    return fine;
}

// That of the table, if there is one and the library takes it.
static bool chosen(pha__products *p, plan *q) {
    const shape *s = &q->of;
    for (const choice *c = choices; c->capability; c++) {
        lt_offer offer;
        if (c->capability != p->capability || c->units != p->units || c->version != p->version) continue;
        if (c->m != s->m || c->n != s->n || c->k != s->k) continue;
        if (c->turned_a != s->turned[1] || c->turned_b != s->turned[0]) continue;
        if (type_of((pha__dtype)c->input) != s->types[1] || type_of((pha__dtype)c->output) != s->types[2]) continue;
        if (p->f.MatmulAlgoCheck(p->handle, q->desc, q->layout[0], q->layout[1], q->layout[2], q->layout[2], &c->algo,
                                 &offer) || offer.workspace > WORKSPACE)
            return false;
        q->algo = c->algo;
        return true;
    }
    return false;
}

static plan *plan_for(pha__products *p, const pha__product *product) {
    shape s = shape_of(product);
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < sizeof s; i++) hash = (hash ^ ((const unsigned char *)&s)[i]) * 1099511628211u;
    if (p->used == PLANS / 2) { // more shapes than a program has: begin again
        for (plan &q : p->plans) forget(p, &q);
        p->used = 0;
    }
    plan *q = &p->plans[hash % PLANS];
    while (q->made && memcmp(&q->of, &s, sizeof s)) q = q + 1 == p->plans + PLANS ? p->plans : q + 1;
    if (q->made) return q;
    p->used++;
    q->of = s, q->made = true;
    q->usable = describe(p, q) && (chosen(p, q) || offered(p, q));
    return q;
}

// ---- running --------------------------------------------------------------------------------------------------------

bool pha__product_run(pha__cuda *c, const pha__product *product) {
    const pha__product p = *product;
    if (!c->products || p.a.dtype != p.b.dtype || (p.a.dtype == PHA__F32 && p.d.dtype != PHA__F32)) return false;
    const plan *q = plan_for(c->products, &p);
    if (!q->usable) return false;
    const float one = 1, beta = p.add ? 1 : 0;
    if (c->error) return true;
    auto multiply = [=] {
        pha__products *l = c->products;
        int e = l->f.Matmul(l->handle, q->desc, &one, p.b.data, q->layout[0], p.a.data, q->layout[1], &beta,
                            p.d.data, q->layout[2], (void *)p.d.data, q->layout[2], &q->algo, l->workspace, WORKSPACE,
                            c->stream);
        if (e) c->error = PHA__PRODUCT_FAILED + e;
    };
#ifdef PHA__EMULATE
    emulated_launch(c->stream, multiply);
#else
    multiply();
#endif
    return true;
}
