// embed.cu -- an element a thread; backward one of the table, whose rows run->order has side by side
#include "backend/cuda/each.cuh"
#include "ops/embed/embed.h"

namespace {

struct forward {
    pha__args a;
    pha__embed_attr t;
    PHA__CALL void operator()(int64_t k) const {
        int64_t row = k / a.out.width, i = k % a.out.width;
        float mask = dropout(a.run, t.dropout, t.site, row, i, a.out.width);
        put(a.out, row, i, t.scale * get(a.in[0], a.run->tokens[row], i) * mask);
    }
};

struct backward {
    pha__args a;
    pha__embed_attr t;
    PHA__CALL void operator()(int64_t k) const {
        int64_t v = k / a.out.width, i = k % a.out.width, rows = (int64_t)a.B * a.T, low = 0, high = rows;
        while (low < high) { // the first place of token v
            int64_t middle = (low + high) / 2;
            if (a.run->tokens[a.run->order[middle]] < v) low = middle + 1;
            else high = middle;
        }
        double sum = 0;
        bool any = false;
        for (; low < rows && a.run->tokens[a.run->order[low]] == v; low++, any = true) {
            int64_t row = a.run->order[low];
            sum += (double)t.scale * dropout(a.run, t.dropout, t.site, row, i, a.out.width) * get(a.d_out, row, i);
        }
        if (any || !(a.add & PHA__IN(0))) put_grad(a, 0, v, i, sum);
    }
};

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    const pha__embed_attr *t = (const pha__embed_attr *)a->attr;
    if (pass == PHA__FORWARD) pha__each(c, n_rows(a) * a->out.width, forward{*a, *t});
    else if (a->d_in[0].data) pha__each(c, (int64_t)a->in[0].rows * a->out.width, backward{*a, *t});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_embed = {NULL, NULL, run};
