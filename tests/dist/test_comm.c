/* test_comm.c -- what ranks do together: the tree of sums, parts, broadcasts from any rank, one outcome for all */
#include "base/mem.h"
#include "dist/reduction.h"
#include "dist/wire.h"
#include "support/check.h"
#include "support/ranks.h"

static const int sizes[] = {1, 2, 4, 8, 16};
enum { SIZES = sizeof sizes / sizeof *sizes, N = 3000000 };

/* Number i of a rank's vector: of very different sizes, so that every order of a sum has other bits. */
static float number(int rank, int64_t i)
{
    uint64_t x = ((uint64_t)rank << 40 | (uint64_t)i) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u;
    return (float)(int32_t)(x >> 32) * (i % 3 ? 1.0f : 1e6f);
}

static float tree(int begin, int n, int64_t i)
{
    return n == 1 ? number(begin, i) : tree(begin, n / 2, i) + tree(begin + n / 2, n / 2, i);
}

/* Parts of different sizes, one of them empty; some longer than a piece of an exchange. */
static void cut(int size, int64_t n, int64_t *out)
{
    for (int p = 0; p <= size; p++) out[p] = n * p / size;
    if (size > 2) out[2] = out[1];
}

typedef struct job {
    int64_t n;
    const char *device;
    bool link; /* is there a way between the devices? */
    int wrong;
    bool sections;
} job;

/* Sections over the whole, from the end, twice as many as may wait at a time; one of them is empty. */
static void by_sections(pha__comm *c, const pha__division *parts, float *x)
{
    enum { MOST = 5 };
    int64_t n = parts->cut[c->size] / 32;
    pha__reduction *r;
    OK(pha__reduction_open(&r, c, parts, x, MOST));
    for (int k = 2 * MOST; k > 0; k--) {
        int64_t begin = k == 4 ? n * 4 / 10 * 32 : n * (k - 1) / 10 * 32, end = n * k / 10 * 32;
        if (k == 5) begin = n * 3 / 10 * 32;
        OK(pha__reduction_add(r, begin, k == 2 * MOST ? parts->cut[c->size] : k == 4 ? begin : end));
        if (k == MOST + 1) OK(pha__reduction_wait(r));
    }
    FAILS(FAILED, "more than 5 sections", pha__reduction_add(r, 0, 0));
    OK(pha__reduction_wait(r));
    OK(pha__reduction_wait(r)); /* nothing to wait for */
    pha__reduction_close(r);
}

/* What a device does by a kernel. */
static pha_status add(void *device, void *to, const void *from, int64_t n)
{
    size_t bytes = (size_t)n * sizeof(float);
    float *a = malloc(bytes), *b = malloc(bytes);
    OK(pha__download(device, a, to, bytes));
    OK(pha__download(device, b, from, bytes));
    for (int64_t i = 0; i < n; i++) a[i] += b[i];
    OK(pha__upload(device, to, a, bytes));
    free(a), free(b);
    return PHA_OK;
}

static void scatter_and_gather(pha__comm *c, void *context)
{
    job *j = context;
    int64_t cuts[65];
    pha__device *d;
    pha__wire wire;
    OK(pha__device_open(&d, j->device, 1));
    cut(c->size, j->n, cuts);
    OK(pha__wire_open(&wire, c, d, add, d));
    assert_int_equal(wire.link != NULL, j->link && c->size > 1);
    pha__division division = {d, cuts, &wire};
    size_t bytes = (size_t)j->n * sizeof(float);
    float *x = pha__device_alloc(d, bytes), *here = malloc(bytes);
    for (int64_t i = 0; i < j->n; i++) here[i] = number(c->rank, i);
    OK(pha__upload(d, x, here, bytes));
    if (j->sections) by_sections(c, &division, x);
    else OK(pha__comm_reduce_section(c, &division, x, 0, j->n));
    OK(pha__download(d, here, x, bytes));
    int part = pha__comm_part(c), wrong = 0;
    for (int64_t i = cuts[part]; i < cuts[part + 1]; i++) wrong += here[i] != tree(0, c->size, i);
    OK(pha__comm_gather_parts(c, &division, x, sizeof *x));
    OK(pha__download(d, here, x, bytes));
    for (int64_t i = 0; i < j->n; i += 7) wrong += here[i] != tree(0, c->size, i);
    __atomic_add_fetch(&j->wrong, wrong, __ATOMIC_SEQ_CST);
    free(here);
    pha__wire_close(&wire);
    pha__device_free(d, x);
    pha__device_close(d);
}

static void test_sum_is_a_tree(void **state)
{
    (void)state;
    static const char *const devices[] = {"cpu", "far"};
    for (int i = 0; i < SIZES; i++)
        for (int d = 0; d < 2; d++) {
            job j = {sizes[i] < 4 ? N : 20011, devices[d], false, 0};
            int64_t sent = ranks_run(sizes[i], scatter_and_gather, &j);
            assert_int_equal(j.wrong, 0);
            /* no more than each part once to each rank, for the sums and for the gathering, and some words */
            assert_true(sent <= 2 * (sizes[i] - 1) * j.n * (int64_t)sizeof(float) + 8 * sizes[i] * sizes[i]);
        }
}

/* In sections the sums are the same, on every way. */
static void test_sum_of_sections(void **state)
{
    (void)state;
    const char *cards = getenv("PHA_CUDA_PLUGIN") && getenv("PHA_NCCL") ? "far:cuda" : NULL;
    const char *devices[] = {"cpu", "far", cards};
    for (int d = 0; d < 3 && devices[d]; d++)
        for (int i = 1; i < SIZES - (devices[d] == cards); i++) {
            job j = {d ? 20011 : 2000000 >> i, devices[d], devices[d] == cards, 0, true};
            ranks_run(sizes[i], scatter_and_gather, &j);
            assert_int_equal(j.wrong, 0);
        }
}

/* On emulated cards: straight from one to the other, in several pieces too; all or none, by what each of them has. */
static void test_sum_over_links(void **state)
{
    (void)state;
    static const char *const ways[] = {"", "none", "cards", "odd"};
    if (!getenv("PHA_CUDA_PLUGIN") || !getenv("PHA_NCCL")) skip();
    for (int i = 0; i < 6; i++) {
        int size = i < 3 ? 2 << i : 2, pieces = i == 0;
        job j = {pieces ? (int64_t)PHA__WIRE_PIECE / 2 + 1000 : 20011, "far:cuda", i < 3, 0};
        setenv("PHA_TEST_NCCL", ways[i < 3 ? 0 : i - 2], 1);
        int64_t through_hosts = ranks_run(size, scatter_and_gather, &j);
        assert_int_equal(j.wrong, 0);
        assert_true(i < 3 ? through_hosts < 100 * size * size : through_hosts > j.n);
    }
    unsetenv("PHA_TEST_NCCL");
}

/* What a user says. */
static void test_links_are_not_wanted(void **state)
{
    (void)state;
    if (!getenv("PHA_CUDA_PLUGIN") || !getenv("PHA_NCCL")) skip();
    setenv("PHA_WIRE", "host", 1);
    job j = {20011, "far:cuda", false, 0};
    ranks_run(2, scatter_and_gather, &j);
    assert_int_equal(j.wrong, 0);
    unsetenv("PHA_WIRE");
}

static void parts_of_all(pha__comm *c, void *context)
{
    int *seen = context;
    __atomic_add_fetch(&seen[pha__comm_part(c)], 1, __ATOMIC_SEQ_CST);
}

static void test_each_part_has_one_rank(void **state)
{
    (void)state;
    int seen[16] = {0};
    ranks_run(16, parts_of_all, seen);
    for (int p = 0; p < 16; p++) assert_int_equal(seen[p], 1);
}

/* ---- messages -------------------------------------------------------------------------------------------- */

static void tell_all(pha__comm *c, void *context)
{
    int *wrong = context, each[64][3];
    for (int k = 0; k < 3; k++) each[c->rank][k] = 100 * c->rank + k;
    OK(pha__comm_all_gather(c, each, sizeof each[0]));
    for (int r = 0; r < c->size; r++)
        for (int k = 0; k < 3; k++)
            if (each[r][k] != 100 * r + k) __atomic_add_fetch(wrong, 1, __ATOMIC_SEQ_CST);
    size_t n = PHA__COMM_PIECE + 77;
    char *data = malloc(n);
    for (int from = 0; from < c->size; from++) {
        memset(data, c->rank == from ? from + 1 : 0, n);
        OK(pha__comm_broadcast(c, from, NULL, data, n));
        for (size_t i = 0; i < n; i += 1001)
            if (data[i] != from + 1) __atomic_add_fetch(wrong, 1, __ATOMIC_SEQ_CST);
        if (data[n - 1] != from + 1) __atomic_add_fetch(wrong, 1, __ATOMIC_SEQ_CST);
    }
    free(data);
}

static void test_gather_and_broadcast(void **state)
{
    (void)state;
    for (int i = 0; i < SIZES; i++) {
        int wrong = 0;
        ranks_run(sizes[i], tell_all, &wrong);
        assert_int_equal(wrong, 0);
    }
}

/* ---- one outcome ----------------------------------------------------------------------------------------- */

typedef struct outcome {
    int first, last; /* ranks that fail */
    pha_status code, seen[64];
    char text[64][200];
} outcome;

static void meet(pha__comm *c, void *context)
{
    outcome *o = context;
    pha_status mine = PHA_OK;
    if (c->rank >= o->first && c->rank <= o->last) mine = pha__fail(o->code, "no luck here");
    o->seen[c->rank] = pha__comm_agree(c, mine);
    snprintf(o->text[c->rank], sizeof o->text[0], "%s", pha_errmsg());
}

static void expect(int first, int last, pha_status code, const char *text)
{
    outcome o = {.first = first, .last = last, .code = code};
    ranks_run(8, meet, &o);
    for (int r = 0; r < 8; r++) {
        assert_int_equal(o.seen[r], first > last ? PHA_OK : code);
        if (first <= last) assert_string_equal(o.text[r], text);
    }
}

static void test_one_outcome(void **state)
{
    (void)state;
    expect(1, 0, PHA_IO, "");
    expect(3, 3, PHA_IO, "rank 3 (a thread): no luck here");
    expect(5, 6, PHA_BAD_INPUT, "rank 5 (a thread): no luck here");
    expect(0, 0, PHA_NO_MEMORY, "no luck here");
    expect(0, 7, PHA_USAGE, "no luck here");
    expect(2, 2, PHA_STOPPED, "no luck here");
}

static void test_number_of_ranks(void **state)
{
    (void)state;
    pha__comm c = {.size = 3};
    FAILS(USAGE, "3 ranks: their number must be a power of two", pha__comm_make(&c));
    c = (pha__comm){.size = 1};
    OK(pha__comm_make(&c));
    OK(pha__comm_agree(&c, PHA_OK));
    pha__comm_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum_is_a_tree),
        cmocka_unit_test(test_sum_of_sections), cmocka_unit_test(test_sum_over_links),
        cmocka_unit_test(test_links_are_not_wanted),        cmocka_unit_test(test_each_part_has_one_rank),
        cmocka_unit_test(test_gather_and_broadcast), cmocka_unit_test(test_one_outcome),
        cmocka_unit_test(test_number_of_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
