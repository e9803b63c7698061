/* JSON: errors name the place, types and ranges are checked, reals come back exactly */
#include "base/json.h"

#include "support/root.h"

static char file[300];

static pha_status parse(json_t **out, const char *text) { return pha__json_parse(out, text, strlen(text), "x.json"); }

static void syntax(void **state)
{
    (void)state;
    json_t *j;
    FAILS(BAD_INPUT, "x.json: line 2, column", parse(&j, "{\"a\": 1,\n  b}"));
    assert_null(j);
    FAILS(BAD_INPUT, "duplicate", parse(&j, "{\"a\": 1, \"a\": 2}"));
    FAILS(BAD_INPUT, "end of file", parse(&j, "[1] 2"));
    FAILS(BAD_INPUT, "x.json", parse(&j, ""));
    FAILS(BAD_INPUT, "x.json", parse(&j, "[\"\xff\"]"));
    FAILS(BAD_INPUT, "x.json", parse(&j, "[1e999]"));
    char *deep = malloc(200001);
    memset(deep, '[', 200000);
    deep[200000] = 0;
    FAILS(BAD_INPUT, "depth", parse(&j, deep));
    free(deep);
}

static void members(void **state)
{
    (void)state;
    json_t *j;
    int64_t n = 0;
    double x = 0;
    const char *s = NULL;
    OK(parse(&j, "{\"n\": 12, \"x\": 0.5, \"s\": \"text\"}"));
    OK(pha__json_int(&n, j, "n", 0, 12, "f"));
    assert_int_equal(n, 12);
    FAILS(BAD_INPUT, "f: 'n' = 12 is out of range (0 to 11)", pha__json_int(&n, j, "n", 0, 11, "f"));
    FAILS(BAD_INPUT, "f: 'm' is missing", pha__json_int(&n, j, "m", 0, 11, "f"));
    FAILS(BAD_INPUT, "'x' is not a whole", pha__json_int(&n, j, "x", 0, 11, "f"));
    OK(pha__json_real(&x, j, "n", "f"));
    assert_true(x == 12);
    OK(pha__json_real(&x, j, "x", "f"));
    assert_true(x == 0.5);
    FAILS(BAD_INPUT, "'s' is not a number", pha__json_real(&x, j, "s", "f"));
    OK(pha__json_string(&s, j, "s", "f"));
    assert_string_equal(s, "text");
    FAILS(BAD_INPUT, "'n' is not a string", pha__json_string(&s, j, "n", "f"));
    FAILS(BAD_INPUT, "object", pha__json_int(&n, json_object_get(j, "n"), "k", 0, 1, "f"));
    json_decref(j);
}

static void save_and_load(void **state)
{
    (void)state;
    json_t *j = json_pack("{s:f, s:i, s:[f]}", "b", 0.1, "a", 3, "c", 1.0 / 3), *back;
    OK(pha__json_save(j, file));
    char *text;
    size_t size;
    OK(pha__read_file(&text, &size, file, 1000));
    assert_memory_equal(text, "{\n  \"a\": 3,\n", 12);
    assert_int_equal(text[size - 1], '\n');
    pha__free(text);
    OK(pha__json_load(&back, file, 1000));
    assert_true(json_equal(j, back));
    json_decref(back);
    FAILS(BAD_INPUT, "larger than 10 bytes", pha__json_load(&back, file, 10));
    assert_null(back);
    FAILS(IO, "nowhere", pha__json_load(&back, "/nowhere/x.json", 10));
    OK(pha__write_file(file, "{}}", 3));
    FAILS(BAD_INPUT, file, pha__json_load(&back, file, 10));
    json_decref(j);
}

static int setup(void **state)
{
    root_setup(state);
    snprintf(file, sizeof file, "%s/a.json", root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(syntax), cmocka_unit_test(members), cmocka_unit_test(save_and_load),
    };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
