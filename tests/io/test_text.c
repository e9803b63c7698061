/* Documents from files: kinds, compression, pieces that encode as the whole does, and files that are broken */
#include "io/text.h"

#include <bzlib.h>
#include <lzma.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

#include "base/log.h"
#include "base/str.h"
#include "io/tokenizer/tokenizer.h"
#include "support/root.h"

static void put(const char *name, const void *data, size_t size) { OK(pha__write_file(in_root(name), data, size)); }
static void puts_file(const char *name, const char *text) { put(name, text, strlen(text)); }

static void quiet(void *context, pha__log_level level, const char *text)
{
    (void)context, (void)level, (void)text;
}

/* Reads everything: documents separated by '|', and '/' where a piece of a document ends. */
static pha_status read_all(pha__str *out, const char *const *paths, size_t n, const pha__text_options *options,
                           pha__text_stats *stats)
{
    pha__text *t;
    pha__piece piece;
    pha_status status = pha__text_open(&t, paths, n, options);
    bool open = false;
    pha__str_clear(out);
    while (status == PHA_OK) {
        status = pha__text_next(t, &piece);
        if (status != PHA_OK || !piece.data) break;
        assert_true(piece.begins == !open && piece.size > 0);
        open = !piece.ends;
        pha__str_add(out, piece.data, piece.size);
        pha__str_puts(out, open ? "/" : "|");
    }
    if (status == PHA_OK) assert_false(open);
    if (stats && status == PHA_OK) pha__text_get_stats(t, stats);
    pha__text_close(t);
    return status;
}

static void expect(const char *want, const pha__text_options *options)
{
    pha__str text = { 0 };
    const char *one = root;
    OK(read_all(&text, &one, 1, options, NULL));
    if (text.size != strlen(want) || memcmp(text.data ? text.data : "", want, text.size) != 0)
        fail_msg("got '%.*s', expected '%s'", (int)text.size, text.data ? text.data : "", want);
    pha__str_free(&text);
}

static void fresh(void)
{
    OK(pha__remove_tree(root));
    OK(pha__mkdirs(root));
}

static void folders(void **state)
{
    (void)state;
    fresh();
    OK(pha__mkdirs(in_root("b/deep")));
    OK(pha__mkdirs(in_root(".git")));
    puts_file("b/deep/x.rst", "deep");
    puts_file("b/a.md", "in b\r\n");
    puts_file("B.txt", "upper");
    puts_file("c", "\xef\xbb\xbf" "c\xff\xfe");
    puts_file(".hidden", "no");
    puts_file(".git/no", "no");
    puts_file("empty.txt", "");
    puts_file("empty.gz", "");
    put("binary.o", "ab\0c", 4);
    assert_int_equal(symlink(root, in_root("loop")), 0);
    assert_int_equal(symlink("c", in_root("z")), 0);
    assert_int_equal(mkfifo(in_root("pipe"), 0600), 0);
    expect("upper|in b\r\n|deep|\xef\xbb\xbf" "c\xff\xfe|\xef\xbb\xbf" "c\xff\xfe|", NULL);
    char b[300];
    snprintf(b, sizeof b, "%s/b", root);
    pha__text_list list = { 0 };
    OK(pha__text_list_add(&list, root, b));
    assert_int_equal(list.n, 6);
    pha__text_list_free(&list);
    const char *paths[] = { in_root("z"), b };
    pha__str text = { 0 };
    pha__text_stats stats;
    OK(read_all(&text, paths, 2, NULL, &stats));
    assert_true(stats.files == 3 && stats.bytes_done == stats.bytes_total && stats.bytes_total == 6 + 6 + 4);
    FAILS(BAD_INPUT, "byte 2 is zero", (paths[0] = in_root("binary.o"), read_all(&text, paths, 1, NULL, NULL)));
    FAILS(BAD_INPUT, "neither a regular file", (paths[0] = in_root("pipe"), read_all(&text, paths, 1, NULL, NULL)));
    FAILS(IO, "no such file", (paths[0] = in_root("nothing"), read_all(&text, paths, 1, NULL, NULL)));
    pha__str_free(&text);
}

static void wikitext(void **state)
{
    (void)state;
    fresh();
    puts_file(
        "w.tokens",
        " \n = One = \n \n text\n = not = \n \n = = Section = = \n x\n \n = Two b = \n \n y = 1 \n \n = Three = \n \n");
    const char *want = " \n = One = \n \n text\n = not = \n \n = = Section = = \n x\n \n| = Two b = \n \n y = 1 \n \n| "
                       "= Three = \n \n|";
    expect(want, NULL);
    /* Small pieces: the same documents. */
    for (size_t piece = 1; piece < 60; piece++) {
        pha__str text = { 0 };
        const char *one = root;
        OK(read_all(&text, &one, 1, &(pha__text_options){ .piece = piece }, NULL));
        size_t n = 0;
        for (size_t i = 0; i < text.size; i++)
            if (text.data[i] != '/') text.data[n++] = text.data[i];
        assert_int_equal(n, strlen(want));
        assert_memory_equal(text.data, want, n);
        pha__str_free(&text);
    }
}

static void jsonl(void **state)
{
    (void)state;
    fresh();
    puts_file("a.jsonl", "\xef\xbb\xbf{\"text\": \"one\\nline\"}\r\n\n  \n{\"id\": 99999999999999999999, \"text\": "
                         "\"two \\u00e9\"}\n{\"text\":\"\"}\n"
                         "{\"text\": \"last\"}");
    expect("one\nline|two \xc3\xa9|last|", NULL);
    FAILS(
        BAD_INPUT, "a.jsonl:1: key 'body': no such key",
        (expect("", &(pha__text_options){ .text_key = "body", .skip_bad = true }),
         read_all(&(pha__str){ 0 }, (const char *[]){ root }, 1, &(pha__text_options){ .text_key = "body" }, NULL)));
    const struct { const char *line, *part; } bad[] = {
        { "{\"text\": \"a\"", "b.ndjson:2: not JSON" }, { "{\"text\": 5}", "b.ndjson:2: key 'text': not a string" },
        { "[\"text\"]", "b.ndjson:2: key 'text': not an object" }, { "{\"text\": \"\xff\"}", "b.ndjson:2: not JSON" },
        { "{\"text\": \"a\"} x", "b.ndjson:2: not JSON" }, { "\"text\"", "b.ndjson:2" },
    };
    pha__str text = { 0 };
    const char *one = root;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char lines[200];
        pha__text_stats stats;
        fresh();
        snprintf(lines, sizeof lines, "{\"text\":\"ok\"}\n%s\n{\"text\":\"fine\"}\n", bad[i].line);
        puts_file("b.ndjson", lines);
        FAILS(BAD_INPUT, bad[i].part, read_all(&text, &one, 1, NULL, NULL));
        OK(read_all(&text, &one, 1, &(pha__text_options){ .skip_bad = true }, &stats));
        assert_int_equal(text.size, 8);
        assert_memory_equal(text.data, "ok|fine|", 8);
        assert_int_equal(stats.bad_lines, 1);
    }
    /* A line that is too long is one bad line, wherever it is. */
    fresh();
    pha__str big = { 0 };
    pha__str_puts(&big, "{\"text\":\"");
    for (int i = 0; i < 100000; i++) pha__str_puts(&big, "ab ");
    pha__str_puts(&big, "\"}\n{\"text\":\"after\"}\n");
    put("c.jsonl", big.data, big.size);
    pha__text_options few = { .max_line = 100000, .piece = 1000 };
    FAILS(BAD_INPUT, "c.jsonl:1: a line of more than 100000 bytes", read_all(&text, &one, 1, &few, NULL));
    few.skip_bad = true;
    pha__text_stats stats;
    OK(read_all(&text, &one, 1, &few, &stats));
    assert_memory_equal(text.data, "after|", 6);
    assert_int_equal(stats.bad_lines, 1);
    few.max_line = 0; /* long documents come in pieces */
    OK(read_all(&text, &one, 1, &few, NULL));
    assert_true(text.size > 300006 + 290 && text.size < 300006 + 400);
    pha__str_free(&text);
    pha__str_free(&big);
}

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
    assert_int_equal(BZ2_bzBuffToBuffCompress((char *)out, &n, (char *)(uintptr_t)data, (unsigned)size, 1, 0, 0), BZ_OK);
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
    expect("in gzip|", NULL);
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
    OK(pha__mkdirs(root));
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

static void counting(void **state)
{
    (void)state;
    uint64_t words = 0, lines = 0;
    pha__text_count(" a bc\n\td  \n\n e", 14, '\n', &words, &lines);
    assert_true(words == 4 && lines == 3);
    pha__text_count("f g", 3, 'e', &words, &lines); /* goes on with the word "e" */
    assert_true(words == 5 && lines == 3);
}

/* What GPT-2's pattern makes of the parts must be what it makes of the whole, at every place the cut may choose. */
static void check_cuts(pha__encoder *e, const char *text, size_t size, int *tried)
{
    static int32_t whole[5000], parts[5000];
    const int32_t *ids;
    size_t n, a, b;
    OK(pha__encode(e, text, size, false, &ids, &n));
    assert_true(n <= 5000);
    memcpy(whole, ids, n * sizeof *ids);
    for (size_t high = 1; high < size; high++) {
        size_t cut = pha__text_cut(text, 0, high);
        if (!cut) continue;
        assert_true(cut <= high);
        OK(pha__encode(e, text, cut, false, &ids, &a));
        memcpy(parts, ids, a * sizeof *ids);
        OK(pha__encode(e, text + cut, size - cut, false, &ids, &b));
        assert_true(a + b <= 5000);
        memcpy(parts + a, ids, b * sizeof *ids);
        if (a + b != n || memcmp(parts, whole, n * sizeof *whole) != 0)
            fail_msg("cut at %zu of %zu changes the tokens", cut, size);
        ++*tried;
    }
}

static void cuts(void **state)
{
    (void)state;
    const char *data = getenv("PHA_DATA");
    if (!data || !*data) {
        print_message("skipped: PHA_DATA is not set\n");
        skip();
    }
    char name[600];
    pha__tokenizer *t;
    pha__encoder *e;
    snprintf(name, sizeof name, "%s/gpt2-bpe", data);
    OK(pha__tokenizer_open(&t, name));
    OK(pha__encoder_open(&e, t));
    /* Texts from an alphabet of everything that the pattern treats differently. */
    static const char *const parts[] = { " ",
                                         " ",
                                         "\n",
                                         "\n",
                                         "\t",
                                         "\r\n",
                                         "  ",
                                         "a",
                                         "'s",
                                         "'ll",
                                         "'",
                                         "9",
                                         "!",
                                         "=",
                                         "\xc3\xa9",
                                         "\xc2\xa0",
                                         "\xe2\x80\x83",
                                         "\xe3\x80\x80",
                                         "\xe4\xb8\xad",
                                         "\xff",
                                         "\xe2\x80",
                                         "\xc2\x85",
                                         "\x1c",
                                         "\xf0\x9f\x98\x80",
                                         "the",
                                         " the",
                                         "\v" };
    uint32_t random = 1;
    int tried = 0;
    for (int round = 0; round < 3000; round++) {
        char text[400];
        size_t size = 0;
        for (int i = 0; i < 40; i++) {
            random = random * 1664525u + 1013904223u;
            const char *part = parts[(random >> 16) % (sizeof parts / sizeof *parts)];
            memcpy(text + size, part, strlen(part));
            size += strlen(part);
        }
        check_cuts(e, text, size, &tried);
    }
    assert_true(tried > 50000);
    pha__encoder_close(e);
    pha__tokenizer_close(t);
}

/* Pieces of any size hold the text; only where there is nothing to cut is one cut inside a word. */
static void pieces(void **state)
{
    (void)state;
    fresh();
    pha__str text = { 0 }, got = { 0 };
    for (int i = 0; i < 3000; i++) pha__str_printf(&text, "w%d%s", i, i % 7 ? " " : "\n");
    put("a.txt", text.data, text.size);
    const char *one = root;
    OK(read_all(&got, &one, 1, &(pha__text_options){ .piece = 1000 }, NULL));
    size_t n = 0, cut = 0;
    for (size_t i = 0; i < got.size; i++) {
        if (got.data[i] == '/') cut++, assert_true(got.data[i + 1] == ' ' || got.data[i + 1] == '\n');
        else if (got.data[i] != '|') assert_int_equal(got.data[i], text.data[n++]);
    }
    assert_int_equal(n, text.size);
    assert_true(cut >= text.size / 1000 && cut < text.size / 900);
    pha__str_clear(&text);
    for (int i = 0; i < 30001; i++) pha__str_puts(&text, "\xc3\xa9");
    put("a.txt", text.data, text.size);
    OK(read_all(&got, &one, 1, &(pha__text_options){ .piece = 1001 }, NULL));
    assert_int_equal(got.size, text.size + text.size / 16016 + 1);
    assert_int_equal(got.data[16016], '/'); /* 16 times the piece, and between two characters */
    pha__str_free(&text);
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
        cmocka_unit_test(folders),     cmocka_unit_test(bomb),     cmocka_unit_test(wikitext),
        cmocka_unit_test(jsonl),       cmocka_unit_test(compressed), cmocka_unit_test(long_window),
        cmocka_unit_test(counting), cmocka_unit_test(cuts), cmocka_unit_test(pieces),
    };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
