/* unicode_class.c -- letter, number, space or other, for every code point
 *
 * Two stages: code / 256 chooses a block, a block holds 2 bits per code point; equal blocks are stored once. The
 * categories are libutf8proc's, so the Unicode version is that of the library the program runs with.
 */
#include <pthread.h>
#include <string.h>
#include <utf8proc.h>

#include "io/tokenizer/tokenizer_impl.h"

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
    case UTF8PROC_CATEGORY_LO:
        return PHA__CLASS_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return PHA__CLASS_NUMBER;
    default:
        return PHA__CLASS_OTHER;
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
