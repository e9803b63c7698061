/* tokenizer_api.c -- pha_tokenizer_*: a pha_tokenizer is the io room's tokenizer under its public name */
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "io/tokenizer/tokenizer.h"
#include "pha.h"

static const pha__tokenizer *inner(const pha_tokenizer *t) { return (const pha__tokenizer *)t; }

pha_status pha_tokenizer_open(pha_tokenizer **out, const char *path)
{
    NEED(out, "a place for its result");
    *out = NULL;
    if (!path) FAIL(USAGE, "a tokenizer needs a path");
    return pha__tokenizer_open((pha__tokenizer **)out, path);
}

void pha_tokenizer_close(pha_tokenizer *t) { pha__tokenizer_close((pha__tokenizer *)t); }
int32_t pha_tokenizer_size(const pha_tokenizer *t) { return t ? pha__tokenizer_size(inner(t)) : 0; }
int32_t pha_tokenizer_end(const pha_tokenizer *t) { return t ? pha__tokenizer_eot(inner(t)) : -1; }
const char *pha_tokenizer_end_from(const pha_tokenizer *t) { return t ? pha__tokenizer_end_from(inner(t)) : ""; }
uint64_t pha_tokenizer_hash(const pha_tokenizer *t) { return t ? pha__tokenizer_hash(inner(t)) : 0; }

pha_status pha_tokenizer_encode(const pha_tokenizer *t, const char *text, size_t size, bool special, int32_t **ids,
                                size_t *n)
{
    if (ids) *ids = NULL;
    if (n) *n = 0;
    NEED(t, "a tokenizer");
    NEED(ids, "a place for the ids");
    NEED(n, "a place for their number");
    if (!text && size) FAIL(USAGE, "no text to encode");
    pha__encoder *encoder;
    const int32_t *found = NULL;
    size_t count = 0;
    TRY(pha__encoder_open(&encoder, inner(t)));
    pha_status status = pha__encode(encoder, text ? text : "", size, special, &found, &count);
    int32_t *copy = status ? NULL : pha__alloc(count + 1, sizeof *copy);
    if (!status && !copy) status = PHA_NO_MEMORY;
    if (!status) {
        if (count) memcpy(copy, found, count * sizeof *copy);
        *ids = copy, *n = count;
    }
    pha__encoder_close(encoder);
    return status;
}

pha_status pha_tokenizer_decode(const pha_tokenizer *t, const int32_t *ids, size_t n, char **text, size_t *size)
{
    pha__str s = {0};
    if (text) *text = NULL;
    if (size) *size = 0;
    NEED(t, "a tokenizer");
    NEED(text, "a place for the text");
    if (!ids && n) FAIL(USAGE, "no ids to decode");
    pha__str_add(&s, "", 0);
    for (size_t i = 0; i < n && !s.failed; i++) {
        size_t length;
        const unsigned char *bytes = pha__tokenizer_bytes(inner(t), ids[i], &length);
        if (!bytes) {
            pha__str_free(&s);
            FAIL(BAD_INPUT, "token %zu has the id %d, but the tokenizer's ids are 0 to %d", i, ids[i],
                 pha_tokenizer_size(t) - 1);
        }
        pha__str_add(&s, bytes, length);
    }
    if (s.failed) {
        pha__str_free(&s);
        FAIL(NO_MEMORY, "no memory for the text of %zu tokens", n);
    }
    *text = s.data;
    if (size) *size = s.size;
    return PHA_OK;
}
