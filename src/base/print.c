/* print.c -- printf in the "C" locale, and control characters made visible */
#include "base/print.h"

#include <locale.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "pha/text.h"

static locale_t plain; /* 0: the system has none, which does not happen; then the program's own is used */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_plain(void) { plain = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

int pha__vprint(char *text, size_t size, const char *format, va_list args)
{
    pthread_once(&once, make_plain);
    locale_t before = plain ? uselocale(plain) : (locale_t)0; /* of this thread only */
    int n = vsnprintf(text, size, format, args);
    if (before) uselocale(before);
    return n;
}

int pha__print(char *text, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = pha__vprint(text, size, format, args);
    va_end(args);
    return n;
}

static int is_control(int32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

size_t pha_visible(const char *text, size_t size, char out[8], size_t *length)
{
    if (length) *length = 0;
    if (!text || !size || !out || !length) return 0;
    int32_t code;
    size_t step = (size_t)pha__utf8_decode((const unsigned char *)text, size, &code);
    int n = (int)step;
    if (code >= 0 && !is_control(code)) memcpy(out, text, step);
    else if (code == '\n') n = pha__print(out, 8, "\\n");
    else if (code == '\t') n = pha__print(out, 8, "\\t");
    else if (code == '\r') n = pha__print(out, 8, "\\r");
    else if (code >= 0x80) n = pha__print(out, 8, "\\u%04x", (unsigned)code & 0xffff);
    else n = pha__print(out, 8, "\\x%02x", (unsigned)(unsigned char)*text);
    *length = (size_t)n;
    return step;
}

void pha__print_visible(char *out, size_t size, const char *text)
{
    size_t left = strlen(text), used = 0;
    while (left) {
        char piece[8];
        size_t n, step = pha_visible(text, left, piece, &n);
        if (n >= size - used) break;
        memcpy(out + used, piece, n);
        used += n, text += step, left -= step;
    }
    out[used] = 0;
}

int pha__print_number(char *text, size_t size, double x, int decimals)
{
    bool fixed = x > -1e9 && x < 1e9;
    return pha__print(text, size, fixed ? "%.*f" : "%.*e", fixed ? decimals : 4, x);
}
