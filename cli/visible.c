/* visible.c -- text from outside (names, keys, tokens, what a model wrote) on a terminal: control characters are shown,
 * not obeyed */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "talk.h"

size_t talk_character(const char *text, size_t n)
{
    /* Unicode's table 3-7 */
    static const struct { unsigned char low, high, second_low, second_high, size; } rows[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    const unsigned char *s = (const unsigned char *)text;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (s[0] < rows[i].low || s[0] > rows[i].high) continue;
        if (rows[i].size > n) return 0;
        if (rows[i].size > 1 && (s[1] < rows[i].second_low || s[1] > rows[i].second_high)) return 0;
        for (size_t k = 2; k < rows[i].size; k++)
            if ((s[k] & 0xc0) != 0x80) return 0;
        return rows[i].size;
    }
    return 0;
}

/* C0, DEL, C1, and the marks that change the direction of writing (U+202A to U+202E, U+2066 to U+2069). */
static bool is_control(const unsigned char *s, size_t size)
{
    if (size == 1) return s[0] < 0x20 || s[0] == 0x7f;
    if (size == 2) return s[0] == 0xc2 && s[1] < 0xa0;
    return size == 3 && s[0] == 0xe2 &&
           ((s[1] == 0x80 && s[2] >= 0xaa && s[2] <= 0xae) || (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9));
}

static void put_escaped(FILE *file, const unsigned char *s, size_t size)
{
    if (size <= 1 && *s == '\n') fputs("\\n", file);
    else if (size <= 1 && *s == '\t') fputs("\\t", file);
    else if (size <= 1 && *s == '\r') fputs("\\r", file);
    else if (size <= 1) fprintf(file, "\\x%02x", *s);
    else if (size == 2) fprintf(file, "\\u%04x", (unsigned)(s[0] & 0x1f) << 6 | (s[1] & 0x3f));
    else fprintf(file, "\\u%04x", (unsigned)(s[0] & 0xf) << 12 | (unsigned)(s[1] & 0x3f) << 6 | (s[2] & 0x3f));
}

static void put(FILE *file, const char *text, size_t n, bool lines)
{
    for (size_t i = 0, size; i < n; i += size ? size : 1) {
        const unsigned char *s = (const unsigned char *)text + i;
        size = talk_character(text + i, n - i);
        bool layout = lines && (*s == '\n' || *s == '\t');
        if (size && (layout || !is_control(s, size))) fwrite(s, 1, size, file);
        else put_escaped(file, s, size);
    }
}

void talk_line(FILE *file, const char *text)
{
    put(file, text, strlen(text), false);
}

bool talk_write(FILE *file, const char *text, size_t n)
{
    if (isatty(fileno(file))) put(file, text, n, true);
    else fwrite(text, 1, n, file);
    return !ferror(file);
}

void talk_print(FILE *file, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) {
        talk_error("pha", "out of memory");
        exit(PHA_NO_MEMORY);
    }
    talk_write(file, text, (size_t)n);
    free(text);
}
