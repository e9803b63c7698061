/* test_repro_file.c -- files of experiments: what is refused, and those that come with pha */
#include "experiments.h"

static void test_bad_files(void **state)
{
    (void)state;
    refuses("{" PLAIN ", " STAGES ", " MODELS "}", "no \"rates\"");
    refuses("{" PLAIN ", " RATES ", " MODELS "}", "stages is no list");
    refuses("{" PLAIN ", " RATES ", " STAGES "}", "models has not 1 to 256");
    refuses("{" PLAIN ", " RATES ", " STAGES ", " MODELS ", \"spilt\": \"test\"}", "is 'split' meant?");
    refuses("{" PLAIN ", " RATES ", " STAGES ", " MODELS ", \"split\": \"train\"}", "neither valid nor test");
    refuses("{" PLAIN ", " RATES ", " STAGES ", \"models\": {\"../up\": " ATTN "}}", "no name of a model");
    refuses("{" PLAIN ", " RATES ", " STAGES ", \"models\": {\"pha\": " ATTN "}}", "a stage names 'attn'");
    refuses("{" PLAIN ", " RATES ", \"stages\": [{\"tokens\": 9, \"seeds\": [1, 1]}], " MODELS "}", "1 twice");
    refuses("{" PLAIN ", " RATES ", \"stages\": [{\"seeds\": [1]}], " MODELS "}", "stage 1 has no tokens");
    refuses("{" PLAIN ", \"rates\": {\"lr\": [0.1, 0.2]}, " STAGES ", " MODELS "}", "how many tokens");
    refuses("{" PLAIN ", \"rates\": {\"lr\": []}, " STAGES ", " MODELS "}", "no list of 1 to");
    refuses("{\"options\": {\"context\": 16, \"seed\": 1}, \"data\": {\"train\": \"t\", \"vocab_size\": 9}}", "'seed'");
    refuses("{\"options\": {\"contxt\": 16}, \"data\": {\"train\": \"t\", \"vocab_size\": 9}}", "no key 'contxt'");
    refuses("{\"options\": {\"precision\": \"fp8\"}, \"data\": {\"train\": \"t\", \"vocab_size\": 9}}", "none of fp32");
    refuses("{\"data\": {\"train\": \"t\"}}", "no vocab_size");
    refuses("{\"data\": {\"folder\": \"t\", \"train\": \"t\", \"vocab_size\": 9}}", "one of the two");
    refuses("{\"data\": {\"vocab_size\": 9}}", "names no text");
    refuses("{}", "no \"data\"");
    refuses("[]", "not an object");
}

/* Comparisons are of equal budgets; what is of another by its nature is named. */
static void test_budgets(void **state)
{
    (void)state;
    static const char models[] = "\"models\": {\"attn\": " ATTN ", \"wide\": " PHA_MODEL
                                 "\"d_ffn\": 640, \"branches\": [\"attn\"]}}";
    char text[4000], *out;
    snprintf(text, sizeof text, "{%s, %s, %s, %s}", PLAIN, RATES, STAGES, models);
    refuses(text, "model wide has");
    snprintf(text, sizeof text, "{%s, %s, %s, %s, \"other_budget\": [\"wide\"]}", PLAIN, RATES, STAGES, models);
    pha_repro_options o = repro(text, "budgets");
    o.dry_run = true;
    OK(pha_repro(&o, &out, NULL));
    assert_non_null(strstr(out, "(another budget)"));
    pha_free(out);
}

/* Those that come with pha: known keys, budgets that match. */
static void test_experiments_of_ours(void **state)
{
    (void)state;
    char **names, path[600];
    size_t n;
    OK(pha__list_dir(&names, &n, PHA_SOURCE_DIR "/configs/repro"));
    assert_true(n >= 8);
    for (size_t i = 0; i < n; i++) {
        pha__experiment *e = pha__alloc_zero(1, sizeof *e);
        snprintf(path, sizeof path, PHA_SOURCE_DIR "/configs/repro/%s", names[i]);
        OK(pha__experiment_open(e, &(pha_repro_options){.experiment = path}));
        OK(pha__systems_weigh(e));
        pha__experiment_close(e);
        pha__free(e);
    }
    pha__free_list(names, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_budgets),
        cmocka_unit_test(test_experiments_of_ours),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
