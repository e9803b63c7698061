/* Model folders: what writing one may replace, and what it must leave alone */
#include "tiny.h"

static char config[400], model[400];

static void write_file(const char *folder, const char *name)
{
    char path[600];
    OK(pha__mkdirs(folder));
    snprintf(path, sizeof path, "%s/%s", folder, name);
    OK(pha__write_file(path, "kept", 4));
}

static bool kept(const char *folder, const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return pha__file_size(path) == 4;
}

/* A folder with one of these beside what a model has is somebody's work: a run, a project, notes. */
static void replaces_only_models(void **state)
{
    (void)state;
    static const char *const others[] = {"run.json", "log.jsonl", "thesis.txt", "model.safetensors.bak", ".git"};
    char folder[400];
    snprintf(folder, sizeof folder, "%s/place", root);
    const char *two[] = {model, model};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        OK(pha_model_init(config, 1, NULL, folder));
        write_file(folder, others[i]);
        FAILS(USAGE, others[i], pha_model_init(config, 1, NULL, folder));
        FAILS(USAGE, others[i], pha_model_average(two, 2, folder));
        assert_true(kept(folder, others[i]));
        OK(pha__remove_tree(folder));
    }
    write_file(folder, "config.json");
    FAILS(USAGE, "not a model folder", pha_model_init(config, 1, NULL, folder));
    FAILS(USAGE, "not a model folder", pha_model_average(two, 2, folder));
    write_file(folder, "README.md");
    FAILS(USAGE, "not a model folder", pha_model_init(config, 1, NULL, folder));
    assert_true(kept(folder, "config.json") && kept(folder, "README.md"));
    OK(pha__remove_tree(folder));

    OK(pha__mkdirs(folder)); /* an empty folder, and a model */
    OK(pha_model_init(config, 1, NULL, folder));
    OK(pha_model_init(config, 2, "bytes", folder));
    OK(pha_model_average(two, 2, folder));
    pha_model *m;
    OK(pha_model_open(&m, folder));
    pha_model_close(m);
    OK(pha__remove_tree(folder));
}

static void odd_places(void **state)
{
    (void)state;
    char folder[400], beside[420];
    snprintf(folder, sizeof folder, "%s/odd/place//", root);
    pha_model *m;
    for (int i = 0; i < 2; i++) OK(pha_model_init(config, 1, NULL, folder)); /* slashes at the end */
    OK(pha_model_open(&m, folder));
    pha_model_close(m);
    snprintf(folder, sizeof folder, "%s/odd/place", root);
    snprintf(beside, sizeof beside, "%s.old", folder);
    assert_false(pha__exists(beside));
    snprintf(beside, sizeof beside, "%s.writing", folder);
    assert_false(pha__exists(beside));
    write_file(beside, "model.safetensors.tmp"); /* of a killed run: goes */
    OK(pha_model_init(config, 1, NULL, folder));
    assert_false(pha__exists(beside));
    write_file(beside, "chapter1.txt");
    FAILS(USAGE, "chapter1.txt", pha_model_init(config, 1, NULL, folder));
    assert_true(kept(beside, "chapter1.txt"));
    FAILS(USAGE, "a file is in the way", pha_model_init(config, 1, NULL, config));
    FAILS(USAGE, "a name of its own", pha_model_init(config, 1, NULL, ".."));
    FAILS(USAGE, "a name of its own", pha_model_init(config, 1, NULL, "/"));
    FAILS(USAGE, "a folder to write", pha_model_init(config, 1, NULL, NULL));
}

/* Another tokenizer.json in the folder of a model: its ids would mean other rows of the embedding. */
static void swapped_tokenizer(void **state)
{
    (void)state;
    char folder[400], path[600], *text;
    size_t size;
    snprintf(folder, sizeof folder, "%s/swapped", root);
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    pha_model *m;
    OK(pha_model_init(config, 1, "bytes", folder));
    OK(pha_model_open(&m, folder));
    pha_model_close(m);
    OK(pha_model_average((const char *[]){folder}, 1, in_root("mean")));
    OK(pha_model_open(&m, in_root("mean")));
    pha_model_close(m);
    OK(pha__read_file(&text, &size, path, 1 << 20));
    char *a = strstr(text, "\"a\""), *b = strstr(text, "\"b\"");
    assert_true(a && b);
    a[1] = 'b', b[1] = 'a'; /* two ids change places */
    OK(pha__write_file(path, text, size));
    FAILS(BAD_INPUT, "another tokenizer", pha_model_open(&m, folder));
    unlink(path);
    OK(pha_model_open(&m, folder)); /* none at all is fine */
    pha_model_close(m);
    OK(pha_model_init(config, 1, NULL, folder)); /* weights that know of none take any */
    OK(pha__write_file(path, text, size));
    OK(pha_model_open(&m, folder));
    assert_non_null(pha_model_tokenizer(m));
    pha_model_close(m);
    pha__free(text);
}

static int setup(void **state)
{
    root_setup(state);
    pha_model_close(tiny_model("model", lab_find("default"), 260, NULL));
    snprintf(config, sizeof config, "%s/model.json", root);
    snprintf(model, sizeof model, "%s/model", root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(replaces_only_models), cmocka_unit_test(odd_places),
                                       cmocka_unit_test(swapped_tokenizer)};
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
