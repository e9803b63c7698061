/* added.h -- added tokens: those that are found in a text as they are written, before it is cut into words */
#ifndef PHA__ADDED_H
#define PHA__ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct pha__added {
    const unsigned char *text;
    size_t size;
    int32_t id;
    bool special;        /* found on request only */
    bool single_word;    /* only where no letter or digit is beside it */
    bool lstrip, rstrip; /* takes the white space before, after it */
    bool normalized;     /* looked for in the normal form of the text, by its own normal form */
} pha__added;

/* Those that are looked for together, sorted by text. */
typedef struct pha__added_set {
    pha__added *list;
    int32_t n;
    bool first[256]; /* bytes with which one begins */
} pha__added_set;

/* Sorts and takes out what is there twice (the later). Takes `list` over. */
void pha__added_set_make(pha__added_set *set, pha__added *list, int32_t n);
int pha__added_compare(const void *a, const void *b); /* by text */

/* Going through a text: sections without added tokens, each ended by one (id) or by the end (id -1). */
typedef struct pha__added_scan {
    const pha__added_set *set;
    const unsigned char *text;
    size_t size, at, done;
} pha__added_scan;

/* false: the text is at its end. */
bool pha__added_next(pha__added_scan *s, size_t *start, size_t *end, int32_t *id);

#endif
