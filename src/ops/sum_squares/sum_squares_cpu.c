/* sum_squares_cpu.c -- phase 0: a task is a piece, its sum goes to work; phase 1: a task is a segment and adds its
 * pieces in order
 */
#include "backend/cpu/rows.h"
#include "ops/sum_squares/sum_squares.h"

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    const pha__sum_squares_attr *s = a->attr;
    if (pass != PHA__FORWARD || phase > 1) return 0;
    return phase == 0 ? s->pieces : s->n;
}

static size_t work(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return (size_t)((const pha__sum_squares_attr *)a->attr)->pieces * sizeof(double);
}

/* The segment of a piece. */
static int32_t segment_of(const pha__sum_squares_attr *s, int64_t piece)
{
    int32_t low = 0, high = s->n - 1;
    while (low < high) {
        int32_t middle = (low + high + 1) / 2;
        if (s->segment[middle].piece <= piece) low = middle;
        else high = middle - 1;
    }
    return low;
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *memory)
{
    (void)memory;
    const pha__sum_squares_attr *s = a->attr;
    double *partial = a->work;
    for (int64_t k = begin; k < end && phase == 0; k++) {
        const pha__segment *g = &s->segment[segment_of(s, k)];
        int64_t at = (k - g->piece) * PHA__SUM_PIECE, left = g->size - at;
        const float *x = (const float *)a->in[0].data + g->begin + at;
        partial[k] = pha__dot(x, x, left < PHA__SUM_PIECE ? left : PHA__SUM_PIECE);
    }
    for (int64_t i = begin; i < end && phase == 1; i++) {
        int64_t last = i + 1 < s->n ? s->segment[i + 1].piece : s->pieces;
        double sum = 0;
        for (int64_t k = s->segment[i].piece; k < last; k++) sum += partial[k];
        memcpy((char *)a->saved + (size_t)i * sizeof sum, &sum, sizeof sum);
    }
}

PHA__KERNEL(sum_squares) = {.tasks = tasks, .forward = forward, .work = work};
