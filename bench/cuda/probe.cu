// probe.cu -- what a card can do, before any kernel of ours: does it run at all, its ceilings, what a launch costs
//
//   nvcc -std=c++17 -O3 -arch=sm_80 -o probe probe.cu && ./probe
//
// One JSON object per line: {"what": ..., "value": ..., "unit": ...}.
#include <unistd.h>

#include "measure.cuh"

static void say(const char *what, double value, const char *unit) {
    printf("{\"what\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", what, value, unit);
    fflush(stdout);
}

static __global__ void hello(uint32_t *out, uint32_t n) {
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = i * 2654435761u;
}

static void run_hello(void) {
    const uint32_t n = 1000003;
    uint32_t *d;
    OK(cudaMalloc((void **)&d, n * sizeof *d));
    hello<<<(n + 255) / 256, 256>>>(d, n);
    OK(cudaGetLastError());
    std::vector<uint32_t> h(n);
    OK(cudaMemcpy(h.data(), d, n * sizeof *d, cudaMemcpyDeviceToHost));
    for (uint32_t i = 0; i < n; i++)
        if (h[i] != i * 2654435761u) {
            fprintf(stderr, "probe: element %u is %u\n", i, h[i]);
            exit(1);
        }
    OK(cudaFree(d));
    say("kernel ran, all elements right", n, "elements");
}

static __global__ void copy16(uint4 *to, const uint4 *from, size_t n) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x)
        to[i] = from[i];
}

static __global__ void read16(uint4 *to, const uint4 *from, size_t n) {
    uint4 s = {0, 0, 0, 0};
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        uint4 v = from[i];
        s.x ^= v.x, s.y ^= v.y, s.z ^= v.z, s.w ^= v.w;
    }
    if ((s.x ^ s.y ^ s.z ^ s.w) == 0x12345678) to[0] = s; // almost never: only the reading counts
}

static void run_bandwidth(int units) {
    const size_t size = (size_t)1 << 31;
    char *a = (char *)random_bf16(size / 2, 1, 1), *b = (char *)random_bf16(size / 2, 2, 1);
    double t = median_seconds(0, 5, 4, [&](int) { OK(cudaMemcpyAsync(b, a, size, cudaMemcpyDeviceToDevice, 0)); });
    say("copy by the driver, read and written", 2 * (double)size / t * 1e-12, "TB/s");
    t = median_seconds(0, 5, 4, [&](int) { copy16<<<units * 8, 512>>>((uint4 *)b, (const uint4 *)a, size / 16); });
    say("copy by a kernel, 16 bytes an access, read and written", 2 * (double)size / t * 1e-12, "TB/s");
    t = median_seconds(0, 5, 4, [&](int) { read16<<<units * 8, 512>>>((uint4 *)b, (const uint4 *)a, size / 16); });
    say("reading by a kernel", (double)size / t * 1e-12, "TB/s");
    const size_t small = (size_t)16 << 20; // stays in the second cache of large cards
    t = median_seconds(0, 5, 50, [&](int) { copy16<<<units * 8, 512>>>((uint4 *)b, (const uint4 *)a, small / 16); });
    say("copy by a kernel of 16 MB (cache), read and written", 2 * (double)small / t * 1e-12, "TB/s");
    void *h;
    OK(cudaMallocHost(&h, (size_t)1 << 28));
    t = median_seconds(0, 3, 2, [&](int) { OK(cudaMemcpyAsync(a, h, 1 << 28, cudaMemcpyHostToDevice, 0)); });
    say("pinned host memory to device", (1 << 28) / t * 1e-9, "GB/s");
    t = median_seconds(0, 3, 2, [&](int) { OK(cudaMemcpyAsync(h, a, 1 << 28, cudaMemcpyDeviceToHost, 0)); });
    say("device to pinned host memory", (1 << 28) / t * 1e-9, "GB/s");
    OK(cudaFreeHost(h));
    OK(cudaFree(a));
    OK(cudaFree(b));
}

static __global__ void nothing(float *) {}

// What a launch costs, alone and in a recording, and a round trip to the host.
static void run_launches(void) {
    enum { N = 500 };
    cudaStream_t s;
    OK(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking));
    double t = median_seconds(s, 7, N, [&](int) { nothing<<<132, 128, 0, s>>>(NULL); });
    say("an empty launch", t * 1e6, "us");
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    OK(cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < N; i++) nothing<<<132, 128, 0, s>>>(NULL);
    OK(cudaStreamEndCapture(s, &graph));
    OK(cudaGraphInstantiate(&exec, graph, 0));
    t = median_seconds(s, 7, 3, [&](int) { OK(cudaGraphLaunch(exec, s)); });
    say("an empty launch in a recording of 500", t / N * 1e6, "us");
    float *d, h[64];
    OK(cudaMalloc((void **)&d, sizeof h));
    t = median_seconds(s, 7, 50, [&](int) {
        nothing<<<1, 32, 0, s>>>(d);
        OK(cudaMemcpyAsync(h, d, sizeof h, cudaMemcpyDeviceToHost, s));
        OK(cudaStreamSynchronize(s));
    });
    say("launch, 256 bytes back, waited for", t * 1e6, "us");
    // Kernels read memory of the host: the test harness keeps its guarded blocks there.
    uint32_t *host, *seen;
    OK(cudaHostAlloc((void **)&host, 4096, cudaHostAllocMapped));
    OK(cudaHostGetDevicePointer((void **)&seen, host, 0));
    hello<<<4, 256, 0, s>>>(seen, 1000);
    OK(cudaStreamSynchronize(s));
    say("kernels write pinned host memory (1: yes)", host[999] == 999 * 2654435761u, "");
    OK(cudaFree(d));
}

int main(void) {
    int n = 0, driver = 0, runtime = 0;
    OK(cudaGetDeviceCount(&n));
    OK(cudaDriverGetVersion(&driver));
    OK(cudaRuntimeGetVersion(&runtime));
    cudaDeviceProp p;
    OK(cudaGetDeviceProperties(&p, 0));
    size_t left, all;
    OK(cudaMemGetInfo(&left, &all));
    printf("{\"card\": \"%s\", \"cards\": %d, \"capability\": \"%d.%d\", \"driver\": %d, \"runtime\": %d, "
           "\"multiprocessors\": %d, \"memory\": %zu, \"free\": %zu, \"l2\": %d, \"shared_per_block\": %zu}\n",
           p.name, n, p.major, p.minor, driver, runtime, p.multiProcessorCount, all, left, p.l2CacheSize,
           p.sharedMemPerBlockOptin);
    run_hello();
    run_bandwidth(p.multiProcessorCount);
    run_launches();
    return 0;
}
