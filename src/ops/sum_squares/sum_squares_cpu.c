/* sum_squares_cpu.c -- phase 0: a task is a block of 4096 elements, its sum goes to work; phase 1 adds the blocks in
 * order
 */
#include "backend/cpu/rows.h"
#include "ops/sum_squares/sum_squares.h"

enum { BLOCK = 4096 };

static int64_t size(const pha__args *a) { return (int64_t)a->in[0].rows * a->in[0].width; }

static int64_t blocks(const pha__args *a) { return (size(a) + BLOCK - 1) / BLOCK; }

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (pass != PHA__FORWARD || phase > 1) return 0;
    return phase == 0 ? blocks(a) : 1;
}

static size_t work(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return (size_t)blocks(a) * sizeof(double);
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)memory;
    double *partial = a->work;
    if (phase == 0) {
        const float *g = a->in[0].data;
        for (int64_t k = begin; k < end; k++) {
            int64_t n = size(a) - k * BLOCK < BLOCK ? size(a) - k * BLOCK : BLOCK;
            partial[k] = pha__dot(g + k * BLOCK, g + k * BLOCK, n);
        }
        return;
    }
    double sum = 0;
    for (int64_t k = 0; k < blocks(a); k++) sum += partial[k];
    memcpy(a->saved, &sum, sizeof sum);
}

PHA__KERNEL(sum_squares) = {.tasks = tasks, .forward = forward, .work = work};
