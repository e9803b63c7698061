/* A program that has called setlocale for a language with decimal commas: everything that libpha says and writes is as
 * in the "C" locale, and what it wrote there it reads here */
#include "support/comma.h"
#include "training.h"

static char *contents(const char *path)
{
    char *text;
    size_t size;
    OK(pha__read_file(&text, &size, path, 8 << 20));
    assert_int_equal(strlen(text), size);
    return text;
}

/* "0,5": a comma between digits that separates no thousands. */
static void no_commas(const char *text, const char *what)
{
    for (const char *s = text; (s = strchr(s, ',')); s++) {
        size_t after = strspn(s + 1, "0123456789");
        if (s == text || s[-1] < '0' || s[-1] > '9' || after == 0 || after == 3) continue;
        fail_msg("%s: %.60s", what, s - text > 20 ? s - 20 : text);
    }
}

static char *inspected(const char *model, pha_inspect_what what, bool json, const char *svg)
{
    pha_inspect_options o = {.model = model, .what = what, .json = json, .context = 64, .svg = svg};
    char *text;
    OK(pha_inspect(&o, &text));
    return text;
}

static void train(const char *out, pha_train_result *r)
{
    pha_train_options o = options();
    o.out = out, o.steps = 4, o.eval_every = 2, o.detail_every = 2, o.schedule = PHA_SCHEDULE_COSINE;
    OK(pha_train(&o, r));
}

static void same_file(const char *a, const char *b, const char *name)
{
    char path[2][600];
    snprintf(path[0], sizeof path[0], "%s/%s", a, name);
    snprintf(path[1], sizeof path[1], "%s/%s", b, name);
    char *x = contents(path[0]), *y = contents(path[1]);
    assert_string_equal(x, y);
    pha__free(x);
    pha__free(y);
}

/* Line by line, but for the clock and the memory. */
static void same_log(const char *a, const char *b)
{
    static const char *const own[] = {"time", "tokens_per_second", "seconds", "peak_bytes"};
    char *log[2] = {contents(a), contents(b)}, *line[2] = {log[0], log[1]};
    while (*line[0] && *line[1]) {
        json_t *json[2];
        for (int i = 0; i < 2; i++) {
            size_t n = strcspn(line[i], "\n");
            OK(pha__json_parse(&json[i], line[i], n, i ? b : a));
            for (int k = 0; k < 4; k++) json_object_del(json[i], own[k]);
            line[i] += n + 1;
        }
        assert_true(json_equal(json[0], json[1]));
        json_decref(json[0]);
        json_decref(json[1]);
    }
    assert_true(!*line[0] && !*line[1]);
    pha__free(log[0]);
    pha__free(log[1]);
}

static void numbers_of_a_run(void **state)
{
    (void)state;
    pha_train_result a, b;
    char plain[300], commas[300], model[320], *said[8], *now;
    snprintf(plain, sizeof plain, "%s/plain", root);
    snprintf(commas, sizeof commas, "%s/commas", root);
    snprintf(model, sizeof model, "%s/model", plain);
    train(plain, &a);
    for (int i = 0; i < 8; i++) said[i] = inspected(model, (pha_inspect_what)(i / 2), i % 2, NULL);
    pha_free(inspected(model, PHA_INSPECT_MIXING, false, in_root("plain.svg")));
    OK(pha_report(plain, NULL, 0));
    char *report = contents(in_root("plain/report.html"));

    if (!use_commas()) skip();
    train(commas, &b);
    assert_true(a.train_loss == b.train_loss && a.valid_loss == b.valid_loss);
    same_file(plain, commas, "config.json");
    same_file(plain, commas, "model/README.md");
    same_log(in_root("plain/log.jsonl"), in_root("commas/log.jsonl"));
    for (int i = 0; i < 8; i++) {
        now = inspected(model, (pha_inspect_what)(i / 2), i % 2, NULL);
        assert_string_equal(now, said[i]);
        pha_free(now);
        pha_free(said[i]);
    }
    pha_free(inspected(model, PHA_INSPECT_MIXING, false, in_root("commas.svg")));
    char *drawn = contents(in_root("plain.svg"));
    now = contents(in_root("commas.svg"));
    assert_string_equal(now, drawn);
    pha__free(now);
    pha__free(drawn);
    OK(pha_report(plain, NULL, 0));
    now = contents(in_root("plain/report.html"));
    assert_string_equal(now, report);
    pha__free(now);
    pha__free(report);
    setlocale(LC_ALL, "C");
}

static void messages(void **state)
{
    (void)state;
    if (!use_commas()) skip();
    pha_train_options o = options();
    o.out = in_root("never"), o.dropout = 1.5;
    FAILS(USAGE, "1.5", pha_train(&o, &(pha_train_result){0}));
    o = options(), o.out = in_root("never"), o.lr = -0.25;
    FAILS(USAGE, "-0.25", pha_train(&o, &(pha_train_result){0}));
    char *text, model[320];
    const int32_t contexts[] = {16};
    snprintf(model, sizeof model, "%s/plain/model", root);
    pha_bench_options b = {.model = model, .contexts = contexts, .n_contexts = 1, .repeats = 1, .threads = 1};
    OK(pha_bench(&b, &text));
    no_commas(text, "pha_bench");
    pha_free(text);
    setlocale(LC_ALL, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_of_a_run), cmocka_unit_test(messages)};
    return cmocka_run_group_tests(tests, set_up, root_teardown);
}
