/* UTF-8: every code point, the usual wrong bytes, and cuts inside characters */
#include "base/utf8.h"

#include "pha/text.h"
#include "support/check.h"

static void round_trip(void **state)
{
    (void)state;
    for (int32_t c = 0; c <= 0x10FFFF; c++) {
        if (c >= 0xD800 && c <= 0xDFFF) continue;
        unsigned char s[4];
        int32_t back;
        int n = pha__utf8_encode(c, s);
        if (pha__utf8_decode(s, (size_t)n, &back) != n || back != c) fail_msg("U+%04X comes back as %d", c, back);
        for (int cut = 1; cut < n; cut++) {
            if (pha__utf8_decode(s, (size_t)cut, &back) != 1 || back != -1) fail_msg("U+%04X cut at %d", c, cut);
            if (pha__utf8_whole(s, (size_t)cut) != 0) fail_msg("U+%04X cut at %d is not held back", c, cut);
        }
        if (pha__utf8_whole(s, (size_t)n) != (size_t)n) fail_msg("U+%04X is held back", c);
    }
}

static void wrong_bytes(void **state)
{
    (void)state;
    static const char *wrong[] = { "\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF",
                                   "\xED\xA0\x80", "\xED\xBF\xBF",
                                   "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF",
                                   "\xC3(", "\xE2\x82(", "\xF0\x9F\x98(" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int32_t code = 0;
        size_t n = strlen(wrong[i]);
        assert_int_equal(pha__utf8_decode((const unsigned char *)wrong[i], n, &code), 1);
        assert_int_equal(code, -1);
        assert_int_equal(pha_utf8(wrong[i], n), 0);
        assert_int_equal(pha__utf8_whole((const unsigned char *)wrong[i], n), n); /* can never be completed */
    }
}

static void whole_prefix(void **state)
{
    (void)state;
    const unsigned char *s = (const unsigned char *)"a\xC3\xA9\xF0\x9F\x98\x80z"; /* a, e acute, a face, z */
    static const size_t want[] = { 0, 1, 1, 3, 3, 3, 3, 7, 8 };
    for (size_t n = 0; n <= 8; n++) assert_int_equal(pha_utf8_whole((const char *)s, n), want[n]);
    assert_int_equal(pha_utf8((const char *)s + 3, 4), 4);
    assert_int_equal(pha_utf8((const char *)s + 3, 3) + pha_utf8("", 0) + pha_utf8(NULL, 1), 0);
    assert_int_equal(pha_utf8_whole(NULL, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip), cmocka_unit_test(wrong_bytes), cmocka_unit_test(whole_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
