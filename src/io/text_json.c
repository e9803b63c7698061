/* text_json.c -- documents from JSON: an object per line, or objects one behind the other and in arrays */
#include <string.h>

#include "io/json_text.h"
#include "io/text_impl.h"

enum { LOOK = 65536 }; /* bytes in which a line that is no object is known as such */

static const char *wrong_of(pha__json_found found, const pha__json_text *text)
{
    switch (found) {
    case PHA__JSON_NO_KEY: return "no such key; text-key names the one that holds the text";
    case PHA__JSON_NO_STRING: return "not a string";
    case PHA__JSON_NO_OBJECT: return "not an object";
    case PHA__JSON_CUT: return "it ends too early";
    default: return text->why;
    }
}

/* ---- lines ---------------------------------------------------------------------------------------------- */

/* How much may be read of a line whose first bytes are these. What does not begin as an object does is none. */
static size_t most_of(const pha__text *t, const char *s, size_t n)
{
    size_t at = pha__text_mark(s, n);
    while (at < n && pha__text_is_blank(s + at, 1)) at++;
    return at == n || s[at] == '{' || t->options.max_line < LOOK ? t->options.max_line : LOOK;
}

static pha_status too_long(pha__text *t, size_t most)
{
    if (!t->options.skip_bad && most < t->options.max_line)
        FAIL(BAD_INPUT, "%s:%llu: not JSON: a long line that does not begin with '{'", t->path,
             (unsigned long long)t->line + 1);
    if (!t->options.skip_bad)
        FAIL(BAD_INPUT, "%s:%llu: a line of more than %zu bytes", t->path, (unsigned long long)t->line + 1, most);
    t->begin = t->end; /* the line's end will still be found, as a bad line */
    t->discard = true;
    return PHA_OK;
}

/* Finds the next line: *line is NULL at the end of the file. */
static pha_status next_line(pha__text *t, char **line, size_t *size)
{
    size_t seen = 0;
    *line = NULL;
    for (;;) {
        size_t available = t->end - t->begin;
        char *s = t->buffer + t->begin;
        const char *newline = available > seen ? memchr(s + seen, '\n', available - seen) : NULL;
        bool last = !newline && t->stream_end;
        if (newline || last) {
            *size = newline ? (size_t)(newline - s) : available;
            t->begin += *size + (newline != NULL);
            if (last && *size == 0) {
                t->stats.bad_lines += t->discard;
                return PHA_OK;
            }
            *line = s;
            t->line++;
            return PHA_OK;
        }
        size_t most = most_of(t, s, available);
        if (available > most) {
            TRY(too_long(t, most));
            available = 0;
        }
        seen = available;
        size_t want = available + t->options.piece > 2 * available ? available + t->options.piece : 2 * available;
        size_t limit = t->options.max_line + t->options.piece;
        TRY(pha__text_fill(t, want < limit || available >= limit ? want : limit));
    }
}

/* The document is the text that was found in s. */
static void take(pha__text *t, char *s, const pha__json_text *text)
{
    size_t n = text->to - text->from;
    t->document = s + text->from;
    t->document_left = text->escaped ? pha__json_text_decode(t->document, n, &t->stats.replaced) : n;
}

static pha_status take_line(pha__text *t, char *line, size_t size)
{
    pha__json_text text = {0};
    pha__json_found found = PHA__JSON_BAD;
    if (t->discard) text.why = "too long";
    else found = pha__json_text_find(&text, line, size, t->options.text_key);
    t->discard = false;
    bool whole = found != PHA__JSON_BAD && found != PHA__JSON_CUT && found != PHA__JSON_NO_OBJECT;
    if (whole && !pha__text_is_blank(line + text.end, size - text.end))
        found = PHA__JSON_BAD, text.why = "something follows the object";
    if (found == PHA__JSON_TEXT) return take(t, line, &text), PHA_OK;
    t->stats.bad_lines++;
    if (t->options.skip_bad) return PHA_OK;
    const char *wrong = wrong_of(found, &text);
    unsigned long long number = t->line;
    if (found == PHA__JSON_BAD || found == PHA__JSON_CUT)
        FAIL(BAD_INPUT, "%s:%llu: not JSON: %s (column %zu)", t->path, number, wrong, text.end + 1);
    FAIL(BAD_INPUT, "%s:%llu: key '%s': %s", t->path, number, t->options.text_key, wrong);
}

/* Reads lines up to the next document with text. */
static pha_status next_of_lines(pha__text *t)
{
    while (t->document_left == 0) {
        char *line;
        size_t size;
        TRY(next_line(t, &line, &size));
        if (!line) return PHA_OK;
        size_t mark = pha__text_mark(line, size);
        line += mark, size -= mark;
        if (!t->discard && pha__text_is_blank(line, size)) continue;
        TRY(take_line(t, line, size));
    }
    return PHA_OK;
}

/* ---- values --------------------------------------------------------------------------------------------- */

static pha_status bad_value(const pha__text *t, const char *why)
{
    FAIL(BAD_INPUT, "%s: not JSON: object %llu: %s", t->path, (unsigned long long)t->line, why);
}

/* Up to the next object, through what may stand between two; *more is false at the end of the file. */
static pha_status between(pha__text *t, bool *more)
{
    for (;;) {
        TRY(pha__text_fill(t, 3));
        size_t n = t->end - t->begin, mark = pha__text_mark(t->buffer + t->begin, n);
        char c = n ? t->buffer[t->begin] : 0;
        *more = n > 0;
        if (n == 0 && t->array) return bad_value(t, "the array is not closed; is the file truncated?");
        if (n == 0) return PHA_OK;
        if (c == '{' && (t->separated || !t->array)) return PHA_OK;
        if (c == '[' && !t->array) t->array = t->separated = true;
        else if (c == ']' && t->array) t->array = false;
        else if (c == ',' && t->array && !t->separated) t->separated = true;
        else if (!mark && !pha__text_is_blank(&c, 1)) return bad_value(t, "something else than an object follows it");
        t->begin += mark ? mark : 1;
    }
}

/* Reads objects up to the next document with text. Behind one that is not JSON there is no going on. */
static pha_status next_of_values(pha__text *t)
{
    while (t->document_left == 0) {
        bool more;
        TRY(between(t, &more));
        if (!more) return PHA_OK;
        t->line++;
        pha__json_text text;
        pha__json_found found;
        size_t want = t->options.piece;
        for (;;) {
            TRY(pha__text_fill(t, want));
            size_t n = t->end - t->begin;
            found = pha__json_text_find(&text, t->buffer + t->begin, n, t->options.text_key);
            if (found != PHA__JSON_CUT) break;
            if (t->stream_end) return bad_value(t, "it is not closed; is the file truncated?");
            if (n > t->options.max_line) return bad_value(t, "it is too long");
            want = 2 * n < t->options.max_line ? 2 * n : t->options.max_line + 1;
        }
        if (found == PHA__JSON_BAD) return bad_value(t, text.why);
        if (found == PHA__JSON_TEXT) take(t, t->buffer + t->begin, &text);
        else if (t->options.skip_bad) t->stats.bad_lines++;
        else
            FAIL(BAD_INPUT, "%s: object %llu: key '%s': %s", t->path, (unsigned long long)t->line,
                 t->options.text_key, wrong_of(found, &text));
        t->begin += text.end;
        t->separated = false;
    }
    return PHA_OK;
}

pha_status pha__text_next_json(pha__text *t, pha__piece *piece)
{
    if (t->document_left == 0) TRY((t->kind == PHA__TEXT_LINES ? next_of_lines : next_of_values)(t));
    if (t->document_left) pha__text_hand_on(t, piece);
    return PHA_OK;
}

void pha__text_hand_on(pha__text *t, pha__piece *piece)
{
    size_t n = t->document_left, low = 0, want = t->options.piece;
    while (n > want) {
        n = pha__text_cut(t->document, low, want, t->options.cuts);
        if (!n && want >= t->hard) n = pha__text_cut_anywhere(t, t->document, want);
        if (n) break;
        n = t->document_left, low = want;
        want = want * 2 < t->hard ? want * 2 : t->hard;
    }
    *piece = (pha__piece){ t->document, n, !t->in_document, n == t->document_left, false, t->path };
    t->in_document = !piece->ends;
    t->document += n, t->document_left -= n;
}
