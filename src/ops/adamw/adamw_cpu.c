/* adamw_cpu.c -- a task is a block of 4096 elements; p, g, m and v are read once and p, m, v written once */
#include "backend/cpu/rows.h"
#include "ops/adamw/adamw.h"

enum { BLOCK = 4096 };

static int64_t size(const pha__args *a) { return (int64_t)a->in[0].rows * a->in[0].width; }

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    return pass == PHA__FORWARD && phase == 0 ? (size(a) + BLOCK - 1) / BLOCK : 0;
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)phase, (void)memory;
    const pha__adamw_attr *t = a->attr;
    float *p = a->in[0].data, *m = a->in[2].data, *v = a->in[3].data;
    const float *g = a->in[1].data;
    vf b1 = vf_set1(t->beta1), b2 = vf_set1(t->beta2);
    vf one_b1 = vf_set1((float)(1.0 - (double)t->beta1)), one_b2 = vf_set1((float)(1.0 - (double)t->beta2));
    float lr = a->run->update.lr < t->most ? a->run->update.lr : t->most;
    vf shrink = vf_set1(lr * t->decay), rate = vf_set1(lr / a->run->update.c1), c2 = vf_set1(1.0f / a->run->update.c2);
    vf eps = vf_set1(t->eps), scale = vf_set1(a->run->update.scale);
    int64_t last = end * BLOCK < size(a) ? end * BLOCK : size(a);
    for (int64_t i = begin * BLOCK; i < last; i += VF) {
        int64_t n = last - i;
        vf x = pha__load(p + i, n), gi = scale * pha__load(g + i, n);
        vf mi = vf_fma(b1, pha__load(m + i, n), one_b1 * gi);
        vf vi_ = vf_fma(b2, pha__load(v + i, n), one_b2 * gi * gi);
        x = x - shrink * x;
        x = x - rate * mi / (vf_sqrt(vi_ * c2) + eps);
        pha__store(m + i, mi, n);
        pha__store(v + i, vi_, n);
        pha__store(p + i, x, n);
        if (!a->out.data) continue;
        uint16_t *copy = (uint16_t *)a->out.data + i;
        for (int k = 0; n < VF && k < n; k++) copy[k] = f32_to_bf16(x[k]);
        if (n >= VF) vf_store_bf16(copy, x);
    }
}

PHA__KERNEL(adamw) = {.tasks = tasks, .forward = forward};
