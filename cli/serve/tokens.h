/* tokens.h -- the bytes of every token, laid out once */
#ifndef CLI_SERVE_TOKENS_H
#define CLI_SERVE_TOKENS_H

#include "pha.h"
#include "serve/text.h"

typedef struct Tokens {
    Text bytes;
    size_t *at;        /* (n_rows + 1) */
    int32_t n, n_rows; /* ids of the tokenizer; rows of the model, whose others have made-up names */
    int32_t end;       /* -1: none */
} Tokens;

bool tokens_open(Tokens *t, const pha_tokenizer *tokenizer, int32_t n_rows); /* false: no memory */
void tokens_close(Tokens *t);
const char *tokens_bytes(const Tokens *t, int32_t id, size_t *n);

#endif
