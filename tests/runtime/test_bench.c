/* test_bench.c -- that a benchmark measures what it names */
#include "inspecting.h"

static void count(void *user, const pha_progress *p)
{
    assert_non_null(p->line);
    ++*(int *)user;
}

static json_t *bench(const pha_bench_options *options)
{
    pha_bench_options o = *options;
    o.json = true;
    char *text;
    pha_status status = pha_bench(&o, &text);
    if (status) fail_msg("pha_bench: %s", pha_errmsg());
    json_t *j = json_loads(text, 0, NULL);
    assert_non_null(j);
    pha_free(text);
    return j;
}

static void bench_models(void **state)
{
    (void)state;
    static const int32_t contexts[] = {32, 300};
    for (int bf16 = 0; bf16 < 2; bf16++) {
        int calls = 0;
        pha_bench_options o = {.model = preset("tiny"),
                               .contexts = contexts,
                               .n_contexts = 2,
                               .repeats = 2,
                               .batch = 2,
                               .precision = bf16 ? PHA_BF16 : PHA_FP32,
                               .threads = 1,
                               .progress = count,
                               .user = &calls};
        json_t *j = bench(&o), *results = json_object_get(j, "results"), *r;
        size_t i, seen[3] = {0};
        assert_int_equal(json_array_size(results), 6);
        json_array_foreach(results, i, r) {
            const char *what = json_string_value(json_object_get(r, "what"));
            seen[!strcmp(what, "train") ? 0 : !strcmp(what, "prefill") ? 1 : 2]++;
            bool decode = !strcmp(what, "decode");
            double per_run = decode ? 2 : 2 * at(r, "context");
            near(at(r, "tokens_per_second") * at(r, "seconds"), per_run, 1e-3, "tokens");
            assert_true(at(r, "flops") > 0 && at(r, "share_of_peak") > 0);
            assert_true(at(r, "memory_bytes.block") > 0);
            assert_true((at(r, "memory_bytes.moments") > 0) == !strcmp(what, "train"));
            assert_true((at(r, "memory_bytes.half") > 0) == (bf16 == 1 && !strcmp(what, "train")));
            if (decode) assert_true(at(r, "share_of_copy") > 0);
        }
        assert_true(seen[0] == 2 && seen[1] == 2 && seen[2] == 2);
        assert_true(calls >= 12);
        assert_true(at(j, "product_gflops") > 0.01 && at(j, "copy_gbytes") > 0.01);
        assert_true(at(j, "peak_gflops") > at(j, "product_gflops") / 2); /* not below it, but for the machine's noise */
        json_decref(j);
    }
}

/* Weights in memory, and read for a token, are as large as their format says. */
static void bench_weights(void **state)
{
    (void)state;
    static const int32_t contexts[] = {16};
    double bytes[PHA_WEIGHTS_Q4 + 1];
    for (int w = PHA_WEIGHTS_FP32; w <= PHA_WEIGHTS_Q4; w++) {
        pha_bench_options o = {.model = preset("tiny"), .what = "decode", .contexts = contexts, .n_contexts = 1,
                               .repeats = 1, .weights = (pha_weights)w, .threads = 1};
        json_t *j = bench(&o);
        bytes[w] = at(j, "results.0.memory_bytes.weights");
        double read = at(j, "results.0.gbytes_per_second") * 1e9 * at(j, "results.0.seconds");
        assert_true(read >= bytes[w] && read < bytes[w] + 1e6);
        json_decref(j);
    }
    near(bytes[PHA_WEIGHTS_BF16] / bytes[PHA_WEIGHTS_FP32], 0.5, 0.02, "bf16");
    near(bytes[PHA_WEIGHTS_FP16] / bytes[PHA_WEIGHTS_FP32], 0.5, 0.02, "fp16");
    near(bytes[PHA_WEIGHTS_Q8] / bytes[PHA_WEIGHTS_FP32], 8.5 / 32, 0.04, "q8");
    assert_true(bytes[PHA_WEIGHTS_Q4] < bytes[PHA_WEIGHTS_Q8]);
}

/* Useful operations of a prompt do not depend on how it is cut, and are those of inspection without the head. */
static void bench_counts(void **state)
{
    (void)state;
    static const int32_t contexts[] = {1024};
    pha_bench_options o = {
        .model = preset("tiny"), .what = "train,prefill", .contexts = contexts, .n_contexts = 1, .repeats = 1};
    pha_inspect_options i = {.model = preset("tiny")};
    json_t *b = bench(&o), *j = inspect(&i);
    double linear = at(j, "contexts.0.forward_flops_per_token.products"),
           core = at(j, "contexts.0.forward_flops_per_token.attention");
    near(at(b, "results.1.flops") / 1024, linear + core, 1e-6 * linear, "prefill");
    near(at(b, "results.0.flops") / 1024, at(j, "contexts.0.training_flops_per_token.total"), 1e-6 * linear, "train");
    json_decref(b);
    json_decref(j);
}

static void bench_ops(void **state)
{
    (void)state;
    static const int32_t contexts[] = {64};
    pha_bench_options o = {.model = preset("tiny"), .what = "ops", .contexts = contexts, .n_contexts = 1, .repeats = 3};
    json_t *j = bench(&o), *ops = json_object_get(j, "ops"), *r;
    size_t i;
    double share = 0, seconds = 0, products[2] = {0}, copy = at(j, "copy_gbytes") * 1e9;
    bool scan = false, adamw = false;
    json_array_foreach(ops, i, r) {
        const char *name = json_string_value(json_object_get(r, "op"));
        scan = scan || !strcmp(name, "scan"), adamw = adamw || !strcmp(name, "adamw");
        share += at(r, "share_of_step"), seconds += at(r, "seconds");
        assert_true(at(r, "steps") > 0 && at(r, "bytes") > 0);
        if (!strcmp(name, "matmul")) products[0] += at(r, "flops"), products[1] += at(r, "seconds");
    }
    json_array_foreach(ops, i, r) {
        double by_flops = at(r, "flops") * products[1] / products[0], by_bytes = at(r, "bytes") / copy;
        near(at(r, "expected_seconds"), by_flops > by_bytes ? by_flops : by_bytes, 1e-12, "expected");
    }
    assert_true(scan && adamw);
    near(share, 1, 1e-6, "shares");
    assert_true(seconds > 0);
    json_decref(j);
    o.json = false;
    char *text;
    assert_int_equal(pha_bench(&o, &text), PHA_OK);
    assert_non_null(strstr(text, "Measured peak"));
    assert_non_null(strstr(text, "matmul           backward"));
    pha_free(text);
}

static void bench_wrong_input(void **state)
{
    (void)state;
    char *text;
    static const int32_t zero[] = {0}, long_one[] = {1 << 22}, short_one[] = {16};
    pha_bench_options o = {.model = preset("tiny"), .what = "train,nothing"};
    assert_int_equal(pha_bench(&o, &text), PHA_USAGE);
    assert_null(text);
    o.what = ",";
    assert_int_equal(pha_bench(&o, &text), PHA_USAGE);
    o.what = "train", o.contexts = zero, o.n_contexts = 1;
    assert_int_equal(pha_bench(&o, &text), PHA_USAGE);
    o.model = NULL, o.contexts = short_one;
    assert_int_equal(pha_bench(&o, &text), PHA_USAGE);
    o.model = in_root("nothing");
    assert_int_equal(pha_bench(&o, &text), PHA_IO);
    /* What doesn't fit the machine is skipped and says so: 1.6 TB of activations. */
    o.model = write_config("wide.json", "{\"arch\":\"pha\",\"vocab_size\":64,\"d_model\":64,\"n_layer\":1,\"n_head\":2,"
                                        "\"n_kv_head\":1,\"d_ffn\":32768,\"d_state\":32,\"d_aux\":32}");
    o.contexts = long_one;
    assert_int_equal(pha_bench(&o, &text), PHA_OK);
    assert_non_null(strstr(text, "skipped: needs"));
    pha_free(text);
    pha_request_stop();
    o.model = preset("tiny"), o.contexts = short_one;
    assert_int_equal(pha_bench(&o, &text), PHA_STOPPED);
    pha_clear_stop();
    assert_null(text);
}

/* A device of which nobody knows what it could do at most (a card): no share of that is made up. */
static void bench_unknown_ceilings(void **state)
{
    (void)state;
    static const int32_t contexts[] = {16};
    pha_bench_options o = {.model = preset("tiny"), .what = "ops,train,decode", .contexts = contexts, .n_contexts = 1,
                           .repeats = 1, .threads = 1};
    char *text;
    setenv("PHA_DEVICE", "cuda", 1);
    pha_status status = pha_bench(&o, &text);
    if (!status) {
        assert_non_null(strstr(text, "has not been measured"));
        assert_null(strstr(text, "inf"));
        assert_null(strstr(text, "nan"));
        pha_free(text);
        json_t *j = bench(&o);
        assert_true(json_is_null(json_object_get(j, "peak_gflops")));
        assert_true(json_is_null(json_object_get(json_array_get(json_object_get(j, "results"), 0), "share_of_peak")));
        json_decref(j);
    }
    unsetenv("PHA_DEVICE");
    if (status == PHA_NO_DEVICE) skip(); /* no emulated card */
    OK(status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bench_models),
        cmocka_unit_test(bench_weights), cmocka_unit_test(bench_counts),
        cmocka_unit_test(bench_ops),
        cmocka_unit_test(bench_unknown_ceilings),
        cmocka_unit_test(bench_wrong_input),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
