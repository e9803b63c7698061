/* test_prefix_disk.c -- texts in a folder: the same bits after a restart, whatever has happened to the files */
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "models/lab.h"
#include "pha.h"
#include "runtime/damage.h"
#include "runtime/infer/prefix_disk.h"
#include "support/check.h"
#include "support/child.h"
#include "support/root.h"

enum { N = 400, V = 256 };

static int32_t ids[N];
static float want[N][V];
static char folder[300];

static const lab_variant windowed = {"window 100", "pha", "\"gss_filter\": \"conv4\", \"window\": 100"};

static pha_model *open_model(const lab_variant *v, uint64_t seed)
{
    char config[400], place[400];
    snprintf(config, sizeof config, "%s.json", in_root("prefix"));
    snprintf(place, sizeof place, "%s-%d", in_root("prefix"), (int)seed);
    lab_write_config(config, v, V);
    OK(pha_model_init(config, seed, NULL, place));
    pha_model *m;
    OK(pha_model_open(&m, place));
    return m;
}

static pha_engine *open_engine(const pha_model *m, uint64_t ram, uint64_t disk, const char *device)
{
    pha_engine *e;
    OK(pha_engine_open(&e, m, &(pha_engine_options){.max_context = N, .threads = 1, .state_ram = ram, .device = device,
                                                    .state_disk = folder, .state_disk_bytes = disk}));
    return e;
}

static pha_engine *usual_engine(const pha_model *m) { return open_engine(m, 64000000, 64000000, NULL); }

static pha_session *open_session(pha_engine *e)
{
    pha_session *s;
    OK(pha_engine_session(e, &s));
    return s;
}

static void read_plainly(const pha_model *m)
{
    pha_session *s;
    OK(pha_session_open(&s, m, &(pha_session_options){.max_context = N, .threads = 1}));
    OK(pha_session_score(s, ids, N, want[0]));
    pha_session_close(s);
}

/* Every token of a text is read in runs of a page, so that each page has a state. */
static void read_pages(pha_session *s, const int32_t *text, size_t n, const char *tenant)
{
    pha_reuse r;
    OK(pha_session_begin(s, text, n, tenant, &r));
    for (size_t at = (size_t)r.tokens; at < n; at += 64)
        OK(pha_session_read(s, text + at, n - at < 64 ? n - at : 64));
}

static void fill(const pha_model *m)
{
    pha_engine *e = usual_engine(m);
    pha_session *s = open_session(e);
    read_pages(s, ids, N, "ann");
    pha_session_close(s);
    pha_engine_close(e);
}

/* What another engine finds of the text; whatever it is, the bits are right. */
static pha_reuse found_by(pha_engine *e, const char *tenant)
{
    const float *got;
    int64_t came;
    pha_reuse r;
    pha_session *s = open_session(e);
    OK(pha_engine_recall(e, ids, N, tenant, &came));
    OK(pha_session_begin(s, ids, N, tenant, &r));
    OK(pha_session_feed(s, ids + r.tokens, (size_t)(N - r.tokens), &got));
    assert_memory_equal(got, want[N - 1], sizeof want[0]);
    pha_session_close(s);
    return r;
}

static pha_reuse found(const pha_model *m, const char *tenant)
{
    pha_engine *e = usual_engine(m);
    pha_reuse r = found_by(e, tenant);
    pha_engine_close(e);
    return r;
}

static void forget_all(void) { OK(pha__remove_tree(folder)); }
/* ---- files ------------------------------------------------------------------------------------------------ */

enum { MOST_FILES = 128 };
typedef struct files {
    char path[MOST_FILES][800];
    int n;
    uint64_t bytes;
} files;

/* Of all models; nothing else may lie there. */
static files look(void)
{
    files f = {0};
    char **models, **names;
    size_t n, k;
    OK(pha__list_dir(&models, &n, folder));
    for (size_t i = 0; i < n; i++) {
        char inner[400];
        snprintf(inner, sizeof inner, "%s/%s", folder, models[i]);
        OK(pha__list_dir(&names, &k, inner));
        for (size_t j = 0; j < k; j++) {
            assert_int_equal(strlen(names[j]), 32);
            assert_true(f.n < MOST_FILES);
            snprintf(f.path[f.n], sizeof *f.path, "%s/%s", inner, names[j]);
            f.bytes += (uint64_t)pha__file_size(f.path[f.n++]);
        }
        pha__free_list(names, k);
    }
    pha__free_list(models, n);
    return f;
}

static void survives(void **state)
{
    (void)state;
    const lab_variant *variants[] = {lab_find("default"), lab_find("sequential"), lab_find("gpt2, local"), &windowed};
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        pha_model *m = open_model(variants[i], 11);
        pha_texts_info info;
        read_plainly(m);
        fill(m);
        struct stat mode;
        assert_int_equal(stat(folder, &mode), 0);
        assert_int_equal(mode.st_mode & 0777, 0700); /* it is what people said */
        files f = look();
        assert_int_equal(f.n, N / 64);
        pha_engine *e = usual_engine(m);
        pha_reuse r = found_by(e, "ann");
        assert_true(r.tokens == 384 && r.miss == PHA_MISS_NONE);
        r = found_by(e, "bob");
        assert_true(r.tokens == 0 && r.miss == PHA_MISS_FIRST_USE);
        pha_engine_get_texts(e, &info);
        assert_true(info.read == 6 && info.damaged == 0 && info.failed == 0 && info.disk == f.bytes);
        pha_engine_close(e);
        pha_model_close(m);
        forget_all();
    }
}

/* Texts go from memory to the folder and come back, in the course of one engine. */
static void through_the_folder(void **state)
{
    (void)state;
    enum { TEXTS = 14 };
    pha_model *m = open_model(lab_find("default"), 11);
    pha_engine_info info;
    pha_texts_info texts = {0};
    pha_reuse r;
    read_plainly(m);
    pha_engine *e = usual_engine(m);
    pha_engine_get_info(e, &info);
    pha_engine_close(e);
    uint64_t ram = info.session_bytes / N * 64 * 64; /* some fifty pages; the texts have 84 */
    e = open_engine(m, ram, 64000000, NULL);
    pha_session *s = open_session(e);
    int32_t text[N];
    int64_t came, recalled = 0;
    for (int round = 0; round < 3 * TEXTS; round++) {
        for (int i = 0; i < N; i++) text[i] = (ids[i] + round % TEXTS) % V; /* the first one is `ids` */
        OK(pha_session_begin(s, text, N, "ann", &r));
        assert_true(r.miss == (round < TEXTS ? round ? PHA_MISS_DIFFERS : PHA_MISS_FIRST_USE : PHA_MISS_EVICTED));
        OK(pha_engine_recall(e, text, N, "ann", &came));
        recalled += came;
        if (round % TEXTS == 0) found_by(e, "ann");
        read_pages(s, text, N, "ann");
        OK(pha_session_begin(s, text, N, "ann", &r));
        assert_true(r.tokens == 384 && r.miss == PHA_MISS_NONE);
        do pha_engine_get_texts(e, &texts);
        while (texts.waiting);
        assert_true(texts.ram <= ram && texts.dropped == 0 && texts.failed == 0);
    }
    assert_true(recalled > TEXTS * N && texts.read > TEXTS && texts.written == 6 * TEXTS);
    pha_session_close(s);
    pha_engine_close(e);
    assert_int_equal(look().n, 6 * TEXTS);
    pha_model_close(m);
    forget_all();
}

static void others(void **state)
{
    (void)state;
    pha_model *m = open_model(lab_find("default"), 11), *stranger = open_model(lab_find("default"), 12);
    fill(stranger);
    read_plainly(m);
    pha_reuse r = found(m, "ann");
    assert_true(r.tokens == 0 && r.miss == PHA_MISS_OTHER_MODEL && r.at == 0);
    assert_int_equal(found(m, "bob").miss, PHA_MISS_FIRST_USE); /* nothing is said of what ann's model has read */
    forget_all();
    pha_engine *e = open_engine(m, 64000000, 64000000, "cpu:generic"); /* the same model with other kernels */
    pha_session *s = open_session(e);
    read_pages(s, ids, N, "ann");
    pha_session_close(s);
    pha_engine_close(e);
    if (strcmp(pha_isa(), "generic")) {
        r = found(m, "ann");
        assert_true(r.tokens == 0 && r.miss == PHA_MISS_OTHER_MODEL);
    }
    pha_model_close(m);
    pha_model_close(stranger);
    forget_all();
}

static bool is_damage(const pha_model *m, const whole_file *f)
{
    pha_engine *e = usual_engine(m);
    pha_texts_info info;
    pha_reuse r = found_by(e, "ann");
    pha_engine_get_texts(e, &info);
    bool gone = !pha__exists(f->path);
    assert_true(gone && info.damaged == 1); /* or it would be looked at again and again */
    assert_true(r.miss == PHA_MISS_DAMAGED && r.tokens == r.at && r.tokens % 64 == 0 && r.tokens < 384);
    pha_engine_close(e); /* which writes the page again */
    assert_true(pha__file_size(f->path) > 0); /* if with the state behind it depends on how it was read */
    return true;
}

static void damaged(void **state)
{
    (void)state;
    pha_model *m = open_model(lab_find("default"), 11);
    read_plainly(m);
    fill(m);
    files all = look();
    for (int i = 0; i < all.n; i++) {
        whole_file f = read_whole("", all.path[i]);
        size_t by = f.size / (i ? 4 : 100); /* of the first file all places of its header, and more behind it */
        for (size_t at = (size_t)i; at < f.size; at += at < 400 && i == 0 ? 3 : by) {
            put_flipped(&f, at, 1 << (at % 8));
            assert_true(is_damage(m, &f));
        }
        for (int part = 0; part < 5; part++) {
            size_t size = f.size;
            f.size = part < 4 ? f.size * (size_t)part / 4 : size - 1;
            put_bytes(&f);
            f.size = size;
            assert_true(is_damage(m, &f));
        }
        FILE *longer = fopen(f.path, "ab");
        fputc(0, longer), fclose(longer);
        assert_true(is_damage(m, &f));
        put_back(&f);
        assert_int_equal(found(m, "ann").tokens, 384);
    }
    /* One page in the place of another: whole, and not what is asked for. */
    whole_file a = read_whole("", all.path[0]), b = read_whole("", all.path[1]);
    assert_int_equal(a.size, b.size);
    char *data = a.data;
    a.data = b.data;
    put_bytes(&a);
    a.data = data;
    assert_true(is_damage(m, &a));
    put_back(&a), put_back(&b);
    pha_model_close(m);
    forget_all();
}

/* An engine that reads a text and is closed. */
static int read_and_close(void *model)
{
    pha_engine *e;
    pha_session *s;
    pha_engine_options o = {.max_context = N, .threads = 1, .state_ram = 64000000, .state_disk = folder,
                            .state_disk_bytes = 64000000};
    TRY(pha_engine_open(&e, model, &o));
    pha_status status = pha_engine_session(e, &s);
    if (!status) read_pages(s, ids, 256, "ann"), pha_session_close(s);
    pha_engine_close(e);
    return status;
}

/* Killed at each call that changes a file, and with a disk that fails there: what lies there is right or removed. */
static void killed(void **state)
{
    (void)state;
    static const char *const faults[] = {"PHA_FAULT_WRITE", "PHA_FAULT_ENOSPC", "PHA_FAULT_EIO"};
    char seen[300];
    pha_model *m = open_model(lab_find("default"), 11);
    read_plainly(m);
    snprintf(seen, sizeof seen, "%s/seen", root);
    setenv("PHA_FAULT_SEEN", seen, 1);
    for (int k = 0; k < 3; k++) {
        int64_t some = 0, none = 0;
        for (int at = 1; at < 300; at++) {
            unlink(seen);
            forget_all();
            int code = in_child(faults[k], at, read_and_close, m);
            if (!pha__exists(seen)) break;
            assert_true(k ? code == PHA_OK || code == PHA_IO : code == -1);
            int64_t tokens = found(m, "ann").tokens;
            some += tokens > 0, none += tokens == 0;
            look(); /* nothing beside */
        }
        assert_true(some > 3 && none > 0);
    }
    unsetenv("PHA_FAULT_SEEN");
    pha_model_close(m);
    forget_all();
}

/* No more than the budget, and what was used last is there. */
static void budget(void **state)
{
    (void)state;
    pha_model *m = open_model(lab_find("default"), 11);
    int32_t text[N];
    read_plainly(m);
    fill(m);
    uint64_t most = look().bytes * 2;
    forget_all();
    for (int round = 0; round < 6; round++) {
        pha_engine *e = open_engine(m, 64000000, most, NULL);
        pha_session *s = open_session(e);
        for (int i = 0; i < N; i++) text[i] = (ids[i] + 1 + round) % V;
        read_pages(s, text, N, "ann");
        OK(pha_engine_recall(e, ids, N, "ann", NULL));
        read_pages(s, ids, N, "ann");
        pha_session_close(s);
        pha_engine_close(e);
        assert_true(look().bytes <= most);
        e = open_engine(m, 64000000, most, NULL);
        assert_int_equal(found_by(e, "ann").tokens, 384);
        pha_engine_close(e);
    }
    pha_engine *e = open_engine(m, 64000000, 100, NULL); /* less than a page, and the folder is made to fit */
    assert_int_equal(look().n, 0);
    found_by(e, "ann");
    pha_engine_close(e);
    assert_int_equal(look().n, 0);
    pha_model_close(m);
    forget_all();
}

/* Several processes write and read one folder at once, with room for a part only. */
static void together(void **state)
{
    (void)state;
    enum { PROCESSES = 3 };
    pha_model *m = open_model(lab_find("default"), 11);
    pid_t child[PROCESSES];
    read_plainly(m);
    fill(m);
    uint64_t most = look().bytes * 3;
    fflush(NULL);
    for (int k = 0; k < PROCESSES; k++) {
        if ((child[k] = fork()) != 0) continue;
        int32_t text[N];
        for (int round = 0; round < 6; round++) {
            pha_engine *e = open_engine(m, 64000000, most, NULL);
            pha_session *s = open_session(e);
            for (int i = 0; i < N; i++) text[i] = (ids[i] + 1 + (round + k) % 4) % V;
            OK(pha_engine_recall(e, text, N, "ann", NULL));
            read_pages(s, text, N, "ann");
            found_by(e, "ann");
            pha_session_close(s);
            pha_engine_close(e);
        }
        _exit(0);
    }
    for (int k = 0; k < PROCESSES; k++) {
        int status;
        assert_int_equal(waitpid(child[k], &status, 0), child[k]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    pha_engine *e = open_engine(m, 64000000, most, NULL);
    pha_texts_info info;
    found_by(e, "ann");
    pha_engine_get_texts(e, &info);
    assert_int_equal(info.damaged, 0);
    pha_engine_close(e);
    assert_true(look().bytes <= most);
    pha_model_close(m);
    forget_all();
}

/* What is not ours stays; what killed processes left goes, unless one of them lives. */
static void beside(void **state)
{
    (void)state;
    pha_model *m = open_model(lab_find("default"), 11);
    char mine[900], left[900];
    read_plainly(m);
    fill(m);
    files f = look();
    char *name = strrchr(f.path[0], '/');
    snprintf(mine, sizeof mine, "%s/letter.txt", folder);
    snprintf(left, sizeof left, "%.*s/.%s.pha-tmp", (int)(name - f.path[0]), f.path[0], name + 1);
    OK(pha__write_file(mine, "dear", 4));
    OK(pha__write_file(left, "half", 4));
    pha_engine *e = open_engine(m, 64000000, 1, NULL); /* room for nothing */
    pha_engine_close(e);
    assert_true(pha__exists(mine) && !pha__exists(left));
    assert_int_equal(unlink(mine), 0);
    assert_int_equal(look().n, 0);
    OK(pha__write_file(mine, "dear", 4));
    pha_engine_options o = {.max_context = N, .threads = 1, .state_ram = 1000000, .state_disk = mine,
                            .state_disk_bytes = 1};
    FAILS(IO, "letter.txt", pha_engine_open(&e, m, &o));
    o.state_disk = "";
    FAILS(USAGE, "names no folder", pha_engine_open(&e, m, &o));
    o.state_disk = folder, o.state_ram = 0;
    FAILS(USAGE, "state_ram is 0", pha_engine_open(&e, m, &o));
    o.state_ram = 1, o.state_disk_bytes = 0;
    FAILS(USAGE, "state_disk_bytes", pha_engine_open(&e, m, &o));
    pha_model_close(m);
    forget_all();
}

static void quiet(void *context, pha__log_level level, const char *text) { (void)context, (void)level, (void)text; }

static int setup(void **state)
{
    pha__log_to(quiet, NULL);
    for (int i = 0; i < N; i++) ids[i] = (i * i + 3 * i) % V;
    int code = root_setup(state);
    snprintf(folder, sizeof folder, "%s/texts", root);
    return code;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives), cmocka_unit_test(through_the_folder), cmocka_unit_test(others),
        cmocka_unit_test(damaged),  cmocka_unit_test(killed),             cmocka_unit_test(budget),
        cmocka_unit_test(together), cmocka_unit_test(beside),
    };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
