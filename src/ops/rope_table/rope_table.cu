// rope_table.cu -- a pair of a token a thread, in double; then the position of each session moves on
#include "backend/cuda/each.cuh"
#include "ops/rope_table/rope_table.h"

namespace {

struct angles {
    pha__args a;
    pha__rope_table_attr t;
    PHA__CALL void operator()(int64_t k) const {
        int64_t half = t.head_width / 2, row = k / half, j = k % half, b = row / a.T;
        int64_t position = row % a.T + (a.state ? *(const int64_t *)pha__slot(&a, (int)b) : 0);
        double angle = (double)position * pow(t.theta, -2.0 * (double)j / (double)t.head_width);
        put(a.out, row, j, (float)cos(angle));
        put(a.out, row, half + j, (float)sin(angle));
    }
};

struct advance {
    pha__args a;
    PHA__CALL void operator()(int64_t b) const { *(int64_t *)pha__slot(&a, (int)b) += a.T; }
};

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    if (pass != PHA__FORWARD) return;
    const pha__rope_table_attr *t = (const pha__rope_table_attr *)a->attr;
    pha__each(c, n_rows(a) * t->head_width / 2, angles{*a, *t});
    if (a->state) pha__each(c, a->B, advance{*a});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_rope_table = {NULL, NULL, run};
