/* Scores against a computation by hand from logits: protocol, parts by position, batches, modes, precision, limits */
#include "runtime/infer/eval.h"

#include "io/npy.h"
#include "runtime/stop.h"
#include "tiny.h"

enum { V = 257, COUNT = 230, T = 32, END = 256 };

static char data_folder[400], model_folder[400];
static int32_t ids[COUNT];

/* A split of random tokens whose tokenizer is that of "bytes"; 1,000 bytes and 150 words of made-up text. */
static void write_data(const char *folder, int32_t n, uint64_t hash)
{
    pha__tokens_writer *w;
    uint64_t written;
    pha__data d = {.vocab_size = V, .tokenizer_hash = hash, .joined = "eot", .end_token = END, .n = 1};
    strcpy(d.split[0].name, "valid");
    d.split[0].info = (pha__split_info){.tokens = (uint64_t)n, .bytes = 1000, .words = 150, .lines = 10, .documents = 3,
                                        .first_bytes = 7, .first_words = 2};
    OK(pha__mkdirs(folder));
    OK(pha__tokens_writer_open(&w, folder, "valid", V, hash));
    pha__tokens_writer_limit(w, 100);
    OK(pha__tokens_writer_add(w, ids, (size_t)n));
    OK(pha__tokens_writer_finish(w, &written));
    OK(pha__data_write(folder, &d));
}

static int setup(void **state)
{
    pha__tokenizer *t;
    root_setup(state);
    lab_tokens(ids, NULL, COUNT, V, 0, 11);
    ids[50] = ids[117] = ids[COUNT - 1] = END;
    OK(pha__tokenizer_open(&t, "bytes"));
    snprintf(data_folder, sizeof data_folder, "%s/data", root);
    write_data(data_folder, COUNT, pha__tokenizer_hash(t));
    pha__tokenizer_close(t);
    snprintf(model_folder, sizeof model_folder, "%s/model", root);
    pha_model_close(tiny_model("model", lab_find("default"), V, "bytes"));
    return 0;
}

static pha_eval_options defaults(void)
{
    return (pha_eval_options){.model = model_folder, .data = data_folder, .context = T, .threads = 2};
}

typedef struct sums {
    double nll, ends, hits, bucket[PHA_EVAL_BUCKETS]; /* ends: the part of nll that is of end tokens */
    uint64_t n, n_ends, tokens[PHA_EVAL_BUCKETS];
} sums;

/* Adds targets [from, from+n) of the text whose inputs begin at `begin`. */
static void by_hand(const pha_model *m, int begin, int from, int n, sums *s)
{
    int length = from + n - begin;
    float *logits = tiny_logits(m, ids + begin, length);
    for (int t = from - begin; t < length; t++) {
        const float *l = logits + (int64_t)t * V;
        double sum = 0;
        int best = 0, target = ids[begin + t + 1], part = 0;
        for (int i = 0; i < V; i++) sum += exp((double)l[i]), best = l[i] > l[best] ? i : best;
        while (part + 1 < PHA_EVAL_BUCKETS && t >= T * (part + 1) / PHA_EVAL_BUCKETS) part++;
        if (target == END) s->ends += log(sum) - l[target], s->n_ends++;
        s->nll += log(sum) - l[target], s->hits += best == target, s->n++;
        s->bucket[part] += log(sum) - l[target], s->tokens[part]++;
    }
    pha__free(logits);
}

static void compare(const pha_eval_result *r, const sums *s, double tolerance)
{
    double n = (double)s->n;
    assert_int_equal(r->tokens, s->n);
    assert_true(fabs(r->nll - s->nll) <= tolerance * s->nll);
    assert_true(fabs(r->text_nll - (s->nll - s->ends)) <= tolerance * s->nll);
    assert_int_equal(r->end_tokens, s->n_ends);
    assert_true(fabs(r->token_ppl - exp(s->nll / n)) <= 10 * tolerance * r->token_ppl);
    if (tolerance < 1e-3) assert_true(fabs(r->accuracy - s->hits / n) < 1e-12);
    for (int i = 0; i < PHA_EVAL_BUCKETS; i++) {
        assert_int_equal(r->bucket_tokens[i], s->tokens[i]);
        if (s->tokens[i])
            assert_true(fabs(r->bucket_loss[i] - s->bucket[i] / (double)s->tokens[i]) <=
                        10 * tolerance * r->bucket_loss[i]);
        else
            assert_true(isnan(r->bucket_loss[i]));
    }
}

static pha_model *open_model(void)
{
    pha_model *m;
    OK(pha_model_open(&m, model_folder));
    return m;
}

static void windows(void **state)
{
    (void)state;
    pha_model *m = open_model();
    pha_eval_options o = defaults();
    pha_eval_result r, first;
    sums s = {0};
    for (int i = 0; i < COUNT - 1; i += T) by_hand(m, i, i, COUNT - 1 - i < T ? COUNT - 1 - i : T, &s);
    assert_int_equal(s.n, COUNT - 1);
    OK(pha_eval(&o, &first));
    compare(&first, &s, 1e-6);
    assert_true(s.n_ends > 0); /* else nothing of them is tested */
    assert_true(fabs(first.word_ppl - exp((s.nll - s.ends) / 148)) <= 1e-5 * first.word_ppl);
    assert_true(fabs(first.bits_per_byte - (s.nll - s.ends) / 993 / log(2)) <= 1e-6 * first.bits_per_byte);
    assert_true(first.scored_words == 148 && first.scored_bytes == 993 && first.published_words == 0);
    assert_int_equal(first.words, 150);
    assert_int_equal(first.bytes, 1000);
    assert_int_equal(first.context, T);
    assert_int_equal(first.stride, T);
    assert_int_equal(first.tokenizer_hash, pha__tokenizer_hash(m->tokenizer));
    assert_true(first.peak_bytes > 0 && first.seconds > 0);
    for (o.batch = 2; o.batch < 10; o.batch++) { /* 3 leaves two windows, the last short; 9 are more than there are */
        OK(pha_eval(&o, &r));
        assert_memory_equal(&r.nll, &first.nll, sizeof r.nll);
        assert_memory_equal(r.bucket_loss, first.bucket_loss, sizeof r.bucket_loss);
        assert_true(r.accuracy == first.accuracy && r.tokens == first.tokens);
    }
    o.batch = 1, o.threads = 3;
    OK(pha_eval(&o, &r));
    assert_memory_equal(&r.nll, &first.nll, sizeof r.nll);
    pha_model_close(m);
}

static void one_long_window(void **state)
{
    (void)state;
    pha_model *m = open_model();
    pha_eval_options o = defaults();
    pha_eval_result r;
    sums s = {0};
    by_hand(m, 0, 0, COUNT - 1, &s);
    o.context = 4096, o.batch = 2;
    OK(pha_eval(&o, &r));
    assert_true(fabs(r.nll - s.nll) <= 1e-6 * s.nll);
    assert_int_equal(r.bucket_tokens[0], COUNT - 1); /* a part of 256 positions */
    pha_model_close(m);
}

static void parts(void **state)
{
    (void)state;
    pha_model *m = open_model();
    pha_eval_options o = defaults();
    pha_eval_result r;
    const int counts[] = {1, 31, 32, 33, 100, COUNT - 2};
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        sums s = {0};
        for (int i = 0; i < counts[k]; i += T) by_hand(m, i, i, counts[k] - i < T ? counts[k] - i : T, &s);
        for (o.batch = 1; o.batch <= 3; o.batch++) {
            o.max_tokens = counts[k];
            OK(pha_eval(&o, &r));
            compare(&r, &s, 1e-6);
            assert_true(isnan(r.word_ppl) && isnan(r.bits_per_byte) && r.words == 0 && r.bytes == 0);
        }
    }
    o.max_tokens = COUNT - 1;
    OK(pha_eval(&o, &r));
    assert_true(isfinite(r.word_ppl) && isfinite(r.bits_per_byte));
    pha_model_close(m);
}

static void sliding(void **state)
{
    (void)state;
    pha_model *m = open_model();
    pha_eval_options o = defaults();
    pha_eval_result r;
    const int strides[] = {8, 31, 0};
    for (int k = 0; k < 3; k++) {
        sums s = {0};
        int stride = strides[k] ? strides[k] : T / 2;
        by_hand(m, 0, 0, T, &s);
        for (int at = T, begin = stride; at < COUNT - 1; at += stride, begin += stride)
            by_hand(m, begin, at, COUNT - 1 - at < stride ? COUNT - 1 - at : stride, &s);
        assert_int_equal(s.n, COUNT - 1);
        o.mode = PHA_EVAL_SLIDING, o.stride = strides[k];
        for (o.batch = 1; o.batch <= 4; o.batch += 3) {
            OK(pha_eval(&o, &r));
            compare(&r, &s, 1e-6);
            assert_int_equal(r.stride, stride);
        }
    }
    pha_model_close(m);
}

/* The whole text as one, with positions that count on: for full attention, for a window and in chunks. */
static void carried(void **state)
{
    static const char *const names[] = {"default", "window 7", "local 7"};
    (void)state;
    for (int k = 0; k < 3; k++) {
        char name[32], folder[400];
        snprintf(name, sizeof name, "carried%d", k);
        snprintf(folder, sizeof folder, "%s/%s", root, name);
        /* without a tokenizer: nothing to compare with */
        pha_model *m = tiny_model(name, lab_find(names[k]), V, NULL);
        pha_eval_options o = defaults();
        pha_eval_result r;
        sums s = {0};
        by_hand(m, 0, 0, COUNT - 1, &s);
        o.model = folder, o.mode = PHA_EVAL_CARRIED;
        OK(pha_eval(&o, &r));
        assert_true(fabs(r.nll - s.nll) <= 1e-6 * s.nll);
        assert_int_equal(r.tokens, COUNT - 1);
        o.max_tokens = 50;
        OK(pha_eval(&o, &r));
        s = (sums){0};
        by_hand(m, 0, 0, 50, &s);
        assert_true(fabs(r.nll - s.nll) <= 1e-6 * s.nll);
        o.batch = 2;
        FAILS(USAGE, "batch must be 1", pha_eval(&o, &r));
        pha_model_close(m);
    }
}

static void half(void **state)
{
    (void)state;
    pha_eval_options o = defaults();
    pha_eval_result r, full;
    OK(pha_eval(&o, &full));
    o.precision = PHA_BF16;
    OK(pha_eval(&o, &r));
    assert_true(fabs(r.nll - full.nll) <= 1e-2 * full.nll);
    assert_true(r.nll != full.nll);
}

static int reports;
static double last_done, last_total;

static void on_progress(void *user, const pha_progress *p)
{
    assert_ptr_equal(user, &reports);
    assert_string_equal(p->unit, "tokens");
    assert_non_null(p->line);
    reports++, last_done = p->done, last_total = p->total;
}

static void progress_and_stop(void **state)
{
    (void)state;
    pha_eval_options o = defaults();
    pha_eval_result r;
    o.progress = on_progress, o.user = &reports;
    OK(pha_eval(&o, &r));
    assert_true(reports > 0 && last_done == COUNT - 1 && last_total == COUNT - 1);
    pha_request_stop();
    FAILS(STOPPED, "stop", pha_eval(&o, &r));
    pha_clear_stop();
    OK(pha_eval(&o, &r));
}

static void refusals(void **state)
{
    (void)state;
    char folder[400];
    pha_eval_options o = defaults();
    pha_eval_result r;
    o.data = NULL;
    FAILS(USAGE, "data folder", pha_eval(&o, &r));
    o = defaults(), o.split = "test";
    FAILS(BAD_INPUT, "test", pha_eval(&o, &r));
    o = defaults(), o.stride = 5;
    FAILS(USAGE, "sliding", pha_eval(&o, &r));
    o = defaults(), o.context = -1;
    FAILS(USAGE, "context", pha_eval(&o, &r));
    o = defaults(), o.mode = PHA_EVAL_SLIDING, o.stride = T + 1;
    FAILS(USAGE, "stride", pha_eval(&o, &r));
    snprintf(folder, sizeof folder, "%s/others", root);
    write_data(folder, COUNT, 12345);
    o = defaults(), o.data = folder;
    FAILS(BAD_INPUT, "another tokenizer", pha_eval(&o, &r));
    snprintf(folder, sizeof folder, "%s/small", root);
    pha_model_close(tiny_model("small", lab_find("default"), 200, NULL));
    o = defaults(), o.model = folder;
    FAILS(BAD_INPUT, "vocabulary", pha_eval(&o, &r));
}

/* WikiText is known by its words, whatever became of its lines. */
static void wikitext(void **state)
{
    (void)state;
    const struct { uint64_t words, lines, published; } cases[] = {
        {217646, 3760, 217646},   {216347, 2461, 217646},     {213886, 0, 217646}, {2088628, 36718, 2088628},
        {245569, 4358, 245569},   {241211 + 9, 9, 245569},    {103227021, 1801350, 103227021},
        {213887, 0, 0},           {217646, 3761, 0},          {0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pha__eval_text text = {.info = {.words = cases[i].words, .lines = cases[i].lines}};
        assert_int_equal(pha__wikitext_words(&text), cases[i].published);
    }
}

/* A damaged weight is found, not averaged in. */
static void not_finite(void **state)
{
    (void)state;
    pha_model *m = open_model();
    pha__device *device;
    pha__tokens *tokens;
    pha_eval_result r;
    pha__eval_run run = {.context = T};
    pha__weights w;
    OK(pha__device_open(&device, "cpu", 1));
    OK(pha__tokens_open(&tokens, data_folder, "valid", false));
    OK(pha__weights_place(&w, &m->config, m->store, device, PHA__F32, PHA_WEIGHTS_DEFAULT));
    OK(pha__eval_core(&w, tokens, NULL, &run, &r));
    Var gain = pha__find_param(m->names, "norm");
    assert_non_null(gain);
    ((float *)pha__store_at(w.store, PHA__WORKING, gain->index).data)[3] = NAN;
    FAILS(NUMERIC, "window 0", pha__eval_core(&w, tokens, NULL, &run, &r));
    pha__weights_close(&w);
    OK(pha__weights_place(&w, &m->config, m->store, device, PHA__F32, PHA_WEIGHTS_DEFAULT));
    OK(pha__eval_core(&w, tokens, NULL, &run, &r));
    assert_true(isnan(r.word_ppl));
    pha__tokens_close(tokens);
    pha__weights_close(&w);
    pha__device_close(device);
    pha_model_close(m);
}

static void put_npy(const char *path, const int32_t *values, int B, int length)
{
    char head[129];
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    int n = snprintf(head + 10, 118, "{'descr': '<i4', 'fortran_order': False, 'shape': (%d, %d), }", B, length);
    head[10 + n] = ' ', head[127] = '\n';
    pha__writer *w;
    OK(pha__writer_open(&w, path));
    OK(pha__writer_write(w, head, 128));
    OK(pha__writer_write(w, values, (size_t)B * (size_t)length * 4));
    OK(pha__writer_commit(w));
}

static void logits_files(void **state)
{
    (void)state;
    enum { ROWS = 2, LENGTH = 100 };
    char in[400], out[400], *file;
    size_t size;
    pha_model *m = open_model();
    snprintf(in, sizeof in, "%s/in.npy", root);
    snprintf(out, sizeof out, "%s/out.npy", root);
    put_npy(in, ids, ROWS, LENGTH);
    OK(pha_eval_logits(model_folder, in, out, 2));
    OK(pha__read_file(&file, &size, out, 1 << 24));
    assert_non_null(strstr(file + 10, "(2, 100, 257)"));
    const float *values = (const float *)(file + size - ROWS * LENGTH * V * sizeof(float));
    for (int b = 0; b < ROWS; b++) {
        float *whole = tiny_logits(m, ids + b * LENGTH, LENGTH);
        assert_memory_equal(values + b * LENGTH * V, whole, LENGTH * V * sizeof *whole);
        pha__free(whole);
    }
    pha__free(file);
    put_npy(in, (const int32_t[]){1, 2, 3, 257}, 2, 2);
    FAILS(BAD_INPUT, "row 1, column 1", pha_eval_logits(model_folder, in, out, 1));
    FAILS(IO, "absent", pha_eval_logits(model_folder, "/absent/absent", out, 1));
    put_npy(in, (const int32_t[]){1, 2, 3, 256}, 2, 2);
    FAILS(IO, "absent", pha_eval_logits(model_folder, in, "/absent/absent", 1));
    pha_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows),    cmocka_unit_test(one_long_window), cmocka_unit_test(parts),
        cmocka_unit_test(sliding),    cmocka_unit_test(carried),         cmocka_unit_test(half),
        cmocka_unit_test(progress_and_stop), cmocka_unit_test(refusals), cmocka_unit_test(not_finite),
        cmocka_unit_test(logits_files), cmocka_unit_test(wikitext),
    };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
