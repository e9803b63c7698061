// device.cu -- an NVIDIA GPU as a backend: memory, copies and steps in the order of one stream
//
// This and the kernels are a plugin (libpha-cuda.so), which links nothing of libpha: what it needs of it comes in
// pha__host.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/link.h"
#include "backend/cuda/products.h"
#include "backend/plugin.h"
#ifdef PHA__EMULATE
#include "cuda/runtime.h"
#endif

static const pha__host *host;

pha_status pha__fail(pha_status code, const char *format, ...) {
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return host->fail(code, "%s", text);
}

namespace {

struct card {
    pha__device device;
    pha__cuda launches;
    int index;
    cudaEvent_t marks[PHA__MARKS];
    cudaStream_t aside; // for what goes beside the other; the two change places meanwhile
    cudaEvent_t turn;   // of one, for which the other waits
};

card *of(pha__device *d) { return (card *)d; }

pha_status said(cudaError_t e, const char *what) {
    if (e == cudaSuccess) return PHA_OK;
    return pha__fail(e == cudaErrorMemoryAllocation ? PHA_NO_MEMORY : PHA_NO_DEVICE, "cuda: %s failed: %s", what,
                     cudaGetErrorString(e));
}

#define CUDA(call, what)                                          \
    do {                                                          \
        cudaError_t error_ = (call);                              \
        if (error_ != cudaSuccess) return said(error_, what);     \
    } while (0)

void gpu_close(pha__device *d) {
    card *c = of(d);
    for (cudaEvent_t event : c->marks)
        if (event) cudaEventDestroy(event);
    if (c->turn) cudaEventDestroy(c->turn);
    if (c->aside) cudaStreamDestroy(c->aside);
    pha__products_close(c->launches.products);
    if (c->launches.stream) cudaStreamDestroy(c->launches.stream);
    free(c);
}

// The card that `which` means ("": the first), or why there is none.
pha_status find(const char *which, int *index) {
    int n = 0;
    char *end;
    long wanted = *which ? strtol(which, &end, 10) : 0;
    if (*which && (*end || wanted < 0 || wanted > 9999))
        FAIL(NO_DEVICE, "cuda:%.60s: cards are numbered: cuda:0", which);
    cudaError_t e = cudaGetDeviceCount(&n);
    if (e == cudaErrorInsufficientDriver)
        FAIL(NO_DEVICE, "cuda: there is no NVIDIA driver here, or it is older than CUDA %d.%d", CUDART_VERSION / 1000,
             CUDART_VERSION % 1000 / 10);
    if (e != cudaSuccess || n == 0)
        FAIL(NO_DEVICE, "cuda: no card: %s", e == cudaSuccess ? "the driver sees none" : cudaGetErrorString(e));
    if (wanted >= n) FAIL(NO_DEVICE, "cuda:%ld: there are cuda:0 to cuda:%d", wanted, n - 1);
    *index = (int)wanted;
    return PHA_OK;
}

// Without the library there are plain kernels, and a note.
void open_products(card *c, const cudaDeviceProp &p) {
    char why[200];
    static bool told;
    int capability = 10 * p.major + p.minor;
    if (pha__products_open(&c->launches.products, capability, p.multiProcessorCount, why, sizeof why)) return;
    if (!told)
        host->note("cuda: without cuBLASLt (%s): products by plain kernels, some hundred times slower; "
                  "PHA_CUBLASLT names its file", why);
    told = true;
}

pha_status gpu_open(pha__device **out, const char *which, int) {
    int index = 0;
    cudaDeviceProp p;
    TRY(find(which, &index));
    CUDA(cudaSetDevice(index), "choosing the card");
    CUDA(cudaGetDeviceProperties(&p, index), "asking the card");
    if (p.major < 8)
        FAIL(NO_DEVICE, "cuda:%d: %s has compute capability %d.%d; at least 8.0 (A100, RTX 30) is needed", index,
             p.name, p.major, p.minor);
    card *c = (card *)calloc(1, sizeof *c);
    if (!c) FAIL(NO_MEMORY, "no memory for a device");
    c->device.backend = pha_cuda_backend(host);
    c->index = index;
    pha_status status = said(cudaStreamCreate(&c->launches.stream), "making a stream");
    if (!status) open_products(c, p);
    if (status) gpu_close(&c->device);
    else *out = &c->device;
    return status;
}

void gpu_info(pha__device *d, pha__device_info *out) {
    cudaDeviceProp p;
    int driver = 0;
    memset(out, 0, sizeof *out);
    if (cudaGetDeviceProperties(&p, of(d)->index) != cudaSuccess) return;
    cudaDriverGetVersion(&driver);
    snprintf(out->name, sizeof out->name, "%.100s", p.name);
    int n = snprintf(out->version, sizeof out->version, "CUDA %d.%d, driver for %d.%d", CUDART_VERSION / 1000,
                     CUDART_VERSION % 1000 / 10, driver / 1000, driver % 1000 / 10);
    if (of(d)->launches.products)
        snprintf(out->version + n, sizeof out->version - (size_t)n, ", cuBLASLt %zu",
                 pha__products_version(of(d)->launches.products));
    out->units = p.multiProcessorCount;
}

pha_status gpu_ceiling(pha__device *, pha__ceiling *out) {
    out->flops = out->bytes = 0; // not known
    return PHA_OK;
}

// ---- memory ---------------------------------------------------------------------------------------------------------

void *gpu_alloc(pha__device *d, size_t size) {
    void *p = NULL;
    cudaError_t e = cudaSetDevice(of(d)->index);
    if (e == cudaSuccess) e = cudaMalloc(&p, size ? size : 1);
    if (e == cudaSuccess) return p;
    size_t left = 0, all = 0;
    cudaGetLastError();
    cudaMemGetInfo(&left, &all);
    pha__fail(PHA_NO_MEMORY, "cuda: no memory for %.1f MB: %.1f of %.1f MB are free", (double)size / 1e6,
              (double)left / 1e6, (double)all / 1e6);
    return NULL;
}

void gpu_free(pha__device *, void *p) { cudaFree(p); }

pha_status gpu_upload(pha__device *d, void *to, const void *from, size_t size) {
    return said(cudaMemcpyAsync(to, from, size, cudaMemcpyHostToDevice, of(d)->launches.stream), "an upload");
}

pha_status gpu_download(pha__device *d, void *to, const void *from, size_t size) {
    CUDA(cudaMemcpyAsync(to, from, size, cudaMemcpyDeviceToHost, of(d)->launches.stream), "a download");
    return said(cudaStreamSynchronize(of(d)->launches.stream), "a step before a download");
}

pha_status gpu_copy(pha__device *d, void *to, const void *from, size_t size) {
    return said(cudaMemcpyAsync(to, from, size, cudaMemcpyDeviceToDevice, of(d)->launches.stream), "a copy");
}

pha_status gpu_fill(pha__device *d, void *to, int byte, size_t size) {
    return said(cudaMemsetAsync(to, byte, size, of(d)->launches.stream), "filling memory");
}

// ---- steps ----------------------------------------------------------------------------------------------------------

const void *gpu_kernel(pha__device *, const char *op) {
    for (const pha__cuda_row *row = pha__cuda_rows(); row->op; row++)
        if (!strcmp(row->op, op)) return row->kernel;
    return NULL;
}

const char *name_of(const void *kernel) {
    const pha__cuda_row *row = pha__cuda_rows();
    while (row->op && row->kernel != kernel) row++;
    return row->op ? row->op : "?";
}

bool is_plain(const pha__view &v) { return !v.width || v.dtype == PHA__F32 || v.dtype == PHA__BF16; }

pha_status gpu_needs(pha__device *, const void *kernel, const pha__args *a, pha__pass pass, pha__needs *out) {
    const pha__cuda_kernel *k = (const pha__cuda_kernel *)kernel;
    char why[PHA__CUDA_WHY];
    for (int i = 0; i < a->n_in; i++)
        if (!is_plain(a->in[i]))
            FAIL(NO_DEVICE, "cuda: %s: weights are read in fp32 and bf16 alone, input %d has another format",
                 name_of(kernel), i);
    if (k->refuse && k->refuse(a, pass, why)) FAIL(NO_DEVICE, "cuda: %s: %s", name_of(kernel), why);
    out->work = k->work ? k->work(a, pass) : 0;
    out->scratch = 0;
    return PHA_OK;
}

pha_status gpu_run(pha__device *d, const void *kernel, const pha__args *a, pha__pass pass, void *) {
    card *c = of(d);
    CUDA(cudaSetDevice(c->index), "choosing the card"); // of this thread, which need not be the one that opened it
    ((const pha__cuda_kernel *)kernel)->run(&c->launches, a, pass);
    int e = c->launches.error;
    c->launches.error = 0;
    if (e >= PHA__PRODUCT_FAILED)
        FAIL(NO_DEVICE, "cuda: a product of %s failed: cuBLASLt's status %d", name_of(kernel), e - PHA__PRODUCT_FAILED);
    return said((cudaError_t)e, name_of(kernel));
}

// ---- recordings -----------------------------------------------------------------------------------------------------

pha_status gpu_begin(pha__device *d) {
    CUDA(cudaSetDevice(of(d)->index), "choosing the card");
    return said(cudaStreamBeginCapture(of(d)->launches.stream, cudaStreamCaptureModeThreadLocal), "a recording");
}

pha_status gpu_end(pha__device *d, void **recording) {
    cudaGraph_t graph = NULL;
    cudaGraphExec_t made = NULL;
    *recording = NULL;
    CUDA(cudaStreamEndCapture(of(d)->launches.stream, &graph), "a recording");
    cudaError_t e = cudaGraphInstantiate(&made, graph, 0);
    cudaGraphDestroy(graph);
    CUDA(e, "making a recording ready");
    *recording = made;
    return PHA_OK;
}

pha_status gpu_replay(pha__device *d, void *recording) {
    CUDA(cudaSetDevice(of(d)->index), "choosing the card");
    return said(cudaGraphLaunch((cudaGraphExec_t)recording, of(d)->launches.stream), "a recording");
}

void gpu_forget(pha__device *d, void *recording) {
    cudaStreamSynchronize(of(d)->launches.stream);
    cudaGraphExecDestroy((cudaGraphExec_t)recording);
}

// ---- messages between cards -----------------------------------------------------------------------------------------

pha_status gpu_link_id(pha__device *, char *id) { return pha__link_id(id); }

pha_status gpu_link_open(pha__device *d, const char *id, int rank, int size, void **link) {
    *link = NULL;
    CUDA(cudaSetDevice(of(d)->index), "choosing the card");
    return pha__link_open((pha__link **)link, id, rank, size);
}

pha_status gpu_link_exchange(pha__device *d, void *link, int peer, const void *out, size_t n_out, void *in,
                             size_t n_in) {
    CUDA(cudaSetDevice(of(d)->index), "choosing the card");
    return pha__link_exchange((pha__link *)link, peer, out, n_out, in, n_in, of(d)->launches.stream);
}

void gpu_link_close(pha__device *d, void *link) {
    cudaStreamSynchronize(of(d)->launches.stream);
    pha__link_close((pha__link *)link);
}

// Stream `to` waits for what has been given to `from`.
pha_status wait_for(card *c, cudaStream_t from, cudaStream_t to) {
    CUDA(cudaSetDevice(c->index), "choosing the card");
    if (!c->turn) CUDA(cudaEventCreate(&c->turn), "making an event");
    CUDA(cudaEventRecord(c->turn, from), "an event");
    return said(cudaStreamWaitEvent(to, c->turn, 0), "waiting for an event");
}

pha_status gpu_link_aside(pha__device *d, void *, bool aside) {
    card *c = of(d);
    if (!c->aside) CUDA(cudaStreamCreate(&c->aside), "making a stream");
    if (aside) TRY(wait_for(c, c->launches.stream, c->aside));
    cudaStream_t other = c->aside;
    c->aside = c->launches.stream, c->launches.stream = other;
    return PHA_OK;
}

pha_status gpu_link_join(pha__device *d, void *) {
    card *c = of(d);
    return c->aside ? wait_for(c, c->aside, c->launches.stream) : PHA_OK;
}

// ---- time -----------------------------------------------------------------------------------------------------------

pha_status gpu_mark(pha__device *d, int mark) {
    card *c = of(d);
    CUDA(cudaSetDevice(c->index), "choosing the card");
    if (!c->marks[mark]) CUDA(cudaEventCreate(&c->marks[mark]), "making an event");
    return said(cudaEventRecord(c->marks[mark], c->launches.stream), "an event");
}

pha_status gpu_between(pha__device *d, int a, int b, double *seconds) {
    float ms;
    CUDA(cudaEventSynchronize(of(d)->marks[b]), "waiting for an event");
    CUDA(cudaEventElapsedTime(&ms, of(d)->marks[a], of(d)->marks[b]), "the time between events");
    *seconds = ms * 1e-3;
    return PHA_OK;
}

const pha__backend backend = {
    "cuda",
#ifdef PHA__EMULATE
    true, // what closes it is far.c
#else
    false,
#endif
    false, // products add up all rows of a run at once
    256,       PHA__F32,   gpu_open, gpu_close, gpu_info, gpu_ceiling, gpu_alloc, gpu_free, gpu_upload, gpu_download,
    gpu_copy,  gpu_fill,   gpu_kernel, gpu_needs, gpu_run, gpu_begin,  gpu_end,     gpu_replay, gpu_forget,
    gpu_link_id, gpu_link_open, gpu_link_exchange, gpu_link_close, gpu_link_aside, gpu_link_join, gpu_mark, gpu_between,
};

} // namespace

extern "C" __attribute__((visibility("default"))) const pha__backend *pha_cuda_backend(const pha__host *h) {
    if (h->abi != PHA__BACKEND_ABI || h->args_size != sizeof(pha__args) || h->run_size != sizeof(pha__run)) return NULL;
    host = h;
#ifdef PHA__EMULATE
    static pha__backend late = backend; // whose work is done when somebody waits for it
    late.host_memory = false;
    if (getenv("PHA_EMULATED_LAZY")) return &late;
#endif
    return &backend;
}
