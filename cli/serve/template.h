/* template.h -- a chat as a prompt
 *
 * plain: the contents one behind another with a blank line between, for models that were not trained on chats.
 * chatml: <|im_start|>ROLE\nCONTENT<|im_end|>\n and the opening of an answer. What people wrote stays text, whatever
 * special tokens it names.
 */
#ifndef CLI_SERVE_TEMPLATE_H
#define CLI_SERVE_TEMPLATE_H

#include "serve/request.h"

typedef enum Template { TEMPLATE_PLAIN, TEMPLATE_CHATML } Template;

/* The tokens of a chat. False: *fault. *ids: to be freed with free. */
bool template_encode(Template t, const pha_tokenizer *tokenizer, const Ask *a, int32_t **ids, size_t *n, Fault *fault);
/* The same as text of the template language, for GET /tokenizer_info. */
const char *template_text(Template t);
const char *template_name(Template t);

#endif
