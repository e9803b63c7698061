/* bpe_learn.c -- from counted words to merges
 *
 * Counts of pairs are exact at all times: a merge touches only the words that hold its pair and changes the counts of
 * the neighbours. The heap holds (count, pair) with counts that may be out of date: too high ones are put right when
 * they come up, and a pair whose count has risen is put on again.
 */
#include "io/tokenizer/bpe_learn.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "io/tokenizer/bpe_pairs.h"

typedef struct item {
    int64_t count;
    uint32_t entry;
} item;

typedef struct learner {
    pha__learned *out;
    uint32_t bytes_capacity, merges_capacity;
    uint32_t *token_slots; /* from bytes to token + 1: two pairs may make the same token */
    uint32_t token_mask;
    int32_t *symbols; /* of all words */
    uint32_t n_words, *word_size;
    uint64_t *word_start, *word_count;
    pha__pairs pairs;
    item *heap;
    size_t n_heap, heap_capacity;
    uint32_t *risen;
    size_t n_risen, risen_capacity;
} learner;

static int compare_tokens(const pha__learned *l, int32_t a, int32_t b)
{
    if (a == b) return 0;
    size_t na = l->start[a + 1] - l->start[a], nb = l->start[b + 1] - l->start[b];
    int order = memcmp(l->bytes + l->start[a], l->bytes + l->start[b], na < nb ? na : nb);
    return order ? order : (na > nb) - (na < nb);
}

/* a goes before b */
static bool before(const learner *t, item a, item b)
{
    if (a.count != b.count) return a.count > b.count;
    uint64_t pa = t->pairs.entries[a.entry].pair, pb = t->pairs.entries[b.entry].pair;
    int order = compare_tokens(t->out, (int32_t)(pa >> 32), (int32_t)(pb >> 32));
    return order ? order < 0 : compare_tokens(t->out, (int32_t)pa, (int32_t)pb) < 0;
}

static pha_status heap_push(learner *t, uint32_t entry)
{
    if (t->n_heap == t->heap_capacity) {
        item *heap = pha__realloc(t->heap, t->heap_capacity * 2, sizeof *heap);
        if (!heap) return PHA_NO_MEMORY;
        t->heap = heap;
        t->heap_capacity *= 2;
    }
    item x = {t->pairs.entries[entry].count, entry};
    size_t i = t->n_heap++;
    for (; i && before(t, x, t->heap[(i - 1) / 2]); i = (i - 1) / 2) t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = x;
    return PHA_OK;
}

static void heap_drop(learner *t)
{
    item x = t->heap[--t->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < t->n_heap; i = child) {
        if (child + 1 < t->n_heap && before(t, t->heap[child + 1], t->heap[child])) child++;
        if (!before(t, t->heap[child], x)) break;
        t->heap[i] = t->heap[child];
    }
    if (t->n_heap) t->heap[i] = x;
}

/* The best pair, or PHA__NO_PAIR. */
static pha_status best_pair(learner *t, uint32_t *entry)
{
    *entry = PHA__NO_PAIR;
    while (t->n_heap) {
        item top = t->heap[0];
        int64_t now = t->pairs.entries[top.entry].count;
        heap_drop(t);
        if (now == top.count && now > 0) return *entry = top.entry, PHA_OK;
        if (now > 0 && now < top.count) TRY(heap_push(t, top.entry)); /* a higher count was put on when it rose */
    }
    return PHA_OK;
}

/* A change in word `word`; what rises is noted, once. */
static pha_status change(learner *t, int32_t left, int32_t right, int64_t by, uint32_t word)
{
    uint32_t entry;
    TRY(pha__pairs_count(&t->pairs, left, right, by, &entry));
    if (by < 0) return PHA_OK;
    TRY(pha__pairs_note(&t->pairs, entry, word));
    if (t->pairs.entries[entry].risen) return PHA_OK;
    t->pairs.entries[entry].risen = 1;
    if (t->n_risen == t->risen_capacity) {
        uint32_t *risen = pha__realloc(t->risen, t->risen_capacity * 2, sizeof *risen);
        if (!risen) return PHA_NO_MEMORY;
        t->risen = risen;
        t->risen_capacity *= 2;
    }
    t->risen[t->n_risen++] = entry;
    return PHA_OK;
}

static pha_status push_risen(learner *t)
{
    for (size_t i = 0; i < t->n_risen; i++) {
        t->pairs.entries[t->risen[i]].risen = 0;
        TRY(heap_push(t, t->risen[i]));
    }
    t->n_risen = 0;
    return PHA_OK;
}

/* Replaces (a, b) by c in a word, from the left. */
static pha_status merge_in_word(learner *t, uint32_t word, int32_t a, int32_t b, int32_t c)
{
    int32_t *s = t->symbols + t->word_start[word];
    uint32_t n = t->word_size[word], k = 0;
    int64_t count = (int64_t)t->word_count[word];
    for (uint32_t i = 0; i < n; i++) {
        if (s[i] != a || i + 1 == n || s[i + 1] != b) {
            s[k++] = s[i];
            continue;
        }
        TRY(change(t, a, b, -count, word));
        if (k) {
            TRY(change(t, s[k - 1], a, -count, word));
            TRY(change(t, s[k - 1], c, count, word));
        }
        if (i + 2 < n) {
            TRY(change(t, b, s[i + 2], -count, word));
            TRY(change(t, c, s[i + 2], count, word));
        }
        s[k++] = c;
        i++;
    }
    t->word_size[word] = k;
    return PHA_OK;
}

static uint32_t token_place(const learner *t, const unsigned char *bytes, size_t size)
{
    const pha__learned *l = t->out;
    for (uint32_t i = (uint32_t)pha__hash(bytes, size, 0) & t->token_mask;; i = (i + 1) & t->token_mask) {
        uint32_t k = t->token_slots[i];
        if (!k || (l->start[k] - l->start[k - 1] == size && memcmp(l->bytes + l->start[k - 1], bytes, size) == 0))
            return i;
    }
}

/* The token that a pair makes: a new one, or one that another pair has made before. */
static pha_status new_token(learner *t, int32_t a, int32_t b, int32_t *id)
{
    pha__learned *l = t->out;
    uint32_t na = l->start[a + 1] - l->start[a], nb = l->start[b + 1] - l->start[b], end = l->start[l->n_tokens];
    if (end > UINT32_MAX / 4) FAIL(NO_MEMORY, "the tokens of the new vocabulary take more than 1 GiB");
    if (end + na + nb > t->bytes_capacity) {
        uint32_t capacity = (end + na + nb) * 2;
        unsigned char *bytes = pha__realloc(l->bytes, capacity, 1);
        if (!bytes) return PHA_NO_MEMORY;
        l->bytes = bytes;
        t->bytes_capacity = capacity;
    }
    memcpy(l->bytes + end, l->bytes + l->start[a], na);
    memcpy(l->bytes + end + na, l->bytes + l->start[b], nb);
    uint32_t i = token_place(t, l->bytes + end, na + nb);
    if (!t->token_slots[i]) {
        l->start[l->n_tokens + 1] = end + na + nb;
        t->token_slots[i] = (uint32_t)++l->n_tokens;
    }
    *id = (int32_t)t->token_slots[i] - 1;
    return PHA_OK;
}

static pha_status merge_pair(learner *t, uint32_t entry)
{
    pha__learned *l = t->out;
    int32_t a = (int32_t)(t->pairs.entries[entry].pair >> 32), b = (int32_t)t->pairs.entries[entry].pair, c = 0;
    TRY(new_token(t, a, b, &c));
    if (l->n_merges == t->merges_capacity) {
        pha__merge *merges = pha__realloc(l->merges, (size_t)t->merges_capacity * 2, sizeof *merges);
        if (!merges) return PHA_NO_MEMORY;
        l->merges = merges;
        t->merges_capacity *= 2;
    }
    l->merges[l->n_merges++] = (pha__merge){a, b, c};
    for (uint32_t node = pha__pairs_take(&t->pairs, entry), next; node; node = next) {
        pha__word_node copy = t->pairs.nodes[node];
        next = copy.next;
        pha__pairs_free_node(&t->pairs, node);
        for (uint32_t i = 0; i < copy.n; i++) TRY(merge_in_word(t, copy.word[i], a, b, c));
    }
    return push_risen(t);
}

/* Words become rows of symbols; the table of words isn't needed any more. */
static pha_status load_words(learner *t, pha__words *words)
{
    t->n_words = (uint32_t)words->n;
    t->symbols = pha__alloc(words->bytes_size + 1, sizeof *t->symbols);
    t->word_start = pha__alloc(words->n + 1, sizeof *t->word_start);
    t->word_count = pha__alloc(words->n + 1, sizeof *t->word_count);
    t->word_size = pha__alloc(words->n + 1, sizeof *t->word_size);
    if (!t->symbols || !t->word_start || !t->word_count || !t->word_size) return PHA_NO_MEMORY;
    for (size_t i = 0; i < words->bytes_size; i++) t->symbols[i] = words->bytes[i];
    for (uint32_t k = 0; k < t->n_words; k++) {
        t->word_start[k] = words->words[k].start;
        t->word_size[k] = words->words[k].size;
        t->word_count[k] = words->words[k].count;
    }
    pha__words_close(words);
    for (uint32_t k = 0; k < t->n_words; k++) {
        const int32_t *s = t->symbols + t->word_start[k];
        for (uint32_t i = 0; i + 1 < t->word_size[k]; i++) TRY(change(t, s[i], s[i + 1], (int64_t)t->word_count[k], k));
    }
    return push_risen(t);
}

static pha_status open_learner(learner *t, int32_t n_wanted)
{
    enum { FIRST = 1 << 12 };
    pha__learned *l = t->out;
    t->bytes_capacity = FIRST;
    t->merges_capacity = FIRST;
    t->heap_capacity = t->risen_capacity = FIRST;
    t->token_mask = 1023;
    while (t->token_mask < (uint32_t)n_wanted * 2) t->token_mask = t->token_mask * 2 + 1;
    l->bytes = pha__alloc(t->bytes_capacity, 1);
    l->start = pha__alloc((size_t)n_wanted + 2, sizeof *l->start);
    l->merges = pha__alloc(t->merges_capacity, sizeof *l->merges);
    t->token_slots = pha__alloc_zero((size_t)t->token_mask + 1, sizeof *t->token_slots);
    t->heap = pha__alloc(t->heap_capacity, sizeof *t->heap);
    t->risen = pha__alloc(t->risen_capacity, sizeof *t->risen);
    if (!l->bytes || !l->start || !l->merges || !t->token_slots || !t->heap || !t->risen) return PHA_NO_MEMORY;
    for (int32_t i = 0; i < 256; i++) {
        l->bytes[i] = (unsigned char)i;
        l->start[i] = (uint32_t)i;
        l->start[i + 1] = (uint32_t)i + 1;
        t->token_slots[token_place(t, l->bytes + i, 1)] = (uint32_t)++l->n_tokens;
    }
    return pha__pairs_open(&t->pairs);
}

static void close_learner(learner *t)
{
    pha__free(t->token_slots);
    pha__free(t->symbols);
    pha__free(t->word_size);
    pha__free(t->word_start);
    pha__free(t->word_count);
    pha__free(t->heap);
    pha__free(t->risen);
    pha__pairs_close(&t->pairs);
}

static pha_status learn(learner *t, pha__words *words, int32_t n_wanted, pha__bpe_progress *progress, void *context)
{
    enum { TELL_EVERY = 64 };
    TRY(open_learner(t, n_wanted));
    TRY(load_words(t, words));
    while (t->out->n_tokens < n_wanted) {
        int32_t done = t->out->n_tokens - 256;
        if (progress && done % TELL_EVERY == 0 && progress(context, done, n_wanted - 256))
            FAIL(STOPPED, "training of the vocabulary: stopped after %d merges", (int)done);
        uint32_t entry;
        TRY(best_pair(t, &entry));
        if (entry == PHA__NO_PAIR) break;
        TRY(merge_pair(t, entry));
    }
    if (progress) progress(context, t->out->n_tokens - 256, n_wanted - 256);
    return PHA_OK;
}

pha_status pha__bpe_learn(pha__learned *out, pha__words *words, int32_t n_wanted, pha__bpe_progress *progress,
                          void *context)
{
    *out = (pha__learned){0};
    learner t = {.out = out};
    pha_status status = learn(&t, words, n_wanted, progress, context);
    close_learner(&t);
    return status;
}

void pha__learned_close(pha__learned *l)
{
    pha__free(l->bytes);
    pha__free(l->start);
    pha__free(l->merges);
    *l = (pha__learned){0};
}
