/* pretokenize.c -- cutting text into words, by hand-written scanners for the known patterns
 *
 * Each function takes the alternatives of its pattern in their order. A word is decided from its own characters and at
 * most one after it, so scanning a text is linear. Bytes that are not valid UTF-8 are characters of class "other", one
 * byte each: words keep every byte of the text, in order.
 */
#include "base/utf8.h"
#include "io/tokenizer/pipeline.h"

const char pha__split_gpt2[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const char pha__split_llama3[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
                                 "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char pha__split_cl100k[] = "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| "
                                 "?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+";
const char pha__split_qwen2[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "
                                "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

enum { O = PHA__CLASS_OTHER, L = PHA__CLASS_LETTER, N = PHA__CLASS_NUMBER, S = PHA__CLASS_SPACE };

static const uint8_t ascii[128] = {
    [9] = S,   [10] = S,  [11] = S,  [12] = S,  [13] = S,  [' '] = S, ['0'] = N, ['1'] = N, ['2'] = N, ['3'] = N,
    ['4'] = N, ['5'] = N, ['6'] = N, ['7'] = N, ['8'] = N, ['9'] = N, ['A'] = L, ['B'] = L, ['C'] = L, ['D'] = L,
    ['E'] = L, ['F'] = L, ['G'] = L, ['H'] = L, ['I'] = L, ['J'] = L, ['K'] = L, ['L'] = L, ['M'] = L, ['N'] = L,
    ['O'] = L, ['P'] = L, ['Q'] = L, ['R'] = L, ['S'] = L, ['T'] = L, ['U'] = L, ['V'] = L, ['W'] = L, ['X'] = L,
    ['Y'] = L, ['Z'] = L, ['a'] = L, ['b'] = L, ['c'] = L, ['d'] = L, ['e'] = L, ['f'] = L, ['g'] = L, ['h'] = L,
    ['i'] = L, ['j'] = L, ['k'] = L, ['l'] = L, ['m'] = L, ['n'] = L, ['o'] = L, ['p'] = L, ['q'] = L, ['r'] = L,
    ['s'] = L, ['t'] = L, ['u'] = L, ['v'] = L, ['w'] = L, ['x'] = L, ['y'] = L, ['z'] = L,
};

/* The class of the character at s[i], and its length. */
static inline int class_at(const unsigned char *s, size_t i, size_t n, int *size)
{
    if (s[i] < 128) {
        *size = 1;
        return ascii[s[i]];
    }
    int32_t code;
    *size = pha__utf8_decode(s + i, n - i, &code);
    return pha__unicode_class(code);
}

/* The end of the run of characters of one class from s[i] on, at most `limit` of them. */
static inline size_t run_end(const unsigned char *s, size_t i, size_t n, int kind, size_t limit)
{
    int size;
    while (i < n && limit-- && class_at(s, i, n, &size) == kind) i += (size_t)size;
    return i;
}

/* 's 't 'm 'd 're 've 'll at s[i] == '\'': their length, else 0 */
static inline size_t contraction(const unsigned char *s, size_t i, size_t n, unsigned char fold)
{
    if (i + 1 >= n) return 0;
    unsigned char a = s[i + 1] | fold, b = i + 2 < n ? s[i + 2] | fold : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    /* the long s folds to s, too */
    return fold && i + 2 < n && s[i + 1] == 0xC5 && s[i + 2] == 0xBF ? 3 : 0;
}

/* \s+(?!\S)|\s+ : the whole run at the end of the text or if it is one character, else all but its last character */
static inline size_t space_end(const unsigned char *s, size_t i, size_t n)
{
    size_t last = i, end = i;
    int size;
    while (end < n && class_at(s, end, n, &size) == S) {
        last = end;
        end += (size_t)size;
    }
    return end == n || last == i ? end : last;
}

static size_t gpt2_end(const unsigned char *s, size_t i, size_t n)
{
    if (s[i] == '\'') {
        size_t short_form = contraction(s, i, n, 0);
        if (short_form) return i + short_form;
    }
    size_t j = i + (s[i] == ' ');
    if (j == n) return n;
    int size, kind = class_at(s, j, n, &size);
    return kind == S ? space_end(s, i, n) : run_end(s, j + (size_t)size, n, kind, SIZE_MAX);
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ */
static size_t space_end_lines(const unsigned char *s, size_t i, size_t n)
{
    size_t line = 0, end = i;
    int size;
    while (end < n && class_at(s, end, n, &size) == S) {
        if (s[end] == '\n' || s[end] == '\r') line = end + 1;
        end += (size_t)size;
    }
    return line ? line : space_end(s, i, n);
}

static size_t llama3_end(const unsigned char *s, size_t i, size_t n, size_t digits)
{
    if (s[i] == '\'') {
        size_t short_form = contraction(s, i, n, 0x20);
        if (short_form) return i + short_form;
    }
    int size, next_size, kind = class_at(s, i, n, &size);
    size_t next = i + (size_t)size;
    if (kind == L) return run_end(s, next, n, L, SIZE_MAX);
    if (kind == N) return run_end(s, next, n, N, digits - 1);
    int next_kind = next < n ? class_at(s, next, n, &next_size) : S;
    if (next_kind == L && s[i] != '\r' && s[i] != '\n') return run_end(s, next, n, L, SIZE_MAX);
    if (kind == O || (s[i] == ' ' && next_kind == O)) {
        size_t end = run_end(s, next, n, O, SIZE_MAX);
        while (end < n && (s[end] == '\r' || s[end] == '\n')) end++;
        return end;
    }
    return space_end_lines(s, i, n);
}

size_t pha__word_end(pha__split split, const unsigned char *s, size_t i, size_t n)
{
    switch (split) {
    case PHA__SPLIT_GPT2:
        return gpt2_end(s, i, n);
    case PHA__SPLIT_LLAMA3:
        return llama3_end(s, i, n, 3);
    case PHA__SPLIT_QWEN2:
        return llama3_end(s, i, n, 1);
    default:
        return n;
    }
}
