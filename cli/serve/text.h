/* text.h -- growing text, and JSON written into it */
#ifndef CLI_SERVE_TEXT_H
#define CLI_SERVE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero-initialise. Once memory was missing `failed` stays true, and what is added is lost. */
typedef struct Text {
    char *data;
    size_t size, capacity;
    bool failed;
} Text;

void text_add(Text *t, const void *bytes, size_t n);
void text_put(Text *t, const char *string);
void text_print(Text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_free(Text *t);

/* A JSON string; each byte that is no UTF-8 becomes U+FFFD. */
void text_json(Text *t, const char *s, size_t n);
/* A number with all its digits, so that equal doubles are equal texts; null where it is not finite. */
void text_real(Text *t, double value);

/* The text of a token in answers: as it is, or, if that is no UTF-8, bytes:\xe2\x80. As a JSON string. */
void text_token(Text *t, const char *bytes, size_t n);

/* Counts characters of a text from its start, a byte that is no UTF-8 as one. */
typedef struct Counter {
    size_t byte, characters;
} Counter;
/* The number of the character that begins at byte `at` or holds it; `at` never falls from call to call. */
size_t text_character(Counter *c, const char *s, size_t n, size_t at);

#endif
