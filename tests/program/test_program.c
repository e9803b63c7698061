/* test_program.c -- what the passes must not change: fusion, recomputation, the memory plan, threads, sizes of a run */
#include <fcntl.h>
#include <math.h>

#include "models/lab.h"
#include "nn/nn.h"
#include "ops/embed/embed.h"
#include "runtime/model.h"

enum { B = 4, T = 33, ROWS = B * T, V = 256 };

static int32_t tokens[ROWS], targets[ROWS];

static pha__run run_of(int scored)
{
    return (pha__run){.tokens = tokens, .targets = targets, .loss_scale = 1.0f / (float)scored, .dropout = true, .seed = 42,
                      .step = 7};
}

static void configure(pha__config *c, const char *variant)
{
    lab_config(c, lab_find(variant));
    c->dropout = 0.1;
}

/* The tiny preset after one training run of B x T; `options` may lack B, T and gradients. */
static void open_run(lab *l, const char *variant, pha__program_options o, pha__pool *pool)
{
    pha__config c;
    configure(&c, variant);
    if (!o.B) o.B = B;
    if (!o.T) o.T = T;
    o.gradients = true;
    int scored = lab_tokens(tokens, targets, ROWS, V, 10, 1);
    lab_open(l, &c, &o, PHA__HEAD_LOSS, pool);
    for (int64_t i = 0; i < l->program->weights; i++) l->grads[i] = NAN; /* the first microbatch stores */
    pha__run run = run_of(scored);
    OK(pha__exec_run(l->exec, B, T, &run, NULL, false));
}

static size_t size_of(const pha__node *w) { return (size_t)w->rows * (size_t)w->width; }

/* Gradients by path, since layouts may differ. limit 0: the same bits. */
static void same_gradients(const lab *a, const lab *b, double limit, const char *what)
{
    assert_int_equal(a->program->n_params, b->program->n_params);
    for (int i = 0; i < a->program->n_params; i++) {
        const pha__node *w = a->program->params[i];
        assert_string_equal(w->path, b->program->params[i]->path);
        if (w->kind == PHA__CONSTANT) continue;
        double e2 = lab_e2(a->at[2][i], b->at[2][i], (int64_t)size_of(w));
        bool ok = limit > 0 ? e2 <= limit : lab_same(a->at[2][i], b->at[2][i], size_of(w) * sizeof(float)) && e2 == 0;
        if (!ok) fail_msg("%s: gradients of %s differ: E2 %.2e", what, w->path, e2);
    }
}

static void same_losses(const lab *a, const lab *b, const char *what)
{
    if (!lab_same(pha__exec_output(a->exec, "loss"), pha__exec_output(b->exec, "loss"), 2 * ROWS * sizeof(float)))
        fail_msg("%s: losses have other bits", what);
}

static const char *const some[] = {"default", "window 7", "dynamic mixing", "wb_scale fixed", "qk rms", "post_raw",
                                   "attention", "state space", "sequential", "sequential, no norm"};
enum { N_SOME = sizeof some / sizeof *some };

/* ---- passes ---- */

static int count_merged(const pha__program *p)
{
    int n = 0;
    for (int i = 0; i < p->n_nodes; i++) n += p->nodes[i]->merged != NULL;
    return n;
}

static void test_fusion(void **state)
{
    (void)state;
    for (int i = 0; i < N_SOME; i++) {
        lab fused, plain;
        open_run(&fused, some[i], (pha__program_options){0}, lab_pool());
        open_run(&plain, some[i], (pha__program_options){.no_fuse = true}, lab_pool());
        assert_true(count_merged(fused.program) > 0);
        assert_int_equal(count_merged(plain.program), 0);
        assert_true(fused.program->n_steps < plain.program->n_steps);
        double x = lab_loss(&fused, ROWS, 1), y = lab_loss(&plain, ROWS, 1);
        assert_true(fabs(x - y) <= 1e-6 * y);
        same_gradients(&fused, &plain, 1e-5, some[i]);
        /* one block of weights serves both */
        assert_int_equal(fused.program->weights, plain.program->weights);
        assert_int_equal(fused.program->trainable, plain.program->trainable);
        assert_int_equal(fused.program->parameters, plain.program->parameters);
        for (int k = 0; k < plain.program->n_params; k++)
            assert_int_equal(fused.program->params[k]->offset, plain.program->params[k]->offset);
        lab_close(&fused);
        lab_close(&plain);
    }
}

/* Eight products of a PHA layer become one. */
static void test_merged_projections(void **state)
{
    (void)state;
    lab l;
    open_run(&l, "default", (pha__program_options){0}, lab_pool());
    int members = 0, width = 0;
    for (int i = 0; i < l.program->n_nodes; i++) {
        const pha__node *n = l.program->nodes[i];
        if (!n->merged || n->layer != 1 || strstr(n->path, "ffn")) continue;
        members++;
        width = n->merged->width;
    }
    assert_int_equal(members, 8);
    assert_int_equal(width, 64 + 32 + 32 + 3 * 160 + 2 * 64);
    lab_close(&l);
}

/* The layout of weights does not depend on what a program is for. */
static void test_layouts(void **state)
{
    (void)state;
    static const pha__head heads[] = {PHA__HEAD_NONE, PHA__HEAD_LOGITS, PHA__HEAD_LOSS};
    for (int i = 0; i < lab_n_variants; i++) {
        pha__config c;
        configure(&c, lab_variants[i].name);
        pha__program *first = NULL;
        for (int k = 0; k < 6; k++) {
            pha__program *p;
            pha__program_options o = {.B = 1 + k % 3, .T = 1 + k, .max_context = k % 3 < 2 ? 64 : 0,
                                      .dtype = k < 3 ? PHA__F32 : PHA__BF16, .gradients = k % 3 == 2};
            OK(pha__record(&p, &c, &o, heads[k % 3]));
            for (int j = 0; first && j < p->n_params; j++) {
                assert_string_equal(p->params[j]->path, first->params[j]->path);
                assert_int_equal(p->params[j]->offset, first->params[j]->offset);
            }
            if (first) assert_int_equal(p->trainable, first->trainable);
            if (first) pha__program_close(p);
            else first = p;
        }
        pha__program_close(first);
    }
}

static void test_recompute(void **state)
{
    (void)state;
    for (int i = 0; i < N_SOME; i++) {
        for (int half = 0; half < 2; half++) {
            lab kept, again;
            pha__dtype dtype = half ? PHA__BF16 : PHA__F32;
            open_run(&kept, some[i], (pha__program_options){.dtype = dtype}, lab_pool());
            open_run(&again, some[i], (pha__program_options){.dtype = dtype, .recompute = true}, lab_pool());
            same_losses(&kept, &again, some[i]);
            same_gradients(&kept, &again, 0, some[i]);
            int repeated = 0;
            for (int k = 0; k < again.program->n_steps; k++) repeated += again.program->steps[k].repeat;
            assert_true(repeated > 0);
            lab_close(&kept);
            lab_close(&again);
        }
    }
}

/* With many layers most of the memory goes. */
static void test_recompute_saves(void **state)
{
    (void)state;
    pha__config c;
    configure(&c, "default");
    c.n_layer = 8;
    size_t block[2];
    for (int k = 0; k < 2; k++) {
        lab l;
        lab_open(&l, &c, &(pha__program_options){.B = B, .T = 128, .gradients = true, .recompute = k}, PHA__HEAD_LOSS,
                 lab_pool());
        block[k] = l.program->block;
        lab_close(&l);
    }
    print_message("8 layers: %.2f MB, with recomputation %.2f MB\n", (double)block[0] / 1e6, (double)block[1] / 1e6);
    assert_true(block[1] * 2 < block[0]);
}

/* ---- the memory plan ---- */

/* Every step sees only buffers within their life, no two live buffers overlap, all lie in the block. */
static void check_plan(const pha__program *p, const char *what)
{
    for (int i = 0; i < p->n_buffers; i++) {
        const pha__buffer *a = &p->buffers[i];
        if (a->last < 0 || a->size == 0) continue;
        if (a->offset % PHA__ALIGN || a->offset + a->size > p->block) fail_msg("%s: %s lies at %zu", what, a->path, a->offset);
        for (int k = 0; k < i; k++) {
            const pha__buffer *b = &p->buffers[k];
            if (b->last < a->first || a->last < b->first) continue;
            if (a->offset < b->offset + b->size && b->offset < a->offset + a->size)
                fail_msg("%s: %s and %s overlap", what, a->path, b->path);
        }
    }
    for (int i = 0; i < p->n_steps; i++) {
        const pha__plan_step *s = &p->steps[i];
        const pha__ref *refs[2 * PHA__MAX_IN + 2] = {&s->out, &s->d_out};
        for (int k = 0; k < PHA__MAX_IN; k++) refs[2 + 2 * k] = &s->in[k], refs[3 + 2 * k] = &s->d_in[k];
        for (int k = 0; k < 2 * PHA__MAX_IN + 2; k++) {
            if (refs[k]->kind != PHA__REF_BUFFER) continue;
            const pha__buffer *b = &p->buffers[refs[k]->index];
            if (i < b->first || i > b->last) fail_msg("%s: step %d uses %s outside of its life", what, i, b->path);
        }
    }
    if (p->block > p->naive) fail_msg("%s: the plan of %zu bytes is larger than %zu", what, p->block, p->naive);
}

static void test_plan(void **state)
{
    (void)state;
    for (int i = 0; i < lab_n_variants; i++) {
        for (int recompute = 0; recompute < 2; recompute++) {
            lab l;
            open_run(&l, lab_variants[i].name, (pha__program_options){.recompute = recompute}, lab_pool());
            check_plan(l.program, lab_variants[i].name);
            if (i == 0) print_message("tiny: %zu bytes planned, %zu naive\n", l.program->block, l.program->naive);
            lab_close(&l);
        }
    }
}

/* Dead buffers full of NaN change nothing, nor does it that everything is kept. */
static void test_poison(void **state)
{
    (void)state;
    static const char *const names[] = {"PHA_POISON", "PHA_KEEP_ALL"};
    for (int i = 0; i < N_SOME; i++) {
        for (int k = 0; k < 4; k++) {
            lab plain, special;
            pha__program_options o = {.recompute = k >= 2};
            open_run(&plain, some[i], o, lab_pool());
            setenv(names[k % 2], "1", 1);
            open_run(&special, some[i], o, lab_pool());
            unsetenv(names[k % 2]);
            same_losses(&plain, &special, names[k % 2]);
            same_gradients(&plain, &special, 0, names[k % 2]);
            lab_close(&plain);
            lab_close(&special);
        }
    }
}

static void test_trace(void **state)
{
    (void)state;
    lab l;
    setenv("PHA_TRACE", "1", 1);
    pha__config c;
    configure(&c, "default");
    int scored = lab_tokens(tokens, targets, ROWS, V, 10, 1);
    pha__run run = run_of(scored);
    lab_open(&l, &c, &(pha__program_options){.B = B, .T = T, .gradients = true}, PHA__HEAD_LOSS, lab_pool());
    unsetenv("PHA_TRACE");
    int out = dup(2), null = open("/dev/null", O_WRONLY);
    dup2(null, 2);
    pha_status good = pha__exec_run(l.exec, B, T, &run, NULL, false);
    l.weights[pha__find_param(l.program, "layer1.gss.filter")->offset + 5] = NAN;
    pha_status bad = pha__exec_run(l.exec, B, T, &run, NULL, false);
    dup2(out, 2);
    close(out);
    close(null);
    assert_int_equal(good, PHA_OK);
    assert_int_equal(bad, PHA_NUMERIC);
    if (!strstr(pha_errmsg(), "layer1.")) fail_msg("'%s' does not name the value", pha_errmsg());
    lab_close(&l);
}

/* ---- running ---- */

static void test_threads(void **state)
{
    (void)state;
    for (int i = 0; i < N_SOME; i++) {
        lab one, other;
        pha__pool *pool;
        OK(pha__pool_open(&pool, 1));
        open_run(&one, some[i], (pha__program_options){0}, pool);
        for (int n = 2; n <= 3; n++) {
            pha__pool *more;
            OK(pha__pool_open(&more, n));
            open_run(&other, some[i], (pha__program_options){0}, more);
            same_losses(&one, &other, some[i]);
            same_gradients(&one, &other, 0, some[i]);
            lab_close(&other);
            pha__pool_close(more);
        }
        lab_close(&one);
        pha__pool_close(pool);
    }
}

/* Repeating a run gives the same bits, and allocates nothing. */
static void test_again(void **state)
{
    (void)state;
    for (int i = 0; i < N_SOME; i++) {
        lab l, once;
        open_run(&once, some[i], (pha__program_options){0}, lab_pool());
        open_run(&l, some[i], (pha__program_options){0}, lab_pool());
        pha__run run = run_of(lab_tokens(tokens, targets, ROWS, V, 10, 1));
        uint64_t count = pha__mem_count();
        OK(pha__exec_run(l.exec, 2, 7, &run, NULL, false));
        OK(pha__exec_run(l.exec, B, T, &run, NULL, false));
        assert_int_equal(pha__mem_count(), count);
        same_losses(&once, &l, some[i]);
        same_gradients(&once, &l, 0, some[i]);
        lab_close(&l);
        lab_close(&once);
    }
}

static void test_smaller_runs(void **state)
{
    (void)state;
    for (int i = 0; i < N_SOME; i++) {
        for (int recompute = 0; recompute < 2; recompute++) {
            lab exact, bigger;
            open_run(&exact, some[i], (pha__program_options){.recompute = recompute}, lab_pool());
            open_run(&bigger, some[i], (pha__program_options){.B = 7, .T = 100, .recompute = recompute}, lab_pool());
            same_losses(&exact, &bigger, some[i]);
            same_gradients(&exact, &bigger, 0, some[i]);
            FAILS(USAGE, "exceeds", pha__exec_run(exact.exec, B + 1, T, &(pha__run){.tokens = tokens}, NULL, false));
            FAILS(USAGE, "exceeds", pha__exec_run(exact.exec, B, T + 1, &(pha__run){.tokens = tokens}, NULL, false));
            lab_close(&exact);
            lab_close(&bigger);
        }
    }
}

/* Four sequences in one piece and one by one: the same dropout masks, gradients that add up. */
static void test_microbatches(void **state)
{
    (void)state;
    for (int i = 0; i < N_SOME; i++) {
        lab whole, parts;
        open_run(&whole, some[i], (pha__program_options){0}, lab_pool());
        open_run(&parts, some[i], (pha__program_options){0}, lab_pool());
        pha__run run = run_of(lab_tokens(tokens, targets, ROWS, V, 10, 1));
        double loss = 0;
        for (int b = 0; b < B; b++) {
            run.tokens = tokens + b * T, run.targets = targets + b * T, run.row0 = b * T;
            OK(pha__exec_run(parts.exec, 1, T, &run, NULL, b > 0));
            loss += lab_loss(&parts, T, 1);
        }
        assert_true(fabs(loss / lab_loss(&whole, ROWS, 1) - 1) < 1e-6);
        same_gradients(&parts, &whole, 1e-5, some[i]);
        lab_close(&whole);
        lab_close(&parts);
    }
}

/* Changing token j leaves every result before j the same bits. */
static void test_causality(void **state)
{
    (void)state;
    for (int i = 0; i < lab_n_variants; i++) {
        for (int half = 0; half < 2; half++) {
            pha__config c;
            lab_config(&c, &lab_variants[i]);
            lab l;
            lab_open(&l, &c, &(pha__program_options){.B = 2, .T = T, .dtype = half ? PHA__BF16 : PHA__F32}, PHA__HEAD_LOGITS,
                     lab_pool());
            lab_tokens(tokens, NULL, 2 * T, V, 0, 3);
            pha__run run = {.tokens = tokens};
            static float before[2 * T * V];
            OK(pha__exec_run(l.exec, 2, T, &run, NULL, false));
            memcpy(before, pha__exec_output(l.exec, "logits"), sizeof before);
            for (int j = T - 1; j >= 0; j -= 8) {
                tokens[T + j] ^= 0x55;
                OK(pha__exec_run(l.exec, 2, T, &run, NULL, false));
                const float *after = pha__exec_output(l.exec, "logits");
                if (!lab_same(before, after, (size_t)(T + j) * V * sizeof(float)))
                    fail_msg("%s: token %d changes what comes before", lab_variants[i].name, j);
                if (lab_same(before + (T + j) * V, after + (T + j) * V, V * sizeof(float)))
                    fail_msg("%s: token %d changes nothing", lab_variants[i].name, j);
                tokens[T + j] ^= 0x55;
            }
            lab_close(&l);
        }
    }
}

/* ---- recording ---- */

/* A layer whose branches are recorded in one order or the other, as a compiler may evaluate arguments. */
static Var record_block(Params p, Var x, const pha__config *c, int layer, bool backwards)
{
    Var u = rmsnorm(p, "norm", x), z[3];
    for (int i = 0; i < 3; i++) {
        int k = backwards ? 2 - i : i;
        z[k] = k == 0 ? gqa(p, "attn", u, c, layer) : k == 1 ? gss(p, "gss", u, c) : swiglu(p, "aux", u, c->d_aux, c);
    }
    Branch branches[] = {{"attn", z[0]}, {"gss", z[1]}, {"aux", z[2]}};
    Residual m = pha__residual_mode_of(c, x, u, true);
    Var s = mix(p, "mix", m.base, u, branches, 3, m.alpha, m.beta, c, 0);
    return s;
}

static void open_recorded(lab *l, const pha__config *c, bool backwards)
{
    *l = (lab){0};
    OK(pha__program_open(&l->program, &(pha__program_options){.B = B, .T = T, .gradients = true}));
    Params p = pha__root(l->program);
    Var E = pha__param(p, "embed", c->vocab_size, c->d_model, PHA__MATRIX, pha__init_normal(c->embed_std));
    pha__embed_attr attr = {8, 0.1f, 0};
    Var x = pha__apply(p, "embed", &pha__op_embed, &E, 1, &attr, sizeof attr);
    for (int layer = 0; layer < c->n_layer; layer++) x = record_block(pha__at_layer(p, layer), x, c, layer, backwards);
    p.layer = c->n_layer;
    x = rmsnorm(p, "norm", x);
    pha__output(p, "loss", pha__apply(p, "loss", &pha__op_lm_loss, ((Var[]){x, E}), 2, NULL, 0));
    OK(pha__program_finish(l->program));
    lab_bind(l, lab_pool());
}

static void test_recording_order(void **state)
{
    (void)state;
    pha__config c;
    configure(&c, "default");
    c.n_layer = 12; /* layer2 before layer10 */
    lab a, b;
    open_recorded(&a, &c, false);
    open_recorded(&b, &c, true);
    assert_int_equal(a.program->n_steps, b.program->n_steps);
    for (int i = 0; i < a.program->n_steps; i++) {
        const pha__plan_step *x = &a.program->steps[i], *y = &b.program->steps[i];
        assert_string_equal(x->node->path, y->node->path);
        assert_int_equal(x->pass, y->pass);
    }
    int last = -1;
    for (int i = 0; i < a.program->n_params; i++) {
        int layer = -1;
        if (sscanf(a.program->params[i]->path, "layer%d.", &layer) != 1) continue;
        assert_true(layer >= last);
        last = layer;
    }
    pha__run run = run_of(lab_tokens(tokens, targets, ROWS, V, 10, 1));
    OK(pha__exec_run(a.exec, B, T, &run, NULL, false));
    OK(pha__exec_run(b.exec, B, T, &run, NULL, false));
    same_losses(&a, &b, "recording order");
    same_gradients(&a, &b, 0, "recording order");
    lab_close(&a);
    lab_close(&b);
}

static pha__program *open_empty(void)
{
    pha__program *p;
    OK(pha__program_open(&p, &(pha__program_options){.B = 1, .T = 4}));
    return p;
}

/* The first mistake is reported, with the path and the place; what follows it goes on with poisoned values. */
static void test_shape_errors(void **state)
{
    (void)state;
    pha__config c;
    configure(&c, "default");
    pha__program *g = open_empty();
    Params p = pha__root(g), q = pha__at_layer(p, 3);
    Var E = pha__param(p, "embed", 10, 64, PHA__MATRIX, pha__init_normal(1));
    pha__embed_attr attr = {1, 0, 0};
    Var x = pha__apply(p, "embed", &pha__op_embed, &E, 1, &attr, sizeof attr);
    Var narrow = linear(q, "narrow", x, 60, pha__init_xavier(1));
    Var sum = pha__residual(q, "sum", x, narrow, 1, 1, &c, 0); /* 64 + 60 */
    assert_ptr_equal(sum, g->poison);
    sum = pha__residual(q, "later", narrow, x, 1, 1, &c, 0);
    Var h = swiglu(q, "ffn", sum, 100, &c);
    pha__output(q, "hidden", h);
    pha__reject(q, "a later complaint");
    FAILS(BAD_INPUT, "layer3.sum (mix.c", pha__program_finish(g));
    assert_null(strstr(pha_errmsg(), "later"));
    FAILS(BAD_INPUT, "layer3.sum", pha__program_finish(g)); /* and again */
    pha__program_close(g);

    g = open_empty(); /* a path with another shape */
    p = pha__root(g);
    pha__param(p, "embed", 10, 64, PHA__MATRIX, pha__init_normal(1));
    assert_ptr_equal(pha__param(p, "embed", 10, 64, PHA__MATRIX, pha__init_normal(1)), pha__find_param(g, "embed"));
    pha__param(p, "embed", 11, 64, PHA__MATRIX, pha__init_normal(1));
    FAILS(BAD_INPUT, "'embed' is asked for as 11 x 64", pha__program_finish(g));
    pha__program_close(g);

    g = open_empty(); /* a value where a parameter belongs */
    p = pha__root(g);
    E = pha__param(p, "embed", 10, 64, PHA__MATRIX, pha__init_normal(1));
    x = pha__apply(p, "embed", &pha__op_embed, &E, 1, &attr, sizeof attr);
    pha__apply(p, "bad", &pha__op_matmul, ((Var[]){x, x}), 2, NULL, 0);
    FAILS(BAD_INPUT, "bad (test_program.c:", pha__program_finish(g));
    pha__program_close(g);

    g = open_empty(); /* too few inputs */
    p = pha__root(g);
    E = pha__param(p, "embed", 10, 64, PHA__MATRIX, pha__init_normal(1));
    x = pha__apply(p, "embed", &pha__op_embed, &E, 1, &attr, sizeof attr);
    pha__apply(p, "lonely", &pha__op_matmul, &x, 1, NULL, 0);
    FAILS(BAD_INPUT, "lonely", pha__program_finish(g));
    pha__program_close(g);

    g = open_empty();
    p = pha__root(g);
    E = pha__param(p, "embed", 10, 64, PHA__MATRIX, pha__init_normal(1));
    x = pha__apply(p, "embed", &pha__op_embed, &E, 1, &attr, sizeof attr);
    for (int i = 0; i < PHA__MAX_OUTPUT + 1; i++) pha__output(p, "again", x);
    FAILS(BAD_INPUT, "outputs", pha__program_finish(g));
    pha__program_close(g);

    FAILS(USAGE, "at least 1", pha__program_open(&g, &(pha__program_options){.B = 0, .T = 4}));
    assert_null(g);
}

/* ---- out of memory ---- */

static void fail_everywhere(const char *variant, const pha__program_options *o)
{
    pha__config c;
    configure(&c, variant);
    lab l;
    lab_pool();
    size_t before = pha__mem_now();
    int n = 1;
    for (;; n++) {
        pha__mem_fail_at((uint64_t)n);
        pha_status status = lab_try(&l, &c, o, PHA__HEAD_LOSS, lab_pool());
        pha__mem_fail_at(0);
        if (status == PHA_OK) break;
        if (status != PHA_NO_MEMORY) fail_msg("allocation %d of %s fails: status %d: %s", n, variant, status, pha_errmsg());
        if (pha__mem_now() != before) fail_msg("allocation %d of %s fails: %zu bytes left", n, variant, pha__mem_now() - before);
        assert_true(n < 10000);
    }
    print_message("%s: %d allocations\n", variant, n - 1);
    assert_true(n > 10);
    lab_close(&l);
    assert_int_equal(pha__mem_now(), before);
}

static void test_no_memory(void **state)
{
    (void)state;
    fail_everywhere("default", &(pha__program_options){.B = B, .T = T, .gradients = true});
    fail_everywhere("dynamic mixing", &(pha__program_options){.B = B, .T = T, .gradients = true, .recompute = true});
    fail_everywhere("sequential", &(pha__program_options){.B = B, .T = T, .dtype = PHA__BF16, .max_context = 99});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fusion),         cmocka_unit_test(test_merged_projections),
        cmocka_unit_test(test_layouts),        cmocka_unit_test(test_recompute),
        cmocka_unit_test(test_recompute_saves), cmocka_unit_test(test_plan),
        cmocka_unit_test(test_poison),         cmocka_unit_test(test_trace),
        cmocka_unit_test(test_threads),        cmocka_unit_test(test_again),
        cmocka_unit_test(test_smaller_runs),   cmocka_unit_test(test_microbatches),
        cmocka_unit_test(test_causality),      cmocka_unit_test(test_recording_order),
        cmocka_unit_test(test_shape_errors),   cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
