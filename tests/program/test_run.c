/* test_run.c -- executing: threads, repetition, sizes below those of the plan, microbatches, causality */
#include "program/run_block.h"
#include "program/runs.h"
#include "runtime/model.h"

static void test_threads(void **state)
{
    (void)state;
    for (int i = 0; i < N_SOME; i++) {
        lab one, other;
        pha__device *device;
        OK(pha__device_open(&device, "cpu", 1));
        open_run(&one, some[i], (pha__program_options){0}, device);
        for (int n = 2; n <= 3; n++) {
            pha__device *more;
            OK(pha__device_open(&more, "cpu", n));
            open_run(&other, some[i], (pha__program_options){0}, more);
            same_losses(&one, &other, some[i]);
            same_gradients(&one, &other, 0, some[i]);
            lab_close(&other);
            pha__device_close(more);
        }
        lab_close(&one);
        pha__device_close(device);
    }
}

/* A plan made for some threads serves any number. */
static void test_planned_threads(void **state)
{
    (void)state;
    pha__config c;
    configure(&c, "default");
    for (int planned = 1; planned <= 3; planned += 2) {
        lab l = {0}, other;
        pha__device *device, *first;
        OK(pha__device_open(&device, "cpu", 2));
        OK(pha__device_open(&first, "cpu", planned));
        OK(pha__record(&l.program, &c, &(pha__program_options){.B = B, .T = T, .gradients = true}, PHA__HEAD_LOSS));
        OK(pha__plan(l.program, first));
        pha__device_close(first);
        lab_bind(&l, device);
        pha__run run = run_of(lab_tokens(tokens, targets, ROWS, V, 10, 1));
        OK(pha__exec_run(l.exec, B, T, &run, NULL, false));
        open_run(&other, "default", (pha__program_options){0}, device);
        same_losses(&l, &other, "planned for other threads");
        same_gradients(&l, &other, 0, "planned for other threads");
        lab_close(&other);
        lab_close(&l);
        pha__device_close(device);
    }
}

/* A plan belongs to a backend: sizes and alignment are its own. */
static void test_planned_backend(void **state)
{
    (void)state;
    pha__config c;
    configure(&c, "default");
    lab l = {0};
    pha__device *far;
    OK(pha__device_open(&far, "far", 1));
    OK(pha__record(&l.program, &c, &(pha__program_options){.B = B, .T = T, .gradients = true}, PHA__HEAD_LOSS));
    OK(pha__plan(l.program, far));
    FAILS(USAGE, "planned for the device far", pha__plan(l.program, lab_device()));
    lab_close(&l);
    pha__device_close(far);
}

static const pha__backend *real;
static size_t asked; /* scratch memory of a step */

static pha_status greedy_needs(pha__device *d, const void *kernel, const pha__args *a, pha__pass pass, pha__needs *out)
{
    OK(real->needs(d, kernel, a, pass, out));
    if (asked) out->scratch = asked;
    return PHA_OK;
}

/* A program whose plan failed has none, and may be planned again. */
static void test_failed_plan(void **state)
{
    (void)state;
    pha__config c;
    configure(&c, "default");
    lab l = {0}, other;
    pha__device *device;
    OK(pha__device_open(&device, "cpu", 1));
    open_run(&other, "default", (pha__program_options){0}, device);
    real = device->backend;
    pha__backend greedy = *real;
    greedy.needs = greedy_needs, asked = SIZE_MAX;
    device->backend = &greedy;
    OK(pha__record(&l.program, &c, &(pha__program_options){.B = B, .T = T, .gradients = true}, PHA__HEAD_LOSS));
    for (int i = 0; i < 2; i++) FAILS(NO_MEMORY, "larger than any memory", pha__plan(l.program, device));
    asked = 0;
    OK(pha__plan(l.program, device));
    assert_int_equal(l.program->block, other.program->block);
    device->backend = real;
    lab_close(&l), lab_close(&other);
    pha__device_close(device);
}

/* A block that has no room takes nothing from those that have. */
static void test_no_room(void **state)
{
    (void)state;
    static const char *const names[] = {"cpu", "far"};
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX / 2, ((size_t)1 << 40) - ((size_t)1 << 20)};
    for (int k = 0; k < 2; k++) {
        pha__device *device;
        OK(pha__device_open(&device, names[k], 1));
        void *first = pha__device_alloc(device, (size_t)1 << 22), *none = NULL;
        assert_non_null(first);
        for (int i = 0; i < (k ? 3 : 2); i++) {
            assert_null(pha__device_alloc(device, sizes[i]));
            none = pha__device_alloc(device, 0);
            assert_non_null(none);
            pha__device_free(device, none);
        }
        pha__device_free(device, first);
        pha__device_close(device);
    }
}

/* A step finds each part of the run block where its address says, on any device. */
static void test_run_block(void **state)
{
    (void)state;
    static const char *const names[] = {"cpu", "far"};
    static const int32_t ids[6] = {300, 2, 70000, 2, 1, 300}, next[6] = {2, 70000, 2, 1, 300, 7};
    static const int32_t sorted[6] = {4, 1, 3, 0, 5, 2};
    for (int k = 0; k < 2; k++) {
        pha__device *device;
        pha__run_block block;
        const pha__run *there;
        pha__run run;
        char *two[2] = {(char *)64, (char *)128}, *others[2] = {(char *)192, (char *)256}, *got[2];
        pha__states states;
        int32_t rows[6];
        OK(pha__device_open(&device, names[k], 1));
        OK(pha__run_block_open(&block, device, 2, 4, true));
        run = (pha__run){.tokens = ids, .targets = next, .step = 9};
        OK(pha__run_block_fill(&block, 2, 3, &run, &(pha__states){two, others, NULL}, &there, &states));
        OK(pha__download(device, &run, there, sizeof run));
        OK(pha__download(device, got, states.now, sizeof got));
        assert_memory_equal(got, two, sizeof two);
        OK(pha__download(device, got, states.before, sizeof got));
        assert_memory_equal(got, others, sizeof others);
        assert_null(states.again);
        assert_int_equal(run.step, 9);
        OK(pha__download(device, rows, run.tokens, sizeof rows));
        assert_memory_equal(rows, ids, sizeof ids);
        OK(pha__download(device, rows, run.targets, sizeof rows));
        assert_memory_equal(rows, next, sizeof next);
        OK(pha__download(device, rows, run.order, sizeof rows));
        assert_memory_equal(rows, sorted, sizeof sorted);
        pha__run_block_close(&block);
        pha__device_close(device);
    }
}

/* Repeating a run gives the same bits, and allocates nothing. */
static void test_again(void **state)
{
    (void)state;
    for (int i = 0; i < N_SOME; i++) {
        lab l, once;
        open_run(&once, some[i], (pha__program_options){0}, lab_device());
        open_run(&l, some[i], (pha__program_options){0}, lab_device());
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
            open_run(&exact, some[i], (pha__program_options){.recompute = recompute}, lab_device());
            open_run(&bigger, some[i], (pha__program_options){.B = 7, .T = 100, .recompute = recompute}, lab_device());
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
        open_run(&whole, some[i], (pha__program_options){0}, lab_device());
        open_run(&parts, some[i], (pha__program_options){0}, lab_device());
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
            pha__program_options o = {.B = 2, .T = T, .dtype = half ? PHA__BF16 : PHA__F32};
            lab_open(&l, &c, &o, PHA__HEAD_LOGITS, lab_device());
            lab_tokens(tokens, NULL, 2 * T, V, 0, 3);
            pha__run run = {.tokens = tokens};
            static float before[2 * T * V];
            OK(pha__exec_run(l.exec, 2, T, &run, NULL, false));
            memcpy(before, lab_output(&l, "logits", 2 * T), sizeof before);
            for (int j = T - 1; j >= 0; j -= 8) {
                tokens[T + j] ^= 0x55;
                OK(pha__exec_run(l.exec, 2, T, &run, NULL, false));
                const float *after = lab_output(&l, "logits", 2 * T);
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

/* ---- visits ---------------------------------------------------------------------------------------------- */

typedef struct visits {
    lab *l;
    int steps[PHA__RUN_PIECES - 1], n, seen;
    float *done; /* the gradients, as they were when they were said to be done */
} visits;

static pha_status look(void *self, int k)
{
    visits *v = self;
    const pha__program *p = v->l->program;
    assert_int_equal(k, v->seen++);
    for (int i = 0; i < p->n_params; i++) {
        int last = pha__last_addition(p, i);
        if (!pha__learned(p->params[i]) || last > v->steps[k] || (k && last <= v->steps[k - 1])) continue;
        memcpy(v->done + p->params[i]->offset, lab_grad(v->l, i), size_of(p->params[i]) * sizeof(float));
    }
    return PHA_OK;
}

/* Some of the steps that end a gradient, the last of them too. */
static void choose(visits *v)
{
    const pha__program *p = v->l->program;
    int ends = 0;
    bool *end = calloc((size_t)p->n_steps, sizeof *end);
    for (int i = 0; i < p->n_params; i++) {
        int last = pha__last_addition(p, i);
        assert_true(pha__learned(p->params[i]) == (last >= 0));
        if (last >= 0 && !end[last]) end[last] = true, ends++;
    }
    assert_true(ends > 4);
    for (int s = 0, left = ends; s < p->n_steps; s++)
        if (end[s] && (--left % (ends / 10 + 1) == 0)) v->steps[v->n++] = s;
    free(end);
}

/* Behind its last addition a gradient does not change; a run that is visited has the bits of one that is not. */
static void test_visits(void **state)
{
    (void)state;
    for (int i = 0; i < lab_n_variants; i++)
        for (int recompute = 0; recompute < 2; recompute++) {
            const char *name = lab_variants[i].name;
            lab plain, visited;
            open_run(&plain, name, (pha__program_options){.recompute = recompute}, lab_device());
            open_run(&visited, name, (pha__program_options){.recompute = recompute}, lab_device());
            visits v = {.l = &visited, .done = calloc((size_t)visited.program->trainable, sizeof(float))};
            choose(&v);
            pha__exec_visit(visited.exec, v.steps, v.n, look, &v);
            pha__run run = run_of(lab_tokens(tokens, targets, ROWS, V, 10, 1));
            OK(pha__exec_run(visited.exec, B, T, &run, NULL, false));
            assert_int_equal(v.seen, v.n);
            same_gradients(&visited, &plain, 0, name);
            for (int k = 0; k < visited.program->n_params; k++) {
                const pha__node *w = visited.program->params[k];
                if (pha__learned(w) && !lab_same(v.done + w->offset, lab_grad(&visited, k), size_of(w) * sizeof(float)))
                    fail_msg("%s: the gradient of %s changes behind its last addition", name, w->path);
            }
            v.seen = v.n = 0;
            pha__exec_visit(visited.exec, v.steps, 0, look, &v);
            OK(pha__exec_run(visited.exec, B, T, &run, NULL, false));
            assert_int_equal(v.seen, 0);
            free(v.done);
            lab_close(&visited);
            lab_close(&plain);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_planned_threads),
        cmocka_unit_test(test_planned_backend),
        cmocka_unit_test(test_failed_plan),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_run_block),
        cmocka_unit_test(test_again),
        cmocka_unit_test(test_smaller_runs),
        cmocka_unit_test(test_microbatches),
        cmocka_unit_test(test_causality),
        cmocka_unit_test(test_visits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
