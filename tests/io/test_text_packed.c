/* Compressed files: every kind, members one behind the other, cut and damaged; long windows, and text that is far
 * larger than its file */
#include <bzlib.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "support/texts.h"

static size_t gzip(unsigned char *out, size_t room, const void *data, size_t size)
{
    z_stream z = { 0 };
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)data, z.avail_in = (unsigned)size;
    z.next_out = out, z.avail_out = (unsigned)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static size_t zstd(unsigned char *out, size_t room, const void *data, size_t size)
{
    size_t n = ZSTD_compress(out, room, data, size, 3);
    assert_false(ZSTD_isError(n));
    return n;
}

static size_t xz(unsigned char *out, size_t room, const void *data, size_t size)
{
    size_t n = 0;
    assert_int_equal(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, data, size, out, &n, room), LZMA_OK);
    return n;
}

static size_t bzip2(unsigned char *out, size_t room, const void *data, size_t size)
{
    unsigned n = (unsigned)room;
    char *from = (char *)(uintptr_t)data;
    assert_int_equal(BZ2_bzBuffToBuffCompress((char *)out, &n, from, (unsigned)size, 1, 0, 0), BZ_OK);
    return n;
}

static void compressed(void **state)
{
    (void)state;
    const struct {
        const char *name;
        size_t (*pack)(unsigned char *, size_t, const void *, size_t);
        bool padded, checked;
    } kinds[] = {{"x.txt.gz", gzip, true, true}, {"x.txt.zst", zstd, false, false}, {"x.txt.xz", xz, true, true},
                 {"x.txt.bz2", bzip2, true, true}};
    unsigned char data[4000];
    char text[1500];
    for (size_t i = 0; i < sizeof text; i++) text[i] = "abcdefgh \n"[i * i * 7 % 101 % 10];
    pha__str got = { 0 };
    const char *one = root;
    for (int kind = 0; kind < 4; kind++) {
        const char *name = kinds[kind].name;
        size_t half = kinds[kind].pack(data, sizeof data, text, 700);
        size_t n = half + kinds[kind].pack(data + half, sizeof data - half, text + 700, 800);
        fresh();
        put(name, data, n); /* two members, frames */
        OK(read_all(&got, &one, 1, NULL, NULL));
        assert_int_equal(got.size, sizeof text + 1);
        assert_memory_equal(got.data, text, sizeof text);
        for (size_t cut = 1; cut < n; cut++) { /* truncated anywhere but between the two */
            put(name, data, cut);
            pha_status status = read_all(&got, &one, 1, NULL, NULL);
            if (cut == half) assert_int_equal(status, PHA_OK);
            else FAILS(BAD_INPUT, name, status);
            if (cut != half && cut > 20) assert_non_null(strstr(pha_errmsg(), "at byte"));
        }
        put(name, text, 100);
        FAILS(BAD_INPUT, "does not begin as such a file", read_all(&got, &one, 1, NULL, NULL));
        data[n] = 'x', data[n + 1] = 'y', data[n + 2] = 'z', data[n + 3] = 'z';
        put(name, data, n + 4);
        FAILS(BAD_INPUT, "at byte", read_all(&got, &one, 1, NULL, NULL));
        if (kinds[kind].padded) {
            memset(data + n, 0, 1000); /* padding of tapes */
            put(name, data, n + 1000);
            OK(read_all(&got, &one, 1, NULL, NULL));
            assert_int_equal(got.size, sizeof text + 1);
        }
        if (kinds[kind].checked) {
            data[half / 2] ^= 0x55;
            put(name, data, n);
            FAILS(BAD_INPUT, "at byte", read_all(&got, &one, 1, NULL, NULL));
        }
    }
    fresh();
    size_t n = gzip(data, sizeof data, "{\"text\":\"in gzip\"}\n", 19);
    put("y.jsonl.gz", data, n);
    OK(read_all(&got, &one, 1, NULL, NULL));
    assert_memory_equal(got.data, "in gzip|", 8);
    pha__str_free(&got);
}

static int notes;
static char last_note[600];

static void keep_note(void *context, pha__log_level level, const char *text)
{
    (void)context, (void)level;
    notes++;
    snprintf(last_note, sizeof last_note, "%s", text);
}

/* A frame with a window of 256 MB is read, and its memory is told before it is taken. */
static void long_window(void **state)
{
    (void)state;
    static char text[3000];
    static unsigned char data[4000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = "abcdefgh \n"[i * i * 7 % 101 % 10];
    ZSTD_CCtx *z = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, 28);
    ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, 0);
    ZSTD_inBuffer in = {text, sizeof text, 0};
    ZSTD_outBuffer out = {data, sizeof data, 0};
    while (in.pos < in.size) assert_false(ZSTD_isError(ZSTD_compressStream2(z, &out, &in, ZSTD_e_continue)));
    assert_int_equal(ZSTD_compressStream2(z, &out, &in, ZSTD_e_end), 0);
    ZSTD_freeCCtx(z);
    pha__str got = { 0 };
    const char *one = root;
    fresh();
    put("long.zst", data, out.pos);
    notes = 0;
    pha__log_to(keep_note, NULL);
    OK(read_all(&got, &one, 1, NULL, NULL));
    pha__log_to(quiet, NULL);
    assert_int_equal(notes, 1);
    assert_non_null(strstr(last_note, "long.zst: reading it takes up to 0.3 GB"));
    assert_memory_equal(got.data, text, sizeof text);
    pha__str_free(&got);
}

/* A gigabyte of zeros in one line: an error, or one bad line, without a gigabyte of memory. */
static void bomb(void **state)
{
    (void)state;
    pha__str got = { 0 };
    const char *one = root;
    static unsigned char zeros[1 << 20];
    FILE *f = NULL;
    fresh();
    ZSTD_CCtx *z = ZSTD_createCCtx();
    f = fopen(in_root("a.jsonl.zst"), "wb");
    for (int i = 0; i < 1024; i++) {
        unsigned char data[4096];
        ZSTD_inBuffer in = {zeros, sizeof zeros, 0};
        ZSTD_outBuffer out = {data, sizeof data, 0};
        size_t left = ZSTD_compressStream2(z, &out, &in, i == 1023 ? ZSTD_e_end : ZSTD_e_continue);
        assert_true(!ZSTD_isError(left) && in.pos == in.size && (i < 1023 || left == 0));
        assert_int_equal(fwrite(data, 1, out.pos, f), out.pos);
    }
    fclose(f);
    ZSTD_freeCCtx(z);
    pha__text_stats stats;
    size_t before = pha__mem_now();
    FAILS(BAD_INPUT, "a.jsonl.zst:1: not JSON: a long line", read_all(&got, &one, 1, NULL, NULL));
    OK(read_all(&got, &one, 1, &(pha__text_options){ .skip_bad = true }, &stats));
    assert_int_equal(stats.bad_lines, 1);
    assert_true(pha__mem_peak() < before + (32u << 20));
    pha__str_free(&got);
}

static int setup(void **state)
{
    root_setup(state);
    pha__log_to(quiet, NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bomb), cmocka_unit_test(compressed), cmocka_unit_test(long_window),
    };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
