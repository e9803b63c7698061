/* utf8.h -- decoding that accepts any bytes */
#ifndef PHA__UTF8_H
#define PHA__UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes the character at s (size > 0). Returns its length in bytes, 1..4, and the code point; for a byte that starts
 * no valid sequence (overlong, surrogate, truncated, beyond U+10FFFF) the length is 1 and *code is -1. */
int pha__utf8_decode(const unsigned char *s, size_t size, int32_t *code);

bool pha__utf8_valid(const char *text, size_t size);

/* Writes 1..4 bytes for a code point and returns their number. */
int pha__utf8_encode(int32_t code, unsigned char out[4]);

/* Length of the longest prefix that does not end inside a character that could still be completed: bytes after it are
 * held back by a streaming reader. */
size_t pha__utf8_whole(const unsigned char *s, size_t size);

#endif
