// eights.cuh -- element-wise kernels: a function of a row and a column, for eight columns at once where all views allow
// it, else for one; one at a time is also the plain kernel
//
// The function is a template of a width W: W::n numbers are loaded by W::load and stored by W::store or, as a gradient,
// by W::grad.
#ifndef PHA__CUDA_EIGHTS_CUH
#define PHA__CUDA_EIGHTS_CUH

#include "backend/cuda/each.cuh"
#include "backend/cuda/tile.cuh"

struct pha__one {
    enum { n = 1 };
    PHA__CALL static void load(float x[1], const pha__view &v, int64_t row, int64_t column) {
        x[0] = get(v, row, column);
    }
    PHA__CALL static void store(const pha__view &v, int64_t row, int64_t column, const float x[1], bool add = false) {
        put(v, row, column, x[0], add);
    }
};

struct pha__eight { // by 16 bytes
    enum { n = 8 };
    PHA__CALL static void load(float x[8], const pha__view &v, int64_t row, int64_t column) {
        uint32_t w[8];
        int64_t at = row * v.ld + column;
        if (v.dtype == PHA__BF16) {
            load16(w, (const uint16_t *)v.data + at);
            PHA__UNROLL
            for (int i = 0; i < 4; i++) x[2 * i] = low_of(w[i]), x[2 * i + 1] = high_of(w[i]);
            return;
        }
        load16(w, (const float *)v.data + at), load16(w + 4, (const float *)v.data + at + 4);
        PHA__UNROLL
        for (int i = 0; i < 8; i++) memcpy(x + i, w + i, sizeof *x);
    }
    PHA__CALL static void store(const pha__view &v, int64_t row, int64_t column, const float x[8], bool add = false) {
        float y[8] = {0};
        uint32_t w[8];
        int64_t at = row * v.ld + column;
        if (add) load(y, v, row, column);
        PHA__UNROLL
        for (int i = 0; i < 8; i++) y[i] = add ? x[i] + y[i] : x[i];
        if (v.dtype == PHA__BF16) {
            PHA__UNROLL
            for (int i = 0; i < 4; i++) w[i] = pack2(y[2 * i], y[2 * i + 1]);
            return store16((uint16_t *)v.data + at, w);
        }
        PHA__UNROLL
        for (int i = 0; i < 8; i++) memcpy(w + i, y + i, sizeof *y);
        store16((float *)v.data + at, w), store16((float *)v.data + at + 4, w + 4);
    }
};

// A gradient, as put_grad.
template <typename W>
PHA__DEV void store_grad(W, const pha__args &a, int input, int64_t row, int64_t column, const float *x) {
    if (a.d_in[input].data) W::store(a.d_in[input], row, column, x, a.add & PHA__IN(input));
}

// Whether eight numbers may be read or written at once, from any row on; what is absent may.
static inline bool pha__in_eights(const pha__view *v)
{
    int64_t numbers = v->dtype == PHA__BF16 ? 8 : 4; // of 16 bytes
    return !v->data || ((uintptr_t)v->data % 16 == 0 && v->ld % numbers == 0 && v->width % 8 == 0);
}

template <typename F, typename W> struct pha__pieces {
    F f;
    int64_t pieces; // of a row
    PHA__CALL void operator()(int64_t k) const { f(W(), k / pieces, k % pieces * W::n); }
};

// f(W, row, column) over all of the arguments' output; `op` is whose plain kernel may be wanted.
template <typename F> void pha__elements(pha__cuda *c, const char *op, const pha__args *a, const F &f) {
    bool eights = !pha__cuda_plain(op) && pha__in_eights(&a->out) && pha__in_eights(&a->d_out);
    for (int i = 0; i < a->n_in; i++) eights = eights && pha__in_eights(&a->in[i]) && pha__in_eights(&a->d_in[i]);
    int64_t rows = n_rows(a), width = a->out.width;
    if (eights) pha__each(c, rows * width / 8, pha__pieces<F, pha__eight>{f, width / 8});
    else pha__each(c, rows * width, pha__pieces<F, pha__one>{f, width});
}

#endif
