/* choose.c -- of all models the one that is to be the best when the time is over, and all that is expected of it */
#include <math.h>
#include <stdlib.h>

#include "base/print.h"
#include "runtime/new/new.h"

/* Behind so many passes a text has little more to give, and a model begins to learn it by heart. */
static const double PASSES = 8;
/* Of a step of training, the share that scoring costs per token; and what everything else takes: files, a sample, the
 * report. */
static const double SCORING = 0.4, REST = 1.5, MARGIN = 0.98;
enum { EARLY = 16, EVALUATIONS = 4 }; /* windows that pha_train scores behind its first step */

/* Seconds per token, by the nearest rung that was measured. */
static double pace(const pha__ladder *l, int rung)
{
    int nearest = -1;
    for (int i = 0; i < l->n; i++)
        if (l->rung[i].seconds > 0 && (nearest < 0 || abs(i - rung) <= abs(nearest - rung))) nearest = i;
    if (nearest < 0) return INFINITY;
    return l->rung[nearest].seconds / l->rung[nearest].flops * l->rung[rung].flops;
}

/* Tokens that are scored on the way, besides those at the end. */
static double scored_on_the_way(const pha_plan *p)
{
    double each = fmin((double)p->scored_tokens, (double)pha__new_glance(p));
    return EVALUATIONS * each + fmin(EARLY * p->context, (double)p->held_tokens);
}

static double expected_loss(const pha_plan *p, double body, const pha__ngram *n)
{
    double tokens = (double)p->steps * p->batch * p->context, distinct = fmin(tokens, (double)p->train_tokens);
    pha__law_point at = {body, tokens, distinct, pha__ngram_at(n, distinct), pha__ngram_at(n, 1e6)};
    return pha__law(&at);
}

static void set_bound(pha_plan *p, const char *bound) { pha__print(p->bound, sizeof p->bound, "%s", bound); }

/* Training, and all that follows from its length. */
static void fill(pha_plan *p, const pha__ladder *l, int rung, const pha__ngram *n, double seconds, int64_t most_steps)
{
    double at = pace(l, rung), most = PASSES * (double)p->train_tokens;
    p->d_model = l->rung[rung].d_model, p->n_layer = l->rung[rung].n_layer;
    p->parameters = l->rung[rung].parameters, p->memory_bytes = l->rung[rung].bytes;
    p->tokens_per_second = 1 / at;
    pha__recipe(p, fmin(seconds / at, most)); /* for the context */
    double scoring = SCORING * at * (scored_on_the_way(p) + (double)p->scored_tokens);
    double tokens = fmax((MARGIN * seconds - REST - scoring) / at, 1);
    set_bound(p, tokens > most ? "text" : "time");
    pha__recipe(p, fmin(tokens, most));
    if (most_steps > 0 && p->steps > most_steps) {
        pha__recipe(p, (double)most_steps * p->batch * p->context);
        if (p->steps > most_steps) p->steps = most_steps;
        if (p->warmup >= p->steps) p->warmup = 0;
        set_bound(p, "steps");
    }
    double trained = (double)p->steps * p->batch * p->context;
    p->passes = trained / (double)p->train_tokens;
    p->train_seconds = trained * at;
    p->seconds = p->prepare_seconds + p->train_seconds + scoring + REST;
    p->loss = expected_loss(p, (double)l->rung[rung].body, n);
}

int pha__choose(pha_plan *p, const pha__ladder *l, const pha__ngram *n, double seconds, int64_t most_steps)
{
    int best = -1;
    pha_plan found = *p;
    for (int i = 0; i < l->n; i++) {
        pha_plan one = *p;
        if ((double)l->rung[i].bytes > 0.8 * l->memory_free) continue;
        fill(&one, l, i, n, seconds, most_steps);
        double trained = (double)one.steps * one.batch * one.context;
        if (best >= 0 && (one.loss >= found.loss || (double)one.parameters > trained)) continue;
        best = i, found = one;
    }
    if (best < 0) return best;
    *p = found;
    p->loss_error = pha__law_error;
    p->token_ppl = exp(p->loss), p->bits_per_byte = p->loss / p->bytes_per_token / log(2);
    return best;
}
