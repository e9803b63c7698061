// emulate.h -- kernels of many threads on a processor (tile.cuh)
//
// A thread is a fiber; a barrier or an operation of a warp lets others run. Pessimistic on purpose: shared memory is
// NaN when a block begins, a copy is NaN until the wait that covers it, mma and ldm4 work on the fragments as they lie
// in the registers of the 32 lanes, and a seed (PHA_EMULATED_SEED) picks the schedule, in which mostly one warp runs
// alone as far as it can. Threads of a block that wait for different things end the program, as do writes behind the
// shared memory that was asked for and addresses that a card would not take.
#ifndef EMULATE_H
#define EMULATE_H

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

#include "base/dtype.h"
#include "cuda/stream.h"

#define PHA__UNROLL
#define PHA__GLOBAL(threads) static void
#define PHA__TILE static inline
#define PHA__SHARED(type, name) type *name = (type *)emulated::block().shared

namespace emulated {

enum { STACK = 128 << 10, GUARD = 256, LANES = 32 };
enum state { READY, AT_BARRIER, AT_WARP, DONE };

struct copy {
    void *to;
    const void *from;
    int bytes;
    bool in;
};

struct thread {
    ucontext_t first;
    jmp_buf place;
    bool begun;
    std::unique_ptr<char[]> stack;
    void *fake; // of the address sanitizer
    state now;
    std::vector<std::vector<copy>> groups;
    std::vector<copy> open;
};

struct warp { // what lanes show each other; two turns, since some may be a turn ahead
    uint32_t shown[2][LANES][12];
    int arrived, turn;
};

struct running { // the block that runs
    std::vector<thread> threads;
    std::vector<warp> warps;
    std::function<void()> kernel;
    char *shared;
    int n, current, live, at_barrier;
    pha__grid grid, at;
    jmp_buf scheduler;
    void *fake; // the scheduler's, and where its stack lies
    const void *stack;
    size_t stack_size;
    uint64_t seed;
};

// The address sanitizer is told of every change of stacks: who goes, and where to; then who has come, and from where.
inline void going(void **fake, const void *stack, size_t size) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(fake, stack, size);
#endif
    (void)fake, (void)stack, (void)size;
}

inline void come(void *fake, const void **stack, size_t *size) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(fake, stack, size);
#endif
    (void)fake, (void)stack, (void)size;
}

inline running &block() {
    static thread_local running r;
    return r;
}

inline void stop(const char *what) {
    fprintf(stderr, "emulated card: %s\n", what);
    abort();
}

inline uint32_t random_of(running &r) {
    if (!r.seed) {
        const char *seed = getenv("PHA_EMULATED_SEED");
        r.seed = seed ? strtoull(seed, NULL, 10) * 2 + 1 : 1;
    }
    r.seed = r.seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(r.seed >> 33);
}

inline void leave() { // to the scheduler, until it comes back
    running &r = block();
    thread &t = r.threads[r.current];
    if (!_setjmp(t.place)) {
        going(&t.fake, r.stack, r.stack_size);
        _longjmp(r.scheduler, 1);
    }
    come(block().threads[block().current].fake, NULL, NULL);
}

inline void open_barrier(running &r) {
    if (r.at_barrier == 0 || r.at_barrier != r.live) return;
    r.at_barrier = 0;
    for (thread &t : r.threads)
        if (t.now == AT_BARRIER) t.now = READY;
}

inline void enter() { // of a thread of one block after the other: to make a fiber costs more than most kernels
    running &r = block();
    come(NULL, &r.stack, &r.stack_size);
    for (;;) {
        r.kernel();
        r.threads[r.current].now = DONE;
        r.live--;
        open_barrier(r); // those that are through are not waited for
        leave();
    }
}

inline void step(running &r, int i) {
    thread &t = r.threads[i];
    r.current = i;
    if (_setjmp(r.scheduler)) return come(block().fake, NULL, NULL);
    going(&r.fake, t.stack.get(), STACK);
    if (t.begun) _longjmp(t.place, 1);
    t.begun = true;
    setcontext(&t.first);
}

inline void start(running &r, int i) {
    thread &t = r.threads[i];
    t.now = READY;
    t.groups.clear(), t.open.clear();
    if (t.stack) return;
    t.stack.reset(new char[STACK]);
    t.begun = false;
    getcontext(&t.first);
    t.first.uc_stack.ss_sp = t.stack.get(), t.first.uc_stack.ss_size = STACK, t.first.uc_link = NULL;
    makecontext(&t.first, enter, 0);
}

inline void run_block(running &r) {
    std::vector<int> order(r.n);
    for (int i = 0; i < r.n; i++) start(r, i), order[i] = i;
    for (warp &w : r.warps) w.arrived = w.turn = 0;
    r.live = r.n, r.at_barrier = 0;
    while (r.live) {
        bool moved = false, again = true;
        int only = random_of(r) % 8 ? (int)(random_of(r) % r.warps.size()) : -1; // mostly one warp, else all together
        for (int i = r.n; i > 1; i--) std::swap(order[i - 1], order[random_of(r) % (uint32_t)i]);
        while (again) {
            again = false;
            for (int i : order) {
                if (r.threads[i].now != READY || (only >= 0 && i / LANES != only)) continue;
                step(r, i);
                moved = true, again = only >= 0;
            }
        }
        for (int i = 0; i < r.n && !moved; i++) moved = r.threads[i].now == READY;
        if (!moved && r.live) stop("threads of a block wait for different things");
    }
}

inline void run_grid(pha__grid grid, int threads, size_t shared, const std::function<void()> &kernel) {
    running &r = block();
    if (r.threads.size() < (size_t)threads) r.threads.resize(threads);
    r.warps.resize((threads + LANES - 1) / LANES);
    r.kernel = kernel, r.n = threads, r.grid = grid;
    r.shared = (char *)aligned_alloc(128, (shared + 2 * GUARD) / 128 * 128);
    for (r.at.y = 0; r.at.y < grid.y; r.at.y++)
        for (r.at.x = 0; r.at.x < grid.x; r.at.x++) {
            memset(r.shared, 0xff, shared + GUARD); // NaN
            run_block(r);
            for (int i = 0; i < GUARD; i++)
                if (r.shared[shared + i] != (char)0xff) stop("a write behind the shared memory of the block");
        }
    free(r.shared);
}

inline void arrive() { // at an operation of the warp
    running &r = block();
    int w = r.current / LANES, n = std::min(r.n - w * LANES, (int)LANES);
    r.threads[r.current].now = AT_WARP;
    if (++r.warps[w].arrived < n) return leave();
    r.warps[w].arrived = 0, r.warps[w].turn ^= 1;
    for (int i = 0; i < n; i++) r.threads[w * LANES + i].now = READY;
}

inline int lane() { return block().current % LANES; }
inline uint32_t (*shown())[12] {
    warp &w = block().warps[block().current / LANES];
    return w.shown[w.turn];
}

inline void add_copy(void *to, const void *from, bool in, int bytes) {
    bool aligned = (uintptr_t)to % (uintptr_t)bytes == 0 && (!in || (uintptr_t)from % (uintptr_t)bytes == 0);
    if (!aligned) stop("a copy that is not aligned");
    memset(to, 0xff, bytes);
    block().threads[block().current].open.push_back({to, from, bytes, in});
}

inline void finish_copies(size_t keep) {
    thread &t = block().threads[block().current];
    for (; t.groups.size() > keep; t.groups.erase(t.groups.begin()))
        for (const copy &c : t.groups[0])
            if (c.in) memcpy(c.to, c.from, c.bytes);
            else memset(c.to, 0, c.bytes);
}

inline uint16_t half_of(uint32_t pair, int i) { return (uint16_t)(i ? pair >> 16 : pair); }

} // namespace emulated

template <typename A>
void pha__launch(pha__cuda *c, void (*kernel)(A), pha__grid grid, int threads, size_t shared, const A &args) {
    if (threads > 1024 || shared > 227 << 10) emulated::stop("a block that no card has room for");
    emulated_launch(c->stream, [=] { emulated::run_grid(grid, threads, shared, [=] { kernel(args); }); });
}

static inline int thread_index() { return emulated::block().current; }
static inline int n_threads() { return emulated::block().n; }
static inline int block_x() { return (int)emulated::block().at.x; }
static inline int block_y() { return (int)emulated::block().at.y; }
static inline int grid_x() { return (int)emulated::block().grid.x; }

static inline void barrier() {
    emulated::running &r = emulated::block();
    r.threads[r.current].now = emulated::AT_BARRIER;
    r.at_barrier++;
    emulated::open_barrier(r);
    if (r.threads[r.current].now != emulated::READY) emulated::leave();
}
static inline void warp_barrier() { emulated::arrive(); }

static inline void load16(uint32_t to[4], const void *from) {
    if ((uintptr_t)from % 16) emulated::stop("a load of 16 bytes that is not aligned");
    memcpy(to, from, 16);
}

static inline void store16(void *to, const uint32_t from[4]) {
    if ((uintptr_t)to % 16) emulated::stop("a store of 16 bytes that is not aligned");
    memcpy(to, from, 16);
}

template <typename V> static inline V shuffle(V v, int mask) {
    static_assert(sizeof v <= 8, "a lane shows eight bytes");
    uint32_t(*shown)[12] = emulated::shown();
    int lane = emulated::lane();
    memcpy(shown[lane], &v, sizeof v);
    emulated::arrive();
    memcpy(&v, shown[lane ^ mask], sizeof v);
    return v;
}
static inline bool warp_any(bool v) {
    bool any = v;
    for (int mask = 16; mask; mask /= 2) any |= shuffle((int)any, mask) != 0;
    return any;
}

static inline void copy16(void *to, const void *from, bool in) { emulated::add_copy(to, from, in, 16); }
static inline void copy8(void *to, const void *from, bool in) { emulated::add_copy(to, from, in, 8); }
static inline void copies_commit() {
    emulated::thread &t = emulated::block().threads[emulated::block().current];
    t.groups.push_back(t.open);
    t.open.clear();
}
template <int N> static inline void copies_wait() { emulated::finish_copies(N); }

static inline void load_fragments(uint32_t r[4], const void *p, bool turned) {
    uint32_t(*shown)[12] = emulated::shown();
    int lane = emulated::lane(), row = lane / 4, pair = lane % 4;
    if ((uintptr_t)p % 16) emulated::stop("a row of a fragment that is not aligned");
    memcpy(shown[lane], p, 16);
    emulated::arrive();
    for (int j = 0; j < 4; j++) {
        uint32_t low = emulated::half_of(shown[j * 8 + 2 * pair][row / 2], row % 2);
        uint32_t high = emulated::half_of(shown[j * 8 + 2 * pair + 1][row / 2], row % 2);
        r[j] = turned ? low | high << 16 : shown[j * 8 + row][pair];
    }
}
static inline void ldm4(uint32_t r[4], const void *p) { load_fragments(r, p, false); }
static inline void ldm4_turned(uint32_t r[4], const void *p) { load_fragments(r, p, true); }

static inline void mma(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
    float(*shown)[12] = (float(*)[12])emulated::shown();
    int lane = emulated::lane();
    const uint32_t pairs[6] = {a[0], a[1], a[2], a[3], b0, b1};
    for (int i = 0; i < 12; i++) shown[lane][i] = bf16_to_f32(emulated::half_of(pairs[i / 2], i % 2));
    emulated::arrive();
    float sum[4] = {0, 0, 0, 0}; // rows lane / 4 and 8 on, columns 2 (lane % 4) and 1 on
    for (int k = 0; k < 16; k++) {
        const float *x = shown[lane / 4 * 4 + k % 8 / 2] + k / 8 * 4 + k % 2;
        const float *y = shown[lane % 4 * 8 + k % 8 / 2] + 8 + k / 8 * 2 + k % 2;
        for (int i = 0; i < 4; i++) sum[i] += x[i / 2 * 2] * y[i % 2 * 4 * 12];
    }
    for (int i = 0; i < 4; i++) c[i] += sum[i];
}
static inline uint32_t pack2(float low, float high) { return f32_to_bf16(low) | (uint32_t)f32_to_bf16(high) << 16; }
static inline float fast_exp2(float x) { return exp2f(x); }
static inline float fast_inverse(float x) { return 1 / x; }

#endif
