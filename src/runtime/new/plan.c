/* plan.c -- the plan of a prepared text: measures it and the machine, and chooses */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/print.h"
#include "io/tokens.h"
#include "runtime/look/cost.h"
#include "runtime/new/new.h"

enum { SCORED = 65536, SCORED_LEAST = 4096, FIRST = 2, TRIES = 4 };

/* What a glance at the loss scores in the course of training. */
int64_t pha__new_glance(const pha_plan *p) { return p->scored_tokens < 8192 ? (int64_t)p->scored_tokens : 8192; }

/* ---- the text -------------------------------------------------------------------------------------------- */

static const pha__split_info *split_of(const pha__data *d, const char *name)
{
    for (size_t i = 0; i < d->n; i++)
        if (!strcmp(d->split[i].name, name)) return &d->split[i].info;
    return NULL;
}

/* Scoring takes a tenth of the tokens that so many minutes may train, at the least that says something. */
static uint64_t to_score(uint64_t held, double minutes)
{
    double wish = fmin(fmax(minutes * 60 * 1000, SCORED_LEAST), SCORED);
    return held < wish ? held : (uint64_t)wish;
}

static pha_status fill_text(pha_plan *p, const pha__data *d, const char *data, double minutes)
{
    const pha__split_info *train = split_of(d, "train"), *held = split_of(d, "valid");
    if (!train || !held || train->tokens < 512 || held->tokens < 64)
        FAIL(BAD_INPUT, "%s: %llu tokens to train on and %llu to score are too little text", data,
             (unsigned long long)(train ? train->tokens : 0), (unsigned long long)(held ? held->tokens : 0));
    p->train_tokens = train->tokens, p->held_tokens = held->tokens;
    p->scored_tokens = to_score(held->tokens, minutes);
    p->vocab_size = d->vocab_size;
    p->bytes_per_token = (double)held->bytes / (double)held->tokens;
    return PHA_OK;
}

static pha_status measure_text(pha__ngram *n, pha_plan *p, const char *data)
{
    pha__tokens *train, *held = NULL;
    TRY(pha__tokens_open(&train, data, "train", false));
    pha_status status = pha__tokens_open(&held, data, "valid", false);
    if (!status) status = pha__ngram_measure(n, train, held, p->scored_tokens);
    pha__tokens_close(held);
    pha__tokens_close(train);
    TRY(status);
    memcpy(p->order_loss, n->order, sizeof p->order_loss);
    return PHA_OK;
}

/* ---- the machine ----------------------------------------------------------------------------------------- */

/* The demands of all rungs with the context of this text. */
static pha_status open_ladder(pha__ladder *l, const pha_plan *p)
{
    *l = (pha__ladder){.n = pha__rungs()};
    size_t have = pha__memory_free();
    l->memory_free = have == SIZE_MAX ? INFINITY : (double)have;
    for (int i = 0; i < l->n; i++) {
        pha__config c;
        TRY(pha__rung_config(&c, i, p->vocab_size));
        pha_plan one = *p;
        one.d_model = c.d_model, one.parameters = 0;
        pha__recipe(&one, 1e6);
        TRY(pha__demand(&l->rung[i].bytes, &l->rung[i].flops, &l->rung[i].parameters, &c, &one));
        l->rung[i].d_model = c.d_model, l->rung[i].n_layer = c.n_layer;
        uint64_t vocabulary = (uint64_t)c.vocab_size * (uint64_t)c.d_model, all = l->rung[i].parameters;
        l->rung[i].body = all > vocabulary ? all - vocabulary : all;
    }
    return PHA_OK;
}

static pha_status measure(pha__ladder *l, int rung, const pha_plan *p, const pha_new_options *o)
{
    pha__config c;
    TRY(pha__rung_config(&c, rung, p->vocab_size));
    return pha__speed(&l->rung[rung].seconds, &c, p, o->seed);
}

/* Chooses, measures what was chosen, and chooses again until that has been measured with its own recipe. */
static pha_status settle(pha_plan *p, pha__ladder *l, const pha__ngram *n, const pha_new_options *o, double began)
{
    const pha_plan text = *p;
    int rung = FIRST;
    p->d_model = l->rung[rung].d_model, p->parameters = l->rung[rung].parameters;
    pha__recipe(p, 1e5);
    TRY(measure(l, rung, p, o));
    for (int i = 0; i < TRIES; i++) {
        *p = text;
        p->prepare_seconds = pha__seconds() - began;
        int best = pha__choose(p, l, n, 60 * o->minutes - p->prepare_seconds, o->most_steps);
        if (best < 0)
            FAIL(NO_MEMORY, "the smallest model needs %.0f MB, and %.0f MB are free", (double)l->rung[0].bytes / 1e6,
                 l->memory_free / 1e6);
        bool known = best == rung && i > 0;
        rung = best;
        if (known) break;
        TRY(measure(l, rung, p, o));
    }
    return PHA_OK;
}

/* ---- the plan -------------------------------------------------------------------------------------------- */

/* Data, a checkpoint beside two others while it is written, the model beside an earlier one, logs. */
static void fill_disk(pha_plan *p, double data_bytes)
{
    p->disk_bytes = (uint64_t)(data_bytes + (double)p->parameters * (3 * 12 + 2 * 4) + (double)p->steps * 400 + 1e6);
}

pha_status pha__new_make_plan(pha_plan *p, const pha_new_options *o, const char *data, double began)
{
    pha__data d;
    pha__ngram n;
    pha__ladder l;
    TRY(pha__data_read(&d, data));
    p->threads = o->threads;
    TRY(fill_text(p, &d, data, o->minutes));
    TRY(measure_text(&n, p, data));
    TRY(open_ladder(&l, p));
    TRY(settle(p, &l, &n, o, began));
    fill_disk(p, (double)(p->train_tokens + p->held_tokens) * (p->vocab_size > 65536 ? 4 : 2));
    return PHA_OK;
}
