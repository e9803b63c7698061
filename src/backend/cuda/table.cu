// table.cu -- the ops that have a kernel here
#include "backend/cuda/cuda.h"

#include <stdlib.h>
#include <string.h>

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

bool pha__cuda_plain(const char *op) {
    const char *list = getenv("PHA_CUDA_PLAIN");
    size_t n = strlen(op);
    while (list && *list) {
        size_t length = strcspn(list, ",");
        if ((length == n && !memcmp(list, op, n)) || (length == 3 && !memcmp(list, "all", 3))) return true;
        list += length + (list[length] == ',');
    }
    return false;
}
