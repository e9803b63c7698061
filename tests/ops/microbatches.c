/* microbatches.c -- however the sequences of a lane are cut into microbatches, the bits are the same */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trial.h"

enum { SEQUENCES = 5, ODD = 67 };

typedef struct results {
    bool shared;               /* another step has written the gradients of parameters before */
    float *sums;               /* what the op adds up by itself; NULL: nothing, or all comes at once */
    float *lane[PHA__MAX_IN];  /* gradients of parameters: sums over all microbatches */
    float *value[PHA__MAX_IN]; /* those of values, all rows */
    float *out;
} results;

static size_t size_of(const pha__problem *p, int i)
{
    return (size_t)pha__input_rows(p, i) * (size_t)p->ref.width[i] * sizeof(float);
}

static size_t out_bytes(const pha__problem *p)
{
    return (size_t)p->ref.B * (size_t)p->ref.T * (size_t)p->ref.out_width * sizeof(float);
}

static size_t sums_bytes(const pha__problem *p, bool shared)
{
    pha__shape shape = pha__problem_shape(p);
    return p->test->op->sums ? (size_t)p->test->op->sums(&shape, shared) * sizeof(float) : 0;
}

static void results_open(results *r, const pha__problem *p, bool shared, bool whole)
{
    pha__random random = 7;
    *r = (results){.shared = shared, .out = malloc(out_bytes(p))};
    if (!whole && sums_bytes(p, shared)) {
        r->sums = malloc(sums_bytes(p, shared));
        memset(r->sums, 0xff, sums_bytes(p, shared));
    }
    for (int i = 0; i < PHA__MAX_IN; i++) {
        if (!pha__has_gradient(p, i)) continue;
        float **to = p->ref.rows[i] ? &r->lane[i] : &r->value[i];
        *to = malloc(size_of(p, i));
        memset(*to, 0xff, size_of(p, i));
        for (size_t k = 0; shared && k < size_of(p, i) / sizeof **to; k++) (*to)[k] = pha__random_normal(&random);
    }
}

static void results_close(results *r)
{
    for (int i = 0; i < PHA__MAX_IN; i++) free(r->lane[i]), free(r->value[i]);
    free(r->out);
    free(r->sums);
}

static void place(float *to, float *rows, size_t before, size_t n)
{
    memcpy((char *)to + before, rows, n);
    free(rows);
}

/* Sequences [b, b + n). */
static void run_part(const pha__problem *p, const pha__kernel *kernel, int b, int n, pha__order order, results *r)
{
    pha__problem part;
    pha__problem_slice(&part, p, b, n, 0, p->ref.T);
    pha__problem_sort(&part);
    pha__trial t = {.problem = &part, .kernel = kernel, .plan = p, .order = order, .gaps = b % 2, .lane = r->lane,
                    .more = b > 0, .not_last = b + n < p->ref.B, .shared = r->shared, .sums = r->sums};
    pha__trial_open(&t);
    if (!p->test->op->is_loss) {
        pha__trial_forward(&t);
        place(r->out, pha__trial_out(&t), out_bytes(&part) / (size_t)n * (size_t)b, out_bytes(&part));
    }
    pha__trial_backward(&t);
    if (p->test->op->is_loss)
        place(r->out, pha__trial_out(&t), out_bytes(&part) / (size_t)n * (size_t)b, out_bytes(&part));
    for (int i = 0; i < t.args.n_in; i++)
        if (r->value[i])
            place(r->value[i], pha__trial_grad(&t, i), size_of(&part, i) / (size_t)n * (size_t)b, size_of(&part, i));
    pha__trial_close(&t);
    pha__problem_close(&part);
}

/* cut: the sizes of the microbatches. */
static void run_cut(const pha__problem *p, const pha__kernel *kernel, const int *cut, bool shared, pha__order order,
                    results *r)
{
    results_open(r, p, shared, *cut == p->ref.B);
    for (int b = 0; b < p->ref.B; b += *cut++) run_part(p, kernel, b, *cut, order, r);
}

static void compare(const pha__problem *p, const int *cut, const results *x, const results *y)
{
    pha__check(!memcmp(x->out, y->out, out_bytes(p)), "cut into %d, %d, ... of %d x %d: out has other bits", cut[0],
               cut[1], p->ref.B, p->ref.T);
    for (int i = 0; i < PHA__MAX_IN; i++) {
        const float *a = p->ref.rows[i] ? x->lane[i] : x->value[i], *b = p->ref.rows[i] ? y->lane[i] : y->value[i];
        if (!a) continue;
        size_t n = size_of(p, i) / sizeof *a, k = 0;
        while (k < n && !memcmp(a + k, b + k, sizeof *a)) k++;
        pha__check(k == n, "cut into %d, %d, ... of %d x %d: d_in[%d] has other bits, element %zu: %.9g, whole %.9g",
                   cut[0], cut[1], p->ref.B, p->ref.T, i, k, (double)b[k], (double)a[k]);
    }
}

static void check_cuts(const pha__problem *p, const pha__kernel *kernel, bool shared)
{
    static const int cuts[][SEQUENCES] = {{1, 1, 1, 1, 1}, {2, 3}, {4, 1}, {1, 2, 2}};
    results whole;
    run_cut(p, kernel, (int[]){SEQUENCES, 0}, shared, PHA__ONE_BY_ONE, &whole);
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        results r;
        run_cut(p, kernel, cuts[i], shared, i % 2 ? PHA__THREADS : PHA__ONE_BY_ONE, &r);
        compare(p, cuts[i], &whole, &r);
        results_close(&r);
    }
    results_close(&whole);
}

static void check_length(const pha__problem *of, const pha__kernel *kernel, int T)
{
    pha__problem p;
    pha__op_case c = *of->c;
    c.B = SEQUENCES, c.T = T;
    if (c.max_context < T) c.max_context = 0;
    pha__problem_open(&p, of->test, &c, of->dtype);
    check_cuts(&p, kernel, false);
    if (sums_bytes(&p, true)) check_cuts(&p, kernel, true);
    pha__problem_close(&p);
}

/* The length of the case, and one that is no multiple of anything. */
void pha__check_microbatches(const pha__problem *p, const pha__kernel *kernel)
{
    pha__shape shape = pha__problem_shape(p);
    bool room = !p->test->op->longest || p->test->op->longest(&shape) >= ODD;
    pha__now("microbatches");
    check_length(p, kernel, p->ref.T);
    if (p->ref.T < ODD && !p->c->big && room) check_length(p, kernel, ODD);
}
