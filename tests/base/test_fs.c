/* Files: maps, locks, folders; a kill or a failure at every system call leaves the old folder or the new one whole */
#include "base/fs.h"

#include <sys/stat.h>

#include "base/mem.h"
#include "support/child.h"
#include "support/root.h"

static char file[300], dir[300], other[300], aside[300], removed[300];

static void maps(void **state)
{
    (void)state;
    pha__map map;
    OK(pha__write_file(file, "hello", 5));
    OK(pha__map_open(&map, file));
    assert_int_equal(map.size, 5);
    assert_memory_equal(map.data, "hello", 5);
    assert_string_equal(map.path, file);
    pha__map_close(&map);
    pha__map_close(&map);
    OK(pha__write_file(file, "", 0));
    OK(pha__map_open(&map, file));
    assert_int_equal(map.size, 0);
    assert_non_null(map.data);
    pha__map_close(&map);
    FAILS(IO, "missing: cannot open: No such file", pha__map_open(&map, "missing"));
    FAILS(IO, "is a folder", pha__map_open(&map, root));
    FAILS(IO, "not a regular file", pha__map_open(&map, "/dev/null"));
    assert_int_equal(mkfifo(other, 0600), 0); /* nobody writes into it: an open that waits would wait for ever */
    FAILS(IO, "not a regular file", pha__map_open(&map, other));
    char *text;
    size_t size;
    OK(pha__read_file(&text, &size, "/proc/self/status", 1 << 20)); /* a size that is not known before */
    assert_true(size > 100 && text[size] == 0);
    pha__free(text);
    FAILS(IO, "not a regular file", pha__read_file(&text, &size, other, 10));
    FAILS(IO, "cannot open for appending", pha__append_file(other, "x", 1));
    OK(pha__remove_tree(other));
    FAILS(BAD_INPUT, "larger than 10", pha__read_file(&text, &size, "/proc/self/status", 10));
    assert_null(text);
    assert_int_equal(pha__mem_now(), 0);
}

static void make_folder(const char *path, const char *text)
{
    char a[320];
    OK(pha__mkdirs(path));
    snprintf(a, sizeof a, "%s/one", path);
    OK(pha__write_file(a, text, strlen(text)));
    snprintf(a, sizeof a, "%s/two", path);
    OK(pha__write_file(a, text, strlen(text)));
}

static int replace_folder(void *context)
{
    (void)context;
    return pha__replace_dir(other, dir) != PHA_OK;
}

static const char *folder_state(const char *path)
{
    static char text[10];
    char a[320], *one, *two;
    size_t n, m;
    snprintf(a, sizeof a, "%s/one", path);
    OK(pha__read_file(&one, &n, a, 100));
    snprintf(a, sizeof a, "%s/two", path);
    OK(pha__read_file(&two, &m, a, 100));
    assert_string_equal(one, two);
    snprintf(text, sizeof text, "%s", one);
    pha__free(one);
    pha__free(two);
    return text;
}

/* `n` kills or failures, with and without a system that swaps two names. Who opens the place next finds the old folder
 * or the new one there. */
static int disturb_replacing(const char *variable, const char *swap)
{
    int left = 1, news = 0, olds = 0;
    if (swap) setenv("PHA_FAULT_EXCHANGE", swap, 1);
    for (int n = 1; n < 30 && left; n++) {
        OK(pha__remove_tree(dir));
        OK(pha__remove_tree(other));
        OK(pha__remove_tree(aside));
        OK(pha__remove_tree(removed));
        make_folder(dir, "old");
        make_folder(other, "new");
        left = in_child(variable, n, replace_folder, NULL);
        if (pha__exists(aside)) assert_string_equal(folder_state(aside), "old"); /* whole: it may be put back */
        if (left != -1) assert_true(pha__exists(dir)); /* what only fails puts it back itself */
        if (swap && left == -1 && !pha__exists(dir)) news += 100; /* it was seen at all */
        OK(pha__settle(dir, false));
        if (strcmp(folder_state(dir), "new") == 0) news++;
        else olds++;
    }
    unsetenv("PHA_FAULT_EXCHANGE");
    assert_true(left == 0 && olds >= 2 && (news >= 2 || !strcmp(variable, "PHA_FAULT_EIO")));
    assert_false(pha__exists(other));
    OK(pha__remove_tree(aside));
    OK(pha__remove_tree(removed));
    return news / 100;
}

static void killed_while_replacing(void **state)
{
    (void)state;
    assert_int_equal(disturb_replacing("PHA_FAULT_WRITE", NULL), 0);
    assert_int_equal(disturb_replacing("PHA_FAULT_WRITE", "ENOSYS"), 1);
    assert_int_equal(disturb_replacing("PHA_FAULT_WRITE", "EINVAL"), 1);
    assert_int_equal(disturb_replacing("PHA_FAULT_EIO", "ENOSYS"), 0);
    make_folder(other, "fresh"); /* no folder in the way */
    OK(pha__remove_tree(dir));
    OK(pha__replace_dir(other, dir));
    assert_string_equal(folder_state(dir), "fresh");
    FAILS(IO, other, pha__replace_dir(other, dir));

    /* one that is being replaced just now is left to who does it; what is there is never touched */
    pha__lock lock;
    char name[320];
    snprintf(name, sizeof name, "%s/.d.lock", root);
    OK(pha__lock_open(&lock, name));
    assert_int_equal(rename(dir, aside), 0);
    FAILS(USAGE, "another process is writing it", pha__settle(dir, false));
    OK(pha__settle(dir, true));
    pha__lock_close(&lock);
    make_folder(aside, "older");
    OK(pha__settle(dir, false));
    assert_string_equal(folder_state(dir), "fresh");
    OK(pha__remove_tree(dir));
    OK(pha__remove_tree(aside));
    OK(pha__settle(dir, false));
    OK(pha__settle("/", false));
    OK(pha__settle("..", false));
    assert_false(pha__exists(dir));
}

/* Behind a link, were it one that leads nowhere yet, and with a chain of them; the link stays. */
static void links(void **state)
{
    (void)state;
    char link[300], second[300], target[320], *place;
    struct stat info;
    snprintf(link, sizeof link, "%s/link", root);
    snprintf(second, sizeof second, "%s/second", root);
    snprintf(target, sizeof target, "%s/behind", root);
    assert_int_equal(symlink("behind", link), 0);
    assert_int_equal(symlink(link, second), 0);
    make_folder(other, "new");
    OK(pha__resolve(&place, second));
    assert_string_equal(place, target);
    pha__free(place);
    OK(pha__replace_dir(other, second));
    make_folder(other, "newer");
    OK(pha__replace_dir(other, link));
    assert_true(lstat(link, &info) == 0 && S_ISLNK(info.st_mode) && lstat(second, &info) == 0 && S_ISLNK(info.st_mode));
    assert_string_equal(folder_state(target), "newer");
    OK(pha__remove_tree(target));
    OK(pha__write_file(second, "text", 4));
    assert_true(lstat(second, &info) == 0 && S_ISLNK(info.st_mode));
    expect_file(target, "text", 4);
    unlink(target);
    assert_true(pha__exists(link)); /* a name that leads nowhere is there, and opening says what it is */
    assert_false(pha__exists(target) || pha__is_dir(link));
    unlink(second);
    assert_int_equal(symlink("second", second), 0);
    FAILS(IO, "leads nowhere", pha__resolve(&place, second));
    FAILS(IO, "leads nowhere", pha__write_file(second, "text", 4));
    assert_true(pha__exists(second) && pha__exists(in_root("second/inside")));
    unlink(link), unlink(second);
}

/* A clean-up that fails does not say so in the place of what failed first. */
static void first_message(void **state)
{
    (void)state;
    pha__fail(PHA_IO, "the first");
    make_folder(other, "old");
    setenv("PHA_FAULT_EIO", "1", 1);
    pha__discard(other);
    unsetenv("PHA_FAULT_EIO");
    assert_string_equal(pha_errmsg(), "the first");
    OK(pha__remove_tree(other));
}

/* The path of what is mapped at an address, also in the zeros behind its end; nothing after it is closed. */
static void mapped_files(void **state)
{
    (void)state;
    pha__map map[600];
    OK(pha__write_file(file, "hello", 5));
    for (int i = 0; i < 600; i++) OK(pha__map_open(&map[i], file));
    assert_string_equal(pha_mapped_file(map[0].data), file);
    assert_string_equal(pha_mapped_file(map[0].data + 4095), file);
    assert_null(pha_mapped_file(&map[0]));
    assert_null(pha_mapped_file(NULL));
    const void *first = map[0].data, *last = map[511].data;
    assert_non_null(pha_mapped_file(last));
    for (int i = 0; i < 600; i++) pha__map_close(&map[i]);
    assert_true(!pha_mapped_file(first) && !pha_mapped_file(last));
}

static void folders(void **state)
{
    (void)state;
    char deep[400];
    snprintf(deep, sizeof deep, "%s/x/y//z", dir);
    OK(pha__mkdirs(deep));
    OK(pha__mkdirs(deep));
    assert_true(pha__is_dir(deep));
    OK(pha__write_file(file, "old", 3));
    snprintf(deep, sizeof deep, "%s/q", file);
    FAILS(IO, "cannot make the folder", pha__mkdirs(deep));
    FAILS(IO, "cannot open the folder", pha__list_dir(&(char **){ NULL }, &(size_t){ 0 }, "/nowhere"));
    snprintf(deep, sizeof deep, "%s/link", dir);
    assert_int_equal(symlink(file, deep), 0);
    OK(pha__remove_tree(dir));
    assert_false(pha__exists(dir));
    expect_file(file, "old", 3); /* links are not followed */
    char *joined = pha__path_join("a/", "b");
    assert_string_equal(joined, "a/b");
    pha__free(joined);
    joined = pha__path_join("a", "b");
    assert_string_equal(joined, "a/b");
    pha__free(joined);
}

/* The second is refused, in this process and another; the first's end, or its death, sets the lock free. */
static void locks(void **state)
{
    (void)state;
    pha__lock one, two;
    int result;
    OK(pha__write_file(file, "text", 4));
    FAILS(IO, "not an empty file", pha__lock_open(&one, file)); /* somebody's, which would go with the lock */
    expect_file(file, "text", 4);
    unlink(file);
    for (int i = 0; i < 2; i++) {
        OK(pha__lock_open(&one, file));
        FAILS(USAGE, "another process", pha__lock_open(&two, file));
        pha__lock_close(&two);
        assert_true(pha__exists(file));
        pid_t child = fork();
        if (child == 0) _exit(pha__lock_open(&two, file));
        assert_int_equal(waitpid(child, &result, 0), child);
        assert_int_equal(WEXITSTATUS(result), PHA_USAGE);
        pha__lock_close(&one);
        assert_false(pha__exists(file));
        child = fork();
        if (child == 0) _exit(pha__lock_open(&two, file)); /* ends without closing */
        assert_int_equal(waitpid(child, &result, 0), child);
        assert_int_equal(WEXITSTATUS(result), PHA_OK);
    }
    assert_true(pha__exists(file));
    FAILS(IO, "cannot create", pha__lock_open(&one, "/absent/lock"));
    pha__lock_close(&one);
    unlink(file);
    assert_int_equal(pha__mem_now(), 0);
}

static int setup(void **state)
{
    root_setup(state);
    snprintf(file, sizeof file, "%s/a.bin", root);
    snprintf(dir, sizeof dir, "%s/d", root);
    snprintf(other, sizeof other, "%s/e", root);
    snprintf(aside, sizeof aside, "%s/.d.replaced", root);
    snprintf(removed, sizeof removed, "%s/.d.removed", root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps),          cmocka_unit_test(killed_while_replacing), cmocka_unit_test(folders),
        cmocka_unit_test(links),         cmocka_unit_test(first_message),
        cmocka_unit_test(mapped_files),  cmocka_unit_test(locks),
    };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
