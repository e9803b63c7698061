/* tokenizer_impl.h -- what the files of the tokenizer share: its struct, its construction, the splitting into words
 *
 * Construction, by whoever reads a file or trains: pha__tokenizer_build with one definition per id, then
 * pha__tokenizer_add_merge in order of rank, then pha__tokenizer_complete.
 */
#ifndef PHA__TOKENIZER_IMPL_H
#define PHA__TOKENIZER_IMPL_H

#include "io/tokenizer/added.h"
#include "io/tokenizer/normalize.h"
#include "io/tokenizer/pipeline.h"
#include "io/tokenizer/tokenizer.h"

#define PHA__TOKENIZER_FILE_LIMIT  ((size_t)256 << 20) /* bytes of any file that is read */
#define PHA__TOKENIZER_VOCAB_LIMIT (1 << 24)
#define PHA__TOKENIZER_GAP_LIMIT   (1 << 20) /* ids without a token */
#define PHA__TOKEN_BYTES_LIMIT     65536     /* bytes of one token */
#define PHA__EOT_TEXT              "<|endoftext|>"

typedef enum pha__token_kind {
    PHA__TOKEN_NONE,   /* a gap: no token has this id */
    PHA__TOKEN_CHARS,  /* written in GPT-2's byte characters (a space is U+0120) */
    PHA__TOKEN_BYTES,  /* as it is; reached by merges, as the above */
    PHA__TOKEN_ADDED,  /* as it is; always found in text */
    PHA__TOKEN_SPECIAL /* as it is; found in text on request */
} pha__token_kind;

typedef struct pha__token_def {
    const char *text;
    size_t size;
    pha__token_kind kind;
    bool in_vocab;                                /* an added token that the vocabulary has, too */
    bool single_word, lstrip, rstrip, normalized; /* of an added token: added.h */
} pha__token_def;

typedef struct pha__merge {
    int32_t left, right, id;
} pha__merge;

typedef struct pha__merge_slot { /* of an open hash table */
    uint64_t pair;               /* left << 32 | right; all ones: free */
    uint32_t rank;
    int32_t id;
} pha__merge_slot;

enum { PHA__IN_VOCAB = 1, PHA__IS_SPECIAL = 2 };

struct pha__tokenizer {
    int32_t size, eot;
    const char *end_from; /* constant text: where `eot` was found */
    uint64_t hash;
    unsigned char *bytes; /* of all tokens, in order of id */
    uint32_t *start;      /* size + 1 */
    int32_t byte_id[256];
    pha__merge *merges; /* by rank */
    uint32_t n_merges, merges_capacity;
    pha__merge_slot *slots;
    int slots_shift; /* 64 - log2(number of slots) */
    int32_t *index;  /* open hash table from bytes to id, of tokens that merges reach; -1: free */
    uint32_t index_mask;
    pha__added *added; /* sorted by text */
    int32_t n_added;
    pha__added_set sets[2][2]; /* found in the text as it is, in its normal form; without special ones, all */
    pha__str normal_texts;     /* of added tokens */
    unsigned char *flags;      /* by id: PHA__IN_VOCAB, PHA__IS_SPECIAL */
    pha__forms forms;
    pha__pipeline pipeline; /* if it has steps, they cut, else: */
    pha__split split;
    bool add_prefix_space;
    bool ignore_merges;        /* a word that is a token is that token, whatever the merges say */
    unsigned char *scratch;    /* while building: 2 tokens */
    char *frame, *model_frame; /* what else stands in the file, in its model: members as JSON; NULL: the usual */
};

/* `name` is the file for messages. forms: NULL: none; what added tokens are looked for in. */
pha_status pha__tokenizer_build(pha__tokenizer **out, const pha__token_def *defs, int32_t n, const pha__forms *forms,
                                const char *name);
pha_status pha__tokenizer_reserve_merges(pha__tokenizer *t, size_t n, const char *name);
pha_status pha__tokenizer_add_merge(pha__tokenizer *t, int32_t left, int32_t right, const char *name);
/* The same with two tokens in byte characters. */
pha_status pha__tokenizer_add_merge_chars(pha__tokenizer *t, const char *left, size_t left_size, const char *right,
                                          size_t right_size, const char *name);
pha_status pha__tokenizer_complete(pha__tokenizer *t); /* tables and hash; split and flags must be set */

/* The id of the token with these bytes, -1: none. Added tokens are not found unless the vocabulary also spells them so.
 */
int32_t pha__tokenizer_find(const pha__tokenizer *t, const void *bytes, size_t size);

/* The added token that has a well-known name of the end, -1: none. */
int32_t pha__end_by_name(const pha__tokenizer *t);
/* Takes the end token that the files in a folder name, if they do. */
pha_status pha__end_beside(pha__tokenizer *t, const char *folder);
int32_t pha__tokenizer_added_id(const pha__tokenizer *t, const char *text); /* -1: no such added token */

/* tokenizer.json from memory. */
pha_status pha__tokenizer_parse(pha__tokenizer **out, const char *text, size_t size, const char *name);
/* merges and vocabulary of GPT-2 from memory. */
pha_status pha__tokenizer_parse_gpt2(pha__tokenizer **out, const char *merges, size_t merges_size,
                                     const char *merges_name, const char *vocab, size_t vocab_size,
                                     const char *vocab_name);

/* GPT-2's byte characters: each byte is one visible character below U+0144. */
int pha__byte_char(unsigned char byte, char out[2]); /* UTF-8, 1 or 2 bytes */
ptrdiff_t pha__bytes_of_chars(unsigned char *out, const char *s,
                              size_t size); /* number of bytes; -1: not byte characters */

static inline bool pha__is_special(const pha__tokenizer *t, int32_t id) { return t->flags[id] & PHA__IS_SPECIAL; }

static inline uint64_t pha__pair(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static inline uint64_t pha__mix64(uint64_t x)
{
    x *= 0x9E3779B97F4A7C15u;
    x ^= x >> 32;
    return x * 0xD6E8FEB86659FD93u;
}

/* The slot of a pair, or NULL. */
static inline const pha__merge_slot *pha__merge_find(const pha__tokenizer *t, int32_t left, int32_t right)
{
    uint64_t pair = pha__pair(left, right), mask = UINT64_MAX >> t->slots_shift;
    for (uint64_t i = pha__mix64(pair) >> t->slots_shift;; i = (i + 1) & mask) {
        if (t->slots[i].pair == pair) return &t->slots[i];
        if (t->slots[i].pair == UINT64_MAX) return NULL;
    }
}

#endif
