/* engine.h -- what sessions share: a device, working copies of the weights, programs and their executors
 *
 * The same model is recorded three times over one layout of state. Runs of one engine come one after another, under its
 * lock. An engine lives until it has been closed and its last session too.
 */
#ifndef PHA__ENGINE_H
#define PHA__ENGINE_H

#include <pthread.h>

#include "base/threads.h"
#include "runtime/infer/prefix.h"
#include "runtime/infer/state.h"
#include "runtime/model.h"

typedef enum pha__reading {
    PHA__CHUNK, /* (1, chunk): reads, no head */
    PHA__STEP,  /* (batch, 1) with logits */
    PHA__SCORE, /* (1, min(chunk, 64)) with logits of all; opened when it is first wanted */
    PHA__READINGS
} pha__reading;

struct pha_engine {
    const pha_model *model;
    pha__device *device;
    pha__weights weights;
    pha__program *program[PHA__READINGS];
    pha__exec *exec[PHA__READINGS];
    pha__state state;     /* the layout of a session's state, that of all programs */
    uint64_t fingerprint; /* of the model */
    int64_t max_context, longest; /* no text of the model is longer than `longest`, so max_context isn't either */
    int32_t chunk, batch;
    pha__dtype cache;     /* of keys and values */
    int threads;          /* as asked for */
    bool rolling;         /* no layer looks back further than its ring or knows only so many places: the text may be
                             longer than max_context */

    pthread_mutex_t lock; /* of everything below, and of all use of the device */
    int users;            /* sessions, and the caller until it closes the engine */
    int32_t *ids;         /* (batch): of a step */
    char **states;        /* (batch) */
    float *logits;        /* (batch, V) */
    pha__prefix *prefix;  /* texts that have been read; NULL: none are kept */
    pha__pool *pool;      /* of draws; opened when some are wanted */
    struct pha__choice *work; /* (threads, V) */
};

/* Opens the executor of a reading if it isn't yet; under the lock. */
pha_status pha__engine_reading(pha_engine *e, pha__reading which);

void pha__engine_keep(pha_engine *e);    /* one more user */
void pha__engine_release(pha_engine *e); /* one less; the last one frees it */

#endif
