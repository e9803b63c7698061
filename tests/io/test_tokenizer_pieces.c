/* test_tokenizer_pieces.c -- a text may be encoded in pieces: the ids are those of the whole */
#include "kinds.h"

static const int32_t *encode(pha__encoder *e, const char *text, size_t size, size_t *n)
{
    const int32_t *ids;
    OK(pha__encode(e, text, size, false, &ids, n));
    return ids;
}

/* What is hard to cut: white space, punctuation, digits, marks, letters of one byte and more, bytes that are none. */
static size_t hard_text(char *text, size_t size, uint32_t *x)
{
    static const char *const parts[] = {
        "a", "B", "aBa", "1", "11", " ", " ", "  ", "\n", "\n", "\n\n", "\r\n", "\t", ".", "..", "'s", "'", "/", "$",
        "\303\251", "\314\201", "\302\240", "\343\200\202", "\344\270\200", "\342\200\250", "\302\262", "\377", "<m>",
        "[X]", " [X]", "\001", "\357\267\272", "\302\250", "a", "1", "a ", "a\n", ".\n"};
    size_t n = 0;
    while (n + 8 < size) {
        *x = *x * 1664525u + 1013904223u;
        const char *part = parts[(*x >> 12) % (sizeof parts / sizeof *parts)];
        memcpy(text + n, part, strlen(part)), n += strlen(part);
    }
    return n;
}

/* Every place that a tokenizer allows: the ids of the parts are those of the whole. Returns how many there were. */
static int try_all_cuts(const kind *k, const pha__tokenizer *t, pha__encoder *e, const char *text, size_t size)
{
    static int32_t whole[4000], parts[4000];
    size_t n, a, b;
    int tried = 0;
    const int32_t *ids = encode(e, text, size, &n);
    assert_true(n <= 4000);
    memcpy(whole, ids, n * sizeof *ids);
    for (size_t high = 1; high < size; high++) {
        size_t cut = pha__text_cut(text, high - 1, high, pha__tokenizer_cuts(t));
        if (!cut) continue;
        tried++;
        ids = encode(e, text, cut, &a);
        memcpy(parts, ids, a * sizeof *ids);
        ids = encode(e, text + cut, size - cut, &b);
        if (a + b == n) memcpy(parts + a, ids, b * sizeof *ids);
        if (a + b != n || memcmp(parts, whole, n * sizeof *whole) != 0)
            fail_msg("%s: cut at %zu ('%.8s' | '%.8s') changes the ids", k->name, cut, text + (cut > 8 ? cut - 8 : 0),
                     text + cut);
    }
    return tried;
}

static void cut_anywhere_allowed(void **state)
{
    (void)state;
    static const char *const whole[] = {"bloom", "roberta", "previous", "previous, several", "next",
                                        "next, several", "inverted", "removed", "none"};
    static const char rare[] = "a.\n/'s1 a\n\302\240\na 1\n\343\200\200 \n B";
    char text[600];
    for (size_t i = 0; i < N_KINDS; i++) {
        pha__tokenizer *t;
        pha__encoder *e;
        OK(load(&t, &kinds[i]));
        OK(pha__encoder_open(&e, t));
        int tried = 0;
        bool wanted = true;
        uint32_t x = 7;
        tried += try_all_cuts(&kinds[i], t, e, rare, strlen(rare));
        for (int round = 0; round < 8; round++)
            tried += try_all_cuts(&kinds[i], t, e, text, hard_text(text, sizeof text, &x));
        for (size_t k = 0; k < sizeof whole / sizeof *whole; k++) wanted &= strcmp(kinds[i].name, whole[k]) != 0;
        if (wanted != (tried > 100)) fail_msg("%s: %d cuts", kinds[i].name, tried);
        pha__encoder_close(e);
        pha__tokenizer_close(t);
    }
}

/* A document much longer than a piece, as a reader hands it on. */
static void in_pieces(void **state)
{
    (void)state;
    enum { SIZE = 40000, PIECE = 2000 };
    char folder[256], path[300], *text = malloc(SIZE);
    uint32_t x = 3;
    size_t size = hard_text(text, SIZE, &x);
    check_folder(folder);
    snprintf(path, sizeof path, "%s/long.txt", folder);
    OK(pha__write_file(path, text, size));
    for (size_t i = 0; i < N_KINDS; i++) {
        pha__tokenizer *t;
        pha__encoder *e;
        pha__text *reader;
        pha__piece piece;
        size_t n, m, at = 0, pieces = 0;
        OK(load(&t, &kinds[i]));
        OK(pha__encoder_open(&e, t));
        const int32_t *ids = encode(e, text, size, &n);
        int32_t *whole = malloc(n * sizeof *whole);
        memcpy(whole, ids, n * sizeof *whole);
        pha__text_options o = {.cuts = pha__tokenizer_cuts(t), .piece = PIECE, .quiet = true};
        OK(pha__text_open(&reader, (const char *[]){path}, 1, &o));
        for (;; pieces++, at += m) {
            OK(pha__text_next(reader, &piece));
            if (!piece.data) break;
            ids = encode(e, piece.data, piece.size, &m);
            if (at + m > n || memcmp(whole + at, ids, m * sizeof *ids))
                fail_msg("%s: piece %zu differs", kinds[i].name, pieces);
        }
        assert_int_equal(at, n);
        if (o.cuts ? pieces < SIZE / PIECE / 2 : pieces != 1) fail_msg("%s: %zu pieces", kinds[i].name, pieces);
        free(whole);
        pha__text_close(reader);
        pha__encoder_close(e);
        pha__tokenizer_close(t);
    }
    free(text);
    OK(pha__remove_tree(folder));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_anywhere_allowed),
        cmocka_unit_test(in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
