/* cuts.c -- where a tokenizer's words surely end, whatever stands around
 *
 * One step of a pipeline decides it: a pattern whose matches are all of the text, end at such a place from both sides
 * and look across it from neither. Behind that step no piece lies on both sides of the place, so any steps may follow.
 * Those in front of it may leave a piece that does, but must not look across it, either: they match single characters,
 * or are patterns without white space. What isn't known to be so is encoded whole.
 *
 * For the known patterns: no alternative has white space behind something else, but for the ends of lines behind
 * punctuation in those of later models; these always end a word with a run of them. GPT-2's `\s+(?!\S)` leaves the last
 * character of a run of white space to what follows, so for it the end of a run is no such place.
 */
#include "io/tokenizer/tokenizer_impl.h"

#define LATER (PHA__CUT_BLANK | PHA__CUT_LINE)
#define OLDER (PHA__CUT_BLANK | PHA__CUT_LINE_END)

#define O200K_WORD(end)                                                                                            \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+" end                 \
    "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*" end
#define O200K_REST "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const char o200k[] = O200K_WORD("(?i:'s|'t|'re|'ve|'m|'ll|'d)?") "|\\p{N}{1,3}" O200K_REST;
static const char tekken[] = O200K_WORD("") "|\\p{N}" O200K_REST;
static const char deepseek3[] = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?"
                                "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
/* Chinese and Japanese, from U+4E00 to U+9FA5 and all of U+3040 to U+30FF */
static const char cjk[] = "[\344\270\200-\351\276\245\343\201\200-\343\202\237\343\202\240-\343\203\277]+";

/* Files write line ends as they are or as \r and \n, and a quote with or without a backslash. */
static bool same(const char *pattern, const char *known)
{
    for (; *pattern && *known; pattern++, known++) {
        if (*pattern == '\r' || *pattern == '\n') {
            if (*known++ != '\\' || *known != (*pattern == '\r' ? 'r' : 'n')) return false;
            continue;
        }
        if (pattern[0] == '\\' && pattern[1] == '"') pattern++;
        if (*pattern != *known) return false;
    }
    return !*pattern && !*known;
}

pha__word_ends pha__word_ends_of(const char *pattern)
{
    static const struct {
        const char *text;
        pha__word_ends ends;
    } known[] = {{o200k, PHA__ENDS_KNOWN},     {tekken, PHA__ENDS_KNOWN},     {deepseek3, PHA__ENDS_KNOWN},
                 {cjk, PHA__ENDS_INERT},    {"\\p{N}", PHA__ENDS_INERT}, {"\\p{N}{1,3}", PHA__ENDS_INERT},
                 {"[0-9]", PHA__ENDS_INERT}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (same(pattern, known[i].text)) return known[i].ends;
    return PHA__ENDS_UNKNOWN;
}

static pha__cuts cuts_of_split(pha__split split)
{
    return split == PHA__SPLIT_NONE ? PHA__CUT_NOWHERE : split == PHA__SPLIT_GPT2 ? OLDER : LATER;
}

/* Of the first step that decides. */
static pha__cuts cuts_of_steps(const pha__pipeline *p)
{
    for (int i = 0; i < p->n; i++) {
        const pha__step *s = &p->step[i];
        bool all = s->cut == PHA__ISOLATED && !s->invert;
        if (s->kind == PHA__STEP_KNOWN) return all ? cuts_of_split(s->split) : PHA__CUT_NOWHERE;
        if (s->kind == PHA__STEP_REGEX && s->ends == PHA__ENDS_KNOWN) return all ? LATER : PHA__CUT_NOWHERE;
        if (s->kind == PHA__STEP_REGEX && s->ends == PHA__ENDS_UNKNOWN) return PHA__CUT_NOWHERE;
        if (s->kind == PHA__STEP_CHARS) return PHA__CUT_NOWHERE; /* a blank is a letter there */
    }
    return PHA__CUT_NOWHERE;
}

static bool puts_space(const pha__tokenizer *t)
{
    bool space = t->add_prefix_space;
    for (int i = 0; i < t->pipeline.n; i++) space |= t->pipeline.step[i].kind == PHA__STEP_SPACE;
    return space;
}

/* May an added token that is always found lie across such a place, or see what is behind it? */
static bool crosses(const pha__added *a)
{
    if (a->special) return false;
    if (a->single_word || a->lstrip || a->rstrip) return true;
    for (size_t i = 1; i < a->size; i++) {
        bool before = a->text[i - 1] <= ' ', here = a->text[i] <= ' ';
        if (before != here) return true;
    }
    return false;
}

pha__cuts pha__tokenizer_cuts(const pha__tokenizer *t)
{
    bool bytes = t->n_merges == 0 && !t->ignore_merges && !t->pipeline.n;
    pha__cuts cuts = t->pipeline.n ? cuts_of_steps(&t->pipeline) : bytes ? OLDER : cuts_of_split(t->split);
    if (puts_space(t)) cuts &= PHA__CUT_BLANK; /* elsewhere one would be put in front of the right part */
    for (int32_t i = 0; i < t->n_added; i++)
        if (crosses(&t->added[i])) return PHA__CUT_NOWHERE;
    return cuts;
}
