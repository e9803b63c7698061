/* unicode_class.c -- letter, number, space or other, for every code point
 *
 * Two stages: code / 256 chooses a block, a block holds 2 bits per code point; equal blocks are stored once. The
 * categories are libutf8proc's, so the Unicode version is that of the library the program runs with.
 */
#include <pthread.h>
#include <string.h>
#include <utf8proc.h>

#include "io/tokenizer/unicode_class.h"

enum { CODES = 0x110000, BLOCK = 256, BLOCKS = CODES / BLOCK, BLOCK_BYTES = BLOCK / 4 };

static uint16_t block_of[BLOCKS];
static uint8_t blocks[BLOCKS][BLOCK_BYTES]; /* zero pages beyond the few hundred that differ */

static bool is_space(int32_t c) /* the property White_Space */
{
    return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
           c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static int class_of(int32_t code)
{
    if (is_space(code)) return PHA__CLASS_SPACE;
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return PHA__CLASS_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return PHA__CLASS_NUMBER;
    default: return PHA__CLASS_OTHER;
    }
}

static void build(void)
{
    int n = 0;
    for (int b = 0; b < BLOCKS; b++) {
        uint8_t bits[BLOCK_BYTES] = {0};
        for (int i = 0; i < BLOCK; i++) bits[i / 4] |= (uint8_t)(class_of(b * BLOCK + i) << (i % 4 * 2));
        int k = n - 1; /* from the end: neighbours are often equal */
        while (k >= 0 && memcmp(blocks[k], bits, sizeof bits) != 0) k--;
        if (k < 0) {
            k = n++;
            memcpy(blocks[k], bits, sizeof bits);
        }
        block_of[b] = (uint16_t)k;
    }
}

void pha__unicode_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, build);
}

int pha__unicode_class(int32_t code)
{
    if ((uint32_t)code >= CODES) return PHA__CLASS_OTHER;
    return blocks[block_of[code / BLOCK]][code % BLOCK / 4] >> (code % 4 * 2) & 3;
}

static bool is_mark(utf8proc_category_t c)
{
    return c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_MC || c == UTF8PROC_CATEGORY_ME;
}

bool pha__unicode_punctuation(int32_t code)
{
    if (code < 0x80)
        return code > ' ' && code < 0x7F && !(code >= '0' && code <= '9') &&
               !((code | 0x20) >= 'a' && (code | 0x20) <= 'z');
    utf8proc_category_t c = utf8proc_category(code);
    return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

bool pha__unicode_word(int32_t code)
{
    if (code < 0) return false;
    if (code < 0x80)
        return code == '_' || pha__unicode_class(code) == PHA__CLASS_LETTER || (code >= '0' && code <= '9');
    utf8proc_category_t c = utf8proc_category(code);
    bool circled = (code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
                   (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189);
    return pha__unicode_class(code) == PHA__CLASS_LETTER || is_mark(c) || circled || c == UTF8PROC_CATEGORY_ND ||
           c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_PC || code == 0x200C || code == 0x200D;
}
