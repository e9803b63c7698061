/* Any bytes as a text: encoded with a way of splitting that the first byte chooses, it comes back; training on it
 * works, too. */
#include <string.h>

#include "input.h"
#include "io/tokenizer/tokenizer_impl.h"

enum { VOCAB = 272, LEARN = 128 }; /* more only takes longer */

static pha__tokenizer *train(const void *text, size_t size)
{
    pha__bpe_trainer *b;
    pha__tokenizer *t;
    if (pha__bpe_trainer_open(&b, VOCAB, 1024) || pha__bpe_trainer_feed(b, text, size) ||
        pha__bpe_trainer_finish(b, &t, NULL, NULL))
        abort();
    pha__bpe_trainer_close(b);
    return t;
}

static void check(const pha__tokenizer *t, const uint8_t *data, size_t size)
{
    pha__encoder *e;
    const int32_t *ids;
    size_t n, at = 0, n_bytes;
    if (pha__encoder_open(&e, t)) abort();
    if (pha__encode(e, data, size, true, &ids, &n)) abort();
    for (size_t i = 0; i < n; i++) {
        const unsigned char *bytes = pha__tokenizer_bytes(t, ids[i], &n_bytes);
        if (!bytes || n_bytes > size - at || memcmp(bytes, data + at, n_bytes) != 0) abort();
        at += n_bytes;
    }
    if (at != size) abort();
    pha__encoder_close(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char base[] =
        "the theme of the thesis: they're there, then 123 123 \n\n aaaaaaaaaaaaaaaa caf\xc3\xa9 \xe4\xbd\xa0";
    static pha__tokenizer *fixed;
    if (!fixed) fixed = train(base, sizeof base - 1);
    fixed->split = (pha__split)(size ? data[0] % (PHA__SPLIT_QWEN2 + 1) : PHA__SPLIT_NONE);
    check(fixed, data, size);
    pha__tokenizer *t = train(data, size < LEARN ? size : LEARN);
    check(t, data, size);
    pha__tokenizer_close(t);
    return 0;
}
