/* template.h -- a chat as a prompt
 *
 * plain: the contents one behind another with a blank line between, for models that were not trained on chats.
 * chatml: <|im_start|>ROLE\nCONTENT<|im_end|>\n and the opening of an answer. Else a template of the Jinja language,
 * the model's own or a file's. What people wrote stays text, whatever special tokens it names.
 */
#ifndef CLI_SERVE_TEMPLATE_H
#define CLI_SERVE_TEMPLATE_H

#include "serve/jinja.h"
#include "serve/tokens.h"

typedef struct Template {
    enum { TEMPLATE_PLAIN, TEMPLATE_CHATML, TEMPLATE_JINJA } kind;
    char name[128];        /* "plain", "chatml", a file's name */
    char *text;            /* of the language, for GET /tokenizer_info */
    Jinja *jinja;
    char *bos, *eos;       /* NULL: the model names none */
    int32_t *special;      /* (n_special) tokens that a template may write */
    size_t n_special;
    bool begins[256];      /* bytes with which one of them begins */
    const Tokens *tokens;
    const pha_tokenizer *tokenizer;
} Template;

/* wanted: "plain", "chatml", a file, or NULL: the model's own (chat_template.jinja or tokenizer_config.json in its
 * folder), or plain where it has none. False: *why (500 bytes) says what is wrong with it; a template is tried, so that
 * it does not fail with every request. */
bool template_open(Template *t, const char *wanted, const char *folder, const Tokens *tokens,
                   const pha_tokenizer *tokenizer, char *why);
void template_close(Template *t);

/* The tokens of a chat. False: *fault. *ids: to be freed with free. */
bool template_encode(const Template *t, const Ask *a, int32_t **ids, size_t *n, Fault *fault);

/* template_open.c */
bool template_load(Template *t, const char *wanted, const char *folder, char *why);

#endif
