/* safetensors: round trip, and hostile files */
#include "io/safetensors.h"

#include "support/root.h"

static char file[300];

/* Writes a file from a header text and `size` bytes of data. */
static void put(const char *header, size_t size)
{
    size_t n = strlen(header), padded = (n + 7) / 8 * 8;
    unsigned char *all = calloc(8 + padded + size, 1);
    for (int i = 0; i < 8; i++) all[i] = (unsigned char)((uint64_t)padded >> 8 * i);
    memset(all + 8, ' ', padded);
    memcpy(all + 8, header, n);
    OK(pha__write_file(file, all, 8 + padded + size));
    free(all);
}

static void round_trip(void **state)
{
    (void)state;
    float a[6] = { 1, 2, 3, 4, 5, 6 }, s = 7;
    double d[2] = { 0.1, -3 };
    uint16_t h[3] = { 0x3F80, 0x4000, 0x4040 };
    const pha__tensor in[] = {
        { .name = "z.half", .dtype = PHA__BF16, .rank = 1, .shape = { 3 }, .data = h },
        { .name = "b", .dtype = PHA__F32, .rank = 2, .shape = { 2, 3 }, .data = a },
        { .name = "a.half", .dtype = PHA__BF16, .rank = 2, .shape = { 1, 3 }, .data = h },
        { .name = "scalar", .dtype = PHA__F32, .rank = 0, .data = &s },
        { .name = "ieee.half", .dtype = PHA__F16, .rank = 1, .shape = { 3 }, .data = h },
        { .name = "double", .dtype = PHA__F64, .rank = 1, .shape = { 2 }, .data = d },
        { .name = "none", .dtype = PHA__F32, .rank = 2, .shape = { 0, 5 }, .data = NULL },
    };
    const char *meta[] = { "arch", "pha", "note", "caf\xC3\xA9 \"x\"", NULL };
    OK(pha__safetensors_write(file, in, 7, meta));
    pha__safetensors *st;
    OK(pha__safetensors_open(&st, file));
    assert_int_equal(pha__safetensors_count(st), 7);
    assert_string_equal(pha__safetensors_at(st, 0)->name, "a.half");
    assert_string_equal(pha__safetensors_metadata(st, "note"), meta[3]);
    assert_null(pha__safetensors_metadata(st, "other"));
    assert_null(pha__safetensors_find(st, "c"));
    for (int i = 0; i < 7; i++) {
        const pha__tensor *t = pha__safetensors_find(st, in[i].name);
        assert_non_null(t);
        assert_int_equal(t->dtype, in[i].dtype);
        assert_int_equal(t->rank, in[i].rank);
        assert_memory_equal(t->shape, in[i].shape, sizeof t->shape);
        if (t->size) assert_memory_equal(t->data, in[i].data, t->size);
    }
    assert_int_equal(pha__safetensors_find(st, "b")->size, 24);
    assert_int_equal((uintptr_t)pha__safetensors_find(st, "double")->data % 64, 0);
    pha__safetensors_close(st);
    pha__safetensors_close(NULL);
    OK(pha__safetensors_write(file, NULL, 0, NULL));
    OK(pha__safetensors_open(&st, file));
    assert_int_equal(pha__safetensors_count(st), 0);
    assert_null(pha__safetensors_find(st, "b"));
    pha__safetensors_close(st);
    pha__tensor twice[2] = { in[1], in[1] };
    FAILS(FAILED, "two tensors 'b'", pha__safetensors_write(file, twice, 2, NULL));
    assert_int_equal(pha__mem_now(), 0);
}

static const struct { const char *message, *header; size_t size; } hostile[] = {
    { "dtype is I32", "{\"w\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4 },
    { "dtype is F8_E4M3", "{\"w\":{\"dtype\":\"F8_E4M3\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1 },
    { "needs 4 bytes but it has 8", "{\"w\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8 },
    { "aligned", "{\"v\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                 "\"w\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[4,12]}}", 12 },
    { "no dtype", "{\"w\":{\"dtype\":3,\"shape\":[1],\"data_offsets\":[0,4]}}", 4 },
    { "no shape", "{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4 },
    { "dimension 0", "{\"w\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4 },
    { "dimension 1", "{\"w\":{\"dtype\":\"F32\",\"shape\":[1,1.5],\"data_offsets\":[0,4]}}", 4 },
    { "9 dimensions", "{\"w\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4 },
    { "overflows", "{\"w\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0 },
    { "overflows", "{\"w\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0 },
    { "needs 8 bytes but it has 4", "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4 },
    { "outside", "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4 },
    { "outside", "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4 },
    { "outside", "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4 },
    { "pair", "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4 },
    { "pair", "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4.5]}}", 4 },
    { "overlaps with 'v'", "{\"v\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                           "\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12 },
    { "4 bytes before it", "{\"v\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                           "\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}", 12 },
    { "aligned", "{\"v\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,2]},"
                 "\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}", 6 },
    { "entry is not", "{\"w\":[]}", 0 },
};

static void hostile_tensors(void **state)
{
    (void)state;
    pha__safetensors *st;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        put(hostile[i].header, hostile[i].size);
        FAILS(BAD_INPUT, hostile[i].message, pha__safetensors_open(&st, file));
        assert_null(st);
        assert_non_null(strstr(pha_errmsg(), file)); /* names file and tensor */
        assert_non_null(strstr(pha_errmsg(), "tensor 'w'"));
    }
    assert_int_equal(pha__mem_now(), 0);
}

static void hostile_headers(void **state)
{
    (void)state;
    static const char *wrong[] = { "[]", "{", "{\"w\":1,\"w\":2}", "3", "{\"__metadata__\":[]}",
                                   "{\"__metadata__\":{\"a\":1}}", "{} x", "" };
    pha__safetensors *st;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put(wrong[i], 0);
        FAILS(BAD_INPUT, file, pha__safetensors_open(&st, file));
    }
    put("{}", 3);
    FAILS(BAD_INPUT, "3 bytes at the end", pha__safetensors_open(&st, file));
    size_t n = 3000000;
    char *deep = malloc(n + 1);
    memset(deep, '[', n);
    deep[n] = 0;
    put(deep, 0);
    FAILS(BAD_INPUT, "depth", pha__safetensors_open(&st, file));
    free(deep);
    static const unsigned char counts[][9] = { { 9, 0, 0, 0, 0, 0, 0, 0, '{' },
                                               { 255, 255, 255, 255, 255, 255, 255, 255 },
                                               { 0, 0, 0, 0, 1, 0, 0, 0 } };
    for (int i = 0; i < 3; i++) {
        OK(pha__write_file(file, counts[i], 9));
        FAILS(BAD_INPUT, "truncated", pha__safetensors_open(&st, file));
    }
    for (size_t size = 0; size < 8; size++) {
        OK(pha__write_file(file, counts, size));
        FAILS(BAD_INPUT, "too few", pha__safetensors_open(&st, file));
    }
    FAILS(IO, "nowhere", pha__safetensors_open(&st, "/nowhere.safetensors"));
    assert_int_equal(pha__mem_now(), 0);
}

static int setup(void **state)
{
    root_setup(state);
    snprintf(file, sizeof file, "%s/m.safetensors", root);
    return 0;
}

/* A model in two parts, one.safetensors {a, b} and two.safetensors {c}, with any index. */
static void put_parts(const char *folder)
{
    static const float x[3] = { 1, 2, 3 };
    const pha__tensor t[] = { { .name = "a", .dtype = PHA__F32, .rank = 1, .shape = { 1 }, .data = x },
                              { .name = "b", .dtype = PHA__F32, .rank = 1, .shape = { 2 }, .data = x + 1 },
                              { .name = "c", .dtype = PHA__F32, .rank = 1, .shape = { 3 }, .data = x } };
    const char *meta[] = { "tokenizer_hash", "77", NULL };
    char path[600];
    snprintf(path, sizeof path, "%s/one.safetensors", folder);
    OK(pha__safetensors_write(path, t, 2, NULL));
    snprintf(path, sizeof path, "%s/two.safetensors", folder);
    OK(pha__safetensors_write(path, t + 2, 1, meta));
    snprintf(path, sizeof path, "%s/again.safetensors", folder);
    OK(pha__safetensors_write(path, t, 3, NULL));
}

static pha_status open_index(pha__safetensors **st, const char *folder, const char *map)
{
    char path[600], text[600];
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    int n = snprintf(text, sizeof text, "{\"metadata\": {\"total_size\": 24}, \"weight_map\": %s}", map);
    OK(pha__write_file(path, text, (size_t)n));
    return pha__safetensors_open_index(st, path);
}

static void parts(void **state)
{
    (void)state;
    char folder[256];
    pha__safetensors *st;
    check_folder(folder);
    put_parts(folder);
    OK(open_index(&st, folder, "{\"a\": \"one.safetensors\", \"c\": \"two.safetensors\", \"b\": \"one.safetensors\"}"));
    assert_int_equal(pha__safetensors_count(st), 3);
    assert_string_equal(pha__safetensors_at(st, 2)->name, "c");
    assert_true(((const float *)pha__safetensors_find(st, "b")->data)[1] == 3);
    assert_string_equal(pha__safetensors_metadata(st, "tokenizer_hash"), "77");
    assert_non_null(strstr(pha__safetensors_path(st), "index.json"));
    pha__safetensors_close(st);
    static const struct { const char *message, *map; } wrong[] = {
        { "'three.safetensors' that it names is missing", "{\"a\": \"three.safetensors\"}" },
        { "the tensor 'd' is missing in one.safetensors", "{\"d\": \"one.safetensors\"}" },
        { "holds the tensor 'b', which isn't in the index", "{\"a\": \"one.safetensors\"}" },
        { "the tensor 'c' is in two parts",
          "{\"a\": \"again.safetensors\", \"b\": \"again.safetensors\", \"c\": \"two.safetensors\"}" },
        { "must be a plain name", "{\"a\": \"../one.safetensors\"}" },
        { "must be a plain name", "{\"a\": \"/etc/passwd\"}" },
        { "must be a plain name", "{\"a\": \"..\"}" },
        { "must be a plain name", "{\"a\": \"\"}" },
        { "is no text", "{\"a\": 3}" },
        { "weight_map", "[]" },
        { "weight_map", "{}" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        FAILS(BAD_INPUT, wrong[i].message, open_index(&st, folder, wrong[i].map));
        assert_null(st);
    }
    OK(pha__remove_tree(folder));
    assert_int_equal(pha__mem_now(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip), cmocka_unit_test(hostile_tensors), cmocka_unit_test(hostile_headers),
        cmocka_unit_test(parts),
    };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
