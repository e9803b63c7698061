/* test_record.c -- recording: any order, mistakes in shapes and sizes, no memory */
#include "models/models.h"
#include "nn/nn.h"
#include "ops/embed/embed.h"
#include "ops/rope_table/rope_table.h"
#include "program/runs.h"
#include "support/allocations.h"

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
    lab_bind(l, lab_device());
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

/* Numbers in paths compare as numbers; what follows them counts after that. */
static int by_path(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    for (;; x++, y++) {
        if (*x >= '0' && *x <= '9' && *y >= '0' && *y <= '9') {
            char *end_x, *end_y;
            unsigned long m = strtoul(x, &end_x, 10), n = strtoul(y, &end_y, 10);
            if (m != n) return m < n ? -1 : 1;
            x = end_x, y = end_y;
        }
        if (*x != *y) return (unsigned char)*x < (unsigned char)*y ? -1 : 1;
        if (!*x) return 0;
    }
}

static void test_names(void **state)
{
    (void)state;
    enum { N = 600 };
    static const char letters[] = "a.z_/:0129";
    static char text[N][16];
    static const char *sorted[N];
    pha__program *g;
    uint64_t random = 8;
    OK(pha__program_open(&g, &(pha__program_options){.B = 1, .T = 4}));
    int n = 0;
    while (n < N) {
        size_t length = 1 + lab_random(&random) % 14;
        for (size_t i = 0; i < length; i++) text[n][i] = letters[lab_random(&random) % 10];
        text[n][length] = 0;
        bool new = true; /* a01 and a1 have one place in the order: either may come first */
        for (int i = 0; i < n; i++) new &= by_path(&(const char *){text[i]}, &(const char *){text[n]}) != 0;
        assert_null(pha__find_param(g, "none"));
        if (!new) continue;
        assert_null(pha__find_param(g, text[n]));
        pha__param(pha__root(g), text[n], 1, 1, PHA__VECTOR, pha__init_constant(0));
        sorted[n] = text[n];
        n++;
    }
    qsort(sorted, N, sizeof *sorted, by_path);
    OK(pha__program_finish(g));
    assert_int_equal(g->n_params, N);
    for (int i = 0; i < N; i++) {
        assert_string_equal(g->params[i]->path, sorted[i]);
        assert_int_equal(g->params[i]->index, i);
        assert_ptr_equal(pha__find_param(g, sorted[i]), g->params[i]);
    }
    pha__program_close(g);
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
    FAILS(BAD_INPUT, "layer3.sum (test_record.c", pha__program_finish(g));
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
    FAILS(BAD_INPUT, "bad (test_record.c:", pha__program_finish(g));
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

/* What a product is stored as is said by its attributes: logits are fp32 also where activations are not. */
static void test_fp32_product(void **state)
{
    (void)state;
    pha__config c;
    configure(&c, "default");
    pha__program *g;
    OK(pha__program_open(&g, &(pha__program_options){.B = B, .T = T, .dtype = PHA__BF16}));
    OK(pha__lm_record(g, &c, PHA__HEAD_LOGITS));
    assert_int_equal(g->outputs[0].value->dtype, PHA__F32);
    int half = 0;
    for (int i = 0; i < g->n_nodes; i++) half += g->nodes[i]->op == &pha__op_matmul && g->nodes[i]->dtype == PHA__BF16;
    assert_true(half > 10);
    pha__program_close(g);
}

/* ---- misuse ---- */

static void test_finish_once(void **state)
{
    (void)state;
    pha__config c;
    configure(&c, "default");
    pha__program *g;
    OK(pha__program_open(&g, &(pha__program_options){.B = B, .T = T, .gradients = true}));
    OK(pha__lm_record(g, &c, PHA__HEAD_LOSS)); /* finishes */
    int steps = g->n_steps, nodes = g->n_nodes;
    FAILS(USAGE, "finished", pha__program_finish(g));
    assert_int_equal(g->n_steps, steps);
    assert_int_equal(g->n_nodes, nodes);
    pha__program_close(g);
}

/* Positions within a run are 32-bit numbers; sums of sizes that no machine has are noticed before they wrap. */
static void test_sizes(void **state)
{
    (void)state;
    pha__program *g;
    FAILS(USAGE, "too much for one run", pha__program_open(&g, &(pha__program_options){.B = 1 << 16, .T = 1 << 15}));
    assert_null(g);
    OK(pha__program_open(&g, &(pha__program_options){.B = INT32_MAX, .T = 1}));
    Params p = pha__root(g);
    Var E = pha__param(p, "embed", 10, INT32_MAX / 64 * 64, PHA__MATRIX, pha__init_normal(1));
    pha__embed_attr attr = {1, 0, 0};
    Var x = pha__apply(p, "embed", &pha__op_embed, &E, 1, &attr, sizeof attr);
    pha__output(p, "x", x);
    FAILS(NO_MEMORY, "embed alone", pha__program_finish(g)); /* 2^64 bytes, less a few */
    pha__program_close(g);

    OK(pha__program_open(&g, &(pha__program_options){.B = INT32_MAX, .T = 1}));
    p = pha__root(g);
    E = pha__param(p, "embed", 10, 1 << 28, PHA__MATRIX, pha__init_normal(1));
    x = pha__apply(p, "embed", &pha__op_embed, &E, 1, &attr, sizeof attr); /* 2^61 bytes, and eight times that */
    for (int i = 0; i < 8; i++) {
        char name[16];
        snprintf(name, sizeof name, "x%d", i);
        pha__output(p, name, x = rmsnorm(p, name, x));
    }
    OK(pha__program_finish(g));
    FAILS(NO_MEMORY, "larger than any memory", pha__plan(g, lab_device()));
    pha__program_close(g);

    pha__config c; /* a cache of 2^54 tokens in each of two layers */
    configure(&c, "default");
    OK(pha__program_open(&g, &(pha__program_options){.B = 1, .T = 1, .max_context = INT64_C(1) << 54}));
    FAILS(NO_MEMORY, "layer0.attn.heads: a state of 18014398509481984 tokens", pha__lm_record(g, &c, PHA__HEAD_NONE));
    pha__program_close(g);

    g = open_empty(); /* nothing recorded, nothing to plan */
    OK(pha__program_finish(g));
    OK(pha__plan(g, lab_device()));
    assert_int_equal(g->n_buffers, 0);
    pha__program_close(g);
}

/* What can't stay readable after a run is refused. */
static void test_outputs(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        pha__program *g;
        OK(pha__program_open(&g, &(pha__program_options){.B = 1, .T = 4, .unfused = i == 2 ? PHA__FUSE_ALL : 0}));
        Params p = pha__root(g);
        Var E = pha__param(p, "embed", 10, 64, PHA__MATRIX, pha__init_normal(1));
        pha__embed_attr attr = {1, 0, 0};
        Var x = pha__apply(p, "embed", &pha__op_embed, &E, 1, &attr, sizeof attr);
        Var a = linear(p, "a", x, 32, pha__init_xavier(1)), b = linear(p, "b", x, 32, pha__init_xavier(1));
        pha__output(p, "sum", pha__residual(p, "sum", a, b, 1, 1, &(pha__config){0}, 0));
        pha__output(p, "mine", i ? b : E);
        if (i == 0) FAILS(BAD_INPUT, "embed (test_record.c", pha__program_finish(g));
        for (int k = 0; i == 1 && k < 2; k++) FAILS(BAD_INPUT, "b (test_record.c", pha__program_finish(g));
        if (i == 2) OK(pha__program_finish(g));
        pha__program_close(g);
    }
}

/* The table of angles is shared by all layers: by those that ask for the same one. */
static void test_shared(void **state)
{
    (void)state;
    pha__program *g = open_empty();
    Params p = pha__root(g), q = pha__at_layer(p, 3);
    pha__rope_table_attr attr = {16, 10000}, other = {16, 500};
    int line = __LINE__ + 1;
    Var x = pha__shared(p, "rope", &pha__op_rope_table, &attr, sizeof attr);
    assert_ptr_equal(pha__shared(q, "rope", &pha__op_rope_table, &attr, sizeof attr), x);
    assert_string_equal(x->file, "test_record.c");
    assert_int_equal(x->line, line);
    assert_ptr_equal(pha__shared(q, "rope", &pha__op_rope_table, &other, sizeof other), g->poison);
    FAILS(BAD_INPUT, "'rope' (test_record.c", pha__program_finish(g));
    pha__program_close(g);
}

/* ---- out of memory ---- */

typedef struct recording {
    pha__config config;
    pha__program_options options;
} recording;

static pha_status record_once(void *context)
{
    const recording *r = context;
    lab l;
    TRY(lab_try(&l, &r->config, &r->options, PHA__HEAD_LOSS, lab_device()));
    lab_close(&l);
    return PHA_OK;
}

static void fail_everywhere(const char *variant, const pha__program_options *o)
{
    recording r = {.options = *o};
    configure(&r.config, variant);
    lab_device();
    uint64_t n = fail_allocations(record_once, &r, 10000);
    print_message("%s: %d allocations\n", variant, (int)n - 1);
    assert_true(n > 10);
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
        cmocka_unit_test(test_recording_order),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_shape_errors),
        cmocka_unit_test(test_finish_once),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_outputs),
        cmocka_unit_test(test_fp32_product),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
