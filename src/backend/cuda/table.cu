// table.cu -- the ops that have a kernel here
#include "backend/cuda/cuda.h"

#define PHA__CUDA_OP(name) extern const pha__cuda_kernel pha__cuda_##name;
#include "backend/cuda/ops.def"
#undef PHA__CUDA_OP

extern "C" const pha__cuda_row *pha__cuda_rows(void) {
    static const pha__cuda_row rows[] = {
#define PHA__CUDA_OP(name) {#name, &pha__cuda_##name},
#include "backend/cuda/ops.def"
#undef PHA__CUDA_OP
        {NULL, NULL}};
    return rows;
}
