/* regex.c -- searching with PCRE2 in windows, within a budget */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "io/tokenizer/regex.h"

#include <pcre2.h>

#include "base/mem.h"
#include "base/utf8.h"

enum {
    WINDOW = 256,             /* bytes that a search looks at at first */
    SPENT_PER_BYTE = 64,      /* of larger windows, for each byte of the text ... */
    SPENT_AT_LEAST = 1 << 24, /* ... and for any text */
    MATCH_LIMIT = 1000000,    /* steps back in one match, and for each byte of its window ... */
    MATCH_LIMIT_PER_BYTE = 16,
    HEAP_LIMIT = 64 << 10, /* KiB */
    STACK_FIRST = 32 << 10,
    STACK_MOST = 16 << 20
};

struct pha__regex {
    pcre2_code *code;
};

struct pha__matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static void *take(size_t size, void *unused)
{
    (void)unused;
    return pha__alloc(size, 1);
}

static void give(void *p, void *unused)
{
    (void)unused;
    pha__free(p);
}

static pcre2_general_context *memory(void) { return pcre2_general_context_create(take, give, NULL); }

/* As Oniguruma has it: ^ and $ are ends of lines, classes are Unicode's. */
static pha_status compile(pha__regex *r, const pha__str *text, const char *pattern, const char *name)
{
    int error = 0;
    PCRE2_SIZE at = 0;
    uint32_t empty = 0;
    pcre2_general_context *general = memory();
    pcre2_compile_context *c = general ? pcre2_compile_context_create(general) : NULL;
    if (c) {
        pcre2_set_newline(c, PCRE2_NEWLINE_LF);
        r->code = pcre2_compile(
            (PCRE2_SPTR)text->data, text->size,
            PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT, &error, &at, c);
    }
    pcre2_compile_context_free(c);
    pcre2_general_context_free(general);
    if (!c || (!r->code && error == PCRE2_ERROR_HEAP_FAILED)) return PHA_NO_MEMORY;
    if (!r->code) {
        char message[128] = "";
        pcre2_get_error_message(error, (PCRE2_UCHAR *)message, sizeof message);
        FAIL(BAD_INPUT, "%s: the pattern '%.200s' can't be used: %s", name, pattern, message);
    }
    pcre2_pattern_info(r->code, PCRE2_INFO_MATCHEMPTY, &empty);
    if (empty)
        FAIL(BAD_INPUT, "%s: the pattern '%.200s' can match no text at all, which isn't supported", name, pattern);
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD); /* without it the search is only slower */
    return PHA_OK;
}

pha_status pha__regex_open(pha__regex **out, const char *pattern, const char *name)
{
    *out = NULL;
    pha__str text = {0};
    pha__regex *r = pha__alloc_zero(1, sizeof *r);
    if (!r) return PHA_NO_MEMORY;
    pha_status status = pha__regex_translate(&text, pattern, name);
    if (!status && text.failed) status = PHA_NO_MEMORY;
    if (!status) status = compile(r, &text, pattern, name);
    pha__str_free(&text);
    if (status) {
        pha__regex_close(r);
        return status;
    }
    *out = r;
    return PHA_OK;
}

void pha__regex_close(pha__regex *r)
{
    if (!r) return;
    pcre2_code_free(r->code);
    pha__free(r);
}

pha_status pha__matcher_open(pha__matcher **out)
{
    *out = NULL;
    pha__matcher *m = pha__alloc_zero(1, sizeof *m);
    if (!m) return PHA_NO_MEMORY;
    pcre2_general_context *general = memory();
    if (general) {
        m->data = pcre2_match_data_create(1, general);
        m->context = pcre2_match_context_create(general);
        m->stack = pcre2_jit_stack_create(STACK_FIRST, STACK_MOST, general); /* NULL where there is no compiler */
    }
    pcre2_general_context_free(general);
    if (!m->data || !m->context) {
        pha__matcher_close(m);
        return PHA_NO_MEMORY;
    }
    pcre2_set_heap_limit(m->context, HEAP_LIMIT);
    if (m->stack) pcre2_jit_stack_assign(m->context, NULL, m->stack);
    *out = m;
    return PHA_OK;
}

void pha__matcher_close(pha__matcher *m)
{
    if (!m) return;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
    pha__free(m);
}

static bool inside(unsigned char byte) { return (byte & 0xC0) == 0x80; }

/* The end of a window of about `window` bytes, between two characters. */
static size_t window_end(const unsigned char *text, size_t size, size_t at, size_t window)
{
    if (size - at <= window) return size;
    size_t end = at + window;
    while (inside(text[end])) end--;
    return end;
}

typedef struct search {
    const unsigned char *text;
    size_t size, at, window;
    bool one; /* only a match that begins at `at`, in a window that grows */
} search;

/* One look. A match that needs to know what comes after the window is looked at again in a larger one. */
static int look(const pha__regex *r, pha__matcher *m, const search *s, size_t end)
{
    uint32_t limit = MATCH_LIMIT + (uint32_t)((end - s->at) * MATCH_LIMIT_PER_BYTE & 0x3FFFFFFF);
    pcre2_set_match_limit(m->context, limit);
    pcre2_set_offset_limit(m->context, s->one ? s->at : PCRE2_UNSET);
    return pcre2_match(r->code, s->text, end, s->at, PCRE2_NO_UTF_CHECK | (end < s->size ? PCRE2_PARTIAL_HARD : 0),
                       m->data, m->context);
}

static void next_start(search *s)
{
    do s->at++;
    while (s->at < s->size && inside(s->text[s->at]));
    s->one = false;
    s->window = WINDOW;
}

pha_status pha__regex_find(const pha__regex *r, pha__matcher *m, const unsigned char *text, size_t size, size_t from,
                           uint64_t *spent, pha__match *match)
{
    *match = (pha__match){.start = size, .end = size};
    search s = {.text = text, .size = size, .at = from, .window = WINDOW};
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m->data);
    while (s.at < size) {
        size_t end = window_end(text, size, s.at, s.window);
        int rc = look(r, m, &s, end);
        if (s.one) *spent += end - s.at;
        if (*spent > SPENT_AT_LEAST + SPENT_PER_BYTE * (uint64_t)size) rc = PCRE2_ERROR_MATCHLIMIT;
        if (rc >= 0) {
            *match = (pha__match){at[0], at[1], true};
            if (s.one) *spent -= at[1] - at[0] < *spent ? at[1] - at[0] : *spent;
            return PHA_OK;
        }
        if (rc == PCRE2_ERROR_PARTIAL) {
            if (s.one || at[0] <= s.at)
                s.window *= 2;
            else
                s.at = at[0];
            s.one = true;
        } else if (rc == PCRE2_ERROR_NOMATCH) {
            if (s.one)
                next_start(&s);
            else
                s.at = end;
        } else if (rc == PCRE2_ERROR_NOMEMORY) {
            FAIL(NO_MEMORY, "no memory for matching a pattern of the tokenizer");
        } else {
            FAIL(BAD_INPUT,
                 "a pattern of the tokenizer takes too long on this text (near byte %zu of %zu of a section)", s.at,
                 size);
        }
    }
    return PHA_OK;
}
