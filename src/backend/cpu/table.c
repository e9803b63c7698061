/* table.c -- the kernels of the instruction set being compiled, one row per line of ops.def */
#include "backend/cpu/detect.h"

#define PHA__OP(name) extern PHA__KERNEL(name);
#include "ops/ops.def"
#undef PHA__OP

extern const pha__cpu_row PHA__ISA_NAME(pha__cpu_table)[];

const pha__cpu_row PHA__ISA_NAME(pha__cpu_table)[] = {
#define PHA__OP(name) {&pha__op_##name, &PHA__ISA_NAME(pha__##name)},
#include "ops/ops.def"
#undef PHA__OP
    {NULL, NULL},
};
