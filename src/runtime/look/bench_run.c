/* bench_run.c -- timing of whole models: a training step, a prompt, single tokens
 *
 * Every number is the median of runs after a first one, in which the system hands out the pages of the memory; no cell
 * is run again once its runs have taken LIMIT in all.
 */
#include <string.h>

#include "base/print.h"
#include "runtime/look/bench.h"
#include "runtime/train/optimizer.h"
#include "runtime/stop.h"

#define LIMIT 40.0
#define MAX_RUNS 1000
#define CHUNK 256     /* tokens per run while a prompt is read, as in a session */
#define DECODE 8      /* tokens per repeat */

/* Is there room for `bytes` more? If not, the cell says so. */
static bool fits(pha__bench_cell *cell, size_t bytes)
{
    size_t have = pha__memory_free();
    double margin = 64e6;
    if ((double)bytes + margin <= (double)have) return true;
    pha__print(cell->skipped, sizeof cell->skipped, "skipped: needs %.1f GB more, %.1f GB are free",
               (double)bytes / 1e9, (double)have / 1e9);
    return false;
}

static pha_status stopped(void)
{
    if (pha__stop_requested()) FAIL(STOPPED, "the benchmark was stopped");
    return PHA_OK;
}

static pha__bench_cell *new_cell(pha__bench *b, const char *what, int32_t context)
{
    pha__bench_cell *cell = &b->cells[b->n_cells++];
    *cell = (pha__bench_cell){.what = what, .context = context};
    return cell;
}

/* Runs `once` as the rule above says. */
static pha_status measure(const pha__bench *b, pha__bench_cell *cell, pha_status (*once)(void *), void *context)
{
    double times[MAX_RUNS];
    int n = 0;
    pha__bench_say(b, cell->what, cell->context, 0);
    TRY(once(context));
    double begin = pha__seconds();
    while (n < b->o.repeats && n < MAX_RUNS && (n == 0 || pha__seconds() - begin < LIMIT)) {
        TRY(stopped());
        double start = pha__seconds();
        TRY(once(context));
        times[n++] = pha__seconds() - start;
        pha__bench_say(b, cell->what, cell->context, n);
    }
    cell->runs = n, cell->seconds = pha__bench_median(times, n);
    return PHA_OK;
}

/* ---- a training step ---------------------------------------------------------------------------------- */

typedef struct training {
    pha__bench_training of;
    pha__run run;
    int B, T;
} training;

static pha_status train_once(void *context)
{
    training *t = context;
    static const pha__adam adam = {.lr = 1e-5, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay = 0.1};
    double norm;
    TRY(pha__exec_run(t->of.exec, t->B, t->T, &t->run, NULL, false));
    TRY(pha__gradient_norm(&t->of.optimizer, &norm));
    return pha__adam_step(&t->of.optimizer, &adam, norm > 1 ? 1 / norm : 1);
}

pha_status pha__bench_train(pha__bench *b, int32_t context)
{
    pha__bench_cell *cell = new_cell(b, "train", context);
    pha__program_options options = {.B = b->o.batch, .T = context, .gradients = true,
                                    .dtype = b->o.precision == PHA_BF16 ? PHA__BF16 : PHA__F32};
    pha__program *p;
    TRY(pha__record(&p, &b->config, &options, PHA__HEAD_LOSS));
    training t = {.B = b->o.batch, .T = context};
    t.run = (pha__run){.tokens = b->ids, .targets = b->ids + 1, .loss_scale = 1.0f / ((float)t.B * (float)t.T)};
    pha_status status = pha__memory_of(&cell->memory, p, b->device);
    if (!status && fits(cell, cell->memory.total)) {
        pha__cost forward = pha__cost_of(p, PHA__FORWARD, 0), backward = pha__cost_of(p, PHA__BACKWARD, 0);
        cell->flops = pha__cost_total(&forward) + pha__cost_total(&backward);
        cell->tokens = (double)b->o.batch * context;
        status = pha__bench_open_training(b, p, &t.of);
        if (!status) status = measure(b, cell, train_once, &t);
    }
    pha__bench_close_training(&t.of);
    pha__program_close(p);
    return status;
}

/* ---- a prompt, and single tokens behind it ------------------------------------------------------------ */

typedef struct stream {
    pha__bench *b;
    pha__program *chunk, *step;
    pha__exec *read, *next;
    char *memory;      /* the state of all sequences */
    char **state;
    size_t bytes;      /* of one state */
    int32_t *piece;    /* tokens of one run */
    int32_t context;
} stream;

static pha_status run_tokens(stream *s, pha__exec *e, int32_t at, int n)
{
    int B = s->b->o.batch;
    for (int i = 0; i < B; i++) memcpy(s->piece + (size_t)i * (size_t)n, s->b->ids + at, (size_t)n * sizeof *s->piece);
    pha__run run = {.tokens = s->piece};
    return pha__exec_run(e, B, n, &run, s->state, false);
}

static pha_status read_once(void *context)
{
    stream *s = context;
    TRY(pha__fill(s->b->device, s->memory, 0, s->bytes * (size_t)s->b->o.batch));
    int32_t chunk = s->chunk->options.T;
    for (int32_t at = 0; at < s->context; at += chunk) {
        TRY(stopped());
        TRY(run_tokens(s, s->read, at, s->context - at < chunk ? s->context - at : chunk));
    }
    return PHA_OK;
}

/* The cost model's operations for the whole prompt. A shorter last run counts by its share. */
static double read_flops(const stream *s)
{
    double sum = 0;
    int32_t chunk = s->chunk->options.T;
    for (int32_t at = 0; at < s->context; at += chunk) {
        pha__cost c = pha__cost_of(s->chunk, PHA__FORWARD, at);
        sum += pha__cost_total(&c) * (s->context - at < chunk ? (double)(s->context - at) / chunk : 1);
    }
    return sum;
}

static pha_status step_tokens(stream *s, pha__bench_cell *cell)
{
    double times[MAX_RUNS], begin = pha__seconds();
    int wanted = s->b->o.repeats * DECODE, n = 0;
    pha__bench_say(s->b, cell->what, cell->context, 0);
    TRY(run_tokens(s, s->next, 0, 1));
    while (n < wanted && n < MAX_RUNS && (n == 0 || pha__seconds() - begin < LIMIT)) {
        TRY(stopped());
        double start = pha__seconds();
        TRY(run_tokens(s, s->next, n, 1));
        times[n++] = pha__seconds() - start;
    }
    pha__bench_say(s->b, cell->what, cell->context, s->b->o.repeats);
    cell->runs = n, cell->seconds = pha__bench_median(times, n);
    return PHA_OK;
}

static pha_status record_stream(stream *s, pha__bench *b)
{
    int64_t room = (int64_t)s->context + 1 + (int64_t)b->o.repeats * DECODE;
    pha__program_options options = {.B = b->o.batch, .T = s->context < CHUNK ? s->context : CHUNK, .max_context = room,
                                    .dtype = b->o.precision == PHA_BF16 ? PHA__BF16 : PHA__F32,
                                    .cache = b->o.cache == PHA_BF16 ? PHA__BF16 : PHA__F32};
    TRY(pha__record(&s->chunk, &b->config, &options, PHA__HEAD_NONE)); /* as a session does */
    options.T = 1;
    TRY(pha__record(&s->step, &b->config, &options, PHA__HEAD_LOGITS));
    if (s->chunk->state != s->step->state) FAIL(FAILED, "two programs of one model disagree about the state");
    s->bytes = s->chunk->state;
    return PHA_OK;
}

static pha_status open_stream(stream *s)
{
    pha__bench *b = s->b;
    size_t n = (size_t)b->o.batch;
    TRY(pha__exec_open(&s->read, s->chunk, b->weights.store, b->device));
    TRY(pha__exec_open(&s->next, s->step, b->weights.store, b->device));
    s->memory = pha__device_alloc(b->device, n * s->bytes);
    s->state = pha__alloc(n, sizeof *s->state);
    s->piece = pha__alloc(n * CHUNK, sizeof *s->piece);
    if (!s->memory || !s->state || !s->piece) FAIL(NO_MEMORY, "no memory for the state of %zu sequences", n);
    for (size_t i = 0; i < n; i++) s->state[i] = s->memory + i * s->bytes;
    return PHA_OK;
}

static pha_status time_stream(stream *s, pha__bench_cell *prefill, pha__bench_cell *decode)
{
    double B = s->b->o.batch;
    TRY(open_stream(s));
    if (prefill) {
        prefill->tokens = B * s->context, prefill->flops = read_flops(s);
        TRY(measure(s->b, prefill, read_once, s));
    } else TRY(read_once(s));
    if (!decode) return PHA_OK;
    pha__cost c = pha__cost_of(s->step, PHA__FORWARD, s->context);
    pha__state_size size = pha__state_size_of(s->step);
    double weights = (double)pha__weights_bytes(&s->b->weights);
    decode->tokens = B, decode->flops = pha__cost_total(&c);
    decode->bytes = weights + B * ((double)size.cache + 2.0 * (double)size.recurrent);
    return step_tokens(s, decode);
}

/* The plan counts fp32. */
static void count_weights(pha__memory *m, const pha__bench *b)
{
    m->total -= m->kind[PHA__MEM_WEIGHTS] + m->kind[PHA__MEM_HALF];
    m->kind[PHA__MEM_WEIGHTS] = pha__weights_bytes(&b->weights), m->kind[PHA__MEM_HALF] = 0;
    m->total += m->kind[PHA__MEM_WEIGHTS];
}

pha_status pha__bench_stream(pha__bench *b, int32_t context)
{
    stream s = {.b = b, .context = context};
    pha__bench_cell *prefill = b->prefill ? new_cell(b, "prefill", context) : NULL;
    pha__bench_cell *decode = b->decode ? new_cell(b, "decode", context) : NULL;
    pha_status status = record_stream(&s, b);
    pha__memory reading, stepping;
    if (!status) status = pha__memory_of(&reading, s.chunk, b->device);
    if (!status) status = pha__memory_of(&stepping, s.step, b->device);
    if (!status) {
        count_weights(&reading, b), count_weights(&stepping, b);
        size_t need = reading.block + stepping.block + reading.kind[PHA__MEM_STATE]; /* the weights are there */
        if (prefill) prefill->memory = reading;
        if (decode) decode->memory = stepping;
        bool room = (!prefill || fits(prefill, need)) && (!decode || fits(decode, need));
        if (room) status = time_stream(&s, prefill, decode);
    }
    pha__exec_close(s.read);
    pha__exec_close(s.next);
    pha__device_free(b->device, s.memory);
    pha__free(s.state);
    pha__free(s.piece);
    pha__program_close(s.chunk);
    pha__program_close(s.step);
    return status;
}
