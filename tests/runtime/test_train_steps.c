/* test_train_steps.c -- ten steps of training against the same ten steps in double
 *
 * The reference is written from the specification, not from the trainer: the whole batch at once (no microbatches), the
 * windows of the stream in the order of the permutation (pha.md 6), masks by counter (numerics.md 5), the mean loss and
 * its gradient from the references of the ops, the global norm and the clip (algorithms.md 8), the rate, and decoupled
 * AdamW with its groups (pha.md 6). Its weights are its own from the first step on; loss, norm, rate and the way that
 * every tensor has gone since the start are compared after every step. PHA_TEST_VERBOSE=1 prints the errors.
 *
 * An update is nearly the sign of a gradient where this is large against eps, so that rounding may turn the smallest
 * ones around; the runs with a large eps are smooth and held to tight limits, one has the usual eps.
 */
#include "base/rng.h"
#include "models/reference.h"
#include "training.h"

static char small_data[300], sequential[300];

enum { STEPS = 10, MAX_PARAMS = 64 };

typedef struct limits {
    double loss, norm, way; /* relative; way: E2 of a tensor's movement since the start */
} limits;

typedef struct course {
    const char *name, *config;
    void (*change)(pha_train_options *o);
    limits limit;
} course;

typedef struct reference {
    const pha_train_options *o; /* every number given, none left to a default */
    pha__program *program;
    pha__reference *model;
    pha__tokens *data;
    pha__run run;
    int32_t *ids, *targets;
    double *start[MAX_PARAMS], *m[MAX_PARAMS], *v[MAX_PARAMS]; /* weights before training, moments */
    double loss, norm, lr;
} reference;

static size_t size_of(const pha__node *w) { return (size_t)w->rows * (size_t)w->width; }

/* ---- the trainer's weights, from a model folder ---- */

static pha__safetensors *saved_weights(pha_trainer *t)
{
    char path[400];
    pha__safetensors *file;
    OK(pha_trainer_save_model(t, in_root("weights")));
    snprintf(path, sizeof path, "%s/model.safetensors", in_root("weights"));
    OK(pha__safetensors_open(&file, path));
    return file;
}

static const float *tensor_of(const pha__safetensors *file, const pha__node *w)
{
    const pha__tensor *x = pha__safetensors_find(file, w->path);
    if (!x) fail_msg("no tensor %s", w->path);
    assert_true(x->dtype == PHA__F32 && x->size == size_of(w) * sizeof(float));
    return x->data;
}

/* ---- the reference ---- */

static void open_reference(reference *r, const pha_train_options *o, pha_trainer *t)
{
    pha__config c;
    pha__config_rules rules = pha__rules();
    *r = (reference){.o = o};
    OK(pha__tokens_open(&r->data, o->data, "train", false));
    OK(pha__config_load(&c, o->config, &rules));
    c.vocab_size = pha__tokens_vocab(r->data), c.dropout = o->dropout, c.attn_dropout = o->attn_dropout;
    pha__program_options options = {.B = o->batch, .T = o->context, .unfused = PHA__FUSE_ALL};
    OK(pha__program_open(&r->program, &options));
    OK(pha__lm_record(r->program, &c, PHA__HEAD_LOSS));
    size_t rows = (size_t)o->batch * (size_t)o->context;
    r->ids = calloc(rows, sizeof *r->ids), r->targets = calloc(rows, sizeof *r->targets);
    bool dropout = o->dropout > 0 || o->attn_dropout > 0;
    r->run = (pha__run){.tokens = r->ids, .targets = r->targets, .dropout = dropout, .seed = o->seed,
                        .loss_scale = 1.0f / (float)rows};
    r->model = pha__reference_open(r->program, o->batch, o->context, &r->run);
    assert_true(r->ids && r->targets && r->model && r->program->n_params <= MAX_PARAMS);
    pha__safetensors *file = saved_weights(t);
    for (int i = 0; i < r->program->n_params; i++) {
        const pha__node *w = r->program->params[i];
        const float *from = tensor_of(file, w);
        r->start[i] = calloc(size_of(w), sizeof(double));
        r->m[i] = calloc(size_of(w), sizeof(double)), r->v[i] = calloc(size_of(w), sizeof(double));
        for (size_t k = 0; k < size_of(w); k++) r->start[i][k] = pha__reference_param(r->model, i)[k] = from[k];
    }
    pha__safetensors_close(file);
}

static void close_reference(reference *r)
{
    for (int i = 0; i < r->program->n_params; i++) free(r->start[i]), free(r->m[i]), free(r->v[i]);
    free(r->ids), free(r->targets);
    pha__reference_close(r->model);
    pha__program_close(r->program);
    pha__tokens_close(r->data);
}

/* Sequence n is window permutation(n) of the pass that it falls into; a target is the token that follows. The first
 * pass begins with the stream's first token, the second ends with its last. */
static void read_batch(reference *r, int step)
{
    uint64_t T = (uint64_t)r->o->context, targets = pha__tokens_count(r->data) - 1, windows = targets / T;
    for (int i = 0; i < r->o->batch; i++) {
        uint64_t n = (uint64_t)step * (uint64_t)r->o->batch + (uint64_t)i, pass = n / windows;
        assert_true(pass < 2 && targets % T > 0);
        uint64_t window = pha__permute(n % windows, windows, r->o->seed, (uint32_t)pass);
        uint64_t begin = window * T + (pass ? targets % T : 0);
        OK(pha__tokens_read(r->data, begin, T, r->ids + (uint64_t)i * T));
        OK(pha__tokens_read(r->data, begin + 1, T, r->targets + (uint64_t)i * T));
    }
}

/* Update `step`, from 0: warm-up that reaches the peak with its last update; then cosine, of which the last
 * update has the given part of the peak. */
static double rate_of(const pha_train_options *o, int step)
{
    if (step < o->warmup) return o->lr * (step + 1) / (double)o->warmup;
    if (o->schedule != PHA_SCHEDULE_COSINE) return o->lr;
    double way = (double)(step - o->warmup + 1) / (double)(o->steps - o->warmup);
    return o->lr * (o->lr_min_ratio + (1 - o->lr_min_ratio) * (1 + cos(acos(-1) * way)) / 2);
}

/* Matrices decay; gains, mixing scalars, scales, rates and biases do not (pha.md 6). */
static bool decays(const char *path)
{
    static const char *const vectors[] = {"norm", "attn_norm", "gss_norm", "aux_norm", "ffn_norm", "attn_out_norm",
                                          "gss_out_norm", "mix", "tau", "theta", "bias"};
    const char *name = strrchr(path, '.') ? strrchr(path, '.') + 1 : path;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        if (!strcmp(name, vectors[i])) return false;
    return true;
}

static void update(const reference *r, int i, int step, double scale)
{
    const pha_train_options *o = r->o;
    const pha__node *w = r->program->params[i];
    double *p = pha__reference_param(r->model, i), *m = r->m[i], *v = r->v[i];
    const double *grad = pha__reference_grad(r->model, i);
    double decay = decays(w->path) || o->decay_all ? o->weight_decay : 0;
    for (size_t k = 0; k < size_of(w); k++) {
        double g = scale * grad[k];
        m[k] = o->beta1 * m[k] + (1 - o->beta1) * g;
        v[k] = o->beta2 * v[k] + (1 - o->beta2) * g * g;
        double mean = m[k] / (1 - pow(o->beta1, step + 1)), square = v[k] / (1 - pow(o->beta2, step + 1));
        p[k] -= r->lr * decay * p[k];
        p[k] -= r->lr * mean / (sqrt(square) + o->eps);
    }
}

static void reference_step(reference *r, int step)
{
    double size, squares = 0;
    read_batch(r, step);
    r->run.step = (uint64_t)step;
    pha__reference_forward(r->model, 0);
    pha__reference_backward(r->model);
    r->loss = pha__reference_loss(r->model, &size);
    for (int i = 0; i < r->program->n_params; i++)
        for (size_t k = 0; k < size_of(r->program->params[i]); k++)
            squares += pow(pha__reference_grad(r->model, i)[k], 2);
    r->norm = sqrt(squares), r->lr = rate_of(r->o, step);
    double scale = r->o->clip > 0 ? fmin(1, r->o->clip / (r->norm + 1e-6)) : 1;
    for (int i = 0; i < r->program->n_params; i++) update(r, i, step, scale);
}

/* ---- the comparison ---- */

static void check_number(const course *c, int step, const char *what, double got, double want, double limit)
{
    if (getenv("PHA_TEST_VERBOSE")) print_message("step %d: %s %.9g, off by %.1e\n", step, what, got, got / want - 1);
    if (!(fabs(got - want) <= limit * fabs(want)))
        fail_msg("%s, step %d: %s is %.9g, not %.9g", c->name, step, what, got, want);
}

static void check_weights(const course *c, const reference *r, pha_trainer *t, int step)
{
    double worst = 0;
    pha__safetensors *file = saved_weights(t);
    for (int i = 0; i < r->program->n_params; i++) {
        const pha__node *w = r->program->params[i];
        const float *x = tensor_of(file, w);
        const double *p = pha__reference_param(r->model, i);
        double error = 0, way = 0;
        for (size_t k = 0; k < size_of(w); k++) {
            double rounding = (step + 1) * 0x1p-23 * fabs(p[k]); /* a weight is rounded twice in an update */
            error += pow(fmax(fabs(x[k] - p[k]) - rounding, 0), 2);
            way += pow(p[k] - r->start[i][k], 2);
        }
        double e2 = sqrt(error / way);
        if (!(e2 <= c->limit.way)) fail_msg("%s, step %d: %s went another way: E2 %.2e", c->name, step, w->path, e2);
        worst = fmax(worst, e2);
    }
    if (getenv("PHA_TEST_VERBOSE")) print_message("step %d: weights off by at most %.1e of their way\n", step, worst);
    pha__safetensors_close(file);
}

static void check_course(const course *c)
{
    pha_train_options o = options();
    o.config = c->config, o.data = small_data;
    o.batch = 6, o.micro_batch = 2, o.context = 21, o.steps = STEPS, o.warmup = 4, o.lr = 1e-2, o.lr_min_ratio = 0.2;
    o.beta1 = 0.8, o.beta2 = 0.95, o.eps = 1e-3, o.weight_decay = 0.3, o.clip = 0.5, o.schedule = PHA_SCHEDULE_COSINE;
    if (c->change) c->change(&o);
    pha_trainer *t = open_trainer(&o);
    reference r;
    open_reference(&r, &o, t);
    uint64_t windows = (pha__tokens_count(r.data) - 1) / (uint64_t)o.context;
    assert_in_range(windows, 7, STEPS * 6 - 7); /* the run goes on into a second pass */
    for (int i = 0; i < STEPS; i++) {
        pha_step s;
        reference_step(&r, i);
        OK(pha_trainer_step(t, &s));
        assert_true(s.step == i + 1 && s.tokens == o.batch * o.context && !s.skipped);
        check_number(c, i, "the loss", s.loss, r.loss, c->limit.loss);
        check_number(c, i, "the gradient's norm", s.gradient_norm, r.norm, c->limit.norm);
        check_number(c, i, "the rate", s.lr, r.lr, 1e-12);
        if (o.clip > 0 && o.clip < 1) assert_true(r.norm > 1.2 * o.clip); /* it does bite */
        check_weights(c, &r, t, i);
    }
    close_reference(&r);
    pha_trainer_close(t);
}

static void no_bite(pha_train_options *o) { o->clip = 10; } /* a clip shrinks gradients and never stretches them */

static void usual_eps(pha_train_options *o) { o->eps = 1e-8, o->beta1 = 0.9, o->beta2 = 0.999, o->clip = 1; }

static void all_decay(pha_train_options *o)
{
    o->decay_all = true, o->clip = -1, o->schedule = PHA_SCHEDULE_CONSTANT, o->micro_batch = 6, o->seed = 123456789012;
}

static void half(pha_train_options *o) { o->precision = PHA_BF16; }

static void test_steps(void **state)
{
    (void)state;
    const course courses[] = {
        {"pha", config, NULL, {1e-6, 1e-5, 1e-4}},
        {"sequential", sequential, no_bite, {1e-6, 1e-5, 1e-4}},
        {"everything decays, nothing is clipped", config, all_decay, {1e-6, 1e-5, 1e-4}},
        {"the usual eps", config, usual_eps, {2e-5, 1e-4, 1e-3}},
        {"bf16", config, half, {1e-3, 1e-2, 0.3}},
    };
    for (size_t i = 0; i < sizeof courses / sizeof *courses; i++) {
        if (getenv("PHA_TEST_VERBOSE")) print_message("---- %s\n", courses[i].name);
        check_course(&courses[i]);
    }
}

static int set_up_small(void **state)
{
    int failed = set_up(state);
    snprintf(small_data, sizeof small_data, "%s/small", root);
    snprintf(sequential, sizeof sequential, "%s/sequential.json", root);
    prepare_text(small_data, 45);
    lab_write_config(sequential, &(lab_variant){"sequential", "seq", training_sizes}, 0);
    return failed;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps)};
    return cmocka_run_group_tests(tests, set_up_small, root_teardown);
}
