/* engine.c -- opening and closing an engine; a step of many sessions */
#include "runtime/infer/engine.h"

#include <inttypes.h>
#include <string.h>

#include "base/hash.h"
#include "base/print.h"

#include "runtime/infer/session.h"

enum { MOST_CHUNK = 65536, MOST_BATCH = 4096, SCORE = 64 };
static const int64_t MOST_CONTEXT = (int64_t)1 << 40;

/* ---- opening --------------------------------------------------------------------------------------------- */

static int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }
static int64_t within(int64_t n, int64_t most) { return n < most ? n : most; }

static pha_status record(pha_engine *e, pha__reading which)
{
    static const pha__head heads[] = {PHA__HEAD_NONE, PHA__HEAD_LOGITS, PHA__HEAD_LOGITS};
    const int32_t lengths[] = {e->chunk, 1, least(e->chunk, SCORE)};
    pha__program_options o = {.B = which == PHA__STEP ? e->batch : 1,
                              .T = lengths[which],
                              .max_context = e->max_context,
                              .dtype = PHA__F32,
                              .cache = e->cache};
    TRY(pha__record(&e->program[which], &e->model->config, &o, heads[which]));
    if (e->state.part && e->program[which]->state != e->state.bytes)
        FAIL(FAILED, "the programs of an engine disagree on the state: %zu and %zu bytes", e->state.bytes,
             e->program[which]->state);
    return PHA_OK;
}

pha_status pha__engine_reading(pha_engine *e, pha__reading which)
{
    if (e->exec[which]) return PHA_OK;
    pha__program_close(e->program[which]); /* of an attempt that ran out of memory */
    e->program[which] = NULL;
    TRY(record(e, which));
    return pha__exec_open(&e->exec[which], e->program[which], e->weights.store, e->device);
}

/* What is kept of texts outlives the process: with the names of everything on which its bits depend. */
static pha_status open_texts(pha_engine *e, const pha_engine_options *o)
{
    char bits[512];
    pha__device_info device;
    e->device->backend->info(e->device, &device);
    pha__print(bits, sizeof bits, "pha %s, kernels %d on %s (%s %s), model %016" PRIx64 ", caches %d", pha_version(),
               PHA__KERNELS, e->device->backend->name, device.name, device.version, e->fingerprint, (int)e->cache);
    return pha__prefix_open(&e->prefix, &e->state,
                            &(pha__prefix_options){.bytes = o->state_ram, .folder = o->state_disk,
                                                   .disk = o->state_disk_bytes, .bits = bits});
}

static pha_status open_parts(pha_engine *e, const pha_engine_options *o)
{
    TRY(pha__device_open(&e->device, o->device, o->threads));
    if (e->cache != PHA__F32 && e->device->backend->matrices != PHA__F32_PANEL)
        FAIL(NO_DEVICE, "%s: keeps keys and values in fp32 only", e->device->backend->name);
    TRY(pha__model_verify(e->model));
    TRY(pha__model_fingerprint(&e->fingerprint, e->model));
    TRY(pha__weights_place(&e->weights, &e->model->config, e->model->store, e->device, PHA__F32,
                           o->weights));
    if (!pha__weights_exact(&e->weights, e->model->store))
        e->fingerprint = pha__hash(&o->weights, sizeof o->weights, e->fingerprint);
    TRY(pha__engine_reading(e, PHA__CHUNK));
    TRY(pha__state_measure(&e->state, e->program[PHA__CHUNK]));
    TRY(pha__engine_reading(e, PHA__STEP));
    if (o->state_ram) TRY(open_texts(e, o));
    e->rolling = e->longest == INT64_MAX && pha__state_rolls(&e->state);
    size_t n = (size_t)e->batch, V = (size_t)e->model->config.vocab_size;
    e->ids = pha__alloc(n, sizeof *e->ids);
    e->states = pha__alloc(n, sizeof *e->states);
    e->logits = pha__alloc(n * V, sizeof *e->logits);
    return e->ids && e->states && e->logits ? PHA_OK : PHA_NO_MEMORY;
}

static pha_status check_options(const pha_engine_options *o)
{
    if (o->max_context < 0 || o->max_context > MOST_CONTEXT)
        FAIL(USAGE, "max_context is %" PRId64 ", not in 1 to %" PRId64, o->max_context, MOST_CONTEXT);
    if (o->chunk < 0 || o->chunk > MOST_CHUNK) FAIL(USAGE, "chunk is %d, not in 1 to %d", o->chunk, MOST_CHUNK);
    TRY(pha__weights_check(o->weights));
    if (o->state_ram > (uint64_t)1 << 48) FAIL(USAGE, "state_ram is %" PRIu64 ", beyond 2^48", o->state_ram);
    if (o->state_disk && !*o->state_disk) FAIL(USAGE, "state_disk names no folder");
    if (o->state_disk && !o->state_ram) FAIL(USAGE, "texts go to state_disk from memory, and state_ram is 0");
    if (o->state_disk && (o->state_disk_bytes == 0 || o->state_disk_bytes > (uint64_t)1 << 56))
        FAIL(USAGE, "state_disk_bytes is %" PRIu64 ", not in 1 to 2^56", o->state_disk_bytes);
    if ((int)o->cache < 0 || o->cache > PHA_BF16) FAIL(USAGE, "there is no precision %d", o->cache);
    if (o->batch < 0 || o->batch > MOST_BATCH) FAIL(USAGE, "batch is %d, not in 1 to %d", o->batch, MOST_BATCH);
    return PHA_OK;
}

pha_status pha_engine_open(pha_engine **out, const pha_model *model, const pha_engine_options *options)
{
    static const pha_engine_options defaults;
    const pha_engine_options *o = options ? options : &defaults;
    NEED(out, "a place for its result");
    *out = NULL;
    if (!model) FAIL(USAGE, "an engine needs a model");
    TRY(check_options(o));
    pha_engine *e = pha__alloc_zero(1, sizeof *e);
    if (!e) return PHA_NO_MEMORY;
    pthread_mutex_init(&e->lock, NULL);
    e->model = model, e->users = 1, e->cache = o->cache == PHA_BF16 ? PHA__BF16 : PHA__F32;
    e->longest = pha__longest_text(model->names);
    e->max_context = within(o->max_context ? o->max_context : 4096, e->longest);
    e->chunk = (int32_t)within(o->chunk ? o->chunk : 256, e->longest);
    e->batch = o->batch ? o->batch : 16;
    e->threads = o->threads;
    pha_status status = open_parts(e, o);
    if (status) pha__engine_release(e);
    else *out = e;
    return status;
}

static void close_engine(pha_engine *e)
{
    for (int i = 0; i < PHA__READINGS; i++) {
        pha__exec_close(e->exec[i]);
        pha__program_close(e->program[i]);
    }
    pha__prefix_close(e->prefix);
    pha__state_free(&e->state);
    pha__weights_close(&e->weights);
    pha__device_close(e->device);
    pha__free(e->ids);
    pha__free(e->states);
    pha__free(e->logits);
    pha__pool_close(e->pool);
    pha__free(e->work);
    pthread_mutex_destroy(&e->lock);
    pha__free(e);
}

void pha__engine_keep(pha_engine *e)
{
    pthread_mutex_lock(&e->lock);
    e->users++;
    pthread_mutex_unlock(&e->lock);
}

void pha__engine_release(pha_engine *e)
{
    pthread_mutex_lock(&e->lock);
    bool last = --e->users == 0;
    pthread_mutex_unlock(&e->lock);
    if (last) close_engine(e);
}

void pha_engine_close(pha_engine *e)
{
    if (e) pha__engine_release(e);
}

void pha_engine_get_info(const pha_engine *e, pha_engine_info *info)
{
    if (!e || !info) return;
    *info = (pha_engine_info){.max_context = e->rolling ? INT64_MAX : e->max_context,
                              .vocab_size = e->model->config.vocab_size,
                              .chunk = e->chunk,
                              .batch = e->batch,
                              .session_bytes = e->state.bytes,
                              .fingerprint = e->fingerprint};
}

/* ---- a step ---------------------------------------------------------------------------------------------- */

static pha_status check_step(const pha_engine *e, pha_session *const *sessions, const int32_t *ids, size_t n)
{
    if (!e || !sessions || !ids || n < 1) FAIL(USAGE, "a step needs an engine and at least one session with its token");
    for (size_t i = 0; i < n; i++) {
        if (!sessions[i] || sessions[i]->engine != e) FAIL(USAGE, "session %zu is not one of this engine", i);
        pha_status status = pha__session_check(sessions[i], ids + i, 1);
        if (status) return pha__fail_in(status, "session %zu", i);
        if (atomic_load(&sessions[i]->stop)) FAIL(STOPPED, "session %zu was asked to stop", i);
    }
    return PHA_OK;
}

/* A session that stands twice in a step would read two tokens at one place. */
static pha_status check_distinct(pha_session *const *sessions, size_t n)
{
    pha_status status = PHA_OK;
    for (size_t i = 0; i < n; i++) sessions[i]->in_step = false;
    for (size_t i = 0; i < n && !status; i++) {
        if (sessions[i]->in_step) status = pha__fail(PHA_USAGE, "session %zu is twice in a step", i);
        sessions[i]->in_step = true;
    }
    return status;
}

/* Up to a batch of them, at once. */
static pha_status step_some(pha_engine *e, pha_session *const *sessions, const int32_t *ids, int n, float *logits)
{
    size_t V = (size_t)e->model->config.vocab_size;
    for (int i = 0; i < n; i++) {
        e->ids[i] = ids[i], e->states[i] = sessions[i]->state;
        sessions[i]->ready = false;
    }
    TRY(pha__exec_run(e->exec[PHA__STEP], n, 1, &(pha__run){.tokens = e->ids}, e->states, false));
    float *all = logits ? logits : e->logits;
    TRY(pha__exec_output(e->exec[PHA__STEP], "logits", n, all));
    for (int i = 0; i < n; i++) {
        memcpy(sessions[i]->logits, all + (size_t)i * V, V * sizeof *all);
        TRY(pha__session_advance(sessions[i], ids + i, 1));
        sessions[i]->ready = true;
    }
    return PHA_OK;
}

pha_status pha_engine_step(pha_engine *e, pha_session *const *sessions, const int32_t *ids, size_t n, float *logits)
{
    TRY(check_step(e, sessions, ids, n));
    size_t V = (size_t)e->model->config.vocab_size;
    pthread_mutex_lock(&e->lock);
    pha_status status = check_distinct(sessions, n);
    for (size_t i = 0; i < n && !status; i += (size_t)e->batch) {
        int some = (int)(n - i < (size_t)e->batch ? n - i : (size_t)e->batch);
        status = step_some(e, sessions + i, ids + i, some, logits ? logits + i * V : NULL);
    }
    pthread_mutex_unlock(&e->lock);
    return status;
}
