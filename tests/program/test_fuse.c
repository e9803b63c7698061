/* test_fuse.c -- the rules of fuse.c: where they apply, and that each leaves every number what it was
 *
 * Sums and their norms are fused to the bit, in both formats. A fused scan has the bits of an unfused one forward in
 * fp32; else its state is not rounded on the way to the filter, nor is the gradient on the way back.
 */
#include "nn/nn.h"
#include "ops/embed/embed.h"
#include "ops/silu_mul/silu_mul.h"
#include "program/runs.h"

#define SUMS (PHA__FUSE_MIX | PHA__FUSE_RESIDUAL)
#define PAIRS (SUMS | PHA__FUSE_SCAN)

/* ---- the same numbers ---- */

/* E2 of all gradients together. */
static double whole_e2(const lab *a, const lab *b)
{
    double error = 0, size = 0;
    for (int i = 0; i < a->program->n_params; i++) {
        const pha__node *w = a->program->params[i];
        const float *x = lab_grad(a, i), *y = lab_grad(b, i);
        for (size_t k = 0; k < size_of(w) && w->kind != PHA__CONSTANT; k++)
            error += ((double)x[k] - y[k]) * ((double)x[k] - y[k]), size += (double)y[k] * y[k];
    }
    return sqrt(error / size);
}

static void compare(lab *plain, const char *variant, pha__program_options o, unsigned rules)
{
    char what[120];
    bool half = o.dtype == PHA__BF16, same = !(rules & ~SUMS);
    snprintf(what, sizeof what, "%s, %s, rules %u%s", variant, half ? "bf16" : "fp32", rules,
             o.recompute ? ", recomputed" : "");
    lab fused;
    o.unfused = PHA__FUSE_ALL & ~rules;
    open_run(&fused, variant, o, lab_device());
    if (same) same_losses(&fused, plain, what);
    double x = lab_loss(&fused, ROWS, 1), y = lab_loss(plain, ROWS, 1), e2 = whole_e2(&fused, plain);
    if (!(fabs(x - y) <= (half ? 2e-4 : 1e-6) * y)) fail_msg("%s: losses %.9g and %.9g", what, x, y);
    /* in bf16 each tensor is within 0.15 of the reference (test_gradients.c) */
    same_gradients(&fused, plain, same ? 0 : half ? 0.3 : 1e-5, what);
    if (!(e2 <= (half ? 3e-2 : 1e-6))) fail_msg("%s: gradients differ by %.2e", what, e2);
    lab_close(&fused);
}

/* Each rule alone and all together; with recomputation for every third variant. */
static void test_numbers(void **state)
{
    (void)state;
    static const unsigned rules[] = {SUMS, PHA__FUSE_SCAN, PHA__FUSE_ALL, PHA__FUSE_MIX, PHA__FUSE_RESIDUAL};
    for (int i = 0; i < lab_n_variants; i++)
        for (int k = 0; k < (i % 3 ? 2 : 4); k++) {
            pha__program_options o = {.dtype = k % 2, .recompute = k / 2, .unfused = PHA__FUSE_ALL};
            lab plain;
            open_run(&plain, lab_variants[i].name, o, lab_device());
            for (int r = 0; r < (i < 10 ? 5 : 3); r++) compare(&plain, lab_variants[i].name, o, rules[r]);
            lab_close(&plain);
        }
}

/* Logits in one piece and in pieces, and the state of a session, which either program may go on from. */
static void test_sessions(void **state)
{
    (void)state;
    static float want[T * V], got[T * V];
    for (int i = 0; i < lab_n_variants; i++) {
        pha__config c;
        configure(&c, lab_variants[i].name);
        lab_tokens(tokens, NULL, T, V, 0, 3);
        pha__program_options o = {.B = 1, .T = T, .max_context = T, .unfused = PHA__FUSE_ALL};
        lab plain, fused;
        lab_open(&plain, &c, &o, PHA__HEAD_LOGITS, lab_device());
        o.unfused = PHA__FUSE_PROJECTIONS;
        lab_open(&fused, &c, &o, PHA__HEAD_LOGITS, lab_device());
        assert_int_equal(plain.program->state, fused.program->state);
        for (int cut = 0; cut < T; cut += 8) {
            char *sessions[2];
            for (int k = 0; k < 2; k++) {
                lab *l = k ? &fused : &plain;
                char *session = sessions[k] = pha__alloc_zero(l->program->state + 1, 1);
                for (int begin = 0, n = cut ? cut : T; begin < T; begin += n, n = T - begin) {
                    OK(pha__exec_run(l->exec, 1, n, &(pha__run){.tokens = tokens + begin}, &session, false));
                    memcpy((k ? got : want) + begin * V, lab_output(l, "logits", n), (size_t)n * V * sizeof(float));
                }
            }
            if (!lab_same(sessions[0], sessions[1], plain.program->state))
                fail_msg("%s: cut at %d: other states", lab_variants[i].name, cut);
            for (int k = 0; k < 2; k++) pha__free(sessions[k]);
            if (!lab_same(want, got, sizeof want)) fail_msg("%s: cut at %d: other bits", lab_variants[i].name, cut);
        }
        lab_close(&plain);
        lab_close(&fused);
    }
}

/* ---- where a rule applies ---- */

static bool has_node(const pha__program *p, const char *path)
{
    for (int i = 0; i < p->n_nodes; i++)
        if (!strcmp(p->nodes[i]->path, path)) return true;
    return false;
}

static int count_fused(const pha__program *p)
{
    int n = 0;
    for (int i = 0; i < p->n_nodes; i++) n += pha__is_fused(p->nodes[i]->op, pha__inputs_of(p->nodes[i]));
    return n;
}

static int count_repeated(const pha__program *p, const pha__op *op)
{
    int n = 0;
    for (int i = 0; i < p->n_steps; i++) n += p->steps[i].repeat && p->steps[i].node->op == op;
    return n;
}

/* Paths of all that is fused in two layers; with recomputation a sum crosses layers only in bf16. */
static void test_where(void **state)
{
    (void)state;
    static const struct {
        const char *variant;
        pha__program_options o;
        const char *fused[8];
    } cases[] = {
        {"default", {0}, {"layer0.mix+ffn_norm", "layer1.mix+ffn_norm", "layer0.out+layer1.norm", "layer1.out+norm",
                          "layer0.gss.h+filtered", "layer1.gss.h+filtered"}},
        {"default", {.unfused = PHA__FUSE_SCAN | PHA__FUSE_MIX}, {"layer0.out+layer1.norm", "layer1.out+norm"}},
        {"default", {.unfused = SUMS}, {"layer0.gss.h+filtered", "layer1.gss.h+filtered"}},
        {"default", {.unfused = PHA__FUSE_ALL}, {NULL}},
        {"default", {.keep_all = true}, {NULL}},
        {"filter none", {.recompute = true}, {"layer0.mix+ffn_norm", "layer1.mix+ffn_norm"}},
        {"filter none", {.recompute = true, .dtype = PHA__BF16},
         {"layer0.mix+ffn_norm", "layer1.mix+ffn_norm", "layer0.out+layer1.norm", "layer1.out+norm"}},
        {"no main residual", {.recompute = true, .unfused = PHA__FUSE_SCAN | PHA__FUSE_MIX},
         {"layer0.out+layer1.norm", "layer1.out+norm"}}, /* one term is no larger than their sum */
        {"pre", {.unfused = PHA__FUSE_SCAN}, {"layer1.out+norm"}}, /* the others have two readers */
        {"pre", {.unfused = PHA__FUSE_SCAN, .dtype = PHA__BF16, .recompute = true}, {NULL}}, /* its base is fp32 */
        {"post_raw", {.unfused = PHA__FUSE_SCAN}, {"layer0.mix+ffn_norm", "layer1.mix+ffn_norm", "layer1.out+norm"}},
        {"sequential", {0}, {"layer0.attn_sum+gss_norm", "layer0.gss_sum+ffn_norm", "layer0.ffn_sum+layer1.attn_norm",
                             "layer1.attn_sum+gss_norm", "layer1.gss_sum+ffn_norm", "layer1.ffn_sum+norm",
                             "layer0.gss.h+filtered", "layer1.gss.h+filtered"}},
        {"filter norm", {.unfused = SUMS}, {NULL}},
        {"sequential, filter conv4", {.unfused = SUMS}, {NULL}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lab l;
        open_run(&l, cases[i].variant, cases[i].o, lab_device());
        int n = 0;
        for (; n < 8 && cases[i].fused[n]; n++)
            if (!has_node(l.program, cases[i].fused[n])) fail_msg("case %zu: no %s", i, cases[i].fused[n]);
        if (count_fused(l.program) != n) fail_msg("case %zu: %d fused, not %d", i, count_fused(l.program), n);
        lab_close(&l);
    }
}

/* No product is repeated for a fused step: what it reads of the layer before is kept. */
static void test_repeated(void **state)
{
    (void)state;
    for (int i = 0; i < N_SOME; i++)
        for (int half = 0; half < 2; half++) {
            lab plain, fused;
            pha__program_options o = {.dtype = half, .recompute = true, .unfused = PAIRS};
            open_run(&plain, some[i], o, lab_device());
            o.unfused = 0;
            open_run(&fused, some[i], o, lab_device());
            assert_int_equal(count_repeated(fused.program, &pha__op_matmul),
                             count_repeated(plain.program, &pha__op_matmul));
            if (half) assert_true(fused.program->block <= plain.program->block);
            lab_close(&plain);
            lab_close(&fused);
        }
}

typedef struct chain { /* x -> first -> second, and what else reads the first */
    pha__program *program;
    Params p;
    Var x, y;
} chain;

static chain open_chain(void)
{
    chain c;
    OK(pha__program_open(&c.program, &(pha__program_options){.B = 1, .T = 4}));
    c.p = pha__at_layer(pha__root(c.program), 0);
    Var E = pha__param(c.p, "embed", 10, 32, PHA__MATRIX, pha__init_normal(1));
    pha__embed_attr attr = {1, 0, 0};
    c.x = pha__apply(c.p, "x", &pha__op_embed, &E, 1, &attr, sizeof attr);
    c.y = pha__apply(c.p, "y", &pha__op_embed, &E, 1, &attr, sizeof attr);
    return c;
}

static void close_chain(chain *c, int fused)
{
    OK(pha__program_finish(c->program));
    assert_int_equal(count_fused(c->program), fused);
    pha__program_close(c->program);
}

static Var sum_of(chain *c) { return pha__residual(c->p, "sum", c->x, c->y, 1, 1, &(pha__config){0}, 0); }

/* Only what one step alone reads may be left unwritten. */
static void test_readers(void **state)
{
    (void)state;
    chain c = open_chain();
    pha__output(c.p, "out", rmsnorm(c.p, "norm", sum_of(&c)));
    close_chain(&c, 1);

    c = open_chain(); /* another norm reads it */
    Var sum = sum_of(&c);
    pha__output(c.p, "out", rmsnorm(c.p, "norm", sum));
    pha__output(c.p, "other", rmsnorm(c.p, "other", sum));
    close_chain(&c, 0);

    c = open_chain(); /* it is an output */
    sum = sum_of(&c);
    pha__output(c.p, "out", rmsnorm(c.p, "norm", sum));
    pha__output(c.p, "sum", sum);
    close_chain(&c, 0);

    c = open_chain(); /* a norm without a gain */
    float eps = RMS_EPS;
    pha__output(c.p, "out", pha__apply(c.p, "n", &pha__op_rmsnorm, ((Var[]){sum_of(&c), NULL}), 2, &eps, sizeof eps));
    close_chain(&c, 0);

    c = open_chain(); /* a mix belongs to its layer */
    Var mixed = mix(c.p, "mix", c.x, c.x, &(Branch){"a", c.y}, 1, 1, 1, &(pha__config){0}, 0);
    pha__output(c.p, "out", rmsnorm(pha__at_layer(pha__root(c.program), 1), "norm", mixed));
    close_chain(&c, 0);
}

static Var state_of(chain *c)
{
    Var theta = pha__param(c->p, "theta", 1, 32, PHA__VECTOR, pha__init_theta(PHA__STATE_REAL));
    return pha__apply(c->p, "h", &pha__op_scan, ((Var[]){c->x, c->y, theta}), 3, NULL, 0);
}

/* SiLU of the filter times the state, not of the state times the filter or itself. */
static void test_arguments(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        chain c = open_chain();
        Var h = state_of(&c), a = i == 0 ? c.x : h, b = i == 1 ? c.x : h;
        pha__output(c.p, "out", pha__apply(c.p, "filtered", &pha__op_silu_mul, ((Var[]){a, b}), 2, NULL, 0));
        close_chain(&c, i == 0);
    }
}

/* ---- what it saves ---- */

typedef struct cost {
    double values, weights, flops;
} cost;

static cost cost_of(unsigned rules, pha__dtype dtype)
{
    lab l;
    open_run(&l, "default", (pha__program_options){.dtype = dtype, .unfused = PHA__FUSE_ALL & ~rules}, lab_device());
    cost sum = {0};
    for (int i = 0; i < l.program->n_steps; i++) {
        const pha__plan_step *s = &l.program->steps[i];
        double values, weights;
        pha__step_traffic(l.program, s, &values, &weights);
        pha__shape shape;
        pha__shape_of(l.program, s->node, &shape);
        sum.values += values, sum.weights += weights;
        sum.flops += s->node->op->flops ? s->node->op->flops(&shape, s->pass, 0) : 0;
    }
    lab_close(&l);
    return sum;
}

/* Bytes per token and layer, as docs/performance.md counts them; the operations stay. */
static void test_traffic(void **state)
{
    (void)state;
    enum { D = 64, S = 160, LAYERS = 2 };
    static const struct {
        unsigned rule;
        double bytes[2];
    } rules[] = {{PHA__FUSE_MIX, {16 * D, 18 * D}}, {PHA__FUSE_RESIDUAL, {12 * D, 16 * D}},
                 {PHA__FUSE_SCAN, {16 * S, 8 * S}}};
    for (int half = 0; half < 2; half++) {
        cost plain = cost_of(0, half);
        for (int i = 0; i < 3; i++) {
            cost fused = cost_of(rules[i].rule, half);
            assert_true(plain.flops == fused.flops && plain.weights == fused.weights);
            double saved = (plain.values - fused.values) / ROWS / LAYERS;
            if (saved != rules[i].bytes[half]) fail_msg("rule %u saves %g bytes", rules[i].rule, saved);
        }
    }
}

/* Without gradients nothing is kept for them. */
static void test_nothing_saved(void **state)
{
    (void)state;
    pha__config c;
    configure(&c, "default");
    for (int gradients = 0; gradients < 2; gradients++) {
        lab l;
        lab_open(&l, &c, &(pha__program_options){.B = 1, .T = T, .gradients = gradients}, PHA__HEAD_LOSS, lab_device());
        int saved = 0;
        for (int i = 0; i < l.program->n_buffers; i++) saved += l.program->buffers[i].kind == PHA__BUF_SAVED;
        assert_true(gradients ? saved > 0 : saved == 0);
        lab_close(&l);
    }
}

/* ---- switches ---- */

static void test_environment(void **state)
{
    (void)state;
    static const struct { const char *text; unsigned rules; } cases[] = {
        {"", 0}, {"mix", PHA__FUSE_MIX}, {"scan,residual", PHA__FUSE_SCAN | PHA__FUSE_RESIDUAL},
        {"projections", PHA__FUSE_PROJECTIONS}, {"all", PHA__FUSE_ALL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pha__program *p;
        setenv("PHA_UNFUSED", cases[i].text, 1);
        OK(pha__program_open(&p, &(pha__program_options){.B = 1, .T = 1}));
        assert_int_equal(p->options.unfused, cases[i].rules);
        pha__program_close(p);
    }
    pha__program *p;
    setenv("PHA_UNFUSED", "mix,mixed", 1);
    FAILS(USAGE, "PHA_UNFUSED=mixed", pha__program_open(&p, &(pha__program_options){.B = 1, .T = 1}));
    unsetenv("PHA_UNFUSED");
    setenv("PHA_KEEP_ALL", "1", 1);
    OK(pha__program_open(&p, &(pha__program_options){.B = 1, .T = 1}));
    assert_true(p->options.keep_all && p->options.unfused == PAIRS);
    pha__program_close(p);
    setenv("PHA_KEEP_ALL", "0", 1);
    OK(pha__program_open(&p, &(pha__program_options){.B = 1, .T = 1}));
    assert_true(!p->options.keep_all && p->options.unfused == 0);
    pha__program_close(p);
    unsetenv("PHA_KEEP_ALL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_where),
        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_readers),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_traffic),
        cmocka_unit_test(test_nothing_saved),
        cmocka_unit_test(test_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
