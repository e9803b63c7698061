/* Allocation, arenas, growing strings, statuses, hashes, log */
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "support/check.h"

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif
#ifdef SANITIZED
#include <sanitizer/asan_interface.h>
#endif

static void alloc_counts(void **state)
{
    (void)state;
    uint64_t count = pha__mem_count();
    char *p = pha__alloc(3, 100), *q = pha__alloc_zero(1, 4097);
    assert_int_equal((uintptr_t)p % PHA__ALIGN, 0);
    assert_int_equal((uintptr_t)q % PHA__ALIGN, 0);
    assert_int_equal(pha__mem_now(), 300 + 4097);
    for (int i = 0; i < 4097; i++) assert_int_equal(q[i], 0);
    memset(p, 7, 300);
    p = pha__realloc(p, 50, 10);
    for (int i = 0; i < 300; i++) assert_int_equal(p[i], 7);
    p = pha__realloc(p, 10, 1);
    assert_int_equal(pha__mem_now(), 10 + 4097);
    assert_true(pha__mem_peak() >= 300 + 4097);
    assert_int_equal(pha__mem_count() - count, 4);
    pha__free(p);
    pha__free(q);
    pha__free(NULL);
    void *none = pha__alloc(0, 8);
    assert_non_null(none);
    pha__free(none);
    char *big = pha__alloc((size_t)20 << 20, 1); /* asks for huge pages */
    big[0] = 1, big[((size_t)20 << 20) - 1] = 2;
    pha__free(big);
    assert_int_equal(pha__mem_now(), 0);
}

static size_t asked;

static void *count_asked(void *context, size_t size)
{
    (void)context;
    asked += size;
    return malloc(size);
}

static void free_counted(void *context, void *p)
{
    (void)context;
    free(p);
}

/* Little is around a small block (but under the sanitizer), and it is counted and fails as any other. */
static void small_blocks(void **state)
{
    (void)state;
    OK(pha__set_allocator(count_asked, free_counted, NULL));
    uint64_t count = pha__mem_count();
    for (size_t size = 0; size < 100; size++) {
        asked = 0;
        char *p = pha__alloc_small(size);
        assert_int_equal((uintptr_t)p % PHA__ALIGN_SMALL, 0);
        assert_int_equal(pha__mem_now(), size);
        memset(p, 7, size);
#ifndef SANITIZED
        assert_in_range(asked, size + 16, size + 31);
#endif
        pha__free_small(p);
    }
    assert_int_equal(pha__mem_count() - count, 100);
    pha__mem_fail_at(1);
    assert_null(pha__alloc_small(8));
    pha__free_small(NULL);
    assert_int_equal(pha__mem_now(), 0);
    OK(pha__set_allocator(NULL, NULL, NULL));
}

/* The sanitizer sees the first byte that is too far on both sides, whatever lies there. */
static void alloc_is_exact(void **state)
{
    (void)state;
#ifdef SANITIZED
    for (size_t size = 0; size < 200; size++) {
        char *p = pha__alloc(size, 1);
        assert_null(__asan_region_is_poisoned(p, size));
        assert_true(__asan_address_is_poisoned(p - 1));
        assert_true(__asan_address_is_poisoned(p + size));
        pha__free(p);
        p = pha__alloc_small(size);
        assert_true(__asan_address_is_poisoned(p - 1) && __asan_address_is_poisoned(p + size));
        pha__free_small(p);
    }
#else
    skip();
#endif
}

static void alloc_overflow(void **state)
{
    (void)state;
    volatile size_t half = SIZE_MAX / 2 + 2; /* volatile: the compiler shall not warn of the size */
    assert_null(pha__alloc(half, 2));
    assert_non_null(strstr(pha_errmsg(), "no memory"));
    assert_null(pha__alloc(SIZE_MAX - half + half, 1));
    assert_null(pha__alloc_zero(half, 3));
    char *p = pha__strdup("kept");
    assert_null(pha__realloc(p, half, 4));
    assert_string_equal(p, "kept");
    pha__free(p);
}

static void alloc_fails_on_demand(void **state)
{
    (void)state;
    pha__mem_fail_at(2);
    void *a = pha__alloc(1, 8);
    assert_non_null(a);
    assert_null(pha__alloc(1, 8));
    void *b = pha__alloc(1, 8);
    assert_non_null(b);
    pha__free(a);
    pha__free(b);
    pha__mem_fail_at(1);
    pha__mem_fail_at(0);
    a = pha__alloc(1, 8);
    assert_non_null(a);
    pha__free(a);
}

static int live;

static void *own_alloc(void *context, size_t size)
{
    ++*(int *)context;
    char *p = malloc(size + 3);
    return p ? p + 3 : NULL; /* as unaligned as it gets */
}

static void own_free(void *context, void *p)
{
    --*(int *)context;
    free((char *)p - 3);
}

static void own_allocator(void **state)
{
    (void)state;
    OK(pha__set_allocator(own_alloc, own_free, &live));
    char *p = pha__strdup("x");
    assert_int_equal(live, 1);
    assert_int_equal((uintptr_t)p % PHA__ALIGN, 0);
    FAILS(USAGE, "holds no memory", pha__set_allocator(NULL, NULL, NULL));
    FAILS(USAGE, "both", pha__set_allocator(own_alloc, NULL, NULL));
    pha__free(p);
    assert_int_equal(live, 0);
    OK(pha__set_allocator(NULL, NULL, NULL));
}

static void arenas(void **state)
{
    (void)state;
    pha__arena a = { 0 };
    for (int i = 0; i < 3000; i++) {
        unsigned char *p = pha__arena_alloc(&a, (size_t)(i % 70), 1);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (int k = 0; k < i % 70; k++) assert_int_equal(p[k], 0);
        memset(p, 0xFF, (size_t)(i % 70));
    }
    unsigned char *big = pha__arena_alloc(&a, 1000, 1000);
    assert_int_equal(big[999999], 0);
    assert_string_equal(pha__arena_printf(&a, "layer%d.%s", 12, "norm"), "layer12.norm");
    assert_string_equal(pha__arena_strdup(&a, "abc"), "abc");
    assert_int_equal(a.failed, 0);
    assert_null(pha__arena_alloc(&a, SIZE_MAX / 4, 8));
    assert_int_equal(a.failed, 1);
    assert_null(pha__arena_alloc(&a, 1, 1)); /* sticky */
    pha__arena_free(&a);
    assert_int_equal(pha__mem_now(), 0);
    assert_int_equal(a.failed, 0);
}

static void strings(void **state)
{
    (void)state;
    pha__str s = { 0 };
    for (int i = 0; i < 1000; i++) pha__str_printf(&s, "%d,", i);
    pha__str_puts(&s, "end");
    pha__str_add(&s, "\0x", 2);
    assert_int_equal(s.size, 3890 + 3 + 2);
    assert_memory_equal(s.data, "0,1,2,", 6);
    assert_int_equal(s.data[s.size], 0);
    pha__str_clear(&s);
    assert_string_equal(s.data, "");
    pha__mem_fail_at(1);
    for (int i = 0; i < 2000; i++) pha__str_puts(&s, "abcdef");
    assert_int_equal(s.failed, 1);
    pha__mem_fail_at(0);
    pha__str_free(&s);
    assert_int_equal(pha__mem_now(), 0);

    assert_int_equal(pha__edit_distance("", ""), 0);
    assert_int_equal(pha__edit_distance("d_modle", "d_model"), 2);
    assert_int_equal(pha__edit_distance("kitten", "sitting"), 3);
    assert_int_equal(pha__edit_distance("", "abc"), 3);
}

static void messages(void **state)
{
    (void)state;
    assert_int_equal(pha__fail(PHA_BAD_INPUT, "'%s' is %d", "x", 3), PHA_BAD_INPUT);
    assert_string_equal(pha_errmsg(), "'x' is 3");
    pha__fail_in(PHA_IO, "file %d", 1);
    assert_string_equal(pha_errmsg(), "file 1: 'x' is 3");
    pha__fail(PHA_IO, "again: %s", pha_errmsg()); /* a message may quote the last one */
    assert_string_equal(pha_errmsg(), "again: file 1: 'x' is 3");
    char longer[3000];
    memset(longer, 'y', sizeof longer);
    longer[2999] = 0;
    pha__fail(PHA_IO, "%s", longer);
    assert_int_equal(strlen(pha_errmsg()), 1023);
    pha__fail_in(PHA_IO, "here");
    assert_int_equal(strlen(pha_errmsg()), 1023);
    pha__fail_in(PHA_IO, "%s", longer);
    assert_int_equal(strlen(pha_errmsg()), 1023);
    assert_string_equal(pha_status_text(PHA_OK), "success");
    assert_non_null(pha_status_text((pha_status)99));
    assert_string_equal(pha_version(), "0.1.0");
}

static char heard[100];

static void hear(void *context, pha__log_level level, const char *text)
{
    snprintf(context, sizeof heard, "%d %s", level, text);
}

static void logging(void **state)
{
    (void)state;
    pha__log_to(hear, heard);
    pha__log(PHA__LOG_WARN, "a %s", "b");
    pha__log_to(NULL, NULL);
    assert_string_equal(heard, "0 a b");
}

static void hashes(void **state)
{
    (void)state;
    assert_int_equal(pha__hash("", 0, 0), 0x2d06800538d394c2); /* XXH3_64bits of nothing, from its specification */
    char data[5000];
    for (int i = 0; i < 5000; i++) data[i] = (char)(i * 7);
    pha__hasher *h = pha__hasher_open();
    for (int i = 0; i < 5000; i += 100) pha__hasher_add(h, data + i, 100);
    assert_int_equal(pha__hasher_value(h), pha__hash(data, 5000, 0));
    assert_true(pha__hash(data, 5000, 1) != pha__hash(data, 5000, 0));
    pha__hasher_close(h);
    pha__mem_fail_at(1);
    assert_null(pha__hasher_open());
    pha__mem_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alloc_counts), cmocka_unit_test(small_blocks), cmocka_unit_test(alloc_is_exact),
        cmocka_unit_test(alloc_overflow), cmocka_unit_test(alloc_fails_on_demand),
        cmocka_unit_test(own_allocator), cmocka_unit_test(arenas), cmocka_unit_test(strings),
        cmocka_unit_test(messages), cmocka_unit_test(logging), cmocka_unit_test(hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
