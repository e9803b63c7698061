/* Any bytes as a text: encoded with each way of splitting, it comes back; training on it works, too. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "io/tokenizer/tokenizer_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void quiet(void *context, pha__log_level level, const char *message)
{
    (void)context, (void)level, (void)message;
}

static pha__tokenizer *train(const void *text, size_t size)
{
    pha__bpe_trainer *b;
    pha__tokenizer *t;
    if (pha__bpe_trainer_open(&b, 320, 1024) || pha__bpe_trainer_feed(b, text, size) ||
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
    pha__log_to(quiet, NULL);
    pha__tokenizer *t = train(base, sizeof base - 1);
    for (int split = PHA__SPLIT_NONE; split <= PHA__SPLIT_QWEN2; split++) {
        t->split = (pha__split)split;
        check(t, data, size);
    }
    pha__tokenizer_close(t);
    t = train(data, size < 4096 ? size : 4096);
    check(t, data, size);
    pha__tokenizer_close(t);
    return 0;
}
