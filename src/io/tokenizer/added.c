/* added.c -- finding added tokens: at each place the longest, from left to right */
#include "io/tokenizer/added.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "io/tokenizer/unicode_class.h"

int pha__added_compare(const void *pa, const void *pb)
{
    const pha__added *a = pa, *b = pb;
    int order = memcmp(a->text, b->text, a->size < b->size ? a->size : b->size);
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

static int by_text_and_id(const void *a, const void *b)
{
    int order = pha__added_compare(a, b);
    return order ? order : ((const pha__added *)a)->id - ((const pha__added *)b)->id;
}

void pha__added_set_make(pha__added_set *set, pha__added *list, int32_t n)
{
    qsort(list, (size_t)n, sizeof *list, by_text_and_id);
    *set = (pha__added_set){.list = list};
    for (int32_t i = 0; i < n; i++) {
        if (list[i].size == 0 || (set->n && pha__added_compare(&list[set->n - 1], &list[i]) == 0)) continue;
        list[set->n++] = list[i];
        set->first[list[i].text[0]] = true;
    }
}

/* The longest token that the text begins with, or NULL: narrows the range byte by byte. */
static const pha__added *match(const pha__added *list, int32_t n, const unsigned char *s, size_t size)
{
    const pha__added *found = NULL;
    int32_t low = 0, high = n;
    for (size_t depth = 0; low < high; depth++) {
        if (list[low].size == depth) found = &list[low++]; /* the shortest comes first */
        if (depth == size) break;
        int32_t a = low, b = high;
        while (a < b) { /* the first whose byte is not below s[depth] */
            int32_t m = a + (b - a) / 2;
            if (list[m].text[depth] < s[depth])
                a = m + 1;
            else
                b = m;
        }
        low = a;
        b = high;
        while (a < b) { /* the first whose byte is above it */
            int32_t m = a + (b - a) / 2;
            if (list[m].text[depth] <= s[depth])
                a = m + 1;
            else
                b = m;
        }
        high = a;
    }
    return found;
}

/* Where the character before s[i] begins (i > low). */
static size_t before(const unsigned char *s, size_t low, size_t i, int32_t *code)
{
    for (size_t n = 1; n <= 4 && n <= i - low; n++)
        if ((size_t)pha__utf8_decode(s + i - n, n, code) == n && *code >= 0) return i - n;
    *code = -1;
    return i - 1;
}

static bool stands_alone(const unsigned char *s, size_t size, size_t start, size_t end)
{
    int32_t code;
    if (start > 0 && (before(s, 0, start, &code), pha__unicode_word(code))) return false;
    return end == size || (pha__utf8_decode(s + end, size - end, &code), !pha__unicode_word(code));
}

static size_t strip_left(const unsigned char *s, size_t low, size_t i)
{
    int32_t code;
    while (i > low) {
        size_t at = before(s, low, i, &code);
        if (pha__unicode_class(code) != PHA__CLASS_SPACE) break;
        i = at;
    }
    return i;
}

static size_t strip_right(const unsigned char *s, size_t i, size_t size)
{
    int32_t code;
    while (i < size) {
        size_t length = (size_t)pha__utf8_decode(s + i, size - i, &code);
        if (pha__unicode_class(code) != PHA__CLASS_SPACE) break;
        i += length;
    }
    return i;
}

bool pha__added_next(pha__added_scan *s, size_t *start, size_t *end, int32_t *id)
{
    *start = s->done, *end = s->size, *id = -1;
    while (s->at < s->size) {
        const pha__added *a =
            s->set->first[s->text[s->at]] ? match(s->set->list, s->set->n, s->text + s->at, s->size - s->at) : NULL;
        if (!a) {
            s->at++;
            continue;
        }
        size_t from = s->at, to = from + a->size;
        s->at = to;
        if (a->single_word && !stands_alone(s->text, s->size, from, to)) continue;
        if (a->lstrip) from = strip_left(s->text, s->done, from);
        if (a->rstrip) s->at = to = strip_right(s->text, to, s->size);
        *end = from, *id = a->id;
        s->done = to;
        return true;
    }
    s->done = s->size;
    return *start < *end;
}
