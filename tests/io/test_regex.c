/* test_regex.c -- patterns of tokenizers: the hand-written splitters against PCRE2, what is refused, time */
#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "io/stream.h"
#include "io/tokenizer/pipeline.h"
#include "support/check.h"

static const struct {
    pha__split split;
    const char *pattern;
} known[] = {{PHA__SPLIT_GPT2, pha__split_gpt2},
             {PHA__SPLIT_LLAMA3, pha__split_llama3},
             {PHA__SPLIT_LLAMA3, pha__split_cl100k},
             {PHA__SPLIT_QWEN2, pha__split_qwen2}};

/* The words of a text of valid UTF-8, both ways. */
static void compare(const char *pattern, pha__split split, const unsigned char *text, size_t size)
{
    pha__regex *r;
    pha__matcher *m;
    uint64_t spent = 0;
    OK(pha__regex_open(&r, pattern, "t"));
    OK(pha__matcher_open(&m));
    for (size_t i = 0; i < size;) {
        pha__match match;
        size_t end = pha__word_end(split, text, i, size);
        OK(pha__regex_find(r, m, text, size, i, &spent, &match));
        if (!match.found || match.start != i || match.end != end)
            fail_msg("pattern '%.40s': at byte %zu a word to %zu, by the pattern %zu to %zu", pattern, i, end,
                     match.start, match.end);
        i = end;
    }
    pha__matcher_close(m);
    pha__regex_close(r);
}

/* Both libraries of Unicode know their own version: characters that they class alike. */
static bool *agreed(void)
{
    static const char *const patterns[] = {"\\p{L}", "\\p{N}", "\\s"};
    static const int kinds[] = {PHA__CLASS_LETTER, PHA__CLASS_NUMBER, PHA__CLASS_SPACE};
    bool *same = calloc(0x110000, sizeof *same);
    pha__matcher *m;
    OK(pha__matcher_open(&m));
    pha__unicode_init();
    memset(same, true, 0x110000);
    memset(same + 0xD800, false, 0x800);
    for (int k = 0; k < 3; k++) {
        pha__regex *r;
        OK(pha__regex_open(&r, patterns[k], "t"));
        for (int32_t c = 0; c < 0x110000; c++) {
            unsigned char s[4];
            uint64_t spent = 0;
            pha__match match;
            if (!same[c]) continue;
            OK(pha__regex_find(r, m, s, (size_t)pha__utf8_encode(c, s), 0, &spent, &match));
            same[c] = match.found == (pha__unicode_class(c) == kinds[k]);
        }
        pha__regex_close(r);
    }
    pha__matcher_close(m);
    return same;
}

/* Random text: characters of all planes, of the blocks that text uses, and what the patterns name. */
static size_t random_text(unsigned char *text, size_t size, const bool *same, uint64_t seed)
{
    static const char *const pieces[] = {" ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "'re", "'", "12345", "abc", "...",
                                         "\xc5\xbf", "\xc2\xa0", "\xe3\x80\x80", "\xc2\x85", "7", "A"};
    static const int32_t blocks[] = {0x250, 0x780, 0x3100, 0xE000, 0x20000, 0x110000};
    uint64_t x = seed * 0x9E3779B97F4A7C15u;
    size_t n = 0;
    while (n + 16 < size) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        if (x % 3 == 0) {
            const char *piece = pieces[x / 3 % (sizeof pieces / sizeof *pieces)];
            memcpy(text + n, piece, strlen(piece)), n += strlen(piece);
            continue;
        }
        int32_t c = (int32_t)(x / 64 % (uint64_t)blocks[x / 8 % 6]);
        if (same[c]) n += (size_t)pha__utf8_encode(c, text + n);
    }
    return n;
}

static void random_texts(void **state)
{
    (void)state;
    enum { SIZE = 1 << 16 };
    bool *same = agreed();
    unsigned char *text = malloc(SIZE);
    for (uint64_t seed = 1; seed <= 8; seed++) {
        size_t n = random_text(text, SIZE, same, seed);
        for (int k = 0; k < 4; k++) compare(known[k].pattern, known[k].split, text, n);
    }
    size_t agreeing = 0;
    for (int32_t c = 0; c < 0x110000; c++) agreeing += same[c];
    assert_true(agreeing > 1050000);
    free(text);
    free(same);
}

static void real_text(void **state)
{
    (void)state;
    const char *data = getenv("PHA_DATA");
    char path[512];
    pha__stream *stream;
    if (!data) skip();
    enum { SIZE = 1 << 20 };
    unsigned char *text = malloc(SIZE);
    size_t n;
    snprintf(path, sizeof path, "%s/wikitext/wiki103.valid.tokens", data);
    OK(pha__stream_open(&stream, path, NULL));
    OK(pha__stream_read(stream, text, SIZE, &n));
    pha__stream_close(stream);
    n = pha__utf8_whole(text, n);
    for (int k = 0; k < 4; k++) compare(known[k].pattern, known[k].split, text, n);
    free(text);
}

/* One class of characters, a megabyte of it: windows grow over the whole word. */
static void long_words(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    unsigned char *text = malloc(SIZE);
    static const char units[] = "a1. \n\t'";
    for (size_t u = 0; u < sizeof units - 1; u++) {
        memset(text, units[u], SIZE);
        for (int k = 0; k < 4; k++) compare(known[k].pattern, known[k].split, text, SIZE - (size_t)k);
        text[SIZE - 1] = 'x';
        for (int k = 0; k < 4; k++) compare(known[k].pattern, known[k].split, text, SIZE);
    }
    free(text);
}

static void find(const char *pattern, const char *text, size_t start, size_t end)
{
    pha__regex *r;
    pha__matcher *m;
    pha__match match;
    uint64_t spent = 0;
    OK(pha__regex_open(&r, pattern, "t"));
    OK(pha__matcher_open(&m));
    OK(pha__regex_find(r, m, (const unsigned char *)text, strlen(text), 0, &spent, &match));
    assert_int_equal(match.found, end > 0);
    if (match.found) {
        if (match.start != start || match.end != end)
            fail_msg("'%s' in '%s': %zu to %zu", pattern, text, match.start, match.end);
    }
    pha__matcher_close(m);
    pha__regex_close(r);
}

/* What means something else to PCRE2. */
static void meanings(void **state)
{
    (void)state;
    find("\\s", "a\xe1\xa0\x8e\xc2\x85", 4, 6); /* U+180E is no space, U+0085 is one */
    find("\\h+", "xyz3F ", 3, 5);
    find("\\v", "\n\v", 1, 2);
    find("[^(\\s|[.,!])]+", "(a[", 1, 3);
    find("a$", "a\nb", 0, 1);
    find("\\w+", "\xc2\xb2_\xcc\x81-", 0, 5);
    find("\\b'", "a'", 1, 2);
    find("a{,2}b", "aaab", 1, 4);
    find("a{x", "a{x", 0, 3);
    find("[a\\-c]+", "b-", 1, 2);
    find("\\p{Letter}\\P{^N}", "a1", 0, 2);
    find("\\p{Han}", "a\xe3\x80\x81\xe4\xb8\x80", 4, 7); /* the comma is Han by its extensions only */
    find("\\u4e00", "\xe4\xb8\x80", 0, 3);
    find("(?i:'S)", "'\xc5\xbf", 0, 3);
    find("b", "a", 0, 0);
}

/* Patterns that look through a whole run from each of its places, or in ever more ways. */
static void too_slow(void **state)
{
    (void)state;
    enum { SIZE = 4 << 20 };
    static const char *const patterns[] = {"\\s+$", "(?:a|aa)+b", "(a+)+b"};
    unsigned char *text = malloc(SIZE);
    for (size_t i = 0; i < 3; i++) {
        pha__regex *r;
        pha__matcher *m;
        pha__match match;
        uint64_t spent = 0;
        OK(pha__regex_open(&r, patterns[i], "t"));
        OK(pha__matcher_open(&m));
        memset(text, i ? 'a' : ' ', SIZE);
        text[SIZE - 1] = 'x';
        FAILS(BAD_INPUT, "takes too long", pha__regex_find(r, m, text, SIZE, 0, &spent, &match));
        spent = 0;
        OK(pha__regex_find(r, m, text, 20, 0, &spent, &match)); /* the matcher goes on */
        pha__matcher_close(m);
        pha__regex_close(r);
    }
    free(text);
}

static void bad(const char *part, const char *pattern)
{
    pha__regex *r;
    FAILS(BAD_INPUT, part, pha__regex_open(&r, pattern, "t.json"));
    assert_null(r);
}

static void refused(void **state)
{
    (void)state;
    bad("no text at all", "a*");
    bad("can't be used", "(a");
    bad("can't be used", "a**");
    bad("can't be used", "\\p{Nowhere}");
    bad("has \\1,", "(a)\\1");
    bad("has \\W in a class", "[\\W]");
    bad("'(?P<'", "(?P<n>a)");
    bad("'(?i)", "a(?i)b");
    bad("'&&'", "[a&&b]");
    bad("'[^'", "[a[^b]]");
    bad("'[:'", "[[:alpha:]]");
    bad("behind '}'", "a{1,3}+");
    bad("behind '}'", "a{3}?");
    bad("more than 1000", "a{1001}");
    bad("backslash", "a\\");
    bad("without an end", "[a");
    bad("empty class", "[]a]");
    bad("a set", "[\\s-a]");
    bad("isn't one", "[z-a]");
    bad("isn't one", "[a-\\s]");
    bad("hexadecimal", "\\x{}");
    bad("by a number", "\\xFF");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_texts), cmocka_unit_test(real_text), cmocka_unit_test(long_words),
        cmocka_unit_test(meanings),     cmocka_unit_test(too_slow),  cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
