/* tiny.h -- small untrained models for the tests of the runtime */
#ifndef TINY_H
#define TINY_H

#include <math.h>

#include "models/lab.h"
#include "runtime/model.h"
#include "support/root.h"

/* A fresh model of a variant of lab.c, opened, in the folder root/name; `tokenizer` as for pha_model_init. */
static inline pha_model *tiny_model(const char *name, const lab_variant *v, int vocab, const char *tokenizer)
{
    char config[400], folder[400];
    snprintf(config, sizeof config, "%s.json", in_root(name));
    snprintf(folder, sizeof folder, "%s", in_root(name));
    lab_write_config(config, v, vocab);
    OK(pha_model_init(config, 7, tokenizer, folder));
    pha_model *m;
    OK(pha_model_open(&m, folder));
    return m;
}

/* Logits (n, V) of a whole text at once, from a program without state. */
static inline float *tiny_logits(const pha_model *m, const int32_t *ids, int n)
{
    size_t size = (size_t)n * (size_t)m->weights.config.vocab_size;
    pha__program_options o = {.B = 1, .T = n, .no_fuse = true}; /* merging is among what is tested */
    pha__program *p;
    pha__exec *e;
    pha__pool *pool;
    float *out = pha__alloc(size, sizeof *out);
    OK(pha__pool_open(&pool, 2));
    OK(pha__record(&p, &m->weights.config, &o, PHA__HEAD_LOGITS));
    OK(pha__exec_over(&e, p, &m->weights, pool));
    OK(pha__exec_run(e, 1, n, &(pha__run){.tokens = ids}, NULL, false));
    memcpy(out, pha__exec_output(e, "logits"), size * sizeof *out);
    pha__exec_close(e);
    pha__program_close(p);
    pha__pool_close(pool);
    return out;
}

#endif
