/* attention_backward.h -- the backward pass of attention, for its kernel (attention_cpu.c) */
#ifndef PHA__ATTENTION_BACKWARD_H
#define PHA__ATTENTION_BACKWARD_H

#include "backend/cpu/kernel.h"

#define pha__attention_backward PHA__ISA_NAME(pha__attention_backward)
#define pha__attention_backward_tasks PHA__ISA_NAME(pha__attention_backward_tasks)
#define pha__attention_backward_work PHA__ISA_NAME(pha__attention_backward_work)
#define pha__attention_backward_scratch PHA__ISA_NAME(pha__attention_backward_scratch)

void pha__attention_backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch);
int64_t pha__attention_backward_tasks(const pha__args *a, int phase);
size_t pha__attention_backward_work(const pha__args *a);
size_t pha__attention_backward_scratch(int head_width);

#endif
