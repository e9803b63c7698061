/* tokens.h -- token shards: files of token ids with a header and a checksum, memory-mapped (docs/format.md)
 *
 * A data folder, written by `pha prepare`, holds data.json (counts, tokenizer hash, splits), tokenizer.json, and shards
 * train-00000.tok, valid-00000.tok, test-00000.tok of at most 2^28 tokens. Ids are stored as uint16 if V <= 65536, else
 * as uint32, little-endian, behind a 64-byte header with magic, version, width, count, V, tokenizer hash and XXH3
 * checksum of the ids.
 */
#ifndef PHA__TOKENS_H
#define PHA__TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Writing one split, in shards. */
typedef struct pha__tokens_writer pha__tokens_writer;
pha_status pha__tokens_writer_open(pha__tokens_writer **out, const char *folder, const char *split, int32_t vocab_size,
                                   uint64_t tokenizer_hash);
pha_status pha__tokens_writer_add(pha__tokens_writer *w, const int32_t *ids, size_t n);
pha_status pha__tokens_writer_finish(pha__tokens_writer *w,
                                     uint64_t *n_tokens); /* commits and frees, also on failure */
void pha__tokens_writer_abort(pha__tokens_writer *w); /* NULL is allowed; shards already committed stay */
/* For tests: at most n tokens per shard (before the first add). */
void pha__tokens_writer_limit(pha__tokens_writer *w, uint64_t n);

/* Reading one split: the shards as one stream of ids. */
typedef struct pha__tokens pha__tokens;
/* verify: also check the checksums (reads everything once). */
pha_status pha__tokens_open(pha__tokens **out, const char *folder, const char *split, bool verify);
void pha__tokens_close(pha__tokens *t);
uint64_t pha__tokens_count(const pha__tokens *t);
int32_t pha__tokens_vocab(const pha__tokens *t);
uint64_t pha__tokens_tokenizer_hash(const pha__tokens *t);
/* What the split holds, as one number: a hash over the counts, checksums, vocabulary and tokenizer of its shards in
 * order. Files of other names or ages with the same ids have the same one. */
uint64_t pha__tokens_identity(const pha__tokens *t);
/* Copies ids [begin, begin+n) to out; the caller keeps within count. An id >= V found in the file is an error. */
pha_status pha__tokens_read(const pha__tokens *t, uint64_t begin, size_t n, int32_t *out);

/* What data.json says of a split (bytes and words of the text behind the tokens, for the per-word and per-byte
 * numbers). */
typedef struct pha__split_info {
    uint64_t tokens, bytes, words, lines, documents;
    uint64_t copies;                  /* documents whose text also lies in another split */
    uint64_t first_bytes, first_words; /* what the first token, which is never a target, stands for */
} pha__split_info;
/* A split that data.json does not have is an error. */
pha_status pha__data_info(pha__split_info *out, const char *folder, const char *split);

enum { PHA__DATA_SPLITS = 3 };
typedef struct pha__data {
    int32_t vocab_size;
    uint64_t tokenizer_hash, seed;
    char joined[16]; /* "eot", "none" or "mixed": what stands behind documents */
    int32_t end_token; /* the one that does; -1: none, or an older version wrote the folder */
    size_t n;        /* splits */
    struct {
        char name[16];
        pha__split_info info;
    } split[PHA__DATA_SPLITS];
} pha__data;

/* data.json of a folder; read checks every field and its range. */
pha_status pha__data_write(const char *folder, const pha__data *data);
pha_status pha__data_read(pha__data *out, const char *folder);

/* The header of a shard (64 bytes on disk, little-endian). */
typedef struct pha__shard_header {
    uint32_t width;          /* bytes per id: 2 or 4 */
    uint32_t index;          /* of the shard in its split */
    uint64_t count;          /* ids in this shard */
    uint64_t first;          /* ids in the shards before it */
    int32_t vocab_size;
    uint64_t tokenizer_hash;
    uint64_t checksum;       /* XXH3 of the ids as stored */
} pha__shard_header;

enum { PHA__SHARD_HEADER = 64 };
void pha__shard_header_put(const pha__shard_header *h, unsigned char out[PHA__SHARD_HEADER]);
/* Checks the header and that `size` is the size of such a file; `name` is for messages. */
pha_status pha__shard_header_get(pha__shard_header *h, const unsigned char *data, size_t size, const char *name);

#endif
