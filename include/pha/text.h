/* pha/text.h -- text from outside (files, keys, tokens, what a model wrote) where it is shown; of pha.h */
#ifndef PHA_TEXT_H
#define PHA_TEXT_H

#include "pha/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of the UTF-8 character at `text` (size > 0 bytes), 1 to 4; 0: there is none (overlong, a surrogate, cut). */
PHA_API size_t pha_utf8(const char *text, size_t size);

/* Bytes of the longest beginning that does not end inside of a character which could still be completed: who writes
 * text as tokens come holds the rest back. */
PHA_API size_t pha_utf8_whole(const char *text, size_t size);

/* What a terminal may get for the character at `text` (size > 0 bytes), or for the byte that is none: itself, or if it
 * is a control character (C0, DEL, C1) or a mark that changes the direction of writing \n, \t, \x1b, \u202e ..., for
 * other bytes \xff. `out` has room for 8 bytes, *length of which are used; no zero follows. Returns the bytes of `text`
 * that it stands for. pha_errmsg and the lines of a log have been made so. */
PHA_API size_t pha_visible(const char *text, size_t size, char out[8], size_t *length);

#ifdef __cplusplus
}
#endif
#endif
