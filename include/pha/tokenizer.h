/* pha/tokenizer.h -- tokenizer: byte-level BPE; of pha.h */
#ifndef PHA_TOKENIZER_H
#define PHA_TOKENIZER_H

#include "pha/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pha_tokenizer pha_tokenizer;

/* May be used by several threads at once. path: a tokenizer.json; a folder with tokenizer.json, vocab.bpe +
 * encoder.json or merges.txt + vocab.json; one of those files; or "bytes". The token that ends a document is the one
 * that tokenizer_config.json, special_tokens_map.json, generation_config.json or config.json beside it name, in this
 * order, else the added token with a well-known name (<|endoftext|>, <|end_of_text|>, </s>, <eos>, <|im_end|> and
 * others). No token is put in front of a text by itself, whatever a post_processor says. BAD_INPUT: also a file that
 * asks for what isn't supported, which is named. */
PHA_API pha_status pha_tokenizer_open(pha_tokenizer **out, const char *path);
PHA_API void pha_tokenizer_close(pha_tokenizer *tokenizer);
PHA_API int32_t pha_tokenizer_size(const pha_tokenizer *tokenizer); /* V */
PHA_API int32_t pha_tokenizer_end(const pha_tokenizer *tokenizer);  /* the token that ends a document, -1: none known */
/* Where that was found: "its name", a file's name, ...; "": there is none. Valid as long as the tokenizer. */
PHA_API const char *pha_tokenizer_end_from(const pha_tokenizer *tokenizer);
/* Of vocabulary, merges, pattern and special tokens: equal hashes encode every text alike. */
PHA_API uint64_t pha_tokenizer_hash(const pha_tokenizer *tokenizer);
/* Any bytes are text. Time is linear in `size`; BAD_INPUT: a pattern of the tokenizer would take longer. *ids (n):
 * fresh memory for the caller to pha_free. special: special
 * tokens in the text become their ids; otherwise they are text like any other. */
PHA_API pha_status pha_tokenizer_encode(const pha_tokenizer *tokenizer, const char *text, size_t size, bool special,
                                        int32_t **ids, size_t *n);
/* *text: fresh memory for the caller to pha_free, zero-terminated; its `size` bytes are exactly those that were encoded
 * (parts of a text need not be valid UTF-8), in the normal form of Unicode that the tokenizer asks for.
 * BAD_INPUT: an id outside of the vocabulary. */
PHA_API pha_status pha_tokenizer_decode(const pha_tokenizer *tokenizer, const int32_t *ids, size_t n, char **text,
                                        size_t *size);

#ifdef __cplusplus
}
#endif
#endif
