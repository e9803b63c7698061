/* test_tokenizer_kinds.c -- tokenizer.json files built like those of released models
 *
 * The vocabulary: 256 bytes, then all pairs of the bytes in `letters`, so that ids show where a text was cut. The ids
 * wanted are those of Hugging Face's `tokenizers` for the same file (tests/golden/tokenizers_kinds.py has the kinds).
 */
/* long file: the kinds with their ids */
#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "io/text.h"
#include "io/tokenizer/tokenizer_impl.h"
#include "support/allocations.h"

static const char letters[] = "aB1 .\n's\t\303\251\314\201"; /* with e acute, and the acute as a mark */

typedef struct kind {
    const char *name, *normalizer, *pre, *added, *text;
    int32_t ids[80];
} kind;

static const char usual_text[] = "a's B.a11a 1.1..\n\n a  \t a\314\201\303\251.\n111  aBa'S .\n  1111 a.";

static const kind kinds[] = {
    {.name = "gpt2",
     .pre = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true}",
     .ids = {97, 341, 296, 46, 97, 284, 97,  297, 46, 49, 312, 326, 295, 298, 9,   295, 411, 383,
             46, 10,  284, 49, 32, 32,  257, 97,  39, 83, 299, 324, 32,  284, 284, 295, 46}},
    {.name = "neox",
     .normalizer = "{\"type\": \"NFC\"}",
     .pre = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true}",
     .added = ", {\"id\": 426, \"content\": \"  \", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
              "\"normalized\": true, \"special\": false}, {\"id\": 427, \"content\": \"a\314\201\", \"single_word"
              "\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": true, \"special\": false}",
     .ids = {97, 341, 296, 46, 97,  284, 97, 297, 46, 49,  312, 326, 295, 426, 363, 427, 383,
             46, 10,  284, 49, 426, 257, 97, 39,  83, 299, 10,  426, 284, 284, 295, 46}},
    {.name = "nfd",
     .normalizer = "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFKC\"}, {\"type\": \"NFD\"}]}",
     .pre = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true}",
     .ids = {97,  341, 296, 46,  97, 284, 97, 297, 46, 49, 312, 326, 295, 298, 9,   295, 411, 101,
             411, 46,  10,  284, 49, 32,  32, 257, 97, 39, 83,  299, 324, 32,  284, 284, 295, 46}},
    {.name = "qwen2",
     .normalizer = "{\"type\": \"NFC\"}",
     .pre = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": \"(?i:'s"
            "|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+["
            "\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}, \"behavior\": \"Isolated\", \"invert"
            "\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_reg"
            "ex\": false}]}",
     .ids = {97, 341, 296, 308, 49, 49,  97, 32, 49, 46,  49, 312, 326, 295, 298, 9,  304, 161, 383, 313,
             49, 49,  49,  32,  32, 257, 97, 39, 83, 299, 10, 32,  32,  49,  49,  49, 49,  295, 46}},
    {.name = "o200k",
     .pre = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex"
            "\": \"[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]*[\\\\p{Ll}"
            "\\\\p{Lm}\\\\p{Lo}\\\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{Lu}"
            "\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]+[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|"
            "'d)?|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!"
            "\\\\S)|\\\\s+\"}, \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_pr"
            "efix_space\": false, \"trim_offsets\": true, \"use_regex\": false}]}",
     .ids = {262, 115, 296, 308, 284, 97,  32, 49,  46, 49,  312, 326, 295, 298, 9,  32, 267, 129,
             383, 313, 284, 49,  32,  295, 66, 262, 83, 299, 10,  32,  32,  284, 49, 49, 295, 46}},
    {.name = "tekken",
     .pre = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex"
            "\": \"[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]*[\\\\p{Ll}"
            "\\\\p{Lm}\\\\p{Lo}\\\\p{M}]+|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}"
            "\\\\p{M}]+[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]*|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/]*|"
            "\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"}, \"behavior\": \"Isolated\", \"invert\": false}, {"
            "\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}]"
            "}",
     .ids = {97,  341, 296, 308, 49, 49,  97,  32, 49, 46,  49, 312, 326, 295, 298, 9,  32, 267, 129, 383,
             313, 49,  49,  49,  32, 295, 269, 39, 83, 299, 10, 32,  32,  49,  49,  49, 49, 295, 46}},
    {.name = "starcoder",
     .pre = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", \"individual_digits\": true}, {"
            "\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true}]}",
     .ids = {97, 341, 296, 46, 97, 49, 49, 97,  32, 49, 46, 49,  312, 326, 295, 298, 9,  295, 411, 383,
             46, 10,  49,  49, 49, 32, 32, 257, 97, 39, 83, 299, 10,  298, 49,  49,  49, 49,  295, 46}},
    {.name = "digits",
     .pre = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", \"individual_digits\": false}, {"
            "\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, \"use_regex\": true}]}",
     .ids = {295, 341, 296, 46, 97,  32, 284, 295, 32,  297, 299, 297, 299, 46, 326, 295, 298, 9,   295, 411,
             383, 46,  10,  32, 284, 49, 32,  32,  257, 97,  39,  83,  299, 10, 298, 32,  284, 284, 295, 46}},
    {.name = "falcon",
     .pre = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Punctuation\", \"behavior\": \"Contiguous"
            "\"}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": t"
            "rue}, {\"type\": \"Digits\", \"individual_digits\": false}, {\"type\": \"Split\", \"pattern\": {"
            "\"Regex\": \"[0-9][0-9][0-9]\"}, \"behavior\": \"Isolated\", \"invert\": false}]}",
     .text = "a's B.a11a 1.1..\n\n a  \t a\314\201\303\251.\n111  aBa'S .\n  1111 a. a\302\262\331\201\302\274",
     .ids = {97,  39,  115, 296, 46, 97,  284, 97,  32,  49,  46,  49,  312, 326, 295, 298,
             9,   295, 411, 383, 46, 10,  284, 49,  32,  32,  257, 97,  39,  83,  32,  46,
             324, 32,  284, 49,  49, 295, 46,  295, 194, 178, 217, 129, 194, 188}},
    {.name = "deepseek3",
     .normalizer = "{\"type\": \"Sequence\", \"normalizers\": []}",
     .pre = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex"
            "\": \"\\\\p{N}{1,3}\"}, \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"Split\", \"patt"
            "ern\": {\"Regex\": \"[\344\270\200-\351\276\245\343\201\200-\343\202\237\343\202\240-\343\203\277]+"
            "\"}, \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"Split\", \"pattern\": {\"Regex"
            "\": \"[!\\\\\\\"#$%&'()*+,\\\\-./:;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~][A-Za-z]+|[^\\\\r\\\\n\\\\p{L}"
            "\\\\p{P}\\\\p{S}]?[\\\\p{L}\\\\p{M}]+| ?[\\\\p{P}\\\\p{S}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|"
            "\\\\s+(?!\\\\S)|\\\\s+\"}, \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel"
            "\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}]}",
     .ids = {97,  341, 296, 308, 284, 97, 32,  49, 46, 49, 312, 326, 295, 298, 9,  32, 267, 129,
             383, 313, 284, 49,  32,  32, 257, 97, 39, 83, 299, 10,  298, 284, 49, 49, 295, 46}},
    {.name = "bloom",
     .pre = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": \" ?[^("
            "\\\\s|[.,!?\342\200\246\343\200\202\357\274\214\343\200\201\340\245\244\333\224\330\214])]+\"}, "
            "\"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": fals"
            "e, \"trim_offsets\": true, \"use_regex\": false}]}",
     .ids = {262, 115, 296, 46, 258, 282, 297, 46,  49, 312, 326, 295, 298, 9,   32,  267, 129,
             383, 313, 284, 49, 32,  32,  257, 262, 83, 299, 324, 32,  284, 284, 295, 46}},
    {.name = "roberta",
     .pre = "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, \"use_regex\": true}",
     .added = ", {\"id\": 426, \"content\": \"<m>\", \"single_word\": false, \"lstrip\": true, \"rstrip\": false, "
              "\"normalized\": false, \"special\": true}, {\"id\": 427, \"content\": \"aBa\", \"single_word\": true"
              ", \"lstrip\": false, \"rstrip\": false, \"normalized\": true, \"special\": false}, {\"id\": 428, "
              "\"content\": \"[X]\", \"single_word\": false, \"lstrip\": true, \"rstrip\": true, \"normalized\": tr"
              "ue, \"special\": false}",
     .text = "a <m> aBa's aBa1 .\n [X] \t a[X][X]a  <m>",
     .ids = {295, 426, 32, 427, 301, 115, 32, 257, 97, 49, 299, 428, 295, 428, 428, 295, 426}},
    {.name = "previous",
     .pre = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex"
            "\": \"\\\\p{P}\"}, \"behavior\": \"MergedWithPrevious\", \"invert\": false}, {\"type\": \"ByteLevel"
            "\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}]}",
     .ids = {262, 350, 273, 258, 49,  259, 286, 286, 46, 10,  324, 259, 303, 32,  267, 129,
             383, 46,  10,  284, 285, 32,  257, 262, 83, 299, 10,  298, 284, 284, 32,  260}},
    {.name = "next",
     .pre = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"String"
            "\": \" \"}, \"behavior\": \"MergedWithNext\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_pr"
            "efix_space\": false, \"trim_offsets\": true, \"use_regex\": false}]}",
     .ids = {262, 115, 32,  273, 258, 282, 32,  286, 286, 313, 10, 295, 32, 303, 32,  267, 129,
             383, 313, 284, 49,  32,  32,  257, 262, 83,  299, 10, 32,  32, 284, 284, 32,  260}},
    {.name = "inverted",
     .pre = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex"
            "\": \"\\\\w+\"}, \"behavior\": \"MergedWithNext\", \"invert\": true}, {\"type\": \"Split\", \"patter"
            "n\": {\"Regex\": \"[\\\\w']+\\\\b\"}, \"behavior\": \"Contiguous\", \"invert\": true}, {\"type"
            "\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}]}",
     .ids = {97,  341, 32,  66,  46, 258, 282, 32, 49, 46, 49,  312, 10,  324, 97,  298, 363, 267,
             129, 383, 313, 284, 49, 298, 257, 97, 39, 83, 299, 10,  298, 284, 284, 32,  97,  46}},
    {.name = "previous, several",
     .pre = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex"
            "\": \"\\\\.\"}, \"behavior\": \"MergedWithPrevious\", \"invert\": false}, {\"type\": \"ByteLevel"
            "\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}]}",
     .text = "s... a..1",
     .ids = {351, 46, 46, 32, 260, 46, 49}},
    {.name = "next, several",
     .pre = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex"
            "\": \"\\\\w\"}, \"behavior\": \"MergedWithNext\", \"invert\": true}, {\"type\": \"ByteLevel"
            "\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}]}",
     .text = "  aa 1aa.a",
     .ids = {32, 295, 97, 297, 97, 97, 308}},
    {.name = "removed",
     .pre = "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex"
            "\": \"\\\\s\"}, \"behavior\": \"Removed\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefi"
            "x_space\": true, \"trim_offsets\": true, \"use_regex\": false}]}",
     .ids = {32,  262, 115, 32,  273, 258, 282, 32,  286, 286, 46, 295, 32,  267, 129,
             383, 46,  32,  284, 49,  32,  257, 262, 83,  299, 32, 284, 284, 32,  260}},
    {.name = "none",
     .pre = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}",
     .ids = {262, 350, 273, 258, 49, 259, 286, 286, 313, 324, 259, 303, 32,  267, 129,
             383, 313, 284, 285, 32, 257, 262, 83,  299, 10,  298, 284, 284, 32,  260}},
};

#define N_KINDS (sizeof kinds / sizeof *kinds)

static void put_char(pha__str *s, unsigned char byte)
{
    char c[2];
    int n = pha__byte_char(byte, c);
    pha__str_printf(s, "%s%.*s", byte == '"' || byte == '\\' ? "\\" : "", n, c);
}

static pha__str write_json(const kind *k)
{
    pha__str s = {0};
    size_t n = strlen(letters);
    pha__str_printf(
        &s,
        "{\"version\": \"1.0\", \"truncation\": {\"direction\": \"Right\"}, \"added_tokens\": [{\"id\": %d, "
        "\"content\": \"<|endoftext|>\", \"special\": true}%s], \"normalizer\": %s, \"pre_tokenizer\": %s, "
        "\"post_processor\": {\"type\": \"Sequence\", \"processors\": []}, \"model\": {\"type\": \"BPE\", "
        "\"unk_token\": \"q\", \"vocab\": {",
        256 + (int)(n * n), k->added ? k->added : "", k->normalizer ? k->normalizer : "null", k->pre);
    for (int i = 0; i < 256; i++) {
        pha__str_puts(&s, i ? ", \"" : "\"");
        put_char(&s, (unsigned char)i);
        pha__str_printf(&s, "\": %d", i);
    }
    for (size_t i = 0; i < n * n; i++) {
        pha__str_puts(&s, ", \"");
        put_char(&s, (unsigned char)letters[i / n]);
        put_char(&s, (unsigned char)letters[i % n]);
        pha__str_printf(&s, "\": %d", 256 + (int)i);
    }
    pha__str_puts(&s, "}, \"merges\": [");
    for (size_t i = 0; i < n * n; i++) {
        pha__str_puts(&s, i ? ", [\"" : "[\"");
        put_char(&s, (unsigned char)letters[i / n]);
        pha__str_puts(&s, "\", \"");
        put_char(&s, (unsigned char)letters[i % n]);
        pha__str_puts(&s, "\"]");
    }
    pha__str_puts(&s, "]}}");
    assert_false(s.failed);
    return s;
}

static pha_status load(pha__tokenizer **t, const kind *k)
{
    pha__str s = write_json(k);
    pha_status status = pha__tokenizer_parse(t, s.data, s.size, k->name);
    pha__str_free(&s);
    return status;
}

static const char *text_of(const kind *k) { return k->text ? k->text : usual_text; }

static void check_ids(const kind *k, const pha__tokenizer *t)
{
    pha__encoder *e;
    const int32_t *ids;
    size_t n, wanted = 0;
    while (k->ids[wanted]) wanted++;
    OK(pha__encoder_open(&e, t));
    OK(pha__encode(e, text_of(k), strlen(text_of(k)), true, &ids, &n));
    for (size_t i = 0; i < n && i < wanted; i++)
        if (ids[i] != k->ids[i]) fail_msg("%s: id %zu is %d, not %d", k->name, i, ids[i], k->ids[i]);
    if (n != wanted) fail_msg("%s: %zu ids, not %zu", k->name, n, wanted);
    pha__encoder_close(e);
}

static void as_hugging_face(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_KINDS; i++) {
        pha__tokenizer *t;
        OK(load(&t, &kinds[i]));
        check_ids(&kinds[i], t);
        pha__tokenizer_close(t);
    }
}

/* Hashes stand in data files and tell the kinds apart. */
static void hashes(void **state)
{
    (void)state;
    uint64_t hash[N_KINDS];
    for (size_t i = 0; i < N_KINDS; i++) {
        pha__tokenizer *t;
        OK(load(&t, &kinds[i]));
        hash[i] = pha__tokenizer_hash(t);
        for (size_t k = 0; k < i; k++)
            if (hash[k] == hash[i]) fail_msg("%s and %s have the same hash", kinds[k].name, kinds[i].name);
        pha__tokenizer_close(t);
    }
}

/* What is saved is loaded as the same tokenizer, with all that stood in the file. */
static void saved_and_loaded(void **state)
{
    (void)state;
    char folder[256], path[300], *first, *second;
    size_t first_size, second_size;
    check_folder(folder);
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    for (size_t i = 0; i < N_KINDS; i++) {
        pha__tokenizer *t, *u;
        OK(load(&t, &kinds[i]));
        OK(pha__tokenizer_save(t, path));
        OK(pha__read_file(&first, &first_size, path, 1 << 20));
        OK(pha__tokenizer_open(&u, path));
        assert_true(pha__tokenizer_hash(t) == pha__tokenizer_hash(u));
        check_ids(&kinds[i], u);
        OK(pha__tokenizer_save(u, path));
        OK(pha__read_file(&second, &second_size, path, 1 << 20));
        assert_int_equal(first_size, second_size);
        assert_memory_equal(first, second, first_size);
        assert_non_null(strstr(first, "\"truncation\": {\"direction\": \"Right\"}"));
        assert_non_null(strstr(first, "\"processors\""));
        assert_non_null(strstr(first, "\"unk_token\": \"q\""));
        pha__free(first);
        pha__free(second);
        pha__tokenizer_close(t);
        pha__tokenizer_close(u);
    }
    OK(pha__remove_tree(folder));
}

/* What a file doesn't say is as Hugging Face has it. */
static void defaults(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"{\"type\": \"ByteLevel\"}", "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"use_regex\": true}"},
        {"[{\"type\": \"Punctuation\"}, {\"type\": \"ByteLevel\"}]",
         "[{\"type\": \"Punctuation\", \"behavior\": \"Isolated\"}, {\"type\": \"ByteLevel\"}]"},
        {"[{\"type\": \"Digits\"}, {\"type\": \"ByteLevel\"}]",
         "[{\"type\": \"Digits\", \"individual_digits\": false}, {\"type\": \"ByteLevel\"}]"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        uint64_t hash[2];
        for (int k = 0; k < 2; k++) {
            char pre[300];
            pha__tokenizer *t;
            bool list = pairs[i][k][0] == '[';
            snprintf(pre, sizeof pre, list ? "{\"type\": \"Sequence\", \"pretokenizers\": %s}" : "%s", pairs[i][k]);
            OK(load(&t, &(kind){.name = "k.json", .pre = pre}));
            hash[k] = pha__tokenizer_hash(t);
            pha__tokenizer_close(t);
        }
        assert_true(hash[0] == hash[1]);
    }
}

static void same_ids(const kind *a, const char *text_a, const kind *b, const char *text_b)
{
    const kind *k[2] = {a, b};
    const char *text[2] = {text_a, text_b};
    int32_t ids[2][100];
    size_t n[2];
    for (int i = 0; i < 2; i++) {
        pha__tokenizer *t;
        pha__encoder *e;
        const int32_t *found;
        OK(load(&t, k[i]));
        OK(pha__encoder_open(&e, t));
        OK(pha__encode(e, text[i], strlen(text[i]), false, &found, &n[i]));
        assert_in_range(n[i], 1, 100);
        memcpy(ids[i], found, n[i] * sizeof *found);
        pha__encoder_close(e);
        pha__tokenizer_close(t);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(ids[0], ids[1], n[0] * sizeof *ids[0]);
}

#define SPLIT(pattern)                                                                                         \
    "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": " pattern                     \
    ", \"behavior\": \"Isolated\"}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}]}"

/* A text to split at is that text, whatever it means in patterns. */
static void literal_texts(void **state)
{
    (void)state;
    const kind text = {.name = "text", .pre = SPLIT("{\"String\": \".\"}")};
    const kind pattern = {.name = "pattern", .pre = SPLIT("{\"Regex\": \"[.]\"}")};
    const kind longer = {.name = "longer", .pre = SPLIT("{\"String\": \"s.(a\"}")};
    const kind its_pattern = {.name = "its pattern", .pre = SPLIT("{\"Regex\": \"[s][.][(][a]\"}")};
    same_ids(&text, "aB..a.1sa1 .", &pattern, "aB..a.1sa1 .");
    same_ids(&longer, "aBs.(aBaBs1(aBas.(a", &its_pattern, "aBs.(aBaBs1(aBas.(a");
}

/* Marks come into one order: those below a letter (class 220) before those above it (class 230). */
static void marks(void **state)
{
    (void)state;
    static const char *const names[] = {"neox", "nfd"};
    for (int i = 0; i < 2; i++) {
        const kind *k = &kinds[1 + i];
        assert_string_equal(k->name, names[i]);
        same_ids(k, "x\314\207\314\243 a\314\201\314\243", k, "x\314\243\314\207 a\314\243\314\201");
    }
}

/* Texts of one class of characters: linear time, or a message. */
static void hostile_texts(void **state)
{
    (void)state;
    static const char *const units[] = {"a",    "1", " ",         ".",   "\n", "\xcc\x81", "\xe4\xb8\x80",
                                        "\xff", "'", "a\xcc\x81", " \n", "B"};
    enum { SIZE = 1 << 17 };
    char *text = malloc(SIZE);
    for (size_t i = 0; i < N_KINDS; i++) {
        pha__tokenizer *t;
        pha__encoder *e;
        OK(load(&t, &kinds[i]));
        OK(pha__encoder_open(&e, t));
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            const int32_t *ids;
            size_t n = 0, length = strlen(units[u]);
            while (n + length < SIZE) memcpy(text + n, units[u], length), n += length;
            text[n++] = 'x';
            pha_status status = pha__encode(e, text, n, true, &ids, &n);
            if (status) fail_msg("%s with '%s': %s", kinds[i].name, units[u], pha_errmsg());
        }
        pha__encoder_close(e);
        pha__tokenizer_close(t);
    }
    free(text);
}

/* ---- in pieces ------------------------------------------------------------------------------------------- */

static const int32_t *encode(pha__encoder *e, const char *text, size_t size, size_t *n)
{
    const int32_t *ids;
    OK(pha__encode(e, text, size, false, &ids, n));
    return ids;
}

/* What is hard to cut: white space, punctuation, digits, marks, letters of one byte and more, bytes that are none. */
static size_t hard_text(char *text, size_t size, uint32_t *x)
{
    static const char *const parts[] = {
        "a", "B", "aBa", "1", "11", " ", " ", "  ", "\n", "\n", "\n\n", "\r\n", "\t", ".", "..", "'s", "'", "/", "$",
        "\303\251", "\314\201", "\302\240", "\343\200\202", "\344\270\200", "\342\200\250", "\302\262", "\377", "<m>",
        "[X]", " [X]", "\001", "\357\267\272", "\302\250", "a", "1", "a ", "a\n", ".\n"};
    size_t n = 0;
    while (n + 8 < size) {
        *x = *x * 1664525u + 1013904223u;
        const char *part = parts[(*x >> 12) % (sizeof parts / sizeof *parts)];
        memcpy(text + n, part, strlen(part)), n += strlen(part);
    }
    return n;
}

/* Every place that a tokenizer allows: the ids of the parts are those of the whole. Returns how many there were. */
static int try_all_cuts(const kind *k, const pha__tokenizer *t, pha__encoder *e, const char *text, size_t size)
{
    static int32_t whole[4000], parts[4000];
    size_t n, a, b;
    int tried = 0;
    const int32_t *ids = encode(e, text, size, &n);
    assert_true(n <= 4000);
    memcpy(whole, ids, n * sizeof *ids);
    for (size_t high = 1; high < size; high++) {
        size_t cut = pha__text_cut(text, high - 1, high, pha__tokenizer_cuts(t));
        if (!cut) continue;
        tried++;
        ids = encode(e, text, cut, &a);
        memcpy(parts, ids, a * sizeof *ids);
        ids = encode(e, text + cut, size - cut, &b);
        if (a + b == n) memcpy(parts + a, ids, b * sizeof *ids);
        if (a + b != n || memcmp(parts, whole, n * sizeof *whole) != 0)
            fail_msg("%s: cut at %zu ('%.8s' | '%.8s') changes the ids", k->name, cut, text + (cut > 8 ? cut - 8 : 0),
                     text + cut);
    }
    return tried;
}

static void cut_anywhere_allowed(void **state)
{
    (void)state;
    static const char *const whole[] = {"bloom", "roberta", "previous", "previous, several", "next",
                                        "next, several", "inverted", "removed", "none"};
    static const char rare[] = "a.\n/'s1 a\n\302\240\na 1\n\343\200\200 \n B";
    char text[600];
    for (size_t i = 0; i < N_KINDS; i++) {
        pha__tokenizer *t;
        pha__encoder *e;
        OK(load(&t, &kinds[i]));
        OK(pha__encoder_open(&e, t));
        int tried = 0;
        bool wanted = true;
        uint32_t x = 7;
        tried += try_all_cuts(&kinds[i], t, e, rare, strlen(rare));
        for (int round = 0; round < 8; round++)
            tried += try_all_cuts(&kinds[i], t, e, text, hard_text(text, sizeof text, &x));
        for (size_t k = 0; k < sizeof whole / sizeof *whole; k++) wanted &= strcmp(kinds[i].name, whole[k]) != 0;
        if (wanted != (tried > 100)) fail_msg("%s: %d cuts", kinds[i].name, tried);
        pha__encoder_close(e);
        pha__tokenizer_close(t);
    }
}

/* A document much longer than a piece, as a reader hands it on. */
static void in_pieces(void **state)
{
    (void)state;
    enum { SIZE = 40000, PIECE = 2000 };
    char folder[256], path[300], *text = malloc(SIZE);
    uint32_t x = 3;
    size_t size = hard_text(text, SIZE, &x);
    check_folder(folder);
    snprintf(path, sizeof path, "%s/long.txt", folder);
    OK(pha__write_file(path, text, size));
    for (size_t i = 0; i < N_KINDS; i++) {
        pha__tokenizer *t;
        pha__encoder *e;
        pha__text *reader;
        pha__piece piece;
        size_t n, m, at = 0, pieces = 0;
        OK(load(&t, &kinds[i]));
        OK(pha__encoder_open(&e, t));
        const int32_t *ids = encode(e, text, size, &n);
        int32_t *whole = malloc(n * sizeof *whole);
        memcpy(whole, ids, n * sizeof *whole);
        pha__text_options o = {.cuts = pha__tokenizer_cuts(t), .piece = PIECE, .quiet = true};
        OK(pha__text_open(&reader, (const char *[]){path}, 1, &o));
        for (;; pieces++, at += m) {
            OK(pha__text_next(reader, &piece));
            if (!piece.data) break;
            ids = encode(e, piece.data, piece.size, &m);
            if (at + m > n || memcmp(whole + at, ids, m * sizeof *ids))
                fail_msg("%s: piece %zu differs", kinds[i].name, pieces);
        }
        assert_int_equal(at, n);
        if (o.cuts ? pieces < SIZE / PIECE / 2 : pieces != 1) fail_msg("%s: %zu pieces", kinds[i].name, pieces);
        free(whole);
        pha__text_close(reader);
        pha__encoder_close(e);
        pha__tokenizer_close(t);
    }
    free(text);
    OK(pha__remove_tree(folder));
}

static const kind *find_kind(const char *name)
{
    for (size_t i = 0; i < N_KINDS; i++)
        if (!strcmp(kinds[i].name, name)) return &kinds[i];
    fail_msg("no kind %s", name);
    return NULL;
}

static void bad(const char *part, const char *normalizer, const char *pre)
{
    pha__tokenizer *t;
    kind k = {.name = "k.json", .normalizer = normalizer, .pre = pre};
    FAILS(BAD_INPUT, part, load(&t, &k));
    assert_null(t);
}

static void refused(void **state)
{
    (void)state;
    bad("no pre_tokenizer", NULL, "null");
    bad("'Metaspace'", NULL, "{\"type\": \"Metaspace\"}");
    bad("no ByteLevel", NULL, "{\"type\": \"Digits\"}");
    bad("no ByteLevel", NULL, "{\"type\": \"Sequence\", \"pretokenizers\": []}");
    bad("twice", NULL,
        "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"ByteLevel\"}, {\"type\": \"ByteLevel\"}]}");
    bad("'WhitespaceSplit'", NULL, "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"WhitespaceSplit\"}]}");
    bad("behavior 'Gone'", NULL, "{\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}, \"behavior\": \"Gone\"}");
    bad("without a pattern", NULL, "{\"type\": \"Split\", \"behavior\": \"Isolated\"}");
    bad("no text at all", NULL, "{\"type\": \"Split\", \"pattern\": {\"String\": \"\"}, \"behavior\": \"Isolated\"}");
    bad("normalizer 'Lowercase'", "{\"type\": \"Lowercase\"}", kinds[0].pre);
    bad("normalizer 'Prepend'", "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\"}]}", kinds[0].pre);
    bad("of no type", "7", kinds[0].pre);
    bad("more than 4",
        "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}, {\"type\": \"NFC\"}, {\"type\": "
        "\"NFC\"}, {\"type\": \"NFC\"}, {\"type\": \"NFC\"}]}",
        kinds[0].pre);
}

/* Byte-level tokens without a token for some ids, as cl100k's. */
static void gaps(void **state)
{
    (void)state;
    pha__tokenizer *t;
    pha__encoder *e;
    const int32_t *ids;
    size_t n;
    kind k = *find_kind("gpt2");
    k.added = ", {\"id\": 500, \"content\": \"<|endofprompt|>\", \"special\": true}";
    OK(load(&t, &k));
    assert_int_equal(pha__tokenizer_size(t), 501);
    assert_non_null(pha__tokenizer_bytes(t, 499, &n));
    assert_int_equal(n, 0);
    OK(pha__encoder_open(&e, t));
    OK(pha__encode(e, "1<|endofprompt|>", 16, true, &ids, &n));
    assert_int_equal(n, 2);
    assert_int_equal(ids[1], 500);
    pha__encoder_close(e);
    pha__tokenizer_close(t);
    k.added = ", {\"id\": 16777215, \"content\": \"<|endofprompt|>\", \"special\": true}";
    FAILS(BAD_INPUT, "at most 1048576 ids may be missing", load(&t, &k));
}

/* Text of a special token that isn't asked for never becomes that token. */
static void special_stays_text(void **state)
{
    (void)state;
    pha__tokenizer *t;
    pha__encoder *e;
    const int32_t *ids;
    size_t n;
    kind k = {.name = "k.json", .pre = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": false}"};
    OK(load(&t, &k));
    t->ignore_merges = true;
    OK(pha__encoder_open(&e, t));
    OK(pha__encode(e, "<|endoftext|>", 13, false, &ids, &n));
    assert_int_equal(n, 13);
    pha__encoder_close(e);
    pha__tokenizer_close(t);
}

static const char three_ends[] = ", {\"id\": 426, \"content\": \"<|im_end|>\", \"special\": true}, {\"id\": 427, "
                                 "\"content\": \"<fin>\", \"special\": true}";

static void put_file(const char *folder, const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    OK(pha__write_file(path, text, strlen(text)));
}

static void expect_end(const char *folder, int32_t id, const char *from)
{
    pha__tokenizer *t;
    char path[300];
    OK(pha__tokenizer_open(&t, folder));
    assert_int_equal(pha__tokenizer_eot(t), id);
    assert_string_equal(pha__tokenizer_end_from(t), from);
    pha__tokenizer_close(t);
    snprintf(path, sizeof path, "%s/tokenizer.json", folder); /* the file alone knows what is beside it */
    OK(pha__tokenizer_open(&t, path));
    assert_int_equal(pha__tokenizer_eot(t), id);
    pha__tokenizer_close(t);
}

/* Each file beside a tokenizer.json says it if those before it don't. */
static void end_token(void **state)
{
    (void)state;
    char folder[256], saved[300];
    pha__tokenizer *t;
    kind k = *find_kind("gpt2");
    k.added = three_ends;
    check_folder(folder);
    pha__str s = write_json(&k);
    put_file(folder, "tokenizer.json", s.data);
    pha__str_free(&s);
    expect_end(folder, 425, "its name");
    put_file(folder, "config.json", "{\"eos_token_id\": 426}");
    expect_end(folder, 426, "config.json");
    put_file(folder, "generation_config.json", "{\"eos_token_id\": [427, 426]}");
    expect_end(folder, 427, "generation_config.json");
    put_file(folder, "special_tokens_map.json", "{\"eos_token\": {\"content\": \"<|im_end|>\", \"lstrip\": false}}");
    expect_end(folder, 426, "special_tokens_map.json");
    put_file(folder, "tokenizer_config.json", /* as transformers writes where no length is known */
             "{\"eos_token\": \"<fin>\", \"model_max_length\": 1000000000000000019884624838656}");
    expect_end(folder, 427, "tokenizer_config.json");
    OK(pha__tokenizer_open(&t, folder));
    snprintf(saved, sizeof saved, "%s/saved", folder);
    OK(pha__mkdirs(saved));
    OK(pha__tokenizer_save_folder(t, saved)); /* it goes on with the tokenizer */
    pha__tokenizer_close(t);
    expect_end(saved, 427, "tokenizer_config.json");
    put_file(folder, "tokenizer_config.json", "{\"eos_token\": \"<nowhere>\"}");
    put_file(folder, "special_tokens_map.json", "{");
    put_file(folder, "generation_config.json", "{\"eos_token_id\": 4294967723}"); /* 2^32 + 427 */
    expect_end(folder, 426, "config.json"); /* with warnings */
    OK(pha__remove_tree(folder));
}

static void end_token_by_name(void **state)
{
    (void)state;
    pha__tokenizer *t;
    kind k = *find_kind("gpt2");
    pha__str s = write_json(&k);
    char *name;
    while ((name = strstr(s.data, "<|endoftext|>"))) memcpy(name, "<|whatever-|>", 13);
    OK(pha__tokenizer_parse(&t, s.data, s.size, "t"));
    assert_int_equal(pha__tokenizer_eot(t), -1);
    assert_string_equal(pha__tokenizer_end_from(t), "");
    FAILS(USAGE, "'<eos>' is no token", pha__tokenizer_set_end(t, "<eos>", "--end-token"));
    OK(pha__tokenizer_set_end(t, "<|whatever-|>", "--end-token"));
    assert_int_equal(pha__tokenizer_eot(t), 425);
    OK(pha__tokenizer_set_end(t, "aB", "--end-token")); /* of the vocabulary */
    assert_int_equal(pha__tokenizer_eot(t), 257);
    FAILS(USAGE, "valid UTF-8", pha__tokenizer_set_end(t, "\303", "--end-token"));
    assert_int_equal(pha__tokenizer_eot(t), 257);
    pha__tokenizer_close(t);
    pha__str_free(&s);
    k.added = ", {\"id\": 426, \"content\": \"</s>\", \"special\": true}";
    OK(load(&t, &k));
    assert_int_equal(pha__tokenizer_eot(t), 425); /* the better known one */
    pha__tokenizer_close(t);
}

static pha_status once(void *json)
{
    const pha__str *s = json;
    pha__tokenizer *t = NULL;
    pha__encoder *e = NULL;
    const int32_t *ids;
    size_t n;
    pha_status status = pha__tokenizer_parse(&t, s->data, s->size, "k.json");
    if (!status) status = pha__encoder_open(&e, t);
    if (!status) status = pha__encode(e, usual_text, strlen(usual_text), true, &ids, &n);
    pha__encoder_close(e);
    pha__tokenizer_close(t);
    return status;
}

static void no_memory(void **state)
{
    (void)state;
    kind k = *find_kind("neox");
    k.pre = find_kind("deepseek3")->pre;
    pha__str s = write_json(&k);
    assert_true(fail_allocations(once, &s, 10000) > 20);
    pha__str_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_hugging_face),
        cmocka_unit_test(hashes),
        cmocka_unit_test(saved_and_loaded),
        cmocka_unit_test(defaults),
        cmocka_unit_test(literal_texts),
        cmocka_unit_test(marks),
        cmocka_unit_test(hostile_texts),
        cmocka_unit_test(cut_anywhere_allowed),
        cmocka_unit_test(in_pieces),
        cmocka_unit_test(refused),
        cmocka_unit_test(gaps),
        cmocka_unit_test(end_token),
        cmocka_unit_test(end_token_by_name),
        cmocka_unit_test(special_stays_text),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
