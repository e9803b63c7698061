/* Token files of nanoGPT and llm.c: what they hold, and what is no such file */
#include "io/token_bin.h"

#include "support/root.h"

enum { GPT2 = 20240520, LLAMA3 = 20240801, HEADER = 1024 };
static char file[300];

static void put_word(unsigned char *p, uint32_t x)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(x >> 8 * i);
}

/* A file of llm.c of which `size` bytes stand behind the header. */
static void put(uint32_t magic, uint32_t version, uint32_t count, const void *ids, size_t size)
{
    unsigned char all[HEADER + 64] = {0};
    put_word(all, magic), put_word(all + 4, version), put_word(all + 8, count);
    memcpy(all + HEADER, ids, size);
    OK(pha__write_file(file, all, HEADER + size));
}

static void expect(const char *what, const int32_t *want, size_t n)
{
    pha__token_bin b;
    int32_t got[16];
    OK(pha__token_bin_open(&b, file));
    assert_string_equal(b.what, what);
    assert_int_equal(b.count, n);
    OK(pha__token_bin_read(&b, 0, n, 1 << 20, got));
    assert_memory_equal(got, want, n * sizeof *want);
    OK(pha__token_bin_read(&b, 1, n - 1, 1 << 20, got));
    assert_memory_equal(got, want + 1, (n - 1) * sizeof *want);
    pha__token_bin_close(&b);
}

static const uint16_t narrow[4] = {50256, 0, 65535, 7};
static const uint32_t wide[3] = {128000, 70000, 5};

static void reads(void **state)
{
    (void)state;
    OK(pha__write_file(file, narrow, sizeof narrow));
    expect("nanoGPT", (const int32_t[]){50256, 0, 65535, 7}, 4);
    put(GPT2, 1, 4, narrow, sizeof narrow);
    expect("llm.c", (const int32_t[]){50256, 0, 65535, 7}, 4);
    put(LLAMA3, 7, 3, wide, sizeof wide);
    expect("llm.c", (const int32_t[]){128000, 70000, 5}, 3);
    /* ids that look like a header, but are too few for one */
    unsigned char start[12] = {0};
    put_word(start, GPT2);
    OK(pha__write_file(file, start, sizeof start));
    expect("nanoGPT", (const int32_t[]){GPT2 & 0xffff, GPT2 >> 16, 0, 0, 0, 0}, 6);
}

static void rejects(void **state)
{
    (void)state;
    static const struct { const char *message; uint32_t magic, version, count; size_t size; } cases[] = {
        {"version 2; version 1 is known", GPT2, 2, 4, 8},
        {"version 1; version 7 is known", LLAMA3, 1, 2, 8},
        {"has 1030 bytes, but 4 ids and a header make 1032", GPT2, 1, 4, 6},
        {"has 1032 bytes, but 4 ids and a header make 1040", LLAMA3, 7, 4, 8},
        {"has 1032 bytes, but 3 ids and a header make 1030", GPT2, 1, 3, 8},
        {"has 1032 bytes, but 4294967295 ids and a header make 8589935614", GPT2, 1, UINT32_MAX, 8},
    };
    pha__token_bin b;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(cases[i].magic, cases[i].version, cases[i].count, narrow, cases[i].size);
        FAILS(BAD_INPUT, cases[i].message, pha__token_bin_open(&b, file));
        assert_null(b.map.data);
    }
    OK(pha__write_file(file, narrow, 7));
    FAILS(BAD_INPUT, "has 7 bytes, no whole number of ids", pha__token_bin_open(&b, file));
    put(GPT2, 1, 0, narrow, 0);
    FAILS(BAD_INPUT, "is empty", pha__token_bin_open(&b, file));
    OK(pha__write_file(file, "", 0));
    FAILS(BAD_INPUT, "is empty", pha__token_bin_open(&b, file));
    FAILS(IO, "nowhere", pha__token_bin_open(&b, in_root("nowhere")));
}

static void ids_of_another_tokenizer(void **state)
{
    (void)state;
    pha__token_bin b;
    int32_t got[4];
    OK(pha__write_file(file, narrow, sizeof narrow));
    OK(pha__token_bin_open(&b, file));
    FAILS(BAD_INPUT, "id 65535 at place 2, but the tokenizer has 50257 tokens",
          pha__token_bin_read(&b, 1, 2, 50257, got));
    OK(pha__token_bin_read(&b, 0, 2, 50257, got));
    pha__token_bin_close(&b);
    put(LLAMA3, 7, 1, (const uint32_t[]){UINT32_MAX}, 4);
    OK(pha__token_bin_open(&b, file));
    FAILS(BAD_INPUT, "id 4294967295", pha__token_bin_read(&b, 0, 1, INT32_MAX, got));
    pha__token_bin_close(&b);
}

static int set_up(void **state)
{
    root_setup(state);
    snprintf(file, sizeof file, "%s/tokens.bin", root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads), cmocka_unit_test(rejects),
                                       cmocka_unit_test(ids_of_another_tokenizer)};
    return cmocka_run_group_tests(tests, set_up, root_teardown);
}
