/* text.c -- growing text, JSON written into it, characters */
#include "serve/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "talk.h"

static bool reserve(Text *t, size_t n)
{
    if (t->failed) return false;
    if (n > SIZE_MAX / 2 - t->size) return !(t->failed = true);
    if (t->size + n + 1 <= t->capacity) return true;
    size_t capacity = t->capacity ? 2 * t->capacity : 256;
    if (capacity < t->size + n + 1) capacity = t->size + n + 1;
    char *grown = realloc(t->data, capacity);
    if (!grown) return !(t->failed = true);
    t->data = grown, t->capacity = capacity;
    return true;
}

void text_add(Text *t, const void *bytes, size_t n)
{
    if (!reserve(t, n)) return;
    if (n) memcpy(t->data + t->size, bytes, n);
    t->size += n;
    t->data[t->size] = 0;
}

void text_put(Text *t, const char *string)
{
    text_add(t, string, strlen(string));
}

void text_print(Text *t, const char *format, ...)
{
    char small[512];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, format, args);
    if (n < 0) t->failed = true;
    else if ((size_t)n < sizeof small) text_add(t, small, (size_t)n);
    else if (reserve(t, (size_t)n)) {
        vsnprintf(t->data + t->size, (size_t)n + 1, format, again);
        t->size += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void text_free(Text *t)
{
    free(t->data);
    *t = (Text){0};
}

/* ---- JSON ------------------------------------------------------------------------------------------------- */

static void escape(Text *t, unsigned char c)
{
    static const char *const named[] = {['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
    if (c == '"') text_put(t, "\\\"");
    else if (c == '\\') text_put(t, "\\\\");
    else if (c < sizeof named / sizeof *named && named[c]) text_put(t, named[c]);
    else text_print(t, "\\u%04x", c);
}

void text_json(Text *t, const char *s, size_t n)
{
    size_t plain = 0; /* where the bytes that go as they are begin */
    text_add(t, "\"", 1);
    for (size_t i = 0, k; i < n; i += k ? k : 1) {
        unsigned char c = (unsigned char)s[i];
        k = c < 0x80 ? 1 : pha_utf8(s + i, n - i);
        if (k && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) continue;
        text_add(t, s + plain, i - plain);
        if (k) escape(t, c);
        else text_put(t, "\xef\xbf\xbd");
        plain = i + 1;
    }
    text_add(t, s + plain, n - plain);
    text_add(t, "\"", 1);
}

void text_real(Text *t, double value)
{
    if (isfinite(value)) text_print(t, "%.17g", value);
    else text_put(t, "null");
}

static bool is_text(const char *s, size_t n)
{
    for (size_t i = 0, k; i < n; i += k)
        if (!(k = pha_utf8(s + i, n - i))) return false;
    return true;
}

void text_token(Text *t, const char *bytes, size_t n)
{
    if (is_text(bytes, n)) {
        text_json(t, bytes, n);
        return;
    }
    text_put(t, "\"bytes:");
    for (size_t i = 0; i < n; i++) text_print(t, "\\\\x%02x", (unsigned char)bytes[i]);
    text_put(t, "\"");
}

/* ---- characters ------------------------------------------------------------------------------------------- */

size_t text_character(Counter *c, const char *s, size_t n, size_t at)
{
    while (c->byte < at && c->byte < n) {
        size_t k = pha_utf8(s + c->byte, n - c->byte);
        if (!k) k = 1;
        if (c->byte + k > at) break;
        c->byte += k, c->characters++;
    }
    return c->characters;
}
