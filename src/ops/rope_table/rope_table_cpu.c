/* rope_table_cpu.c -- angles of rotary position, in double from the integer position (float angles would be off by
 * 1e-3 rad at 16K) */
#include <math.h>

#include "backend/cpu/rows.h"
#include "ops/rope_table/rope_table.h"

enum { BLOCK = 64 };

static int64_t *position_of(const pha__args *a, int b) { return pha__slot(a, b); }
static int64_t blocks(const pha__args *a) { return (a->T + BLOCK - 1) / BLOCK; }

/* Rows of one block of tokens of sequence b; without state all sequences are the same. */
static void block(const pha__args *a, int64_t task, double *frequency)
{
    const pha__rope_table_attr *c = a->attr;
    int half = c->head_width / 2, b = (int)(task / blocks(a));
    pha__sequence tokens = pha__sequence_of(a, b);
    int64_t begin = task % blocks(a) * BLOCK, end = begin + BLOCK < tokens.n ? begin + BLOCK : tokens.n;
    int64_t position = a->state ? *position_of(a, b) : 0;
    for (int j = 0; j < half; j++) frequency[j] = pow(c->theta, -2.0 * j / c->head_width);
    for (int64_t t = begin; t < end; t++) {
        float *out = pha__at(&a->out, tokens.row + t, 0);
        for (int j = 0; j < half; j++) {
            double angle = (double)(position + t) * frequency[j], s, co;
            sincos(angle, &s, &co);
            out[j] = (float)co, out[half + j] = (float)s;
        }
        for (int i = 1; !a->state && i < a->B; i++)
            memcpy(pha__at(&a->out, pha__sequence_of(a, i).row + t, 0), out, (size_t)c->head_width * 4);
    }
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    for (int64_t i = begin; i < end; i++)
        if (phase == 0) block(a, i, scratch);
        else *position_of(a, (int)i) += pha__sequence_of(a, (int)i).n; /* when all have read it */
}

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    if (pass == PHA__BACKWARD) return 0;
    return phase == 0 ? blocks(a) * (a->state ? a->B : 1) : phase == 1 && a->state ? a->B : 0;
}

static size_t scratch(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return sizeof(double) * (size_t)((const pha__rope_table_attr *)a->attr)->head_width / 2;
}

PHA__KERNEL(rope_table) = {.tasks = tasks, .forward = forward, .scratch = scratch};
