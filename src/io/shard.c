/* shard.c -- the header of a token shard: to bytes and back, with every check that needs no other file */
#include <string.h>

#include "base/hash.h"
#include "io/tokens.h"

/*  offset  size
 *       0     8  magic
 *       8     4  version
 *      12     4  width: bytes per id
 *      16     8  count
 *      24     8  first: ids in the shards before this one
 *      32     4  index of the shard
 *      36     4  V
 *      40     8  hash of the tokenizer
 *      48     8  XXH3 of the ids
 *      56     8  XXH3 of the 56 bytes above
 */
static const char magic[8] = { 'P', 'H', 'A', 'T', 'O', 'K', '\x1a', '\n' };
enum { VERSION = 1, AT_WIDTH = 12, AT_COUNT = 16, AT_FIRST = 24, AT_INDEX = 32, AT_VOCAB = 36, AT_TOKENIZER = 40,
       AT_CHECKSUM = 48, AT_SELF = 56 };

static void put(unsigned char *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) at[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t get(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)at[i] << 8 * i;
    return value;
}

void pha__shard_header_put(const pha__shard_header *h, unsigned char out[PHA__SHARD_HEADER])
{
    memcpy(out, magic, 8);
    put(out + 8, VERSION, 4);
    put(out + AT_WIDTH, h->width, 4);
    put(out + AT_COUNT, h->count, 8);
    put(out + AT_FIRST, h->first, 8);
    put(out + AT_INDEX, h->index, 4);
    put(out + AT_VOCAB, (uint32_t)h->vocab_size, 4);
    put(out + AT_TOKENIZER, h->tokenizer_hash, 8);
    put(out + AT_CHECKSUM, h->checksum, 8);
    put(out + AT_SELF, pha__hash(out, AT_SELF, 0), 8);
}

pha_status pha__shard_header_get(pha__shard_header *h, const unsigned char *data, size_t size, const char *name)
{
    memset(h, 0, sizeof *h);
    if (size < PHA__SHARD_HEADER)
        FAIL(BAD_INPUT, "%s: %zu bytes is less than the header of a token shard; run pha prepare again", name, size);
    if (memcmp(data, magic, 8) != 0) FAIL(BAD_INPUT, "%s: not a token shard (written by pha prepare)", name);
    uint64_t version = get(data + 8, 4);
    if (version != VERSION)
        FAIL(BAD_INPUT, "%s: format version %llu, this program reads version %d; run pha prepare again", name,
             (unsigned long long)version, VERSION);
    if (get(data + AT_SELF, 8) != pha__hash(data, AT_SELF, 0))
        FAIL(BAD_INPUT, "%s: the header's checksum is wrong: the file is damaged; run pha prepare again", name);
    uint64_t vocab = get(data + AT_VOCAB, 4);
    h->width = (uint32_t)get(data + AT_WIDTH, 4);
    h->count = get(data + AT_COUNT, 8);
    h->first = get(data + AT_FIRST, 8);
    h->index = (uint32_t)get(data + AT_INDEX, 4);
    h->tokenizer_hash = get(data + AT_TOKENIZER, 8);
    h->checksum = get(data + AT_CHECKSUM, 8);
    if (vocab < 1 || vocab > INT32_MAX) FAIL(BAD_INPUT, "%s: a vocabulary of %llu", name, (unsigned long long)vocab);
    h->vocab_size = (int32_t)vocab;
    if (h->width != (vocab <= 65536 ? 2u : 4u))
        FAIL(BAD_INPUT, "%s: %u bytes per token do not fit a vocabulary of %d", name, h->width, h->vocab_size);
    uint64_t room = size - PHA__SHARD_HEADER;
    if (room % h->width != 0 || room / h->width != h->count)
        FAIL(BAD_INPUT,
             "%s: the header promises %llu tokens but the file has %llu bytes of them (truncated?); run pha prepare "
             "again",
             name, (unsigned long long)h->count, (unsigned long long)room);
    if (h->first > UINT64_MAX - h->count)
        FAIL(BAD_INPUT, "%s: absurd position %llu", name, (unsigned long long)h->first);
    return PHA_OK;
}
