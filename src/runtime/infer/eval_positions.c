/* eval_positions.c -- losses by the number of tokens in front, in windows of any length
 *
 * A window is read piece by piece with a carried state, so memory grows with the length only where an architecture's
 * state does. The losses are those of one pass over the whole window, to the bit.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/print.h"
#include "io/loader.h"
#include "ops/lm_loss/lm_loss.h"
#include "runtime/infer/eval.h"
#include "runtime/infer/state.h"
#include "runtime/look/svg.h"
#include "runtime/stop.h"

enum { PIECE = 512 /* tokens per run */, MOST_CONTEXT = 1 << 20, DEFAULT_CONTEXT = 65536 };

typedef struct streaming {
    const pha_eval_options *o;
    pha_positions_result *result;
    const pha__eval_subject *subject;
    pha__cursor cursor;
    int32_t T;
    uint64_t wanted;
    double begin, last_report;
    double squares[PHA_POSITION_BUCKETS];
    pha__program *program;
    pha__exec *exec;
    pha__state layout;
    char *state;            /* on the device */
    int32_t *ids, *targets; /* (T) */
    float *loss;            /* (PIECE, 2) */
} streaming;

/* ---- opening -------------------------------------------------------------------------------------------- */

static pha_status check(const pha_eval_options *o)
{
    if (o->mode != PHA_EVAL_WINDOWS || o->stride || o->batch > 1)
        FAIL(USAGE, "losses by position are those of single windows without overlap: no mode, stride or batch");
    if (o->context < 0 || o->context > MOST_CONTEXT)
        FAIL(USAGE, "the context is %d tokens, not in 1 to %d", o->context, MOST_CONTEXT);
    if (o->max_tokens < 0) FAIL(USAGE, "max_tokens is %lld, below 0", (long long)o->max_tokens);
    return PHA_OK;
}

static pha_status choose_context(streaming *s)
{
    int64_t most = pha__longest_text(s->subject->model->names);
    if (s->o->context > most)
        FAIL(USAGE, "the context of %d tokens is more than the %" PRId64 " positions of the model", s->o->context,
             most);
    s->result->context = s->o->context ? s->o->context : most < DEFAULT_CONTEXT ? (int32_t)most : DEFAULT_CONTEXT;
    return PHA_OK;
}

static pha_status open_cursor(streaming *s)
{
    const pha__tokens *tokens = s->subject->tokens;
    TRY(choose_context(s));
    TRY(pha__cursor_open(&s->cursor, tokens, s->result->context, s->result->context));
    if (pha__tokens_vocab(tokens) > s->subject->weights.config.vocab_size)
        FAIL(BAD_INPUT, "the data has a vocabulary of %d tokens but the model one of %d; is it the model's tokenizer?",
             pha__tokens_vocab(tokens), s->subject->weights.config.vocab_size);
    uint64_t targets = pha__tokens_count(tokens) - 1;
    s->wanted = s->o->max_tokens && (uint64_t)s->o->max_tokens < targets ? (uint64_t)s->o->max_tokens : targets;
    s->T = s->wanted < (uint64_t)s->result->context ? (int32_t)s->wanted : s->result->context;
    s->result->tokenizer_hash = pha__tokens_tokenizer_hash(tokens);
    return PHA_OK;
}

static pha_status open_program(streaming *s)
{
    const pha__weights *w = &s->subject->weights;
    pha__program_options o = {.B = 1, .T = s->T < PIECE ? s->T : PIECE, .dtype = w->dtype, .max_context = s->T};
    TRY(pha__record(&s->program, &w->config, &o, PHA__HEAD_LOSS));
    TRY(pha__state_measure(&s->layout, s->program));
    s->result->state_bytes = s->layout.bytes;
    for (int i = 0; i < s->layout.n; i++) s->result->grows |= s->layout.part[i].lookback == PHA__ALL_TOKENS;
    s->state = pha__device_alloc(w->device, s->layout.bytes);
    if (!s->state)
        FAIL(NO_MEMORY, "no memory for a state of %.1f GB (%d tokens); a smaller context needs less",
             (double)s->layout.bytes / 1e9, s->T);
    TRY(pha__exec_open(&s->exec, s->program, w->store, w->device));
    size_t n = (size_t)s->result->context;
    s->ids = pha__alloc(n, sizeof *s->ids);
    s->targets = pha__alloc(n, sizeof *s->targets);
    s->loss = pha__alloc(PHA__LOSS_WIDTH * PIECE, sizeof *s->loss);
    return s->ids && s->targets && s->loss ? PHA_OK : PHA_NO_MEMORY;
}

/* ---- scoring -------------------------------------------------------------------------------------------- */

static int bucket_of(int32_t t)
{
    int k = 0;
    while (t >> k) k++;
    return k;
}

static pha_status add(streaming *s, float loss, int32_t t)
{
    int k = bucket_of(t);
    if (!isfinite(loss))
        FAIL(NUMERIC, "the loss is %g at position %d of window %" PRIu64 ": the weights are damaged or training "
             "diverged", (double)loss, t, s->result->windows);
    s->result->nll += loss;
    s->result->tokens++;
    s->result->bucket_nll[k] += loss;
    s->result->bucket_tokens[k]++;
    s->squares[k] += (double)loss * loss;
    return PHA_OK;
}

static void report(streaming *s, bool now)
{
    char line[160], loss[24];
    double at = pha__seconds(), spent = at - s->begin, done = (double)s->result->tokens, total = (double)s->wanted;
    if (!s->o->progress || (!now && at - s->last_report < 0.2)) return;
    s->last_report = at;
    pha_progress p = {.phase = "eval", .unit = "tokens", .line = line, .done = done, .total = total,
                      .rate = done / spent, .seconds_left = spent * (total / done - 1)};
    pha__print_number(loss, sizeof loss, s->result->nll / done, 4);
    pha__print(line, sizeof line, "eval %3.0f%%  loss %s  %.0f tokens/s  %.0f s left", 100 * done / total, loss, p.rate,
               p.seconds_left);
    s->o->progress(s->o->user, &p);
}

/* The first n targets of the window that has been read. */
static pha_status score_window(streaming *s, int32_t n)
{
    TRY(pha__state_clear(&s->layout, s->subject->device, s->state));
    for (int32_t from = 0; from < n;) {
        int32_t some = n - from < PIECE ? n - from : PIECE;
        if (pha__stop_requested())
            FAIL(STOPPED, "asked to stop with %" PRIu64 " of %" PRIu64 " tokens evaluated", s->result->tokens,
                 s->wanted);
        pha__run run = {.tokens = s->ids + from, .targets = s->targets + from, .loss_scale = 1};
        TRY(pha__exec_run(s->exec, 1, some, &run, &s->state, false));
        TRY(pha__exec_output(s->exec, "loss", some, s->loss));
        for (int32_t i = 0; i < some; i++) TRY(add(s, s->loss[PHA__LOSS_WIDTH * i + PHA__NLL], from + i));
        from += some;
        report(s, s->result->tokens == s->wanted);
    }
    return PHA_OK;
}

static pha_status score(streaming *s)
{
    for (uint64_t left = s->wanted; left > 0; s->result->windows++) {
        int32_t length, scored;
        TRY(pha__cursor_get(&s->cursor, s->result->windows, s->ids, s->targets, &length, &scored));
        if ((uint64_t)length > left) length = (int32_t)left;
        TRY(score_window(s, length));
        left -= (uint64_t)length;
    }
    return PHA_OK;
}

static void finish(streaming *s)
{
    pha_positions_result *r = s->result;
    r->token_ppl = exp(r->nll / (double)r->tokens);
    for (int k = 0; k < PHA_POSITION_BUCKETS; k++) {
        double n = (double)r->bucket_tokens[k], mean = r->bucket_nll[k] / n;
        r->bucket_loss[k] = n > 0 ? mean : NAN;
        r->bucket_error[k] = n > 1 ? sqrt(fmax(0, s->squares[k] / n - mean * mean) / (n - 1)) : NAN;
    }
    r->seconds = pha__seconds() - s->begin;
    r->peak_bytes = pha__mem_peak();
}

/* ---- a figure ------------------------------------------------------------------------------------------- */

/* The perplexity of each part at the geometric middle of its positions, counted from 1. */
static pha_status draw(const pha_positions_result *r, const char *path)
{
    double x[PHA_POSITION_BUCKETS], y[PHA_POSITION_BUCKETS];
    size_t n = 0;
    for (int k = 0; k < PHA_POSITION_BUCKETS; k++) {
        if (!r->bucket_tokens[k]) continue;
        x[n] = k ? sqrt(exp2(k - 1) * exp2(k)) : 1;
        y[n++] = exp(r->bucket_loss[k]);
    }
    pha__svg_series series = {.x = x, .y = y, .n = n, .marks = true};
    pha__svg_chart chart = {.title = "Perplexity by position", .x_label = "tokens in front", .y_label = "perplexity",
                            .log_x = true, .log_y = true, .series = &series, .n_series = 1, .standalone = true};
    pha__str svg = {0};
    pha__svg_lines(&svg, &chart);
    pha_status status = svg.failed ? PHA_NO_MEMORY : pha__write_file(path, svg.data, svg.size);
    pha__str_free(&svg);
    return status;
}

/* ---- pha_eval_positions ----------------------------------------------------------------------------------- */

static pha_status run(streaming *s)
{
    TRY(open_cursor(s));
    TRY(open_program(s));
    TRY(score(s));
    finish(s);
    return PHA_OK;
}

pha_status pha_eval_positions(const pha_eval_options *o, const char *svg, pha_positions_result *result)
{
    pha__eval_subject subject = {0};
    pha_positions_result unused;
    if (!result) result = &unused;
    *result = (pha_positions_result){0};
    NEED(o, "options");
    TRY(check(o));
    streaming s = {.o = o, .result = result, .subject = &subject, .begin = pha__seconds()};
    pha_status status = pha__eval_open(&subject, o);
    if (!status) status = run(&s);
    if (!status && svg) status = draw(result, svg);
    pha__exec_close(s.exec);
    pha__program_close(s.program);
    pha__state_free(&s.layout);
    if (s.state) pha__device_free(subject.device, s.state);
    pha__free(s.ids);
    pha__free(s.targets);
    pha__free(s.loss);
    pha__eval_close(&subject);
    return status;
}
