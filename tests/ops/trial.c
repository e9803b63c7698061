/* trial.c -- one run of a kernel on a problem: every buffer has guards on both sides, starts as NaN where its content
 * is not given, and what a pass must not change is compared with a copy afterwards */
#include "trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/rows.h"
#include "base/threads.h"

enum { GUARD = 128, PATTERN = 0x5A, NOT_A_NUMBER = 0xFF, THREADS = 3, STATE_OFFSET = 192 };

/* ---- guarded memory ---- */

static unsigned char *guarded_alloc(size_t size)
{
    size_t all = (size + 2 * GUARD + 63) / 64 * 64;
    unsigned char *base = aligned_alloc(64, all);
    memset(base, PATTERN, all);
    return base;
}

static bool guards_intact(const unsigned char *base, size_t size)
{
    size_t all = (size + 2 * GUARD + 63) / 64 * 64;
    for (size_t i = 0; i < all; i++) {
        if (i == GUARD && size) i += size;
        if (i < all && base[i] != PATTERN) return false;
    }
    return true;
}

/* ---- running the tasks of a kernel ---- */

typedef struct phase_run {
    const pha__kernel *kernel;
    const pha__args *args;
    pha__pass pass;
    int phase;
    size_t scratch_size;
    unsigned char *scratch[THREADS]; /* guarded */
} phase_run;

static void run_tasks(void *context, int64_t begin, int64_t end, int worker)
{
    phase_run *r = context;
    void *scratch = r->scratch[worker] + GUARD;
    memset(scratch, NOT_A_NUMBER, r->scratch_size);
    if (r->pass == PHA__FORWARD) {
        r->kernel->forward(r->args, r->phase, begin, end, scratch);
    } else {
        r->kernel->backward(r->args, r->phase, begin, end, scratch);
    }
}

/* Random ranges, the odd ones first: a task must not count on any other of its phase. */
static void run_ranges(phase_run *r, int64_t n)
{
    for (int odd = 1; odd >= 0; odd--) {
        pha__random random = (pha__random)n;
        int k = 0;
        for (int64_t begin = 0, end; begin < n; begin = end, k++) {
            end = begin + 1 + pha__random_below(&random, (int)(n / 3 + 1));
            if (end > n) end = n;
            if (k % 2 == odd) run_tasks(r, begin, end, 0);
        }
    }
}

static void run_phase(phase_run *r, int64_t n, pha__order order, pha__pool *pool)
{
    switch (order) {
    case PHA__ONE_BY_ONE:
        for (int64_t i = 0; i < n; i++) run_tasks(r, i, i + 1, 0);
        break;
    case PHA__BACKWARDS:
        for (int64_t i = n; i-- > 0;) run_tasks(r, i, i + 1, 0);
        break;
    case PHA__RANGES: run_ranges(r, n); break;
    default: pha__pool_run(pool, n, run_tasks, r);
    }
}

void pha__run_kernel(const pha__kernel *kernel, const pha__args *args, const pha__args *plan, pha__pass pass,
                     pha__order order)
{
    if (!plan) plan = args;
    pha__args a = *args;
    size_t work_size = kernel->work ? kernel->work(plan, pass) : 0;
    unsigned char *work = guarded_alloc(work_size);
    memset(work + GUARD, NOT_A_NUMBER, work_size);
    a.work = work + GUARD;

    phase_run r = {.kernel = kernel, .args = &a, .pass = pass};
    r.scratch_size = kernel->scratch ? kernel->scratch(plan, pass) : 0;
    for (int i = 0; i < THREADS; i++) r.scratch[i] = guarded_alloc(r.scratch_size);
    pha__pool *pool = NULL;
    if (order == PHA__THREADS) pha__check(pha__pool_open(&pool, THREADS) == PHA_OK, "no threads: %s", pha_errmsg());

    for (;; r.phase++) {
        int64_t n = kernel->tasks(&a, pass, r.phase);
        if (n == 0) break;
        run_phase(&r, n, order, pool);
    }

    pha__pool_close(pool);
    pha__check(guards_intact(work, work_size), "wrote outside of its %zu bytes of work", work_size);
    free(work);
    for (int i = 0; i < THREADS; i++) {
        pha__check(guards_intact(r.scratch[i], r.scratch_size), "wrote outside of its %zu bytes of scratch",
                   r.scratch_size);
        free(r.scratch[i]);
    }
}

/* Tokens that a session of the problem may have. */
static int64_t context_of(const pha__problem *p) { return p->c->max_context ? p->c->max_context : p->ref.T; }

/* ---- views ---- */

int pha__gap = 3;

static struct pha__block *new_block(pha__trial *t, size_t size)
{
    struct pha__block *b = &t->block[t->n_block++];
    b->base = guarded_alloc(size);
    b->copy = NULL;
    b->size = size;
    return b;
}

/* A view of rows x width elements of content, or of NaN. */
static pha__view new_view(pha__trial *t, int64_t rows, int param_rows, int width, pha__dtype dtype,
                          const double *content)
{
    int gap = t->gaps && !param_rows ? pha__gap : 0;
    pha__view v = {.ld = width + 2 * gap, .rows = param_rows, .width = width, .dtype = dtype};
    size_t element = pha__dtype_size(dtype);
    struct pha__block *b = new_block(t, (size_t)(rows * v.ld) * element);
    v.data = b->base + GUARD + (size_t)gap * element;
    for (int64_t r = 0; r < rows; r++) {
        memset(pha__at(&v, r, 0), NOT_A_NUMBER, (size_t)width * element);
        for (int c = 0; c < width && content; c++) {
            float x = (float)content[r * width + c];
            if (dtype == PHA__F32) *(float *)pha__at(&v, r, c) = x;
            else *(uint16_t *)pha__at(&v, r, c) = f32_to_bf16(x);
        }
    }
    return v;
}

/* A view of a parameter in any format. */
static pha__view new_matrix(pha__trial *t, int rows, int width, pha__dtype format, const double *content)
{
    int64_t n = (int64_t)rows * width;
    struct pha__block *b = new_block(t, pha__format_bytes(format, rows, width));
    float *x = malloc((size_t)n * sizeof *x);
    for (int64_t k = 0; k < n; k++) x[k] = (float)content[k];
    memset(b->base + GUARD, NOT_A_NUMBER, b->size);
    pha__format_pack(format, b->base + GUARD, rows, width, 0, rows, x, width);
    free(x);
    return (pha__view){b->base + GUARD, width, rows, width, format};
}

/* As planning sees it: sizes, no data. */
static pha__args sizes_of(const pha__problem *p, const pha__args *like)
{
    pha__args a = *like;
    a.B = p->ref.B, a.T = p->ref.T;
    for (int i = 0; i < PHA__MAX_IN; i++) a.in[i].data = a.d_in[i].data = NULL;
    a.out.data = a.d_out.data = NULL;
    a.saved = NULL, a.state = NULL, a.run = NULL;
    return a;
}

void pha__trial_open(pha__trial *t)
{
    const pha__problem *p = t->problem;
    const pha__op_reference *ref = &p->ref;
    pha__shape shape = pha__problem_shape(t->plan ? t->plan : p);
    t->n_block = 0;
    t->args = (pha__args){.B = ref->B, .T = ref->T, .n_in = shape.n_in, .attr = p->c->attr, .run = &p->run};
    t->args.state = t->state, t->args.state_offset = STATE_OFFSET;
    if (t->state) t->args.max_context = context_of(t->plan ? t->plan : p);
    for (int i = 0; i < PHA__MAX_IN; i++) {
        t->content[i] = NULL;
        if (!ref->in[i]) continue;
        t->args.in[i] = t->weights && ref->rows[i] > 1
                            ? new_matrix(t, ref->rows[i], ref->width[i], *t->weights, ref->in[i])
                            : new_view(t, pha__input_rows(p, i), ref->rows[i], ref->width[i], pha__input_dtype(p, i),
                                       ref->in[i]);
    }
    t->args.out = new_view(t, (int64_t)ref->B * ref->T, 0, ref->out_width, pha__result_dtype(p), NULL);
    size_t saved = p->test->op->saved ? (size_t)p->test->op->saved(&shape) * sizeof(float) : 0;
    struct pha__block *b = new_block(t, saved);
    memset(b->base + GUARD, NOT_A_NUMBER, saved);
    t->args.saved = saved ? (float *)(b->base + GUARD) : NULL;
    t->sizes = sizes_of(t->plan ? t->plan : p, &t->args);
}

/* ---- the two passes ---- */

/* Remembers what the blocks hold: they must be the same after the pass. */
static void protect(pha__trial *t, const pha__view *v)
{
    if (!v->data) return;
    for (int i = 0; i < t->n_block; i++) {
        struct pha__block *b = &t->block[i];
        unsigned char *data = v->data;
        if (data < b->base || data >= b->base + GUARD + b->size) continue;
        b->copy = malloc(b->size + 1);
        memcpy(b->copy, b->base + GUARD, b->size);
    }
}

static void check_protected(pha__trial *t)
{
    for (int i = 0; i < t->n_block; i++) {
        struct pha__block *b = &t->block[i];
        if (!b->copy) continue;
        pha__check(memcmp(b->copy, b->base + GUARD, b->size) == 0, "changed what it may only read");
        free(b->copy);
        b->copy = NULL;
    }
}

void pha__trial_forward(pha__trial *t)
{
    for (int i = 0; i < t->args.n_in; i++) protect(t, &t->args.in[i]);
    pha__run_kernel(t->kernel, &t->args, &t->sizes, PHA__FORWARD, t->order);
    check_protected(t);
}

static void poison(const pha__view *v, int64_t rows)
{
    if (!v->data) return;
    for (int64_t r = 0; r < (v->rows ? v->rows : rows); r++) {
        memset(pha__at(v, r, 0), NOT_A_NUMBER, (size_t)v->width * pha__dtype_size(v->dtype));
    }
}

/* Random content of about the gradient's size, in its format. */
static double *content_for(const pha__problem *p, int i, pha__dtype dtype)
{
    int64_t n = pha__input_rows(p, i) * p->ref.width[i];
    double *x = malloc((size_t)n * sizeof *x), sum = 0;
    for (int64_t k = 0; k < n; k++) sum += p->ref.d_in[i][k] * p->ref.d_in[i][k];
    pha__random r = 1;
    for (int64_t k = 0; k < n; k++) {
        float f = (float)sqrt(sum / (double)n) * pha__random_normal(&r);
        x[k] = dtype == PHA__F32 ? f : bf16_to_f32(f32_to_bf16(f));
    }
    return x;
}

void pha__trial_backward(pha__trial *t)
{
    const pha__problem *p = t->problem;
    const pha__op *op = p->test->op;
    pha__args *a = &t->args;
    int64_t rows = (int64_t)a->B * a->T;
    uint32_t present = pha__inputs(p), keep_in = pha__keep_in(op, present);
    for (int i = 0; i < a->n_in; i++) {
        if (!(keep_in & PHA__IN(i))) poison(&a->in[i], rows);
        if (!pha__has_gradient(p, i) || t->without & PHA__IN(i)) continue;
        pha__dtype dtype = p->ref.rows[i] ? PHA__F32 : pha__input_dtype(p, i);
        if (t->add) t->content[i] = content_for(p, i, dtype), a->add |= PHA__IN(i);
        a->d_in[i] = new_view(t, pha__input_rows(p, i), p->ref.rows[i], p->ref.width[i], dtype, t->content[i]);
        if (t->lane && p->ref.rows[i]) {
            a->d_in[i].data = t->lane[i];
            if (t->shared || (t->more && !t->sums)) a->add |= PHA__IN(i);
        }
        t->sizes.d_in[i] = a->d_in[i];
        t->sizes.d_in[i].data = NULL;
    }
    t->sizes.add = a->add;
    a->more = t->more, a->last = !t->not_last, a->sums = t->sums;
    if (!op->is_loss) {
        if (!pha__keep_out(op, present)) poison(&a->out, rows);
        a->d_out = new_view(t, rows, 0, p->ref.out_width, a->out.dtype, p->ref.d_out);
        t->sizes.d_out = a->d_out, t->sizes.d_out.data = NULL;
        protect(t, &a->out);
        protect(t, &a->d_out);
    }
    for (int i = 0; i < a->n_in; i++) protect(t, &a->in[i]);
    pha__run_kernel(t->kernel, a, &t->sizes, PHA__BACKWARD, t->order);
    check_protected(t);
}

/* Guards of every block, and the columns between the rows of every view. */
static void check_gaps(const pha__view *v, int64_t rows)
{
    int64_t gap = v->ld - v->width;
    if (!v->data || gap == 0) return;
    size_t element = pha__dtype_size(v->dtype);
    for (int64_t r = 0; r < rows; r++) {
        const unsigned char *after = pha__at(v, r, v->width);
        const unsigned char *before = (unsigned char *)pha__at(v, r, 0) - (size_t)gap / 2 * element;
        bool intact = true;
        for (size_t i = 0; i < (size_t)gap / 2 * element; i++) intact &= after[i] == PATTERN && before[i] == PATTERN;
        if (!pha__check(intact, "wrote between the rows of a view, at row %lld", (long long)r)) return;
    }
}

void pha__trial_close(pha__trial *t)
{
    int64_t rows = (int64_t)t->args.B * t->args.T;
    for (int i = 0; i < t->args.n_in; i++) {
        check_gaps(&t->args.in[i], rows);
        check_gaps(&t->args.d_in[i], rows);
        free(t->content[i]);
    }
    check_gaps(&t->args.out, rows);
    check_gaps(&t->args.d_out, rows);
    for (int i = 0; i < t->n_block; i++) {
        pha__check(guards_intact(t->block[i].base, t->block[i].size), "wrote outside of a tensor of %zu bytes",
                   t->block[i].size);
        free(t->block[i].base);
    }
    t->n_block = 0;
}

/* ---- results ---- */

static float *dense(const pha__view *v, int64_t rows)
{
    float *x = malloc((size_t)(rows * v->width + 1) * sizeof *x);
    for (int64_t r = 0; r < rows; r++) {
        for (int c = 0; c < v->width; c++) {
            const void *p = pha__at(v, r, c);
            x[r * v->width + c] = v->dtype == PHA__F32 ? *(const float *)p : bf16_to_f32(*(const uint16_t *)p);
        }
    }
    return x;
}

float *pha__trial_out(const pha__trial *t) { return dense(&t->args.out, (int64_t)t->args.B * t->args.T); }
float *pha__trial_grad(const pha__trial *t, int i) { return dense(&t->args.d_in[i], pha__input_rows(t->problem, i)); }

/* ---- state ---- */

static size_t state_size(const pha__problem *p)
{
    pha__shape s = pha__problem_shape(p);
    pha__state_layout layout = p->test->op->state(&s, context_of(p));
    return pha__state_bytes(&layout);
}

char **pha__state_open(const pha__problem *p)
{
    char **state = calloc((size_t)p->ref.B, sizeof *state);
    for (int b = 0; b < p->ref.B; b++) {
        state[b] = (char *)guarded_alloc(STATE_OFFSET + state_size(p)) + GUARD;
        memset(state[b] + STATE_OFFSET, 0, state_size(p));
    }
    return state;
}

void pha__state_close(const pha__problem *p, char **state)
{
    for (int b = 0; b < p->ref.B; b++) {
        unsigned char *base = (unsigned char *)state[b] - GUARD;
        bool intact = guards_intact(base, STATE_OFFSET + state_size(p));
        for (int i = 0; i < STATE_OFFSET; i++) intact &= base[GUARD + i] == PATTERN;
        pha__check(intact, "wrote outside of its %zu bytes of state", state_size(p));
        free(base);
    }
    free(state);
}
