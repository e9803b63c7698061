/* Losses by position: those of one pass over each window, to the bit, in parts that add up to the whole */
#include "io/npy.h"
#include "runtime/infer/eval.h"
#include "tiny.h"

enum { V = 257, COUNT = 1500, T = 600 /* more than is read at once */ };

static char data_folder[400];
static int32_t ids[COUNT];

static int setup(void **state)
{
    pha__tokens_writer *w;
    uint64_t written;
    pha__tokenizer *t;
    pha__data d = {.vocab_size = V, .joined = "eot", .end_token = V - 1, .n = 1};
    root_setup(state);
    lab_tokens(ids, NULL, COUNT, V, 0, 11);
    OK(pha__tokenizer_open(&t, "bytes"));
    d.tokenizer_hash = pha__tokenizer_hash(t);
    pha__tokenizer_close(t);
    strcpy(d.split[0].name, "valid");
    d.split[0].info = (pha__split_info){.tokens = COUNT, .bytes = 1000, .words = 150, .lines = 10, .documents = 3};
    snprintf(data_folder, sizeof data_folder, "%s/data", root);
    OK(pha__mkdirs(data_folder));
    OK(pha__tokens_writer_open(&w, data_folder, "valid", V, d.tokenizer_hash));
    OK(pha__tokens_writer_add(w, ids, COUNT));
    OK(pha__tokens_writer_finish(w, &written));
    OK(pha__data_write(data_folder, &d));
    return 0;
}

static double loss_of(const float *logits, int32_t target)
{
    double sum = 0;
    for (int v = 0; v < V; v++) sum += exp((double)logits[v]);
    return log(sum) - logits[target];
}

/* Against logits of whole windows, part by part. */
static void by_hand(const pha_model *m, const pha_positions_result *r)
{
    double nll[PHA_POSITION_BUCKETS] = {0}, squares[PHA_POSITION_BUCKETS] = {0};
    uint64_t n[PHA_POSITION_BUCKETS] = {0};
    for (int begin = 0; begin < COUNT - 1; begin += T) {
        int length = COUNT - 1 - begin < T ? COUNT - 1 - begin : T;
        float *logits = tiny_logits(m, ids + begin, length);
        for (int t = 0, k = 0; t < length; t++) {
            if (t == 1 << k >> 1) k++; /* 0 | 1 | 2 3 | 4 ... */
            double loss = loss_of(logits + (int64_t)t * V, ids[begin + t + 1]);
            int part = t == 0 ? 0 : k - 1;
            nll[part] += loss, squares[part] += loss * loss, n[part]++;
        }
        pha__free(logits);
    }
    for (int k = 0; k < PHA_POSITION_BUCKETS; k++) {
        assert_int_equal(r->bucket_tokens[k], n[k]);
        if (!n[k]) assert_true(isnan(r->bucket_loss[k]));
        else assert_true(fabs(r->bucket_nll[k] - nll[k]) <= 1e-5 * nll[k] &&
                         fabs(r->bucket_loss[k] - nll[k] / (double)n[k]) <= 1e-5 * r->bucket_loss[k]);
        if (n[k] < 2) continue;
        double mean = nll[k] / (double)n[k];
        double error = sqrt((squares[k] / (double)n[k] - mean * mean) / (double)(n[k] - 1));
        assert_true(fabs(r->bucket_error[k] - error) <= 1e-4 * (error + 1e-3));
    }
}

static void check_model(const lab_variant *v, bool grows)
{
    char folder[400], name[60];
    snprintf(name, sizeof name, "model-%td", v - lab_variants);
    snprintf(folder, sizeof folder, "%s/%s", root, name);
    pha_model *m = tiny_model(name, v, V, NULL);
    pha_eval_options o = {.model = folder, .data = data_folder, .context = T, .threads = 2};
    pha_positions_result r, more;
    pha_eval_result whole;
    OK(pha_eval_positions(&o, NULL, &r));
    OK(pha_eval(&o, &whole));
    assert_memory_equal(&r.nll, &whole.nll, sizeof r.nll); /* a window at once, or streamed in pieces */
    assert_int_equal(r.tokens, COUNT - 1);
    assert_int_equal(r.windows, 3);
    double sum = 0;
    uint64_t tokens = 0;
    for (int k = 0; k < PHA_POSITION_BUCKETS; k++) sum += r.bucket_nll[k], tokens += r.bucket_tokens[k];
    assert_int_equal(tokens, r.tokens);
    assert_true(fabs(sum - r.nll) <= 1e-12 * r.nll && r.token_ppl == exp(r.nll / (double)r.tokens));
    by_hand(m, &r);
    assert_int_equal(r.grows, grows);
    o.context = T - 100;
    OK(pha_eval_positions(&o, NULL, &more));
    assert_int_equal(more.state_bytes < r.state_bytes, r.grows);
    pha_model_close(m);
}

static void models(void **state)
{
    (void)state;
    check_model(lab_find("default"), true);
    check_model(lab_find("window 7"), false);
    check_model(lab_find("sequential"), true);
    check_model(lab_find("state space"), false);
    check_model(lab_find("linear attention"), false);
    check_model(lab_find("h3, hybrid"), true);
}

/* Position by position: the difference that one more token makes is its loss. */
static void each_position(void **state)
{
    (void)state;
    char folder[400];
    snprintf(folder, sizeof folder, "%s/each", root);
    pha_model *m = tiny_model("each", lab_find("default"), V, NULL);
    pha_eval_options o = {.model = folder, .data = data_folder, .context = 16};
    pha_positions_result r;
    pha_eval_result batch;
    double before = 0;
    for (o.max_tokens = 1; o.max_tokens <= 40; o.max_tokens++) {
        int t = (int)(o.max_tokens - 1), begin = t / 16 * 16;
        float *logits = tiny_logits(m, ids + begin, t + 1 - begin);
        OK(pha_eval_positions(&o, NULL, &r));
        assert_int_equal(r.tokens, o.max_tokens);
        assert_true(fabs(r.nll - before - loss_of(logits + (t - begin) * V, ids[t + 1])) <= 1e-5 * r.nll);
        OK(pha_eval(&o, &batch));
        assert_true(r.nll == batch.nll);
        before = r.nll;
        pha__free(logits);
    }
    pha_model_close(m);
}

static void refusals(void **state)
{
    (void)state;
    char folder[400], svg[400], *text;
    size_t size;
    snprintf(folder, sizeof folder, "%s/refused", root);
    snprintf(svg, sizeof svg, "%s/figure.svg", root);
    pha_model_close(tiny_model("refused", lab_find("default"), V, NULL));
    const pha_eval_options good = {.model = folder, .data = data_folder};
    pha_eval_options o = good;
    pha_positions_result r;
    OK(pha_eval_positions(&o, svg, &r));
    assert_int_equal(r.context, 65536);
    assert_int_equal(r.windows, 1);
    OK(pha__read_file(&text, &size, svg, 1 << 20));
    assert_non_null(strstr(text, "Perplexity by position"));
    pha__free(text);
    o.stride = 5;
    FAILS(USAGE, "stride", pha_eval_positions(&o, NULL, &r));
    o = good, o.mode = PHA_EVAL_CARRIED;
    FAILS(USAGE, "mode", pha_eval_positions(&o, NULL, &r));
    o = good, o.context = (1 << 20) + 1;
    FAILS(USAGE, "context", pha_eval_positions(&o, NULL, &r));
    o = good, o.max_tokens = -1;
    FAILS(USAGE, "max_tokens", pha_eval_positions(&o, NULL, &r));
    o = good, o.data = NULL;
    FAILS(USAGE, "data folder", pha_eval_positions(&o, NULL, &r));
    FAILS(USAGE, "options", pha_eval_positions(NULL, NULL, &r));
    FAILS(IO, "absent", pha_eval_positions(&good, "/absent/absent.svg", &r));
    OK(pha_eval_positions(&good, NULL, NULL));
    pha_request_stop();
    FAILS(STOPPED, "asked to stop", pha_eval_positions(&good, NULL, &r));
    pha_clear_stop();
    snprintf(folder, sizeof folder, "%s/positions", root);
    pha_model_close(tiny_model("positions", lab_find("gpt2"), V, NULL)); /* learned positions */
    o = good, o.context = 65536;
    FAILS(USAGE, "positions of the model", pha_eval_positions(&o, NULL, &r));
    OK(pha_eval_positions(&good, NULL, &r));
    assert_true(r.context < 65536);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models),
        cmocka_unit_test(each_position),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
