// adamw.cu -- an element a thread
#include "backend/cuda/each.cuh"
#include "ops/adamw/adamw.h"

namespace {

struct update {
    pha__args a;
    pha__adamw_attr t;
    PHA__CALL void operator()(int64_t i) const {
        float *p = (float *)a.in[0].data + i, *m = (float *)a.in[2].data + i, *v = (float *)a.in[3].data + i;
        float lr = a.run->update.lr < t.most ? a.run->update.lr : t.most;
        float g = a.run->update.scale * ((const float *)a.in[1].data)[i];
        *m = t.beta1 * *m + (float)(1.0 - (double)t.beta1) * g;
        *v = t.beta2 * *v + (float)(1.0 - (double)t.beta2) * g * g;
        float x = *p - lr * t.decay * *p;
        x -= lr / a.run->update.c1 * *m / (sqrtf(*v * (1.0f / a.run->update.c2)) + t.eps);
        *p = x;
        if (a.out.data) ((uint16_t *)a.out.data)[i] = f32_to_bf16(x);
    }
};

void run(pha__cuda *c, const pha__args *a, pha__pass pass) {
    if (pass == PHA__FORWARD)
        pha__each(c, (int64_t)a->in[0].rows * a->in[0].width, update{*a, *(const pha__adamw_attr *)a->attr});
}

} // namespace

extern const pha__cuda_kernel pha__cuda_adamw = {NULL, NULL, run};
