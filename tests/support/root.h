/* root.h -- the folder of a test program: made before its tests, removed after them, when all memory must be free again
 *
 *   cmocka_run_group_tests(tests, root_setup, root_teardown)
 */
#ifndef ROOT_H
#define ROOT_H

#include "base/fs.h"
#include "base/mem.h"
#include "support/check.h"

static char root[256];

static inline int root_setup(void **state)
{
    (void)state;
    check_folder(root);
    return 0;
}

static inline int root_teardown(void **state)
{
    (void)state;
    OK(pha__remove_tree(root));
    if (pha__mem_now()) print_message("%zu bytes leaked\n", pha__mem_now());
    return pha__mem_now() != 0;
}

/* A file has these bytes. */
static inline void expect_file(const char *path, const void *data, size_t size)
{
    char *text;
    size_t n;
    OK(pha__read_file(&text, &n, path, 1 << 24));
    assert_int_equal(n, size);
    assert_memory_equal(text, data, size);
    pha__free(text);
}

/* root/name, until eight more paths have been asked for. */
static inline const char *in_root(const char *name)
{
    static char path[8][400];
    static int next;
    char *out = path[next++ % 8];
    snprintf(out, sizeof path[0], "%s/%s", root, name);
    return out;
}

#endif
