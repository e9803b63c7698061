/* bpe_encode.c -- text to ids: sections between added tokens, words of a section, a cache of words
 *
 * The text is read where it lies. Most words of real text are in the cache, whose entries take one cache line each; the
 * cache is direct-mapped, so its memory and time are bounded on any text.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/tokenizer/bpe_merge.h"
#include "io/tokenizer/tokenizer_impl.h"

enum { KEY_WORDS = 3, KEY_BYTES = 8 * KEY_WORDS, ENTRY_IDS = 9, CACHE_BITS = 15 };

typedef struct entry {
    uint64_t key[KEY_WORDS]; /* the word, padded with zeros */
    uint8_t size, n;         /* bytes of the word (0: free), ids */
    uint8_t unused[2];
    int32_t ids[ENTRY_IDS];
} entry;
_Static_assert(sizeof(entry) == 64, "an entry is a cache line");

struct pha__encoder {
    const pha__tokenizer *t;
    int32_t *ids;
    size_t n, capacity;
    entry *cache;
    pha__merge_space space;
    unsigned char *prefixed; /* a section with a space put in front */
    size_t prefixed_capacity;
    bool first_byte[2][256]; /* of added tokens: those always found, all */
};

pha_status pha__encoder_open(pha__encoder **out, const pha__tokenizer *t)
{
    *out = NULL;
    pha__encoder *e = pha__alloc_zero(1, sizeof *e);
    if (!e) return PHA_NO_MEMORY;
    e->t = t;
    e->capacity = 4096;
    e->ids = pha__alloc(e->capacity, sizeof *e->ids);
    e->cache = pha__alloc_zero((size_t)1 << CACHE_BITS, sizeof *e->cache);
    if (!e->ids || !e->cache) {
        pha__encoder_close(e);
        return PHA_NO_MEMORY;
    }
    for (int32_t i = 0; i < t->n_plain; i++) e->first_byte[0][t->plain[i].text[0]] = true;
    for (int32_t i = 0; i < t->n_added; i++) e->first_byte[1][t->added[i].text[0]] = true;
    *out = e;
    return PHA_OK;
}

void pha__encoder_close(pha__encoder *e)
{
    if (!e) return;
    pha__free(e->ids);
    pha__free(e->cache);
    pha__free(e->prefixed);
    pha__merge_space_free(&e->space);
    pha__free(e);
}

static pha_status grow(pha__encoder *e, size_t more)
{
    size_t capacity = e->capacity * 2 > e->n + more ? e->capacity * 2 : e->n + more;
    int32_t *ids = pha__realloc(e->ids, capacity, sizeof *ids);
    if (!ids) return PHA_NO_MEMORY;
    e->ids = ids;
    e->capacity = capacity;
    return PHA_OK;
}

#define RESERVE(e, more)                                                                                               \
    do {                                                                                                               \
        if ((e)->capacity - (e)->n < (more)) TRY(grow(e, more));                                                       \
    } while (0)

/* A word that isn't in the cache; there is room for its ids. */
static pha_status encode_fresh(pha__encoder *e, const unsigned char *word, size_t size, size_t *n)
{
    if (e->t->ignore_merges && size <= PHA__TOKEN_BYTES_LIMIT) {
        int32_t id = pha__tokenizer_find(e->t, word, size);
        if (id >= 0) return e->ids[e->n] = id, *n = 1, PHA_OK;
    }
    return pha__merge_word(e->t, &e->space, word, size, e->ids + e->n, n);
}

/* The word, padded with zeros; `left` bytes may be read. */
static inline void load_key(uint64_t key[KEY_WORDS], const unsigned char *word, size_t size, size_t left)
{
    static const uint64_t mask[9] = {
        0, 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF, 0xFFFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFF, UINT64_MAX};
    if (left >= KEY_BYTES && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
        memcpy(key, word, KEY_BYTES);
        key[0] &= mask[size < 8 ? size : 8];
        key[1] &= mask[size < 8 ? 0 : size < 16 ? size - 8 : 8];
        key[2] &= mask[size < 16 ? 0 : size - 16];
    } else {
        memset(key, 0, KEY_BYTES);
        memcpy(key, word, size);
    }
}

/* A word of 2 to KEY_BYTES bytes. */
static pha_status encode_cached(pha__encoder *e, const unsigned char *word, size_t size, size_t left)
{
    uint64_t key[KEY_WORDS];
    load_key(key, word, size, left);
    uint64_t hash = pha__mix64((key[0] ^ key[1] * 0xA24BAED4963EE407u ^ key[2] * 0x9FB21C651E98DF25u) + size);
    entry *c = &e->cache[hash >> (64 - CACHE_BITS)];
    if (c->key[0] == key[0] && c->key[1] == key[1] && c->key[2] == key[2] && c->size == size) {
        memcpy(e->ids + e->n, c->ids, sizeof c->ids);
        e->n += c->n;
        return PHA_OK;
    }
    size_t n;
    TRY(encode_fresh(e, word, size, &n));
    if (n <= ENTRY_IDS) {
        memcpy(c->key, key, sizeof key);
        memcpy(c->ids, e->ids + e->n, n * sizeof *c->ids);
        c->size = (uint8_t)size;
        c->n = (uint8_t)n;
    }
    e->n += n;
    return PHA_OK;
}

static pha_status encode_words(pha__encoder *e, const unsigned char *s, size_t size)
{
    const pha__tokenizer *t = e->t;
    for (size_t i = 0, end; i < size; i = end) {
        end = pha__word_end(t->split, s, i, size);
        size_t n = end - i;
        RESERVE(e, n + ENTRY_IDS);
        if (n == 1) {
            e->ids[e->n++] = t->byte_id[s[i]];
        } else if (n <= KEY_BYTES) {
            TRY(encode_cached(e, s + i, n, size - i));
        } else {
            size_t n_ids;
            TRY(encode_fresh(e, s + i, n, &n_ids));
            e->n += n_ids;
        }
    }
    return PHA_OK;
}

/* Text without added tokens. */
static pha_status encode_section(pha__encoder *e, const unsigned char *s, size_t size)
{
    if (size == 0) return PHA_OK;
    if (e->t->n_merges == 0 && !e->t->ignore_merges && !e->t->add_prefix_space) {
        RESERVE(e, size);
        for (size_t i = 0; i < size; i++) e->ids[e->n++] = e->t->byte_id[s[i]];
        return PHA_OK;
    }
    if (!e->t->add_prefix_space || s[0] == ' ') return encode_words(e, s, size);
    if (e->prefixed_capacity < size + 1) {
        pha__free(e->prefixed);
        e->prefixed_capacity = 0;
        e->prefixed = pha__alloc(size + 1, 1);
        if (!e->prefixed) return PHA_NO_MEMORY;
        e->prefixed_capacity = size + 1;
    }
    e->prefixed[0] = ' ';
    memcpy(e->prefixed + 1, s, size);
    return encode_words(e, e->prefixed, size + 1);
}

/* The longest of the n sorted added tokens that the text begins with, or NULL: narrows the range byte by byte. */
static const pha__added *match(const pha__added *list, int32_t n, const unsigned char *s, size_t size)
{
    const pha__added *found = NULL;
    int32_t low = 0, high = n;
    for (size_t depth = 0; low < high; depth++) {
        if (list[low].size == depth) found = &list[low++]; /* the shortest comes first */
        if (depth == size) break;
        int32_t a = low, b = high;
        while (a < b) { /* the first whose byte is not below s[depth] */
            int32_t m = a + (b - a) / 2;
            if (list[m].text[depth] < s[depth]) a = m + 1;
            else b = m;
        }
        low = a;
        b = high;
        while (a < b) { /* the first whose byte is above it */
            int32_t m = a + (b - a) / 2;
            if (list[m].text[depth] <= s[depth]) a = m + 1;
            else b = m;
        }
        high = a;
    }
    return found;
}

static pha_status encode_with_added(pha__encoder *e, const unsigned char *s, size_t size, bool special)
{
    const pha__added *list = special ? e->t->added : e->t->plain;
    int32_t n = special ? e->t->n_added : e->t->n_plain;
    const bool *first = e->first_byte[special];
    size_t begin = 0;
    for (size_t i = 0; i < size; i++) {
        const pha__added *a = first[s[i]] ? match(list, n, s + i, size - i) : NULL;
        if (!a) continue;
        TRY(encode_section(e, s + begin, i - begin));
        RESERVE(e, 1);
        e->ids[e->n++] = a->id;
        begin = i + a->size;
        i = begin - 1;
    }
    return encode_section(e, s + begin, size - begin);
}

pha_status pha__encode(pha__encoder *e, const void *text, size_t size, bool special, const int32_t **ids, size_t *n)
{
    *ids = NULL;
    *n = 0;
    e->n = 0;
    if ((special ? e->t->n_added : e->t->n_plain) > 0) TRY(encode_with_added(e, text, size, special));
    else TRY(encode_section(e, text, size));
    *ids = e->ids;
    *n = e->n;
    return PHA_OK;
}
