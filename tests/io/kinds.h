/* kinds.h -- tokenizer.json files built like those of released models
 *
 * The vocabulary: 256 bytes, then all pairs of the bytes in `letters`, so that ids show where a text was cut. The ids
 * wanted are those of Hugging Face's `tokenizers` for the same file (tests/golden/tokenizers_kinds.py has the kinds).
 */
#ifndef KINDS_H
#define KINDS_H

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

static inline void put_char(pha__str *s, unsigned char byte)
{
    char c[2];
    int n = pha__byte_char(byte, c);
    pha__str_printf(s, "%s%.*s", byte == '"' || byte == '\\' ? "\\" : "", n, c);
}

static inline pha__str write_json(const kind *k)
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

static inline pha_status load(pha__tokenizer **t, const kind *k)
{
    pha__str s = write_json(k);
    pha_status status = pha__tokenizer_parse(t, s.data, s.size, k->name);
    pha__str_free(&s);
    return status;
}

static inline const char *text_of(const kind *k) { return k->text ? k->text : usual_text; }

static inline const kind *find_kind(const char *name)
{
    for (size_t i = 0; i < N_KINDS; i++)
        if (!strcmp(kinds[i].name, name)) return &kinds[i];
    fail_msg("no kind %s", name);
    return NULL;
}

#endif
