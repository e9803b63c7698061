/* Documents from Arrow streams and files: the texts of one column, and files that are broken */
#include "support/arrow.h"
#include "support/texts.h"

static const char *const first[] = {"One text.\n", "", NULL, "Another, with \xc3\xa4 and \xe2\x82\xac", "x"};
static const char *const second[] = {"of the second batch"};
static const char want[] = "One text.\n|Another, with \xc3\xa4 and \xe2\x82\xac|x|of the second batch|";

static void make(arrow *a, bool wide, bool file)
{
    memset(a, 0, sizeof *a);
    a->wide = wide;
    if (file) memcpy(a->data, "ARROW1\0", 8), a->n = 8;
    arrow_schema(a);
    arrow_batch(a, first, 5);
    arrow_batch(a, NULL, 0);
    arrow_batch(a, second, 1);
    if (file) arrow_stop(a), memcpy(a->data + a->n, "a footer ARROW1", 15), a->n += 15;
}

static pha_status read_file(pha__str *text, const char *name, const pha__text_options *options)
{
    const char *path = in_root(name);
    return read_all(text, &path, 1, options, NULL);
}

static void expect(const char *name, const char *wanted, const pha__text_options *options)
{
    pha__str text = {0};
    OK(read_file(&text, name, options));
    assert_string_equal(text.data ? text.data : "", wanted);
    pha__str_free(&text);
}

static void streams_and_files(void **state)
{
    (void)state;
    static arrow a;
    fresh();
    for (int i = 0; i < 8; i++) {
        make(&a, i & 1, i & 2);
        if (!(i & 2) && i & 4) arrow_stop(&a);
        put("data", a.data, a.n);
        expect("data", want, NULL);
        expect("data", want, &(pha__text_options){.piece = 1000, .cuts = PHA__CUT_BLANK});
    }
}

/* Long texts go out in pieces, as those of other kinds. */
static void pieces(void **state)
{
    (void)state;
    static arrow a;
    fresh();
    make(&a, false, false);
    put("data", a.data, a.n);
    pha__str text = {0};
    OK(read_file(&text, "data", &(pha__text_options){.piece = 5, .cuts = PHA__CUT_BLANK}));
    assert_non_null(strstr(text.data, "One/ text.\n|"));
    size_t kept = 0;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] != '/') text.data[kept++] = text.data[i];
    assert_int_equal(kept, strlen(want));
    assert_memory_equal(text.data, want, kept);
    pha__str_free(&text);
}

static void other_columns(void **state)
{
    (void)state;
    static arrow a;
    pha__str text = {0};
    fresh();
    make(&a, false, false);
    put("data", a.data, a.n);
    FAILS(BAD_INPUT, "no column 'body'; there are 'id', 'tags', 'text', 'title'",
          read_file(&text, "data", &(pha__text_options){.text_key = "body"}));
    FAILS(BAD_INPUT, "column 'id' does not hold text as it is (type 2)",
          read_file(&text, "data", &(pha__text_options){.text_key = "id"}));
    FAILS(BAD_INPUT, "too few offsets", read_file(&text, "data", &(pha__text_options){.text_key = "title"}));
    FAILS(BAD_INPUT, "a batch of", read_file(&text, "data", &(pha__text_options){.max_line = 40}));
    pha__str_free(&text);
}

/* Every cut, and every byte replaced: an error that says so, or texts; and what is whole still comes. */
static void damage(void **state)
{
    (void)state;
    static arrow a;
    pha__str text = {0};
    fresh();
    make(&a, false, false);
    size_t n = a.n, whole = 0, ends = 0;
    for (size_t cut = 16; cut < n; cut++) { /* less is no Arrow */
        put("data", a.data, cut);
        pha_status status = read_file(&text, "data", NULL);
        ends += status == PHA_OK; /* between two messages, if anywhere */
        if (status) assert_int_equal(status, PHA_BAD_INPUT);
    }
    assert_int_equal(ends, 3);
    pha__log_to(quiet, NULL);
    for (size_t at = 0; at < n; at++) {
        char byte = a.data[at];
        for (int k = 0; k < 3; k++) {
            a.data[at] = (char)(k == 0 ? 0xff : k == 1 ? 0x7f : byte + 4);
            put("data", a.data, n);
            pha_status status = read_file(&text, "data", NULL);
            whole += status == PHA_OK;
            if (status) assert_int_equal(status, PHA_BAD_INPUT);
        }
        a.data[at] = byte;
    }
    pha__log_to(NULL, NULL);
    assert_true(whole > n / 2); /* what nobody looks at, and the letters */
    pha__str_free(&text);
}

/* What the datasets library saves beside them is no text. */
static void folders(void **state)
{
    (void)state;
    static arrow a;
    fresh();
    OK(pha__mkdirs(in_root("train")));
    make(&a, false, false);
    put("train/data-00000-of-00002.arrow", a.data, a.n);
    make(&a, true, true);
    put("train/data-00001-of-00002.arrow", a.data, a.n);
    puts_file("train/dataset_info.json", "{\"description\": \"of all\", \"text\": \"not one\"}");
    puts_file("train/state.json", "{\"_format_type\": null}");
    puts_file("dataset_dict.json", "{\"splits\": [\"train\"]}");
    char both[2 * sizeof want];
    snprintf(both, sizeof both, "%s%s", want, want);
    pha__str text = {0};
    const char *path = root;
    OK(read_all(&text, &path, 1, NULL, NULL));
    assert_string_equal(text.data, both);
    pha__str_free(&text);
    OK(pha__mkdirs(in_root("other")));
    puts_file("other/state.json", "{\"text\": \"a text\"}");
    expect("other", "a text|", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_and_files), cmocka_unit_test(pieces),  cmocka_unit_test(other_columns),
        cmocka_unit_test(damage),            cmocka_unit_test(folders),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
