/* Model folders: what writing one may replace, and what it must leave alone; several writers, kills, links, odd files
 */
#include <sys/stat.h>

#include "support/child.h"
#include "tiny.h"

static char config[400], model[400];

static void write_file(const char *folder, const char *name)
{
    char path[700];
    OK(pha__mkdirs(folder));
    snprintf(path, sizeof path, "%s/%s", folder, name);
    OK(pha__write_file(path, "kept", 4));
}

static bool kept(const char *folder, const char *name)
{
    char path[700];
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
    write_file(beside, ".model.safetensors.pha-tmp"); /* of a killed run: goes */
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

static uint64_t fingerprint(const char *folder)
{
    pha_model *m;
    uint64_t out;
    OK(pha_model_open(&m, folder));
    OK(pha__model_fingerprint(&out, m));
    pha_model_close(m);
    return out;
}

/* Who comes second is told so before any work; of many at once each succeeds or is told so, and what is there in the
 * end is whole and of one that succeeded. */
static void several_writers(void **state)
{
    (void)state;
    char folder[400], name[420], alone[400];
    pha__lock lock;
    snprintf(folder, sizeof folder, "%s/shared", root);
    snprintf(name, sizeof name, "%s/.shared.lock", root);
    OK(pha_model_init(config, 99, NULL, folder));
    uint64_t before = fingerprint(folder);
    OK(pha__lock_open(&lock, name));
    const char *two[] = {model, model};
    FAILS(USAGE, "another process is writing it", pha_model_init(config, 1, NULL, folder));
    FAILS(USAGE, "another process is writing it", pha_model_average(two, 2, folder));
    pha__lock_close(&lock);
    assert_true(fingerprint(folder) == before && !pha__exists(name));

    pid_t child[12];
    for (unsigned i = 0; i < 12; i++) {
        child[i] = fork();
        if (!child[i]) _exit(pha_model_init(config, i, NULL, folder));
    }
    bool won[12];
    int status, winners = 0;
    for (int i = 0; i < 12; i++) {
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == PHA_OK || WEXITSTATUS(status) == PHA_USAGE));
        winners += won[i] = WEXITSTATUS(status) == PHA_OK;
    }
    assert_true(winners > 0);
    uint64_t after = fingerprint(folder);
    bool of_a_winner = false;
    snprintf(alone, sizeof alone, "%s/alone", root);
    for (unsigned i = 0; i < 12; i++) {
        if (!won[i]) continue;
        OK(pha_model_init(config, i, NULL, alone));
        of_a_winner |= fingerprint(alone) == after;
    }
    assert_true(of_a_winner);
    snprintf(name, sizeof name, "%s.writing", folder);
    assert_false(pha__exists(name));
}

static int init_again(void *folder) { return pha_model_init(config, 2, NULL, folder); }

/* Killed at every system call, also where two names cannot be swapped: the old model or the new one opens. */
static void killed_writers(void **state)
{
    (void)state;
    char folder[400];
    snprintf(folder, sizeof folder, "%s/killed", root);
    OK(pha_model_init(config, 2, NULL, folder));
    uint64_t new = fingerprint(folder), old = fingerprint(model);
    const char *swaps[] = {"", "ENOSYS"};
    for (int k = 0; k < 2; k++) {
        int news = 0, olds = 0, status = 1;
        for (int n = 1; n < 200 && status; n++) {
            OK(pha_model_init(config, 7, NULL, folder));
            setenv("PHA_FAULT_EXCHANGE", swaps[k], 1);
            status = in_child("PHA_FAULT_WRITE", n, init_again, folder);
            unsetenv("PHA_FAULT_EXCHANGE");
            assert_true(status <= 0);
            uint64_t now = fingerprint(folder);
            assert_true(now == old || now == new);
            news += now == new, olds += now == old;
        }
        assert_true(!status && news > 2 && olds > 10);
    }
}

/* A link as the place: what it names is replaced, and the link stays. */
static void behind_a_link(void **state)
{
    (void)state;
    char link[400], target[400];
    struct stat info;
    snprintf(link, sizeof link, "%s/link", root);
    snprintf(target, sizeof target, "%s/elsewhere", root);
    assert_int_equal(symlink("elsewhere", link), 0);
    for (unsigned i = 1; i < 3; i++) {
        OK(pha_model_init(config, i, NULL, link));
        assert_true(lstat(link, &info) == 0 && S_ISLNK(info.st_mode));
        assert_true(pha__is_own_dir(target) && fingerprint(link) == fingerprint(target));
    }
}

/* What can't be read is no absent file, and what would block is refused. */
static void odd_files(void **state)
{
    (void)state;
    static const char *const names[] = {"tokenizer.json", "config.json", "model.safetensors"};
    char folder[400], path[600];
    pha_model *m;
    snprintf(folder, sizeof folder, "%s/odd-files", root);
    for (int i = 0; i < 3; i++) {
        OK(pha_model_init(config, 1, NULL, folder));
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
        assert_int_equal(mkfifo(path, 0600), 0);
        FAILS(IO, names[i], pha_model_open(&m, folder));
        unlink(path);
        assert_int_equal(symlink("nowhere", path), 0);
        FAILS(IO, names[i], pha_model_open(&m, folder));
        unlink(path);
        assert_int_equal(symlink(names[i], path), 0); /* ELOOP */
        FAILS(IO, names[i], pha_model_open(&m, folder));
        OK(pha__remove_tree(folder));
    }
    FAILS(IO, "No such file or directory; a model is a folder", pha_model_open(&m, folder));
    OK(pha__mkdirs(folder)); /* a part that is a folder holds somebody's work */
    snprintf(path, sizeof path, "%s/README.md", folder);
    write_file(path, "thesis.txt");
    FAILS(USAGE, "README.md", pha_model_init(config, 1, NULL, folder));
    assert_true(kept(path, "thesis.txt"));
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
                                       cmocka_unit_test(swapped_tokenizer), cmocka_unit_test(several_writers),
                                       cmocka_unit_test(killed_writers), cmocka_unit_test(behind_a_link),
                                       cmocka_unit_test(odd_files)};
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
