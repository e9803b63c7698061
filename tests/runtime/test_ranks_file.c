/* test_ranks_file.c -- a file that ranks write and read together: the bytes that one writes; what is wrong for one of
 * them is so for all, and leaves nothing */
#include "runtime/train/ranks_file.h"

#include <fcntl.h>
#include <stdatomic.h>

#include "base/fault.h"
#include "support/ranks.h"
#include "support/root.h"

enum { MOST = 8, TENSORS = 3, LONGEST = 3 << 20 };
static const int64_t sizes[TENSORS] = {LONGEST, 37, 4099}; /* numbers; one is longer than a message */
static const char *const names[TENSORS] = {"b", "a", "c"};

static float number(int tensor, int64_t i) { return (float)(tensor * 1000) + (float)(i % 977); }

typedef struct job {
    const char *path, *device;
    pha_status status[MOST];
    char text[MOST][400];
    bool done[MOST], right[MOST];
} job;

/* Which of the messages to rank 1 come to it changed. */
static enum { NONE, PATHS, SUMS } lie;
static char wrong_path[300];

static pha_status exchange(void *self, int peer, const void *out, size_t n_out, void *in, size_t n_in)
{
    const ranks_one *r = self;
    pha_status status = ranks_exchange(self, peer, out, n_out, in, n_in);
    if (r->rank != 1) return status;
    if (lie == PATHS && n_in > 4000 && n_in < 4200) memcpy(in, wrong_path, strlen(wrong_path) + 1);
    if (lie == SUMS && n_in == (size_t)r->comm.size * sizeof(uint64_t)) ((uint64_t *)in)[1] ^= 1;
    return status;
}

static pha__tensor tensor(int k)
{
    return (pha__tensor){.name = names[k], .dtype = PHA__F32, .rank = 1, .shape = {sizes[k]}};
}

static int index_of(const char *name)
{
    int k = 0;
    while (strcmp(names[k], name)) k++;
    return k;
}

/* The ranks have parts of each tensor in turns, of uneven sizes; memory has all of them one behind another. */
static pha_status add_pieces(pha__ranks_file *f, int k, uint64_t at, char *memory)
{
    int64_t begin = 0, first = 0;
    for (int i = 0; i < k; i++) first += sizes[i];
    for (int i = 0; i < f->comm->size; i++) {
        int64_t end = sizes[k] * (i + 1) / f->comm->size - (i + 1 < f->comm->size);
        int rank = (i + k) % f->comm->size;
        pha__file_piece p = {at + (uint64_t)begin * 4, (uint64_t)(end - begin) * 4, rank,
                             rank == f->comm->rank ? memory + (first + begin) * 4 : NULL};
        TRY(pha__ranks_file_add(f, &p));
        begin = end;
    }
    return PHA_OK;
}

static size_t all_bytes(void)
{
    size_t n = 0;
    for (int k = 0; k < TENSORS; k++) n += (size_t)sizes[k] * 4;
    return n;
}

static void fill(float *x)
{
    for (int k = 0; k < TENSORS; k++)
        for (int64_t i = 0; i < sizes[k]; i++) *x++ = number(k, i);
}

/* All that is this rank's holds what it should. */
static bool holds(const pha__ranks_file *f, const float *x)
{
    float *wanted = pha__alloc(all_bytes(), 1);
    bool right = true;
    fill(wanted);
    for (size_t i = 0; i < f->n; i++) {
        const char *mine = f->piece[i].data;
        if (mine) right = right && !memcmp(mine, (char *)wanted + (mine - (const char *)x), (size_t)f->piece[i].size);
    }
    pha__free(wanted);
    return right;
}

static pha_status write_one(pha__comm *c, job *j, pha__ranks_file *f, char *memory)
{
    pha__tensor tensors[TENSORS];
    uint64_t at = 0;
    for (int k = 0; k < TENSORS; k++) tensors[k] = tensor(k);
    TRY(pha__safetensors_order(tensors, TENSORS, "a test"));
    for (int k = 0; k < TENSORS; at += tensors[k++].size) TRY(add_pieces(f, index_of(tensors[k].name), at, memory));
    return pha__ranks_file_write(f, c->rank ? NULL : j->path, tensors, TENSORS, &j->done[c->rank]);
}

static void write_body(pha__comm *c, void *context)
{
    static const pha__transport lying = {exchange, ranks_name, ranks_leave, ranks_abandon};
    job *j = context;
    pha__device *d;
    c->transport = &lying;
    float *numbers = pha__alloc(all_bytes(), 1);
    fill(numbers);
    pha_status status = pha__device_open(&d, j->device, 1);
    char *memory = pha__device_alloc(d, all_bytes());
    if (!status) status = pha__upload(d, memory, numbers, all_bytes());
    pha__ranks_file f = {.comm = c, .device = d};
    if (!status) status = write_one(c, j, &f, memory);
    j->status[c->rank] = status;
    snprintf(j->text[c->rank], sizeof *j->text, "%s", pha_errmsg());
    pha__ranks_file_free(&f);
    pha__device_free(d, memory);
    pha__device_close(d);
    pha__free(numbers);
}

static pha_status read_one(pha__comm *c, job *j, pha__ranks_file *f, float *memory)
{
    pha__safetensors *file;
    TRY(pha__ranks_file_open(c, c->rank ? NULL : j->path, &file));
    if (!file) return PHA_OK;
    pha_status status = PHA_OK;
    for (int k = 0; k < TENSORS && !status; k++)
        status = add_pieces(f, k, pha__safetensors_offset(file, pha__safetensors_find(file, names[k])), (char *)memory);
    if (!status) status = pha__ranks_file_read(f, file, &j->done[c->rank]);
    pha__safetensors_close(file);
    return status;
}

static void read_body(pha__comm *c, void *context)
{
    static const pha__transport lying = {exchange, ranks_name, ranks_leave, ranks_abandon};
    job *j = context;
    c->transport = &lying;
    float *memory = pha__alloc_zero(all_bytes(), 1);
    pha__ranks_file f = {.comm = c};
    j->status[c->rank] = read_one(c, j, &f, memory);
    j->right[c->rank] = holds(&f, memory);
    pha__ranks_file_free(&f);
    pha__free(memory);
}

static job make(const char *path) { return (job){.path = path, .device = "cpu"}; }

static void all_are(const job *j, int size, pha_status status, bool done)
{
    for (int r = 0; r < size; r++) {
        if (j->status[r] != status) fail_msg("rank %d of %d: status %d: %s", r, size, j->status[r], j->text[r]);
        assert_int_equal(j->done[r], done);
    }
}

/* What one process writes of the same numbers. */
static void write_usual(const char *path, float first)
{
    float *numbers = pha__alloc(all_bytes(), 1), *at = numbers;
    pha__tensor tensors[TENSORS];
    fill(numbers);
    *numbers = first;
    for (int k = 0; k < TENSORS; at += sizes[k++]) tensors[k] = tensor(k), tensors[k].data = at;
    OK(pha__safetensors_write(path, tensors, TENSORS, NULL));
    pha__free(numbers);
}

static void same_bytes(const char *a, const char *b)
{
    char *x, *y;
    size_t n, m;
    OK(pha__read_file(&x, &n, a, 1 << 26));
    OK(pha__read_file(&y, &m, b, 1 << 26));
    assert_true(n == m && !memcmp(x, y, n));
    pha__free(x);
    pha__free(y);
}

static void nothing_there(const char *path)
{
    char *beside;
    OK(pha__beside(&beside, path, "pha-tmp"));
    assert_false(pha__exists(path) || pha__exists(beside));
    pha__free(beside);
}

static void test_same_bytes(void **state)
{
    (void)state;
    char usual[300], path[300];
    snprintf(usual, sizeof usual, "%s/usual", root), snprintf(path, sizeof path, "%s/together", root);
    write_usual(usual, number(0, 0));
    for (int size = 2; size <= MOST; size *= 2)
        for (int far = 0; far < 2; far++) {
            job w = make(path), r = make(path);
            w.device = far ? "far" : "cpu";
            ranks_run(size, write_body, &w);
            all_are(&w, size, PHA_OK, true);
            same_bytes(usual, path);
            ranks_run(size, read_body, &r);
            all_are(&r, size, PHA_OK, true);
            for (int k = 0; k < size; k++) assert_true(r.right[k]);
        }
}

/* One rank finds no such file: none writes or reads, and nothing is left. */
static void test_not_seen(void **state)
{
    (void)state;
    char path[300], usual[300], other[300];
    snprintf(path, sizeof path, "%s/unseen", root), snprintf(usual, sizeof usual, "%s/usual", root);
    snprintf(other, sizeof other, "%s/other", root);
    write_usual(usual, number(0, 0));
    for (int i = 0; i < 2; i++) { /* or another one */
        job w = make(path), r = make(usual);
        write_usual(other, -1);
        snprintf(wrong_path, sizeof wrong_path, "%s", i ? other : "/nowhere");
        lie = PATHS;
        ranks_run(4, write_body, &w);
        all_are(&w, 4, PHA_OK, false);
        nothing_there(path);
        ranks_run(4, read_body, &r);
        all_are(&r, 4, PHA_OK, false);
    }
    job s = make(usual);
    lie = SUMS; /* or it reads other numbers in the same one */
    ranks_run(4, read_body, &s);
    all_are(&s, 4, PHA_OK, false);
    lie = NONE;
    for (int k = 0; k < 4; k++) assert_false(s.right[k]); /* memory is as it was */
}

static char victim[300];

/* Behind every write the same byte becomes another. */
static void spoil(void)
{
    int fd = open(victim, O_WRONLY);
    if (fd < 0) return;
    if (pwrite(fd, "\x5a", 1, 5000) != 1) abort();
    close(fd);
}

static int no_fault(pha__call call, size_t *size)
{
    (void)call, (void)size;
    return 0;
}

static atomic_int writes;

/* As on a disk that is full after some writes. */
static int full(pha__call call, size_t *size)
{
    (void)size;
    return call == PHA__CALL_WRITE && atomic_fetch_add(&writes, 1) >= 7 ? 28 /* ENOSPC */ : 0;
}

static void nothing(void) {}

static void test_damaged(void **state)
{
    (void)state;
    static const pha__faults spoils = {no_fault, spoil}, fills = {full, nothing};
    const pha__faults *usual = pha__faulty;
    char path[300];
    snprintf(path, sizeof path, "%s/damaged", root);
    snprintf(victim, sizeof victim, "%s/.damaged.pha-tmp", root);
    job w = make(path);
    pha__faulty = &spoils;
    ranks_run(4, write_body, &w);
    pha__faulty = usual;
    all_are(&w, 4, PHA_IO, true);
    assert_non_null(strstr(w.text[3], "reads back otherwise"));
    nothing_there(path);
    job f = make(path);
    pha__faulty = &fills;
    ranks_run(4, write_body, &f);
    pha__faulty = usual;
    all_are(&f, 4, PHA_IO, true);
    assert_non_null(strstr(f.text[0], "No space left"));
    nothing_there(path);
}

static void wanted_body(pha__comm *c, void *context)
{
    job *j = context;
    j->status[c->rank] = pha__ranks_file_wanted(c, &j->done[c->rank]);
}

static void test_wanted(void **state)
{
    (void)state;
    static const struct { const char *value; int size; pha_status status; bool yes; } cases[] = {
        {"", 2, PHA_OK, true}, {"", 1, PHA_OK, false}, {"leader", 2, PHA_OK, false}, {"all", 2, PHA_USAGE, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        job j = make("");
        setenv("PHA_CHECKPOINT", cases[i].value, 1);
        ranks_run(cases[i].size, wanted_body, &j);
        all_are(&j, cases[i].size, cases[i].status, cases[i].yes);
    }
    unsetenv("PHA_CHECKPOINT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_not_seen),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_wanted),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
