/* test_quantize.c -- model folders with smaller weights: the numbers that were asked for, to the bit; files that are
 * not what they seem; what is measured, against logits of both models
 */
#include <math.h>

#include "base/format.h"
#include "damage.h"
#include "io/safetensors.h"
#include "io/tokens.h"
#include "tiny.h"

enum { V = 257, N = 40, COUNT = 3000 };

static int32_t ids[COUNT];
static char data_folder[400], out[400];

static void write_data(const char *folder)
{
    pha__tokens_writer *w;
    uint64_t written;
    pha__tokenizer *t;
    pha__data d = {.vocab_size = V, .joined = "eot", .end_token = V - 1, .n = 1};
    OK(pha__tokenizer_open(&t, "bytes"));
    d.tokenizer_hash = pha__tokenizer_hash(t);
    pha__tokenizer_close(t);
    strcpy(d.split[0].name, "valid");
    d.split[0].info = (pha__split_info){.tokens = COUNT, .bytes = 1000, .words = 150, .lines = 10, .documents = 3};
    OK(pha__mkdirs(folder));
    OK(pha__tokens_writer_open(&w, folder, "valid", V, d.tokenizer_hash));
    OK(pha__tokens_writer_add(w, ids, COUNT));
    OK(pha__tokens_writer_finish(w, &written));
    OK(pha__data_write(folder, &d));
}

static int setup(void **state)
{
    root_setup(state);
    lab_tokens(ids, NULL, COUNT, V, 0, 11);
    snprintf(data_folder, sizeof data_folder, "%s/data", root);
    snprintf(out, sizeof out, "%s/out", root);
    write_data(data_folder);
    return 0;
}

/* Logits (n, V) of a session over a folder, whose weights run in a format. */
static float *logits_of(const char *folder, pha_weights weights, int n)
{
    pha_model *m;
    pha_session *s;
    float *x = pha__alloc((size_t)n * V, sizeof *x);
    OK(pha_model_open(&m, folder));
    OK(pha_session_open(&s, m, &(pha_session_options){.max_context = n, .threads = 2, .weights = weights}));
    OK(pha_session_score(s, ids, (size_t)n, x));
    pha_session_close(s);
    pha_model_close(m);
    return x;
}

static void same_logits(float *x, float *y, const char *what)
{
    if (memcmp(x, y, N * V * sizeof *x)) fail_msg("%s: other bits", what);
    pha__free(x);
    pha__free(y);
}

/* The same numbers in another arithmetic: products over blocks of integers round activations to 16 bits. */
static void near_logits(float *x, float *y, pha_weights weights, const char *what)
{
    if (weights != PHA_WEIGHTS_Q8 && weights != PHA_WEIGHTS_Q4) {
        same_logits(x, y, what);
        return;
    }
    double off = 0, size = 0;
    for (int i = 0; i < N * V; i++) off += pow((double)x[i] - y[i], 2), size += pow(x[i], 2);
    if (!(off > 0 && sqrt(off) <= 2e-4 * sqrt(size))) fail_msg("%s: %.1e apart", what, sqrt(off / size));
    pha__free(x);
    pha__free(y);
}

/* What is no matrix is as it was; matrices are in the format. */
static void check_tensors(const char *from, const char *to, pha_weights weights)
{
    static const char *const dtypes[] = {"", "F32", "BF16", "F16", "U8", "U8"};
    pha_model *m, *n;
    OK(pha_model_open(&m, from));
    OK(pha_model_open(&n, to));
    for (int i = 0; i < m->names->n_params; i++) {
        const pha__node *v = m->names->params[i];
        pha__place a = pha__store_at(m->store, PHA__WEIGHT, i), b = pha__store_at(n->store, PHA__WEIGHT, i);
        if (v->kind == PHA__CONSTANT) continue;
        if (v->kind != PHA__MATRIX) {
            assert_int_equal(b.format, PHA__F32);
            assert_memory_equal(a.data, b.data, pha__format_bytes(PHA__F32, v->rows, v->width));
            continue;
        }
        assert_string_equal(pha__safetensors_dtypes[b.format], dtypes[weights]);
        bool eight = weights == PHA_WEIGHTS_Q8 || (weights == PHA_WEIGHTS_Q4 && v->rows == V);
        assert_true((b.format == PHA__Q8_PANEL) == eight);
        assert_true((b.format == PHA__Q4_PANEL) == (weights == PHA_WEIGHTS_Q4 && !eight));
    }
    pha_model_close(m);
    pha_model_close(n);
}

static void folders(void **state)
{
    (void)state;
    static const char *const variants[] = {"default", "sequential", "attention", "gpt2, local", "window 7"};
    for (int i = 0; i < 5; i++) {
        char from[400], again[420];
        pha_model_close(tiny_model(variants[i], lab_find(variants[i]), V, "bytes"));
        snprintf(from, sizeof from, "%s", in_root(variants[i]));
        snprintf(again, sizeof again, "%s-again", out);
        for (int w = PHA_WEIGHTS_FP32; w <= PHA_WEIGHTS_Q4; w++) {
            pha_quantize_result r;
            OK(pha_quantize(&(pha_quantize_options){.model = from, .to = (pha_weights)w, .out = out}, &r));
            assert_true(w == PHA_WEIGHTS_FP32 ? r.bytes_after == r.bytes_before : r.bytes_after < r.bytes_before);
            check_tensors(from, out, (pha_weights)w);
            same_logits(logits_of(out, PHA_WEIGHTS_DEFAULT, N), logits_of(from, (pha_weights)w, N), variants[i]);
            OK(pha_quantize(&(pha_quantize_options){.model = out, .to = (pha_weights)w, .out = again}, NULL));
            same_logits(logits_of(out, PHA_WEIGHTS_DEFAULT, N), logits_of(again, PHA_WEIGHTS_DEFAULT, N), "twice");
            float *wide = logits_of(out, PHA_WEIGHTS_FP32, N);
            near_logits(wide, logits_of(out, PHA_WEIGHTS_DEFAULT, N), (pha_weights)w, "as fp32");
            pha_model *m;
            OK(pha_model_open(&m, out));
            assert_non_null(pha_model_tokenizer(m));
            float *rows = tiny_logits(m, ids, N); /* the same numbers as rows of floats */
            near_logits(rows, logits_of(out, PHA_WEIGHTS_DEFAULT, N), (pha_weights)w, "rows");
            pha_model_close(m);
        }
    }
}

/* ---- files ------------------------------------------------------------------------------------------------- */

enum { MOST = 200 };

/* The tensors of a folder, one of them changed, as another folder. */
static void write_changed(const char *from, const char *to, const char *name, pha__tensor change)
{
    pha__tensor t[MOST];
    char path[900], *text;
    size_t size, n;
    pha__safetensors *st;
    OK(pha__mkdirs(to));
    snprintf(path, sizeof path, "%s/config.json", from);
    OK(pha__read_file(&text, &size, path, 1 << 20));
    snprintf(path, sizeof path, "%s/config.json", to);
    OK(pha__write_file(path, text, size));
    pha__free(text);
    snprintf(path, sizeof path, "%s/model.safetensors", from);
    OK(pha__safetensors_open(&st, path));
    n = pha__safetensors_count(st);
    assert_in_range(n, 5, MOST - 1);
    for (size_t i = 0; i < n; i++) {
        t[i] = *pha__safetensors_at(st, i);
        if (strcmp(t[i].name, name) == 0) t[i] = change;
    }
    if (strcmp(name, "") == 0) t[n++] = change;
    snprintf(path, sizeof path, "%s/model.safetensors", to);
    OK(pha__safetensors_write(path, t, n, NULL));
    pha__safetensors_close(st);
}

static void bad_files(void **state)
{
    (void)state;
    static float zeros[V * 64];
    char from[400], bad[420];
    pha_model *m;
    pha_model_close(tiny_model("whole", lab_find("default"), V, NULL));
    snprintf(from, sizeof from, "%s", in_root("whole"));
    OK(pha_quantize(&(pha_quantize_options){.model = from, .to = PHA_WEIGHTS_Q4, .out = out}, NULL));
    snprintf(bad, sizeof bad, "%s-bad", out);
    const int64_t panels = (V + 15) / 16;
    const struct {
        const char *name;
        pha__tensor as;
        const char *message;
    } wrong[] = {
        {"embed.q8", {"embed.q8", PHA__Q8_PANEL, 3, {panels, 1, PHA__Q8_BYTES}, zeros, 0}, "the shape 17 x 2 x 544"},
        {"embed.q8", {"embed.q8", PHA__Q8_PANEL, 3, {panels - 1, 2, PHA__Q8_BYTES}, zeros, 0}, "needs the shape"},
        {"embed.q8", {"embed.q4", PHA__Q8_PANEL, 3, {panels, 2, PHA__Q8_BYTES}, zeros, 0}, "the shape 17 x 2 x 288"},
        {"embed.q8", {"embed.q8", PHA__Q8_PANEL, 1, {panels * 2 * PHA__Q8_BYTES}, zeros, 0}, "needs the shape"},
        {"embed.q8", {"embed.q8", PHA__F32, 3, {panels, 2, 9}, zeros, 0}, "'embed.q8' is not U8"},
        {"embed.q8", {"embed.q8", PHA__F32, 2, {V, 64}, zeros, 0}, "'embed.q8' is not U8"},
        {"embed.q8", {"embed", PHA__Q8_PANEL, 2, {V, 64}, zeros, 0}, "'embed' is U8; only matrices in blocks"},
        {"embed.q8", {"embed.q2", PHA__Q8_PANEL, 3, {panels, 2, 160}, zeros, 0}, "'embed' is missing"},
        {"norm", {"norm.q8", PHA__Q8_PANEL, 3, {1, 2, PHA__Q8_BYTES}, zeros, 0}, "'norm' is missing"},
        {"", {"embed", PHA__F32, 2, {V, 64}, zeros, 0}, "one twice"},
        {"", {"other.q8", PHA__Q8_PANEL, 3, {1, 1, PHA__Q8_BYTES}, zeros, 0}, "'other.q8' is not one of"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_changed(out, bad, wrong[i].name, wrong[i].as);
        pha_status status = pha_model_open(&m, bad);
        if (status != PHA_BAD_INPUT || !strstr(pha_errmsg(), wrong[i].message))
            fail_msg("%zu: status %d, %s", i, status, status ? pha_errmsg() : "");
    }
    whole_file f = read_whole(out, "model.safetensors"); /* a byte is told when something is to be computed */
    put_flipped(&f, f.size - 9, 4);
    OK(pha_model_open(&m, out));
    pha_session *s;
    FAILS(BAD_INPUT, "its numbers are not those", pha_session_open(&s, m, NULL));
    pha_model_close(m);
    for (size_t i = data_begin(&f); i < f.size; i += 3) f.data[i] = (char)(i * 2654435761u >> 11);
    reseal(&f);
    put_back(&f);
    OK(pha_model_open(&m, out));
    OK(pha_session_open(&s, m, &(pha_session_options){.max_context = 16}));
    OK(pha_session_feed(s, ids, 9, NULL));
    pha_session_close(s);
    pha_model_close(m);
}

/* ---- what it costs ------------------------------------------------------------------------------------------ */

static double log_sum(const float *x)
{
    double sum = 0;
    for (int v = 0; v < V; v++) sum += exp((double)x[v]);
    return log(sum);
}

static void measured(void **state)
{
    (void)state;
    enum { T = 100, TOKENS = 250 };
    char from[400];
    double nll[2] = {0}, kl = 0, first = 0;
    int same = 0;
    pha_quantize_result r;
    pha_model_close(tiny_model("measured", lab_find("default"), V, "bytes"));
    snprintf(from, sizeof from, "%s", in_root("measured"));
    pha_quantize_options o = {.model = from, .to = PHA_WEIGHTS_Q4, .data = data_folder, .context = T,
                              .max_tokens = TOKENS, .threads = 2};
    OK(pha_quantize(&o, &r));
    int32_t all[COUNT];
    memcpy(all, ids, sizeof all);
    for (int begin = 0; begin < TOKENS; begin += T) {
        int n = TOKENS - begin < T ? TOKENS - begin : T;
        memcpy(ids, all + begin, (size_t)n * sizeof *ids);
        float *x = logits_of(from, PHA_WEIGHTS_FP32, n), *y = logits_of(from, PHA_WEIGHTS_Q4, n);
        for (int t = 0; t < n; t++) {
            const float *p = x + t * V, *q = y + t * V;
            double a = log_sum(p), b = log_sum(q), d = 0;
            int top = 0, other = 0;
            for (int v = 0; v < V; v++) {
                d += exp(p[v] - a) * (p[v] - a - q[v] + b);
                top = p[v] > p[top] ? v : top, other = q[v] > q[other] ? v : other;
            }
            nll[0] += a - p[all[begin + t + 1]], nll[1] += b - q[all[begin + t + 1]];
            kl += d, same += top == other, first += t ? 0 : d;
        }
        pha__free(x);
        pha__free(y);
    }
    memcpy(ids, all, sizeof all);
    assert_int_equal(r.tokens, TOKENS);
    assert_int_equal(r.windows, 3);
    assert_int_equal(r.bucket_tokens[0], 3);
    assert_true(fabs(r.loss_before - nll[0] / TOKENS) < 1e-9 && fabs(r.loss_after - nll[1] / TOKENS) < 1e-9);
    assert_true(r.kl > 1e-7 && fabs(r.kl - kl / TOKENS) < 1e-6 * r.kl + 1e-12);
    assert_true(fabs(r.bucket_kl[0] - first / 3) < 1e-6 * r.kl + 1e-12);
    assert_true(r.same_choice == (double)same / TOKENS);
    assert_true(!r.grows && isnan(r.kl_late));
    pha_eval_result whole;
    OK(pha_eval(&(pha_eval_options){.model = from, .data = data_folder, .context = T, .max_tokens = TOKENS,
                                    .threads = 2, .weights = PHA_WEIGHTS_Q4}, &whole));
    assert_true(fabs(whole.nll / TOKENS - r.loss_after) < 1e-5);
    o.to = PHA_WEIGHTS_FP32;
    OK(pha_quantize(&o, &r));
    assert_true(r.kl == 0 && r.same_choice == 1 && r.loss_before == r.loss_after);
}

/* Tokens from 128 on have an embedding that blocks of few bits hold badly, as a number in it is far larger than the
 * others. */
static void spoil_late_tokens(const char *folder)
{
    whole_file f = read_whole(folder, "model.safetensors");
    pha__safetensors *st;
    OK(pha__safetensors_open(&st, f.path));
    const pha__tensor *t = pha__safetensors_find(st, "embed");
    const char *begin = t->data; /* of all data */
    for (size_t i = 0; i < pha__safetensors_count(st); i++) {
        const char *p = pha__safetensors_at(st, i)->data;
        begin = p < begin ? p : begin;
    }
    char *table = f.data + data_begin(&f) + ((const char *)t->data - begin);
    for (int64_t row = 128; row < V; row++) {
        float x;
        char *place = table + (size_t)(row * t->shape[1]) * sizeof x;
        memcpy(&x, place, sizeof x);
        x *= 20;
        memcpy(place, &x, sizeof x);
    }
    pha__safetensors_close(st);
    reseal(&f);
    put_back(&f);
}

/* In a text that comes to such tokens late the error grows: nothing is written. */
static void growing(void **state)
{
    (void)state;
    char from[400], text[420], none[420];
    int32_t all[COUNT];
    pha_quantize_result r;
    memcpy(all, ids, sizeof all);
    for (int i = 0; i < COUNT; i++) ids[i] = ids[i] % 128 + (i < COUNT / 2 ? 0 : 128);
    snprintf(text, sizeof text, "%s-late", data_folder);
    snprintf(none, sizeof none, "%s-none", out);
    write_data(text);
    pha_model_close(tiny_model("growing", lab_find("default"), V, "bytes"));
    snprintf(from, sizeof from, "%s", in_root("growing"));
    pha_quantize_options o = {.model = from, .to = PHA_WEIGHTS_Q8, .out = none, .data = text, .context = COUNT - 1,
                              .threads = 2};
    OK(pha_quantize(&o, &r));
    assert_true(r.kl_early > 0 && r.kl_late > 0 && !r.grows);
    OK(pha__remove_tree(none));
    spoil_late_tokens(from);
    FAILS(NUMERIC, "grows along a text", pha_quantize(&o, &r));
    assert_true(r.grows && r.kl_late > 1.5 * r.kl_early && r.tokens == COUNT - 1);
    assert_false(pha__exists(none));
    memcpy(ids, all, sizeof all);
}

static void refused(pha_status status, const char *message, const char *model, int to, const char *folder)
{
    pha_quantize_options o = {.model = model, .to = (pha_weights)to, .out = folder};
    assert_int_equal(pha_quantize(&o, NULL), status);
    if (!strstr(pha_errmsg(), message)) fail_msg("not '%s' but: %s", message, pha_errmsg());
}

static void wrong_calls(void **state)
{
    (void)state;
    const float bad = NAN;
    char from[400];
    pha_model_close(tiny_model("calls", lab_find("default"), V, "bytes"));
    snprintf(from, sizeof from, "%s", in_root("calls"));
    refused(PHA_USAGE, "no model", NULL, PHA_WEIGHTS_Q8, out);
    refused(PHA_USAGE, "no format", from, PHA_WEIGHTS_DEFAULT, out);
    refused(PHA_USAGE, "no weights", from, 9, out);
    refused(PHA_USAGE, "to write", from, PHA_WEIGHTS_Q8, NULL);
    refused(PHA_USAGE, "read from", from, PHA_WEIGHTS_Q8, from);
    FAILS(USAGE, "options", pha_quantize(NULL, NULL));
    whole_file f = read_whole(from, "model.safetensors");
    memcpy(f.data + data_begin(&f), &bad, sizeof bad);
    reseal(&f);
    put_back(&f);
    refused(PHA_BAD_INPUT, "not finite", from, PHA_WEIGHTS_Q8, out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(folders), cmocka_unit_test(bad_files),
                                       cmocka_unit_test(measured), cmocka_unit_test(growing),
                                       cmocka_unit_test(wrong_calls)};
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
