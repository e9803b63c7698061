/* normalize.c -- normal forms over libutf8proc's tables
 *
 * ASCII is its own normal form, and so is what lies between two ASCII characters by itself: a text is taken in runs of
 * an ASCII character with what follows it. Marks are sorted here: the library's own way takes quadratic time.
 */
#include "io/tokenizer/normalize.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "io/tokenizer/members.h"

static const struct {
    const char *name;
    int options;
} forms[] = {[PHA__NFC] = {"NFC", UTF8PROC_STABLE | UTF8PROC_COMPOSE},
             [PHA__NFD] = {"NFD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
             [PHA__NFKC] = {"NFKC", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
             [PHA__NFKD] = {"NFKD", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT}};

static pha_status read_one(pha__forms *f, const json_t *json, const char *name, int depth)
{
    const char *type = pha__type_of(json);
    const json_t *list = json_object_get(json, "normalizers");
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(type, forms[i].name) != 0) continue;
        if (f->n == PHA__FORMS) FAIL(BAD_INPUT, "%s: the normalizer has more than %d steps", name, PHA__FORMS);
        f->form[f->n++] = (pha__form)i;
        return PHA_OK;
    }
    if (strcmp(type, "Sequence") || depth > 8)
        FAIL(BAD_INPUT, "%s: normalizer '%.40s' isn't supported (NFC, NFD, NFKC, NFKD and Sequence are)", name, type);
    for (size_t i = 0; i < json_array_size(list); i++) TRY(read_one(f, json_array_get(list, i), name, depth + 1));
    return PHA_OK;
}

pha_status pha__forms_read(pha__forms *f, const json_t *json, const char *name)
{
    return !json || json_is_null(json) ? PHA_OK : read_one(f, json, name, 0);
}

void pha__normal_space_free(pha__normal_space *space)
{
    for (int i = 0; i < 2; i++) pha__str_free(&space->out[i]);
    pha__free(space->codes);
    pha__free(space->marks);
    *space = (pha__normal_space){0};
}

static pha_status reserve(pha__normal_space *s, size_t more)
{
    if (s->n + more <= s->capacity) return PHA_OK;
    size_t capacity = 2 * (s->n + more) + 64;
    int32_t *codes = pha__realloc(s->codes, capacity, sizeof *codes);
    if (!codes) return PHA_NO_MEMORY;
    s->codes = codes, s->capacity = capacity;
    return PHA_OK;
}

/* Adds what a character is made of. */
static pha_status decompose(pha__normal_space *s, int32_t code, int options)
{
    for (;;) {
        size_t room = s->capacity - s->n;
        utf8proc_ssize_t n = utf8proc_decompose_char(code, s->codes + s->n, (utf8proc_ssize_t)room, options, NULL);
        if (n < 0) FAIL(FAILED, "character U+%04X has no normal form: %s", (unsigned)code, utf8proc_errmsg(n));
        if ((size_t)n <= room) return s->n += (size_t)n, PHA_OK;
        TRY(reserve(s, (size_t)n));
    }
}

static int class_of(int32_t code) { return code < 0x300 ? 0 : utf8proc_get_property(code)->combining_class; }

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Sorts marks [from, to) by class; those of one class keep their order. */
static pha_status sort_marks(pha__normal_space *s, size_t from, size_t to)
{
    size_t n = to - from;
    if (n > s->marks_capacity) {
        pha__free(s->marks);
        s->marks_capacity = 0;
        if (!(s->marks = pha__alloc(2 * n, sizeof *s->marks))) return PHA_NO_MEMORY;
        s->marks_capacity = 2 * n;
    }
    for (size_t i = 0; i < n; i++) /* class, place */
        s->marks[i] = (uint64_t)class_of(s->codes[from + i]) << 32 | i;
    qsort(s->marks, n, sizeof *s->marks, compare);
    for (size_t i = 0; i < n; i++) s->marks[i] = (uint64_t)s->codes[from + (uint32_t)s->marks[i]];
    for (size_t i = 0; i < n; i++) s->codes[from + i] = (int32_t)s->marks[i];
    return PHA_OK;
}

static pha_status order(pha__normal_space *s)
{
    for (size_t i = 0, end; i < s->n; i = end) {
        for (end = i; end < s->n && class_of(s->codes[end]); end++) {
        }
        if (end - i > 1) TRY(sort_marks(s, i, end));
        if (end == i) end++;
    }
    return PHA_OK;
}

/* Writes the normal form of the characters gathered. */
static pha_status flush(pha__normal_space *s, pha__str *out, int options)
{
    unsigned char bytes[4];
    TRY(order(s));
    utf8proc_ssize_t n = (utf8proc_ssize_t)s->n;
    if (options & UTF8PROC_COMPOSE) n = utf8proc_normalize_utf32(s->codes, n, options);
    for (utf8proc_ssize_t i = 0; i < n; i++) pha__str_add(out, bytes, (size_t)pha__utf8_encode(s->codes[i], bytes));
    s->n = 0;
    return PHA_OK;
}

/* A text that is surely its own normal form: ASCII, and for NFC what comes before the first mark. */
static bool is_normal(pha__form form, const unsigned char *text, size_t size)
{
    int most = form == PHA__NFC ? 0xCC : 0x80; /* U+0300 is CC 80 */
    for (size_t i = 0; i < size; i++)
        if (text[i] >= most) return false;
    return true;
}

static pha_status apply(pha__form form, pha__normal_space *s, pha__str *out, const unsigned char *text, size_t size)
{
    int options = forms[form].options;
    pha__str_clear(out);
    TRY(reserve(s, 64));
    s->n = 0;
    for (size_t i = 0; i < size;) {
        size_t ascii = i;
        while (ascii < size && text[ascii] < 0x80) ascii++;
        if (ascii > i) {
            size_t keep = ascii < size ? 1 : 0; /* the last one may be composed with what follows */
            TRY(flush(s, out, options));
            pha__str_add(out, text + i, ascii - i - keep);
            if (keep) s->codes[s->n++] = text[ascii - 1];
            i = ascii;
            continue;
        }
        int32_t code;
        i += (size_t)pha__utf8_decode(text + i, size - i, &code);
        if (code >= 0) {
            TRY(decompose(s, code, options));
            continue;
        }
        TRY(flush(s, out, options));
        pha__str_add(out, text + i - 1, 1);
    }
    TRY(flush(s, out, options));
    return out->failed ? PHA_NO_MEMORY : PHA_OK;
}

pha_status pha__normalize(const pha__forms *f, pha__normal_space *space, const unsigned char **text, size_t *size)
{
    for (int i = 0; i < f->n; i++) {
        if (is_normal(f->form[i], *text, *size)) continue;
        pha__str *out = &space->out[*text == (const unsigned char *)space->out[0].data];
        TRY(apply(f->form[i], space, out, *text, *size));
        *text = (const unsigned char *)(out->data ? out->data : ""), *size = out->size;
    }
    return PHA_OK;
}
