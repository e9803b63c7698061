/* test_taught.c -- the program that teaches Hedgehog's maps (models/hedgehog.c) against its reference in double, and
 * what of it learns */
#include <math.h>

#include "models/lab.h"
#include "models/reference.h"
#include "ops/distill/distill.h"

enum { B = 2, T = 70, ROWS = B * T, MAPS = 4, LAYERS = 2 };

static int32_t tokens[ROWS], targets[ROWS];

static void make_config(pha__config *c) { lab_config(c, lab_find("hedgehog")); }

static bool is_map(const char *path) { return strstr(path, ".attn.map_q") || strstr(path, ".attn.map_k"); }

static pha__run a_run(const pha__config *c)
{
    lab_tokens(tokens, targets, ROWS, c->vocab_size, 0, 5);
    return (pha__run){.tokens = tokens, .loss_scale = 1.0f / ROWS, .seed = 3};
}

static void open_taught(lab *l, const pha__model_row *row, bool gradients, unsigned unfused)
{
    pha__config c;
    make_config(&c);
    pha__program_options o = {.B = B, .T = T, .gradients = gradients, .unfused = unfused};
    *l = (lab){0};
    OK(pha__program_open(&l->program, &o));
    OK(pha__lm_record_as(l->program, row, &c, PHA__HEAD_LOSS));
    lab_bind(l, lab_device());
}

static pha__reference *open_reference(pha__program **p, const pha__model_row *row, const lab *l, const pha__run *run)
{
    pha__config c;
    make_config(&c);
    pha__program_options o = {.B = B, .T = T, .unfused = PHA__FUSE_ALL};
    OK(pha__program_open(p, &o));
    OK(pha__lm_record_as(*p, row, &c, PHA__HEAD_LOSS));
    pha__reference *r = pha__reference_open(*p, B, T, run);
    assert_non_null(r);
    for (int i = 0; i < (*p)->n_params; i++) {
        const pha__node *v = (*p)->params[i];
        const float *from = lab_weight(l, pha__find_param(l->program, v->path)->index);
        for (int64_t k = 0; k < (int64_t)v->rows * v->width; k++) pha__reference_param(r, i)[k] = from[k];
    }
    pha__reference_forward(r, 0);
    pha__reference_backward(r);
    return r;
}

static void same_gradient(const lab *l, const pha__reference *r, const pha__node *v)
{
    const double *ref = pha__reference_grad(r, v->index);
    const float *x = lab_grad(l, v->index);
    double squares = 0, error = 0;
    for (int64_t k = 0; k < (int64_t)v->rows * v->width; k++)
        squares += ref[k] * ref[k], error += (x[k] - ref[k]) * (x[k] - ref[k]);
    if (!(sqrt(error) <= 1e-4 * sqrt(squares) + 1e-9))
        fail_msg("%s: the gradient of length %g is off by %g", v->path, sqrt(squares), sqrt(error));
}

/* Where everything may learn: the gradients of all parameters, and none through the weights of the teacher. */
static void test_gradients(void **state)
{
    (void)state;
    pha__model_row row = pha__model_taught_hedgehog;
    pha__program *plain;
    pha__config c;
    lab l;
    make_config(&c);
    row.frozen = NULL;
    pha__run run = a_run(&c);
    open_taught(&l, &row, true, PHA__FUSE_ALL); /* what has no gradient is apart from what has one */
    pha__reference *r = open_reference(&plain, &row, &l, &run);
    OK(pha__exec_run(l.exec, B, T, &run, NULL, false));
    int with = 0;
    for (int i = 0; i < l.program->n_params; i++) {
        same_gradient(&l, r, l.program->params[i]);
        with += pha__reference_grad(r, i)[0] != 0;
    }
    assert_true(with > 12); /* those of the end of the model, say, have none */
    for (int layer = 0; layer < c.n_layer; layer++) {
        char name[24];
        snprintf(name, sizeof name, "layer%d", layer);
        const double *ref = pha__reference_output(r, name);
        const float *out = lab_output(&l, name, ROWS);
        for (int k = 0; k < 2 * ROWS; k++) assert_true(fabs(out[k] - ref[k]) < 1e-4);
    }
    pha__reference_close(r);
    pha__program_close(plain);
    lab_close(&l);
}

/* As it is used: the maps alone learn, all else is frozen. */
static void test_frozen(void **state)
{
    (void)state;
    lab l;
    int maps = 0;
    open_taught(&l, &pha__model_taught_hedgehog, true, 0);
    for (int i = 0; i < l.program->n_params; i++) {
        const pha__node *v = l.program->params[i];
        if (pha__learned(v) != is_map(v->path)) fail_msg("%s %s", v->path, pha__learned(v) ? "learns" : "is frozen");
        maps += is_map(v->path);
    }
    assert_int_equal(maps, MAPS);
    assert_int_equal(l.program->n_outputs, LAYERS);
    for (int i = 0; i < LAYERS; i++) { /* the mean of the layers, to the op and to whoever adds its results */
        const pha__distill_attr *attr = l.program->outputs[i].value->attr;
        assert_true(l.program->outputs[i].loss && l.program->outputs[i].weight == 1.0 / LAYERS);
        assert_true(attr->weight == 1.0f / LAYERS && attr->scale == 0.25f);
    }
    for (int i = 0; i < l.program->n_steps; i++) {
        const pha__plan_step *s = &l.program->steps[i];
        if (s->pass != PHA__BACKWARD) continue;
        assert_true(!strcmp(s->node->op->name, "distill") || !strcmp(s->node->op->name, "hedgehog"));
        if (!strcmp(s->node->op->name, "distill")) assert_true(!s->d_in[0].kind && !s->d_in[1].kind);
    }
    lab_close(&l);
}

/* The parameters are those of the model that is taught, so that a file of one is a file of the other. */
static void test_names(void **state)
{
    (void)state;
    pha__config c;
    pha__program *model;
    lab l;
    make_config(&c);
    open_taught(&l, &pha__model_taught_hedgehog, false, 0);
    pha__program_options o = {.B = 1, .T = 1};
    OK(pha__program_open(&model, &o));
    OK(pha__lm_record(model, &c, PHA__HEAD_NONE));
    assert_int_equal(model->n_params, l.program->n_params);
    for (int i = 0; i < model->n_params; i++) {
        const pha__node *a = model->params[i], *b = l.program->params[i];
        assert_string_equal(a->path, b->path);
        assert_true(a->rows == b->rows && a->width == b->width && a->kind == b->kind);
    }
    pha__program_close(model);
    lab_close(&l);
}

/* Sessions have no state of it. */
static void test_no_sessions(void **state)
{
    (void)state;
    pha__config c;
    pha__program *p;
    make_config(&c);
    pha__program_options o = {.B = 1, .T = 8, .max_context = 8};
    OK(pha__program_open(&p, &o));
    FAILS(BAD_INPUT, "distill has no state", pha__lm_record_as(p, &pha__model_taught_hedgehog, &c, PHA__HEAD_LOSS));
    pha__program_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients), cmocka_unit_test(test_frozen),
                                       cmocka_unit_test(test_names), cmocka_unit_test(test_no_sessions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
