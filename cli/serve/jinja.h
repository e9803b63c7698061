/* jinja.h -- chat templates: the part of the Jinja language in which models say how a chat becomes a text
 *
 * Read once, at the start; what is not understood is an error then, with its line. Rendering is bounded in steps,
 * memory and depth. Of each byte it is known whether it comes from the template or from what people wrote, so that
 * special tokens are only those that the template writes.
 */
#ifndef CLI_SERVE_JINJA_H
#define CLI_SERVE_JINJA_H

#include "serve/request.h"

typedef struct Jinja Jinja;

/* NULL: *why (300 bytes) says what is not understood, and where. */
Jinja *jinja_open(const char *text, size_t size, char *why);
void jinja_close(Jinja *j);

typedef struct JinjaChat {
    const Message *messages;
    size_t n;
    const char *bos, *eos; /* NULL: not defined */
    bool prompt;           /* the opening of an answer behind it */
} JinjaChat;

/* *theirs has a byte for each of *out, 1 where people wrote it. False: *why (300 bytes). */
bool jinja_render(const Jinja *j, const JinjaChat *chat, Text *out, Text *theirs, char *why);

#endif
