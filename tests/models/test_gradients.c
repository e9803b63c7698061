/* test_gradients.c -- whole models: the double reference against differences, the programs against the reference
 *
 * The tiny preset in every variant of lab.c with dropout on (numerics.md 4.5 and the last rows of 2). For each tensor:
 * the reference's gradient along a random direction against central differences; the fp32 program's gradient,
 * E2 <= 1e-3; the bf16 program's, cosine >= 0.99 and E2 <= 0.15. A bf16 gradient of a handful of numbers (mixing
 * weights: sums over all tokens, which may cancel) counts as if its norm were at least 1/1000 of the whole gradient's;
 * such a case is printed with its norm. A gradient that is 0 (the bias of keys moves all logits of a query alike)
 * counts so in any format. A bf16 gradient of a vector that is nearly 0 in this way (of Hedgehog's keys) counts as if
 * its norm were at least a millionth of the whole gradient's. PHA_TEST_VERBOSE=1 prints everything.
 */
#include <math.h>

#include "models/lab.h"
#include "models/reference.h"

enum { B = 2, T = 33, ROWS = B * T };

typedef struct setup {
    const lab_variant *variant;
    int32_t tokens[ROWS], targets[ROWS];
    pha__run run;
    lab fast;               /* fp32 */
    pha__program *unfused;
    pha__reference *reference;
} setup;

static bool verbose(void) { return getenv("PHA_TEST_VERBOSE") != NULL; }

static void open_setup(setup *s, const lab_variant *v)
{
    *s = (setup){.variant = v};
    pha__config c;
    lab_config(&c, v);
    c.dropout = c.attn_dropout = 0.1;
    int scored = lab_tokens(s->tokens, s->targets, ROWS, c.vocab_size, 10, 5);
    s->run = (pha__run){.tokens = s->tokens, .targets = s->targets, .loss_scale = 1.0f / (float)scored, .dropout = true,
                        .seed = 99, .step = 3, .row0 = 7};
    pha__program_options o = {.B = B, .T = T, .gradients = true};
    lab_open(&s->fast, &c, &o, PHA__HEAD_LOSS, lab_device());

    o.unfused = PHA__FUSE_ALL, o.gradients = false;
    OK(pha__program_open(&s->unfused, &o));
    OK(pha__lm_record(s->unfused, &c, PHA__HEAD_LOSS));
    s->reference = pha__reference_open(s->unfused, B, T, &s->run);
    assert_non_null(s->reference);
    for (int i = 0; i < s->unfused->n_params; i++) {
        const pha__node *w = s->unfused->params[i];
        assert_string_equal(w->path, s->fast.program->params[i]->path);
        double *x = pha__reference_param(s->reference, i);
        const float *from = lab_weight(&s->fast, i);
        for (int64_t k = 0; k < (int64_t)w->rows * w->width; k++) x[k] = from[k];
    }
    pha__reference_forward(s->reference, 0);
    pha__reference_backward(s->reference);
}

static void close_setup(setup *s)
{
    pha__reference_close(s->reference);
    pha__program_close(s->unfused);
    lab_close(&s->fast);
}

/* ---- the reference against differences ---- */

static double loss_at(setup *s, int index, const double *direction, double step, double *size)
{
    const pha__node *w = s->unfused->params[index];
    int64_t n = (int64_t)w->rows * w->width;
    double *x = pha__reference_param(s->reference, index), *before = malloc((size_t)n * sizeof *before);
    memcpy(before, x, (size_t)n * sizeof *x);
    for (int64_t k = 0; k < n; k++) x[k] += step * direction[k];
    pha__reference_forward(s->reference, pha__reference_first_use(s->reference, index));
    memcpy(x, before, (size_t)n * sizeof *x);
    free(before);
    return pha__reference_loss(s->reference, size);
}

/* A random direction as long as the parameter is large: steps relative to its size, so that the third derivative counts
 * little and rounding of the loss too. Leaves values of the changed parameter behind from its first use on. */
static int check_differences(setup *s, int index)
{
    const pha__node *w = s->unfused->params[index];
    if (w->kind == PHA__CONSTANT) return 0;
    int64_t n = (int64_t)w->rows * w->width;
    const double *grad = pha__reference_grad(s->reference, index), *x = pha__reference_param(s->reference, index);
    double *direction = malloc((size_t)n * sizeof *direction), analytic = 0, size, squares = 0, step = 1e-5;
    uint64_t random = (uint64_t)index + 1;
    for (int64_t k = 0; k < n; k++) squares += x[k] * x[k];
    double length = fmax(sqrt(squares / (double)n), 1e-2);
    for (int64_t k = 0; k < n; k++) {
        direction[k] = length * lab_normal(&random);
        analytic += direction[k] * grad[k];
    }
    double up = loss_at(s, index, direction, step, &size), down = loss_at(s, index, direction, -step, &size);
    free(direction);
    double numeric = (up - down) / (2 * step), error = fabs(numeric - analytic);
    bool bad = !(error <= 1e-6 * fabs(numeric) + 1e-15 * size / step);
    if (bad || verbose())
        print_message("%s%s: %s: differences: %.10g, reference %.10g, error %.2g\n", bad ? "FAILED " : "",
                      s->variant->name, w->path, numeric, analytic, error / fabs(numeric));
    return bad;
}

/* ---- a program against the reference ---- */

typedef struct limits {
    double loss, e2, cosine;
    double floor;     /* of the norm of a gradient of up to four numbers, as a part of the whole gradient's */
    double vanishing; /* the same for any vector */
} limits;

static double whole_norm(const setup *s)
{
    double sum = 0;
    for (int i = 0; i < s->unfused->n_params; i++) {
        const double *g = pha__reference_grad(s->reference, i);
        const pha__node *w = s->unfused->params[i];
        for (int64_t k = 0; k < (int64_t)w->rows * w->width; k++) sum += g[k] * g[k];
    }
    return sqrt(sum);
}

static int check_tensor(const setup *s, const lab *l, int index, const char *type, const limits *limit, double *worst)
{
    const pha__node *w = s->unfused->params[index];
    if (w->kind == PHA__CONSTANT) return 0;
    const double *ref = pha__reference_grad(s->reference, index);
    const float *x = lab_grad(l, index);
    double dot = 0, xx = 0, rr = 0, ee = 0;
    for (int64_t k = 0; k < (int64_t)w->rows * w->width; k++) {
        dot += x[k] * ref[k], xx += (double)x[k] * x[k], rr += ref[k] * ref[k];
        ee += (x[k] - ref[k]) * (x[k] - ref[k]);
    }
    double e2 = sqrt(ee / rr), cosine = dot / sqrt(xx * rr);
    double whole = whole_norm(s);
    bool zero = sqrt(rr) < 1e-12 * whole;
    bool few = w->rows * w->width <= 4, vector = w->rows == 1;
    double floor = (zero ? 1e-3 : few ? limit->floor : vector ? limit->vanishing : 0) * whole;
    bool tiny = sqrt(rr) < floor;
    bool over = !(e2 <= limit->e2) || !(cosine >= limit->cosine);
    bool bad = tiny ? !(sqrt(ee) <= limit->e2 * floor) : over;
    if (e2 > *worst && !tiny) *worst = e2;
    if (over || verbose())
        print_message("%s%s: %s: %s: E2 %.2e, cosine %.6f, norm %.3g of %.3g\n",
                      bad ? "FAILED " : tiny ? "nearly 0: " : "", s->variant->name, type, w->path, e2, cosine, sqrt(rr),
                      whole);
    return bad;
}

static int check_program(setup *s, lab *l, const char *type, const limits *limit)
{
    OK(pha__exec_run(l->exec, B, T, &s->run, NULL, false));
    pha__reference_forward(s->reference, 0);
    double size, worst = 0, ref = pha__reference_loss(s->reference, &size), loss = lab_loss(l, ROWS, s->run.loss_scale);
    int bad = !(fabs(loss - ref) <= limit->loss * ref);
    if (bad) print_message("FAILED %s: %s: loss %.8g, reference %.8g\n", s->variant->name, type, loss, ref);
    for (int i = 0; i < s->unfused->n_params; i++) bad += check_tensor(s, l, i, type, limit, &worst);
    print_message("%-28s %s: loss off by %.1e, gradients by at most %.1e\n", s->variant->name, type,
                  fabs(loss - ref) / ref, worst);
    return bad;
}

static void check_variant(const lab_variant *v, int *bad)
{
    setup s;
    open_setup(&s, v);
    for (int node = s.unfused->n_nodes - 1; node >= 0; node--) /* what is left behind lies beyond the next first use */
        for (int i = 0; i < s.unfused->n_params; i++)
            if (pha__reference_first_use(s.reference, i) == node) *bad += check_differences(&s, i);
    *bad += check_program(&s, &s.fast, "fp32", &(limits){1e-5, 1e-3, 0.999, 0, 0});

    pha__config c;
    lab_config(&c, v);
    c.dropout = c.attn_dropout = 0.1;
    lab half;
    lab_open(&half, &c, &(pha__program_options){.B = B, .T = T, .gradients = true, .dtype = PHA__BF16}, PHA__HEAD_LOSS,
             lab_device());
    *bad += check_program(&s, &half, "bf16", &(limits){1e-2, 0.15, 0.99, 0.001, 1e-6});
    lab_close(&half);
    close_setup(&s);
}

static void check_variants(int first, int step)
{
    int bad = 0;
    for (int i = first; i < lab_n_variants; i += step) check_variant(&lab_variants[i], &bad);
    assert_int_equal(bad, 0);
}

static void test_variants(void **state)
{
    (void)state;
    check_variants(0, 1);
}

/* Zero rows of everything, beyond the clamp of tau: its gradient is exactly 0. */
static void test_clamped_scale(void **state)
{
    (void)state;
    setup s;
    open_setup(&s, lab_find("default"));
    int tau = pha__find_param(s.fast.program, "layer1.attn.tau")->index;
    float *x = lab_weight(&s.fast, tau);
    const float *grad = lab_grad(&s.fast, tau);
    x[2] = 4.7f; /* ln 100 = 4.605 */
    pha__reference_param(s.reference, tau)[2] = 4.7f;
    pha__reference_forward(s.reference, 0);
    pha__reference_backward(s.reference);
    OK(pha__exec_run(s.fast.exec, B, T, &s.run, NULL, false));
    assert_true(grad[2] == 0);
    assert_true(pha__reference_grad(s.reference, tau)[2] == 0);
    assert_true(fabs(grad[1] / pha__reference_grad(s.reference, tau)[1] - 1) < 1e-3);
    close_setup(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_variants), cmocka_unit_test(test_clamped_scale)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
