// rows.cu -- the kernels of a GPU as the op harness takes them: each pass is one task. Emulated, or (with nvcc) on a
// card, over host memory that it can address: what the harness allocates (memory.cu), and copies of what it has
// elsewhere
#include "cuda/rows.h"

#include <stdlib.h>
#include <string.h>

#include "backend/cuda/products.h"

namespace {

pha__cuda card;

#ifndef PHA__EMULATE
pha__run *run_copy;
char **state_copy;
enum { MOST_STATES = 1024 };

void begin(pha__args *a) {
    if (!run_copy) {
        cudaMallocHost((void **)&run_copy, sizeof *run_copy);
        cudaMallocHost((void **)&state_copy, MOST_STATES * sizeof *state_copy);
    }
    if (a->run) {
        memcpy(run_copy, a->run, sizeof *run_copy);
        a->run = run_copy;
    }
    if (a->state && a->B <= MOST_STATES) {
        memcpy(state_copy, a->state, (size_t)a->B * sizeof *state_copy);
        a->state = state_copy;
    }
}
int end() { return cudaStreamSynchronize(card.stream); }
#else
void begin(pha__args *) {}
int end() { return 0; }
#endif

// The library of products, where there is one (PHA_CUBLASLT); a name that is wrong fails the test.
void open_products() {
    static bool tried;
    char why[200];
    if (tried) return;
    tried = true;
    int device = 0, capability = 80, units = 1;
#ifndef PHA__EMULATE
    cudaDeviceProp p;
    cudaGetDevice(&device);
    if (cudaGetDeviceProperties(&p, device) == cudaSuccess)
        capability = 10 * p.major + p.minor, units = p.multiProcessorCount;
#endif
    if (!pha__products_open(&card.products, capability, units, why, sizeof why) && getenv("PHA_CUBLASLT"))
        pha__rows_failed(why, 0);
    (void)device;
}

template <const pha__cuda_kernel *K> struct row {
    static int64_t tasks(const pha__args *, pha__pass, int phase) { return phase == 0; }
    static void run(const pha__args *a, pha__pass pass) {
        pha__args copy = *a;
        open_products();
        begin(&copy);
        char why[PHA__CUDA_WHY] = "";
        const char *refused = K->refuse && K->refuse(&copy, pass, why) ? why : NULL;
        if (!refused) K->run(&card, &copy, pass);
        int error = end();
        if (refused || error || card.error) pha__rows_failed(refused, error ? error : card.error);
    }
    static void forward(const pha__args *a, int, int64_t, int64_t, void *) { run(a, PHA__FORWARD); }
    static void backward(const pha__args *a, int, int64_t, int64_t, void *) { run(a, PHA__BACKWARD); }
    static size_t work(const pha__args *a, pha__pass pass) { return K->work ? K->work(a, pass) : 0; }
    static constexpr pha__kernel kernel = {tasks, forward, backward, work, NULL};
};

} // namespace

#define PHA__CUDA_OP(name) extern const pha__cuda_kernel pha__cuda_##name;
#include "backend/cuda/ops.def"
#undef PHA__CUDA_OP

extern "C" const pha__kernel *pha__rows_kernel(const char *op) {
#define PHA__CUDA_OP(name)                                                                                             \
    if (!strcmp(op, #name)) return &row<&pha__cuda_##name>::kernel;
#include "backend/cuda/ops.def"
#undef PHA__CUDA_OP
    return NULL;
}
