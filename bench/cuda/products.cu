// products.cu -- the matrix products of a training step in cuBLASLt: forward, by the input, by the weights, in bf16
//
//   nvcc -std=c++17 -O3 -arch=sm_80 -o products products.cu -ldl && ./products [TOKENS] [--table] [MODEL ...]
//
// Per product: time of the algorithm that the library would choose and of the best among those that it offers, whether
// two runs of that one have equal bits, and the error against double sums of 64 elements. --table also prints the rows
// of src/backend/cuda/products.def. cuBLASLt is looked up at run time ($PHA_CUBLASLT first), as a program would that
// must also start without it. Row-major operands are column-major transposes: Y = X W^T is m = out, n = tokens, k = in,
// with A = W transposed and B = X.
#include <cublasLt.h>
#include <dlfcn.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include <string>

#include "measure.cuh"

#define FUNCTIONS(X)                                                                                                   \
    X(cublasLtCreate) X(cublasLtGetVersion) X(cublasLtMatmul) X(cublasLtMatmulDescCreate)                             \
    X(cublasLtMatmulDescDestroy) X(cublasLtMatmulDescSetAttribute) X(cublasLtMatrixLayoutCreate)                      \
    X(cublasLtMatrixLayoutDestroy) X(cublasLtMatmulPreferenceCreate) X(cublasLtMatmulPreferenceSetAttribute)          \
    X(cublasLtMatmulPreferenceDestroy) X(cublasLtMatmulAlgoGetHeuristic) X(cublasLtMatmulAlgoConfigGetAttribute)
#define POINTER(name) static decltype(&::name) p_##name;
FUNCTIONS(POINTER)

static void find_library(void) {
    const char *own = getenv("PHA_CUBLASLT");
    const char *names[] = {own ? own : "libcublasLt.so.13", "libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so",
                           "/usr/local/cuda/lib64/libcublasLt.so"};
    void *library = NULL;
    for (const char *name : names)
        if ((library = dlopen(name, RTLD_NOW | RTLD_LOCAL))) {
            char path[4096] = "";
            dlinfo(library, RTLD_DI_ORIGIN, path);
            printf("{\"cublaslt\": \"%s\", \"folder\": \"%s\"", name, path);
            break;
        }
    if (!library) {
        fprintf(stderr, "products: %s\n", dlerror());
        exit(1);
    }
#define FIND(name)                                                                                                     \
    if (!(p_##name = (decltype(p_##name))dlsym(library, #name))) {                                                     \
        fprintf(stderr, "products: cuBLASLt has no " #name "\n");                                                      \
        exit(1);                                                                                                       \
    }
    FUNCTIONS(FIND)
    printf(", \"version\": %zu}\n", p_cublasLtGetVersion());
}

#define LT(call)                                                                                                       \
    do {                                                                                                               \
        cublasStatus_t e_ = (call);                                                                                    \
        if (e_ != CUBLAS_STATUS_SUCCESS) {                                                                             \
            fprintf(stderr, "%s:%d: %s: status %d\n", __FILE__, __LINE__, #call, e_);                                  \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

enum { FORWARD, BY_INPUT, BY_WEIGHTS, PASSES };
static const char *const pass_name[PASSES] = {"forward", "dX", "dW"};

struct product {
    const char *name;
    int out, in;
};
struct model {
    const char *name;
    std::vector<product> products;
};

static const model models[] = {
    {"pha-125m", {{"merged", 6640, 608}, {"attn.out", 608, 608}, {"aux.down", 608, 416}, {"gss.out", 608, 1632},
                  {"ffn.gate+up", 2432, 608}, {"ffn.down", 608, 1216}, {"head", 50304, 608}}},
    {"pha-180m", {{"merged", 9056, 768}, {"attn.out", 768, 768}, {"aux.down", 768, 960}, {"gss.out", 768, 1952},
                  {"ffn.gate+up", 3840, 768}, {"ffn.down", 768, 1920}, {"head", 50304, 768}}},
    {"pha-90m", {{"merged", 4912, 480}, {"attn.out", 480, 480}, {"aux.down", 480, 320}, {"gss.out", 480, 1184},
                 {"ffn.gate+up", 1920, 480}, {"ffn.down", 480, 960}, {"head", 50304, 480}}},
};

enum { OFFERED = 12, SETS = 3 }; // SETS: operands in turns, so that small ones do not come from the cache

static cublasLtHandle_t handle;
static void *workspace;
static const size_t workspace_size = (size_t)32 << 20;

struct problem { // D (m x n, column-major) = op(A) op(B)
    int m, n, k;
    bool ta, tb;
    int lda, ldb;
    cudaDataType_t dtype; // of D
};

static problem problem_of(const product &p, int pass, int tokens) {
    switch (pass) {
    case FORWARD: return {p.out, tokens, p.in, true, false, p.in, p.in, CUDA_R_16BF};    // A = W, B = X
    case BY_INPUT: return {p.in, tokens, p.out, false, false, p.in, p.out, CUDA_R_16BF}; // A = W, B = dY
    default: return {p.in, p.out, tokens, false, true, p.in, p.out, CUDA_R_32F};         // A = X, B = dY
    }
}

static float value(const uint16_t *x, size_t i) {
    uint32_t u = (uint32_t)x[i] << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

// Relative error of 64 elements against sums in double.
static double error_of(const problem &q, const std::vector<uint16_t> &A, const std::vector<uint16_t> &B,
                       const std::vector<char> &D) {
    double e = 0, all = 0;
    for (int s = 0; s < 64; s++) {
        int i = (int)((s * 2654435761u) % (uint32_t)q.m), j = (int)((s * 40503u + 77u) % (uint32_t)q.n);
        double sum = 0;
        for (int l = 0; l < q.k; l++)
            sum += (double)value(A.data(), q.ta ? (size_t)i * q.lda + l : (size_t)l * q.lda + i) *
                   value(B.data(), q.tb ? (size_t)l * q.ldb + j : (size_t)j * q.ldb + l);
        size_t at = (size_t)j * q.m + i;
        double got = q.dtype == CUDA_R_32F ? ((const float *)D.data())[at] : value((const uint16_t *)D.data(), at);
        e += (got - sum) * (got - sum);
        all += sum * sum;
    }
    return sqrt(e / all);
}

static std::string describe(const cublasLtMatmulAlgo_t *a) {
    const struct {
        const char *name;
        cublasLtMatmulAlgoConfigAttributes_t what;
    } list[] = {{"id", CUBLASLT_ALGO_CONFIG_ID}, {"tile", CUBLASLT_ALGO_CONFIG_TILE_ID},
                {"stages", CUBLASLT_ALGO_CONFIG_STAGES_ID}, {"split", CUBLASLT_ALGO_CONFIG_SPLITK_NUM},
                {"reduction", CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME},
                {"swizzle", CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING}, {"custom", CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION}};
    std::string s;
    for (auto &x : list) {
        uint32_t v = 0;
        size_t written;
        p_cublasLtMatmulAlgoConfigGetAttribute(a, x.what, &v, sizeof v, &written);
        s += std::string(s.empty() ? "" : " ") + x.name + " " + std::to_string(v);
    }
    return s;
}

// A row of src/backend/cuda/products.def, which counts by rows: its m is the library's n.
static bool table;
static void print_choice(const problem &q, const cublasLtMatmulAlgo_t &algo) {
    cudaDeviceProp card;
    uint64_t word[8];
    OK(cudaGetDeviceProperties(&card, 0));
    static_assert(sizeof word == sizeof algo, "an algorithm is eight words");
    memcpy(word, &algo, sizeof word);
    printf("PHA__CHOICE(%d, %d, %zu, %d, %d, %d, %d, %d, PHA__BF16, %s", 10 * card.major + card.minor,
           card.multiProcessorCount, p_cublasLtGetVersion(), q.n, q.m, q.k, q.tb, q.ta,
           q.dtype == CUDA_R_32F ? "PHA__F32" : "PHA__BF16");
    for (uint64_t w : word) printf(", 0x%llx", (unsigned long long)w);
    printf(")\n");
}

static double measure(const model &M, const product &p, int pass, int tokens) {
    problem q = problem_of(p, pass, tokens);
    size_t na = (size_t)q.m * q.k, nb = (size_t)q.n * q.k, size = (size_t)q.m * q.n * (q.dtype == CUDA_R_32F ? 4 : 2);
    uint16_t *A[SETS], *B[SETS];
    char *D[SETS];
    for (int i = 0; i < SETS; i++) {
        A[i] = random_bf16(na, 2 * i + 1, 1);
        B[i] = random_bf16(nb, 2 * i + 2, 0.05f);
        OK(cudaMalloc((void **)&D[i], size));
    }
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t la, lb, ld;
    cublasLtMatmulPreference_t preference;
    cublasOperation_t ta = q.ta ? CUBLAS_OP_T : CUBLAS_OP_N, tb = q.tb ? CUBLAS_OP_T : CUBLAS_OP_N;
    LT(p_cublasLtMatmulDescCreate(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    LT(p_cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta));
    LT(p_cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb));
    LT(p_cublasLtMatrixLayoutCreate(&la, CUDA_R_16BF, q.ta ? q.k : q.m, q.ta ? q.m : q.k, q.lda));
    LT(p_cublasLtMatrixLayoutCreate(&lb, CUDA_R_16BF, q.tb ? q.n : q.k, q.tb ? q.k : q.n, q.ldb));
    LT(p_cublasLtMatrixLayoutCreate(&ld, q.dtype, q.m, q.n, q.m));
    LT(p_cublasLtMatmulPreferenceCreate(&preference));
    LT(p_cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_size,
                                              sizeof workspace_size));
    cublasLtMatmulHeuristicResult_t offered[OFFERED];
    int n = 0;
    LT(p_cublasLtMatmulAlgoGetHeuristic(handle, desc, la, lb, ld, ld, preference, OFFERED, offered, &n));
    const float one = 1, zero = 0;
    auto run = [&](int algorithm, int set) {
        return p_cublasLtMatmul(handle, desc, &one, A[set], la, B[set], lb, &zero, D[set], ld, D[set], ld,
                                &offered[algorithm].algo, workspace, workspace_size, 0);
    };
    double flops = 2.0 * q.m * q.n * q.k, first = 0, best = 1e9;
    int best_at = -1;
    int calls = flops > 5e11 ? 3 : 9;
    for (int i = 0; i < n; i++) {
        if (run(i, 0) != CUBLAS_STATUS_SUCCESS) continue;
        double t = median_seconds(0, 3, calls, [&](int c) { run(i, c % SETS); });
        if (i == 0) first = t;
        if (t < best) best = t, best_at = i;
    }
    if (best_at < 0) {
        fprintf(stderr, "products: %s %s: none of %d algorithms runs\n", p.name, pass_name[pass], n);
        exit(1);
    }
    std::vector<char> one_run(size), other(size);
    OK(cudaMemset(D[0], 0xff, size));
    LT(run(best_at, 0));
    OK(cudaMemcpy(one_run.data(), D[0], size, cudaMemcpyDeviceToHost));
    OK(cudaMemset(D[0], 0xff, size));
    LT(run(best_at, 0));
    OK(cudaMemcpy(other.data(), D[0], size, cudaMemcpyDeviceToHost));
    std::vector<uint16_t> ha(na), hb(nb);
    OK(cudaMemcpy(ha.data(), A[0], na * 2, cudaMemcpyDeviceToHost));
    OK(cudaMemcpy(hb.data(), B[0], nb * 2, cudaMemcpyDeviceToHost));
    printf("{\"model\": \"%s\", \"product\": \"%s\", \"pass\": \"%s\", \"m\": %d, \"n\": %d, \"k\": %d, "
           "\"offered\": %d, \"first_us\": %.1f, \"best_us\": %.1f, \"best\": %d, \"tflops\": %.0f, \"same_bits\": %s, "
           "\"error\": %.2e, \"algorithm\": \"%s\"}\n",
           M.name, p.name, pass_name[pass], q.m, q.n, q.k, n, first * 1e6, best * 1e6, best_at, flops / best * 1e-12,
           memcmp(one_run.data(), other.data(), size) ? "false" : "true", error_of(q, ha, hb, one_run),
           describe(&offered[best_at].algo).c_str());
    fflush(stdout);
    if (table && best_at > 0) print_choice(q, offered[best_at].algo);
    p_cublasLtMatmulPreferenceDestroy(preference);
    p_cublasLtMatrixLayoutDestroy(la);
    p_cublasLtMatrixLayoutDestroy(lb);
    p_cublasLtMatrixLayoutDestroy(ld);
    p_cublasLtMatmulDescDestroy(desc);
    for (int i = 0; i < SETS; i++) {
        OK(cudaFree(A[i]));
        OK(cudaFree(B[i]));
        OK(cudaFree(D[i]));
    }
    return first;
}

int main(int argc, char **argv) {
    int tokens = argc > 1 ? atoi(argv[1]) : 24576;
    if (tokens < 1 || tokens > 1 << 20) {
        fprintf(stderr, "products: TOKENS is between 1 and %d\n", 1 << 20);
        return 2;
    }
    if (argc > 2 && !strcmp(argv[2], "--table")) table = true, argv[2] = argv[1], argv++, argc--;
    find_library();
    LT(p_cublasLtCreate(&handle));
    OK(cudaMalloc(&workspace, workspace_size));
    for (const model &M : models) {
        bool wanted = argc <= 2;
        for (int i = 2; i < argc; i++) wanted |= !strcmp(argv[i], M.name);
        if (!wanted) continue;
        for (const product &p : M.products)
            for (int pass = 0; pass < PASSES; pass++) measure(M, p, pass, tokens);
    }
    return 0;
}
