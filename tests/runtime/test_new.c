/* test_new.c -- own text in one call: what is planned, what comes of it, and all that comes between
 *
 * long file: each part is a few lines, and they share the text, the ladder and the options */
#include <math.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/json.h"
#include "io/tokens.h"
#include "runtime/new/new.h"
#include "support/root.h"

static char text[300], other[300];

static void write_text(const char *path, int sentences, unsigned x)
{
    static const char *const who[] = {"the cat", "a dog", "my old friend", "the river"};
    static const char *const does[] = {"sees", "follows", "forgets", "carries"};
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < sentences; i++) {
        x = x * 1664525u + 1013904223u;
        fprintf(f, "%s %s %s.\n", who[x >> 8 & 3], does[x >> 12 & 3], who[x >> 16 & 3]);
    }
    fclose(f);
}

static void quiet(void *context, int level, const char *message) { (void)context, (void)level, (void)message; }

static int set_up(void **state)
{
    root_setup(state);
    snprintf(text, sizeof text, "%s", in_root("text.txt"));
    snprintf(other, sizeof other, "%s", in_root("other.txt"));
    write_text(text, 1200, 1);
    write_text(other, 1200, 2);
    pha_set_log(quiet, NULL);
    return 0;
}

static int tear_down(void **state)
{
    pha_set_log(NULL, NULL);
    return root_teardown(state);
}

static const char *inputs[1] = {text};

static pha_new_options options(const char *out)
{
    return (pha_new_options){.inputs = inputs, .n_inputs = 1, .out = out, .minutes = 0.1, .most_steps = 6, .seed = 3,
                             .threads = 2};
}

/* ---- counts ---------------------------------------------------------------------------------------------- */

static pha__tokens *tokens_of(const char *name, const int32_t *ids, size_t n, int32_t V)
{
    pha__tokens_writer *w;
    pha__tokens *t;
    uint64_t count;
    OK(pha__mkdirs(in_root("ids")));
    OK(pha__tokens_writer_open(&w, in_root("ids"), name, V, 1));
    OK(pha__tokens_writer_add(w, ids, n));
    OK(pha__tokens_writer_finish(w, &count));
    OK(pha__tokens_open(&t, in_root("ids"), name, false));
    return t;
}

/* The same by its definition: w[0..2] before, looked for in all of the training text. `cut`: its stretches. */
static double by_hand(const int32_t *ids, int n, const int32_t *w, int order, int V)
{
    if (order < 0) return 1.0 / V;
    int context = 0, here = 0, kinds = 0;
    bool *seen = calloc((size_t)V, sizeof *seen);
    for (int i = order; i < n; i++) {
        if (order && memcmp(ids + i - order, w + 2 - order, (size_t)order * sizeof *ids) != 0) continue;
        context++, here += ids[i] == w[2], kinds += !seen[ids[i]];
        seen[ids[i]] = true;
    }
    free(seen);
    double below = by_hand(ids, n, w, order - 1, V);
    if (context == 0) return below;
    return fmax(here - 0.75, 0) / context + 0.75 * kinds / context * below;
}

/* 64 training tokens are 64 stretches of one, so that no context is counted; 40,000 are read in pieces. */
static void test_counts(void **state)
{
    (void)state;
    enum { V = 7, N = 6400, M = 90 };
    static int32_t train[N], held[M];
    unsigned x = 5;
    for (int i = 0; i < N; i++) x = x * 1664525u + 1013904223u, train[i] = (int32_t)((x >> 20) % 3 + (x >> 28) % 5);
    for (int i = 0; i < M; i++) x = x * 1664525u + 1013904223u, held[i] = (int32_t)((x >> 20) % 3 + (x >> 28) % 5);
    pha__tokens *a = tokens_of("train", train, N, V), *b = tokens_of("valid", held, M, V);
    pha__ngram m;
    OK(pha__ngram_measure(&m, a, b, 0));
    assert_int_equal(m.scored, M);
    assert_int_equal(m.trained[2], N);
    assert_int_equal(m.trained[0], N / 16);
    double loss = 0;
    for (int i = 0; i < M; i++) {
        int order = i < 2 ? i : 2;
        int32_t w[3] = {i > 1 ? held[i - 2] : 0, i > 0 ? held[i - 1] : 0, held[i]};
        /* the stretches of the whole text lie side by side, but a count does not go over their edges */
        loss -= log(by_hand(train, N, w, order, V)) / M;
    }
    assert_true(fabs(m.loss[2] / loss - 1) < 0.01); /* 63 edges of 6400 places */
    assert_true(m.order[0] >= m.order[1] - 0.05 && m.order[0] < log(V));
    assert_true(m.loss[0] > m.loss[2]);
    assert_true(fabs(pha__ngram_at(&m, N) - m.loss[2]) < 1e-12 && fabs(pha__ngram_at(&m, N / 4) - m.loss[1]) < 1e-12);
    pha__tokens_close(a);
    pha__tokens_close(b);
}

static void test_nothing_left_to_learn(void **state)
{
    (void)state;
    enum { N = 4096 };
    static int32_t ids[N];
    for (int i = 0; i < N; i++) ids[i] = i % 5;
    pha__tokens *a = tokens_of("cycle", ids, N, 300), *b = tokens_of("cycled", ids, 500, 300);
    pha__ngram m;
    OK(pha__ngram_measure(&m, a, b, 400));
    assert_int_equal(m.scored, 400);
    assert_true(m.order[2] < 0.02 && fabs(m.order[0] - log(5)) < 0.02);
    pha__tokens_close(a);
    pha__tokens_close(b);
}

static double total(const pha__tokens *train, const pha__tokens *held, uint64_t scored)
{
    pha__ngram m;
    OK(pha__ngram_measure(&m, train, held, scored));
    return m.order[2] * (double)scored;
}

/* Text is read in pieces of 4096 tokens; the first of a piece have those before it for their context, too. */
static void test_between_pieces(void **state)
{
    (void)state;
    enum { N = 9000 };
    static int32_t ids[N];
    for (int i = 0; i < N; i++) ids[i] = i % 5;
    pha__tokens *a = tokens_of("pieces", ids, N, 300), *b = tokens_of("held", ids, N, 300);
    double first = total(a, b, 200), second = total(a, b, 400), each = (second - first) / 200;
    assert_true(fabs(total(a, b, 9000) - second - 8600 * each) < 0.5); /* an order less costs ln 5 */
    pha__tokens_close(a);
    pha__tokens_close(b);
}

/* ---- the plan -------------------------------------------------------------------------------------------- */

static pha__ladder ladder(void)
{
    pha__ladder l = {.n = pha__rungs(), .memory_free = 4e9};
    for (int i = 0; i < l.n; i++) {
        pha__config c;
        OK(pha__rung_config(&c, i, 2048));
        double d = c.d_model, body = 13 * d * d * c.n_layer;
        l.rung[i].d_model = c.d_model, l.rung[i].n_layer = c.n_layer;
        l.rung[i].body = (uint64_t)body, l.rung[i].parameters = (uint64_t)(body + 2048 * d);
        l.rung[i].flops = 6 * (body + 2048 * d), l.rung[i].bytes = (uint64_t)(4e7 + 20 * (body + 2048 * d));
    }
    l.rung[2].seconds = l.rung[2].flops / 20e9;
    return l;
}

static const pha__ngram counts = {.trained = {65536, 262144, 1048576}, .scored = 50000, .loss = {5.2, 4.7, 4.25}};

static pha_plan chosen(const pha__ladder *l, uint64_t tokens, double seconds, int64_t most_steps)
{
    pha_plan p = {.train_tokens = tokens, .held_tokens = 60000, .scored_tokens = 50000, .vocab_size = 2048,
                  .bytes_per_token = 3.1, .prepare_seconds = 2};
    assert_true(pha__choose(&p, l, &counts, seconds, most_steps) >= 0);
    return p;
}

static double trained(const pha_plan *p) { return (double)p->steps * p->batch * p->context; }

/* More time is never expected to be worse, and never planned beyond; a text is not read without end. */
static void test_more_time(void **state)
{
    (void)state;
    pha__ladder l = ladder();
    for (uint64_t tokens = 20000; tokens < 100000000; tokens *= 12) {
        double loss = INFINITY;
        uint64_t parameters = 0;
        for (double seconds = 5; seconds < 1e6; seconds *= 1.7) {
            pha_plan p = chosen(&l, tokens, seconds, 0);
            assert_true(p.loss <= loss * 1.001);
            loss = fmin(loss, p.loss);
            assert_true(p.seconds <= seconds + p.prepare_seconds + 1e-9 || p.steps == 1);
            assert_true(!strcmp(p.bound, "text") || p.steps < 50 || p.seconds > 0.8 * seconds);
            assert_true(p.passes <= 8.0001 && fabs(p.passes * (double)tokens / trained(&p) - 1) < 1e-9);
            assert_true((p.dropout > 0) == (p.passes > 4 && p.parameters > p.train_tokens));
            assert_true(p.warmup < p.steps && p.batch >= 1 && p.context >= 16 && p.context <= 256);
            assert_true(p.d_model == 32 || (double)p.parameters <= trained(&p));
            parameters = p.parameters > parameters ? p.parameters : parameters;
        }
        assert_true(parameters > 60000);
    }
}

static void test_memory_and_steps(void **state)
{
    (void)state;
    pha__ladder l = ladder();
    pha_plan rich = chosen(&l, 50000000, 100000, 0);
    l.memory_free = (double)rich.memory_bytes; /* not with a margin */
    pha_plan poor = chosen(&l, 50000000, 100000, 0);
    assert_true(poor.memory_bytes <= 0.8 * l.memory_free && poor.d_model < rich.d_model);
    l.memory_free = 100;
    pha_plan p = {.train_tokens = 1000, .scored_tokens = 100, .held_tokens = 100, .bytes_per_token = 3};
    assert_int_equal(pha__choose(&p, &l, &counts, 100, 0), -1);
    l = ladder();
    p = chosen(&l, 1000000, 600, 17);
    assert_true(p.steps <= 17 && p.warmup < p.steps);
    assert_string_equal(p.bound, "steps");
    assert_string_equal(chosen(&l, 100000000, 600, 0).bound, "time");
    assert_string_equal(chosen(&l, 20000, 600, 0).bound, "text");
}

/* A model twice as slow as it was thought to be is given less to do. */
static void test_speed_decides(void **state)
{
    (void)state;
    pha__ladder l = ladder();
    pha_plan fast = chosen(&l, 20000000, 600, 0);
    for (int i = 0; i < l.n; i++) l.rung[i].seconds *= 2;
    pha_plan slow = chosen(&l, 20000000, 600, 0);
    assert_true(trained(&slow) * (double)slow.parameters < trained(&fast) * (double)fast.parameters);
    assert_true(slow.loss > fast.loss);
}

static void test_law(void **state)
{
    (void)state;
    pha__law_point at = {2e5, 1e6, 1e6, 4.2, 4.2};
    double loss = pha__law(&at);
    assert_true(loss > 3.4 && loss < 5);
    at.body *= 2;
    assert_true(pha__law(&at) < loss);
    at.body /= 2, at.tokens *= 2;
    assert_true(pha__law(&at) < loss); /* read twice */
    loss = pha__law(&at);
    at.counts *= 1.1;
    assert_true(pha__law(&at) > loss);
}

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(pha__new_vocabulary(1, 10), 512);
    assert_int_equal(pha__new_vocabulary(1100000, 10), 1024);
    assert_int_equal(pha__new_vocabulary(11000000, 10), 4096);
    assert_int_equal(pha__new_vocabulary(11000000, 2), 2048); /* it will not all be read */
    assert_int_equal(pha__new_vocabulary(1ull << 40, 1e5), 16384);
    assert_true(pha__new_held(5000) == 0.1 && pha__new_held(1ull << 40) == 0.002);
    for (int i = 0; i < pha__rungs(); i++) {
        pha__config c;
        OK(pha__rung_config(&c, i, 512));
        assert_true(c.n_head % c.n_kv_head == 0 && c.d_model % (2 * c.n_head) == 0);
    }
}

/* ---- the work -------------------------------------------------------------------------------------------- */

static bool has(const char *folder, const char *name)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return pha__exists(path);
}

static pha_plan seen;
static int plans;
static void see_plan(void *user, const pha_plan *plan, bool again)
{
    assert_true(user == NULL && again == (plans > 0));
    seen = *plan, plans++;
}

static void test_whole(void **state)
{
    (void)state;
    char out[400];
    snprintf(out, sizeof out, "%s", in_root("runs/whole")); /* its parent is made */
    pha_new_options o = options(out);
    pha_new_result r, again;
    o.planned = see_plan, plans = 0;
    OK(pha_new(&o, &r));
    assert_true(plans == 1 && !memcmp(&seen, &r.plan, sizeof seen));
    assert_true(!r.complete_before && !r.resumed && r.plan.steps == 6 && r.plan.text_bytes > 20000);
    assert_true(r.loss > 0 && fabs(r.token_ppl / exp(r.loss) - 1) < 1e-9);
    assert_true(r.bits_per_byte > 0 && r.accuracy >= 0 && r.seconds > 0);
    static const char *const parts[] = {"model/model.safetensors", "model/tokenizer.json", "report.html", "plan.json",
                                        "data/data.json", "run.json", "log.jsonl", "config.json"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!has(out, parts[i])) fail_msg("%s is missing", parts[i]);
    /* what is said of it is what anybody finds */
    char data[500], model[500];
    snprintf(data, sizeof data, "%s/data", out);
    snprintf(model, sizeof model, "%s/model", out);
    pha_eval_result e;
    OK(pha_eval(&(pha_eval_options){.model = model, .data = data, .context = r.plan.context, .threads = 1}, &e));
    assert_true(r.plan.scored_tokens == r.plan.held_tokens && fabs(e.token_ppl / r.token_ppl - 1) < 1e-12);
    assert_true(fabs(e.bits_per_byte / r.bits_per_byte - 1) < 1e-12);
    OK(pha_new(&o, &again));
    assert_true(again.complete_before && !again.resumed && again.loss == r.loss && again.seconds == r.seconds);
    assert_true(plans == 1 && !memcmp(&again.plan, &r.plan, sizeof again.plan));
}

static void test_plan_alone(void **state)
{
    (void)state;
    char tmp[400];
    snprintf(tmp, sizeof tmp, "%s", in_root("tmp"));
    OK(pha__mkdirs(tmp));
    const char *before = getenv("TMPDIR");
    char *old = before ? strdup(before) : NULL;
    setenv("TMPDIR", tmp, 1);
    pha_new_options o = options(NULL);
    pha_plan p;
    o.most_steps = 0;
    OK(pha_new_plan(&o, &p));
    if (old) setenv("TMPDIR", old, 1);
    else unsetenv("TMPDIR");
    free(old);
    char **names;
    size_t n;
    OK(pha__list_dir(&names, &n, tmp));
    pha__free_list(names, n);
    assert_int_equal(n, 0); /* nothing stays */
    assert_true(p.steps > 1 && p.loss > 0 && p.tokens_per_second > 0 && p.seconds <= 7 && p.prepare_seconds > 0);
    assert_true(p.order_loss[0] > p.order_loss[1]);
    assert_in_range(p.vocab_size, 257, 512);
    assert_true(p.train_tokens > 1000 && p.held_tokens > 100 && p.disk_bytes > p.parameters * 12);
}

/* ---- stopping -------------------------------------------------------------------------------------------- */

typedef struct stopper {
    const char *phase;
    int after;
} stopper;

static void stop_in(void *user, const pha_progress *p)
{
    stopper *s = user;
    if (p->phase && !strcmp(p->phase, s->phase) && s->after-- == 0) pha_request_stop();
}

static void stop_planned(void *user, const pha_plan *plan, bool again)
{
    (void)plan, (void)again;
    stopper *s = user;
    if (!strcmp(s->phase, "planned")) pha_request_stop();
}

/* The same call goes on by the same plan, wherever it was stopped. */
static void test_stops(void **state)
{
    (void)state;
    static const stopper at[] = {{"reading", 0}, {"encoding", 0}, {"planned", 0}, {"train", 2}, {"eval", 0}};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        char out[400], name[40];
        snprintf(name, sizeof name, "stopped-%zu", i);
        snprintf(out, sizeof out, "%s", in_root(name));
        stopper s = at[i];
        pha_new_options o = options(out);
        pha_new_result r;
        pha__new_file first, last;
        bool there;
        o.progress = stop_in, o.planned = stop_planned, o.user = &s;
        pha_status status = pha_new(&o, &r);
        if (status != PHA_STOPPED) fail_msg("stopped in %s: status %d", at[i].phase, status);
        pha_clear_stop();
        assert_false(has(out, "report.html"));
        OK(pha__new_load(&first, out, &there));
        assert_int_equal(there, i >= 2);
        o.progress = NULL, o.planned = NULL;
        OK(pha_new(&o, &r));
        assert_true(r.resumed == there && r.plan.steps == 6 && has(out, "report.html"));
        if (!there) continue;
        OK(pha__new_load(&last, out, &there));
        assert_memory_equal(&first.plan, &last.plan, sizeof first.plan);
        assert_true(last.complete && first.seconds > 0 && last.seconds > first.seconds);
    }
}

/* A process that is killed leaves as much. */
static void test_killed(void **state)
{
    (void)state;
    char out[400];
    snprintf(out, sizeof out, "%s", in_root("killed"));
    pha_new_options o = options(out);
    pha_new_result r;
    for (int wait = 20; wait < 4000; wait = wait * 2) { /* milliseconds */
        pid_t child = fork();
        if (child == 0) {
            pha_status done = pha_new(&o, NULL);
            if (done) fprintf(stderr, "after a kill: %s\n", pha_errmsg());
            _exit(done);
        }
        usleep((useconds_t)wait * 1000);
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        if (WIFEXITED(status)) assert_int_equal(WEXITSTATUS(status), 0);
    }
    OK(pha_new(&o, &r));
    assert_true(r.plan.steps == 6 && has(out, "report.html"));
}

/* ---- what is refused ------------------------------------------------------------------------------------- */

static void test_bad_options(void **state)
{
    (void)state;
    char out[400];
    snprintf(out, sizeof out, "%s", in_root("refused"));
    pha_new_options o = options(out);
    o.minutes = 0.01;
    FAILS(USAGE, "minutes = 0.01 is not between 0.05 and 100000", pha_new(&o, NULL));
    o.minutes = 1e6;
    FAILS(USAGE, "minutes", pha_new(&o, NULL));
    o.minutes = NAN;
    FAILS(USAGE, "minutes", pha_new(&o, NULL));
    o = options(out), o.most_steps = -1;
    FAILS(USAGE, "most_steps", pha_new(&o, NULL));
    o = options(out), o.threads = -1;
    FAILS(USAGE, "threads", pha_new(&o, NULL));
    o = options(out), o.n_inputs = 0;
    FAILS(USAGE, "there is no text", pha_new(&o, NULL));
    const char *nowhere[] = {"nowhere.txt"}, *input[] = {"-"}, *device[] = {"/dev/null"};
    o = options(out), o.inputs = nowhere;
    FAILS(IO, "nowhere.txt", pha_new(&o, NULL));
    o.inputs = input;
    FAILS(USAGE, "name files, not -", pha_new(&o, NULL));
    o.inputs = device;
    FAILS(USAGE, "/dev/null: is neither a file nor a folder", pha_new(&o, NULL));
    o = options(NULL);
    FAILS(USAGE, "a folder", pha_new(&o, NULL));
    assert_false(pha__exists(out));
}

static void test_bad_text(void **state)
{
    (void)state;
    char out[400], folder[400], small[400], big[400];
    snprintf(out, sizeof out, "%s", in_root("refused"));
    snprintf(folder, sizeof folder, "%s", in_root("empty"));
    snprintf(small, sizeof small, "%s", in_root("small.txt"));
    snprintf(big, sizeof big, "%s", in_root("big.txt"));
    OK(pha__mkdirs(folder));
    write_text(small, 10, 1);
    const char *of[] = {folder};
    pha_new_options o = options(out);
    o.inputs = of;
    FAILS(BAD_INPUT, "holds no file", pha_new(&o, NULL));
    of[0] = small;
    FAILS(BAD_INPUT, "too little to learn from", pha_new(&o, NULL));
    FILE *f = fopen(big, "w");
    assert_true(f && !ftruncate(fileno(f), 2000000000)); /* no disk is used */
    fclose(f);
    of[0] = big;
    FAILS(USAGE, "2.0 GB of text may take 7 minutes to read alone; give --minutes 14", pha_new(&o, NULL));
    remove(big);
    of[0] = root;
    FAILS(USAGE, "would learn from its own files", pha_new(&o, NULL));
    assert_false(pha__exists(out));
}

static void test_other_folder(void **state)
{
    (void)state;
    char out[400], foreign[400];
    snprintf(out, sizeof out, "%s", in_root("taken"));
    snprintf(foreign, sizeof foreign, "%s", in_root("foreign"));
    pha_new_options o = options(out);
    pha_new_result r;
    OK(pha_new(&o, &r));
    const char *of[] = {other};
    o.inputs = of;
    FAILS(USAGE, "was made of another text", pha_new(&o, NULL));
    o = options(out), o.minutes = 0.2;
    FAILS(USAGE, "was planned for 0.1 minutes, not 0.2", pha_new(&o, NULL));
    o = options(out), o.seed = 4;
    FAILS(USAGE, "another seed", pha_new(&o, NULL));
    o = options(out), o.most_steps = 7;
    FAILS(USAGE, "another bound on its steps", pha_new(&o, NULL));
    OK(pha__mkdirs(foreign));
    char mine[500];
    snprintf(mine, sizeof mine, "%s/mine.txt", foreign);
    OK(pha__write_file(mine, "mine", 4));
    o = options(foreign);
    FAILS(USAGE, "holds mine.txt, which this command did not make", pha_new(&o, NULL));
    expect_file(mine, "mine", 4);
    o = options(mine);
    FAILS(IO, "mine.txt", pha_new(&o, NULL));
    /* the same text elsewhere, by another name */
    char moved[400];
    snprintf(moved, sizeof moved, "%s", in_root("moved.md"));
    write_text(moved, 1200, 1);
    of[0] = moved;
    o = options(out), o.inputs = of;
    OK(pha_new(&o, &r));
    assert_true(r.complete_before);
}

static void test_plan_file(void **state)
{
    (void)state;
    char out[400], path[500], *bytes;
    size_t size;
    snprintf(out, sizeof out, "%s", in_root("file"));
    snprintf(path, sizeof path, "%s/plan.json", out);
    OK(pha__mkdirs(out));
    pha__ladder l = ladder();
    pha__new_file f = {.plan = chosen(&l, 1000000, 600, 0), .minutes = 10, .seed = UINT64_MAX, .seconds = 17.25}, g;
    f.text = (pha__look){.files = 3, .bytes = 12345, .identity = 0xfedcba9876543210};
    f.plan.text_bytes = 12345, f.plan.order_loss[1] = 4.5;
    bool there;
    OK(pha__new_load(&g, out, &there));
    assert_false(there);
    OK(pha__new_save(&f, out));
    OK(pha__new_load(&g, out, &there));
    assert_true(there && !memcmp(&f, &g, sizeof f));
    f.complete = true, f.loss = 4.1, f.token_ppl = 60, f.bits_per_byte = 1.7, f.accuracy = 0.3;
    OK(pha__new_save(&f, out));
    OK(pha__new_load(&g, out, &there));
    assert_true(!memcmp(&f, &g, sizeof f));
    /* a changed digit is told, and nothing is done with such a file */
    OK(pha__read_file(&bytes, &size, path, 1 << 20));
    char *at = strstr(bytes, "\"steps\": ");
    assert_non_null(at);
    at[9] = at[9] == '1' ? '2' : '1';
    OK(pha__write_file(path, bytes, size));
    pha__free(bytes);
    pha_new_options o = options(out);
    FAILS(BAD_INPUT, "plan.json", pha_new(&o, NULL));
    assert_false(has(out, "data"));
}

static void test_room(void **state)
{
    (void)state;
    OK(pha__need_room(in_root("not/there/yet"), 1));
    FAILS(IO, "MB free, and this takes up to 1000000000000 MB", pha__need_room(in_root("not/there/yet"), 1e18));
    FAILS(IO, "choose another place", pha__need_room(root, 1e18));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),           cmocka_unit_test(test_nothing_left_to_learn),
        cmocka_unit_test(test_between_pieces),
        cmocka_unit_test(test_more_time),        cmocka_unit_test(test_memory_and_steps),
        cmocka_unit_test(test_speed_decides),    cmocka_unit_test(test_law),
        cmocka_unit_test(test_sizes),            cmocka_unit_test(test_whole),
        cmocka_unit_test(test_plan_alone),       cmocka_unit_test(test_stops),
        cmocka_unit_test(test_killed),           cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_bad_text),         cmocka_unit_test(test_other_folder),
        cmocka_unit_test(test_plan_file),     cmocka_unit_test(test_room),
    };
    const char *filter = getenv("PHA_TEST");
    if (filter) cmocka_set_test_filter(filter);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
