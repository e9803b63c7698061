/* bpe_words.c -- counting the words of a text, in bounded memory
 *
 * When there are too many distinct words (or their bytes take more than AVERAGE for each of them), the rarest half
 * goes: first by count, then by age. What is kept depends on the text alone.
 */
#include "io/tokenizer/bpe_words.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum { AVERAGE = 64, FIRST_WORDS = 4096 };

pha_status pha__words_open(pha__words *w, size_t max_words)
{
    *w = (pha__words){.max_words = max_words, .capacity = FIRST_WORDS, .bytes_capacity = FIRST_WORDS * 16};
    if (w->bytes_capacity < PHA__TRAIN_WORD) w->bytes_capacity = PHA__TRAIN_WORD;
    w->slots_mask = FIRST_WORDS * 2 - 1;
    w->words = pha__alloc(w->capacity, sizeof *w->words);
    w->slots = pha__alloc_zero(w->slots_mask + 1, sizeof *w->slots);
    w->bytes = pha__alloc(w->bytes_capacity, 1);
    return w->words && w->slots && w->bytes ? PHA_OK : PHA_NO_MEMORY;
}

void pha__words_close(pha__words *w)
{
    pha__free(w->words);
    pha__free(w->slots);
    pha__free(w->bytes);
    *w = (pha__words){0};
}

static size_t place(const pha__words *w, const unsigned char *word, size_t size)
{
    for (size_t i = pha__hash(word, size, 0) & w->slots_mask;; i = (i + 1) & w->slots_mask) {
        uint32_t k = w->slots[i];
        if (!k) return i;
        const pha__word *have = &w->words[k - 1];
        if (have->size == size && memcmp(w->bytes + have->start, word, size) == 0) return i;
    }
}

static void fill_slots(pha__words *w)
{
    memset(w->slots, 0, (w->slots_mask + 1) * sizeof *w->slots);
    for (size_t k = 0; k < w->n; k++)
        w->slots[place(w, w->bytes + w->words[k].start, w->words[k].size)] = (uint32_t)k + 1;
}

static pha_status grow(pha__words *w)
{
    pha__word *words = pha__realloc(w->words, w->capacity * 2, sizeof *words);
    if (!words) return PHA_NO_MEMORY;
    w->words = words;
    w->capacity *= 2;
    uint32_t *slots = pha__alloc_zero(w->capacity * 2, sizeof *slots);
    if (!slots) return PHA_NO_MEMORY;
    pha__free(w->slots);
    w->slots = slots;
    w->slots_mask = w->capacity * 2 - 1;
    fill_slots(w);
    return PHA_OK;
}

static int compare_counts(const void *pa, const void *pb)
{
    const uint64_t *a = pa, *b = pb;
    return (*a > *b) - (*a < *b);
}

/* Drops the rarest half. */
static pha_status prune(pha__words *w)
{
    size_t drop = w->n / 2 + 1, below = 0, n = 0;
    uint64_t *counts = pha__alloc(w->n, sizeof *counts);
    if (!counts) return PHA_NO_MEMORY;
    for (size_t k = 0; k < w->n; k++) counts[k] = w->words[k].count;
    qsort(counts, w->n, sizeof *counts, compare_counts);
    uint64_t limit = counts[drop - 1];
    while (counts[below] < limit) below++;
    pha__free(counts);
    size_t equal = drop - below, end = 0; /* of those with the limit's count, so many go, oldest first */
    for (size_t k = 0; k < w->n; k++) {
        pha__word word = w->words[k];
        if (word.count < limit || (word.count == limit && equal && equal--)) continue;
        memmove(w->bytes + end, w->bytes + word.start, word.size);
        word.start = (uint32_t)end;
        end += word.size;
        w->words[n++] = word;
    }
    w->n_dropped += w->n - n;
    w->n = n;
    w->bytes_size = end;
    fill_slots(w);
    return PHA_OK;
}

static pha_status add_piece(pha__words *w, const unsigned char *word, size_t size)
{
    size_t i = place(w, word, size);
    if (w->slots[i]) {
        w->words[w->slots[i] - 1].count++;
        return PHA_OK;
    }
    size_t limit = w->max_words * AVERAGE;
    if (w->n && (w->n >= w->max_words || w->bytes_size + size > limit)) {
        while (w->n && (w->n >= w->max_words || w->bytes_size + size > limit)) TRY(prune(w));
    } else if (w->n == w->capacity) {
        TRY(grow(w));
    }
    if (w->bytes_size + size > w->bytes_capacity) {
        unsigned char *bytes = pha__realloc(w->bytes, w->bytes_capacity * 2, 1);
        if (!bytes) return PHA_NO_MEMORY;
        w->bytes = bytes;
        w->bytes_capacity *= 2;
    }
    memcpy(w->bytes + w->bytes_size, word, size);
    w->words[w->n] = (pha__word){.count = 1, .start = (uint32_t)w->bytes_size, .size = (uint32_t)size};
    w->bytes_size += size;
    w->slots[place(w, word, size)] = (uint32_t)++w->n;
    return PHA_OK;
}

pha_status pha__words_add(pha__words *w, const unsigned char *word, size_t size)
{
    for (; size > PHA__TRAIN_WORD; word += PHA__TRAIN_WORD, size -= PHA__TRAIN_WORD)
        TRY(add_piece(w, word, PHA__TRAIN_WORD));
    return size ? add_piece(w, word, size) : PHA_OK;
}
