/* harness.c -- the checks that every op has to pass; read pha__test_kernel first */
#include "harness.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "trial.h"

/* ---- failures ---- */

static struct { /* of the running check */
    const char *op, *isa, *test_case, *dtype, *what;
    int failures;
} now;

bool pha__check(bool ok, const char *format, ...)
{
    if (ok) return true;
    if (++now.failures > 20) return false;
    va_list args;
    va_start(args, format);
    fprintf(stderr, "FAILED %s, case %s, %s, %s, %s: ", now.op, now.test_case, now.isa, now.dtype, now.what);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return false;
}

void pha__now(const char *what) { now.what = what; }

static void enter(const pha__op_test *test, const char *isa)
{
    now.op = test->op->name, now.isa = isa;
    now.test_case = "-", now.dtype = "-", now.what = "-";
    now.failures = 0;
}

/* ---- errors ---- */

void pha__errors(const float *x, const double *ref, int64_t n, const pha__limits *limits, double *e2, double *emax)
{
    double squares = 0, error = 0, worst = 0;
    for (int64_t k = 0; k < n; k++) {
        double e = fabs(x[k] - ref[k]);
        if (!isfinite(x[k]) || !isfinite(ref[k])) e = INFINITY;
        squares += ref[k] * ref[k], error += e * e;
        worst = fmax(worst, e);
    }
    double size = limits->absolute ? 1 : fmax(sqrt(squares / (double)n), fmax(limits->floor, 1e-30));
    *e2 = sqrt(error / (double)n) / size;
    *emax = worst / size;
}

static void check_close(const pha__problem *p, const char *tensor, const float *x, const double *ref, int64_t n,
                        const pha__limits *limits)
{
    double e2, emax;
    pha__errors(x, ref, n, limits, &e2, &emax);
    bool half = p->dtype == PHA__BF16;
    double limit2 = half ? limits->bf16_e2 : limits->e2, limit_max = half ? limits->bf16_emax : limits->emax;
    pha__check(limit2 > 0 || limit_max > 0 || limits->unlimited, "%s: the test sets no limit", tensor);
    if (limit2 == 0) limit2 = 1e300;
    if (limit_max == 0) limit_max = 1e300;
    int64_t worst = 0;
    for (int64_t k = 1; k < n; k++) {
        if (!(fabs(x[k] - ref[k]) <= fabs(x[worst] - ref[worst]))) worst = k;
    }
    pha__check(e2 <= limit2 && emax <= limit_max,
               "%s: E2 %.2e (limit %.0e), Emax %.2e (limit %.0e); element %lld is %.8g, expected %.8g", tensor, e2,
               limit2, emax, limit_max, (long long)worst, x[worst], ref[worst]);
    if (getenv("PHA_TEST_VERBOSE")) {
        printf("%-12s %-20s %-8s %-5s %-22s %-8s E2 %.1e (%.0e)  Emax %.1e (%.0e)\n", now.op, now.test_case, now.isa,
               now.dtype, now.what, tensor, e2, limit2, emax, limit_max);
    }
}

static const pha__limits *choose(const pha__limits *of_case, const pha__limits *of_test)
{
    static const pha__limits none;
    return memcmp(of_case, &none, sizeof none) ? of_case : of_test;
}

/* The kernels of a GPU: they read fp32 and bf16 alone. */
static bool on_card(void) { return !strncmp(now.isa, "cuda", 4); }

bool pha__same_rows(const pha__problem *p, const float *x, const float *y, int64_t n, double size)
{
    const pha__op *op = p->test->op;
    bool apart = (op->apart && op->apart(p->c->attr)) || ((p->test->apart_on_card || p->c->apart_on_card) && on_card());
    if (!apart) return memcmp(x, y, (size_t)n * sizeof *x) == 0;
    return pha__close_rows(p, x, y, n, size);
}

bool pha__close_rows(const pha__problem *p, const float *x, const float *y, int64_t n, double size)
{
    if (n == 0) return true;
    pha__limits limits = *choose(&p->c->out, &p->test->out);
    limits.floor = fmax(limits.floor, size);
    bool half = p->dtype == PHA__BF16;
    double *ref = malloc((size_t)n * sizeof *ref), e2, emax;
    for (int64_t k = 0; k < n; k++) ref[k] = y[k];
    pha__errors(x, ref, n, &limits, &e2, &emax);
    free(ref);
    return e2 <= (half ? limits.bf16_e2 : limits.e2) && emax <= (half ? limits.bf16_emax : limits.emax);
}

double pha__mask_of(const pha__op_reference *r, float rate, uint32_t site, int64_t row, int column)
{
    if (!r->run->dropout || rate == 0) return 1;
    uint64_t index = (uint64_t)(r->run->row0 + row) * (uint64_t)((r->out_width + 3) / 4) + (uint64_t)column / 4;
    uint32_t counter[4] = {(uint32_t)index, (uint32_t)r->run->step, site, PHA__STREAM_DROPOUT}, word[4];
    pha__philox(r->run->seed, counter, word);
    return pha__uniform(word[column % 4]) >= rate ? 1 / (1 - (double)rate) : 0;
}

static int64_t out_size(const pha__problem *p) { return (int64_t)p->ref.B * p->ref.T * p->ref.out_width; }
static int64_t grad_size(const pha__problem *p, int i) { return pha__input_rows(p, i) * p->ref.width[i]; }

static void check_out(const pha__trial *t)
{
    const pha__problem *p = t->problem;
    float *x = pha__trial_out(t);
    check_close(p, "out", x, p->ref.out, out_size(p), choose(&p->c->out, &p->test->out));
    free(x);
}

static void check_grads(const pha__trial *t)
{
    const pha__problem *p = t->problem;
    for (int i = 0; i < t->args.n_in; i++) {
        if (!t->args.d_in[i].data) continue;
        int64_t n = grad_size(p, i);
        float *x = pha__trial_grad(t, i);
        double *ref = malloc((size_t)n * sizeof *ref);
        for (int64_t k = 0; k < n; k++) ref[k] = p->ref.d_in[i][k] + (t->add ? t->content[i][k] : 0);
        char name[24];
        snprintf(name, sizeof name, "d_in[%d]", i);
        check_close(p, name, x, ref, n, choose(&p->c->grad[i], &p->test->grad[i]));
        free(ref);
        free(x);
    }
}

/* ---- forward, backward, contract ---- */

/* Both passes of a trial (backward alone for a loss, which computes its output there too). */
static void run_both(pha__trial *t, bool check_forward)
{
    const pha__op *op = t->problem->test->op;
    pha__trial_open(t);
    if (!op->is_loss || op->no_grad) pha__trial_forward(t);
    if (check_forward && !op->is_loss) check_out(t);
    if (op->no_grad || t->problem->c->forward_only) return;
    pha__trial_backward(t);
    if (check_forward && op->is_loss) check_out(t);
    check_grads(t);
}

static void check_contract(const pha__problem *p, const pha__kernel *kernel)
{
    now.what = "adding to gradients";
    pha__trial t = {.problem = p, .kernel = kernel, .add = true};
    run_both(&t, true);
    pha__trial_close(&t);

    for (int i = 0; i < PHA__MAX_IN; i++) {
        if (!pha__has_gradient(p, i)) continue;
        now.what = "one gradient left out";
        pha__trial without = {.problem = p, .kernel = kernel, .without = PHA__IN(i)};
        run_both(&without, false);
        pha__trial_close(&without);
        now.what = "one gradient wanted";
        pha__trial only = {.problem = p, .kernel = kernel, .without = ~PHA__IN(i)};
        run_both(&only, false);
        pha__trial_close(&only);
    }
    if (p->test->op->is_loss) {
        now.what = "forward alone";
        pha__trial forward = {.problem = p, .kernel = kernel, .gaps = true};
        pha__trial_open(&forward);
        pha__trial_forward(&forward);
        check_out(&forward);
        pha__trial_close(&forward);
    }
}

/* ---- the order of tasks ---- */

static bool same_bits(float *x, float *y, int64_t n)
{
    bool same = memcmp(x, y, (size_t)n * sizeof *x) == 0;
    free(x);
    free(y);
    return same;
}

/* first: a trial that has run; its results must come out again, bit by bit, whatever the order. */
static void check_order(const pha__trial *first, pha__order order)
{
    static const char *const name[PHA__N_ORDER] = {"tasks one by one", "tasks backwards", "tasks in random ranges",
                                                   "three threads"};
    now.what = name[order];
    pha__trial t = {.problem = first->problem, .kernel = first->kernel, .gaps = first->gaps, .order = order};
    run_both(&t, false);
    pha__check(same_bits(pha__trial_out(first), pha__trial_out(&t), out_size(t.problem)), "out has other bits");
    for (int i = 0; i < t.args.n_in; i++) {
        if (!t.args.d_in[i].data) continue;
        pha__check(same_bits(pha__trial_grad(first, i), pha__trial_grad(&t, i), grad_size(t.problem, i)),
                   "d_in[%d] has other bits", i);
    }
    pha__trial_close(&t);

    /* forward by itself: above, backward may have found its output replaced by NaN */
    pha__trial a = {.problem = first->problem, .kernel = first->kernel, .gaps = first->gaps};
    pha__trial b = {.problem = first->problem, .kernel = first->kernel, .gaps = first->gaps, .order = order};
    pha__trial_open(&a);
    pha__trial_open(&b);
    pha__trial_forward(&a);
    pha__trial_forward(&b);
    pha__check(same_bits(pha__trial_out(&a), pha__trial_out(&b), out_size(t.problem)), "out of forward has other bits");
    pha__trial_close(&a);
    pha__trial_close(&b);
}

/* ---- smaller sizes, causality ---- */

static void check_smaller(const pha__problem *p, const pha__kernel *kernel)
{
    int B = p->ref.B, T = p->ref.T;
    const int sizes[][2] = {{B, (T + 1) / 2}, {(B + 1) / 2, T}, {1, 1}, {B > 1 ? B - 1 : 1, T > 1 ? T - 1 : 1}};
    now.what = "smaller than planned";
    for (int i = 0; i < 4; i++) {
        pha__problem small;
        pha__problem_slice(&small, p, 0, sizes[i][0], 0, sizes[i][1]);
        pha__problem_solve(&small);
        pha__trial t = {.problem = &small, .kernel = kernel, .plan = p};
        run_both(&t, true);
        pha__trial_close(&t);
        pha__problem_close(&small);
    }
}

/* Output of forward with the values of one row (and its token) changed to those of another row. */
static float *out_with_change(const pha__problem *p, const pha__kernel *kernel, int64_t row, int64_t from)
{
    pha__problem changed;
    pha__problem_slice(&changed, p, 0, p->ref.B, 0, p->ref.T);
    for (int i = 0; i < PHA__MAX_IN; i++) {
        if (!changed.ref.in[i] || changed.ref.rows[i]) continue;
        double *x = (double *)changed.ref.in[i];
        int w = changed.ref.width[i];
        memcpy(x + row * w, x + from * w, (size_t)w * sizeof *x);
    }
    ((int32_t *)changed.run.tokens)[row] = changed.run.tokens[from];
    pha__trial t = {.problem = &changed, .kernel = kernel};
    pha__trial_open(&t);
    pha__trial_forward(&t);
    float *out = pha__trial_out(&t);
    pha__trial_close(&t);
    pha__problem_close(&changed);
    return out;
}

static void check_causality(const pha__problem *p, const pha__kernel *kernel)
{
    int64_t B = p->ref.B, T = p->ref.T, W = p->ref.out_width;
    now.what = "causality";
    const int64_t at[] = {T - 1, T / 2, T / 3};
    for (int i = 0; i < 3 && T > 1; i++) {
        int64_t b = B / 2, row = b * T + at[i];
        float *x = out_with_change(p, kernel, row, row), *y = out_with_change(p, kernel, row, (row + 1) % (B * T));
        int64_t after = (b + 1) * T; /* rows of other sequences must not change either */
        bool before_same = pha__same_rows(p, x, y, row * W, 0);
        bool others_same = memcmp(x + after * W, y + after * W, (size_t)((B * T - after) * W) * sizeof *x) == 0;
        others_same &= memcmp(x, y, (size_t)(b * T * W) * sizeof *x) == 0;
        pha__check(before_same && others_same, "row %lld of sequence %lld changed rows before it or of other sequences",
                   (long long)at[i], (long long)b);
        free(x);
        free(y);
    }
}

/* ---- everything ---- */

static double flops(const pha__problem *p)
{
    pha__shape s = {.B = p->ref.B, .T = p->ref.T, .dtype = p->dtype, .attr = p->c->attr};
    for (int i = 0; i < PHA__MAX_IN; i++) {
        s.in[i].present = p->ref.in[i] != NULL;
        s.in[i].rows = p->ref.rows[i], s.in[i].width = p->ref.width[i];
        if (p->ref.in[i]) s.n_in = i + 1;
    }
    s.width = p->ref.out_width;
    return p->test->op->flops(&s, PHA__FORWARD, 0);
}

/* What a case is checked for. Kernels of a GPU, a number after another, have less done where it costs more. */
enum { CONTRACT = 1, ROWS = 2, CUTS = 4 };

static int checks_of(const pha__problem *p)
{
    int all = p->c->big ? CUTS : CONTRACT | ROWS | CUTS;
    if (!on_card()) return all;
    all = pha__gap % 8 ? CUTS : all & ~CUTS; /* the plain kernels; the fast ones, where there are */
    double cost = flops(p), tokens = (double)p->ref.B * p->ref.T;
    if (cost > 2e7) return 0;
    if (pha__gap % 8 == 0 && cost > 3e6) return 0;
    return cost > 7e6 ? all & CUTS : cost / tokens > 1e4 ? all & ~ROWS : all;
}

static void check_case(const pha__op_test *test, const pha__op_case *c, const pha__kernel *kernel, pha__dtype dtype)
{
    now.test_case = c->name;
    now.dtype = dtype == PHA__F32 ? "fp32" : "bf16";
    now.what = "reference";
    pha__problem p;
    pha__problem_open(&p, test, c, dtype);
    pha__problem_solve(&p);

    now.what = "against the reference";
    pha__trial first = {.problem = &p, .kernel = kernel, .gaps = true};
    run_both(&first, true);
    int checks = checks_of(&p);
    if (!on_card()) check_order(&first, PHA__THREADS); /* there a pass is one task */
    if (checks & CONTRACT) {
        if (!on_card()) check_order(&first, PHA__BACKWARDS);
        check_order(&first, PHA__RANGES);
        if (!test->op->no_grad && !c->forward_only) check_contract(&p, kernel);
        check_smaller(&p, kernel);
        check_causality(&p, kernel);
        if (checks & ROWS) pha__check_rows(&p, kernel);
        if (!on_card()) pha__check_formats(&p, kernel);
    }
    if (test->op->state && checks & CUTS) pha__check_cuts(&p, kernel);
    if (!on_card() && !test->op->no_grad && !c->forward_only) pha__check_microbatches(&p, kernel);
    pha__trial_close(&first);
    pha__problem_close(&p);
}

static void check_cases(const pha__op_test *test, const pha__kernel *kernel)
{
    for (int i = 0; i < test->n_case; i++) {
        if ((test->cases[i].big || test->cases[i].cpu_only) && on_card()) continue;
        check_case(test, &test->cases[i], kernel, PHA__F32);
        check_case(test, &test->cases[i], kernel, PHA__BF16);
    }
}

int pha__test_kernel(const pha__op_test *test, const pha__kernel *kernel, const char *isa)
{
    enter(test, isa);
    check_cases(test, kernel);
    if (on_card()) {
        int odd = pha__gap;
        pha__gap = 8;
        check_cases(test, kernel);
        pha__gap = odd;
    }
    now.test_case = "extra", now.dtype = now.what = "-";
    if (test->extra) test->extra(kernel);
    pha__check(test->n_case > 0 || test->extra, "the op has neither cases nor extra checks");
    return now.failures;
}

int pha__test_reference(const pha__op_test *test)
{
    enter(test, "reference");
    now.dtype = "double", now.what = "central differences";
    int done = 0;
    for (int i = 0; i < test->n_case; i++) {
        if (!test->cases[i].differences) continue;
        now.test_case = test->cases[i].name;
        pha__problem p;
        pha__problem_open(&p, test, &test->cases[i], PHA__F32);
        pha__check_differences(&p);
        pha__problem_close(&p);
        done++;
    }
    now.test_case = "-";
    pha__check(done > 0 || test->op->no_grad || !test->backward, "no case has its gradient checked by differences");
    return now.failures;
}
