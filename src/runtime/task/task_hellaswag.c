/* task_hellaswag.c -- HellaSwag's texts as they are scored: without the marks of WikiHow, the context in one piece */
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "runtime/task/task.h"

/* What Python takes for white space. */
static bool white(int32_t c)
{
    return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static size_t strip_left(const char *s, size_t n)
{
    size_t at = 0;
    while (at < n) {
        int32_t code;
        int size = pha__utf8_decode((const unsigned char *)s + at, n - at, &code);
        if (!white(code)) break;
        at += (size_t)size;
    }
    return at;
}

size_t pha__task_strip(const char *text, size_t size)
{
    size_t end = 0;
    for (size_t i = 0; i < size;) {
        int32_t code;
        i += (size_t)pha__utf8_decode((const unsigned char *)text + i, size - i, &code);
        if (!white(code)) end = i;
    }
    return end;
}

/* Every `what` becomes `with`, from left to right. */
static void replace(pha__str *s, const char *what, const char *with)
{
    pha__str out = {0};
    size_t n = strlen(what);
    for (size_t i = 0; i < s->size;) {
        bool here = s->size - i >= n && memcmp(s->data + i, what, n) == 0;
        if (here) pha__str_puts(&out, with);
        else pha__str_add(&out, s->data + i, 1);
        i += here ? n : 1;
    }
    out.failed |= s->failed;
    pha__str_free(s);
    *s = out;
}

/* Takes out "[...]" on one line. */
static void drop_brackets(pha__str *s)
{
    pha__str out = {0};
    size_t open = 0; /* no bracket before this place is closed on its line */
    for (size_t i = 0; i < s->size;) {
        size_t end = i + 1;
        bool begins = s->data[i] == '[' && i >= open;
        while (begins && end < s->size && s->data[end] != ']' && s->data[end] != '\n') end++;
        bool whole = begins && end < s->size && s->data[end] == ']';
        if (begins && !whole) open = end;
        if (!whole) pha__str_add(&out, s->data + i, 1);
        i = whole ? end + 1 : i + 1;
    }
    out.failed |= s->failed;
    pha__str_free(s);
    *s = out;
}

void pha__hellaswag_text(pha__str *out, const char *text)
{
    pha__str s = {0};
    size_t n = strlen(text), from = strip_left(text, n), to = pha__task_strip(text, n);
    if (to > from) pha__str_add(&s, text + from, to - from);
    replace(&s, " [title]", ". ");
    drop_brackets(&s);
    replace(&s, "  ", " ");
    if (s.size) pha__str_add(out, s.data, s.size);
    out->failed |= s.failed;
    pha__str_free(&s);
}

/* As Python's str.capitalize, with the simple case mappings of Unicode: the first letter large, all others small. */
static void capitalize(pha__str *out, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        unsigned char bytes[4];
        int32_t code;
        int size = pha__utf8_decode((const unsigned char *)text + i, n - i, &code);
        int32_t to = code < 0 ? code : i == 0 ? utf8proc_totitle(code) : utf8proc_tolower(code);
        if (code < 0) pha__str_add(out, text + i, (size_t)size);
        else pha__str_add(out, bytes, (size_t)pha__utf8_encode(to, bytes));
        i += (size_t)size;
    }
}

void pha__hellaswag_context(pha__str *out, const char *activity, const char *a, const char *b)
{
    pha__str s = {0};
    pha__str_printf(&s, "%s: %s ", activity, a);
    capitalize(&s, b);
    if (!s.failed) pha__hellaswag_text(out, s.data);
    out->failed |= s.failed;
    pha__str_free(&s);
}
