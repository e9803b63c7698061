/* unicode_class.h -- what characters are, by the Unicode version of libutf8proc */
#ifndef PHA__UNICODE_CLASS_H
#define PHA__UNICODE_CLASS_H

#include <stdbool.h>
#include <stdint.h>

/* Classes of characters: \p{L}, \p{N}, \s and the rest. */
enum { PHA__CLASS_OTHER, PHA__CLASS_LETTER, PHA__CLASS_NUMBER, PHA__CLASS_SPACE };

void pha__unicode_init(void);         /* builds the table once; any thread, any number of times */
int pha__unicode_class(int32_t code); /* -1 and anything above U+10FFFF: other */

bool pha__unicode_punctuation(int32_t code); /* \p{P}, and what ASCII has beside */
bool pha__unicode_word(int32_t code);        /* \w: letters, marks, decimal digits, connectors */

#endif
