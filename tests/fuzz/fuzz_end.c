/* Any bytes as one of the files beside a tokenizer.json that name its end token (the first byte chooses which): a
 * tokenizer whose end is one of its tokens, or none */
#include <string.h>

#include "input.h"
#include "io/tokenizer/tokenizer_impl.h"

static const char *const names[] = {PHA__TOKENIZER_CONFIG, "special_tokens_map.json", "generation_config.json",
                                    "config.json"};

/* Some tokens are no text, and one id has no token. */
static pha__tokenizer *make(void)
{
    static const pha__token_def added[] = {{.text = "<|endoftext|>", .size = 13, .kind = PHA__TOKEN_SPECIAL},
                                           {.kind = PHA__TOKEN_NONE},
                                           {.text = "</s>", .size = 4, .kind = PHA__TOKEN_ADDED}};
    static char bytes[256];
    pha__token_def defs[259];
    pha__tokenizer *t;
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        defs[i] = (pha__token_def){.text = &bytes[i], .size = 1, .kind = PHA__TOKEN_BYTES};
    }
    memcpy(defs + 256, added, sizeof added);
    if (pha__tokenizer_build(&t, defs, 259, NULL, "fuzz") || pha__tokenizer_complete(t)) abort();
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *folder, *path[4];
    static pha__tokenizer *t;
    static int32_t usual;
    if (!t) {
        t = make(), usual = t->eot, folder = fuzz_path("");
        for (int i = 0; i < 4; i++) path[i] = fuzz_path(names[i]);
    }
    if (!size) return 0;
    t->eot = usual;
    fuzz_write(path[data[0] % 4], data + 1, size - 1);
    if (pha__end_beside(t, folder)) abort();
    size_t length;
    if (t->eot != usual && !pha__tokenizer_bytes(t, t->eot, &length)) abort();
    if (t->eot < -1 || t->eot >= t->size || (t->eot >= 128 && t->eot < 256)) abort();
    unlink(path[data[0] % 4]);
    return 0;
}
