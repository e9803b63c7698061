/* Parts of prepare by themselves: the sample for a vocabulary, and the table of documents */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/str.h"
#include "io/tokens.h"
#include "runtime/data/prepare_impl.h"
#include "support/root.h"

/* One large document, thousands of small ones, and both: the sample has the size that was asked for, and comes from
 * everywhere. */
static void sample(void **state)
{
    (void)state;
    enum { TOTAL = 3700000 };
    char *text = pha__alloc(TOTAL + 64, 1);
    pha__sample one, other;
    pha__sample_begin(&one, 1, TOTAL, 400000);
    pha__sample_begin(&other, 2, TOTAL, 400000);
    assert_true(one.from != other.from && one.from > 0);
    for (size_t i = 0; i < TOTAL + 64; i++) text[i] = i % 6 == 5 ? ' ' : (char)('a' + i / 6 % 26);
    static const size_t sizes[][2] = {{TOTAL, TOTAL}, {524288, 524288}, {600, 600}, {40, 40}, {7, 90000}, {1, 30}};
    static const uint64_t wants[] = {1000, 30000, 400000, 3000000, TOTAL, TOTAL + 5};
    for (size_t shape = 0; shape < sizeof sizes / sizeof *sizes; shape++)
        for (size_t w = 0; w < sizeof wants / sizeof *wants; w++)
            for (uint64_t seed = 0; seed < 12; seed++) {
                pha__sample s;
                uint64_t got = 0, want = wants[w] < TOTAL ? wants[w] : TOTAL, fifths[5] = {0};
                pha__sample_begin(&s, seed, TOTAL, wants[w]);
                for (size_t at = 0, k = 0; at < TOTAL; k++) {
                    size_t n = sizes[shape][k % 7 == 6], begin, end;
                    if (n > TOTAL - at) n = TOTAL - at;
                    while (pha__sample_next(&s, text + at, n, &begin, &end)) {
                        assert_true(begin < end && end <= n);
                        got += end - begin, fifths[(at + begin) * 5 / TOTAL] += end - begin;
                    }
                    at += n;
                }
                double share = (double)got / (double)want;
                if (share < 0.9 || share > 1.1)
                    fail_msg("shape %zu, %d wanted, seed %d: %d", shape, (int)want, (int)seed, (int)got);
                for (int i = 0; want >= 30000 && want < TOTAL && i < 5; i++) assert_true(fifths[i] > want / 10);
            }
    pha__free(text);
}

/* The table of documents holds its bound, and estimates then. */
static void many_copies(void **state)
{
    (void)state;
    enum { N = 200000 };
    pha__copies *c;
    uint64_t counts[PHA__DATA_SPLITS];
    OK(pha__copies_open(&c));
    pha__copies_limit(c, 1 << 14);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < N; i++) {
            char text[32];
            size_t n = (size_t)snprintf(text, sizeof text, "number %d", i);
            pha__segment valid = {text, n, PHA__SPLIT_VALID, true, true, false, ""}, train = valid;
            train.split = PHA__SPLIT_TRAIN;
            if (pass == 0) OK(pha__copies_remember(c, &valid));
            else if (i % 4 == 0) OK(pha__copies_look(c, &train));
        }
        OK(pha__copies_end_pass(c, pass == 1));
    }
    assert_false(pha__copies_count(c, counts));
    assert_true(fabs((double)counts[PHA__SPLIT_VALID] - N / 4) < N / 40);
    assert_true(fabs((double)counts[PHA__SPLIT_TRAIN] - N / 4) < N / 40);
    pha__copies_close(c);
}

/* The tokenizer of bytes in the folder root/NAME, but for one member of its file. */
static const char *bytes_but(const char *name, const char *member, const char *value)
{
    pha__tokenizer *t;
    const char *folder = in_root(name);
    char path[400], *text;
    size_t size;
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    OK(pha__mkdirs(folder));
    OK(pha__tokenizer_open(&t, "bytes"));
    OK(pha__tokenizer_save(t, path));
    pha__tokenizer_close(t);
    OK(pha__read_file(&text, &size, path, 1 << 20));
    char *at = strstr(text, member), *end = at ? strstr(at, ",\n") : NULL;
    assert_non_null(end);
    pha__str s = {0};
    pha__str_printf(&s, "%.*s%s: %s%s", (int)(at - text), text, member, value, end);
    OK(pha__write_file(path, s.data, s.size));
    pha__free(text);
    pha__str_free(&s);
    return folder;
}

static pha_status prepare(const char *const *inputs, size_t n, const char *tokenizer)
{
    pha__prepare_options o;
    pha__prepare_defaults(&o);
    o.inputs = inputs, o.n_inputs = n, o.out = in_root("out"), o.tokenizer = tokenizer, o.threads = 2;
    o.valid_fraction = o.test_fraction = 0;
    return pha__prepare(&o, NULL);
}

/* With another normal form: a ligature becomes 18 characters, more tokens than it has bytes. */
static void more_tokens_than_bytes(void **state)
{
    (void)state;
    const char *tokenizer = bytes_but("nfkd", "\"normalizer\"", "{\"type\": \"NFKD\"}"), *input = in_root("in.jsonl");
    pha__str s = {0};
    pha__str_puts(&s, "{\"text\": \"");
    for (int i = 0; i < 3000; i++) pha__str_puts(&s, i % 50 ? "\xef\xb7\xba" : "\xef\xb7\xba and ");
    pha__str_puts(&s, "\"}");
    OK(pha__write_file(input, s.data, s.size));
    pha__str_free(&s);
    OK(prepare(&input, 1, tokenizer));
    pha__tokens *t;
    OK(pha__tokens_open(&t, in_root("out"), "train", true));
    int32_t first[9], last;
    uint64_t n = pha__tokens_count(t);
    assert_int_equal(n, 3000 * 33 + 60 * 5 + 1);
    OK(pha__tokens_read(t, 0, 9, first));
    OK(pha__tokens_read(t, n - 1, 1, &last));
    for (int i = 0; i < 9; i++) assert_int_equal(first[i], (unsigned char)"\xd8\xb5\xd9\x84\xd9\x89 \xd8\xa7"[i]);
    assert_int_equal(last, 256);
    pha__tokens_close(t);
}

/* What another thread says of a text that cannot be encoded is said, with the file. */
static void failing_thread(void **state)
{
    (void)state;
    const char *inputs[16];
    char slow[4000];
    memset(slow, 'a', sizeof slow);
    memcpy(slow + sizeof slow - 2, "xb", 2);
    for (int i = 0; i < 16; i++) {
        bool good = i < 5;
        inputs[i] = strdup(in_root((char[]){(char)('a' + i), 0}));
        OK(pha__write_file(inputs[i], good ? "good" : slow, good ? 4 : sizeof slow));
    }
    const char *tokenizer = bytes_but("slow", "\"pre_tokenizer\"",
                                      "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": "
                                      "{\"Regex\": \"(a+)+b\"}, \"behavior\": \"Isolated\"}, {\"type\": "
                                      "\"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}]}");
    for (int round = 0; round < 4; round++)
        FAILS(BAD_INPUT, "/f: encoding failed: a pattern of the tokenizer takes too long on this text",
              prepare(inputs, 16, tokenizer));
    for (int i = 0; i < 16; i++) free((void *)(uintptr_t)inputs[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sample), cmocka_unit_test(many_copies),
                                       cmocka_unit_test(more_tokens_than_bytes),
                                       cmocka_unit_test(failing_thread)};
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
