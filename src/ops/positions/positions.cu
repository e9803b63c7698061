// positions.cu -- an element a thread, backward also one of the table; then the position of each session moves on
#include "backend/cuda/each.cuh"
#include "ops/positions/positions.h"

namespace {

enum { X, TABLE };

struct common {
    pha__args a;
    pha__positions_attr t;
    PHA__CALL float mask(int64_t row, int64_t i) const {
        return dropout(a.run, t.dropout, t.site, row, i, a.out.width);
    }
};

struct forward : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, i = k % a.out.width, b = row / a.T;
        int64_t place = row % a.T + (a.state ? *(const int64_t *)pha__slot(&a, (int)b) : 0);
        put(a.out, row, i, (get(a.in[X], row, i) + get(a.in[TABLE], place, i)) * mask(row, i));
    }
};

struct advance : common {
    PHA__CALL void operator()(int64_t b) const { *(int64_t *)pha__slot(&a, (int)b) += a.T; }
};

struct by_input : common {
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, i = k % a.out.width;
        put_grad(a, X, row, i, get(a.d_out, row, i) * mask(row, i));
    }
};

struct by_table : common { // no token stands at places beyond T
    PHA__CALL void operator()(int64_t k) const {
        int64_t place = k / a.out.width, i = k % a.out.width;
        double sum = 0;
        for (int64_t row = place; place < a.T && row < (int64_t)a.B * a.T; row += a.T)
            sum += (double)get(a.d_out, row, i) * mask(row, i);
        if (place < a.T || !(a.add & PHA__IN(TABLE))) put_grad(a, TABLE, place, i, sum);
    }
};

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    common q = {*a, *(const pha__positions_attr *)a->attr};
    int64_t n = n_rows(a) * a->out.width;
    if (pass == PHA__FORWARD) {
        pha__each(c, n, forward{q});
        if (a->state) pha__each(c, a->B, advance{q});
        return;
    }
    if (a->d_in[X].data) pha__each(c, n, by_input{q});
    if (a->d_in[TABLE].data) pha__each(c, (int64_t)a->in[TABLE].rows * a->out.width, by_table{q});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_positions = {NULL, NULL, run};
