/* bpe_encode.c -- text to ids: sections between added tokens, their normal form, words of a section, a cache of words
 *
 * The text is read where it lies. Most words of real text are in the cache, whose entries take one cache line each; the
 * cache is direct-mapped, so its memory and time are bounded on any text. It begins small: a short text is encoded in
 * less time than it takes to clear a large one.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "io/tokenizer/bpe_merge.h"
#include "io/tokenizer/tokenizer_impl.h"

enum { KEY_WORDS = 3, KEY_BYTES = 8 * KEY_WORDS, ENTRY_IDS = 9 };
enum { FIRST_BITS = 6, CACHE_BITS = 15, GROW_BITS = 3 }; /* log2 of the cache's entries */

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
    int cache_bits;
    size_t fresh; /* words put into it since it has this size */
    pha__merge_space space;
    unsigned char *prefixed; /* a section with a space put in front */
    size_t prefixed_capacity;
    unsigned char *chars, *word; /* a piece in byte characters, a word that is no longer in them */
    size_t chars_capacity, word_capacity;
    pha__matcher *matcher;
    pha__normal_space normal;
};

pha_status pha__encoder_open(pha__encoder **out, const pha__tokenizer *t)
{
    *out = NULL;
    pha__encoder *e = pha__alloc_zero(1, sizeof *e);
    if (!e) return PHA_NO_MEMORY;
    e->t = t;
    e->capacity = 4096;
    e->ids = pha__alloc(e->capacity, sizeof *e->ids);
    e->cache_bits = FIRST_BITS;
    e->cache = pha__alloc_zero((size_t)1 << FIRST_BITS, sizeof *e->cache);
    if (!e->ids || !e->cache || (t->pipeline.regex && pha__matcher_open(&e->matcher))) {
        pha__encoder_close(e);
        return PHA_NO_MEMORY;
    }
    *out = e;
    return PHA_OK;
}

void pha__encoder_close(pha__encoder *e)
{
    if (!e) return;
    pha__free(e->ids);
    pha__free(e->cache);
    pha__free(e->prefixed);
    pha__free(e->chars);
    pha__free(e->word);
    pha__merge_space_free(&e->space);
    pha__normal_space_free(&e->normal);
    pha__matcher_close(e->matcher);
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
        if (id >= 0 && !pha__is_special(e->t, id)) return e->ids[e->n] = id, *n = 1, PHA_OK;
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

/* Once as many words as it has room for were put into it, it is too small. What was in it is soon there again. */
static pha_status grow_cache(pha__encoder *e)
{
    if (e->cache_bits == CACHE_BITS || ++e->fresh < (size_t)1 << e->cache_bits) return PHA_OK;
    entry *cache = pha__alloc_zero((size_t)1 << (e->cache_bits + GROW_BITS), sizeof *cache);
    if (!cache) return PHA_NO_MEMORY;
    pha__free(e->cache);
    e->cache = cache, e->cache_bits += GROW_BITS, e->fresh = 0;
    return PHA_OK;
}

/* A word of 2 to KEY_BYTES bytes. */
static pha_status encode_cached(pha__encoder *e, const unsigned char *word, size_t size, size_t left)
{
    uint64_t key[KEY_WORDS];
    load_key(key, word, size, left);
    uint64_t hash = pha__mix64((key[0] ^ key[1] * 0xA24BAED4963EE407u ^ key[2] * 0x9FB21C651E98DF25u) + size);
    entry *c = &e->cache[hash >> (64 - e->cache_bits)];
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
    return n <= ENTRY_IDS ? grow_cache(e) : PHA_OK;
}

/* A word behind which `left - n` more bytes may be read. */
static inline pha_status encode_word(pha__encoder *e, const unsigned char *word, size_t n, size_t left)
{
    RESERVE(e, n + ENTRY_IDS);
    if (n == 1) return e->ids[e->n++] = e->t->byte_id[*word], PHA_OK;
    if (n <= KEY_BYTES) return encode_cached(e, word, n, left);
    size_t n_ids;
    TRY(encode_fresh(e, word, n, &n_ids));
    e->n += n_ids;
    return PHA_OK;
}

static pha_status encode_words(pha__encoder *e, pha__split split, const unsigned char *s, size_t size)
{
    for (size_t i = 0, end; i < size; i = end) {
        end = pha__word_end(split, s, i, size);
        TRY(encode_word(e, s + i, end - i, size - i));
    }
    return PHA_OK;
}

static pha_status room(unsigned char **buffer, size_t *capacity, size_t size)
{
    if (*capacity >= size) return PHA_OK;
    pha__free(*buffer);
    *capacity = 0;
    if (!(*buffer = pha__alloc(size, 1))) return PHA_NO_MEMORY;
    *capacity = size;
    return PHA_OK;
}

/* The text with a space in front, if it doesn't begin with one. */
static pha_status prefix(pha__encoder *e, const unsigned char **s, size_t *size)
{
    if ((*s)[0] == ' ') return PHA_OK;
    TRY(room(&e->prefixed, &e->prefixed_capacity, *size + 1));
    e->prefixed[0] = ' ';
    memcpy(e->prefixed + 1, *s, *size);
    *s = e->prefixed, ++*size;
    return PHA_OK;
}

static pha_status to_chars(pha__encoder *e, const unsigned char **s, size_t *size)
{
    size_t n = 0;
    TRY(room(&e->chars, &e->chars_capacity, 2 * *size));
    for (size_t i = 0; i < *size; i++) n += (size_t)pha__byte_char((*s)[i], (char *)e->chars + n);
    *s = e->chars, *size = n;
    return PHA_OK;
}

/* What the last step left. */
static pha_status encode_piece(pha__encoder *e, const unsigned char *s, size_t size)
{
    if (!e->t->pipeline.chars) return encode_word(e, s, size, size);
    TRY(room(&e->word, &e->word_capacity, size));
    size_t n = (size_t)pha__bytes_of_chars(e->word, (const char *)s, size);
    return encode_word(e, e->word, n, n);
}

/* Steps k and after it of the pipeline. A buffer holds the text of one step, so one of each kind is enough: a kind that
 * needs one is there once. */
static pha_status run_steps(pha__encoder *e, int k, const unsigned char *s, size_t size)
{
    const pha__pipeline *p = &e->t->pipeline;
    for (; k < p->n && p->step[k].kind < PHA__STEP_KNOWN; k++)
        TRY(p->step[k].kind == PHA__STEP_SPACE ? prefix(e, &s, &size) : to_chars(e, &s, &size));
    if (k == p->n) return encode_piece(e, s, size);
    pha__cutter cutter = {.step = &p->step[k], .matcher = e->matcher, .text = s, .size = size};
    for (;;) {
        size_t start, end;
        bool more;
        TRY(pha__cut_next(&cutter, &start, &end, &more));
        if (!more) return PHA_OK;
        TRY(run_steps(e, k + 1, s + start, end - start));
    }
}

/* Patterns see valid UTF-8 only: bytes that are none are words of their own. */
static pha_status run_pipeline(pha__encoder *e, const unsigned char *s, size_t size)
{
    size_t begin = 0;
    if (!e->t->pipeline.regex) return run_steps(e, 0, s, size);
    for (size_t i = 0; i < size;) {
        int32_t code;
        size_t length = s[i] < 0x80 ? 1 : (size_t)pha__utf8_decode(s + i, size - i, &code);
        if (length == 1 && s[i] >= 0x80) {
            if (begin < i) TRY(run_steps(e, 0, s + begin, i - begin));
            TRY(encode_word(e, s + i, 1, 1));
            begin = i + 1;
        }
        i += length;
    }
    return begin < size ? run_steps(e, 0, s + begin, size - begin) : PHA_OK;
}

/* Text without added tokens, in normal form. */
static pha_status encode_section(pha__encoder *e, const unsigned char *s, size_t size)
{
    const pha__tokenizer *t = e->t;
    if (size == 0) return PHA_OK;
    if (t->pipeline.n) return run_pipeline(e, s, size);
    if (t->n_merges == 0 && !t->ignore_merges && !t->add_prefix_space) {
        RESERVE(e, size);
        for (size_t i = 0; i < size; i++) e->ids[e->n++] = t->byte_id[s[i]];
        return PHA_OK;
    }
    if (t->add_prefix_space) TRY(prefix(e, &s, &size));
    return encode_words(e, t->split, s, size);
}

typedef pha_status section_fn(pha__encoder *e, const unsigned char *s, size_t size, bool special);

/* The sections between the added tokens of a set, and these. */
static pha_status encode_around(pha__encoder *e, const pha__added_set *set, const unsigned char *s, size_t size,
                                bool special, section_fn *section)
{
    pha__added_scan scan = {.set = set, .text = s, .size = size};
    if (set->n == 0) return section(e, s, size, special);
    size_t start, end;
    int32_t id;
    while (pha__added_next(&scan, &start, &end, &id)) {
        TRY(section(e, s + start, end - start, special));
        if (id < 0) continue;
        RESERVE(e, 1);
        e->ids[e->n++] = id;
    }
    return PHA_OK;
}

static pha_status encode_normal(pha__encoder *e, const unsigned char *s, size_t size, bool special)
{
    (void)special;
    return encode_section(e, s, size);
}

static pha_status encode_raw(pha__encoder *e, const unsigned char *s, size_t size, bool special)
{
    if (size == 0) return PHA_OK;
    TRY(pha__normalize(&e->t->forms, &e->normal, &s, &size));
    return encode_around(e, &e->t->sets[1][special], s, size, special, encode_normal);
}

pha_status pha__encode(pha__encoder *e, const void *text, size_t size, bool special, const int32_t **ids, size_t *n)
{
    *ids = NULL;
    *n = 0;
    e->n = 0;
    TRY(encode_around(e, &e->t->sets[0][special], text, size, special, encode_raw));
    *ids = e->ids;
    *n = e->n;
    return PHA_OK;
}
