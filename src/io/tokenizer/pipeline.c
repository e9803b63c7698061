/* pipeline.c -- reading a tokenizer.json's pre_tokenizer
 *
 * Understood: ByteLevel, Split, Digits, Punctuation and Sequences of them. Anything else is an error that names it.
 */
#include "io/tokenizer/pipeline.h"

#include <string.h>

#include "io/tokenizer/members.h"

/* Adds a step, which the hash then covers with `detail`. */
static pha_status add(pha__pipeline *p, pha__step step, const char *detail, const char *name)
{
    if (p->n == PHA__STEPS) {
        pha__regex_close(step.regex);
        FAIL(BAD_INPUT, "%s: the pre_tokenizer has more than %d steps", name, PHA__STEPS);
    }
    p->step[p->n++] = step;
    p->regex |= step.kind == PHA__STEP_REGEX;
    pha__str_printf(&p->canon, "step %d %d %d %d %s\n", step.kind, step.split, step.cut, step.invert, detail);
    return PHA_OK;
}

static pha_status read_cut(pha__cut *out, const json_t *json, const char *missing, const char *name)
{
    static const char *const names[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious", "MergedWithNext"};
    const char *text = json_string_value(json_object_get(json, "behavior"));
    if (!text) text = missing;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(text, names[i])) return *out = (pha__cut)i, PHA_OK;
    FAIL(BAD_INPUT, "%s: pre_tokenizer '%.40s' with behavior '%.40s', which isn't supported", name, pha__type_of(json),
         text);
}

static pha__split known_split(const char *pattern)
{
    static const struct {
        const char *text;
        pha__split split;
    } known[] = {{pha__split_gpt2, PHA__SPLIT_GPT2},
                 {pha__split_llama3, PHA__SPLIT_LLAMA3},
                 {pha__split_cl100k, PHA__SPLIT_LLAMA3},
                 {pha__split_qwen2, PHA__SPLIT_QWEN2}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(pattern, known[i].text) == 0) return known[i].split;
    return PHA__SPLIT_NONE;
}

/* Text to be found as it is, as a pattern. */
static pha_status literal(pha__regex **out, const char *text, const char *name)
{
    pha__str s = {0};
    if (!*text) FAIL(BAD_INPUT, "%s: pre_tokenizer Split at an empty text, which is no text at all", name);
    for (const char *c = text; *c; c++) pha__str_printf(&s, strchr("\\[](){}.*+?^$|", *c) ? "\\%c" : "%c", *c);
    pha_status status = s.failed ? PHA_NO_MEMORY : pha__regex_open(out, s.data, name);
    pha__str_free(&s);
    return status;
}

static pha_status read_split(pha__pipeline *p, const json_t *json, const char *name)
{
    const json_t *pattern = json_object_get(json, "pattern");
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    const char *text = json_string_value(json_object_get(pattern, "String"));
    pha__step step = {.kind = PHA__STEP_REGEX, .invert = pha__flag(json, "invert", false)};
    if (!regex == !text)
        FAIL(BAD_INPUT, "%s: pre_tokenizer Split without a pattern {\"Regex\": ...} or {\"String\": ...}", name);
    TRY(read_cut(&step.cut, json, "", name));
    step.split = regex ? known_split(regex) : PHA__SPLIT_NONE;
    if (regex) step.ends = pha__word_ends_of(regex);
    if (step.split)
        step.kind = PHA__STEP_KNOWN;
    else if (regex)
        TRY(pha__regex_open(&step.regex, regex, name));
    else
        TRY(literal(&step.regex, text, name));
    return add(p, step, step.split ? "" : regex ? regex : text, name);
}

static pha_status read_byte_level(pha__pipeline *p, const json_t *json, const char *name)
{
    for (int i = 0; i < p->n; i++)
        if (p->step[i].kind == PHA__STEP_CHARS) FAIL(BAD_INPUT, "%s: pre_tokenizer ByteLevel is there twice", name);
    if (pha__flag(json, "add_prefix_space", true)) TRY(add(p, (pha__step){.kind = PHA__STEP_SPACE}, "", name));
    if (pha__flag(json, "use_regex", true))
        TRY(add(p, (pha__step){.kind = PHA__STEP_KNOWN, .split = PHA__SPLIT_GPT2}, "", name));
    return add(p, (pha__step){.kind = PHA__STEP_CHARS}, "", name);
}

static pha_status read_one(pha__pipeline *p, const json_t *json, const char *name, int depth)
{
    const char *type = pha__type_of(json);
    const json_t *list = json_object_get(json, "pretokenizers");
    pha__step step = {0};
    if (!strcmp(type, "ByteLevel")) return read_byte_level(p, json, name);
    if (!strcmp(type, "Split")) return read_split(p, json, name);
    if (!strcmp(type, "Digits")) {
        step.kind = PHA__STEP_NUMBER;
        step.cut = pha__flag(json, "individual_digits", false) ? PHA__ISOLATED : PHA__CONTIGUOUS;
        return add(p, step, "", name);
    }
    if (!strcmp(type, "Punctuation")) {
        step.kind = PHA__STEP_PUNCTUATION;
        TRY(read_cut(&step.cut, json, "Isolated", name));
        return add(p, step, "", name);
    }
    if (strcmp(type, "Sequence") || depth > 8)
        FAIL(BAD_INPUT,
             "%s: pre_tokenizer '%.40s' isn't supported (ByteLevel, Split, Digits, Punctuation and Sequence are)", name,
             type);
    for (size_t i = 0; i < json_array_size(list); i++) TRY(read_one(p, json_array_get(list, i), name, depth + 1));
    return PHA_OK;
}

/* A cut at a known pattern whose matches, all of the text, are the pieces. */
static bool is_plain(const pha__step *s)
{
    return s->kind == PHA__STEP_KNOWN && s->cut == (s->invert ? PHA__REMOVED : PHA__ISOLATED);
}

/* What is said by a split and a space in front needs no steps (and keeps its hash). */
static void simplify(pha__pipeline *p, pha__split *split, bool *space)
{
    int n = p->n;
    const pha__step *s = p->step;
    *space = n && s->kind == PHA__STEP_SPACE;
    if (*space) s++, n--;
    *split = n && is_plain(s) ? s->split : PHA__SPLIT_NONE;
    if (*split) s++, n--;
    if (n) return;
    p->n = 0;
    pha__str_clear(&p->canon);
}

pha_status pha__pipeline_read(pha__pipeline *p, pha__split *split, bool *space, const json_t *json, const char *name)
{
    if (!json || json_is_null(json)) FAIL(BAD_INPUT, "%s: no pre_tokenizer; only byte-level BPE is supported", name);
    TRY(read_one(p, json, name, 0));
    if (p->canon.failed) return PHA_NO_MEMORY;
    for (int i = 0; i < p->n; i++) p->chars |= p->step[i].kind == PHA__STEP_CHARS;
    if (!p->chars) FAIL(BAD_INPUT, "%s: the pre_tokenizer has no ByteLevel; only byte-level BPE is supported", name);
    if (p->step[p->n - 1].kind == PHA__STEP_CHARS) p->n--, p->chars = false; /* nothing looks at the characters */
    simplify(p, split, space);
    return PHA_OK;
}

void pha__pipeline_close(pha__pipeline *p)
{
    for (int i = 0; i < PHA__STEPS; i++) pha__regex_close(p->step[i].regex);
    pha__str_free(&p->canon);
}
