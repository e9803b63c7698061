/* .npy: what NumPy writes is read, what cannot be read is named, what we write is what NumPy would */
#include "io/npy.h"

#include "support/root.h"

static char file[300];

static void put(int version, const char *header, const void *data, size_t size)
{
    unsigned char all[1024] = { 0x93, 'N', 'U', 'M', 'P', 'Y', (unsigned char)version, 0 };
    size_t n = strlen(header), at = version == 1 ? 10 : 12;
    all[8] = (unsigned char)n;
    all[9] = (unsigned char)(n >> 8);
    memcpy(all + at, header, n);
    memcpy(all + at + n, data, size);
    OK(pha__write_file(file, all, at + n + size));
}

#define HEAD(descr, order, shape) "{'descr': '" descr "', 'fortran_order': " order ", 'shape': " shape ", }   \n"

static void expect(int64_t B, int64_t T, const int32_t *want)
{
    int32_t *ids;
    int64_t b, t;
    OK(pha__npy_read_ids(&ids, &b, &t, file));
    assert_int_equal(b, B);
    assert_int_equal(t, T);
    assert_memory_equal(ids, want, (size_t)(B * T) * 4);
    pha__free(ids);
}

static void reads(void **state)
{
    (void)state;
    const int32_t want[6] = { 0, 1, 50256, 3, 65535, -1 }, small[2] = { 65535, 7 };
    int64_t wide[6];
    for (int i = 0; i < 6; i++) wide[i] = want[i];
    const uint16_t narrow[2] = { 65535, 7 };
    put(1, HEAD("<i4", "False", "(2, 3)"), want, sizeof want);
    expect(2, 3, want);
    put(2, HEAD("<i8", "False", "(3,2,)"), wide, sizeof wide);
    expect(3, 2, want);
    put(1, "{\"shape\":(2,),\"fortran_order\":False,\"descr\":\"<u2\"}", narrow, sizeof narrow);
    expect(1, 2, small);
}

static void rejects(void **state)
{
    (void)state;
    static const struct { const char *message, *header; size_t size; } cases[] = {
        { "Fortran order", HEAD("<i4", "True", "(2, 3)"), 24 },
        { "dtype '<f4'", HEAD("<f4", "False", "(2, 3)"), 24 },
        { "dtype '>i4'", HEAD(">i4", "False", "(2, 3)"), 24 },
        { "dtype '|O'", HEAD("|O", "False", "(2, 3)"), 24 },
        { "rank 3", HEAD("<i4", "False", "(1, 2, 3)"), 24 },
        { "rank 0", HEAD("<i4", "False", "()"), 4 },
        { "need 24 bytes but 23", HEAD("<i4", "False", "(2, 3)"), 23 },
        { "need 24 bytes but 25", HEAD("<i4", "False", "(2, 3)"), 25 },
        { "empty or overflows", HEAD("<i4", "False", "(0, 3)"), 0 },
        { "empty or overflows", HEAD("<i4", "False", "(4294967296, 4294967296)"), 0 },
        { "header cannot be read", HEAD("<i4", "False", "(99999999999999999999, 1)"), 0 },
        { "header cannot be read", HEAD("<i4", "False", "(1, 1, 1, 1, 1)"), 4 },
        { "header cannot be read", HEAD("<i4", "False", "(-1, 1)"), 4 },
        { "header cannot be read", HEAD("<i4", "Maybe", "(1, 1)"), 4 },
        { "header cannot be read", "{'descr': '<i4', 'shape': (1, 1)}", 4 },
        { "header cannot be read", "{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1, 1)}", 4 },
        { "header cannot be read", "{'descr': '<i4', 'descr': '<i4', 'fortran_order': False, 'shape': (1,)}", 4 },
        { "header cannot be read", HEAD("<i4", "False", "(1, 1)") "x", 4 },
        { "header cannot be read", "{'descr': '<i4", 4 },
        { "header cannot be read", "", 4 },
    };
    const char data[32] = { 0 };
    int32_t *ids;
    int64_t b, t;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(1, cases[i].header, data, cases[i].size);
        FAILS(BAD_INPUT, cases[i].message, pha__npy_read_ids(&ids, &b, &t, file));
        assert_null(ids);
        assert_non_null(strstr(pha_errmsg(), file));
    }
    const int64_t big = INT64_C(1) << 40;
    put(1, HEAD("<i8", "False", "(1, 1)"), &big, 8);
    FAILS(BAD_INPUT, "no token id", pha__npy_read_ids(&ids, &b, &t, file));
    put(9, HEAD("<i4", "False", "(1, 1)"), data, 4);
    FAILS(BAD_INPUT, "version", pha__npy_read_ids(&ids, &b, &t, file));
    for (size_t n = 0; n < 12; n++) { /* truncated anywhere */
        OK(pha__write_file(file, "\x93NUMPY\x02\x00\x10\x00\x00\x00", n));
        FAILS(BAD_INPUT, file, pha__npy_read_ids(&ids, &b, &t, file));
    }
    assert_int_equal(pha__mem_now(), 0);
}

static void writes(void **state)
{
    (void)state;
    const float x[24] = { 0, 1, 2, 3, 4, 5 };
    pha__npy *w;
    for (int rank = 1; rank <= 4; rank++) {
        const int64_t shape[4] = { rank == 1 ? 24 : 2, rank == 2 ? 12 : 3, rank == 3 ? 4 : 2, 2 };
        OK(pha__npy_open(&w, file, shape, rank));
        OK(pha__npy_write(w, x, 5));
        OK(pha__npy_write(w, x + 5, 19));
        FAILS(FAILED, "more values", pha__npy_write(w, x, 1));
        OK(pha__npy_commit(w));
        pha__map map;
        OK(pha__map_open(&map, file));
        size_t begin = map.size - sizeof x;
        assert_int_equal(begin % 64, 0);
        assert_memory_equal(map.data + begin, x, sizeof x);
        assert_int_equal(map.data[begin - 1], '\n');
        assert_int_equal(map.data[8] | map.data[9] << 8, begin - 10);
        const char *want[] = { "{'descr': '<f4', 'fortran_order': False, 'shape': (24,), }",
                               "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 12), }",
                               "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 4), }",
                               "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 2, 2), }" };
        assert_memory_equal(map.data + 10, want[rank - 1], strlen(want[rank - 1]));
        pha__map_close(&map);
    }
    const int64_t shape[1] = { 3 };
    OK(pha__npy_open(&w, file, shape, 1));
    OK(pha__npy_write(w, x, 2));
    FAILS(FAILED, "1 values of the array are missing", pha__npy_commit(w));
    pha__npy_abort(NULL);
    FAILS(FAILED, "rank", pha__npy_open(&w, file, shape, 5));
    assert_int_equal(pha__mem_now(), 0);
}

static int setup(void **state)
{
    root_setup(state);
    snprintf(file, sizeof file, "%s/a.npy", root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reads), cmocka_unit_test(rejects), cmocka_unit_test(writes) };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
