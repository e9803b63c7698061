/* tokenizer.h -- byte-level BPE: text to token ids and back
 *
 * Loads GPT-2's files (vocab.bpe + encoder.json, merges.txt + vocab.json) and Hugging Face tokenizer.json; finds the
 * token that ends a document, whatever its name; trains a new vocabulary. A tokenizer is read-only after opening and
 * may be shared between threads; encoding works in a context that belongs to one thread.
 */
#ifndef PHA__TOKENIZER_H
#define PHA__TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "io/cuts.h"

typedef struct pha__tokenizer pha__tokenizer;

/* path: a tokenizer.json, or a folder that holds tokenizer.json, vocab.bpe + encoder.json, or merges.txt + vocab.json,
 * or one of those two files (the other is looked for beside it), or the word "bytes" (256 byte tokens and
 * <|endoftext|>). */
pha_status pha__tokenizer_open(pha__tokenizer **out, const char *path);
void pha__tokenizer_close(pha__tokenizer *t);
/* Writes tokenizer.json (Hugging Face layout, readable by the tokenizers package). */
pha_status pha__tokenizer_save(const pha__tokenizer *t, const char *path);
/* The same in a folder, with a tokenizer_config.json if the end token isn't known by its name. */
pha_status pha__tokenizer_save_folder(const pha__tokenizer *t, const char *folder);
#define PHA__TOKENIZER_CONFIG "tokenizer_config.json"

int32_t pha__tokenizer_size(const pha__tokenizer *t);  /* V: ids are 0..V-1; some may have no token */
int32_t pha__tokenizer_eot(const pha__tokenizer *t);   /* the token that ends a document, -1: none */
uint64_t pha__tokenizer_hash(const pha__tokenizer *t); /* of vocabulary, merges, pattern and special tokens */
/* The bytes of one token (special tokens: their text; an id without a token: none). NULL for an id out of range. Not
 * zero-terminated. */
const unsigned char *pha__tokenizer_bytes(const pha__tokenizer *t, int32_t id, size_t *size);
/* Where a text may be cut so that encoding the parts one by one equals encoding it whole (special tokens as text). */
pha__cuts pha__tokenizer_cuts(const pha__tokenizer *t);
int32_t pha__tokenizer_special(const pha__tokenizer *t, const char *text); /* id, -1: no such special token */

/* Another token ends documents. `from` (constant text) says where that was said. USAGE: no such token. Before the
 * tokenizer is shared. */
pha_status pha__tokenizer_set_end(pha__tokenizer *t, const char *text, const char *from);
const char *pha__tokenizer_end_from(const pha__tokenizer *t); /* "its name", a file's name, ...; "": there is none */

/* For the files of other programs that hold a vocabulary: a token as they write it, in GPT-2's byte characters, an
 * added one as it is, added to `text` (NULL: not). NONE also for an id beyond the last. */
typedef enum pha__token_listed {
    PHA__LISTED_NONE,
    PHA__LISTED_NORMAL,
    PHA__LISTED_ADDED,
    PHA__LISTED_SPECIAL
} pha__token_listed;
pha__token_listed pha__tokenizer_list(const pha__tokenizer *t, int32_t id, pha__str *text);
uint32_t pha__tokenizer_merges(const pha__tokenizer *t);
/* The two with a blank between. */
void pha__tokenizer_list_merge(const pha__tokenizer *t, uint32_t rank, pha__str *text);
/* The pattern that cuts text into words, "gpt2", "llama3" or "qwen2", if that and the merges are all that this
 * tokenizer does; else NULL. */
const char *pha__tokenizer_plain(const pha__tokenizer *t);

/* Encoding. `special`: text of special tokens in the input becomes their ids (else it is ordinary text). */
typedef struct pha__encoder pha__encoder;
pha_status pha__encoder_open(pha__encoder **out, const pha__tokenizer *t);
void pha__encoder_close(pha__encoder *e);
/* Encodes a whole text. *ids belongs to the encoder and is valid until its next call. Any bytes are accepted and come
 * back exactly, but for what a tokenizer.json itself asks for: a space in front (add_prefix_space), a normal form of
 * Unicode, characters that a Split takes out, white space around an added token. Time is linear in the text, n log n in
 * the length of a word; BAD_INPUT: a pattern of the file would take longer. Added tokens that aren't special are found
 * in any case. */
pha_status pha__encode(pha__encoder *e, const void *text, size_t size, bool special, const int32_t **ids, size_t *n);

/* Training of a vocabulary: feed text in any pieces, then finish. Memory is bounded: word counts are kept for at most
 * `max_words` distinct words (0: 4 million; the rarest are dropped when it is reached, and a note is logged).
 * Deterministic: ties between pairs go to the pair that is bytewise smaller. */
typedef struct pha__bpe_trainer pha__bpe_trainer;
pha_status pha__bpe_trainer_open(pha__bpe_trainer **out, int32_t vocab_size, size_t max_words);
pha_status pha__bpe_trainer_feed(pha__bpe_trainer *b, const void *text, size_t size); /* one document or part of one */
/* Ends a document: no word goes on into what is fed next. Optional if documents end with a line end. */
pha_status pha__bpe_trainer_break(pha__bpe_trainer *b);
/* `progress` (may be NULL) is called now and then with merges done and wanted; true stops: PHA_STOPPED. The result has
 * 256 bytes, merges, then <|endoftext|>, V = vocab_size if the text allows (less, with a note, if no pair is left). */
pha_status pha__bpe_trainer_finish(pha__bpe_trainer *b, pha__tokenizer **out,
                                   bool (*progress)(void *context, int32_t done, int32_t wanted), void *context);
void pha__bpe_trainer_close(pha__bpe_trainer *b);

#endif
