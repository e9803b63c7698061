/* regex.h -- a regular expression of a tokenizer.json, searched in bounded time
 *
 * The files are written for Oniguruma. regex_translate.c brings a pattern into PCRE2's words so that it means the same,
 * or refuses it by name. What a search may cost is bounded: it looks at small windows of the text, larger ones only
 * where a match needs them, and what these cost in all is held against the size of the text.
 */
#ifndef PHA__REGEX_H
#define PHA__REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

typedef struct pha__regex pha__regex; /* read-only after opening; may be shared between threads */

/* BAD_INPUT: not a pattern, one that can match nothing at all, or one that isn't understood. `name` is the file. */
pha_status pha__regex_open(pha__regex **out, const char *pattern, const char *name);
void pha__regex_close(pha__regex *r);

/* Working memory of one thread. */
typedef struct pha__matcher pha__matcher;
pha_status pha__matcher_open(pha__matcher **out);
void pha__matcher_close(pha__matcher *m);

typedef struct pha__match {
    size_t start, end;
    bool found;
} pha__match;

/* The first match from `from` on in a text of valid UTF-8. *spent is what searches in this text have cost beyond its
 * size; 0 at first. BAD_INPUT: the pattern takes too long on this text. */
pha_status pha__regex_find(const pha__regex *r, pha__matcher *m, const unsigned char *text, size_t size, size_t from,
                           uint64_t *spent, pha__match *match);

/* The same pattern for PCRE2 (added to *out). */
pha_status pha__regex_translate(pha__str *out, const char *pattern, const char *name);

#endif
