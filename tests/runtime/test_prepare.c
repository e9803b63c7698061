/* From text to a data folder: counts, splits, joining, refusals, and a kill at any moment */
#include "runtime/data/prepare.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/str.h"
#include "io/tokenizer/tokenizer.h"
#include "support/allocations.h"
#include "support/root.h"

static char out[300], input[300];

static void quiet(void *context, pha__log_level level, const char *text) { (void)context, (void)level, (void)text; }

static pha__prepare_options defaults(void)
{
    static const char *in[] = {input};
    pha__prepare_options o;
    pha__prepare_defaults(&o);
    o.inputs = in, o.n_inputs = 1, o.out = out, o.tokenizer = "bytes", o.threads = 2;
    return o;
}

/* n documents in JSONL; document i is "document i" and some text. */
static void write_documents(int n)
{
    pha__str s = {0};
    for (int i = 0; i < n; i++)
        pha__str_printf(&s, "{\"text\":\"document %d\\nhas a line or two%.*s\"}\n", i, i % 9, " more and");
    OK(pha__write_file(input, s.data, s.size));
    pha__str_free(&s);
}

static char *read_split(const char *split, size_t *size)
{
    pha__tokens *t;
    OK(pha__tokens_open(&t, out, split, true));
    size_t n = (size_t)pha__tokens_count(t);
    int32_t *ids = pha__alloc(n + 1, sizeof *ids);
    char *text = pha__alloc(n + 1, 1);
    OK(pha__tokens_read(t, 0, n, ids));
    for (size_t i = 0; i < n; i++) text[i] = ids[i] == 256 ? '|' : (char)ids[i];
    text[n] = 0;
    *size = n;
    pha__free(ids);
    pha__tokens_close(t);
    return text;
}

static void by_document(void **state)
{
    (void)state;
    pha__prepare_options o = defaults();
    pha__prepare_result r, again;
    write_documents(2000);
    o.valid_fraction = 0.1, o.test_fraction = 0.05, o.seed = 5;
    OK(pha__prepare(&o, &r));
    assert_true(!r.by_position && r.data.n == 3 && strcmp(r.data.joined, "eot") == 0);
    const pha__split_info *train = &r.data.split[0].info, *valid = &r.data.split[1].info, *test = &r.data.split[2].info;
    assert_int_equal(train->documents + valid->documents + test->documents, 2000);
    assert_true(valid->documents > 150 && valid->documents < 250 && test->documents > 60 && test->documents < 140);
    char seen[2000] = {0};
    for (int i = 0; i < 3; i++) { /* whole documents, each once, in order; all counts as the text says */
        size_t n;
        int last = -1, number;
        char *text = read_split(r.data.split[i].name, &n), *at = text;
        const pha__split_info *info = &r.data.split[i].info;
        uint64_t documents = 0, lines = 0, words = 0;
        assert_int_equal(n, info->tokens);
        for (size_t k = 0; k < n; k++) {
            lines += text[k] == '\n';
            words += !strchr(" \n|", text[k]) && (k == 0 || strchr(" \n|", text[k - 1]));
        }
        for (; *at; at = strchr(at, '|') + 1, documents++) {
            assert_int_equal(sscanf(at, "document %d\nhas", &number), 1);
            assert_true(number > last && !seen[number]++);
            last = number;
        }
        assert_true(documents == info->documents && lines == info->lines && words + lines == info->words);
        assert_int_equal(info->tokens, info->bytes + info->documents);
        pha__free(text);
    }
    size_t n, m;
    char *first = read_split("train", &n);
    o.threads = 1; /* the same on any number of threads */
    OK(pha__prepare(&o, &again));
    char *second = read_split("train", &m);
    assert_true(n == m && memcmp(first, second, n) == 0 && memcmp(&r.data, &again.data, sizeof r.data) == 0);
    pha__free(first);
    pha__free(second);
    o.seed = 6;
    OK(pha__prepare(&o, &again));
    assert_int_not_equal(again.data.split[0].info.bytes, train->bytes);
}

/* One document: the splits are its head and tail, cut at line ends; together they are the text. */
static void by_position(void **state)
{
    static const double shares[] = {0.7, 0.1, 0.2};
    (void)state;
    char text_file[300];
    snprintf(text_file, sizeof text_file, "%s/one.txt", root);
    pha__str s = {0};
    for (int i = 0; i < 200000; i++) pha__str_printf(&s, "line %d\n", i);
    OK(pha__write_file(text_file, s.data, s.size));
    pha__prepare_options o = defaults();
    o.inputs = (const char *[]){text_file};
    pha__prepare_result r;
    o.valid_fraction = 0.1, o.test_fraction = 0.2, o.join = PHA__JOIN_NONE;
    OK(pha__prepare(&o, &r));
    assert_true(r.by_position);
    size_t n = 0, size;
    for (int i = 0; i < 3; i++) {
        char *text = read_split(r.data.split[i].name, &size);
        assert_true(n + size <= s.size);
        assert_memory_equal(text, s.data + n, size);
        assert_int_equal(text[size - 1], '\n');
        assert_int_equal(r.data.split[i].info.documents, 1);
        assert_int_equal(r.data.split[i].info.words, 3 * r.data.split[i].info.lines);
        double share = (double)size / (double)s.size;
        assert_true(share > shares[i] - 1e-4 && share < shares[i] + 1e-4);
        n += size;
        pha__free(text);
    }
    assert_int_equal(n, s.size);
    assert_string_equal(r.data.joined, "none");
    s.size = 5; /* "line " */
    OK(pha__write_file(text_file, s.data, s.size));
    FAILS(BAD_INPUT, "too little text for a valid split", pha__prepare(&o, &r));
    OK(pha__write_file(text_file, "", 0));
    FAILS(BAD_INPUT, "no text for training", pha__prepare(&o, &r));
    pha__str_free(&s);
}

static void given_splits(void **state)
{
    (void)state;
    char valid[300];
    snprintf(valid, sizeof valid, "%s/valid.txt", root);
    OK(pha__write_file(valid, "the valid text\n", 15));
    write_documents(50);
    pha__prepare_options o = defaults();
    pha__prepare_result r;
    o.valid = (const char *[]){valid}, o.n_valid = 1, o.test_fraction = 0, o.join = PHA__JOIN_EOT;
    OK(pha__prepare(&o, &r));
    assert_int_equal(r.data.n, 2);
    assert_int_equal(r.data.split[0].info.documents, 50);
    size_t n;
    char *text = read_split("valid", &n);
    assert_string_equal(text, "the valid text\n|");
    pha__free(text);
    OK(pha__write_file(valid, "", 0));
    FAILS(BAD_INPUT, "no text in the input of the valid split", pha__prepare(&o, &r));
    o.test = o.valid, o.n_test = 1, o.n_valid = 0;
    FAILS(BAD_INPUT, "no text in the input of the test split", pha__prepare(&o, &r));
    unlink(valid);
}

static void vocabulary(void **state)
{
    (void)state;
    pha__prepare_options o = defaults();
    pha__prepare_result r;
    pha__tokenizer *t;
    char name[400];
    write_documents(500);
    o.tokenizer = "train", o.vocab_size = 300, o.valid_fraction = 0.1, o.test_fraction = 0;
    OK(pha__prepare(&o, &r));
    assert_int_equal(r.data.vocab_size, 300);
    snprintf(name, sizeof name, "%s/tokenizer.json", out);
    OK(pha__tokenizer_open(&t, name));
    assert_true(pha__tokenizer_hash(t) == r.data.tokenizer_hash && pha__tokenizer_size(t) == 300);
    assert_true(r.data.split[0].info.tokens * 2 < r.data.split[0].info.bytes);
    pha__tokenizer_close(t);
    o.train_bytes = 1000; /* a sample is enough to work */
    OK(pha__prepare(&o, &r));
}

static void refusals(void **state)
{
    (void)state;
    pha__prepare_options o = defaults();
    char other[300], file[400];
    write_documents(500);
    snprintf(other, sizeof other, "%s/other", root);
    snprintf(file, sizeof file, "%s/thesis.tex", other);
    OK(pha__mkdirs(other));
    OK(pha__write_file(file, "dear", 4));
    o.out = other;
    FAILS(USAGE, "holds 'thesis.tex'", pha__prepare(&o, NULL));
    assert_int_equal(pha__file_size(file), 4);
    unlink(file);
    snprintf(file, sizeof file, "%s/tokenizer.json", other); /* a model folder, say */
    OK(pha__write_file(file, "{}", 2));
    FAILS(USAGE, "not a data folder", pha__prepare(&o, NULL));
    unlink(file);
    OK(pha__prepare(&o, NULL)); /* an empty folder is fine */
    OK(pha__prepare(&o, NULL)); /* and so is our own */
    OK(pha__remove_tree(other));
    o.out = input;
    FAILS(USAGE, "in the way", pha__prepare(&o, NULL));
    o.out = "..";
    FAILS(USAGE, "a name of its own", pha__prepare(&o, NULL));
    o = defaults(), o.n_inputs = 0;
    FAILS(USAGE, "no input", pha__prepare(&o, NULL));
    o = defaults(), o.valid_fraction = 0.6, o.test_fraction = 0.5;
    FAILS(USAGE, "at most 1", pha__prepare(&o, NULL));
    o = defaults(), o.valid_fraction = -0.1;
    FAILS(USAGE, "at least 0", pha__prepare(&o, NULL));
    o = defaults(), o.text_key = "body";
    FAILS(BAD_INPUT, ":1: key 'body'", pha__prepare(&o, NULL));
}

static int calls_after;

static bool stop(void *context, const pha__prepare_progress *p)
{
    assert_true(p->done <= p->total);
    calls_after += calls_after > 0 || strcmp(p->phase, context) == 0;
    return calls_after > 0;
}

/* In every phase, at once, and without a trace. */
static void stopped(void **state)
{
    (void)state;
    char partial[400];
    pha__prepare_options o = defaults();
    snprintf(partial, sizeof partial, "%s/.out.partial", root);
    write_documents(500);
    OK(pha__remove_tree(out));
    o.progress = stop, o.tokenizer = "train", o.vocab_size = 300;
    const char *phases[] = {"reading", "counting pairs", "merging", "encoding"};
    for (int i = 0; i < 4; i++) {
        o.context = (void *)(uintptr_t)phases[i], calls_after = 0;
        FAILS(STOPPED, "stopped; nothing was written", pha__prepare(&o, NULL));
        assert_int_equal(calls_after, 1);
        assert_false(pha__exists(out) || pha__exists(partial));
    }
}

static void check_line(void *user, const pha_progress *p)
{
    if (p->seconds_left < 0) return;
    ++*(int *)user;
    assert_true(strstr(p->line, " left") != NULL && strstr(p->line, p->phase) == p->line);
}

/* The line for a person has the time that is left wherever there is a rate. */
static void progress(void **state)
{
    (void)state;
    char valid[300];
    const char *in[] = {input}, *in_valid[] = {valid};
    snprintf(valid, sizeof valid, "%s/valid.txt", root);
    OK(pha__write_file(valid, "the valid text\n", 15));
    write_documents(500);
    int told = 0;
    pha_prepare_result r;
    pha_prepare_options o = {.inputs = in, .n_inputs = 1, .valid = in_valid, .n_valid = 1, .test_fraction = -1,
                             .out = out, .vocab_size = 300, .threads = 1, .progress = check_line, .user = &told};
    OK(pha_prepare(&o, &r));
    assert_true(told >= 4);
    unlink(valid);
}

/* Runs prepare in a child with a fault at system call n; true when it got through. */
static bool child_prepares(const char *variable, int n, pha_status *status)
{
    int result;
    pid_t child = fork();
    if (child == 0) {
        char text[16];
        snprintf(text, sizeof text, "%d", n);
        setenv(variable, text, 1);
        pha__prepare_options o = defaults();
        o.threads = 1, o.seed = 1;
        _exit((int)pha__prepare(&o, NULL));
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    *status = WIFEXITED(result) ? (pha_status)WEXITSTATUS(result) : PHA_FAILED;
    return WIFEXITED(result) && WEXITSTATUS(result) == 0;
}

static void expect_whole(bool may_be_absent)
{
    if (may_be_absent && !pha__exists(out)) return;
    pha__data data;
    OK(pha__data_read(&data, out));
    for (size_t i = 0; i < data.n; i++) {
        pha__tokens *t;
        OK(pha__tokens_open(&t, out, data.split[i].name, true));
        pha__tokens_close(t);
    }
}

static int seconds_refused;

static bool second(void *context, const pha__prepare_progress *p)
{
    (void)p;
    pha__prepare_options o = *(const pha__prepare_options *)context;
    o.progress = NULL;
    FAILS(USAGE, "another pha prepare is writing it", pha__prepare(&o, NULL));
    seconds_refused++;
    return false;
}

/* Another one into the same folder is refused and does no harm. */
static void one_at_a_time(void **state)
{
    (void)state;
    char lock[400];
    snprintf(lock, sizeof lock, "%s/.out.lock", root);
    pha__prepare_options o = defaults(), other = o;
    char slashes[320];
    snprintf(slashes, sizeof slashes, "%s//", out);
    other.out = slashes;
    write_documents(500);
    OK(pha__remove_tree(out));
    o.progress = second, o.context = &other;
    for (int old = 0; old < 2; old++) {
        seconds_refused = 0;
        OK(pha__prepare(&o, NULL));
        assert_true(seconds_refused >= 2);
        expect_whole(false);
        assert_false(pha__exists(lock));
    }
    OK(pha__write_file(lock, "", 0)); /* of a process that was killed */
    OK(pha__prepare(&other, NULL));
    assert_false(pha__exists(lock));
}

/* kill -9, or a full disk, at every system call: nothing, the old folder or the new one, whole; and the next run works.
 */
static void faults(void **state)
{
    (void)state;
    const char *variables[] = {"PHA_FAULT_WRITE", "PHA_FAULT_ENOSPC"};
    write_documents(1000);
    for (int old = 0; old < 2; old++)
        for (int v = 0; v < 2; v++) {
            OK(pha__remove_tree(out));
            pha__prepare_options o = defaults();
            if (old) OK(pha__prepare(&o, NULL));
            pha_status status;
            int n = 1;
            while (!child_prepares(variables[v], n, &status)) {
                if (v == 1) assert_int_equal(status, PHA_IO);
                expect_whole(!old);
                assert_true(++n < 500);
                if (!old) OK(pha__remove_tree(out));
            }
            assert_true(n > 15);
            expect_whole(false);
        }
}

static pha_status prepare_anew(void *options)
{
    OK(pha__remove_tree(out));
    return pha__prepare(options, NULL);
}

static void nothing_there(void *options)
{
    char partial[400];
    (void)options;
    snprintf(partial, sizeof partial, "%s/.out.partial", root);
    assert_false(pha__exists(partial));
    assert_false(pha__exists(out));
}

/* Any allocation may fail: the right status, nothing leaked, nothing left behind. */
static void out_of_memory(void **state)
{
    (void)state;
    write_documents(300);
    for (int train = 0; train < 2; train++) {
        pha__prepare_options o = defaults();
        o.threads = 1, o.test_fraction = 0, o.valid_fraction = 0.1;
        if (train) o.tokenizer = "train", o.vocab_size = 270;
        assert_true(fail_allocations_then(prepare_anew, nothing_there, &o, 60) > 100);
        expect_whole(false);
    }
}

static void count_wikitext(const char *data, const char *file, const char *tokenizer, uint64_t tokens, uint64_t words,
                           uint64_t lines)
{
    char name[600], bpe[600];
    snprintf(name, sizeof name, "%s/wikitext/%s", data, file);
    snprintf(bpe, sizeof bpe, "%s/%s", data, tokenizer);
    pha__prepare_options o = defaults();
    pha__prepare_result r;
    o.inputs = (const char *[]){name}, o.tokenizer = bpe, o.valid_fraction = o.test_fraction = 0;
    OK(pha__prepare(&o, &r));
    const pha__split_info *info = &r.data.split[0].info;
    print_message("%s: %llu tokens, %llu words, %llu lines, %llu documents; %.2f s, encoding pass %.1f MB/s\n", file,
                  (unsigned long long)info->tokens, (unsigned long long)info->words, (unsigned long long)info->lines,
                  (unsigned long long)info->documents, r.seconds, (double)info->bytes * 1e-6 / r.encode_seconds);
    assert_true(info->tokens == tokens && info->words == words && info->lines == lines);
    assert_string_equal(r.data.joined, "none");
}

static void real_wikitext(void **state)
{
    (void)state;
    const char *data = getenv("PHA_DATA");
    if (!data || !*data) {
        print_message("skipped: PHA_DATA is not set\n");
        skip();
    }
    count_wikitext(data, "wiki2.valid.tokens", "gpt2-bpe", 258659, 217646, 3760);
    count_wikitext(data, "wiki103.valid.tokens", "gpt2-bpe", 249735, 217646, 3760);
    count_wikitext(data, "wiki2.train.tokens.zst", "gpt2-bpe", 2448382, 2088628, 36718);
}

static int setup(void **state)
{
    root_setup(state);
    snprintf(out, sizeof out, "%s/out", root);
    snprintf(input, sizeof input, "%s/in.jsonl", root);
    pha__log_to(quiet, NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_document), cmocka_unit_test(by_position),   cmocka_unit_test(given_splits),
        cmocka_unit_test(vocabulary),  cmocka_unit_test(refusals),      cmocka_unit_test(stopped),
        cmocka_unit_test(one_at_a_time), cmocka_unit_test(progress),
        cmocka_unit_test(faults),      cmocka_unit_test(out_of_memory), cmocka_unit_test(real_wikitext),
    };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
