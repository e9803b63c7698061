/* Tasks: forms of files as they are published, bad files, and the statistics of the harness */
#include <math.h>

#include "runtime/task/task.h"
#include "support/root.h"

static char task_path[400];

static int setup(void **state)
{
    root_setup(state);
    snprintf(task_path, sizeof task_path, "%s/task.jsonl", root);
    return 0;
}

static void put(const char *path, const char *text) { OK(pha__write_file(path, text, strlen(text))); }

/* What the harness 0.4.9 makes of these. */
static void hellaswag(void **state)
{
    (void)state;
    static const char *const contexts[][4] = {
        {"Roof shingle removal", "A man is sitting on a roof.", "he",
         "Roof shingle removal: A man is sitting on a roof. He"},
        {"Home", "[header] How to x [title] Do y. [step] z", "a  b   c", "Home: How to x. Do y. z A b  c"},
        {"\xc3\x89", "x\xe2\x80\x83", "\xc3\xa9" "A \xc3\x80" "B [q\n] r [s] [t",
         "\xc3\x89: x\xe2\x80\x83 \xc3\x89" "a \xc3\xa0" "b [q\n] r [t"},
        {"A", "", "", "A:"},
    };
    static const char *const texts[][2] = {
        {" starts [substeps] pulling.  ", "starts pulling."},
        {"\xc2\xa0\x1c" "A [title] B[x]  C   D\xe3\x80\x80", "A. B C  D"},
        {"[[a] b]", " b]"}, {"[a", "[a"}, {"a ] [b]c]", "a ] c]"}, {" \t ", ""},
    };
    for (size_t i = 0; i < sizeof contexts / sizeof *contexts; i++) {
        pha__str s = {0};
        pha__hellaswag_context(&s, contexts[i][0], contexts[i][1], contexts[i][2]);
        assert_string_equal(s.data, contexts[i][3]);
        pha__str_free(&s);
    }
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        pha__str s = {0};
        pha__str_puts(&s, "");
        pha__hellaswag_text(&s, texts[i][0]);
        assert_int_equal(s.size, strlen(texts[i][1]));
        if (s.size) assert_string_equal(s.data, texts[i][1]);
        pha__str_free(&s);
    }
    char *many = malloc(2000001); /* time is linear */
    memset(many, '[', 2000000), many[2000000] = 0;
    pha__str s = {0};
    pha__hellaswag_text(&s, many);
    assert_int_equal(s.size, 2000000);
    pha__str_free(&s);
    free(many);
}

/* Numbers of Python 3.11 with the harness's functions: its perplexity, and the deviation of 100,000 samples. */
static void errors(void **state)
{
    (void)state;
    static const double ll[] = {-1.5, -0.25, -3.0, -2.125, -0.5, -7.75, -1.0};
    double ppl, error, one[2], mean;
    for (int threads = 1; threads < 4; threads += 2) {
        OK(pha__task_perplexity(&ppl, &error, ll, 7, threads));
        assert_true(fabs(ppl - 10.00986822166285) < 1e-12 && fabs(error - 24.025742350255708) < 1e-9);
    }
    pha__task_mean(&mean, &error, ll, 7);
    assert_true(fabs(error - 0.9758456127195251) < 1e-14);
    OK(pha__task_perplexity(&ppl, &one[0], ll, 1, 1));
    pha__task_mean(&mean, &one[1], ll, 1);
    assert_true(isnan(one[0]) && isnan(one[1]) && mean == -1.5);
}

static const char piqa_text[] = "{\"goal\":\"g\",\"sol1\":\"a b\",\"sol2\":\" c\"}\n"
                                "{\"goal\":\"h \",\"sol1\":\"\",\"sol2\":\"\xc3\xa9\"}\n";

static void published(void **state)
{
    (void)state;
    char labels[400];
    pha__exam t = {0};
    snprintf(labels, sizeof labels, "%s/task-labels.lst", root);
    put(task_path, piqa_text);
    put(labels, "1\n\n0\r\n");
    OK(pha__task_read(&t, task_path, 0));
    assert_int_equal(t.form, PHA_TASK_PIQA);
    assert_string_equal(t.items[1].context, "Question: h \nAnswer:");
    assert_string_equal(t.items[0].choices[1].text, "  c");
    const pha__choice *c = t.items[1].choices;
    assert_true(c[1].chars == 1 && c[1].bytes == 2 && c[0].chars == 0);
    assert_true(t.items[0].gold == 1 && t.items[1].gold == 0);
    pha__task_free(&t);
    put(labels, "1\n2\n");
    FAILS(BAD_INPUT, "task-labels.lst:2: '2'", pha__task_read(&t, task_path, 0));
    pha__task_free(&t);
    put(labels, "1\n");
    FAILS(BAD_INPUT, "has 1 labels", pha__task_read(&t, task_path, 0));
    pha__task_free(&t);
    put(labels, "1\n0\n1\n");
    FAILS(BAD_INPUT, "has 3 labels", pha__task_read(&t, task_path, 0));
    pha__task_free(&t);
    OK(pha__task_read(&t, task_path, 1));
    pha__task_free(&t);
    unlink(labels);
    FAILS(BAD_INPUT, "there is no", pha__task_read(&t, task_path, 0));
    pha__task_free(&t);
    put(task_path, "{\"ind\": 24, \"activity_label\": \"Roof\", \"ctx_a\": \"A man sits.\", \"ctx_b\": \"he\", "
                   "\"ctx\": \"A man sits. he\", \"split\": \"val\", \"label\": \"2\", "
                   "\"endings\": [\"is.\", \"was [x].\", \"c\"]}\n");
    OK(pha__task_read(&t, task_path, 0));
    assert_int_equal(t.form, PHA_TASK_HELLASWAG);
    assert_string_equal(t.items[0].context, "Roof: A man sits. He");
    assert_string_equal(t.items[0].choices[1].text, " was .");
    assert_int_equal(t.items[0].gold, 2);
    pha__task_free(&t);
}

/* ---- bad files --------------------------------------------------------------------------------------------- */

#define GOOD "{\"ctx\":\"a\",\"choices\":[\"b\",\"c\"],\"label\":1}\n"

static void bad_files(void **state)
{
    (void)state;
    static const struct { const char *text, *says; } bad[] = {
        {"", "has no items"},
        {"\n \n", "has no items"},
        {GOOD "{\"ctx\":\"a\"\n", ":2: not JSON"},
        {GOOD "[1]\n", ":2: not an object"},
        {"{\"a\":1,\"b\":2}\n", ":1: none of the known forms"},
        {"{\"a\":1,\"b\":2}\n", "this object has \"a\", \"b\""},
        {"{}\n", "this object has no key"},
        {"{\"text\":5}\n", ":1: \"text\" is not a text"},
        {"{\"text\":\"a \"}\n", ":1: \"text\" has no last word"},
        {"{\"text\":\"\"}\n", ":1: \"text\" has no last word"},
        {"{\"context\":\"a\",\"target\":\" \"}\n", "\"target\" is empty"},
        {"{\"target\":\"a\"}\n", "has \"target\" but none of \"context\""},
        {"{\"ctx\":\"a\"}\n", "has \"ctx\" but none of \"choices\""},
        {"{\"choices\":[\"a\",\"b\"],\"label\":0}\n", "has \"choices\" but none of \"context\""},
        {"{\"ctx\":\"a\",\"choices\":[\"b\",\"c\"]}\n", "but none of \"label\""},
        {GOOD "{\"ctx\":\"a\",\"label\":1}\n", ":2: \"choices\" is missing, which the first line has"},
        {GOOD "{\"ctx\":\"a\",\"choices\":[\"b\",\"c\"]}\n", ":2: \"label\" is missing"},
        {GOOD "{\"query\":\"a\",\"choices\":[\"b\",\"c\"],\"label\":1}\n", ":2: \"ctx\" is missing"},
        {GOOD "{\"ctx\":\"a\",\"choices\":[],\"label\":1}\n", ":2: \"choices\" has 0 choices"},
        {GOOD "{\"ctx\":\"a\",\"choices\":[\"b\"],\"label\":0}\n", ":2: \"choices\" has 1 choices"},
        {GOOD "{\"ctx\":\"a\",\"choices\":[\"b\",2],\"label\":0}\n", ":2: \"choices\": choice 1 is not a text"},
        {GOOD "{\"ctx\":\"a\",\"choices\":\"b\",\"label\":0}\n", ":2: \"choices\" is not a list"},
        {GOOD "{\"ctx\":\"a\",\"choices\":[\"b\",\"c\"],\"label\":2}\n", ":2: \"label\" is 2, but the 2 choices"},
        {GOOD "{\"ctx\":\"a\",\"choices\":[\"b\",\"c\"],\"label\":-1}\n", ":2: \"label\" is -1"},
        {GOOD "{\"ctx\":\"a\",\"choices\":[\"b\",\"c\"],\"label\":\"2\"}\n", ":2: \"label\" is 2"},
        {GOOD "{\"ctx\":\"a\",\"choices\":[\"b\",\"c\"],\"label\":\"\"}\n", "a split without labels?"},
        {GOOD "{\"ctx\":\"a\",\"choices\":[\"b\",\"c\"],\"label\":0.5}\n", "neither a number nor a text"},
        {GOOD "{\"ctx\":\"a\",\"choices\":[\"1\",\"0\"],\"label\":\"0\"}\n", "is the text of choice 1, and the number"},
        {"{\"goal\":\"a\",\"sol1\":\"b\",\"label\":0}\n", ":1: \"sol2\" is missing"},
        {"{\"text\":\"a b\"}\n{\"ctx\":\"a\"}\n", ":2: \"text\" is missing"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pha__exam t = {0};
        put(task_path, bad[i].text);
        FAILS(BAD_INPUT, bad[i].says, pha__task_read(&t, task_path, 0));
        pha__task_free(&t);
    }
    static const char *const golds[] = {"1", "\"1\"", "\"c\""};
    for (int i = 0; i < 3; i++) {
        char text[200];
        pha__exam t = {0};
        snprintf(text, sizeof text, "\xef\xbb\xbf{\"goal\":\"a\",\"endings\":[\"b\",\"c\"],\"answer\":%s}", golds[i]);
        put(task_path, text);
        OK(pha__task_read(&t, task_path, 0));
        assert_int_equal(t.form, PHA_TASK_CHOICE);
        assert_int_equal(t.items[0].gold, 1);
        pha__task_free(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hellaswag),
        cmocka_unit_test(errors),
        cmocka_unit_test(published),
        cmocka_unit_test(bad_files),
    };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
