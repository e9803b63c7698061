/* pipeline.h -- the steps by which a tokenizer.json cuts a text into words
 *
 * Each step takes the pieces of the one before it. Most tokenizers are one known pattern and need none of this:
 * tokenizer_impl.h's `split`, which is faster.
 */
#ifndef PHA__PIPELINE_H
#define PHA__PIPELINE_H

#include "base/json.h"
#include "io/tokenizer/regex.h"
#include "io/tokenizer/unicode_class.h"

/* How text is cut into words before merging. The values are part of the tokenizer's hash: never renumber. */
typedef enum pha__split {
    PHA__SPLIT_NONE = 0, /* a section is one word */
    PHA__SPLIT_GPT2 = 1,
    PHA__SPLIT_LLAMA3 = 2, /* also cl100k: numbers of up to three digits */
    PHA__SPLIT_QWEN2 = 3   /* as Llama 3's, numbers digit by digit */
} pha__split;

extern const char pha__split_gpt2[], pha__split_llama3[], pha__split_cl100k[], pha__split_qwen2[]; /* the patterns */

/* The end of the word that starts at s[i], i < n. A byte that is not part of valid UTF-8 is one character "other". */
size_t pha__word_end(pha__split split, const unsigned char *s, size_t i, size_t n);

typedef enum pha__step_kind {
    PHA__STEP_SPACE,  /* a space in front of what doesn't begin with one */
    PHA__STEP_CHARS,  /* bytes become GPT-2's byte characters; steps behind it see those */
    PHA__STEP_KNOWN,  /* cut by `split`; this and all below are cuts */
    PHA__STEP_NUMBER, /* what is cut at: a character of the class number */
    PHA__STEP_PUNCTUATION,
    PHA__STEP_REGEX
} pha__step_kind;

/* What becomes of the matches of a cut. */
typedef enum pha__cut { PHA__ISOLATED, PHA__REMOVED, PHA__CONTIGUOUS, PHA__WITH_PREVIOUS, PHA__WITH_NEXT } pha__cut;

/* What is known of the words of a pattern: cuts.c. */
typedef enum pha__word_ends {
    PHA__ENDS_UNKNOWN,
    PHA__ENDS_KNOWN,   /* they are all of the text and end where those of a known split do */
    PHA__ENDS_INERT /* they have no white space and depend on nothing around them */
} pha__word_ends;
pha__word_ends pha__word_ends_of(const char *pattern);

typedef struct pha__step {
    pha__step_kind kind;
    pha__split split;
    pha__regex *regex;
    pha__cut cut;
    bool invert;      /* what lies between the matches is taken for the matches */
    pha__word_ends ends; /* of a REGEX */
} pha__step;

#define PHA__STEPS 24

typedef struct pha__pipeline {
    pha__step step[PHA__STEPS];
    int n;
    bool chars; /* words come out in byte characters */
    bool regex;
    pha__str canon; /* what the hash covers; empty: the hash of `split` says all */
} pha__pipeline;

/* A tokenizer.json's pre_tokenizer: *split and *space, or, if these don't say it, steps. */
pha_status pha__pipeline_read(pha__pipeline *p, pha__split *split, bool *space, const json_t *json, const char *name);
void pha__pipeline_close(pha__pipeline *p);

/* The pieces of a text that one cut makes. With a step REGEX the text must be valid UTF-8. */
typedef struct pha__cutter {
    const pha__step *step;
    pha__matcher *matcher;
    const unsigned char *text;
    size_t size, at;
    pha__match match; /* the next one; found and at > end: not yet looked for */
    bool looked, held, held_match;
    size_t held_start, held_end;
    uint64_t spent;
} pha__cutter;

/* The next piece; *more is false at the end. */
pha_status pha__cut_next(pha__cutter *c, size_t *start, size_t *end, bool *more);

#endif
