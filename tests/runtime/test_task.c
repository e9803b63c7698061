/* Tasks: likelihoods against logits of whole texts, each by the definition; what is refused */
#include "runtime/task/task.h"

#include <math.h>

#include "tiny.h"

enum { V = 300, CONTEXT = 40 };

static char model_folder[400], tokenizer_folder[400], task_path[400], scores_path[400];
static pha__tokenizer *tokenizer;

/* A small vocabulary with merges, so that tokens of both sides can melt. */
static int setup(void **state)
{
    pha__bpe_trainer *b;
    static const char text[] = "the cat sat on the mat and the river ran on and on the end then that\n";
    root_setup(state);
    OK(pha__bpe_trainer_open(&b, V, 0));
    for (int i = 0; i < 20; i++) OK(pha__bpe_trainer_feed(b, text, sizeof text - 1));
    OK(pha__bpe_trainer_finish(b, &tokenizer, NULL, NULL));
    pha__bpe_trainer_close(b);
    snprintf(tokenizer_folder, sizeof tokenizer_folder, "%s/tokenizer", root);
    OK(pha__mkdirs(tokenizer_folder));
    OK(pha__tokenizer_save_folder(tokenizer, tokenizer_folder));
    snprintf(task_path, sizeof task_path, "%s/task.jsonl", root);
    snprintf(scores_path, sizeof scores_path, "%s/scores.jsonl", root);
    snprintf(model_folder, sizeof model_folder, "%s/default", root);
    pha_model_close(tiny_model("default", lab_find("default"), V, tokenizer_folder));
    return 0;
}

static int teardown(void **state)
{
    pha__tokenizer_close(tokenizer);
    return root_teardown(state);
}

static void put(const char *path, const char *text) { OK(pha__write_file(path, text, strlen(text))); }

static pha_task_options defaults(void)
{
    return (pha_task_options){.model = model_folder, .file = task_path, .threads = 2};
}

/* ---- likelihoods ------------------------------------------------------------------------------------------ */

typedef struct answer {
    double ll;
    bool greedy;
} answer;

static int32_t *encode(const char *text, size_t size, size_t *n)
{
    pha__encoder *e;
    const int32_t *ids;
    OK(pha__encoder_open(&e, tokenizer));
    OK(pha__encode(e, text, size, true, &ids, n));
    int32_t *out = calloc(*n + 1, sizeof *out);
    memcpy(out, ids, *n * sizeof *out);
    pha__encoder_close(e);
    return out;
}

/* As the harness defines it, from the logits of context and continuation in one piece. Blanks only are moved. */
static answer by_hand(const pha_model *m, const char *context, const char *continuation)
{
    char both[2000];
    size_t stripped = strlen(context), n, k;
    while (stripped && context[stripped - 1] == ' ') stripped--;
    snprintf(both, sizeof both, "%s%s", context, continuation);
    int32_t *a = encode(context, stripped, &n), *all = encode(both, strlen(both), &k);
    if (stripped == 0) a[0] = pha__tokenizer_eot(tokenizer), n = 1; /* calloc'd one more */
    size_t skip = stripped ? n : 0, m_ids = k - skip;
    int32_t *row = calloc(n + m_ids, sizeof *row);
    memcpy(row, a, n * sizeof *row);
    memcpy(row + n, all + skip, m_ids * sizeof *row);
    size_t total = n + m_ids, first = total > CONTEXT + 1 ? total - CONTEXT - 1 : 0;
    float *logits = tiny_logits(m, row + first, (int)(total - 1 - first));
    answer out = {0, true};
    for (size_t i = n; i < total; i++) {
        const float *l = logits + (i - 1 - first) * V;
        double sum = 0;
        int best = 0;
        for (int v = 0; v < V; v++) sum += exp((double)l[v]), best = l[v] > l[best] ? v : best;
        out.ll += l[row[i]] - log(sum);
        out.greedy &= best == row[i];
    }
    pha__free(logits);
    free(a), free(all), free(row);
    return out;
}

typedef struct question {
    const char *context, *choices[3];
    int gold;
} question;

static const question questions[] = {
    {"the cat sat", {"on the mat", "and", "then the river ran on and on"}, 0},
    {"the river  ", {"ran", "a", "cat cat cat"}, 1},
    {"", {"the end", "th", "zzzz"}, 2},
    {"th", {"at", "e", "\xc3\xa9\xc3\xa9\xc3\xa9"}, 0},
    {"the cat sat on the mat and the river ran on and on the end then that the cat sat on the mat and the river ran "
     "on and on xyzzy", {"and on", "the mat", "a very long end that takes its context away"}, 1},
    {"<|endoftext|>the", {"cat", "mat", "x"}, 2},
};
enum { QUESTIONS = sizeof questions / sizeof *questions };

static void put_questions(void)
{
    pha__str s = {0};
    for (int i = 0; i < QUESTIONS; i++) {
        const question *q = &questions[i];
        pha__str_printf(&s, "{\"query\":\"%s\",\"choices\":[\"%s\",\"%s\",\"%s\"],\"gold\":%d}\n%s", q->context,
                        q->choices[0], q->choices[1], q->choices[2], q->gold, i == 2 ? "\n \n" : "");
    }
    put(task_path, s.data);
    pha__str_free(&s);
}

static double number_at(const json_t *scores, const char *key, size_t i)
{
    return json_number_value(json_array_get(json_object_get(scores, key), i));
}

/* The scores file of the last run, one object per line. */
static json_t *scores_line(int at)
{
    char *text, *line;
    size_t size;
    json_t *out;
    OK(pha__read_file(&text, &size, scores_path, 1 << 20));
    line = text;
    for (int i = 0; i < at; i++) line = strchr(line, '\n') + 1;
    OK(pha__json_parse(&out, line, strcspn(line, "\n"), "scores"));
    pha__free(text);
    return out;
}

static int best_of(const double *ll, const question *q, int by)
{
    int best = 0;
    double x[3];
    for (int i = 0; i < 3; i++) {
        size_t bytes = strlen(q->choices[i]), chars = 0;
        for (size_t k = 0; k < bytes; k++) chars += (q->choices[i][k] & 0xC0) != 0x80;
        x[i] = ll[i] / (by == 0 ? 1.0 : by == 1 ? (double)chars : (double)bytes);
        if (x[i] > x[best]) best = i;
    }
    return best;
}

static void choices_of(const char *name)
{
    char folder[400];
    double hits[3] = {0};
    snprintf(folder, sizeof folder, "%s/choices-%c", root, *name);
    pha_model *m = tiny_model(strrchr(folder, '/') + 1, lab_find(name), V, tokenizer_folder);
    pha_task_options o = defaults();
    pha_task_result r;
    o.model = folder, o.context = CONTEXT, o.scores = scores_path;
    put_questions();
    OK(pha_task(&o, &r));
    for (int i = 0; i < QUESTIONS; i++) {
        double ll[3];
        json_t *line = scores_line(i);
        assert_int_equal(json_integer_value(json_object_get(line, "line")), i < 3 ? i + 1 : i + 3);
        for (int k = 0; k < 3; k++) {
            char continuation[200];
            snprintf(continuation, sizeof continuation, " %s", questions[i].choices[k]);
            answer want = by_hand(m, questions[i].context, continuation);
            ll[k] = number_at(line, "ll", (size_t)k);
            assert_true(fabs(ll[k] - want.ll) <= 1e-5 * fabs(want.ll));
            assert_int_equal(json_is_true(json_array_get(json_object_get(line, "greedy"), (size_t)k)), want.greedy);
        }
        for (int by = 0; by < 3; by++) hits[by] += best_of(ll, &questions[i], by) == questions[i].gold;
        json_decref(line);
    }
    assert_int_equal(r.form, PHA_TASK_CHOICE);
    assert_int_equal(r.items, QUESTIONS);
    assert_int_equal(r.truncated, 1);
    double n = QUESTIONS, p = hits[0] / n;
    assert_true(fabs(r.accuracy - p) < 1e-12);
    assert_true(fabs(r.accuracy_norm - hits[1] / n) < 1e-12 && fabs(r.accuracy_bytes - hits[2] / n) < 1e-12);
    assert_true(fabs(r.accuracy_error - sqrt(p * (1 - p) / (n - 1))) < 1e-12);
    assert_true(isnan(r.ppl));
    pha_model_close(m);
}

static void choices(void **state)
{
    (void)state;
    choices_of("default");
    choices_of("window 7");
}

/* A context is read once for all of its choices, and again for each only where it is cut. */
static void prefix_once(void **state)
{
    (void)state;
    pha_task_options o = defaults();
    pha_task_result r;
    size_t n = 0, k;
    put_questions();
    OK(pha_task(&o, &r));
    for (int i = 0; i < QUESTIONS; i++) {
        size_t size = strlen(questions[i].context);
        while (size && questions[i].context[size - 1] == ' ') size--;
        free(encode(questions[i].context, size, &k));
        n += k ? k : 1;
    }
    assert_int_equal(r.context_tokens, n);
    assert_int_equal(r.truncated, 0);
    assert_int_equal(r.context, 2048);
    o.max_items = 2;
    OK(pha_task(&o, &r));
    assert_int_equal(r.items, 2);
}

static void last_words(void **state)
{
    (void)state;
    pha_model *m;
    pha_task_options o = defaults();
    pha_task_result r;
    static const char *const contexts[] = {"the cat sat on", "the river", "", "the end then"};
    static const char *const words[] = {" the", " ran!", " alone", " the\n"};
    double sum = 0;
    OK(pha_model_open(&m, model_folder));
    for (int form = 0; form < 2; form++) {
        pha__str s = {0};
        for (int i = 0; i < 4; i++) {
            const char *word = i == 3 ? "the\\n" : words[i] + 1;
            if (form) pha__str_printf(&s, "{\"context\":\"%s\",\"target\":\"%s%s\"}\n", contexts[i],
                                      i == 1 || i == 2 ? " " : "", word);
            else pha__str_printf(&s, "{\"text\":\"%s%s%s\"}\n", contexts[i], *contexts[i] ? " " : "", word);
        }
        put(task_path, s.data);
        pha__str_free(&s);
        o.scores = scores_path, o.context = CONTEXT;
        OK(pha_task(&o, &r));
        assert_int_equal(r.form, form ? PHA_TASK_TARGET : PHA_TASK_TEXT);
        sum = 0;
        double hits = 0;
        for (int i = 0; i < 4; i++) {
            answer want = by_hand(m, contexts[i], words[i]);
            json_t *line = scores_line(i);
            assert_true(fabs(number_at(line, "ll", 0) - want.ll) <= 1e-5 * fabs(want.ll));
            json_decref(line);
            sum += want.ll, hits += want.greedy;
        }
        assert_true(fabs(r.ppl - exp(-sum / 4)) <= 1e-4 * r.ppl && r.ppl_error > 0);
        assert_true(fabs(r.accuracy - hits / 4) < 1e-12 && isnan(r.accuracy_norm));
    }
    pha_model_close(m);
}

/* Where the model finds a word of one token likeliest, it is a hit; with one more letter it is none. Looked for in a
 * long text, whose beginnings are the contexts. */
static int greedy_of(const char *folder, const pha_model *m, const char *text)
{
    size_t n, k, size, used;
    int hits = 0;
    int32_t *ids = encode(text, strlen(text), &n);
    float *logits = tiny_logits(m, ids, (int)n);
    for (size_t i = 1; i < n && hits < 3; i++) {
        char context[3000] = "", word[40] = "", both[3100];
        int best = 0;
        for (int v = 0; v < V; v++) best = logits[(i - 1) * V + v] > logits[(i - 1) * V + best] ? v : best;
        const char *bytes = (const char *)pha__tokenizer_bytes(tokenizer, best, &size);
        for (size_t t = used = 0; t < i; t++, used += k) {
            const void *token = pha__tokenizer_bytes(tokenizer, ids[t], &k);
            memcpy(context + used, token, k);
        }
        if (size < 2 || size > 20 || bytes[0] != ' ' || context[used - 1] == ' ') continue;
        memcpy(word, bytes, size);
        if (strspn(word + 1, "abcdefghijklmnopqrstuvwxyz") != size - 1) continue;
        snprintf(both, sizeof both, "%s%s", context, word);
        int32_t *again = encode(both, strlen(both), &k);
        bool same = k == i + 1 && memcmp(again, ids, i * sizeof *ids) == 0 && again[i] == best;
        free(again);
        if (!same) continue;
        pha_task_options o = defaults();
        pha_task_result r;
        o.model = folder;
        for (int wrong = 0; wrong < 2; wrong++) {
            snprintf(both, sizeof both, "{\"context\":\"%s\",\"target\":\"%s%s\"}\n", context, word, wrong ? "q" : "");
            put(task_path, both);
            OK(pha_task(&o, &r));
            assert_true(r.accuracy == !wrong && isnan(r.accuracy_error));
        }
        hits++;
    }
    pha__free(logits);
    free(ids);
    return hits;
}

static void greedy(void **state)
{
    (void)state;
    int hits = 0;
    char text[1500];
    uint64_t random = 5;
    for (size_t i = 0; i < sizeof text - 1; i++) text[i] = "abcdefghijklmnopqrstuvwxyz  "[lab_random(&random) % 28];
    text[sizeof text - 1] = 0;
    for (int k = 0; k < lab_n_variants && hits == 0; k++) {
        char folder[400], name[20];
        snprintf(name, sizeof name, "greedy%d", k);
        snprintf(folder, sizeof folder, "%s/%s", root, name);
        pha_model *m = tiny_model(name, &lab_variants[k], V, tokenizer_folder);
        hits += greedy_of(folder, m, text);
        pha_model_close(m);
    }
    assert_true(hits > 0);
}

#define GOOD "{\"ctx\":\"a\",\"choices\":[\"b\",\"c\"],\"label\":1}\n"

static void refusals(void **state)
{
    (void)state;
    char text[400];
    pha_task_options o = defaults();
    pha_task_result r;
    put(task_path, GOOD);
    o.file = NULL;
    FAILS(USAGE, "a file", pha_task(&o, &r));
    o = defaults(), o.context = -1;
    FAILS(USAGE, "context", pha_task(&o, &r));
    o = defaults(), o.max_items = -1;
    FAILS(USAGE, "max_items", pha_task(&o, &r));
    o = defaults(), o.file = "/absent/absent";
    FAILS(IO, "absent", pha_task(&o, &r));
    snprintf(text, sizeof text, "%s/silent", root);
    pha_model_close(tiny_model("silent", lab_find("default"), V, NULL));
    o = defaults(), o.model = text;
    FAILS(BAD_INPUT, "has no tokenizer", pha_task(&o, &r));
    pha_request_stop();
    o = defaults(), o.scores = scores_path;
    unlink(scores_path);
    FAILS(STOPPED, "0 of 1 items", pha_task(&o, &r));
    pha_clear_stop();
    assert_false(pha__exists(scores_path));
    put(task_path, GOOD "{\"ctx\":\"a\",\"choices\":[\"b\",\"xyzzy xyzzy xyzzy xyzzy\"],\"label\":0}\n");
    o = defaults(), o.context = 8;
    FAILS(BAD_INPUT, "task.jsonl:2: a continuation of", pha_task(&o, &r));
    OK(pha_task(&(pha_task_options){.model = model_folder, .file = task_path}, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(choices), cmocka_unit_test(prefix_once), cmocka_unit_test(last_words),
        cmocka_unit_test(greedy),  cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
