/* Token shards: what is written comes back; damaged, missing, mixed and hostile shards are told apart */
#include "io/tokens.h"

#include "support/root.h"

static void write_split(const char *split, int32_t vocab, uint64_t hash, const int32_t *ids, size_t n, uint64_t limit)
{
    pha__tokens_writer *w;
    uint64_t count;
    OK(pha__tokens_writer_open(&w, root, split, vocab, hash));
    pha__tokens_writer_limit(w, limit);
    for (size_t i = 0; i < n;) { /* in uneven steps */
        size_t some = 1 + i % 7 * 1000;
        if (some > n - i) some = n - i;
        OK(pha__tokens_writer_add(w, ids + i, some));
        i += some;
    }
    OK(pha__tokens_writer_finish(w, &count));
    assert_int_equal(count, n);
}

enum { N = 100000 };

static int32_t *numbers(int32_t vocab)
{
    int32_t *ids = pha__alloc(N, sizeof *ids);
    for (int i = 0; i < N; i++) ids[i] = (int32_t)((uint32_t)i * 2654435761u % (uint32_t)vocab);
    ids[17] = vocab - 1;
    return ids;
}

static void comes_back(void **state)
{
    (void)state;
    const int32_t vocabs[] = { 2, 65536, 65537, 2000000000 };
    const uint64_t limits[] = { N, 1000, 777, 1 << 20 };
    int32_t *out = pha__alloc(N, sizeof *out);
    for (int v = 0; v < 4; v++) {
        int32_t *ids = numbers(vocabs[v]);
        OK(pha__remove_tree(root));
        OK(pha__mkdirs(root));
        write_split("train", vocabs[v], 77, ids, N, limits[v]);
        pha__tokens *t;
        OK(pha__tokens_open(&t, root, "train", true));
        assert_int_equal(pha__tokens_count(t), N);
        assert_int_equal(pha__tokens_vocab(t), vocabs[v]);
        assert_int_equal(pha__tokens_tokenizer_hash(t), 77);
        OK(pha__tokens_read(t, 0, N, out));
        assert_memory_equal(out, ids, N * sizeof *ids);
        for (uint64_t i = 0; i < N; i += 331) {
            size_t n = N - i < 2500 ? N - i : 2500;
            OK(pha__tokens_read(t, i, n, out));
            assert_memory_equal(out, ids + i, n * sizeof *ids);
        }
        FAILS(FAILED, "were asked for", pha__tokens_read(t, N - 1, 2, out));
        FAILS(FAILED, "were asked for", pha__tokens_read(t, UINT64_MAX, 2, out));
        OK(pha__tokens_read(t, N, 0, out));
        pha__tokens_close(t);
        assert_int_equal(pha__file_size(in_root("train-00000.tok")),
                         64 + (int64_t)(limits[v] < N ? limits[v] : N) * (vocabs[v] <= 65536 ? 2 : 4));
        pha__free(ids);
    }
    pha__free(out);
}

static void empty_split(void **state)
{
    (void)state;
    pha__tokens *t;
    write_split("valid", 10, 1, NULL, 0, 10);
    OK(pha__tokens_open(&t, root, "valid", true));
    assert_int_equal(pha__tokens_count(t), 0);
    pha__tokens_close(t);
}

static void wrong_ids(void **state)
{
    (void)state;
    pha__tokens_writer *w;
    const int32_t high = 10, low = -1, good = 9;
    OK(pha__tokens_writer_open(&w, root, "x", 10, 1));
    OK(pha__tokens_writer_add(w, &good, 1));
    FAILS(FAILED, "outside of the vocabulary", pha__tokens_writer_add(w, &high, 1));
    assert_int_not_equal(pha__tokens_writer_add(w, &good, 1), PHA_OK); /* the failure sticks */
    assert_int_not_equal(pha__tokens_writer_finish(w, NULL), PHA_OK);
    assert_false(pha__exists(in_root("x-00000.tok")));
    OK(pha__tokens_writer_open(&w, root, "x", 10, 1));
    FAILS(FAILED, "outside of the vocabulary", pha__tokens_writer_add(w, &low, 1));
    pha__tokens_writer_abort(w);
    FAILS(USAGE, "split", pha__tokens_writer_open(&w, root, "a-name-that-is-too-long", 10, 1));
}

static pha_status open_only(bool verify)
{
    pha__tokens *t;
    pha_status status = pha__tokens_open(&t, root, "t", verify);
    assert_true((status == PHA_OK) == (t != NULL));
    pha__tokens_close(t);
    return status;
}

/* Three shards of 10 ids. */
static void fresh(void)
{
    int32_t ids[30];
    for (int i = 0; i < 30; i++) ids[i] = i;
    OK(pha__remove_tree(root));
    OK(pha__mkdirs(root));
    write_split("t", 30, 5, ids, 30, 10);
    OK(open_only(true));
}

static void missing_and_mixed(void **state)
{
    (void)state;
    char other[400];
    FAILS(IO, "No such file", (snprintf(root + strlen(root), 5, "/no"), open_only(false)));
    root[strlen(root) - 3] = 0;
    fresh();
    unlink(in_root("t-00001.tok"));
    FAILS(BAD_INPUT, "t-00001.tok: missing", open_only(false));
    fresh();
    unlink(in_root("t-00000.tok"));
    FAILS(BAD_INPUT, "t-00000.tok: missing", open_only(false));
    fresh();
    snprintf(other, sizeof other, "%s", in_root("t-00002.tok"));
    assert_int_equal(rename(other, in_root("t-00001.tok")), 0);
    FAILS(BAD_INPUT, "renamed?", open_only(false));
    fresh();
    int32_t ids[20] = { 0 };
    write_split("u", 30, 6, ids, 20, 10); /* another tokenizer's second shard */
    snprintf(other, sizeof other, "%s", in_root("u-00001.tok"));
    assert_int_equal(rename(other, in_root("t-00001.tok")), 0);
    FAILS(BAD_INPUT, "another tokenizer", open_only(false));
    OK(pha__remove_tree(root));
    OK(pha__mkdirs(root));
    FAILS(BAD_INPUT, "no split 't'", open_only(false));
}

/* Every byte of a shard changed, every length: an error or, for the ids without verify, an open that reads safely. */
static void damaged(void **state)
{
    (void)state;
    char *good;
    size_t size;
    fresh();
    OK(pha__read_file(&good, &size, in_root("t-00001.tok"), 1 << 20));
    assert_int_equal(size, 84);
    for (size_t i = 0; i < size; i++) {
        char bad[84];
        memcpy(bad, good, size);
        bad[i] ^= 0x41;
        OK(pha__write_file(in_root("t-00001.tok"), bad, size));
        assert_int_equal(open_only(true), PHA_BAD_INPUT);
        assert_int_equal(open_only(false), i < 64 ? PHA_BAD_INPUT : PHA_OK);
    }
    for (size_t n = 0; n < size; n++) {
        OK(pha__write_file(in_root("t-00001.tok"), good, n));
        assert_int_equal(open_only(false), PHA_BAD_INPUT);
    }
    char longer[90] = { 0 };
    memcpy(longer, good, size);
    OK(pha__write_file(in_root("t-00001.tok"), longer, 86));
    FAILS(BAD_INPUT, "promises 10 tokens", open_only(false));
    good[65] = 0x7f; /* id 0x7f0a in a vocabulary of 30 */
    OK(pha__write_file(in_root("t-00001.tok"), good, size));
    pha__tokens *t;
    int32_t out[30];
    OK(pha__tokens_open(&t, root, "t", false));
    FAILS(BAD_INPUT, "the vocabulary has 30", pha__tokens_read(t, 0, 30, out));
    OK(pha__tokens_read(t, 0, 10, out));
    pha__tokens_close(t);
    pha__free(good);
}

/* Headers that a correct checksum makes look right. */
static void hostile_headers(void **state)
{
    (void)state;
    const pha__shard_header good = { .width = 2, .count = 4, .vocab_size = 100 };
    struct { pha__shard_header h; size_t size; const char *part;
    } cases[] = {
        { { .width = 2, .count = UINT64_MAX, .vocab_size = 100 }, 72, "promises" },
        { { .width = 2, .count = (uint64_t)1 << 63, .vocab_size = 100 },
          64,
          "promises" }, /* count * width wraps to 0 */
        { { .width = 0, .count = 4, .vocab_size = 100 }, 72, "0 bytes per token" },
        { { .width = 4, .count = 2, .vocab_size = 100 }, 72, "4 bytes per token" },
        { { .width = 2, .count = 4, .vocab_size = 70000 }, 72, "2 bytes per token" },
        { { .width = 2, .count = 4, .vocab_size = 0 }, 72, "vocabulary of 0" },
        { { .width = 2, .count = 4, .vocab_size = -1 }, 72, "vocabulary of" },
        { { .width = 2, .count = 4, .vocab_size = 100, .first = UINT64_MAX }, 72, "absurd" },
        { good, 73, "promises" },
        { good, 63, "less than the header" },
    };
    unsigned char data[128] = { 0 };
    pha__shard_header h;
    pha__shard_header_put(&good, data);
    OK(pha__shard_header_get(&h, data, 72, "x"));
    assert_memory_equal(&h, &good, sizeof h);
    data[8] = 9;
    FAILS(BAD_INPUT, "version 9", pha__shard_header_get(&h, data, 72, "x"));
    data[0] = 'Q';
    FAILS(BAD_INPUT, "not a token shard", pha__shard_header_get(&h, data, 72, "x"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pha__shard_header_put(&cases[i].h, data);
        FAILS(BAD_INPUT, cases[i].part, pha__shard_header_get(&h, data, cases[i].size, "x"));
    }
}

static void data_json(void **state)
{
    (void)state;
    pha__data data = { .vocab_size = 30,
                       .tokenizer_hash = 0xfedcba9876543210u,
                       .seed = UINT64_MAX,
                       .joined = "eot",
                       .end_token = 29,
                       .n = 1,
                       .split = { { "t", { 30, 100, 20, 3, 2, 1, 5, 1 } } } },
              back;
    pha__split_info info;
    fresh();
    OK(pha__data_write(root, &data));
    OK(pha__data_read(&back, root));
    assert_memory_equal(&back, &data, sizeof data);
    OK(pha__data_info(&info, root, "t"));
    assert_int_equal(info.words, 20);
    FAILS(BAD_INPUT, "no split 'u'", pha__data_info(&info, root, "u"));
    OK(open_only(true));
    unlink(in_root("t-00002.tok")); /* leaves no gap, but data.json knows */
    FAILS(BAD_INPUT, "data.json says 30", open_only(false));
    data.split[0].info.first_bytes = 101; /* more than there are */
    OK(pha__data_write(root, &data));
    FAILS(BAD_INPUT, "stands for more than its text", pha__data_read(&back, root));
    data.split[0].info.first_bytes = 5, data.end_token = 30;
    OK(pha__data_write(root, &data));
    FAILS(BAD_INPUT, "end_token", pha__data_read(&back, root));
    const char *bad[] = { "",
                          "[]",
                          "{}",
                          "{\"format\":\"pha-data\"}",
                          "{\"format\":\"pha-data\",\"version\":2}",
                          "{\"format\":\"pha-data\",\"version\":1,\"vocab_size\":0}",
                          "{\"format\":\"pha-data\",\"version\":1,\"vocab_size\":9,\"tokenizer_hash\":\"zz\",\"seed\":"
                          "\"1\",\"joined\":\"eot\"}",
                          "{\"format\":\"pha-data\",\"version\":1,\"vocab_size\":9,\"tokenizer_hash\":"
                          "\"0123456789abcdef\",\"seed\":\"1\",\"joined\":\"eot\","
                          "\"splits\":{\"t\":{\"tokens\":-1}}}",
                          "{\"format\":\"pha-data\",\"version\":1,\"vocab_size\":9,\"tokenizer_hash\":"
                          "\"0123456789abcdef\",\"seed\":\"1\",\"joined\":\"eot\","
                          "\"splits\":{\"t\":7}}" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        OK(pha__write_file(in_root("data.json"), bad[i], strlen(bad[i])));
        FAILS(BAD_INPUT, "data.json", pha__data_read(&back, root));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),        cmocka_unit_test(empty_split), cmocka_unit_test(wrong_ids),
        cmocka_unit_test(missing_and_mixed), cmocka_unit_test(damaged),     cmocka_unit_test(hostile_headers),
        cmocka_unit_test(data_json),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
