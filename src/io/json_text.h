/* json_text.h -- the text in a JSON object, found without building the object
 *
 * What Python's json module reads is read: also NaN, Infinity and -Infinity, numbers of any size, lone surrogates, and
 * of a key that occurs twice the last one. Memory does not grow with the input.
 */
#ifndef PHA__JSON_TEXT_H
#define PHA__JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum pha__json_found {
    PHA__JSON_TEXT,      /* the object has a string under the key */
    PHA__JSON_NO_KEY,    /* it does not have the key */
    PHA__JSON_NO_STRING, /* what lies there is no string */
    PHA__JSON_NO_OBJECT, /* another JSON value begins here */
    PHA__JSON_CUT,       /* the input ends inside */
    PHA__JSON_BAD,       /* not JSON */
} pha__json_found;

typedef struct pha__json_text {
    size_t from, to; /* TEXT: the string, as it is written between its quotes */
    bool escaped;    /* there is a backslash in it */
    bool begun;      /* CUT: the string under the key had begun, or was there */
    size_t end;      /* where the object ends; CUT, BAD: how far it was understood */
    const char *why; /* BAD: what is wrong there */
} pha__json_text;

enum { PHA__JSON_DEPTH = 8192 }; /* objects and arrays inside each other */

/* Looks at the object at the beginning of s, behind white space. The key is one of the object itself; if that has no
 * such key, "a.b" means the key b in the object under a. */
pha__json_found pha__json_text_find(pha__json_text *out, const char *s, size_t size, const char *key);

/* Undoes the escapes of such a string where it lies, and returns its new length. A surrogate without its other half
 * becomes U+FFFD, and is counted. */
size_t pha__json_text_decode(char *s, size_t size, uint64_t *replaced);

#endif
