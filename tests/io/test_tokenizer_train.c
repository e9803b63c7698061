/* test_tokenizer_train.c -- training against the plainest trainer there is, pieces, bounds */
#include "base/log.h"
#include "io/tokenizer/tokenizer_impl.h"
#include "support/allocations.h"

enum { TEXT = 3000, WORDS = 2000, TOKENS = 600 };

static uint32_t random_next(uint32_t *state) { return *state = *state * 1664525u + 1013904223u, *state >> 8; }

static pha__tokenizer *train(const char *s, size_t size, int32_t vocab, size_t piece)
{
    pha__bpe_trainer *b;
    pha__tokenizer *t;
    OK(pha__bpe_trainer_open(&b, vocab, 0));
    for (size_t i = 0; i < size; i += piece) OK(pha__bpe_trainer_feed(b, s + i, size - i < piece ? size - i : piece));
    OK(pha__bpe_trainer_finish(b, &t, NULL, NULL));
    pha__bpe_trainer_close(b);
    return t;
}

/* The reference: all words one after another, all pairs counted anew for each merge. */
typedef struct plain {
    int32_t symbols[TEXT];
    size_t start[WORDS + 1], size[WORDS], n_words;
    char token[TOKENS][64];
    size_t token_size[TOKENS];
    int32_t n_tokens;
} plain;

static int compare_tokens(const plain *p, int32_t a, int32_t b)
{
    size_t na = p->token_size[a], nb = p->token_size[b];
    int order = memcmp(p->token[a], p->token[b], na < nb ? na : nb);
    return order ? order : (na > nb) - (na < nb);
}

static size_t count_pair(const plain *p, int32_t a, int32_t b)
{
    size_t count = 0;
    for (size_t w = 0; w < p->n_words; w++) {
        const int32_t *s = p->symbols + p->start[w];
        for (size_t i = 0; i + 1 < p->size[w]; i++) count += s[i] == a && s[i + 1] == b;
    }
    return count;
}

static bool plain_best(const plain *p, int32_t *a, int32_t *b)
{
    size_t best = 0;
    for (size_t w = 0; w < p->n_words; w++) {
        const int32_t *s = p->symbols + p->start[w];
        for (size_t i = 0; i + 1 < p->size[w]; i++) {
            size_t count = count_pair(p, s[i], s[i + 1]);
            int order = count != best ? (count > best ? -1 : 1) : compare_tokens(p, s[i], *a);
            if (count == best && order == 0) order = compare_tokens(p, s[i + 1], *b);
            if (order < 0) best = count, *a = s[i], *b = s[i + 1];
        }
    }
    return best > 0;
}

static int32_t plain_token(plain *p, int32_t a, int32_t b)
{
    char bytes[128];
    size_t n = p->token_size[a] + p->token_size[b];
    assert_true(n <= 64);
    memcpy(bytes, p->token[a], p->token_size[a]);
    memcpy(bytes + p->token_size[a], p->token[b], p->token_size[b]);
    for (int32_t k = 0; k < p->n_tokens; k++)
        if (p->token_size[k] == n && memcmp(p->token[k], bytes, n) == 0) return k;
    memcpy(p->token[p->n_tokens], bytes, n);
    p->token_size[p->n_tokens] = n;
    return p->n_tokens++;
}

static void compare_with_plain(const char *s, size_t size, int32_t vocab)
{
    pha__tokenizer *t = train(s, size, vocab, size);
    plain *p = calloc(1, sizeof *p);
    assert_non_null(p);
    for (; p->n_tokens < 256; p->n_tokens++) {
        p->token[p->n_tokens][0] = (char)p->n_tokens;
        p->token_size[p->n_tokens] = 1;
    }
    for (size_t i = 0; i < size; i++) p->symbols[i] = (unsigned char)s[i];
    for (size_t i = 0, end; i < size; i = end) {
        end = pha__word_end(PHA__SPLIT_GPT2, (const unsigned char *)s, i, size);
        p->start[p->n_words] = i;
        p->size[p->n_words++] = end - i;
    }
    uint32_t n = 0;
    for (int32_t a = 0, b = 0; p->n_tokens < vocab - 1 && plain_best(p, &a, &b); n++) {
        int32_t c = plain_token(p, a, b);
        assert_true(n < t->n_merges);
        assert_int_equal(t->merges[n].left, a);
        assert_int_equal(t->merges[n].right, b);
        assert_int_equal(t->merges[n].id, c);
        for (size_t w = 0; w < p->n_words; w++) {
            int32_t *x = p->symbols + p->start[w];
            size_t k = 0;
            for (size_t i = 0; i < p->size[w]; i++) {
                bool hit = i + 1 < p->size[w] && x[i] == a && x[i + 1] == b;
                x[k++] = hit ? c : x[i];
                i += hit;
            }
            p->size[w] = k;
        }
    }
    assert_int_equal(n, t->n_merges);
    assert_int_equal(p->n_tokens + 1, pha__tokenizer_size(t));
    assert_int_equal(pha__tokenizer_eot(t), pha__tokenizer_size(t) - 1);
    free(p);
    pha__tokenizer_close(t);
}

static void against_plain(void **state)
{
    (void)state;
    uint32_t seed = 11;
    char s[TEXT];
    for (int round = 0; round < 6; round++) {
        size_t n = 200 + random_next(&seed) % 900;
        for (size_t i = 0; i < n; i++) {
            uint32_t r = random_next(&seed);
            s[i] = round % 3 == 0 ? "aab "[r % 4] : round % 3 == 1 ? "abcde,' \xc3\xa9"[r % 10] : (i % 40 ? 'a' : ' ');
        }
        compare_with_plain(s, n, 257 + 40 + round * 20);
    }
}

static void pieces(void **state)
{
    (void)state;
    size_t size = 2500000; /* more than two blocks */
    char *s = malloc(size);
    assert_non_null(s);
    uint32_t seed = 5;
    for (size_t i = 0; i < size; i++) s[i] = "etaoin shrdlu'\n\xc3\xa9s  the"[random_next(&seed) % 23];
    memset(s + 400000, 'q', 700000); /* a word that spans a block */
    pha__tokenizer *a = train(s, size, 400, size), *b = train(s, size, 400, 77777), *c = train(s, size, 400, 1 << 20);
    assert_int_equal(pha__tokenizer_size(a), 400);
    assert_true(pha__tokenizer_hash(a) == pha__tokenizer_hash(b));
    assert_true(pha__tokenizer_hash(a) == pha__tokenizer_hash(c));
    pha__tokenizer_close(a);
    pha__tokenizer_close(b);
    pha__tokenizer_close(c);
    memset(s, '\n', size); /* a short form across the end of the first block */
    memcpy(s + (1 << 20) - 2, "'ll", 3);
    a = train(s, (1 << 20) + 1, 400, size);
    assert_true(pha__tokenizer_find(a, "'ll", 3) >= 0);
    pha__tokenizer_close(a);
    free(s);
}

static void bounded(void **state)
{
    (void)state;
    pha__bpe_trainer *b;
    pha__tokenizer *t;
    size_t before = pha__mem_now();
    OK(pha__bpe_trainer_open(&b, 300, 2000));
    uint32_t seed = 9;
    for (int i = 0; i < 300000; i++) { /* some 300000 different words, and one that is frequent */
        char word[32];
        int n = snprintf(word, sizeof word, "%c%c%c%c%c zebra", 'a' + random_next(&seed) % 26,
                         'a' + random_next(&seed) % 26, 'a' + random_next(&seed) % 26, 'a' + random_next(&seed) % 26,
                         'a' + random_next(&seed) % 26);
        OK(pha__bpe_trainer_feed(b, word, (size_t)n));
        OK(pha__bpe_trainer_feed(b, "\n", 1));
    }
    assert_true(pha__mem_now() - before < 3 << 20);
    OK(pha__bpe_trainer_finish(b, &t, NULL, NULL));
    assert_true(pha__tokenizer_find(t, " zebra", 6) >= 0);
    FAILS(USAGE, "finished", pha__bpe_trainer_break(b));
    pha__tokenizer_close(t);
    pha__bpe_trainer_close(b);
    assert_int_equal(pha__mem_now(), before);
}

static void little_text(void **state)
{
    (void)state;
    FAILS(USAGE, "257", pha__bpe_trainer_open(&(pha__bpe_trainer *){0}, 256, 0));
    pha__tokenizer *t = train("", 0, 500, 1);
    assert_int_equal(pha__tokenizer_size(t), 257);
    pha__tokenizer *bytes;
    OK(pha__tokenizer_open(&bytes, "bytes"));
    assert_true(pha__tokenizer_hash(t) == pha__tokenizer_hash(bytes));
    pha__tokenizer_close(bytes);
    pha__tokenizer_close(t);
    t = train("ab", 2, 500, 1);
    assert_int_equal(pha__tokenizer_size(t), 258);
    pha__tokenizer_close(t);
    pha__bpe_trainer *b; /* a break keeps documents apart */
    OK(pha__bpe_trainer_open(&b, 500, 0));
    OK(pha__bpe_trainer_feed(b, "a", 1));
    OK(pha__bpe_trainer_break(b));
    OK(pha__bpe_trainer_feed(b, "b", 1));
    OK(pha__bpe_trainer_finish(b, &t, NULL, NULL));
    assert_int_equal(pha__tokenizer_size(t), 257);
    pha__tokenizer_close(t);
    pha__bpe_trainer_close(b);
}

static pha_status train_once(void *context)
{
    (void)context;
    pha__bpe_trainer *b;
    pha__tokenizer *t = NULL;
    TRY(pha__bpe_trainer_open(&b, 280, 0));
    pha_status status = pha__bpe_trainer_feed(b, "the theme then the", 18);
    if (!status) status = pha__bpe_trainer_finish(b, &t, NULL, NULL);
    pha__tokenizer_close(t);
    pha__bpe_trainer_close(b);
    return status;
}

static void no_memory(void **state)
{
    (void)state;
    assert_true(fail_allocations(train_once, NULL, 1000) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_plain), cmocka_unit_test(pieces),    cmocka_unit_test(bounded),
        cmocka_unit_test(little_text),   cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
