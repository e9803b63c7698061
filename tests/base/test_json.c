/* JSON: errors name the place, types and ranges are checked, reals come back exactly; memory that fails, and a program
 * around us that uses jansson too */
#include "base/json.h"

#include <math.h>

#include "support/allocations.h"
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

/* ---- memory ---- */

/* Long strings, deep and wide values, keys enough for a table to grow several times. */
static json_t *large(void)
{
    json_t *all = pha__json_object(), *list = pha__json_list();
    for (int i = 0; i < 40; i++) {
        char key[40];
        json_t *inner = pha__json_object();
        snprintf(key, sizeof key, "a key of some length %d", i);
        pha__json_set(&inner, key, pha__json_decimal(i / 7.0));
        pha__json_set(&inner, "not finite", pha__json_decimal(INFINITY));
        pha__json_set(&inner, "text", pha__json_text("\xc3\xa4\"\\\n and \xff, no UTF-8"));
        pha__json_add(&list, inner);
        pha__json_set(&all, key, pha__json_number(i));
    }
    json_incref(list);
    pha__json_set(&all, "list", list);
    pha__json_set(&all, "list", list); /* in the place of what is there */
    return all;
}

static pha_status build_and_save(void *path)
{
    json_t *all = large();
    pha_status status = pha__json_save(all, path);
    json_decref(all);
    return status;
}

static char *before;

static void still_there(void *path)
{
    char *now;
    size_t size;
    OK(pha__read_file(&now, &size, path, 1 << 20));
    assert_string_equal(now, before);
    pha__free(now);
}

/* Whatever allocation fails, the file is the old one; in the end it is the new one, with everything in it. */
static void no_memory_to_write(void **state)
{
    (void)state;
    json_t *back;
    OK(pha__write_file(file, "{}", 2));
    before = "{}";
    assert_true(fail_allocations_then(build_and_save, still_there, file, 100000) > 200);
    OK(pha__json_load(&back, file, 1 << 20));
    assert_int_equal(json_object_size(back), 41);
    assert_int_equal(json_array_size(json_object_get(back, "list")), 40);
    const json_t *last = json_array_get(json_object_get(back, "list"), 39);
    assert_true(json_is_null(json_object_get(last, "not finite")));
    assert_string_equal(json_string_value(json_object_get(last, "text")),
                        "\xc3\xa4\"\\\n and \xef\xbf\xbd, no UTF-8");
    assert_true(json_number_value(json_object_get(last, "a key of some length 39")) == 39 / 7.0);
    json_decref(back);
}

static pha_status load(void *path)
{
    json_t *json = (void *)1;
    pha_status status = pha__json_load(&json, path, 1 << 20);
    if (status) assert_null(json);
    else json_decref(json);
    return status;
}

/* A good file never is called a bad one, nor a bad one good. */
static void no_memory_to_read(void **state)
{
    (void)state;
    OK(build_and_save(file));
    assert_true(fail_allocations(load, file, 100000) > 200);
    static const char bad[] = "{\"a\": [1, 2, {\"b\": \"\\ud800\"}]}";
    pha_status status = PHA_NO_MEMORY;
    for (uint64_t n = 1; status == PHA_NO_MEMORY; n++) {
        json_t *json;
        pha__mem_fail_at(n);
        status = parse(&json, bad);
        pha__mem_fail_at(0);
        assert_null(json);
        assert_int_equal(pha__mem_now(), 0);
    }
    assert_int_equal(status, PHA_BAD_INPUT);
    assert_non_null(strstr(pha_errmsg(), "x.json: line 1"));
}

/* The first failure stays: nothing with a hole is ever written. */
static void failures_stick(void **state)
{
    (void)state;
    json_t *object = pha__json_object(), *list = pha__json_list();
    pha__json_set(&object, "a", NULL);
    assert_null(object);
    pha__json_set(&object, "b", pha__json_number(1));
    assert_null(object);
    pha__json_add(&list, object);
    assert_null(list);
    pha__json_add(&list, pha__json_text("x"));
    assert_null(list);
    assert_int_equal(pha__mem_now(), 0);
    OK(pha__write_file(file, "[]", 2));
    FAILS(NO_MEMORY, file, pha__json_save(NULL, file));
    before = "[]";
    still_there(file);
    pha__str out = {0};
    pha__json_print(&out, NULL, 0);
    assert_true(out.failed);
    pha__str_free(&out);
}

/* What a program makes with jansson is its own: text that free takes, values that live on beside ours. */
static void beside_a_program(void **state)
{
    (void)state;
    size_t held = pha__mem_now();
    json_t *theirs = json_pack("{s:[i,i], s:s}", "a", 1, 2, "b", "text"), *ours;
    assert_int_equal(pha__mem_now(), held);
    OK(parse(&ours, "{\"x\": [1, 2, 3]}"));
    assert_true(pha__mem_now() > held);
    assert_int_equal(json_object_set(theirs, "ours", json_object_get(ours, "x")), 0);
    pha__json_set(&ours, "theirs", json_incref(theirs));
    char *text = json_dumps(ours, JSON_COMPACT);
    assert_string_equal(text, "{\"x\":[1,2,3],\"theirs\":{\"a\":[1,2],\"b\":\"text\",\"ours\":[1,2,3]}}");
    free(text);
    json_decref(ours);
    assert_true(pha__mem_now() > held); /* theirs holds a part of ours */
    json_decref(theirs);
    assert_int_equal(pha__mem_now(), held);
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
        cmocka_unit_test(no_memory_to_write), cmocka_unit_test(no_memory_to_read), cmocka_unit_test(failures_stick),
        cmocka_unit_test(beside_a_program),
    };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
