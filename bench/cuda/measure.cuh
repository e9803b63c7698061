// measure.cuh -- what the benchmarks of a GPU share: errors that end the program, random operands, times by events
#ifndef PHA_BENCH_MEASURE_CUH
#define PHA_BENCH_MEASURE_CUH
#include <cuda_runtime.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <vector>

#define OK(call) check_cuda((call), #call, __FILE__, __LINE__)

static inline void check_cuda(cudaError_t e, const char *call, const char *file, int line) {
    if (e == cudaSuccess) return;
    fprintf(stderr, "%s:%d: %s: %s\n", file, line, call, cudaGetErrorString(e));
    exit(1);
}

// Random bf16 values of about normal distribution (a sum of four uniform ones): real products draw more power than
// those of zeros and are slower for it.
static __global__ void fill_random(uint16_t *x, size_t n, uint32_t seed, float scale) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        uint64_t z = (i + 1) * 0x9e3779b97f4a7c15ull + seed * 0xbf58476d1ce4e5b9ull;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ z >> 27) * 0x94d049bb133111ebull;
        z ^= z >> 31;
        float sum = 0;
        for (int k = 0; k < 4; k++) sum += (float)(z >> 16 * k & 0xffff) / 65536 - 0.5f;
        x[i] = (uint16_t)(__float_as_uint(sum * 1.732f * scale) >> 16);
    }
}

static inline uint16_t *random_bf16(size_t n, uint32_t seed, float scale) {
    uint16_t *x;
    OK(cudaMalloc((void **)&x, n * 2));
    fill_random<<<1056, 256>>>(x, n, seed, scale);
    OK(cudaGetLastError());
    return x;
}

// Median seconds of one call of run(i): `groups` groups of `calls` calls between two events, after one group untimed.
template <typename Run> double median_seconds(cudaStream_t s, int groups, int calls, Run run) {
    cudaEvent_t a, b;
    OK(cudaEventCreate(&a));
    OK(cudaEventCreate(&b));
    std::vector<float> ms;
    for (int g = -1; g < groups; g++) {
        OK(cudaEventRecord(a, s));
        for (int i = 0; i < calls; i++) run(i);
        OK(cudaEventRecord(b, s));
        OK(cudaEventSynchronize(b));
        float t;
        OK(cudaEventElapsedTime(&t, a, b));
        if (g >= 0) ms.push_back(t / calls);
    }
    OK(cudaEventDestroy(a));
    OK(cudaEventDestroy(b));
    std::sort(ms.begin(), ms.end());
    return ms[ms.size() / 2] * 1e-3;
}
#endif
