/* Documents from files: kinds, pieces that encode as the whole does, and files that are broken */
#include "io/text.h"

#include <sys/stat.h>

#include "io/tokenizer/tokenizer.h"
#include "support/texts.h"

static void expect(const char *want, const pha__text_options *options)
{
    pha__str text = { 0 };
    const char *one = root;
    OK(read_all(&text, &one, 1, options, NULL));
    if (text.size != strlen(want) || memcmp(text.data ? text.data : "", want, text.size) != 0)
        fail_msg("got '%.*s', expected '%s'", (int)text.size, text.data ? text.data : "", want);
    pha__str_free(&text);
}

static void folders(void **state)
{
    (void)state;
    fresh();
    OK(pha__mkdirs(in_root("b/deep")));
    OK(pha__mkdirs(in_root(".git")));
    puts_file("b/deep/x.rst", "deep");
    puts_file("b/a.md", "in b\r\n");
    puts_file("B.txt", "upper");
    puts_file("c", "\xef\xbb\xbf" "c\xff\xfe");
    puts_file(".hidden", "no");
    puts_file(".git/no", "no");
    puts_file("empty.txt", "");
    puts_file("empty.gz", "");
    put("binary.o", "ab\0c", 4);
    assert_int_equal(symlink(root, in_root("loop")), 0);
    assert_int_equal(symlink("c", in_root("z")), 0);
    assert_int_equal(mkfifo(in_root("pipe"), 0600), 0);
    expect("upper|in b\r\n|deep|\xef\xbb\xbf" "c\xff\xfe|\xef\xbb\xbf" "c\xff\xfe|", NULL);
    char b[300];
    snprintf(b, sizeof b, "%s/b", root);
    pha__text_list list = { 0 };
    OK(pha__text_list_add(&list, root, b));
    assert_int_equal(list.n, 6);
    pha__text_list_free(&list);
    const char *paths[] = { in_root("z"), b };
    pha__str text = { 0 };
    pha__text_stats stats;
    OK(read_all(&text, paths, 2, NULL, &stats));
    assert_true(stats.files == 3 && stats.bytes_done == stats.bytes_total && stats.bytes_total == 6 + 6 + 4);
    FAILS(BAD_INPUT, "byte 2 is zero", (paths[0] = in_root("binary.o"), read_all(&text, paths, 1, NULL, NULL)));
    FAILS(BAD_INPUT, "neither a regular file", (paths[0] = in_root("pipe"), read_all(&text, paths, 1, NULL, NULL)));
    FAILS(IO, "no such file", (paths[0] = in_root("nothing"), read_all(&text, paths, 1, NULL, NULL)));
    pha__str_free(&text);
}

static void wikitext(void **state)
{
    (void)state;
    fresh();
    puts_file(
        "w.tokens",
        " \n = One = \n \n text\n = not = \n \n = = Section = = \n x\n \n = Two b = \n \n y = 1 \n \n = Three = \n \n");
    const char *want = " \n = One = \n \n text\n = not = \n \n = = Section = = \n x\n \n| = Two b = \n \n y = 1 \n \n| "
                       "= Three = \n \n|";
    expect(want, NULL);
    /* Small pieces: the same documents. */
    for (size_t piece = 1; piece < 60; piece++) {
        pha__str text = { 0 };
        const char *one = root;
        OK(read_all(&text, &one, 1, &(pha__text_options){ .cuts = PHA__CUT_BLANK, .piece = piece }, NULL));
        size_t n = 0;
        for (size_t i = 0; i < text.size; i++)
            if (text.data[i] != '/') text.data[n++] = text.data[i];
        assert_int_equal(n, strlen(want));
        assert_memory_equal(text.data, want, n);
        pha__str_free(&text);
    }
}

static void jsonl(void **state)
{
    (void)state;
    fresh();
    puts_file("a.jsonl", "\xef\xbb\xbf{\"text\": \"one\\nline\"}\r\n\n  \n{\"id\": 99999999999999999999, \"text\": "
                         "\"two \\u00e9\"}\n{\"text\":\"\"}\n"
                         "{\"text\": \"last\"}");
    expect("one\nline|two \xc3\xa9|last|", NULL);
    FAILS(
        BAD_INPUT, "a.jsonl:1: key 'body': no such key",
        (expect("", &(pha__text_options){ .text_key = "body", .skip_bad = true }),
         read_all(&(pha__str){ 0 }, (const char *[]){ root }, 1, &(pha__text_options){ .text_key = "body" }, NULL)));
    const struct { const char *line, *part; } bad[] = {
        { "{\"text\": \"a\"", "b.ndjson:2: not JSON" }, { "{\"text\": 5}", "b.ndjson:2: key 'text': not a string" },
        { "[\"text\"]", "b.ndjson:2: key 'text': not an object" }, { "{\"text\": \"\xff\"}", "b.ndjson:2: not JSON" },
        { "{\"text\": \"a\"} x", "b.ndjson:2: not JSON" }, { "\"text\"", "b.ndjson:2" },
    };
    pha__str text = { 0 };
    const char *one = root;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char lines[200];
        pha__text_stats stats;
        fresh();
        snprintf(lines, sizeof lines, "{\"text\":\"ok\"}\n%s\n{\"text\":\"fine\"}\n", bad[i].line);
        puts_file("b.ndjson", lines);
        FAILS(BAD_INPUT, bad[i].part, read_all(&text, &one, 1, NULL, NULL));
        OK(read_all(&text, &one, 1, &(pha__text_options){ .skip_bad = true }, &stats));
        assert_int_equal(text.size, 8);
        assert_memory_equal(text.data, "ok|fine|", 8);
        assert_int_equal(stats.bad_lines, 1);
    }
    /* A line that is too long is one bad line, wherever it is. */
    fresh();
    pha__str big = { 0 };
    pha__str_puts(&big, "{\"text\":\"");
    for (int i = 0; i < 100000; i++) pha__str_puts(&big, "ab ");
    pha__str_puts(&big, "\"}\n{\"text\":\"after\"}\n");
    put("c.jsonl", big.data, big.size);
    pha__text_options few = { .max_line = 100000, .cuts = PHA__CUT_BLANK, .piece = 1000 };
    FAILS(BAD_INPUT, "c.jsonl:1: a line of more than 100000 bytes", read_all(&text, &one, 1, &few, NULL));
    few.skip_bad = true;
    pha__text_stats stats;
    OK(read_all(&text, &one, 1, &few, &stats));
    assert_memory_equal(text.data, "after|", 6);
    assert_int_equal(stats.bad_lines, 1);
    few.max_line = 0; /* long documents come in pieces */
    OK(read_all(&text, &one, 1, &few, NULL));
    assert_true(text.size > 300006 + 290 && text.size < 300006 + 400);
    pha__str_free(&text);
    pha__str_free(&big);
}

static void counting(void **state)
{
    (void)state;
    uint64_t words = 0, lines = 0;
    pha__text_count(" a bc\n\td  \n\n e", 14, '\n', &words, &lines);
    assert_true(words == 4 && lines == 3);
    pha__text_count("f g", 3, 'e', &words, &lines); /* goes on with the word "e" */
    assert_true(words == 5 && lines == 3);
}

/* What GPT-2's pattern makes of the parts must be what it makes of the whole, at every place the cut may choose. */
static void check_cuts(pha__encoder *e, const char *text, size_t size, int *tried)
{
    static int32_t whole[5000], parts[5000];
    const int32_t *ids;
    size_t n, a, b;
    OK(pha__encode(e, text, size, false, &ids, &n));
    assert_true(n <= 5000);
    memcpy(whole, ids, n * sizeof *ids);
    for (size_t high = 1; high < size; high++) {
        size_t cut = pha__text_cut(text, 0, high, PHA__CUT_BLANK | PHA__CUT_LINE_END);
        if (!cut) continue;
        assert_true(cut <= high);
        OK(pha__encode(e, text, cut, false, &ids, &a));
        memcpy(parts, ids, a * sizeof *ids);
        OK(pha__encode(e, text + cut, size - cut, false, &ids, &b));
        assert_true(a + b <= 5000);
        memcpy(parts + a, ids, b * sizeof *ids);
        if (a + b != n || memcmp(parts, whole, n * sizeof *whole) != 0)
            fail_msg("cut at %zu of %zu changes the tokens", cut, size);
        ++*tried;
    }
}

static void cuts(void **state)
{
    (void)state;
    const char *data = getenv("PHA_DATA");
    if (!data || !*data) {
        print_message("skipped: PHA_DATA is not set\n");
        skip();
    }
    char name[600];
    pha__tokenizer *t;
    pha__encoder *e;
    snprintf(name, sizeof name, "%s/gpt2-bpe", data);
    OK(pha__tokenizer_open(&t, name));
    OK(pha__encoder_open(&e, t));
    /* Texts from an alphabet of everything that the pattern treats differently. */
    static const char *const parts[] = { " ",
                                         " ",
                                         "\n",
                                         "\n",
                                         "\t",
                                         "\r\n",
                                         "  ",
                                         "a",
                                         "'s",
                                         "'ll",
                                         "'",
                                         "9",
                                         "!",
                                         "=",
                                         "\xc3\xa9",
                                         "\xc2\xa0",
                                         "\xe2\x80\x83",
                                         "\xe3\x80\x80",
                                         "\xe4\xb8\xad",
                                         "\xff",
                                         "\xe2\x80",
                                         "\xc2\x85",
                                         "\x1c",
                                         "\xf0\x9f\x98\x80",
                                         "the",
                                         " the",
                                         "\v" };
    uint32_t random = 1;
    int tried = 0;
    for (int round = 0; round < 3000; round++) {
        char text[400];
        size_t size = 0;
        for (int i = 0; i < 40; i++) {
            random = random * 1664525u + 1013904223u;
            const char *part = parts[(random >> 16) % (sizeof parts / sizeof *parts)];
            memcpy(text + size, part, strlen(part));
            size += strlen(part);
        }
        check_cuts(e, text, size, &tried);
    }
    assert_true(tried > 50000);
    pha__encoder_close(e);
    pha__tokenizer_close(t);
}

/* Pieces of any size hold the text; only where there is nothing to cut is one cut inside a word. */
static void pieces(void **state)
{
    (void)state;
    fresh();
    pha__str text = { 0 }, got = { 0 };
    for (int i = 0; i < 3000; i++) pha__str_printf(&text, "w%d%s", i, i % 7 ? " " : "\n");
    put("a.txt", text.data, text.size);
    const char *one = root;
    OK(read_all(&got, &one, 1, &(pha__text_options){ .cuts = PHA__CUT_BLANK, .piece = 1000 }, NULL));
    size_t n = 0, cut = 0;
    for (size_t i = 0; i < got.size; i++) {
        if (got.data[i] == '/') cut++, assert_true(got.data[i + 1] == ' ' || got.data[i + 1] == '\n');
        else if (got.data[i] != '|') assert_int_equal(got.data[i], text.data[n++]);
    }
    assert_int_equal(n, text.size);
    assert_true(cut >= text.size / 1000 && cut < text.size / 900);
    pha__str_clear(&text);
    for (int i = 0; i < 90001; i++) pha__str_puts(&text, "\xc3\xa9");
    put("a.txt", text.data, text.size);
    OK(read_all(&got, &one, 1, &(pha__text_options){ .cuts = PHA__CUT_BLANK, .piece = 1001 }, NULL));
    assert_int_equal(got.size, text.size + text.size / 64064 + 1);
    assert_int_equal(got.data[64064], '/'); /* 64 times the piece, and between two characters */
    for (size_t i = 60000; i < 90000; i++) text.data[i] = "abcd "[i % 5];
    put("a.txt", text.data, text.size);
    pha__str_clear(&got);
    OK(read_all(&got, &one, 1, &(pha__text_options){ .piece = 1001 }, NULL)); /* whole, as far as that goes */
    assert_memory_equal(got.data, text.data, 64064);
    assert_memory_equal(got.data + 64064, "/ abcd", 6);
    pha__str_free(&text);
    pha__str_free(&got);
}

static int setup(void **state)
{
    root_setup(state);
    pha__log_to(quiet, NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folders), cmocka_unit_test(wikitext), cmocka_unit_test(jsonl),
        cmocka_unit_test(counting), cmocka_unit_test(cuts), cmocka_unit_test(pieces),
    };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
