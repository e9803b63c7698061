/* test_report.c -- report.html and figures: well formed, escaped, tolerant of torn and missing parts */
#include <math.h>

#include "runtime/look/report.h"
#include "runtime/look/svg.h"
#include "support/root.h"

/* Tags must nest and every & must start a reference: what a strict XML reader would ask. */
static void check_well_formed(const char *s)
{
    char stack[64][16];
    int depth = 0;
    for (; *s; s++) {
        if (*s == '&') {
            size_t n = strcspn(s, "; <");
            if (s[n] != ';' || n > 7) fail_msg("a bare &: %.40s", s);
        }
        if (*s != '<') continue;
        if (s[1] == '!') {
            s += strcspn(s, ">");
            continue;
        }
        bool closes = s[1] == '/';
        char name[16] = "";
        size_t n = strspn(s + 1 + closes, "abcdefghijklmnopqrstuvwxyz0123456789");
        if (n == 0 || n > 15) fail_msg("not a tag: %.40s", s);
        memcpy(name, s + 1 + closes, n);
        const char *end = s;
        for (bool quoted = false; *end && (quoted || *end != '>'); end++) {
            if (*end == '"') quoted = !quoted;
            if (*end == '<' && end > s) fail_msg("a < inside a tag: %.40s", s);
        }
        if (!*end) fail_msg("a tag without end: %.40s", s);
        if (closes) {
            assert_true(depth > 0);
            assert_string_equal(stack[--depth], name);
        } else if (end[-1] != '/') {
            assert_true(depth < 63);
            strcpy(stack[depth++], name);
        }
        s = end;
    }
    assert_int_equal(depth, 0);
}

static void check_finite(const char *text)
{
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
}

static void escapes(void **state)
{
    (void)state;
    pha__str s = {0};
    const char text[] = "a<b>&\"'\x01\xff\xc3\xa9\0z";
    pha__xml_escape(&s, text, sizeof text - 1);
    assert_string_equal(s.data, "a&lt;b&gt;&amp;&quot;&#39;\xef\xbf\xbd\xef\xbf\xbd\xc3\xa9\xef\xbf\xbdz");
    pha__str_free(&s);
}

static void lines_of(const double *x, const double *y, size_t n, bool log_x, bool log_y, const char *must,
                     const char *must_not)
{
    pha__str s = {0};
    pha__svg_series one[2] = {{.name = "a<b", .x = x, .y = y, .n = n, .marks = true}, {.name = "empty"}};
    pha__svg_chart c = {.title = "T & T", .x_label = "x", .y_label = "y", .log_x = log_x, .log_y = log_y, .series = one,
                        .n_series = 2, .standalone = true};
    pha__svg_lines(&s, &c);
    check_well_formed(s.data);
    const char *body = strstr(s.data, "</style>");
    assert_non_null(body);
    check_finite(body);
    if (must) assert_non_null(strstr(body, must));
    if (must_not) assert_null(strstr(body, must_not));
    pha__str_free(&s);
}

static void charts(void **state)
{
    (void)state;
    double x[] = {1, 10, 100, 1000}, y[] = {5, NAN, 3, 2}, flat[] = {2, 2, 2, 2}, bad[] = {NAN, NAN, INFINITY, NAN};
    double signs[] = {0, -1, 0.001, 1e9}, huge[] = {1e300, 1e-300, -1e300, 0};
    lines_of(x, y, 4, false, false, "a&lt;b", "a<b");
    lines_of(x, y, 4, true, true, ">100<", NULL);
    lines_of(x, flat, 4, false, false, NULL, NULL);
    lines_of(x, flat, 4, false, true, NULL, NULL);
    lines_of(x, bad, 4, false, true, NULL, "circle");
    lines_of(x, signs, 4, true, true, NULL, NULL);
    lines_of(x, huge, 4, true, false, NULL, NULL);
    lines_of(x, y, 1, false, false, "circle", NULL);
    lines_of(NULL, NULL, 0, true, true, NULL, "circle");
}

/* A long series is thinned, but its single spike stays. */
static void thinning(void **state)
{
    (void)state;
    enum { N = 200000 };
    double *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    pha__str s = {0};
    for (int i = 0; i < N; i++) x[i] = i, y[i] = 1;
    y[N / 2 + 7] = 101;
    pha__svg_series one = {.x = x, .y = y, .n = N};
    pha__svg_chart c = {.series = &one, .n_series = 1};
    pha__svg_lines(&s, &c);
    assert_true(s.size < 100000);
    assert_non_null(strstr(s.data, "V43.")); /* 101 of -3..105: 34 + 242 * 4/108 = 43.0 */
    pha__str_free(&s);
    free(x);
    free(y);
}

static void bars(void **state)
{
    (void)state;
    double values[] = {0.5, 0.25, 0.25, 3, 1, 0, 0, 0, 0, NAN, -1, 1};
    const char *parts[] = {"GSS", "attention", "FFN"};
    pha__svg_bars b = {
        .title = "Mix", .row_label = "layer", .parts = parts, .values = values, .n_rows = 4, .n_parts = 3};
    pha__str s = {0};
    pha__svg_stacked(&s, &b);
    check_well_formed(s.data);
    check_finite(s.data);
    assert_non_null(strstr(s.data, ">50.0 %<"));
    assert_non_null(strstr(s.data, ">75.0 %<"));
    assert_non_null(strstr(s.data, ">100.0 %<"));
    assert_non_null(strstr(s.data, ">layer 3<"));
    pha__str_free(&s);
}

/* ---- whole reports -------------------------------------------------------------------------------------- */

static void put(const char *name, const char *text)
{
    char *path = pha__path_join(root, name);
    assert_int_equal(pha__write_file(path, text, strlen(text)), PHA_OK);
    pha__free(path);
}

static char *report(const char *const *samples, size_t n)
{
    char *path = pha__path_join(root, "report.html"), *html = NULL;
    size_t size;
    assert_int_equal(pha_report(root, samples, n), PHA_OK);
    assert_int_equal(pha__read_file(&html, &size, path, 1 << 24), PHA_OK);
    assert_int_equal(strlen(html), size);
    pha__free(path);
    check_well_formed(html);
    return html;
}

static const char run_json[] =
    "{\"command\":\"pha train --out "
    "'<b>'\",\"config\":{\"arch\":\"pha\",\"d_model\":64},\"options\":{\"lr\":0.001,\"x\":[1,{\"y\":\"<i>\"}]},"
    "\"data\":{\"tokenizer_hash\":\"00ff\",\"tokens\":12345},\"parameters\":1234567,\"pha_version\":\"0.1.0\",\"isa\":"
    "\"avx2\",\"threads\":2}";

static const char log_lines[] =
    "{\"event\":\"step\",\"step\":1,\"tokens\":100,\"loss\":9.5,\"lr\":0.1,\"gradient_norm\":2.5,\"tokens_per_second\":"
    "1000,\"time\":1}\n"
    "{\"event\":\"step\",\"step\":2,\"tokens\":200,\"loss\":null,\"lr\":0.1,\"gradient_norm\":2,\"tokens_per_second\":"
    "1000,\"time\":1}\n"
    "{\"event\":\"step\",\"step\":3,\"tokens\":300,\"loss\":7.25,\"lr\":0.05,\"gradient_norm\":1,\"tokens_per_second\":"
    "1500,\"time\":2}\n"
    "{\"event\":\"eval\",\"step\":3,\"valid_loss\":7.5,\"valid_ppl\":1808.0,\"accuracy\":0.125}\n"
    "{\"event\":\"detail\",\"step\":3,\"layers\":[{\"mix\":{\"attn\":0.2,\"gss\":0.5,\"aux\":0.3},\"mix_scaled\":{"
    "\"attn\":0.1,\"gss\":0.6,"
    "\"aux\":0.3},\"horizon\":{\"p10\":2,\"p50\":10,\"p90\":300},\"gate_mean\":0.5,\"attn_scale\":[10,11]},"
    "{\"mix\":{\"attn\":0.4,\"gss\":0.4,\"aux\":0.2}}],\"gradient_norms\":{\"embed\":1}}\n"
    "not json at all\n[1,2]\n\n{\"event\":7}\n{\"no\":\"event\"}\n"
    "{\"event\":\"skip\",\"step\":3}\n"
    "{\"event\":\"sample\",\"step\":3,\"prompt\":\"Once\",\"text\":\" <script>alert(1)</script> & \\u0001 so\"}\n"
    "{\"event\":\"end\",\"averaged_valid_ppl\":1700.5}\n"
    "{\"event\":\"step\",\"step\":4,\"los";

static void full(void **state)
{
    (void)state;
    const char *samples[] = {"A & <em>B</em>", NULL};
    put("run.json", run_json);
    put("log.jsonl", log_lines);
    char *html = report(samples, 2);
    const char *body = html ? strstr(html, "<body>") : NULL;
    assert_non_null(body);
    const char *must[] = {"1&#8239;234&#8239;567",
                          "&lt;b&gt;",
                          "Loss",
                          "Validation perplexity",
                          "Learning rate",
                          "Gradient norm",
                          ">50.0 %<",
                          "Horizon",
                          "1700.500",
                          "12.50 %",
                          "&lt;script&gt;",
                          "A &amp; &lt;em&gt;",
                          "3 unreadable",
                          "tokenizer_hash",
                          "00ff",
                          "skipped by the guard",
                          ">7.2500<",
                          "layer 1"};
    for (size_t i = 0; i < sizeof must / sizeof must[0]; i++)
        if (!strstr(body, must[i])) fail_msg("missing: %s", must[i]);
    const char *never[] = {"<script", "<em>", "<b>'", "http://", "https://", "src=", "nan"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        for (const char *at = body; (at = strstr(at, never[i])); at++)
            if (strncmp(at, "http://www.w3.org/2000/svg", 26) != 0) fail_msg("should not be there: %.30s", at);
    pha__free(html);
}

static void parts_missing(void **state)
{
    (void)state;
    put("run.json", "{}");
    char *html = report(NULL, 0);
    assert_null(strstr(html, "<svg"));
    assert_null(strstr(html, "Samples"));
    pha__free(html);
    put("log.jsonl", "{\"event\":\"step\",\"step\":1,\"loss\":2}\n");
    html = report(NULL, 0);
    assert_non_null(strstr(html, "Loss"));
    assert_null(strstr(html, "Learning rate"));
    assert_null(strstr(html, "Layers"));
    pha__free(html);
}

static void not_a_run(void **state)
{
    (void)state;
    assert_int_equal(pha_report(root, NULL, 0), PHA_BAD_INPUT);
    assert_int_equal(pha_report("/nonexistent", NULL, 0), PHA_BAD_INPUT);
    put("run.json", "{\"a\":");
    assert_int_equal(pha_report(root, NULL, 0), PHA_BAD_INPUT);
}

/* After a resume the log tells some steps twice: the newer ones count. */
static void resumed(void **state)
{
    (void)state;
    pha__report_log log;
    put("log.jsonl",
        "{\"event\":\"step\",\"step\":1,\"loss\":9}\n{\"event\":\"step\",\"step\":2,\"loss\":8}\n"
        "{\"event\":\"eval\",\"step\":2,\"valid_loss\":8.5}\n{\"event\":\"step\",\"step\":3,\"loss\":7}\n"
        "{\"event\":\"step\",\"step\":2,\"loss\":6}\n{\"event\":\"eval\",\"step\":2,\"valid_loss\":6.5}\n");
    char *path = pha__path_join(root, "log.jsonl");
    assert_int_equal(pha__report_log_read(&log, path), PHA_OK);
    assert_int_equal(log.series[PHA__REPORT_LOSS].n, 2);
    assert_true(log.series[PHA__REPORT_LOSS].y[1] == 6);
    assert_int_equal(log.series[PHA__REPORT_VALID_LOSS].n, 1);
    assert_true(log.series[PHA__REPORT_VALID_LOSS].y[0] == 6.5);
    pha__report_log_free(&log);
    pha__free(path);
}

/* Enough steps for a trend line behind the single ones, with a hole. */
static void long_run(void **state)
{
    (void)state;
    pha__str lines = {0};
    for (int i = 1; i <= 3000; i++) {
        pha__str_printf(&lines, "{\"event\":\"step\",\"step\":%d,\"loss\":%s,\"gradient_norm\":%d}\n", i,
                        i == 500 ? "null" : i % 2 ? "2.5" : "3.5", i % 7);
    }
    put("log.jsonl", lines.data);
    pha__str_free(&lines);
    size_t held = pha__mem_now();
    char *html = report(NULL, 0);
    assert_non_null(strstr(html, "faint"));
    assert_non_null(strstr(strstr(html, "<body>"), " faint\""));
    pha__free(html);
    assert_int_equal(pha__mem_now(), held);
}

/* Any cut of the log and every failing allocation: a report or a clean error. */
static void torn_and_starved(void **state)
{
    (void)state;
    char cut[sizeof log_lines];
    put("run.json", run_json);
    for (size_t n = 0; n < sizeof log_lines; n += 17) {
        memcpy(cut, log_lines, n);
        cut[n] = 0;
        put("log.jsonl", cut);
        pha__free(report(NULL, 0));
    }
    put("log.jsonl", log_lines);
    size_t held = pha__mem_now();
    for (uint64_t n = 1;; n++) {
        pha__mem_fail_at(n);
        pha_status status = pha_report(root, NULL, 0);
        pha__mem_fail_at(0);
        assert_int_equal(pha__mem_now(), held);
        assert_true(status == PHA_OK || status == PHA_NO_MEMORY);
        if (n > 400) break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes),
        cmocka_unit_test(charts),
        cmocka_unit_test(thinning),
        cmocka_unit_test(bars),
        cmocka_unit_test_setup_teardown(full, root_setup, root_teardown),
        cmocka_unit_test_setup_teardown(parts_missing, root_setup, root_teardown),
        cmocka_unit_test_setup_teardown(not_a_run, root_setup, root_teardown),
        cmocka_unit_test_setup_teardown(resumed, root_setup, root_teardown),
        cmocka_unit_test_setup_teardown(long_run, root_setup, root_teardown),
        cmocka_unit_test_setup_teardown(torn_and_starved, root_setup, root_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
