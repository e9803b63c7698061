/* test_tokenizer_files.c -- tokenizer files that are damaged, hostile, or ask for what isn't there */
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "io/tokenizer/tokenizer_impl.h"
#include "support/allocations.h"

/* A whole tokenizer.json: 256 bytes, then "th", "the", then an added and a special token. The parts can be replaced. */
typedef struct parts {
    const char *vocab_more, *merges, *added, *pre, *model, *root;
} parts;

static const parts good = {
    .vocab_more = ", \"th\": 256, \"the\": 257, \"<|endoftext|>\": 258",
    .merges = "\"t h\", [\"th\", \"e\"]",
    .added = "{\"id\": 258, \"content\": \"<|endoftext|>\", \"special\": true}, {\"id\": 259, \"content\": \"  \", "
             "\"special\": false}",
    .pre = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}",
    .model = "\"type\": \"BPE\"",
    .root = "\"normalizer\": null",
};

static void write_vocab(pha__str *s)
{
    for (int i = 0; i < 256; i++) {
        char c[2];
        int n = pha__byte_char((unsigned char)i, c);
        pha__str_printf(s, "%s\"%s%.*s\": %d", i ? ", " : "", i == '"' || i == '\\' ? "\\" : "", n, c, i);
    }
}

static pha__str write_json(parts p)
{
    pha__str s = {0};
    pha__str_printf(&s, "{%s, \"added_tokens\": [%s], \"pre_tokenizer\": %s, \"model\": {%s, \"vocab\": {", p.root,
                    p.added, p.pre, p.model);
    write_vocab(&s);
    pha__str_printf(&s, "%s}, \"merges\": [%s]}}", p.vocab_more, p.merges);
    assert_false(s.failed);
    return s;
}

static pha_status load(pha__tokenizer **t, parts p)
{
    pha__str s = write_json(p);
    pha_status status = pha__tokenizer_parse(t, s.data, s.size, "t.json");
    pha__str_free(&s);
    return status;
}

static void check_ids(const pha__tokenizer *t, const char *s, bool special, const int32_t *want, size_t n_want)
{
    pha__encoder *e;
    const int32_t *ids;
    size_t n;
    OK(pha__encoder_open(&e, t));
    OK(pha__encode(e, s, strlen(s), special, &ids, &n));
    assert_int_equal(n, n_want);
    for (size_t i = 0; i < n; i++) assert_int_equal(ids[i], want[i]);
    pha__encoder_close(e);
}

static void good_json(void **state)
{
    (void)state;
    pha__tokenizer *t;
    OK(load(&t, good));
    assert_int_equal(pha__tokenizer_size(t), 260);
    assert_int_equal(pha__tokenizer_eot(t), 258);
    assert_int_equal(pha__tokenizer_special(t, "  "), -1);
    check_ids(t, "the  th<|endoftext|>", true, (int32_t[]){257, 259, 256, 258}, 4);
    check_ids(t, "t  <|", false, (int32_t[]){'t', 259, '<', '|'}, 4);
    pha__tokenizer_close(t);
    parts p = good;
    p.pre = "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"use_regex\": false}";
    OK(load(&t, p));
    check_ids(t, "the", true, (int32_t[]){' ', 257}, 2);
    check_ids(t, " the", true, (int32_t[]){' ', 257}, 2);
    check_ids(t, "", true, NULL, 0);
    pha__tokenizer_close(t);
    p.model = "\"type\": \"BPE\", \"ignore_merges\": true";
    p.merges = "\"t h\"";
    p.pre = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"behavior\": \"Isolated\", "
            "\"pattern\": {\"Regex\": "
            "\"'s|'t|'re|'ve|'m|'ll|'d| ?\\\\p{L}+| ?\\\\p{N}+| ?[^\\\\s\\\\p{L}\\\\p{N}]+|\\\\s+(?!\\\\S)|\\\\s+\"}}, "
            "{\"type\": "
            "\"ByteLevel\", \"use_regex\": false, \"add_prefix_space\": false}]}";
    OK(load(&t, p));
    check_ids(t, "the thex", true, (int32_t[]){257, ' ', 256, 'e', 'x'}, 5);
    pha__tokenizer_close(t);
}

static void bad(const char *part, parts p)
{
    pha__tokenizer *t;
    FAILS(BAD_INPUT, part, load(&t, p));
    assert_null(t);
}

#define BAD(part, member, value)                                                                                       \
    do {                                                                                                               \
        parts bad_parts_ = good;                                                                                       \
        bad_parts_.member = value;                                                                                     \
        bad(part, bad_parts_);                                                                                         \
    } while (0)

static void bad_tokens(void **state)
{
    (void)state;
    BAD("same id", vocab_more, ", \"th\": 256, \"the\": 256, \"<|endoftext|>\": 258");
    BAD("0..16777215", vocab_more, ", \"th\": 256, \"the\": 2000000000, \"<|endoftext|>\": 258");
    BAD("0..16777215", vocab_more, ", \"th\": 256, \"the\": -1, \"<|endoftext|>\": 258");
    BAD("integer", vocab_more, ", \"th\": 256, \"the\": \"x\", \"<|endoftext|>\": 258");
    BAD("integer", vocab_more, ", \"th\": 256, \"the\": 257.5, \"<|endoftext|>\": 258");
    BAD("ids may be missing", vocab_more, ", \"th\": 256, \"<|endoftext|>\": 258, \"tt\": 2000000");
    BAD("characters", vocab_more, ", \"th\": 256, \"the\": 257, \"a b\": 260, \"<|endoftext|>\": 258");
    BAD("characters", vocab_more, ", \"th\": 256, \"the\": 257, \"\xe4\xbd\xa0\": 260, \"<|endoftext|>\": 258");
    BAD("is empty", vocab_more, ", \"th\": 256, \"the\": 257, \"\": 260, \"<|endoftext|>\": 258");
    BAD("duplicate", vocab_more, ", \"th\": 256, \"th\": 257, \"<|endoftext|>\": 258");
    BAD("t.json", vocab_more, ", \"th\": 256, \"th\\u0000\": 257, \"<|endoftext|>\": 258");
    BAD("contradicts", added, "{\"id\": 257, \"content\": \"<|endoftext|>\", \"special\": true}");
    BAD("contradicts", added, "{\"id\": 257, \"content\": \"xx\"}, {\"id\": 259, \"content\": \"yy\"}");
    BAD("twice", added,
        "{\"id\": 259, \"content\": \"xx\"}, {\"id\": 258, \"content\": \"<|endoftext|>\"}, "
        "{\"id\": 258, \"content\": \"<|endoftext|>\"}");
    BAD("ids may be missing", added, "{\"id\": 5000000, \"content\": \"xx\"}");
    BAD("range", added, "{\"id\": 99999999999, \"content\": \"xx\"}");
    BAD("content", added, "{\"id\": 259}");
    BAD("content", added, "{\"id\": 259, \"content\": 3}");
    BAD("object", added, "17");
    BAD("makes 'th'", vocab_more, "");
}

static void bad_merges(void **state)
{
    (void)state;
    BAD("neither", merges, "\"th\"");
    BAD("neither", merges, "\"t h e\"");
    BAD("neither", merges, "17");
    BAD("neither", merges, "[\"t\"]");
    BAD("neither", merges, "[\"t\", 3]");
    BAD("neither", merges, "[]");
    BAD("names ''", merges, "\" h\"");
    BAD("names 'zz'", merges, "\"zz h\"");
    BAD("makes 'he'", merges, "\"h e\"");
    BAD("twice", merges, "\"t h\", \"t h\"");
    BAD("makes", merges, "\"t h\", \"th th\"");
    pha__str s = write_json(good);
    char *merges = strstr(s.data, "\"merges\": [");
    memcpy(merges, "\"mergez\"", 8);
    pha__tokenizer *t;
    FAILS(BAD_INPUT, "merges is missing", pha__tokenizer_parse(&t, s.data, s.size, "t.json"));
    pha__str_free(&s);
}

static void unsupported(void **state)
{
    (void)state;
    BAD("decoder 'WordPiece'", root, "\"decoder\": {\"type\": \"WordPiece\"}");
    BAD("model 'Unigram'", model, "\"type\": \"Unigram\"");
    BAD("dropout", model, "\"dropout\": 0.1");
    BAD("end_of_word_suffix", model, "\"end_of_word_suffix\": \"</w>\"");
    BAD("no pre_tokenizer", pre, "null");
    BAD("'Metaspace'", pre, "{\"type\": \"Metaspace\"}");
    BAD("of no type", pre, "7");
    parts sentence_piece = good;
    sentence_piece.model = "\"type\": \"BPE\", \"byte_fallback\": true";
    sentence_piece.pre = "null";
    bad("SentencePiece", sentence_piece);
}

static void not_json(void **state)
{
    (void)state;
    pha__tokenizer *t;
    static const char *const texts[] = {"",
                                        "[]",
                                        "3",
                                        "{}",
                                        "null",
                                        "{\"model\": 3}",
                                        "{\"model\": {}}",
                                        "\xff",
                                        "{\"model\": {\"vocab\": []}}",
                                        "{\"model\": {\"vocab\": {}}}",
                                        "{\"added_tokens\": {}, \"model\": {\"vocab\": {}}}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        FAILS(BAD_INPUT, "t.json", pha__tokenizer_parse(&t, texts[i], strlen(texts[i]), "t.json"));
    pha__str s = write_json(good);
    for (size_t n = 0; n < s.size; n += 1 + n / 100)
        FAILS(BAD_INPUT, "t.json", pha__tokenizer_parse(&t, s.data, n, "t.json"));
    pha__str_free(&s);
}

static pha_status load_gpt2(pha__tokenizer **t, const char *merges, const char *vocab_more)
{
    pha__str s = {0};
    pha__str_puts(&s, "{");
    write_vocab(&s);
    pha__str_printf(&s, "%s}", vocab_more);
    pha_status status = pha__tokenizer_parse_gpt2(t, merges, strlen(merges), "m.txt", s.data, s.size, "v.json");
    pha__str_free(&s);
    return status;
}

static void gpt2_files(void **state)
{
    (void)state;
    static const char more[] = ", \"th\": 256, \"<|endoftext|>\": 257";
    pha__tokenizer *t, *u;
    OK(load_gpt2(&t, "#version: 0.2\nt h\n", more));
    OK(load_gpt2(&u, "t h\r\n\r\n", more));
    assert_int_equal(pha__tokenizer_eot(t), 257);
    assert_true(pha__tokenizer_hash(t) == pha__tokenizer_hash(u));
    pha__tokenizer_close(t);
    pha__tokenizer_close(u);
    FAILS(BAD_INPUT, "m.txt: line 2", load_gpt2(&t, "#version: 0.2\nth\n", more));
    FAILS(BAD_INPUT, "m.txt: line 1", load_gpt2(&t, "t h e", more));
    FAILS(BAD_INPUT, "m.txt", load_gpt2(&t, "t x", more));
    FAILS(BAD_INPUT, "m.txt: merge 1 (counted from 0) is there twice", load_gpt2(&t, "t h\nt h", more));
    FAILS(BAD_INPUT, "v.json", load_gpt2(&t, "t h", ", \"th\": 400"));
    FAILS(BAD_INPUT, "v.json", pha__tokenizer_parse_gpt2(&t, "", 0, "m.txt", "{\"a\": 0}", 8, "v.json"));
    FAILS(BAD_INPUT, "v.json", pha__tokenizer_parse_gpt2(&t, "", 0, "m.txt", "[]", 2, "v.json"));
    assert_null(t);
}

static void opening(void **state)
{
    (void)state;
    char folder[256], path[300];
    pha__tokenizer *t;
    check_folder(folder);
    FAILS(BAD_INPUT, "no tokenizer here", pha__tokenizer_open(&t, folder));
    snprintf(path, sizeof path, "%s/vocab.bpe", folder);
    OK(pha__write_file(path, "t h\n", 4));
    FAILS(BAD_INPUT, "belong together", pha__tokenizer_open(&t, path));
    snprintf(path, sizeof path, "%s/none.json", folder);
    FAILS(IO, "none.json", pha__tokenizer_open(&t, path));
    assert_null(t);
    OK(pha__remove_tree(folder));
}

static pha_status encode_once(void *json)
{
    const pha__str *s = json;
    pha__tokenizer *t = NULL;
    pha__encoder *e = NULL;
    const int32_t *ids;
    size_t n_ids;
    char text[5000];
    memset(text, 't', sizeof text);
    pha_status status = pha__tokenizer_parse(&t, s->data, s->size, "t.json");
    if (!status) status = pha__encoder_open(&e, t);
    if (!status) status = pha__encode(e, text, sizeof text, true, &ids, &n_ids);
    pha__encoder_close(e);
    pha__tokenizer_close(t);
    return status;
}

static void no_memory(void **state)
{
    (void)state;
    pha__str s = write_json(good);
    assert_true(fail_allocations(encode_once, &s, 10000) > 10);
    pha__str_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_json),   cmocka_unit_test(bad_tokens), cmocka_unit_test(bad_merges),
        cmocka_unit_test(unsupported), cmocka_unit_test(not_json),   cmocka_unit_test(gpt2_files),
        cmocka_unit_test(opening),     cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
