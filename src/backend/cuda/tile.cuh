// tile.cuh -- kernels of many threads together: the only file with instructions of a card
//
// A kernel is a function of one struct, marked PHA__GLOBAL(threads of a block), and pha__launch starts it. On a card
// the functions below are the hardware's; compiled for the host (tests/cuda/emulate.h), a thread is a fiber, and what
// is not yet there when a kernel reads it is NaN. Lanes are the 32 threads of a warp; every function with `warp` in its
// name, shuffle, ldm4 and mma are called by all of them.
#ifndef PHA__CUDA_TILE_CUH
#define PHA__CUDA_TILE_CUH

#include "backend/cuda/cuda.h"

struct pha__grid {
    int64_t x, y;
};

#ifdef PHA__EMULATE

#include "cuda/emulate.h"

#else

#define PHA__UNROLL _Pragma("unroll")
#define PHA__GLOBAL(threads) static __global__ void __launch_bounds__(threads)
#define PHA__TILE static __device__ __forceinline__
#define PHA__SHARED(type, name)                             \
    extern __shared__ __align__(128) unsigned char name##_raw[]; \
    type *name = (type *)name##_raw

template <typename A>
void pha__launch(pha__cuda *c, void (*kernel)(A), pha__grid grid, int threads, size_t shared, const A &args) {
    if (c->error || grid.x <= 0 || grid.y <= 0) return;
    if (shared > 48 << 10) // more has to be asked for
        c->error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
    if (c->error) return;
    kernel<<<dim3((unsigned)grid.x, (unsigned)grid.y), (unsigned)threads, shared, c->stream>>>(args);
    c->error = cudaPeekAtLastError();
}

PHA__TILE int thread_index() { return (int)threadIdx.x; }
PHA__TILE int n_threads() { return (int)blockDim.x; }
PHA__TILE int block_x() { return (int)blockIdx.x; }
PHA__TILE int block_y() { return (int)blockIdx.y; }
PHA__TILE int grid_x() { return (int)gridDim.x; }
PHA__TILE void barrier() { __syncthreads(); }
PHA__TILE void warp_barrier() { __syncwarp(); }
// 16 bytes at once; the address in memory is a multiple of 16.
PHA__TILE void load16(uint32_t to[4], const void *from) {
    uint4 v = *(const uint4 *)from;
    to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
}
PHA__TILE void store16(void *to, const uint32_t from[4]) {
    *(uint4 *)to = make_uint4(from[0], from[1], from[2], from[3]);
}
template <typename V> PHA__TILE V shuffle(V v, int mask) { return __shfl_xor_sync(0xffffffffu, v, mask); }
PHA__TILE bool warp_any(bool v) { return __any_sync(0xffffffffu, v); }

PHA__TILE uint32_t shared_address(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }
// Copies to shared memory that are there after the wait for their group; zeros if not `in`.
PHA__TILE void copy16(void *to, const void *from, bool in) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from),
                 "r"(in ? 16 : 0));
}
PHA__TILE void copy8(void *to, const void *from, bool in) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(to)), "l"(from), "r"(in ? 8 : 0));
}
PHA__TILE void copies_commit() { asm volatile("cp.async.commit_group;"); }
template <int N> PHA__TILE void copies_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

// Four 8 x 8 matrices of bf16, lane l with the address of row l % 8 of matrix l / 8; and each transposed.
PHA__TILE void ldm4(uint32_t r[4], const void *p) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p)));
}
PHA__TILE void ldm4_turned(uint32_t r[4], const void *p) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(p)));
}
// c (16, 8) += a (16, 16) b (16, 8)
PHA__TILE void mma(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
PHA__TILE uint32_t pack2(float low, float high) {
    uint32_t r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}
PHA__TILE float fast_exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
PHA__TILE float fast_inverse(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#endif

// The two numbers of a packed pair.
PHA__TILE float low_of(uint32_t pair) { return bf16_to_f32((uint16_t)pair); }
PHA__TILE float high_of(uint32_t pair) { return bf16_to_f32((uint16_t)(pair >> 16)); }

// Sums over the lanes of a warp, the same bits in each.
template <typename V> PHA__TILE V warp_sum(V v) {
    for (int mask = 16; mask; mask /= 2) v += shuffle(v, mask);
    return v;
}

#endif
