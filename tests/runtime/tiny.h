/* tiny.h -- small untrained models for the tests of the runtime */
#ifndef TINY_H
#define TINY_H

#include <math.h>

#include "models/lab.h"
#include "runtime/infer/session.h"
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

/* What is used of a session's state, in fresh memory. */
static inline size_t tiny_used(const pha_session *s) { return pha__state_used(&s->engine->state, s->position); }

static inline char *tiny_state(const pha_session *s)
{
    char *out = pha__alloc(tiny_used(s) + 1, 1);
    OK(pha__state_download(&s->engine->state, s->engine->device, out, s->state, s->position));
    return out;
}

/* Logits (n, V) of a whole text at once, from a program without state. */
static inline float *tiny_logits(const pha_model *m, const int32_t *ids, int n)
{
    size_t size = (size_t)n * (size_t)m->config.vocab_size;
    pha__program_options o = {.B = 1, .T = n, .unfused = PHA__FUSE_ALL}; /* merging is among what is tested */
    pha__program *p;
    pha__exec *e;
    pha__device *device;
    float *out = pha__alloc(size, sizeof *out);
    OK(pha__device_open(&device, "cpu", 2));
    OK(pha__record(&p, &m->config, &o, PHA__HEAD_LOGITS));
    pha__store *store; /* rows as they lie in the file, not the format that products read best */
    OK(pha__store_open(&store, m->names, device));
    OK(pha__store_add(store, PHA__WORKING, PHA__ALL_PARAMS, PHA__F32));
    OK(pha__store_convert(store, PHA__WORKING, m->store, PHA__WEIGHT));
    OK(pha__exec_open(&e, p, store, device));
    OK(pha__exec_run(e, 1, n, &(pha__run){.tokens = ids}, NULL, false));
    OK(pha__exec_output(e, "logits", n, out));
    pha__exec_close(e);
    pha__program_close(p);
    pha__store_close(store);
    pha__device_close(device);
    return out;
}

#endif
