/* Numbers in a program that writes them with decimal commas, and text that must not command a terminal */
#include "base/print.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "pha/text.h"
#include "support/check.h"
#include "support/comma.h"

static void visible(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"plain, \"quoted\" \\x1b and \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", NULL}, /* NULL: as it is */
        {"a\x1b[31mb", "a\\x1b[31mb"},
        {"\a\b\t\n\v\f\r\x7f", "\\x07\\x08\\t\\n\\x0b\\x0c\\r\\x7f"},
        {"\xc2\x9b" "31m \xc2\x80 \xc2\x9f \xc2\xa0", "\\u009b31m \\u0080 \\u009f \xc2\xa0"},
        {"\xe2\x80\xae \xe2\x81\xa6 \xe2\x81\xaa", "\\u202e \\u2066 \xe2\x81\xaa"},
        {"\x9b\xff\xc3", "\\x9b\\xff\\xc3"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char out[200], again[200];
        pha__print_visible(out, sizeof out, pairs[i][0]);
        assert_string_equal(out, pairs[i][1] ? pairs[i][1] : pairs[i][0]);
        pha__print_visible(again, sizeof again, out);
        assert_string_equal(again, out);
    }
    size_t n;
    char one[8];
    assert_int_equal(pha_visible("\xc2\x9bx", 3, one, &n), 2);
    assert_true(n == 6 && !memcmp(one, "\\u009b", 6));
    assert_int_equal(pha_visible("\xe2\x82", 2, one, &n), 1); /* cut */
    assert_true(n == 4 && !memcmp(one, "\\xe2", 4));
    assert_int_equal(pha_visible("x", 0, one, &n) + n, 0);
    assert_int_equal(pha_visible(NULL, 1, one, &n) + pha_visible("x", 1, NULL, &n) + pha_visible("x", 1, one, NULL), 0);
    char small[6]; /* cut between what belongs together */
    pha__print_visible(small, sizeof small, "abc\x1b");
    assert_string_equal(small, "abc");
    pha__print_visible(small, sizeof small, "abc\xe2\x82\xac");
    assert_string_equal(small, "abc");
    pha__print_visible(small, sizeof small, "ab\xe2\x82\xac");
    assert_string_equal(small, "ab\xe2\x82\xac");
}

static void messages(void **state)
{
    (void)state;
    pha__fail(PHA_IO, "%s: cannot open", "a\nb\x1b]0;title\a");
    assert_string_equal(pha_errmsg(), "a\\nb\\x1b]0;title\\x07: cannot open");
    pha__fail_in(PHA_IO, "%s", "c\rd");
    assert_string_equal(pha_errmsg(), "c\\rd: a\\nb\\x1b]0;title\\x07: cannot open");
    char text[1200]; /* the end of the buffer cuts a character: what is left of it is no character */
    memset(text, 'x', sizeof text);
    memcpy(text + 1021, "\xe2\x82\xac", 3), text[1190] = 0;
    pha__fail(PHA_IO, "%s", text);
    assert_int_equal(strlen(pha_errmsg()), 1021);
}

/* Everything that makes text of a number: printf's own would write 0,5 here. */
static void commas(void **state)
{
    (void)state;
    if (!use_commas()) skip();
    char text[40], path[] = "/tmp/pha-print-XXXXXX";
    snprintf(text, sizeof text, "%g", 0.5);
    assert_string_equal(text, "0,5"); /* the locale is there */
    pha__print(text, sizeof text, "%g %.2f", 0.5, 1.25);
    assert_string_equal(text, "0.5 1.25");
    snprintf(text, sizeof text, "%g", 0.5);
    assert_string_equal(text, "0,5"); /* the program's own is as before */
    pha__fail(PHA_NUMERIC, "%g", 0.5);
    assert_string_equal(pha_errmsg(), "0.5");
    pha__str s = {0};
    pha__str_printf(&s, "%.3e", 1500.0);
    assert_string_equal(s.data, "1.500e+03");
    pha__str_free(&s);
    pha__arena a = {0};
    assert_string_equal(pha__arena_printf(&a, "%g", -2.5), "-2.5");
    pha__arena_free(&a);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    pha__writer *w;
    OK(pha__writer_open(&w, path));
    OK(pha__writer_printf(w, "{\"x\": %g}", 0.25));
    OK(pha__writer_commit(w));
    json_t *json;
    double x;
    OK(pha__json_load(&json, path, 1000));
    OK(pha__json_real(&x, json, "x", path));
    assert_true(x == 0.25);
    OK(pha__json_save(json, path));
    json_decref(json);
    OK(pha__json_load(&json, path, 1000));
    OK(pha__json_real(&x, json, "x", path));
    assert_true(x == 0.25);
    json_decref(json);
    remove(path);
}

/* With decimals, or in the form of huge numbers. */
static void numbers(void **state)
{
    (void)state;
    static const struct { double x; int decimals; const char *text; } all[] = {
        {0, 2, "0.00"},           {1.23456, 4, "1.2346"},         {-17, 1, "-17.0"},
        {999999999, 0, "999999999"}, {1e9, 4, "1.0000e+09"},      {-1e9, 4, "-1.0000e+09"},
        {1.23456e245, 2, "1.2346e+245"}, {1.7e308, 4, "1.7000e+308"}, {INFINITY, 4, "inf"},
    };
    char text[32];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int n = pha__print_number(text, sizeof text, all[i].x, all[i].decimals);
        assert_string_equal(text, all[i].text);
        assert_int_equal(n, strlen(text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(visible),
        cmocka_unit_test(messages),
        cmocka_unit_test(commas),
        cmocka_unit_test(numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
