/* token_bin.c -- see token_bin.h */
#include "io/token_bin.h"

#include <inttypes.h>
#include <string.h>

enum { HEADER = 1024, GPT2 = 20240520, LLAMA3 = 20240801 };

static uint32_t word(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static pha_status read_header(pha__token_bin *b, uint32_t magic)
{
    uint32_t version = word(b->map.data + 4), wanted = magic == GPT2 ? 1 : 7;
    b->what = "llm.c", b->offset = HEADER, b->width = magic == GPT2 ? 2 : 4;
    b->count = word(b->map.data + 8);
    if (version != wanted)
        FAIL(BAD_INPUT, "%s: is a token file of llm.c of version %u; version %u is known", b->map.path, version,
             wanted);
    uint64_t size = HEADER + b->count * (uint64_t)b->width;
    if (b->map.size != size)
        FAIL(BAD_INPUT, "%s: has %zu bytes, but %" PRIu64 " ids and a header make %" PRIu64 "; it is cut off, or "
             "something else", b->map.path, b->map.size, b->count, size);
    return PHA_OK;
}

static pha_status look(pha__token_bin *b)
{
    uint32_t magic = b->map.size >= 12 ? word(b->map.data) : 0;
    if (b->map.size >= HEADER && (magic == GPT2 || magic == LLAMA3)) TRY(read_header(b, magic));
    else b->what = "nanoGPT", b->offset = 0, b->width = 2, b->count = b->map.size / 2;
    if (!b->offset && b->map.size % 2)
        FAIL(BAD_INPUT, "%s: has %zu bytes, no whole number of ids of 16 bits", b->map.path, b->map.size);
    if (!b->count) FAIL(BAD_INPUT, "%s: is empty", b->map.path);
    return PHA_OK;
}

pha_status pha__token_bin_open(pha__token_bin *b, const char *path)
{
    *b = (pha__token_bin){0};
    TRY(pha__map_open(&b->map, path));
    pha_status status = look(b);
    if (status) pha__token_bin_close(b);
    return status;
}

void pha__token_bin_close(pha__token_bin *b)
{
    pha__map_close(&b->map);
    *b = (pha__token_bin){0};
}

pha_status pha__token_bin_read(const pha__token_bin *b, uint64_t begin, size_t n, int32_t vocab_size, int32_t *out)
{
    const unsigned char *p = b->map.data + b->offset + begin * (uint64_t)b->width;
    for (size_t i = 0; i < n; i++, p += b->width) {
        uint32_t id = b->width == 2 ? (uint32_t)(p[0] | p[1] << 8) : word(p);
        if (id >= (uint32_t)vocab_size)
            FAIL(BAD_INPUT, "%s: id %u at place %" PRIu64 ", but the tokenizer has %d tokens; is it the one that made "
                 "this file?", b->map.path, id, begin + i, vocab_size);
        out[i] = (int32_t)id;
    }
    return PHA_OK;
}
