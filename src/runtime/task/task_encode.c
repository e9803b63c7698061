/* task_encode.c -- contexts and continuations as tokens
 *
 * White space at the end of a context goes to the continuation, since tokens begin with blanks. The continuation has
 * the tokens of both together behind as many as the context alone has. An empty context is the token that ends a text.
 */
#include <inttypes.h>
#include <string.h>

#include "runtime/task/task.h"

typedef struct encoding {
    pha__exam *task;
    pha__encoder *encoder;
    const pha__tokenizer *tokenizer;
    int32_t context;
    pha__str text; /* of a context with a continuation */
} encoding;

static pha_status keep(encoding *e, int32_t **out, int32_t *n_out, const int32_t *ids, size_t n)
{
    *out = pha__arena_alloc(&e->task->arena, n + 1, sizeof **out);
    if (!*out) return PHA_NO_MEMORY;
    if (n) memcpy(*out, ids, n * sizeof *ids);
    *n_out = (int32_t)n;
    return PHA_OK;
}

static pha_status context_ids(encoding *e, pha__item *item, size_t stripped)
{
    const int32_t *ids;
    size_t n = 0;
    if (stripped > 0) TRY(pha__encode(e->encoder, item->context, stripped, true, &ids, &n));
    int32_t end = pha__tokenizer_eot(e->tokenizer);
    if (n == 0 && end < 0)
        FAIL(BAD_INPUT, "an empty context stands for the token that ends a text, and this tokenizer has none");
    return n ? keep(e, &item->ids, &item->n_ids, ids, n) : keep(e, &item->ids, &item->n_ids, &end, 1);
}

static pha_status choice_ids(encoding *e, const pha__item *item, pha__choice *c, size_t stripped)
{
    const int32_t *ids;
    size_t n, from = stripped > 0 ? (size_t)item->n_ids : 0;
    pha__str_clear(&e->text);
    pha__str_add(&e->text, item->context, item->size);
    pha__str_add(&e->text, c->text, c->size);
    if (e->text.failed) return PHA_NO_MEMORY;
    TRY(pha__encode(e->encoder, e->text.data, e->text.size, true, &ids, &n));
    if (n <= from)
        FAIL(BAD_INPUT, "the continuation '%.40s' has no token of its own: it melts into those of the context",
             c->text);
    if (n - from > (size_t)e->context)
        FAIL(BAD_INPUT, "a continuation of %zu tokens is longer than the %d that the model reads at once", n - from,
             e->context);
    return keep(e, &c->ids, &c->n, ids + from, n - from);
}

static pha_status encode_item(encoding *e, pha__item *item)
{
    size_t stripped = pha__task_strip(item->context, item->size);
    TRY(context_ids(e, item, stripped));
    for (int i = 0; i < item->n; i++) {
        pha__choice *c = &item->choices[i];
        TRY(choice_ids(e, item, c, stripped));
        int64_t over = (int64_t)item->n_ids + c->n - e->context - 1;
        if (over > item->dropped) item->dropped = (int32_t)over;
    }
    return PHA_OK;
}

pha_status pha__task_encode(pha__exam *t, const pha__tokenizer *tokenizer, int32_t context)
{
    encoding e = {.task = t, .tokenizer = tokenizer, .context = context};
    TRY(pha__encoder_open(&e.encoder, tokenizer));
    pha_status status = PHA_OK;
    for (size_t i = 0; i < t->n && !status; i++) {
        status = encode_item(&e, &t->items[i]);
        if (status == PHA_BAD_INPUT) pha__fail_in(status, "%s:%" PRIu64, t->path, t->items[i].line);
    }
    pha__encoder_close(e.encoder);
    pha__str_free(&e.text);
    return status;
}
