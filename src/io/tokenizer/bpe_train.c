/* bpe_train.c -- training a vocabulary: text in pieces, words counted, merges learned, a tokenizer made
 *
 * Text is gathered in blocks of fixed size, so the result doesn't depend on how it is cut into pieces. The last word of
 * a block, which may go on, waits for the next block.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "io/tokenizer/bpe_learn.h"

enum {
    BLOCK = 1 << 20,
    AHEAD = 8, /* a word that ends so many bytes before the end of the block can't change: see pretokenize.c */
    DEFAULT_WORDS = 4000000,
    MIN_WORDS = 1024,
    MAX_WORDS = 60000000 /* 64 bytes each in 32-bit places */
};

struct pha__bpe_trainer {
    int32_t vocab_size;
    pha__words words;
    unsigned char *block;
    size_t size;
};

pha_status pha__bpe_trainer_open(pha__bpe_trainer **out, int32_t vocab_size, size_t max_words)
{
    *out = NULL;
    if (vocab_size < 257 || vocab_size > PHA__TOKENIZER_VOCAB_LIMIT)
        FAIL(USAGE, "a vocabulary of %d tokens can't be trained; choose 257 (256 bytes and " PHA__EOT_TEXT ") to %d",
             vocab_size, PHA__TOKENIZER_VOCAB_LIMIT);
    if (max_words == 0) max_words = DEFAULT_WORDS;
    if (max_words < MIN_WORDS) max_words = MIN_WORDS;
    if (max_words > MAX_WORDS) max_words = MAX_WORDS;
    pha__unicode_init();
    pha__bpe_trainer *b = pha__alloc_zero(1, sizeof *b);
    if (!b) return PHA_NO_MEMORY;
    b->vocab_size = vocab_size;
    b->block = pha__alloc(BLOCK, 1);
    pha_status status = b->block ? pha__words_open(&b->words, max_words) : PHA_NO_MEMORY;
    if (status) {
        pha__bpe_trainer_close(b);
        return status;
    }
    *out = b;
    return PHA_OK;
}

void pha__bpe_trainer_close(pha__bpe_trainer *b)
{
    if (!b) return;
    pha__words_close(&b->words);
    pha__free(b->block);
    pha__free(b);
}

/* Counts the words of the block; unless all is wanted, the end is kept, but never more than half a block. */
static pha_status count_block(pha__bpe_trainer *b, bool all)
{
    if (!b->words.slots) FAIL(USAGE, "this training of a vocabulary is finished");
    size_t i = 0, ahead = all ? 0 : AHEAD;
    while (i < b->size) {
        size_t end = pha__word_end(PHA__SPLIT_GPT2, b->block, i, b->size);
        if (end + ahead > b->size && (all || b->size - i <= BLOCK / 2)) break;
        TRY(pha__words_add(&b->words, b->block + i, end - i));
        i = end;
    }
    b->size -= i;
    memmove(b->block, b->block + i, b->size);
    return PHA_OK;
}

pha_status pha__bpe_trainer_feed(pha__bpe_trainer *b, const void *text, size_t size)
{
    const unsigned char *s = text;
    while (size) {
        size_t n = size < BLOCK - b->size ? size : BLOCK - b->size;
        memcpy(b->block + b->size, s, n);
        b->size += n;
        s += n;
        size -= n;
        if (b->size == BLOCK) TRY(count_block(b, false));
    }
    return PHA_OK;
}

pha_status pha__bpe_trainer_break(pha__bpe_trainer *b) { return count_block(b, true); }

static pha_status make(pha__tokenizer **out, const pha__learned *l)
{
    int32_t n = l->n_tokens + 1;
    pha__token_def *defs = pha__alloc((size_t)n, sizeof *defs);
    if (!defs) return PHA_NO_MEMORY;
    for (int32_t id = 0; id + 1 < n; id++)
        defs[id] = (pha__token_def){.text = (const char *)l->bytes + l->start[id],
                                    .size = l->start[id + 1] - l->start[id],
                                    .kind = PHA__TOKEN_BYTES};
    defs[n - 1] = (pha__token_def){.text = PHA__EOT_TEXT, .size = strlen(PHA__EOT_TEXT), .kind = PHA__TOKEN_SPECIAL,
                                    .in_vocab = true};
    pha__tokenizer *t = NULL;
    pha_status status = pha__tokenizer_build(&t, defs, n, NULL, "new vocabulary");
    pha__free(defs);
    if (!status) status = pha__tokenizer_reserve_merges(t, l->n_merges, "new vocabulary");
    for (uint32_t i = 0; !status && i < l->n_merges; i++)
        status = pha__tokenizer_add_merge(t, l->merges[i].left, l->merges[i].right, "new vocabulary");
    if (!status) status = pha__tokenizer_complete(t);
    if (status) {
        pha__tokenizer_close(t);
        return status;
    }
    *out = t;
    return PHA_OK;
}

pha_status pha__bpe_trainer_finish(pha__bpe_trainer *b, pha__tokenizer **out,
                                   bool (*progress)(void *context, int32_t done, int32_t wanted), void *context)
{
    *out = NULL;
    TRY(count_block(b, true));
    if (b->words.n_dropped)
        pha__log(PHA__LOG_NOTE,
                 "training of the vocabulary: more than %zu different words; the rarest were dropped, %llu in all",
                 b->words.max_words, (unsigned long long)b->words.n_dropped);
    pha__learned learned;
    pha_status status = pha__bpe_learn(&learned, &b->words, b->vocab_size - 1, progress, context);
    if (!status && learned.n_tokens + 1 < b->vocab_size)
        pha__log(PHA__LOG_NOTE, "training of the vocabulary: the text gives %d tokens, fewer than the %d wanted",
                 learned.n_tokens + 1, b->vocab_size);
    if (!status) status = make(out, &learned);
    pha__learned_close(&learned);
    return status;
}
