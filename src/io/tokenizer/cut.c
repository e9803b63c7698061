/* cut.c -- the pieces that one step of the pipeline makes of a text */
#include "base/utf8.h"
#include "io/tokenizer/pipeline.h"

static bool is_match(pha__step_kind kind, int32_t code)
{
    return kind == PHA__STEP_NUMBER ? pha__unicode_class(code) == PHA__CLASS_NUMBER : pha__unicode_punctuation(code);
}

/* The next character of the step's class. */
static pha__match find_char(const pha__cutter *c)
{
    int32_t code;
    for (size_t i = c->at, size; i < c->size; i += size) {
        size = (size_t)pha__utf8_decode(c->text + i, c->size - i, &code);
        if (is_match(c->step->kind, code)) return (pha__match){i, i + size, true};
    }
    return (pha__match){c->size, c->size, false};
}

static pha_status look(pha__cutter *c)
{
    c->looked = true;
    if (c->step->kind == PHA__STEP_REGEX)
        return pha__regex_find(c->step->regex, c->matcher, c->text, c->size, c->at, &c->spent, &c->match);
    if (c->step->kind == PHA__STEP_KNOWN)
        c->match = (pha__match){c->at, pha__word_end(c->step->split, c->text, c->at, c->size), true};
    else
        c->match = find_char(c);
    return PHA_OK;
}

/* The next match or what lies in front of it. */
static pha_status next_range(pha__cutter *c, size_t *start, size_t *end, bool *match)
{
    if (!c->looked) TRY(look(c));
    *start = c->at;
    *match = c->at == c->match.start;
    *end = *match ? c->match.end : c->match.start;
    if (*match) c->looked = false;
    *match ^= c->step->invert;
    c->at = *end;
    return PHA_OK;
}

/* Does the next range go on with the piece that is held? */
static bool joins(const pha__cutter *c, bool match)
{
    switch (c->step->cut) {
    case PHA__CONTIGUOUS: return match == c->held_match;
    case PHA__WITH_PREVIOUS: return match && !c->held_match;
    case PHA__WITH_NEXT: return !match && c->held_match;
    default: return false;
    }
}

static bool give(pha__cutter *c, size_t *start, size_t *end, bool *more)
{
    bool dropped = c->step->cut == PHA__REMOVED && c->held_match;
    *start = c->held_start, *end = c->held_end;
    *more = c->held && !dropped;
    return *more;
}

pha_status pha__cut_next(pha__cutter *c, size_t *start, size_t *end, bool *more)
{
    while (c->at < c->size) {
        size_t from = 0, to = 0;
        bool match;
        TRY(next_range(c, &from, &to, &match));
        if (c->held && joins(c, match)) {
            c->held_end = to;
            c->held_match = match;
            continue;
        }
        bool given = give(c, start, end, more);
        c->held = true, c->held_match = match;
        c->held_start = from, c->held_end = to;
        if (given) return PHA_OK;
    }
    give(c, start, end, more);
    c->held = false;
    return PHA_OK;
}
