/* str.h -- a growing string. `failed` is set when memory runs out and is tested once at the end. Zero-initialise. */
#ifndef PHA__STR_H
#define PHA__STR_H

#include <stdarg.h>
#include <stddef.h>

typedef struct pha__str {
    char *data; /* zero-terminated once anything was added; may be NULL before */
    size_t size, capacity;
    int failed;
} pha__str;

void pha__str_add(pha__str *s, const void *data, size_t size);
void pha__str_puts(pha__str *s, const char *text);
void pha__str_printf(pha__str *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void pha__str_clear(pha__str *s); /* size 0, memory kept */
void pha__str_free(pha__str *s);

/* Edit distance (Levenshtein) of two short strings, for "did you mean". */
int pha__edit_distance(const char *a, const char *b);

#endif
