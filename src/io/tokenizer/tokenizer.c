/* tokenizer.c -- the tokenizer: building and checking it, its tables, its hash, the simple questions
 *
 * Guarantees after pha__tokenizer_complete: every id below size has bytes or is a gap without any, each of the 256
 * bytes has a token, and the token that a merge makes is the concatenation of its parts. So any text encodes, and
 * decoding gives its bytes back (in the normal form that the tokenizer asks for).
 */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "io/tokenizer/tokenizer_impl.h"

/* Bytes 33..126, 161..172 and 174..255 stand for themselves; the others, in order, are U+0100 and up. */
static int code_of_byte(int byte)
{
    if (byte <= 32) return 256 + byte;
    if (byte >= 127 && byte <= 160) return 256 + 33 + byte - 127;
    return byte == 173 ? 256 + 67 : byte;
}

static int byte_of_code(int32_t code)
{
    if (code < 256) return code >= 0 && code_of_byte(code) == code ? code : -1;
    if (code <= 256 + 32) return code - 256;
    if (code <= 256 + 66) return code - 256 - 33 + 127;
    return code == 256 + 67 ? 173 : -1;
}

int pha__byte_char(unsigned char byte, char out[2])
{
    unsigned char utf8[4];
    int size = pha__utf8_encode(code_of_byte(byte), utf8);
    memcpy(out, utf8, (size_t)size);
    return size;
}

ptrdiff_t pha__bytes_of_chars(unsigned char *out, const char *s, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < size;) {
        int32_t code;
        i += (size_t)pha__utf8_decode((const unsigned char *)s + i, size - i, &code);
        int byte = byte_of_code(code);
        if (byte < 0) return -1;
        out[n++] = (unsigned char)byte;
    }
    return (ptrdiff_t)n;
}

static uint32_t power_of_two(uint32_t least)
{
    uint32_t n = 16;
    while (n < least) n *= 2;
    return n;
}

const unsigned char *pha__tokenizer_bytes(const pha__tokenizer *t, int32_t id, size_t *size)
{
    if (id < 0 || id >= t->size) {
        *size = 0;
        return NULL;
    }
    *size = t->start[id + 1] - t->start[id];
    return t->bytes + t->start[id];
}

/* The place in the index of these bytes: theirs, or the free one where they belong. */
static uint32_t index_place(const pha__tokenizer *t, const void *bytes, size_t size)
{
    for (uint32_t i = (uint32_t)pha__hash(bytes, size, 0) & t->index_mask;; i = (i + 1) & t->index_mask) {
        int32_t id = t->index[i];
        if (id < 0) return i;
        if (t->start[id + 1] - t->start[id] == size && memcmp(t->bytes + t->start[id], bytes, size) == 0) return i;
    }
}

int32_t pha__tokenizer_find(const pha__tokenizer *t, const void *bytes, size_t size)
{
    return t->index[index_place(t, bytes, size)];
}

static bool is_added(pha__token_kind kind) { return kind == PHA__TOKEN_ADDED || kind == PHA__TOKEN_SPECIAL; }

/* Copies the bytes of every token. */
static pha_status build_bytes(pha__tokenizer *t, const pha__token_def *defs, const char *name)
{
    uint64_t total = 0;
    for (int32_t id = 0; id < t->size; id++) {
        if (defs[id].size > 2 * PHA__TOKEN_BYTES_LIMIT)
            FAIL(BAD_INPUT, "%s: the token with id %d is longer than %d bytes", name, id, PHA__TOKEN_BYTES_LIMIT);
        total += defs[id].size;
    }
    if (total > UINT32_MAX) FAIL(BAD_INPUT, "%s: the tokens take more than 4 GiB", name);
    t->bytes = pha__alloc(total + 1, 1);
    t->start = pha__alloc((size_t)t->size + 1, sizeof *t->start);
    if (!t->bytes || !t->start) return PHA_NO_MEMORY;
    uint32_t n = 0;
    for (int32_t id = 0; id < t->size; id++) {
        const pha__token_def *d = &defs[id];
        t->start[id] = n;
        if (d->kind == PHA__TOKEN_NONE) continue;
        ptrdiff_t size = (ptrdiff_t)d->size;
        if (d->kind == PHA__TOKEN_CHARS)
            size = pha__bytes_of_chars(t->bytes + n, d->text, d->size);
        else
            memcpy(t->bytes + n, d->text, d->size);
        if (size < 0)
            FAIL(BAD_INPUT,
                 "%s: token %d, '%.60s', isn't written in byte-level BPE's characters and isn't among the "
                 "added tokens",
                 name, id, d->text);
        if (size == 0) FAIL(BAD_INPUT, "%s: the token with id %d is empty", name, id);
        if (size > PHA__TOKEN_BYTES_LIMIT)
            FAIL(BAD_INPUT, "%s: the token with id %d is longer than %d bytes", name, id, PHA__TOKEN_BYTES_LIMIT);
        n += (uint32_t)size;
    }
    t->start[t->size] = n;
    return PHA_OK;
}

static pha_status build_index(pha__tokenizer *t, const pha__token_def *defs, const char *name)
{
    uint32_t n = power_of_two((uint32_t)t->size * 2);
    t->index = pha__alloc(n, sizeof *t->index);
    if (!t->index) return PHA_NO_MEMORY;
    memset(t->index, 0xFF, n * sizeof *t->index);
    t->index_mask = n - 1;
    for (int32_t id = 0; id < t->size; id++) {
        if (is_added(defs[id].kind) || !defs[id].kind) continue;
        size_t size;
        const unsigned char *bytes = pha__tokenizer_bytes(t, id, &size);
        uint32_t i = index_place(t, bytes, size);
        if (t->index[i] >= 0) FAIL(BAD_INPUT, "%s: tokens %d and %d are the same bytes", name, t->index[i], id);
        t->index[i] = id;
    }
    /* Text of an added token of the vocabulary may also be reached by merges, if no other token is these bytes. */
    for (int32_t id = 0; id < t->size; id++) {
        if (!is_added(defs[id].kind) || !defs[id].in_vocab) continue;
        size_t size;
        const unsigned char *bytes = pha__tokenizer_bytes(t, id, &size);
        uint32_t i = index_place(t, bytes, size);
        if (t->index[i] < 0) t->index[i] = id;
    }
    for (int byte = 0; byte < 256; byte++) {
        unsigned char b = (unsigned char)byte;
        if ((t->byte_id[byte] = pha__tokenizer_find(t, &b, 1)) < 0)
            FAIL(BAD_INPUT, "%s: no token for byte 0x%02x; a byte-level vocabulary has all 256 bytes", name,
                 (unsigned)byte);
    }
    return PHA_OK;
}

/* One list for finding: those that are normalized or not, without or with special ones. */
static pha_status make_set(pha__tokenizer *t, bool normalized, bool special)
{
    int32_t n = 0;
    pha__added *list = pha__alloc((size_t)t->n_added + 1, sizeof *list);
    if (!list) return PHA_NO_MEMORY;
    for (int32_t i = 0; i < t->n_added; i++)
        if (t->added[i].normalized == normalized && (special || !t->added[i].special)) list[n++] = t->added[i];
    pha__added_set_make(&t->sets[normalized][special], list, n);
    return PHA_OK;
}

/* Where tokens are looked for in the normal form of a text, their own text is brought into it. Places in
 * `normal_texts`, which still grows, become texts at the end. */
static pha_status normalize_added(pha__tokenizer *t)
{
    pha__normal_space space = {0};
    pha_status status = PHA_OK;
    for (int32_t i = 0; i < t->n_added && !status; i++) {
        pha__added *a = &t->added[i];
        if (!a->normalized) continue;
        const unsigned char *text = a->text;
        size_t size = a->size;
        status = pha__normalize(&t->forms, &space, &text, &size);
        if (status) break;
        pha__str_add(&t->normal_texts, text, size);
        a->size = size;
    }
    pha__normal_space_free(&space);
    if (!status && t->normal_texts.failed) status = PHA_NO_MEMORY;
    return status;
}

static pha_status make_sets(pha__tokenizer *t)
{
    TRY(normalize_added(t));
    const unsigned char *text = (const unsigned char *)t->normal_texts.data;
    for (int32_t i = 0; i < t->n_added; i++) {
        if (!t->added[i].normalized) continue;
        t->added[i].text = text;
        text += t->added[i].size;
    }
    for (int set = 0; set < 4; set++) TRY(make_set(t, set / 2, set % 2));
    for (int32_t i = 0; i < t->n_added; i++)
        t->added[i].text = pha__tokenizer_bytes(t, t->added[i].id, &t->added[i].size);
    return PHA_OK;
}

static pha_status build_added(pha__tokenizer *t, const pha__token_def *defs, const char *name)
{
    int32_t n = 0;
    for (int32_t id = 0; id < t->size; id++) n += is_added(defs[id].kind);
    t->added = pha__alloc((size_t)n + 1, sizeof *t->added);
    t->flags = pha__alloc_zero((size_t)t->size, 1);
    if (!t->added || !t->flags) return PHA_NO_MEMORY;
    for (int32_t id = 0; id < t->size; id++) {
        const pha__token_def *d = &defs[id];
        bool special = d->kind == PHA__TOKEN_SPECIAL;
        if (d->kind && (!is_added(d->kind) || d->in_vocab)) t->flags[id] |= PHA__IN_VOCAB;
        if (special) t->flags[id] |= PHA__IS_SPECIAL;
        if (!is_added(d->kind)) continue;
        pha__added *a = &t->added[t->n_added++];
        *a = (pha__added){.id = id,
                          .special = special,
                          .single_word = d->single_word,
                          .lstrip = d->lstrip,
                          .rstrip = d->rstrip,
                          .normalized = d->normalized};
        a->text = pha__tokenizer_bytes(t, id, &a->size);
    }
    qsort(t->added, (size_t)n, sizeof *t->added, pha__added_compare);
    for (int32_t i = 1; i < n; i++)
        if (pha__added_compare(&t->added[i - 1], &t->added[i]) == 0)
            FAIL(BAD_INPUT, "%s: added tokens %d and %d are the same text", name, t->added[i - 1].id, t->added[i].id);
    t->eot = pha__end_by_name(t);
    t->end_from = t->eot < 0 ? "" : "its name";
    return make_sets(t);
}

pha_status pha__tokenizer_build(pha__tokenizer **out, const pha__token_def *defs, int32_t n, const pha__forms *forms,
                                const char *name)
{
    *out = NULL;
    pha__unicode_init();
    if (n < 256 || n > PHA__TOKENIZER_VOCAB_LIMIT)
        FAIL(BAD_INPUT, "%s: %d tokens; a byte-level vocabulary has 256 to %d", name, n, PHA__TOKENIZER_VOCAB_LIMIT);
    pha__tokenizer *t = pha__alloc_zero(1, sizeof *t);
    if (!t) return PHA_NO_MEMORY;
    t->size = n;
    t->split = PHA__SPLIT_GPT2;
    if (forms) t->forms = *forms;
    pha_status status = build_bytes(t, defs, name);
    if (!status) status = build_index(t, defs, name);
    if (!status) status = build_added(t, defs, name);
    if (!status && !(t->scratch = pha__alloc(2, PHA__TOKEN_BYTES_LIMIT))) status = PHA_NO_MEMORY;
    if (status) {
        pha__tokenizer_close(t);
        return status;
    }
    *out = t;
    return PHA_OK;
}

pha_status pha__tokenizer_reserve_merges(pha__tokenizer *t, size_t n, const char *name)
{
    if (n > PHA__TOKENIZER_VOCAB_LIMIT) FAIL(BAD_INPUT, "%s: more than %d merges", name, PHA__TOKENIZER_VOCAB_LIMIT);
    t->merges = pha__alloc(n + 1, sizeof *t->merges);
    if (!t->merges) return PHA_NO_MEMORY;
    t->merges_capacity = (uint32_t)n;
    return PHA_OK;
}

pha_status pha__tokenizer_add_merge(pha__tokenizer *t, int32_t left, int32_t right, const char *name)
{
    size_t left_size, right_size;
    const unsigned char *a = pha__tokenizer_bytes(t, left, &left_size),
                        *b = pha__tokenizer_bytes(t, right, &right_size);
    uint32_t rank = t->n_merges;
    if (!a || !b || rank >= t->merges_capacity) FAIL(FAILED, "%s: merge %u is out of place", name, rank);
    int32_t id = -1;
    if (left_size + right_size <= PHA__TOKEN_BYTES_LIMIT) {
        memcpy(t->scratch, a, left_size);
        memcpy(t->scratch + left_size, b, right_size);
        id = pha__tokenizer_find(t, t->scratch, left_size + right_size);
    }
    if (id < 0)
        FAIL(BAD_INPUT, "%s: merge %u (counted from 0) makes '%.*s%.*s', which isn't in the vocabulary", name, rank,
             (int)(left_size < 40 ? left_size : 40), (const char *)a, (int)(right_size < 40 ? right_size : 40),
             (const char *)b);
    t->merges[t->n_merges++] = (pha__merge){.left = left, .right = right, .id = id};
    return PHA_OK;
}

pha_status pha__tokenizer_add_merge_chars(pha__tokenizer *t, const char *left, size_t left_size, const char *right,
                                          size_t right_size, const char *name)
{
    const char *text[2] = {left, right};
    size_t size[2] = {left_size, right_size};
    int32_t id[2];
    for (int i = 0; i < 2; i++) {
        ptrdiff_t n = size[i] <= 2 * PHA__TOKEN_BYTES_LIMIT ? pha__bytes_of_chars(t->scratch, text[i], size[i]) : -1;
        id[i] = n > 0 ? pha__tokenizer_find(t, t->scratch, (size_t)n) : -1;
        if (id[i] < 0)
            FAIL(BAD_INPUT, "%s: merge %u (counted from 0) names '%.*s', which isn't in the vocabulary", name,
                 t->n_merges, (int)(size[i] < 60 ? size[i] : 60), text[i]);
    }
    return pha__tokenizer_add_merge(t, id[0], id[1], name);
}

/* What only some tokenizers have. Those without it keep the hash that stands in data files. */
static void hash_more(const pha__tokenizer *t, pha__hasher *h)
{
    bool both = t->sets[0][1].n && t->sets[1][1].n, flags = false;
    for (int32_t i = 0; i < t->n_added; i++) {
        const pha__added *a = &t->added[i];
        flags |= a->single_word || a->lstrip || a->rstrip || (a->normalized && (both || t->forms.n));
    }
    if (t->forms.n) {
        const char form[PHA__FORMS + 1] = {'f', (char)t->forms.form[0], (char)t->forms.form[1], (char)t->forms.form[2],
                                           (char)t->forms.form[3]};
        pha__hasher_add(h, form, (size_t)t->forms.n + 1);
    }
    if (t->pipeline.n) pha__hasher_add(h, t->pipeline.canon.data, t->pipeline.canon.size);
    for (int32_t i = 0; flags && i < t->n_added; i++) {
        const pha__added *a = &t->added[i];
        const char flag[4] = {a->single_word, a->lstrip, a->rstrip, a->normalized};
        pha__hasher_add(h, flag, sizeof flag);
    }
}

/* The hash covers what decides the ids, in a form that doesn't depend on the file it came from. */
static pha_status hash_all(pha__tokenizer *t)
{
    pha__hasher *h = pha__hasher_open();
    if (!h) return PHA_NO_MEMORY;
    const char head[4] = {1, (char)t->split, (char)t->add_prefix_space, (char)t->ignore_merges};
    const uint32_t counts[3] = {(uint32_t)t->size, t->n_merges, (uint32_t)t->n_added};
    pha__hasher_add(h, head, sizeof head);
    pha__hasher_add(h, counts, sizeof counts);
    pha__hasher_add(h, t->start, ((size_t)t->size + 1) * sizeof *t->start);
    pha__hasher_add(h, t->bytes, t->start[t->size]);
    pha__hasher_add(h, t->merges, t->n_merges * sizeof *t->merges);
    for (int32_t i = 0; i < t->n_added; i++) {
        const int32_t entry[2] = {t->added[i].id, t->added[i].special};
        pha__hasher_add(h, entry, sizeof entry);
    }
    hash_more(t, h);
    t->hash = pha__hasher_value(h);
    pha__hasher_close(h);
    return PHA_OK;
}

pha_status pha__tokenizer_complete(pha__tokenizer *t)
{
    uint32_t n = power_of_two(t->n_merges * 2);
    t->slots = pha__alloc(n, sizeof *t->slots);
    if (!t->slots) return PHA_NO_MEMORY;
    memset(t->slots, 0xFF, n * sizeof *t->slots);
    t->slots_shift = 64 - __builtin_ctz(n);
    for (uint32_t rank = 0; rank < t->n_merges; rank++) {
        const pha__merge *m = &t->merges[rank];
        if (pha__merge_find(t, m->left, m->right)) FAIL(BAD_INPUT, "merge %u (counted from 0) is there twice", rank);
        uint64_t pair = pha__pair(m->left, m->right), i = pha__mix64(pair) >> t->slots_shift;
        while (t->slots[i].pair != UINT64_MAX) i = (i + 1) & (n - 1);
        t->slots[i] = (pha__merge_slot){.pair = pair, .rank = rank, .id = m->id};
    }
    pha__free(t->scratch);
    t->scratch = NULL;
    return hash_all(t);
}

void pha__tokenizer_close(pha__tokenizer *t)
{
    if (!t) return;
    pha__free(t->bytes);
    pha__free(t->start);
    pha__free(t->merges);
    pha__free(t->slots);
    pha__free(t->index);
    pha__free(t->added);
    pha__free(t->flags);
    for (int set = 0; set < 4; set++) pha__free(t->sets[set / 2][set % 2].list);
    pha__str_free(&t->normal_texts);
    pha__pipeline_close(&t->pipeline);
    pha__free(t->scratch);
    pha__free(t->frame);
    pha__free(t->model_frame);
    pha__free(t);
}

int32_t pha__tokenizer_size(const pha__tokenizer *t) { return t->size; }
int32_t pha__tokenizer_eot(const pha__tokenizer *t) { return t->eot; }
const char *pha__tokenizer_end_from(const pha__tokenizer *t) { return t->end_from; }
uint64_t pha__tokenizer_hash(const pha__tokenizer *t) { return t->hash; }

int32_t pha__tokenizer_special(const pha__tokenizer *t, const char *text)
{
    pha__added key = {.text = (const unsigned char *)text, .size = strlen(text)};
    const pha__added *found = bsearch(&key, t->added, (size_t)t->n_added, sizeof *t->added, pha__added_compare);
    return found && found->special ? found->id : -1;
}
