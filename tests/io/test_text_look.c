/* What a file is: JSON by its content, what is no text, what is odd about text; and JSON as Python reads it */
#include "io/text.h"

#include "base/log.h"
#include "base/str.h"
#include "io/json_text.h"
#include "support/root.h"

static pha__str notes, got;

static void keep(void *context, pha__log_level level, const char *text)
{
    (void)context, (void)level;
    pha__str_printf(&notes, "%s\n", text);
}

/* Documents of one named file, separated by '|'. */
static pha_status read_file(const char *name, const void *data, size_t size, const pha__text_options *options,
                            pha__text_stats *stats)
{
    pha__text *t;
    pha__piece piece;
    const char *path = in_root(name);
    OK(pha__write_file(path, data, size));
    pha__str_clear(&notes);
    pha__str_clear(&got);
    pha_status status = pha__text_open(&t, &path, 1, options);
    while (status == PHA_OK) {
        status = pha__text_next(t, &piece);
        if (status != PHA_OK || !piece.data) break;
        pha__str_add(&got, piece.data, piece.size);
        if (piece.ends) pha__str_puts(&got, "|");
    }
    if (status == PHA_OK && stats) pha__text_get_stats(t, stats);
    pha__text_close(t);
    unlink(in_root(name));
    return status;
}

static void expect(const char *name, const char *text, const char *want)
{
    pha__text_options small = { .cuts = PHA__CUT_BLANK, .piece = 8 };
    for (int i = 0; i < 2; i++) {
        OK(read_file(name, text, strlen(text), i ? &small : NULL, NULL));
        if (got.size != strlen(want) || (got.size && memcmp(got.data, want, got.size) != 0))
            fail_msg("%s '%s': got '%.*s', expected '%s'", name, text, (int)got.size, got.data ? got.data : "", want);
    }
}

#define TEXT(literal) literal, sizeof(literal) - 1

static bool noted(const char *part) { return notes.size > 0 && strstr(notes.data, part); }

/* Names of JSON, and names that say nothing, are read by what is in the file; other names are plain text. */
static void json_by_content(void **state)
{
    (void)state;
    static const char lines[] = "{\"text\":\"one\"}\n{\"id\":1,\"text\":\"two\"}\n";
    static const char array[] = " [ {\"text\": \"one\"},\n {\"text\": \"two\", \"n\": [1, {}]}\n]\n";
    static const char loose[] = "{\n \"text\": \"one\"\n}\n{\n \"id\": 2, \"text\": \"two\"\n}";
    static const char *const names[] = {"a.json", "a", "A.JSON", "a.jsonl", "a.ndjson"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        expect(names[i], lines, "one|two|");
        expect(names[i], array, "one|two|");
        expect(names[i], loose, "one|two|");
        expect(names[i], "\xef\xbb\xbf[{\"text\":\"one\"}][{\"text\":\"two\"}]", "one|two|");
        assert_int_equal(notes.size, 0);
    }
    expect("damaged.json", "{\"a\": }\n", "{\"a\": }\n|");
    assert_true(noted("damaged.json: read as plain text"));
    expect("other.json", "{\"body\": \"b\"}\n", "{\"body\": \"b\"}\n|");
    assert_true(noted("has a text under the key 'text'"));
    expect("a.txt", lines, "{\"text\":\"one\"}\n{\"id\":1,\"text\":\"two\"}\n|");
    assert_true(noted("looks like JSON lines but is read as plain text"));
    expect("Makefile", "all: {x}\n", "all: {x}\n|");
    assert_int_equal(notes.size, 0);
    FAILS(BAD_INPUT, "later.json:2: not JSON", read_file("later.json", TEXT("{\"text\":\"a\"}\n{\"te"), NULL, NULL));
    FAILS(BAD_INPUT, "object 2: it is not closed",
          read_file("cut.json", TEXT("[{\"text\":\"a\"},{\"te"), NULL, NULL));
    FAILS(BAD_INPUT, "the array is not closed", read_file("cut.json", TEXT("[{\"text\":\"a\"}"), NULL, NULL));
    FAILS(BAD_INPUT, "something else", read_file("x.json", TEXT("[{\"text\":\"a\"} {\"text\":\"b\"}]"), NULL, NULL));
    FAILS(BAD_INPUT, "object 2: key 'text': no such key; text-key names the one that holds the text",
          read_file("x.json", TEXT("[{\"text\":\"a\"},{}]"), NULL, NULL));
    pha__text_stats stats;
    pha__text_options skip_bad = { .skip_bad = true };
    OK(read_file("x.json", TEXT("[{\"text\":\"a\"},{},{\"text\":\"b\"}]"), &skip_bad, &stats));
    assert_int_equal(stats.bad_lines, 1);
    assert_memory_equal(got.data, "a|b|", 4);
    pha__str big = { 0 }; /* the first object is larger than what is looked at first */
    pha__str_puts(&big, "{\"pad\":\"");
    for (int i = 0; i < 30000; i++) pha__str_puts(&big, "x");
    pha__str_puts(&big, "\",\"text\":\"end\"}\n");
    expect("big.json", big.data, "end|");
    pha__str_free(&big);
}

#define BYTES(text) (text), sizeof(text) - 1

static void no_text(void **state)
{
    (void)state;
    static const struct { const char *name, *data; size_t n; const char *says; } cases[] = {
        {"a.pdf", BYTES("%PDF-1.4\n1 0 obj\n"), "a PDF file; save its text"},
        {"a.jsonl", BYTES("%PDF-1.4\n1 0 obj\n"), "a PDF file"},
        {"a.docx", BYTES("PK\3\4\24\0\6\0"), "a zip archive or an Office document"},
        {"a.doc", BYTES("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1.."), "an Office document"},
        {"a.txt", BYTES("\xff\xfeh\0i\0"), "UTF-16; convert it: iconv"},
        {"a.txt", BYTES("\xfe\xff\x4e\x2d\x65\x87"), "UTF-16; convert it"},
        {"a.txt", BYTES("h\0e\0l\0l\0o\0 \0t\0h\0e\0r\0e\0"), "UTF-16LE"},
        {"a.jsonl", BYTES("\0{\0\"\0a\0\"\0:\0001\0}\0\n\0{\0}"), "UTF-16BE"},
        {"a.png", BYTES("\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "an image"},
        {"a.jpg", BYTES("\xff\xd8\xff\xe0..JFIF"), "an image"},
        {"a.out", BYTES("\x7f" "ELF\2\1\1\0"), "a program"},
        {"a.parquet", BYTES("PAR1\x15\4\x15"), "a Parquet file; write its texts as JSON lines"},
        {"a.7z", BYTES("7z\xbc\xaf\x27\x1c\0\4"), "a 7z archive"},
        {"a.rtf", BYTES("{\\rtf1\\ansi text}"), "an RTF document"},
        {"a.txt", BYTES("version https://git-lfs.github.com/spec/v1\noid"), "git lfs pull"},
        {"a.bin", BYTES("ab\0c"), "byte 2 is zero"},
        {"a.enc", BYTES("\1\2\3\4\5\6\x0e\x0f\x10\x11 abcdef"), "control characters"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FAILS(BAD_INPUT, cases[i].says, read_file(cases[i].name, cases[i].data, cases[i].n, NULL, NULL));
        assert_non_null(strstr(pha_errmsg(), "not text"));
        pha__text_list list = { 0 }; /* in a folder it is left out, and that is told unless it was */
        OK(pha__mkdirs(in_root("folder")));
        char name[100];
        snprintf(name, sizeof name, "folder/%s", cases[i].name);
        OK(pha__write_file(in_root(name), cases[i].data, cases[i].n));
        OK(pha__text_list_add(&list, in_root("folder"), NULL));
        for (int quiet = 0; quiet < 2; quiet++) {
            pha__text *t;
            pha__piece piece;
            pha__str_clear(&notes);
            OK(pha__text_open_list(&t, &list, &(pha__text_options){ .quiet = quiet }));
            OK(pha__text_next(t, &piece));
            assert_null(piece.data);
            pha__text_close(t);
            assert_true(quiet ? notes.size == 0 : noted("left out: ") && noted(cases[i].says));
        }
        pha__text_list_free(&list);
        OK(pha__remove_tree(in_root("folder")));
    }
}

/* Bytes that are not UTF-8 are kept and told, wherever they are. */
static void odd_text(void **state)
{
    (void)state;
    pha__text_options o = { .check = true, .cuts = PHA__CUT_BLANK, .piece = 64 };
    OK(read_file("menu.txt", TEXT("caf\xe9 cr\xe8me"), &o, NULL));
    assert_memory_equal(got.data, "caf\xe9 cr\xe8me|", 11);
    assert_true(noted("menu.txt: 2 bytes are not UTF-8 (the first, 0xe9, is byte 3") && noted("iconv"));
    pha__str late = { 0 };
    for (int i = 0; i < 5000; i++) pha__str_puts(&late, "caf\xc3\xa9 ");
    pha__str_add(&late, "\0\xe9", 2);
    OK(read_file("late.txt", late.data, late.size, &o, NULL));
    assert_true(noted("1 bytes are not UTF-8 (the first, 0xe9, is byte 30001 of"));
    assert_true(noted("1 bytes of the text are zero"));
    OK(read_file("late.txt", late.data, 30000, &o, NULL));
    assert_int_equal(notes.size, 0);
    pha__str_free(&late);
    OK(read_file("a.html", TEXT("\n<!DOCTYPE html><p>"), NULL, NULL));
    assert_true(noted("HTML; its markup is read as text"));
    OK(read_file("a.xml", TEXT("<?xml version='1.0'?>"), NULL, NULL));
    assert_true(noted("XML; its markup"));
}

/* ---- JSON as Python reads it ---------------------------------------------------------------------------- */

static void python_json(void **state)
{
    (void)state;
    static const struct { const char *line, *key, *want; } cases[] = {
        {"{\"text\":\"good\",\"score\":NaN}", "text", "good"},
        {"{\"a\":[-Infinity,Infinity,NaN,1e999,-0.0e-7,123456789012345678901234567890],\"text\":\"b\"}", "text", "b"},
        {"{\"text\":\"first\",\"text\":\"last\"}", "text", "last"},
        {"{\"te\\u0078t\":\"escaped key\"}", "text", "escaped key"},
        {"{\"text\":\"\\ud83d\\ude00 \\u00e9\\t\\\"\\/\\\\\\b\\f\\n\\r\"}", "text",
         "\xf0\x9f\x98\x80 \xc3\xa9\t\"/\\\b\f\n\r"},
        {"{\"text\":\"\\ud800x\"}", "text", "\xef\xbf\xbdx"},
        {"{\"text\":\"\\udc00\\ud83d\\u0041\"}", "text", "\xef\xbf\xbd\xef\xbf\xbd" "A"},
        {"{\"text\":\"\\ud83d\\uffff\"}", "text", "\xef\xbf\xbd\xef\xbf\xbf"},
        {"{\"data\":{\"x\":[{\"text\":\"no\"}],\"text\":\"deep\"},\"text\":\"top\"}", "data.text", "deep"},
        {"{\"data\":{\"text\":\"deep\"},\"data.text\":\"dotted\"}", "data.text", "dotted"},
        {"{\"a\":{\"b\":{\"c\":\"three\"}}}", "a.b.c", "three"},
        {"{\"data\":{\"text\":\"no\"},\"data\":{\"text\":\"again\"}}", "data.text", "again"},
        {"\xef\xbb\xbf{\"text\":\"mark\"}", "text", "mark"},
        {"{\"text\":\"cut\",\"a\":[[[{\"b\":[]},{}]]]}", "text", "cut"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pha__text_options o = { .text_key = cases[i].key };
        OK(read_file("a.jsonl", cases[i].line, strlen(cases[i].line), &o, NULL));
        assert_int_equal(got.size, strlen(cases[i].want) + 1);
        assert_memory_equal(got.data, cases[i].want, strlen(cases[i].want));
    }
    static const char *const bad[] = {
        "{\"text\":\"a\x1f\"}", "{\"text\":\"a\nb\"}", "{\"text\":\"\\x\"}", "{\"text\":\"\\u12g4\"}", "{\"text\":01}",
        "{\"text\":\"a\",}", "{text:1}",
        "{\"text\":\"a\" \"b\":1}", "{\"a\":[1,],\"text\":\"a\"}", "{\"text\":+1}", "{\"text\":.5}", "{\"text\":1.}",
        "{\"text\":1e}", "{\"text\":nan}", "{\"text\":\"\xed\xa0\x80\"}",
        "{\"text\":\"\xc0\x80\"}", "{\"text\":\"a\"}}",
        "{\"text\":\"a\"", "{\"a\":[}],\"text\":\"a\"}", "{'text':'a'}", "{\"text\":null}",
        "{\"text\":{\"text\":\"a\"}}", "{}",
        "{\"a\":{\"text\":\"a\"}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        FAILS(BAD_INPUT, "a.jsonl:1", read_file("a.jsonl", bad[i], strlen(bad[i]), NULL, NULL));
    FAILS(BAD_INPUT, "no such key", read_file("a.jsonl", TEXT("{\"data\":{\"text\":\"no\"},\"data\":3}"),
                                              &(pha__text_options){ .text_key = "data.text" }, NULL));
    pha__text_stats stats;
    OK(read_file("a.jsonl", TEXT("{\"text\":\"\\ud800 \\udfff\"}"), NULL, &stats));
    assert_int_equal(stats.replaced, 2);
}

/* Objects inside each other up to the bound, and one more. */
static void depth(void **state)
{
    (void)state;
    for (int over = 0; over < 2; over++) {
        pha__str line = { 0 };
        pha__json_text text;
        int n = PHA__JSON_DEPTH - 1 + over;
        pha__str_puts(&line, "{\"a\":");
        for (int i = 0; i < n; i++) pha__str_puts(&line, i % 2 ? "[" : "{\"b\":");
        pha__str_puts(&line, "1");
        for (int i = n; i-- > 0;) pha__str_puts(&line, i % 2 ? "]" : "}");
        pha__str_puts(&line, ",\"text\":\"t\"}");
        pha__json_found found = pha__json_text_find(&text, line.data, line.size, "text");
        assert_int_equal(found, over ? PHA__JSON_BAD : PHA__JSON_TEXT);
        pha__str_free(&line);
    }
}

/* Whatever the object and wherever it is cut: it is seen as cut, and found when it is whole. */
static void cut_anywhere(void **state)
{
    (void)state;
    static const char line[] = " {\"a\":[1.5e+3,-2,true,null,\"\xc3\xa9\\u00e9\",{\"text\":0}],"
                               "\"text\":\"t\xf0\x9f\x98\x80\\ud83d\\ude00\","
                               "\"n\":NaN,\"m\":-Infinity,\"z\":{}}";
    pha__json_text text;
    size_t string = (size_t)(strstr(line, "\"t\xf0") - line);
    for (size_t n = 0; n < sizeof line - 1; n++) {
        char *copy = pha__alloc(n + 1, 1); /* the sanitizers see what is read behind it */
        memcpy(copy, line, n);
        pha__json_found found = pha__json_text_find(&text, copy, n, "text");
        if (found != PHA__JSON_CUT) fail_msg("cut at %zu: %d %s", n, found, text.why ? text.why : "");
        assert_true(text.begun == (n > string));
        pha__free(copy);
    }
    assert_int_equal(pha__json_text_find(&text, line, sizeof line - 1, "text"), PHA__JSON_TEXT);
    assert_int_equal(text.end, sizeof line - 1);
}

static int setup(void **state)
{
    root_setup(state);
    pha__log_to(keep, NULL);
    return 0;
}

static int teardown(void **state)
{
    pha__str_free(&notes);
    pha__str_free(&got);
    pha__log_to(NULL, NULL);
    return root_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_by_content), cmocka_unit_test(no_text), cmocka_unit_test(odd_text),
        cmocka_unit_test(python_json),     cmocka_unit_test(depth),   cmocka_unit_test(cut_anywhere),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
