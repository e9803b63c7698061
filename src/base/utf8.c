/* utf8.c -- UTF-8 as Unicode's table 3-7 defines it */
#include "base/utf8.h"

#include "pha/text.h"

/* Length of the sequence that `lead` starts (0: none) and the range of its second byte, which excludes overlong forms,
 * surrogates and code points beyond U+10FFFF. */
static int sequence(unsigned char lead, unsigned char *low, unsigned char *high)
{
    *low = 0x80, *high = 0xBF;
    if (lead < 0x80) return 1;
    if (lead < 0xC2) return 0;
    if (lead < 0xE0) return 2;
    if (lead < 0xF0) {
        if (lead == 0xE0) *low = 0xA0;
        if (lead == 0xED) *high = 0x9F;
        return 3;
    }
    if (lead > 0xF4) return 0;
    if (lead == 0xF0) *low = 0x90;
    if (lead == 0xF4) *high = 0x8F;
    return 4;
}

/* Number of leading bytes, at most `length`, that fit the sequence. */
static int fitting(const unsigned char *s, size_t size, int length, unsigned char low, unsigned char high)
{
    int n = 1;
    while (n < length && (size_t)n < size && s[n] >= low && s[n] <= high) {
        low = 0x80, high = 0xBF;
        n++;
    }
    return n;
}

int pha__utf8_decode(const unsigned char *s, size_t size, int32_t *code)
{
    unsigned char low, high;
    int length = sequence(s[0], &low, &high);
    if (length == 1) return *code = s[0], 1;
    if (length == 0 || fitting(s, size, length, low, high) < length) return *code = -1, 1;
    int32_t c = s[0] & (0x7F >> length);
    for (int i = 1; i < length; i++) c = c << 6 | (s[i] & 0x3F);
    *code = c;
    return length;
}

bool pha__utf8_valid(const char *text, size_t size)
{
    int32_t code = 0;
    for (size_t i = 0; i < size && code >= 0;)
        i += (size_t)pha__utf8_decode((const unsigned char *)text + i, size - i, &code);
    return code >= 0;
}

int pha__utf8_encode(int32_t code, unsigned char out[4])
{
    if (code < 0x80) return out[0] = (unsigned char)code, 1;
    int n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--) {
        out[i] = (unsigned char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    out[0] = (unsigned char)((0xF00 >> n & 0xFF) | code);
    return n;
}

size_t pha__utf8_whole(const unsigned char *s, size_t size)
{
    for (size_t back = 1; back <= 3 && back <= size; back++) {
        const unsigned char *p = s + size - back;
        if ((*p & 0xC0) == 0x80) continue; /* inside a character: its lead is further left */
        unsigned char low, high;
        int length = sequence(*p, &low, &high);
        if (length > (int)back && fitting(p, back, length, low, high) == (int)back) return size - back;
        return size;
    }
    return size;
}

size_t pha_utf8(const char *text, size_t size)
{
    int32_t code;
    if (!text || !size) return 0;
    int n = pha__utf8_decode((const unsigned char *)text, size, &code);
    return code < 0 ? 0 : (size_t)n;
}

size_t pha_utf8_whole(const char *text, size_t size)
{
    return text ? pha__utf8_whole((const unsigned char *)text, size) : 0;
}
