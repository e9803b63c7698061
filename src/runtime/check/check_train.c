/* check_train.c -- training of the narrow copy: broken off and resumed, and on other numbers of threads, to the bit */
#include <string.h>

#include "base/fs.h"
#include "runtime/check/check.h"

enum { STEPS = 4, BYTES = 6000 };

/* ---- data ------------------------------------------------------------------------------------------------- */

static pha_status write_text(const char *path, uint64_t seed)
{
    char text[BYTES];
    for (int i = 0; i < BYTES; i++) {
        double x = pha__check_random(&seed);
        text[i] = x < 0.15 ? ' ' : x < 0.18 ? '\n' : (char)('a' + (int)(26 * x * x));
    }
    return pha__write_file(path, text, sizeof text);
}

/* A data folder of bytes, once. */
static pha_status need_data(pha__check *c)
{
    if (c->data) return PHA_OK;
    char *train = pha__path_join(c->work, "train.txt"), *valid = pha__path_join(c->work, "valid.txt");
    char *data = pha__path_join(c->work, "data");
    pha_status status = train && valid && data ? PHA_OK : PHA_NO_MEMORY;
    if (!status) status = write_text(train, 1);
    if (!status) status = write_text(valid, 2);
    const char *inputs[] = {train}, *valids[] = {valid};
    pha_prepare_options o = {.inputs = inputs, .n_inputs = 1, .valid = valids, .n_valid = 1, .out = data,
                             .tokenizer = "bytes", .test_fraction = -1, .threads = c->o->threads};
    if (!status) status = pha_prepare(&o, NULL);
    pha__free(train);
    pha__free(valid);
    if (status) pha__free(data);
    else c->data = data;
    return status;
}

/* ---- runs ------------------------------------------------------------------------------------------------- */

static pha_train_options options(const pha__check *c, int threads)
{
    return (pha_train_options){.config = c->small_config, .data = c->data, .context = 33, .batch = 4, .micro_batch = 2,
                               .steps = STEPS, .lr = 1e-3, .dropout = 0.1, .seed = 7, .warmup = 1, .threads = threads};
}

/* Steps, then the weights as a model folder work/name; the losses of the last steps. */
static pha_status run_to(const pha__check *c, pha_trainer *t, int steps, const char *name, double *loss)
{
    pha_step step;
    for (int i = 0; i < steps; i++) {
        TRY(pha_trainer_step(t, &step));
        *loss = step.loss;
    }
    char *folder = pha__path_join(c->work, name);
    if (!folder) return PHA_NO_MEMORY;
    pha_status status = pha_trainer_save_model(t, folder);
    pha__free(folder);
    return status;
}

static pha_status train(pha__check *c, int threads, const char *name, double *loss)
{
    pha_trainer *t;
    TRY(need_data(c));
    pha_train_options o = options(c, threads);
    TRY(pha_trainer_open(&t, &o));
    pha_status status = run_to(c, t, STEPS, name, loss);
    pha_trainer_close(t);
    return status;
}

/* Half of the steps, a checkpoint; another trainer that goes on from it. */
static pha_status train_in_two(pha__check *c, const char *name, double *loss)
{
    pha_trainer *first, *second;
    char *folder = pha__path_join(c->work, "checkpoint");
    if (!folder) return PHA_NO_MEMORY;
    pha_train_options o = options(c, c->o->threads);
    pha_status status = pha_trainer_open(&first, &o);
    for (int i = 0; i < STEPS / 2 && !status; i++) status = pha_trainer_step(first, NULL);
    if (!status) status = pha_trainer_save(first, folder);
    pha_trainer_close(first);
    if (!status) status = pha_trainer_open(&second, &o);
    else second = NULL;
    if (!status) status = pha_trainer_load(second, folder);
    if (!status) status = run_to(c, second, STEPS / 2, name, loss);
    pha_trainer_close(second);
    pha__free(folder);
    return status;
}

/* Have two models of the work folder the same weights? */
static pha_status same_weights(const pha__check *c, const char *a, const char *b, bool *same)
{
    char *text[2] = {NULL, NULL}, path[64];
    size_t size[2] = {0, 0};
    pha_status status = PHA_OK;
    for (int i = 0; i < 2 && !status; i++) {
        pha__print(path, sizeof path, "%s/model.safetensors", i ? b : a);
        char *file = pha__path_join(c->work, path);
        status = file ? pha__read_file(&text[i], &size[i], file, (size_t)1 << 30) : PHA_NO_MEMORY;
        pha__free(file);
    }
    if (!status) *same = size[0] == size[1] && memcmp(text[0], text[1], size[0]) == 0;
    pha__free(text[0]);
    pha__free(text[1]);
    return status;
}

pha_status pha__try_resume(pha__check *c, pha__finding *f)
{
    double loss[2];
    bool same;
    TRY(train(c, c->o->threads, "whole", &loss[0]));
    TRY(train_in_two(c, "resumed", &loss[1]));
    TRY(same_weights(c, "whole", "resumed", &same));
    if (!same || loss[0] != loss[1])
        pha__check_same(f, false, "a run that is broken off after %d of %d steps ends otherwise", STEPS / 2, STEPS);
    else
        pha__check_same(f, true, "%d steps, and %d, a checkpoint and %d more", STEPS, STEPS / 2, STEPS / 2);
    return PHA_OK;
}

pha_status pha__try_training_threads(pha__check *c, pha__finding *f)
{
    static const char *const names[] = {"one", "two", "three"};
    double loss[3];
    for (int i = 0; i < 3; i++) {
        bool same = true;
        TRY(train(c, i + 1, names[i], &loss[i]));
        if (i) TRY(same_weights(c, names[0], names[i], &same));
        if (same && loss[i] == loss[0]) continue;
        pha__check_same(f, false, "training on %d threads ends otherwise than on one", i + 1);
        return PHA_OK;
    }
    pha__check_same(f, true, "%d steps on 1, 2 and 3 threads", STEPS);
    return PHA_OK;
}
