/* loader.c -- which tokens a training or evaluation window holds */
#include "io/loader.h"

#include <inttypes.h>
#include <string.h>

#include "base/rng.h"

pha_status pha__loader_open(pha__loader *l, const pha__tokens *tokens, int32_t T, uint64_t seed)
{
    *l = (pha__loader){ 0 };
    if (T < 1) FAIL(USAGE, "a window of %d tokens", T);
    uint64_t count = pha__tokens_count(tokens);
    if (count <= (uint64_t)T)
        FAIL(BAD_INPUT,
             "%" PRIu64 " tokens are too few for one training window of %d and its last target; use more text or a "
             "shorter context", count, T);
    *l = (pha__loader){ tokens, T, seed, (count - 1) / (uint64_t)T, (count - 1) % (uint64_t)T, 1, false };
    return PHA_OK;
}

pha_status pha__loader_open_lanes(pha__loader *l, const pha__tokens *tokens, int32_t T, uint64_t seed, int32_t lanes)
{
    TRY(pha__loader_open(l, tokens, T, seed));
    if (lanes < 1 || l->windows < (uint64_t)lanes)
        FAIL(BAD_INPUT,
             "%" PRIu64 " tokens are too few for %d texts side by side with a window of %d and its last target each; "
             "use more text, a smaller batch or a shorter context", pha__tokens_count(tokens), lanes, T);
    l->lanes = (uint64_t)lanes, l->in_order = true;
    l->windows -= l->windows % l->lanes;
    l->left = pha__tokens_count(tokens) - 1 - l->windows * (uint64_t)T;
    return PHA_OK;
}

uint64_t pha__loader_windows(const pha__loader *l) { return l->windows; }

/* The token that an epoch's first window begins with, 0 to `left`. */
static uint64_t shift(const pha__loader *l, uint32_t epoch)
{
    if (epoch < 2) return epoch ? l->left : 0;
    uint32_t out[4], counter[4] = { 0, epoch, UINT32_MAX, PHA__STREAM_SHUFFLE }; /* rounds have less */
    pha__philox(l->seed, counter, out);
    uint64_t places = l->left + 1 < UINT32_MAX ? l->left + 1 : UINT32_MAX; /* of many lanes */
    return (uint64_t)out[0] * places >> 32;
}

static uint64_t window_of(const pha__loader *l, uint64_t index)
{
    uint64_t place = index % l->windows;
    if (l->in_order) return place % l->lanes * (l->windows / l->lanes) + place / l->lanes;
    return pha__permute(index % l->windows, l->windows, l->seed, (uint32_t)(index / l->windows));
}

pha_status pha__loader_get(const pha__loader *l, uint64_t index, int32_t *tokens, int32_t *targets)
{
    uint64_t epoch = index / l->windows, T = (uint64_t)l->T;
    if (epoch > UINT32_MAX)
        FAIL(USAGE, "sequence %" PRIu64 " is in epoch %" PRIu64 ", beyond what can be shuffled", index, epoch);
    uint64_t begin = shift(l, (uint32_t)epoch) + T * window_of(l, index);
    TRY(pha__tokens_read(l->tokens, begin, (size_t)T, tokens));
    memcpy(targets, tokens + 1, (T - 1) * sizeof *targets);
    return pha__tokens_read(l->tokens, begin + T, 1, targets + T - 1);
}

/* Of the tokens behind the first epoch, those in the first n sequences of the second: lane by lane, from its begin. */
static uint64_t seen_of_rest(const pha__loader *l, uint64_t n)
{
    uint64_t T = (uint64_t)l->T, steps = l->windows / l->lanes, seen = 0;
    for (uint64_t k = 0; k < l->lanes; k++) {
        uint64_t read = n / l->lanes + (k < n % l->lanes), begin = l->left + T * k * steps;
        uint64_t end = begin + T * (read < steps ? read : steps), rest = T * l->windows;
        if (end > rest) seen += end - (begin > rest ? begin : rest);
    }
    return seen;
}

/* All but the last `left` tokens are in the first epoch, and these in the last window of the second. */
uint64_t pha__loader_unseen(const pha__loader *l, uint64_t n)
{
    if (n < l->windows) return (l->windows - n) * (uint64_t)l->T + l->left;
    if (l->in_order) return l->left - seen_of_rest(l, n - l->windows);
    for (uint64_t i = l->windows; i < n && i < 2 * l->windows; i++)
        if (window_of(l, i) == l->windows - 1) return 0;
    return l->left;
}

pha_status pha__cursor_open(pha__cursor *c, const pha__tokens *tokens, int32_t T, int32_t stride)
{
    *c = (pha__cursor){ 0 };
    if (stride == 0) stride = T;
    if (T < 1 || stride < 1 || stride > T)
        FAIL(USAGE, "a window of %d tokens with a stride of %d (1 to %d)", T, stride, T);
    uint64_t count = pha__tokens_count(tokens);
    if (count < 2) FAIL(BAD_INPUT, "%" PRIu64 " tokens: nothing to evaluate (the first token is not scored)", count);
    uint64_t targets = count - 1, after = targets > (uint64_t)T ? targets - (uint64_t)T : 0; /* left after window 0 */
    *c = (pha__cursor){ tokens, T, stride, 1 + after / (uint64_t)stride + (after % (uint64_t)stride != 0) };
    return PHA_OK;
}

uint64_t pha__cursor_windows(const pha__cursor *c) { return c->windows; }

pha_status pha__cursor_get(const pha__cursor *c, uint64_t window, int32_t *tokens, int32_t *targets, int32_t *length,
                           int32_t *scored)
{
    if (window >= c->windows) FAIL(USAGE, "evaluation window %" PRIu64 " of %" PRIu64, window, c->windows);
    uint64_t begin = window * (uint64_t)c->stride, left = pha__tokens_count(c->tokens) - 1 - begin;
    int32_t T = c->T, n = left < (uint64_t)T ? (int32_t)left : T;
    int32_t context = window == 0 ? 0 : T - c->stride; /* positions that an earlier window has scored */
    TRY(pha__tokens_read(c->tokens, begin, (size_t)n, tokens));
    memcpy(targets, tokens + 1, (size_t)(n - 1) * sizeof *targets);
    TRY(pha__tokens_read(c->tokens, begin + (uint64_t)n, 1, targets + n - 1));
    for (int32_t i = 0; i < context; i++) targets[i] = -1;
    for (int32_t i = n; i < T; i++) tokens[i] = 0, targets[i] = -1;
    *length = n;
    *scored = n - context;
    return PHA_OK;
}
