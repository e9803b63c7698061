/* history.h -- for ops whose state is the last rows of their input in[0], oldest first: what stands before a run, and
 * what the next one will find */
#ifndef PHA__HISTORY_H
#define PHA__HISTORY_H

#include "backend/cpu/rows.h"

/* The rows before the first token of sequence b go to their place in a->saved (B, rows, S), for backward. */
PHA__INLINE void pha__history_save(const pha__args *a, int b, int64_t rows)
{
    size_t n = (size_t)(rows * a->out.width);
    float *out = a->saved + (size_t)b * n;
    if (a->state) memcpy(out, pha__slot(a, b), n * sizeof *out);
    else memset(out, 0, n * sizeof *out);
}

/* The state of sequence b becomes its last rows; where the run was shorter, older ones move up. */
PHA__INLINE void pha__history_carry(const pha__args *a, int b, int64_t rows)
{
    pha__sequence tokens = pha__sequence_of(a, b);
    int64_t S = a->out.width;
    float *state = pha__slot(a, b);
    for (int64_t k = 0; k < rows; k++) {
        int64_t t = tokens.n - rows + k;
        float *to = state + k * S;
        const float *from = t < 0 ? state + (t + rows) * S : pha__row_in(&a->in[0], tokens.row + t, 0, S, to);
        if (from != to) memcpy(to, from, (size_t)S * sizeof *to);
    }
}

#endif
