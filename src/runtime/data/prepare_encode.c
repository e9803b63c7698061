/* prepare_encode.c -- encoding in batches: segments are encoded by all threads, then written in order
 *
 * A segment begins and ends where cutting does not change the encoding (io/text_cut.c), so each is encoded alone and
 * the tokens do not depend on how the text was cut or who encoded which segment.
 */
#include <string.h>

#include "base/mem.h"
#include "runtime/data/prepare_impl.h"

enum { BATCH_PER_THREAD = 2 << 20, BATCH_LEAST = 4 << 20, MAX_SEGMENTS = 65536 };

typedef struct task {
    size_t offset, size; /* of the text in the batch */
    int32_t *ids;        /* in the batch, at offset + 2 * the task's number, or its own */
    int32_t *own;        /* there were more than bytes: a normal form, or spaces put in front of words */
    size_t n;
    uint64_t words, lines;
    const char *path; /* of the text's file */
    int split;
    bool begins, ends, eot;
    char before; /* the byte before the text in its document, '\n' at its beginning */
} task;

typedef struct worker { /* a thread's own */
    pha__encoder *encoder;
    pha_status status; /* of the first of its tasks that failed, ... */
    size_t failed;     /* ... which one that was, and what it said */
    pha__message message;
} worker;

struct pha__batcher {
    const pha__tokenizer *tokenizer;
    pha__pool *pool;
    pha__join join;
    pha__tokens_writer **writers;
    pha__split_info *infos;
    worker *workers; /* one per thread */
    char *text;
    int32_t *ids; /* most tokens are at least one byte; two more per task: a prefix space, <|endoftext|> */
    size_t used, capacity;
    task *tasks;
    size_t n;
    char last; /* byte handed in */
    uint64_t with, without;
};

static pha_status reserve(pha__batcher *b, size_t capacity)
{
    pha__free(b->text);
    pha__free(b->ids);
    b->capacity = capacity;
    b->text = pha__alloc(capacity, 1);
    b->ids = pha__alloc(capacity + 2 * MAX_SEGMENTS, sizeof *b->ids);
    if (!b->text || !b->ids) FAIL(NO_MEMORY, "out of memory for encoding %zu bytes at a time", capacity);
    return PHA_OK;
}

static pha_status open_batcher(pha__batcher *b)
{
    size_t threads = (size_t)pha__pool_threads(b->pool), capacity = threads * BATCH_PER_THREAD;
    b->workers = pha__alloc_zero(threads, sizeof *b->workers);
    b->tasks = pha__alloc(MAX_SEGMENTS, sizeof *b->tasks);
    if (!b->workers || !b->tasks) FAIL(NO_MEMORY, "out of memory for encoding");
    for (size_t i = 0; i < threads; i++) TRY(pha__encoder_open(&b->workers[i].encoder, b->tokenizer));
    return reserve(b, capacity > BATCH_LEAST ? capacity : BATCH_LEAST);
}

pha_status pha__batcher_open(pha__batcher **out, const pha__tokenizer *tokenizer, pha__pool *pool, pha__join join,
                             pha__tokens_writer **writers, pha__split_info *infos)
{
    *out = NULL;
    pha__batcher *b = pha__alloc_zero(1, sizeof *b);
    if (!b) FAIL(NO_MEMORY, "out of memory for encoding");
    b->tokenizer = tokenizer, b->pool = pool, b->join = join, b->writers = writers, b->infos = infos;
    pha_status status = open_batcher(b);
    if (status != PHA_OK) {
        pha__batcher_close(b);
        return status;
    }
    *out = b;
    return PHA_OK;
}

static void forget(pha__batcher *b)
{
    for (size_t i = 0; i < b->n; i++) pha__free(b->tasks[i].own);
    b->n = b->used = 0;
}

void pha__batcher_close(pha__batcher *b)
{
    if (!b) return;
    forget(b);
    for (int i = 0; b->workers && i < pha__pool_threads(b->pool); i++) pha__encoder_close(b->workers[i].encoder);
    pha__free(b->workers);
    pha__free(b->tasks);
    pha__free(b->text);
    pha__free(b->ids);
    pha__free(b);
}

void pha__batcher_joined(const pha__batcher *b, uint64_t *with, uint64_t *without)
{
    *with = b->with, *without = b->without;
}

static pha_status encode(pha__batcher *b, size_t i, pha__encoder *encoder)
{
    task *t = &b->tasks[i];
    const int32_t *from;
    TRY(pha__encode(encoder, b->text + t->offset, t->size, false, &from, &t->n));
    if (t->n > t->size + 1 && !(t->own = pha__alloc(t->n + 1, sizeof *t->own))) return PHA_NO_MEMORY;
    t->ids = t->own ? t->own : b->ids + t->offset + 2 * i;
    memcpy(t->ids, from, t->n * sizeof *from);
    if (t->eot) t->ids[t->n++] = pha__tokenizer_eot(b->tokenizer);
    pha__text_count(b->text + t->offset, t->size, t->before, &t->words, &t->lines);
    return PHA_OK;
}

/* Tasks are claimed in order, so of those that fail the first is the first of its thread. */
static void encode_range(void *context, int64_t begin, int64_t end, int number)
{
    pha__batcher *b = context;
    worker *w = &b->workers[number];
    for (int64_t i = begin; i < end && !w->status; i++) {
        w->status = encode(b, (size_t)i, w->encoder);
        if (w->status) w->failed = (size_t)i, w->message = pha__message_keep();
    }
}

/* A message is its thread's own: that of the first task that failed is said again on this one. */
static pha_status check_workers(const pha__batcher *b)
{
    const worker *first = NULL;
    for (int i = 0; i < pha__pool_threads(b->pool); i++) {
        const worker *w = &b->workers[i];
        if (w->status && (!first || w->failed < first->failed)) first = w;
    }
    if (!first) return PHA_OK;
    pha__message_restore(&first->message);
    return pha__fail_in(first->status, "%s: encoding failed", b->tasks[first->failed].path);
}

/* The first token of a split is never a target: numbers per byte and per word leave out what it stands for, and words
 * that end with it. A space may have been put before the text. */
static void look_at_first(const pha__batcher *b, const task *t, int32_t id, pha__split_info *info)
{
    const char *text = b->text + t->offset;
    size_t n;
    const unsigned char *bytes = pha__tokenizer_bytes(b->tokenizer, id, &n);
    if (bytes && n && bytes[0] == ' ' && text[0] != ' ') n--;
    if (!bytes || n > t->size) return;
    uint64_t words = 0, lines = 0;
    pha__text_count(text, n, '\n', &words, &lines);
    bool inside = n > 0 && !pha__text_is_space(text[n - 1]);
    bool ends = n < t->size ? pha__text_is_space(text[n]) : t->ends;
    info->first_bytes = n;
    info->first_words = lines + words - (inside && !ends);
}

pha_status pha__batcher_flush(pha__batcher *b)
{
    pha__pool_run(b->pool, (int64_t)b->n, encode_range, b);
    TRY(check_workers(b));
    for (size_t i = 0; i < b->n; i++) {
        const task *t = &b->tasks[i];
        pha__split_info *info = &b->infos[t->split];
        if (info->tokens == 0 && t->n > 0) look_at_first(b, t, t->ids[0], info);
        info->tokens += t->n, info->bytes += t->size, info->lines += t->lines;
        info->words += t->words + t->lines; /* a line's end counts as a word: see docs/format.md */
        info->documents += t->begins;
        b->with += t->ends && t->eot;
        b->without += t->ends && !t->eot;
        TRY(pha__tokens_writer_add(b->writers[t->split], t->ids, t->n));
    }
    forget(b);
    return PHA_OK;
}

pha_status pha__batcher_add(pha__batcher *b, const pha__segment *s)
{
    if (b->n == MAX_SEGMENTS || s->size > b->capacity - b->used) TRY(pha__batcher_flush(b));
    if (s->size > b->capacity) TRY(reserve(b, s->size));
    bool eot = s->ends && (b->join == PHA__JOIN_EOT || (b->join == PHA__JOIN_AUTO && !s->wikitext));
    memcpy(b->text + b->used, s->data, s->size);
    b->tasks[b->n++] = (task){.offset = b->used,
                              .size = s->size,
                              .path = s->path,
                              .split = s->split,
                              .begins = s->begins,
                              .ends = s->ends,
                              .eot = eot,
                              .before = s->begins ? '\n' : b->last};
    b->used += s->size;
    if (s->size) b->last = s->data[s->size - 1];
    return PHA_OK;
}
