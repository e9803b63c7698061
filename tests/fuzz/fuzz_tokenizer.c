/* Any bytes as a tokenizer.json (or, before and after a zero byte, merges and a vocabulary): an error, or a tokenizer
 * that encodes text and gives it back. */
#include <string.h>

#include "input.h"
#include "io/tokenizer/tokenizer_impl.h"

static const char sample[] = "the theme, they'll 1234567\n\n  \t caf\xc3\xa9 "
                             "\xe4\xbd\xa0\xff<|endoftext|>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaathethethe";

static void use(const pha__tokenizer *t, bool special)
{
    pha__encoder *e;
    const int32_t *ids;
    size_t n, at = 0, n_bytes;
    if (pha__encoder_open(&e, t)) return;
    /* What the file itself asks for may change the text, and a pattern may be too slow. */
    bool prefixed = t->add_prefix_space || t->pipeline.n || t->forms.n;
    for (int32_t i = 0; i < t->n_added; i++) prefixed |= t->added[i].lstrip || t->added[i].rstrip;
    if (pha__encode(e, sample, sizeof sample - 1, special, &ids, &n) && !t->pipeline.regex) abort();
    for (size_t i = 0; i < n && !prefixed; i++) {
        const unsigned char *bytes = pha__tokenizer_bytes(t, ids[i], &n_bytes);
        if (!bytes || n_bytes > sizeof sample - 1 - at || memcmp(bytes, sample + at, n_bytes) != 0) abort();
        at += n_bytes;
    }
    if (!prefixed && at != sizeof sample - 1) abort();
    pha__encoder_close(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *zero = size ? memchr(text, 0, size) : NULL;
    pha__tokenizer *t;
    pha_status status = zero ? pha__tokenizer_parse_gpt2(&t, text, (size_t)(zero - text), "merges", zero + 1,
                                                         size - (size_t)(zero - text) - 1, "vocabulary")
                             : pha__tokenizer_parse(&t, text, size, "fuzz");
    if (status) return 0;
    use(t, true);
    use(t, false);
    pha__tokenizer_close(t);
    return 0;
}
