/* training.h -- a small corpus, a small configuration and options for the tests of training */
#ifndef TRAINING_H
#define TRAINING_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "runtime/train/trainer.h"
#include "support/check.h"

static char root[] = "/tmp/pha-train-XXXXXX";
static char data[64], config[64];

static inline const char *in_root(const char *name)
{
    static char path[4][128];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", root, name);
    return out;
}

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

static inline int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(root));
    snprintf(data, sizeof data, "%s/data", root);
    snprintf(config, sizeof config, "%s/config.json", root);
    write_text(in_root("text.txt"), 1500);
    static const char json[] =
        "{\"arch\":\"pha\",\"d_model\":32,\"n_layer\":2,\"n_head\":4,\"n_kv_head\":2,\"d_state\":32,"
        "\"d_ffn\":48,\"d_aux\":32}";
    OK(pha__write_file(config, json, sizeof json - 1));
    const char *inputs[] = {in_root("text.txt")};
    pha_prepare_options o = {
        .inputs = inputs, .n_inputs = 1, .out = data, .tokenizer = "bytes", .valid_fraction = 0.1, .test_fraction = -1};
    pha_prepare_result result;
    OK(pha_prepare(&o, &result));
    assert_true(result.train.tokens > 10000);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    OK(pha__remove_tree(root));
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
        if (t->program->params[i]->kind == PHA__CONSTANT) continue;
        OK(pha__store_copy_out(t->store, role, i, out + *n));
        *n += (size_t)pha__param_size(t->program, i);
    }
    return out;
}

static inline void steps(pha_trainer *t, int n)
{
    for (int i = 0; i < n; i++) OK(pha_trainer_step(t, NULL));
}

#endif
