/* test_program.c -- what the passes must not change: fusion, layout of weights, recomputation, the memory plan */
#include "program/runs.h"
#include "runtime/model.h"

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
        open_run(&fused, some[i], (pha__program_options){0}, lab_device());
        open_run(&plain, some[i], (pha__program_options){.unfused = PHA__FUSE_ALL}, lab_device());
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
    open_run(&l, "default", (pha__program_options){0}, lab_device());
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
            open_run(&kept, some[i], (pha__program_options){.dtype = dtype}, lab_device());
            open_run(&again, some[i], (pha__program_options){.dtype = dtype, .recompute = true}, lab_device());
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
                 lab_device());
        block[k] = l.program->block;
        lab_close(&l);
    }
    print_message("8 layers: %.2f MB, with recomputation %.2f MB\n", (double)block[0] / 1e6, (double)block[1] / 1e6);
    assert_true(block[1] * 4 < block[0]);
}

/* ---- the memory plan ---- */

/* Every step sees only buffers within their life, no two live buffers overlap, all lie in the block. */
static void check_plan(const pha__program *p, const char *what)
{
    for (int i = 0; i < p->n_buffers; i++) {
        const pha__buffer *a = &p->buffers[i];
        if (a->last < 0 || a->size == 0) continue;
        if (a->offset % PHA__ALIGN || a->offset + a->size > p->block)
            fail_msg("%s: %s lies at %zu", what, a->path, a->offset);
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
            open_run(&l, lab_variants[i].name, (pha__program_options){.recompute = recompute}, lab_device());
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
            open_run(&plain, some[i], o, lab_device());
            setenv(names[k % 2], "1", 1);
            open_run(&special, some[i], o, lab_device());
            unsetenv(names[k % 2]);
            same_losses(&plain, &special, names[k % 2]);
            same_gradients(&plain, &special, 0, names[k % 2]);
            lab_close(&plain);
            lab_close(&special);
        }
    }
}

/* Before anything has been written there are only NaNs. */
static void test_poisoned_start(void **state)
{
    (void)state;
    static const char *const settings[] = {"1", NULL};
#ifdef PHA__DEBUG
    const int n = 2; /* without the variable too */
#else
    const int n = 1;
#endif
    pha__config c;
    configure(&c, "default");
    for (int i = 0; i < n; i++) {
        lab l;
        if (settings[i]) setenv("PHA_POISON", settings[i], 1);
        lab_open(&l, &c, &(pha__program_options){.B = B, .T = T, .gradients = true}, PHA__HEAD_LOSS, lab_device());
        unsetenv("PHA_POISON");
        const float *loss = lab_output(&l, "loss", ROWS);
        for (int k = 0; k < PHA__LOSS_WIDTH * ROWS; k++) assert_true(isnan(loss[k]));
        lab_close(&l);
    }
}

static struct {
    char text[1 << 18];
    size_t used;
} said;

static void listen(void *context, int level, const char *message)
{
    (void)context, (void)level;
    said.used += (size_t)snprintf(said.text + said.used, sizeof said.text - said.used, "%s\n", message);
    assert_true(said.used < sizeof said.text);
}

/* A line with the range of what a step made for this node. */
static bool was_said(const pha__node *n, const char *what)
{
    char begin[256], line[512];
    snprintf(begin, sizeof begin, "%s ", n->path);
    for (const char *at = said.text; *at; at = strchr(at, '\n') + 1) {
        snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
        if (!strncmp(line, begin, strlen(begin)) && strstr(line, what) && strstr(line, " rms ")) return true;
    }
    return false;
}

/* Every value of the model is shown under its own name, merged or not, and so is the one that is not a number. */
static void test_trace(void **state)
{
    (void)state;
    lab l;
    setenv("PHA_TRACE", "1", 1);
    pha__config c;
    configure(&c, "default");
    int scored = lab_tokens(tokens, targets, ROWS, V, 10, 1);
    pha__run run = run_of(scored);
    lab_open(&l, &c, &(pha__program_options){.B = B, .T = T, .gradients = true}, PHA__HEAD_LOSS, lab_device());
    unsetenv("PHA_TRACE");
    pha_set_log(listen, NULL);
    pha_status good = pha__exec_run(l.exec, B, T, &run, NULL, false);
    assert_int_equal(good, PHA_OK);
    assert_true(count_merged(l.program) > 0);
    for (int i = 0; i < l.program->n_nodes; i++) {
        const pha__node *n = l.program->nodes[i];
        if (was_said(n, " out ") != !n->stack_rows) fail_msg("%s is%s shown", n->path, n->stack_rows ? "" : " not");
        if (n->op == &pha__op_matmul && was_said(n, " d_in1 ") != !n->stack_rows)
            fail_msg("%s: the gradient of its weight is%s shown", n->path, n->stack_rows ? "" : " not");
    }
    static const struct { const char *weight, *message; int64_t at; } wrong[] = {
        {"layer1.gss.filter", "layer1.gss.filter (gss.c:", 3 * 64 + 5},
        {"layer0.attn.q", "layer0.attn.q (gqa.c:", 3 * 64},
    };
    for (int i = 0; i < 2; i++) {
        float *w = l.weights + pha__find_param(l.program, wrong[i].weight)->offset + wrong[i].at, was = *w;
        *w = NAN;
        assert_int_equal(pha__exec_run(l.exec, B, T, &run, NULL, false), PHA_NUMERIC);
        if (!strstr(pha_errmsg(), wrong[i].message) || !strstr(pha_errmsg(), "row 0, column 3"))
            fail_msg("'%s' does not name %s", pha_errmsg(), wrong[i].weight);
        *w = was;
    }
    pha_set_log(NULL, NULL);
    lab_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fusion),
        cmocka_unit_test(test_merged_projections),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_recompute),
        cmocka_unit_test(test_recompute_saves),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_poison),
        cmocka_unit_test(test_poisoned_start),
        cmocka_unit_test(test_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
