/* eval.c -- scoring: windows of a token stream through a loss program, sums in double (pha.md 7) */
#include "runtime/infer/eval.h"

#include <math.h>

#include "base/clock.h"
#include "base/print.h"
#include "base/range.h"
#include "io/loader.h"
#include "ops/lm_loss/lm_loss.h"
#include "runtime/stop.h"

static const double MOST_STATE = 8e9; /* bytes of a carried state */

typedef struct block { /* up to B windows that run together */
    uint64_t first; /* window */
    int n;
    int32_t T;
    int32_t *targets;
    float *loss;
} block;

typedef struct evaluation {
    const pha__weights *weights;
    const pha__eval_run *run;
    const pha__eval_text *text; /* NULL: not known */
    pha_eval_result *result;
    pha__cursor cursor;
    int32_t T, B;            /* of the program */
    uint64_t wanted;         /* targets to score */
    double hits, begin, last_report;
    pha__program *program;
    pha__exec *exec;
    char *state;             /* carried mode; on the device */
    int rank, ranks;         /* that share the windows: in a round each runs a block of B of them */
    int32_t *ids, *targets;  /* (B, T); targets: of each rank */
    float *loss;             /* (B T, 2) of each rank */
    block *blocks;           /* of each rank, in this round */
    double bucket_sum[PHA_EVAL_BUCKETS];
} evaluation;

/* ---- opening -------------------------------------------------------------------------------------------- */

/* What the caches must hold so that nothing is forgotten: the widest window or chunk, or all of the text. */
static int64_t carried_context(const evaluation *e)
{
    const pha__config *c = &e->weights->config;
    int64_t most = 1;
    for (int i = 0; i < c->n_layer && (c->branches & PHA__BRANCH_ATTN); i++) {
        int64_t reach = pha__attn_reach(c, i);
        if (reach == 0) return (int64_t)e->wanted;
        most = reach > most ? reach : most;
    }
    return most < (int64_t)e->wanted ? most : (int64_t)e->wanted;
}

static pha_status check_run(const pha__eval_run *r)
{
    if (r->context < 1) FAIL(USAGE, "the context of an evaluation is %d tokens, below 1", r->context);
    if (r->batch < 0) FAIL(USAGE, "the batch of an evaluation is %d, below 1", r->batch);
    if (r->max_tokens < 0) FAIL(USAGE, "max_tokens is %lld, below 0", (long long)r->max_tokens);
    if (r->mode != PHA_EVAL_SLIDING && r->stride && r->stride != r->context)
        FAIL(USAGE, "a stride of %d needs the sliding mode (windows do not overlap otherwise)", r->stride);
    if (r->mode == PHA_EVAL_CARRIED && r->batch > 1)
        FAIL(USAGE, "carried state goes from window to window: the batch must be 1, not %d", r->batch);
    return PHA_OK;
}

static pha_status open_cursor(evaluation *e, const pha__tokens *tokens)
{
    const pha__eval_run *r = e->run;
    int32_t stride = r->mode != PHA_EVAL_SLIDING ? r->context : r->stride ? r->stride : (r->context + 1) / 2;
    TRY(check_run(r));
    TRY(pha__cursor_open(&e->cursor, tokens, r->context, stride));
    if (pha__tokens_vocab(tokens) > e->weights->config.vocab_size)
        FAIL(BAD_INPUT, "the data has a vocabulary of %d tokens but the model one of %d; is it the model's tokenizer?",
             pha__tokens_vocab(tokens), e->weights->config.vocab_size);
    uint64_t targets = pha__tokens_count(tokens) - 1;
    e->wanted = r->max_tokens && (uint64_t)r->max_tokens < targets ? (uint64_t)r->max_tokens : targets;
    e->T = e->wanted < (uint64_t)r->context ? (int32_t)e->wanted : r->context;
    e->B = r->batch ? r->batch : 1;
    if ((uint64_t)e->B > pha__cursor_windows(&e->cursor)) e->B = (int32_t)pha__cursor_windows(&e->cursor);
    e->result->context = r->context, e->result->stride = stride;
    e->result->tokenizer_hash = pha__tokens_tokenizer_hash(tokens);
    return PHA_OK;
}

static pha_status open_state(evaluation *e)
{
    if (e->run->mode != PHA_EVAL_CARRIED) return PHA_OK;
    double size = (double)e->program->state;
    if (size > MOST_STATE)
        FAIL(USAGE,
             "carrying state over %llu tokens needs %.1f GB, for this model has attention without a window; score "
             "fewer tokens (max_tokens) or use another mode",
             (unsigned long long)e->wanted, size / 1e9);
    e->state = pha__device_alloc(e->weights->device, e->program->state);
    return e->state ? pha__fill(e->weights->device, e->state, 0, e->program->state) : PHA_NO_MEMORY;
}

static pha_status open_program(evaluation *e)
{
    bool carried = e->run->mode == PHA_EVAL_CARRIED;
    pha__program_options o = {.B = e->B, .T = e->T, .dtype = e->weights->dtype,
                              .max_context = carried ? carried_context(e) : 0};
    TRY(pha__record(&e->program, &e->weights->config, &o, PHA__HEAD_LOSS));
    TRY(open_state(e));
    TRY(pha__exec_open(&e->exec, e->program, e->weights->store, e->weights->device));
    /* a cursor fills whole windows, also where a short split made the program's T smaller */
    size_t n = (size_t)e->B * (size_t)e->run->context;
    e->ids = pha__alloc(n, sizeof *e->ids);
    e->targets = pha__alloc(n * (size_t)e->ranks, sizeof *e->targets);
    e->loss = pha__alloc(PHA__LOSS_WIDTH * n * (size_t)e->ranks, sizeof *e->loss);
    e->blocks = pha__alloc_zero((size_t)e->ranks, sizeof *e->blocks);
    return e->ids && e->targets && e->loss && e->blocks ? PHA_OK : PHA_NO_MEMORY;
}

/* ---- scoring -------------------------------------------------------------------------------------------- */

/* Targets beyond the wanted number are not scored; returns the inputs that are then still of use. */
static int32_t limit(int32_t *targets, int32_t length, uint64_t wanted)
{
    int32_t end = 0;
    for (int32_t t = 0; t < length; t++) {
        if (targets[t] < 0) continue;
        if (wanted == 0) targets[t] = -1;
        else wanted--, end = t + 1;
    }
    return end;
}

static int bucket_of(int32_t t, int32_t T) /* the parts begin at floor(T i / 16) */
{
    return (int)((PHA_EVAL_BUCKETS * ((int64_t)t + 1) - 1) / T);
}

static pha_status add_row(evaluation *e, const float *row, int32_t target, int32_t t, uint64_t window)
{
    int bucket = bucket_of(t, e->run->context);
    if (!isfinite(row[PHA__NLL]))
        FAIL(NUMERIC, "the loss is %g at position %d of window %llu: the weights are damaged or training diverged",
             (double)row[PHA__NLL], t, (unsigned long long)window);
    e->result->nll += row[PHA__NLL];
    if (e->text && target == e->text->end_token) e->result->end_tokens++; /* stands for no text */
    else e->result->text_nll += row[PHA__NLL];
    e->result->tokens++;
    e->hits += row[PHA__HIT];
    e->bucket_sum[bucket] += row[PHA__NLL];
    e->result->bucket_tokens[bucket]++;
    return PHA_OK;
}

static block block_at(const evaluation *e, int rank, uint64_t first)
{
    size_t at = (size_t)rank * (size_t)e->B * (size_t)e->run->context;
    return (block){.first = first, .T = 1, .targets = e->targets + at, .loss = e->loss + PHA__LOSS_WIDTH * at};
}

/* Reads its windows. Only the last window of a text is shorter than the context, so T is the context if there are
 * others. */
static pha_status read_block(evaluation *e, block *b, uint64_t *left)
{
    int32_t C = e->run->context, scored;
    for (b->n = 0; b->n < e->B && *left > 0; b->n++) {
        int32_t *targets = b->targets + (int64_t)b->n * C, length;
        TRY(pha__cursor_get(&e->cursor, b->first + (uint64_t)b->n, e->ids + (int64_t)b->n * C, targets, &length,
                            &scored));
        if ((uint64_t)scored > *left) length = limit(targets, length, *left), scored = (int32_t)*left;
        *left -= (uint64_t)scored;
        b->T = b->n ? C : length;
    }
    return PHA_OK;
}

static void report(evaluation *e, bool now)
{
    char line[160], loss[24];
    double at = pha__seconds(), spent = at - e->begin, done = (double)e->result->tokens, total = (double)e->wanted;
    if (!e->run->progress || (!now && at - e->last_report < 0.2)) return;
    e->last_report = at;
    pha_progress p = {
        .phase = "eval", .unit = "tokens", .line = line, .done = done, .total = total, .seconds_left = -1};
    if (spent > 0 && done > 0) p.rate = done / spent, p.seconds_left = (total - done) / p.rate;
    pha__print_number(loss, sizeof loss, e->result->nll / (done > 0 ? done : 1), 4);
    pha__print(line, sizeof line, "eval %3.0f%%  loss %s  %.0f tokens/s  %.0f s left", 100 * done / total, loss, p.rate,
               p.seconds_left > 0 ? p.seconds_left : 0);
    e->run->progress(e->run->user, &p);
}

static pha_status run_block(evaluation *e, const block *b)
{
    if (pha__stop_requested())
        FAIL(STOPPED, "asked to stop with %llu of %llu tokens evaluated", (unsigned long long)e->result->tokens,
             (unsigned long long)e->wanted);
    pha__run run = {.tokens = e->ids, .targets = b->targets, .loss_scale = 1};
    TRY(pha__exec_run(e->exec, b->n, b->T, &run, e->state ? &e->state : NULL, false));
    return pha__exec_output(e->exec, "loss", (int64_t)b->n * b->T, b->loss);
}

static pha_status add_block(evaluation *e, const block *b)
{
    for (int64_t i = 0; i < (int64_t)b->n * b->T; i++)
        if (b->targets[i] >= 0)
            TRY(add_row(e, b->loss + PHA__LOSS_WIDTH * i, b->targets[i], (int32_t)(i % b->T),
                        b->first + (uint64_t)(i / b->T)));
    return PHA_OK;
}

/* All read the windows of all, which costs little, and run their own. */
static pha_status run_round(evaluation *e, uint64_t *window, uint64_t *left)
{
    pha_status status = PHA_OK;
    for (int r = 0; r < e->ranks; r++) e->blocks[r].n = 0;
    for (int r = 0; r < e->ranks && *left > 0 && !status; r++) {
        block *b = &e->blocks[r];
        *b = block_at(e, r, *window);
        status = read_block(e, b, left);
        *window += (uint64_t)b->n;
        if (!status && r == e->rank) status = run_block(e, b);
    }
    return status;
}

/* Every sum is made in the order of the windows, whoever ran them. */
static pha_status score(evaluation *e)
{
    size_t size = PHA__LOSS_WIDTH * (size_t)e->B * (size_t)e->run->context * sizeof *e->loss;
    uint64_t left = e->wanted;
    for (uint64_t window = 0; left > 0;) {
        pha_status status = run_round(e, &window, &left);
        if (e->ranks > 1) status = pha__comm_agree(e->run->comm, status);
        if (!status && e->ranks > 1) status = pha__comm_all_gather(e->run->comm, e->loss, size);
        TRY(status);
        for (int r = 0; r < e->ranks && !status; r++) status = add_block(e, &e->blocks[r]);
        TRY(status && e->ranks > 1 ? pha__comm_agree(e->run->comm, status) : status); /* of all: they add the same */
        report(e, left == 0);
    }
    return PHA_OK;
}

/* Per word and per byte: the losses of targets that are text over what those targets stand for. */
static void finish_text(pha_eval_result *r, const pha__eval_text *text)
{
    const pha__split_info *info = &text->info;
    r->words = info->words, r->bytes = info->bytes;
    r->scored_words = info->words - info->first_words, r->scored_bytes = info->bytes - info->first_bytes;
    r->published_words = pha__wikitext_words(text);
    if (r->scored_words) r->word_ppl = exp(r->text_nll / (double)r->scored_words);
    if (r->scored_bytes) r->bits_per_byte = r->text_nll / (log(2) * (double)r->scored_bytes);
}

static void finish(evaluation *e)
{
    pha_eval_result *r = e->result;
    bool whole = r->tokens == pha__tokens_count(e->cursor.tokens) - 1;
    double n = (double)r->tokens;
    r->token_ppl = exp(r->nll / n);
    r->word_ppl = r->bits_per_byte = NAN;
    if (whole && e->text) finish_text(r, e->text);
    r->accuracy = e->hits / n;
    for (int i = 0; i < PHA_EVAL_BUCKETS; i++)
        r->bucket_loss[i] = r->bucket_tokens[i] ? e->bucket_sum[i] / (double)r->bucket_tokens[i] : NAN;
    r->seconds = pha__seconds() - e->begin;
    r->peak_bytes = pha__mem_peak();
}

pha_status pha__eval_core(const pha__weights *weights, const pha__tokens *tokens,
                          const pha__eval_text *text, const pha__eval_run *run, pha_eval_result *result)
{
    evaluation e = {.weights = weights, .run = run, .text = text, .result = result, .ranks = 1};
    e.begin = pha__seconds();
    if (run->comm && run->mode != PHA_EVAL_CARRIED) e.ranks = run->comm->size, e.rank = run->comm->rank;
    *result = (pha_eval_result){0};
    pha_status status = open_cursor(&e, tokens);
    if (!status) status = open_program(&e);
    if (e.ranks > 1) status = pha__comm_agree(run->comm, status);
    if (!status) status = score(&e);
    if (!status) finish(&e);
    pha__exec_close(e.exec);
    pha__program_close(e.program);
    pha__device_free(weights->device, e.state);
    pha__free(e.ids);
    pha__free(e.targets);
    pha__free(e.loss);
    pha__free(e.blocks);
    return status;
}

/* ---- pha_eval ------------------------------------------------------------------------------------------- */

/* What one rank scores must be what the others do. */
static pha_status same_on_all(pha__comm *c, const pha__eval_subject *s)
{
    uint64_t *all = pha__alloc((size_t)c->size, 2 * sizeof *all), *own = all ? all + 2 * c->rank : NULL;
    pha_status status = all ? pha__model_fingerprint(&own[0], s->model) : PHA_NO_MEMORY;
    if (!status) own[1] = pha__tokens_identity(s->tokens);
    status = pha__comm_agree(c, status);
    if (!status) status = pha__comm_all_gather(c, all, 2 * sizeof *all);
    for (int r = 1; r < c->size && !status; r++)
        if (all[2 * r] != all[0] || all[2 * r + 1] != all[1])
            status = pha__fail(PHA_BAD_INPUT, "rank %d has %s than the leading rank; copy the folder", r,
                               all[2 * r] != all[0] ? "another model" : "other data");
    pha__free(all);
    return pha__comm_agree(c, status); /* all see the same */
}

pha_status pha_eval(const pha_eval_options *o, pha_eval_result *result)
{
    pha__eval_subject s = {0};
    pha_eval_result unused;
    if (!result) result = &unused;
    *result = (pha_eval_result){0};
    NEED(o, "options");
    pha__eval_run run = {.context = o->context ? o->context : 1024, .batch = o->batch, .mode = o->mode,
                         .stride = o->stride, .max_tokens = o->max_tokens, .progress = o->progress, .user = o->user};
    TRY(pha__comm_world(&run.comm));
    pha_eval_options own = *o;
    own.threads = pha__comm_threads(run.comm, o->threads);
    pha_status status = pha__comm_agree(run.comm, pha__eval_open(&s, &own));
    if (!status && run.comm->size > 1) status = same_on_all(run.comm, &s);
    if (!status) status = pha__eval_core(&s.weights, s.tokens, &s.text, &run, result);
    pha__eval_close(&s);
    return pha__comm_end(run.comm, status);
}
