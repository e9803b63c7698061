/* The writer: nothing is half there, nothing of anybody else's is touched; a kill or a full disk at every system call
 * leaves the old file or the new one whole */
#include <sys/stat.h>

#include "support/allocations.h"
#include "support/child.h"
#include "support/root.h"

static char file[300];

/* Nothing is left beside the file. */
static void expect_alone(void)
{
    char **names;
    size_t n;
    OK(pha__list_dir(&names, &n, root));
    assert_int_equal(n, 1);
    assert_string_equal(names[0], "a.bin");
    pha__free_list(names, n);
}

static void commit_and_abort(void **state)
{
    (void)state;
    OK(pha__write_file(file, "old", 3));
    pha__writer *w, *second;
    OK(pha__writer_open(&w, file));
    OK(pha__writer_write(w, "new content", 11));
    expect_file(file, "old", 3);
    FAILS(USAGE, "another process", pha__writer_open(&second, file));
    pha__writer_abort(w);
    expect_file(file, "old", 3);

    size_t big = 700001;
    char *data = malloc(big + 6);
    for (size_t i = 0; i < big; i++) data[i] = (char)(i * 31 + i / 977);
    OK(pha__writer_open(&w, file));
    OK(pha__writer_write(w, "????", 4));
    OK(pha__writer_write(w, data + 4, 300000 - 4));
    for (size_t i = 300000; i < big; i += 997) OK(pha__writer_write(w, data + i, big - i < 997 ? big - i : 997));
    OK(pha__writer_printf(w, "%s%d", "end", 123));
    assert_int_equal(pha__writer_size(w), big + 6);
    OK(pha__writer_patch(w, 0, data, 4));
    OK(pha__writer_commit(w));
    memcpy(data + big, "end123", 6);
    expect_file(file, data, big + 6);

    OK(pha__writer_open(&w, file));
    OK(pha__writer_write(w, "abc", 3));
    FAILS(FAILED, "behind the end", pha__writer_patch(w, 2, "xy", 2));
    FAILS(FAILED, "behind the end", pha__writer_commit(w)); /* sticky */
    expect_file(file, data, big + 6);
    free(data);

    expect_alone();
    const char *more = in_root("more");
    FAILS(IO, "/nowhere/b: cannot create: No such file", pha__write_file("/nowhere/b", "", 0));
    OK(pha__append_file(more, "one\n", 4));
    OK(pha__append_file(more, "two\n", 4));
    expect_file(more, "one\ntwo\n", 8);
    assert_int_equal(pha__file_size(more), 8);
    OK(pha__remove_tree(more));
    assert_int_equal(pha__file_size(more), -1);
    assert_int_equal(pha__mem_now(), 0);
}

/* What a writer must not put an end to: a user's own NAME.tmp, a device, a pipe, a folder. */
static void foreign(void **state)
{
    (void)state;
    char own[320], whole[256];
    struct stat info;
    snprintf(own, sizeof own, "%s.tmp", file);
    OK(pha__write_file(own, "mine", 4));
    OK(pha__write_file(file, "text", 4));
    expect_file(own, "mine", 4);
    unlink(own);
    snprintf(own, sizeof own, "%s/.a.bin.pha-tmp", root);
    OK(pha__write_file(own, "left by a kill", 14));
    OK(pha__write_file(file, "new", 3));
    expect_file(file, "new", 3);
    expect_alone();
    assert_int_equal(mkfifo(own, 0600), 0);
    FAILS(IO, "a.bin.pha-tmp: is in the way", pha__write_file(file, "newer", 5));
    assert_true(lstat(own, &info) == 0 && S_ISFIFO(info.st_mode));
    FAILS(IO, "no regular file; choose another name", pha__write_file(own, "text", 4));
    assert_true(lstat(own, &info) == 0 && S_ISFIFO(info.st_mode));
    unlink(own);
    FAILS(IO, "no regular file; choose another name", pha__write_file(root, "text", 4));
    FAILS(USAGE, "a name of its own", pha__write_file("", "text", 4));
    expect_alone();

    static const char *const names[][2] = {{".a.pha-tmp", "a"},         {".a.b.pha-tmp", "a.b"}, {"a", "a"},
                                           {".pha-tmp", ".pha-tmp"},    {"..pha-tmp", "..pha-tmp"},
                                           {"a.pha-tmp", "a.pha-tmp"},  {".a.pha-tm", ".a.pha-tm"}, {"", ""},
                                           {".apha-tmp", ".apha-tmp"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        pha__whole_name(whole, names[i][0]);
        assert_string_equal(whole, names[i][1]);
    }
}

#define NEW_SIZE 600000

static void fill_new(char *data)
{
    for (int i = 0; i < NEW_SIZE; i++) data[i] = (char)(i % 251);
}

static int write_new(void *context)
{
    (void)context;
    static char data[NEW_SIZE];
    fill_new(data);
    pha__writer *w;
    pha_status status = pha__writer_open(&w, file);
    for (int i = 0; i < NEW_SIZE && w; i += 1000) pha__writer_write(w, data + i, 1000);
    if (w) pha__writer_patch(w, 10, data + 10, 10);
    if (w) status = pha__writer_commit(w);
    return status && strstr(pha_errmsg(), "No space left") ? 1 : status ? 9 : 0;
}

static char *new_data(void)
{
    char *data = malloc(NEW_SIZE);
    fill_new(data);
    return data;
}

/* The old file or the new one, nothing between. */
static int is_new(const char *data)
{
    char *text;
    size_t n;
    OK(pha__read_file(&text, &n, file, 1 << 24));
    int new = n == NEW_SIZE && memcmp(text, data, n) == 0;
    if (!new) assert_string_equal(text, "old");
    pha__free(text);
    return new;
}

static void killed_while_writing(void **state)
{
    (void)state;
    char *data = new_data();
    int n, survived = 0, olds = 0, news = 0;
    for (n = 1; n < 100 && !survived; n++) {
        OK(pha__write_file(file, "old", 3));
        survived = in_child("PHA_FAULT_WRITE", n, write_new, NULL) == 0;
        if (is_new(data)) news++;
        else olds++;
    }
    assert_true(survived);
    assert_true(olds >= 6 && news >= 2); /* open, truncate, writes, patch, sync, rename; sync of the folder, survival */
    free(data);
}

static void full_disk_while_writing(void **state)
{
    (void)state;
    char *data = new_data();
    int n, result = 1;
    for (n = 1; n < 100 && result != 0; n++) {
        OK(pha__write_file(file, "old", 3));
        result = in_child("PHA_FAULT_ENOSPC", n, write_new, NULL);
        if (result != 0) assert_int_equal(result, 1); /* PHA_IO, and the message says why */
        if (n < 7) assert_false(is_new(data));
        expect_alone();
    }
    assert_int_equal(result, 0);
    assert_true(n > 8 && is_new(data));
    free(data);
}

static pha_status write_once(void *context)
{
    (void)context;
    return pha__write_file(file, "new", 3);
}

static void out_of_memory(void **state)
{
    (void)state;
    OK(pha__write_file(file, "old", 3));
    assert_in_range(fail_allocations(write_once, NULL, 20), 3, 20);
}

static int setup(void **state)
{
    root_setup(state);
    snprintf(file, sizeof file, "%s/a.bin", root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commit_and_abort),
        cmocka_unit_test(foreign),
        cmocka_unit_test(killed_while_writing),
        cmocka_unit_test(full_disk_while_writing),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
