/* training.h -- a small corpus, a small configuration and options for the tests of training */
#ifndef TRAINING_H
#define TRAINING_H

#include <math.h>

#include "base/json.h"
#include "base/log.h"
#include "models/lab.h"
#include "runtime/train/trainer.h"
#include "support/root.h"

static char data[300], config[300];

/* Sentences of a tiny grammar: something that can be learned in a few steps. */
static inline void write_text(const char *path, int sentences)
{
    static const char *const who[] = {"the cat", "a dog", "my old friend", "the river"};
    static const char *const does[] = {"sees", "follows", "forgets", "carries"};
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    unsigned x = 1;
    for (int i = 0; i < sentences; i++) {
        x = x * 1664525u + 1013904223u;
        fprintf(f, "%s %s %s.\n", who[x >> 8 & 3], does[x >> 12 & 3], who[x >> 16 & 3]);
    }
    fclose(f);
}

/* A data folder of so many sentences, a byte a token. */
static inline void prepare_text(const char *folder, int sentences)
{
    write_text(in_root("text.txt"), sentences);
    const char *inputs[] = {in_root("text.txt")};
    pha_prepare_options o = {.inputs = inputs, .n_inputs = 1, .out = folder, .tokenizer = "bytes",
                             .valid_fraction = 0.1, .test_fraction = -1};
    pha_prepare_result result;
    OK(pha_prepare(&o, &result));
}

/* Smaller than the tiny preset, since runs are many. */
static const char training_sizes[] = "\"d_model\": 32, \"d_state\": 32, \"d_ffn\": 48, \"d_aux\": 32";

static inline int set_up(void **state)
{
    root_setup(state);
    snprintf(data, sizeof data, "%s/data", root);
    snprintf(config, sizeof config, "%s/config.json", root);
    prepare_text(data, 1500);
    lab_write_config(config, &(lab_variant){"training", "pha", training_sizes}, 0);
    return 0;
}

static inline pha_train_options options(void)
{
    return (pha_train_options){.config = config,
                               .data = data,
                               .context = 33,
                               .batch = 4,
                               .micro_batch = 2,
                               .steps = 20,
                               .lr = 3e-3,
                               .dropout = 0.1,
                               .attn_dropout = 0.05,
                               .seed = 7,
                               .threads = 2,
                               .warmup = 3};
}

static inline pha_trainer *open_trainer(const pha_train_options *o)
{
    pha_trainer *t;
    OK(pha_trainer_open(&t, o));
    return t;
}

/* The numbers of a role, in fresh memory; *n of them. */
static inline float *numbers(const pha_trainer *t, pha__role role, size_t *n)
{
    float *out = calloc((size_t)t->program->weights, sizeof *out);
    *n = 0;
    for (int i = 0; i < t->program->n_params; i++) {
        if (!pha__store_at(t->store, role, i).data || t->program->params[i]->kind == PHA__CONSTANT) continue;
        OK(pha__store_copy_out(t->store, role, i, out + *n));
        *n += (size_t)pha__param_size(t->program, i);
    }
    return out;
}

/* Weights and moments, bit for bit. */
static inline void same_training(const pha_trainer *a, const pha_trainer *b)
{
    static const pha__role roles[] = {PHA__WEIGHT, PHA__MOMENT_1, PHA__MOMENT_2};
    for (int r = 0; r < 3; r++) {
        size_t n, m;
        float *x = numbers(a, roles[r], &n), *y = numbers(b, roles[r], &m);
        assert_true(n == m && n > 10000);
        assert_memory_equal(x, y, n * sizeof *x);
        free(x);
        free(y);
    }
}

static inline void steps(pha_trainer *t, int n)
{
    for (int i = 0; i < n; i++) OK(pha_trainer_step(t, NULL));
}

#endif
