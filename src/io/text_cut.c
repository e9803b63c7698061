/* text_cut.c -- where a text may be cut so that encoding the parts equals encoding the whole; counting words
 *
 * Byte-level BPE first splits text by a pattern (GPT-2's: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|
 * \s+(?!\S)|\s+) and then merges inside each part, so a cut is safe where it falls between two parts and where neither
 * side looks across it. Which places are such is said by the tokenizer (tokenizer/cuts.c). For GPT-2's pattern:
 *
 * Safe: before a white-space character that follows a character which is not white space.
 *  - It is a boundary of the whole: no alternative has white space after something else, so a match that holds the left
 *    character ends there, and it ends there because the next character fits no class, which the end of the text does
 * as well. The alternatives that match the left character look ahead at nothing.
 *  - The right text is matched from its first character on as the rest of the whole was: nothing looks behind, and all
 * of the run of white space, with what follows it, is on the right. Not safe: behind a newline or a blank. `\s+(?!\S)`
 * leaves the last character of a run to what follows (" \n x" is " \n" and " x", but a text that ends in " \n " keeps
 * the run whole), so where a run ends depends on what comes after it.
 *
 * Patterns of later models (cl100k and its kin) take newlines together with punctuation before them: there a blank is
 * such a place, and the beginning of a line, for a run of white space always ends behind its last newline.
 *
 * All bytes are fine: the byte on one side is ASCII white space, so the characters on the left are decoded alike in the
 * whole and in the part, also where they are not valid UTF-8.
 */
#include "base/utf8.h"
#include "io/text.h"

static inline bool is_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/* White space beyond ASCII, and control characters that some engines count as white space. */
static bool is_wide_space(int32_t c)
{
    return c == 0x85 || c == 0xa0 || c == 0x1680 || c == 0x180e || (c >= 0x2000 && c <= 0x200b) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x2060 || c == 0x3000 || c == 0xfeff;
}

/* Does text[low..p) end in a character that is surely no white space? */
static bool solid_before(const unsigned char *text, size_t low, size_t p)
{
    unsigned char last = text[p - 1];
    if (last < 0x80) return last > ' ' && last != 0x7f;
    for (size_t n = 2; n <= 4 && n <= p - low; n++) {
        int32_t code;
        int length = pha__utf8_decode(text + p - n, n, &code);
        if ((size_t)length == n && code >= 0) return !is_wide_space(code);
    }
    return false; /* not UTF-8: some other place will be found */
}

/* Does text[p..high] begin with a character that is surely no white space? Nor a slash: some patterns take those
 * together with the ends of lines before them. */
static bool solid_at(const unsigned char *text, size_t p, size_t high)
{
    int32_t code;
    if (text[p] < 0x80) return text[p] > ' ' && text[p] != '/' && text[p] != 0x7f;
    pha__utf8_decode(text + p, high + 1 - p, &code);
    return code >= 0 && !is_wide_space(code);
}

static bool may_cut(const unsigned char *text, size_t low, size_t p, size_t high, pha__cuts cuts)
{
    if (pha__text_is_space((char)text[p]))
        return cuts & (text[p] == ' ' ? PHA__CUT_BLANK : PHA__CUT_LINE_END) && solid_before(text, low, p);
    return cuts & PHA__CUT_LINE && text[p - 1] == '\n' && solid_at(text, p, high);
}

size_t pha__text_cut(const char *text, size_t low, size_t high, pha__cuts cuts)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t other = 0;
    for (size_t p = high; p > low && cuts; p--) {
        if (!may_cut(s, low, p, high, cuts)) continue;
        if (is_alnum(s[p - 1])) return p;
        if (!other) other = p;
    }
    return other;
}

void pha__text_count(const char *text, size_t size, char before, uint64_t *words, uint64_t *lines)
{
    uint64_t starts = 0, newlines = 0;
    bool space = pha__text_is_space(before);
    for (size_t i = 0; i < size; i++) {
        bool now = pha__text_is_space(text[i]);
        starts += space & !now;
        newlines += text[i] == '\n';
        space = now;
    }
    *words += starts;
    *lines += newlines;
}
