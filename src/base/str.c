/* str.c -- a growing string, and edit distance */
#include "base/str.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/print.h"

/* Room for `extra` more bytes and the final zero. */
static int reserve(pha__str *s, size_t extra)
{
    if (s->failed) return 0;
    if (extra < s->capacity - s->size) return 1;
    size_t need;
    if (__builtin_add_overflow(s->size, extra, &need) || need > (size_t)PTRDIFF_MAX / 4) return s->failed = 1, 0;
    size_t capacity = s->capacity < 32 ? 64 : s->capacity * 2;
    if (capacity <= need) capacity = need + 1;
    char *data = pha__realloc(s->data, capacity, 1);
    if (!data) return s->failed = 1, 0;
    s->data = data;
    s->capacity = capacity;
    return 1;
}

void pha__str_add(pha__str *s, const void *data, size_t size)
{
    if (!reserve(s, size)) return;
    if (size) memcpy(s->data + s->size, data, size);
    s->size += size;
    s->data[s->size] = 0;
}

void pha__str_puts(pha__str *s, const char *text) { pha__str_add(s, text, strlen(text)); }

void pha__str_printf(pha__str *s, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = pha__vprint(NULL, 0, format, args);
    if (n < 0) s->failed = 1;
    else if (reserve(s, (size_t)n)) {
        pha__vprint(s->data + s->size, (size_t)n + 1, format, again);
        s->size += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

void pha__str_clear(pha__str *s)
{
    s->size = 0;
    if (s->data) s->data[0] = 0;
}

void pha__str_free(pha__str *s)
{
    pha__free(s->data);
    *s = (pha__str){ 0 };
}

#define SHORT 127

int pha__edit_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > SHORT || m > SHORT) return (int)SHORT + 1;
    int row[SHORT + 1];
    for (size_t j = 0; j <= m; j++) row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int corner = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = corner + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            corner = row[j];
            row[j] = best;
        }
    }
    return row[m];
}
