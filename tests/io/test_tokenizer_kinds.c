/* test_tokenizer_kinds.c -- the kinds of tokenizer.json: their ids, what is refused, tokens added to them */
#include "kinds.h"

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
        cmocka_unit_test(refused),
        cmocka_unit_test(gaps),
        cmocka_unit_test(special_stays_text),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
