// runtime.h -- as much of CUDA's runtime as device.cu calls, over the memory of the host, for emulation
#ifndef RUNTIME_H
#define RUNTIME_H

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cuda/stream.h"

enum cudaError_t { cudaSuccess, cudaErrorMemoryAllocation = 2, cudaErrorInsufficientDriver = 35 };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
struct cudaDeviceProp {
    char name[256];
    int major, minor, multiProcessorCount;
};
typedef struct emulated_event {
    struct timespec when;
    void *stream;
} *cudaEvent_t;
typedef void *cudaStream_t;
#define CUDART_VERSION 13000

// PHA_EMULATED_CARD: "none", "old" (capability 7.5); else one card of 8.0.
static inline const char *emulated_card() {
    const char *kind = getenv("PHA_EMULATED_CARD");
    return kind ? kind : "";
}
static inline cudaError_t cudaGetDeviceCount(int *n) {
    *n = strcmp(emulated_card(), "none") != 0;
    return cudaSuccess;
}
static inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int) {
    memset(p, 0, sizeof *p);
    strcpy(p->name, "emulated");
    p->major = strcmp(emulated_card(), "old") ? 8 : 7;
    p->multiProcessorCount = 1;
    return cudaSuccess;
}
static inline const char *cudaGetErrorString(cudaError_t) { return "an error"; }
static inline cudaError_t cudaGetLastError() { return cudaSuccess; }
static inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
static inline cudaError_t cudaDriverGetVersion(int *v) { return *v = CUDART_VERSION, cudaSuccess; }
// The lazy one of each thread, on which freeing memory waits.
static thread_local emulated_stream *emulated_lazy;
static inline cudaError_t cudaStreamCreate(void **s) {
    emulated_stream *made = new emulated_stream();
    if (!emulated_lazy && getenv("PHA_EMULATED_LAZY")) emulated_lazy = made, made->lazy = true;
    return *s = made, cudaSuccess;
}
static inline cudaError_t cudaStreamSynchronize(void *s) { return emulated_wait(s), cudaSuccess; }
static inline cudaError_t cudaStreamDestroy(void *s) {
    emulated_wait(s);
    if (s == emulated_lazy) emulated_lazy = NULL;
    return delete (emulated_stream *)s, cudaSuccess;
}
static inline cudaError_t cudaMalloc(void **p, size_t n) {
    *p = aligned_alloc(256, (n + 255) / 256 * 256);
    return *p ? cudaSuccess : cudaErrorMemoryAllocation;
}
static inline cudaError_t cudaFree(void *p) { return emulated_wait(emulated_lazy), free(p), cudaSuccess; }
static inline cudaError_t cudaMemGetInfo(size_t *left, size_t *all) { return *left = *all = 0, cudaSuccess; }
static inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, cudaMemcpyKind kind, void *s) {
    if (kind == cudaMemcpyHostToDevice && ((emulated_stream *)s)->lazy) { // `from` may change on return
        std::vector<char> kept((const char *)from, (const char *)from + n);
        emulated_launch(s, [=] { memcpy(to, kept.data(), n); });
    } else if (n) emulated_launch(s, [=] { memcpy(to, from, n); });
    return cudaSuccess;
}
static inline cudaError_t cudaMemsetAsync(void *to, int byte, size_t n, void *s) {
    if (n) emulated_launch(s, [=] { memset(to, byte, n); });
    return cudaSuccess;
}

typedef std::vector<std::function<void()>> *cudaGraph_t, *cudaGraphExec_t;
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal };
static inline cudaError_t cudaStreamBeginCapture(void *s, cudaStreamCaptureMode) {
    ((emulated_stream *)s)->recording = new std::vector<std::function<void()>>();
    return cudaSuccess;
}
static inline cudaError_t cudaStreamEndCapture(void *s, cudaGraph_t *out) {
    *out = ((emulated_stream *)s)->recording;
    ((emulated_stream *)s)->recording = NULL;
    return cudaSuccess;
}
static inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long) {
    *out = new std::vector<std::function<void()>>(*graph);
    return cudaSuccess;
}
static inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) { return delete graph, cudaSuccess; }
static inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) { return delete graph, cudaSuccess; }
static inline cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, void *s) {
    for (const std::function<void()> &launch : *graph) emulated_launch(s, launch);
    return cudaSuccess;
}
static inline cudaError_t cudaEventCreate(cudaEvent_t *e) {
    *e = (cudaEvent_t)calloc(1, sizeof **e);
    return *e ? cudaSuccess : cudaErrorMemoryAllocation;
}
static inline cudaError_t cudaEventDestroy(cudaEvent_t e) { return free(e), cudaSuccess; }
static inline cudaError_t cudaEventRecord(cudaEvent_t e, void *s) {
    clock_gettime(CLOCK_MONOTONIC, &e->when);
    return e->stream = s, cudaSuccess;
}
static inline cudaError_t cudaEventSynchronize(cudaEvent_t e) { return emulated_wait(e->stream), cudaSuccess; }
static inline cudaError_t cudaStreamWaitEvent(void *, cudaEvent_t e, unsigned) {
    return emulated_wait(e->stream), cudaSuccess;
}
static inline cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to) {
    const timespec *a = &from->when, *b = &to->when;
    *ms = (float)((double)(b->tv_sec - a->tv_sec) * 1e3 + (double)(b->tv_nsec - a->tv_nsec) * 1e-6);
    return cudaSuccess;
}

#endif
