/* tokens.c -- the bytes of every token */
#include "serve/tokens.h"

#include <stdlib.h>

bool tokens_open(Tokens *t, const pha_tokenizer *tokenizer, int32_t n_rows)
{
    *t = (Tokens){.n = pha_tokenizer_size(tokenizer), .n_rows = n_rows, .end = pha_tokenizer_end(tokenizer)};
    t->at = calloc((size_t)n_rows + 1, sizeof *t->at);
    for (int32_t id = 0; t->at && id < n_rows; id++) {
        char *text = NULL;
        size_t size = 0;
        pha_status status = id < t->n ? pha_tokenizer_decode(tokenizer, &id, 1, &text, &size) : PHA_BAD_INPUT;
        if (status) text_print(&t->bytes, "<token %d>", id);
        else text_add(&t->bytes, text, size);
        pha_free(text);
        t->at[id + 1] = t->bytes.size;
    }
    return t->at && !t->bytes.failed;
}

void tokens_close(Tokens *t)
{
    text_free(&t->bytes);
    free(t->at);
    *t = (Tokens){0};
}

const char *tokens_bytes(const Tokens *t, int32_t id, size_t *n)
{
    *n = t->at[id + 1] - t->at[id];
    return t->bytes.data ? t->bytes.data + t->at[id] : "";
}
