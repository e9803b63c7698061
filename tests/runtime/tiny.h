/* tiny.h -- small untrained models for the tests of the runtime */
#ifndef TINY_H
#define TINY_H

#include <math.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "runtime/model.h"
#include "support/check.h"

static char tiny_folder[256];

static inline int tiny_setup(void **state)
{
    (void)state;
    check_folder(tiny_folder);
    return 0;
}

static inline int tiny_teardown(void **state)
{
    (void)state;
    return pha__remove_tree(tiny_folder);
}

/* Opens a fresh model of the tiny sizes; `arch` and more keys as JSON (", \"window\": 7" or ""). With "branches" among
 * them, the sizes of the others are left out. */
static inline pha_model *tiny_model(const char *name, const char *arch, const char *keys, int vocab,
                                    const char *tokenizer)
{
    char config[600], path[400], folder[400];
    bool all = !strstr(keys, "\"branches\"");
    snprintf(config, sizeof config,
             "{\"arch\": \"%s\", \"vocab_size\": %d, \"d_model\": 64, \"n_layer\": 2, \"d_ffn\": 128%s%s%s%s}", arch,
             vocab, all || strstr(keys, "\"attn\"") ? ", \"n_head\": 4, \"n_kv_head\": 2" : "",
             all || strstr(keys, "\"gss\"") ? ", \"d_state\": 160" : "",
             !strcmp(arch, "pha") && (all || strstr(keys, "\"aux\"")) ? ", \"d_aux\": 64" : "", keys);
    snprintf(path, sizeof path, "%s/%s.json", tiny_folder, name);
    snprintf(folder, sizeof folder, "%s/%s", tiny_folder, name);
    OK(pha__write_file(path, config, strlen(config)));
    OK(pha_model_init(path, 7, tokenizer, folder));
    pha_model *m;
    OK(pha_model_open(&m, folder));
    return m;
}

static inline void tiny_ids(int32_t *ids, size_t n, int32_t V, uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t counter[4] = {(uint32_t)i, 1, 2, 99}, x[4];
        pha__philox(seed, counter, x);
        ids[i] = (int32_t)(x[0] % (uint32_t)V);
    }
}

/* Logits (n, V) of a whole text at once, from a program without state. */
static inline float *tiny_logits(const pha_model *m, const int32_t *ids, int n)
{
    size_t size = (size_t)n * (size_t)m->config.vocab_size;
    pha__program_options o = {.B = 1, .T = n, .no_fuse = true}; /* merging is among what is tested */
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

/* Relative error in the 2-norm; what is not finite is infinitely wrong. */
static inline double tiny_error(const float *x, const float *ref, size_t n)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) return INFINITY;
        difference += ((double)x[i] - ref[i]) * ((double)x[i] - ref[i]), norm += (double)ref[i] * ref[i];
    }
    return sqrt(difference / norm);
}

#endif
