/* text.c -- documents from files: plain text, WikiText, JSONL */
#include "io/text.h"

#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "io/stream.h"

enum { HEADING = 4096 }; /* a line longer than this is no heading */

typedef enum { PLAIN, WIKITEXT, JSONL } kind;

struct pha__text {
    pha__text_options options;
    pha__text_list list;
    pha__text_stats stats;
    size_t hard;         /* a piece is cut anywhere when it has grown to this */
    size_t file;         /* index of the next file */
    const char *path;    /* of the open file */
    uint64_t size;       /* of the open file, on disk */
    kind kind;
    pha__stream *stream; /* NULL: no file is open */
    bool stream_end;
    char *buffer;        /* text from the stream; [begin, end) is not yet handed on */
    size_t capacity, begin, end;
    bool in_document;    /* a piece was handed on, but not the last one */
    bool noted;          /* that a piece of this file was cut anywhere */
    /* WikiText */
    size_t scan;         /* from begin: headings before this place have been looked at */
    bool line_blank;     /* the line at `scan` is white space up to there */
    bool has_text;       /* the document so far is more than white space */
    /* JSONL */
    uint64_t line;
    bool discard;        /* the rest of a line that is too long */
    json_t *json;        /* holds the document being handed on */
    const char *document;
    size_t document_left;
};

/* Makes at least `want` bytes available, fewer only at the end of the stream. */
static pha_status fill(pha__text *t, size_t want)
{
    if (t->stream_end || t->end - t->begin >= want) return PHA_OK;
    if (t->begin + want > t->capacity) {
        memmove(t->buffer, t->buffer + t->begin, t->end - t->begin);
        t->end -= t->begin, t->begin = 0;
    }
    if (want > t->capacity) {
        char *grown = pha__realloc(t->buffer, want, 1);
        if (!grown) FAIL(NO_MEMORY, "%s: out of memory for a piece of %zu bytes", t->path, want);
        t->buffer = grown, t->capacity = want;
    }
    size_t room = t->capacity - t->end, got;
    TRY(pha__stream_read(t->stream, t->buffer + t->end, room, &got));
    t->end += got;
    t->stream_end = got < room;
    return PHA_OK;
}

static bool ends_with(const char *name, size_t n, const char *suffix)
{
    size_t m = strlen(suffix);
    return n > m && strncasecmp(name + n - m, suffix, m) == 0;
}

static kind kind_of(const char *path)
{
    size_t n = pha__stream_stem(path);
    if (ends_with(path, n, ".jsonl") || ends_with(path, n, ".ndjson")) return JSONL;
    if (ends_with(path, n, ".tokens") || ends_with(path, n, ".raw")) return WIKITEXT;
    return PLAIN;
}

static void close_file(pha__text *t)
{
    pha__stream_close(t->stream);
    t->stream = NULL;
    t->stats.bytes_done += t->size;
    t->size = 0;
}

/* Opens the next file; one in a folder that is not text is passed over. */
static pha_status open_file(pha__text *t)
{
    const pha__text_file *file = &t->list.files[t->file++];
    t->path = file->path, t->size = file->size;
    t->kind = kind_of(t->path);
    t->begin = t->end = t->scan = 0;
    t->stream_end = t->in_document = t->has_text = t->discard = t->noted = false;
    t->line_blank = true;
    t->line = 0;
    if (file->size == 0) { /* whatever its name says */
        close_file(t);
        t->stats.files++;
        return PHA_OK;
    }
    TRY(pha__stream_open(&t->stream, t->path));
    TRY(fill(t, 8192));
    size_t n = t->end < 8192 ? t->end : 8192;
    const char *zero = t->kind == JSONL ? NULL : memchr(t->buffer, 0, n);
    if (zero && file->named)
        FAIL(BAD_INPUT, "%s: not text: byte %td is zero (a binary file, or UTF-16: convert it to UTF-8)", t->path,
             zero - t->buffer);
    if (zero) {
        pha__log(PHA__LOG_NOTE, "%s: left out (binary)", t->path);
        close_file(t);
        t->stats.files_skipped++;
    } else {
        t->stats.files++;
    }
    return PHA_OK;
}

/* Hands on n bytes of the buffer. */
static void emit(pha__text *t, size_t n, bool ends, pha__piece *piece)
{
    *piece = (pha__piece){ t->buffer + t->begin, n, !t->in_document, ends, t->kind == WIKITEXT, t->path };
    t->begin += n;
    t->scan = t->scan > n ? t->scan - n : 0;
    t->in_document = !ends;
    if (ends) t->has_text = false;
}

/* A piece had no safe place: cut between two characters, and say so once per file. */
static size_t cut_anywhere(pha__text *t, const char *text, size_t size)
{
    if (!t->noted)
        pha__log(PHA__LOG_NOTE, "%s: %zu bytes without a place between a word and white space; cut there all the same "
                                "(no byte is lost, one token may differ)", t->path, size);
    t->noted = true;
    size_t whole = pha__utf8_whole((const unsigned char *)text, size);
    return whole ? whole : size;
}

/* " = Title = " behind an empty line; s points to n bytes from the beginning of a line. */
static bool is_heading(const char *s, size_t n)
{
    const char *newline = memchr(s, '\n', n < HEADING ? n : HEADING);
    if (!newline) return false;
    size_t length = (size_t)(newline - s);
    if (length && s[length - 1] == '\r') length--;
    return length >= 7 && memcmp(s, " = ", 3) == 0 && s[3] != '=' && memcmp(s + length - 3, " = ", 3) == 0 &&
           s[length - 4] != '=';
}

static bool is_blank(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] != ' ' && s[i] != '\r' && s[i] != '\n' && s[i] != '\t') return false;
    return true;
}

/* Looks in the first `limit` bytes for the beginning of the next document: its offset, or 0. A text line that happens
 * to read " = b = " follows text; a title follows an empty line, or begins the file. */
static size_t find_heading(pha__text *t, size_t limit)
{
    const char *s = t->buffer + t->begin;
    size_t available = t->end - t->begin;
    while (t->scan < limit) {
        const char *newline = memchr(s + t->scan, '\n', limit - t->scan);
        size_t next = newline ? (size_t)(newline - s) + 1 : limit;
        if ((t->line_blank || !t->has_text) && !is_blank(s + t->scan, next - t->scan))
            t->line_blank = false, t->has_text = true;
        t->scan = next;
        if (!newline) break;
        bool blank = t->line_blank;
        t->line_blank = true; /* the next line, so far */
        if (blank && t->has_text && is_heading(s + next, available - next)) return next;
    }
    return 0;
}

/* The next piece of a plain or WikiText file; piece->data stays NULL at its end. */
static pha_status next_text(pha__text *t, pha__piece *piece)
{
    size_t low = 0, want = t->options.piece;
    for (;;) {
        TRY(fill(t, want + HEADING + 1));
        size_t available = t->end - t->begin;
        if (available == 0) return PHA_OK;
        size_t limit = available < want ? available : want;
        size_t heading = t->kind == WIKITEXT ? find_heading(t, limit) : 0;
        if (heading) return emit(t, heading, true, piece), PHA_OK;
        if (available <= want) return emit(t, available, true, piece), PHA_OK;
        const char *s = t->buffer + t->begin;
        size_t cut = pha__text_cut(s, low, want);
        if (!cut && want >= t->hard) cut = cut_anywhere(t, s, want);
        if (cut) return emit(t, cut, false, piece), PHA_OK;
        low = want;
        want = want * 2 < t->hard ? want * 2 : t->hard;
    }
}

/* Finds the next line: *line is NULL at the end of the file. */
static pha_status next_line(pha__text *t, const char **line, size_t *size)
{
    size_t seen = 0;
    *line = NULL;
    for (;;) {
        size_t available = t->end - t->begin;
        const char *s = t->buffer + t->begin;
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
        if (available > t->options.max_line) {
            if (!t->options.skip_bad)
                FAIL(BAD_INPUT, "%s:%llu: a line of more than %zu bytes", t->path, (unsigned long long)t->line + 1,
                     t->options.max_line);
            t->begin = t->end; /* the line's end will still be found, as a bad line */
            t->discard = true;
            available = 0;
        }
        seen = available;
        size_t want = available + t->options.piece > 2 * available ? available + t->options.piece : 2 * available;
        TRY(fill(t, want));
    }
}

/* Sets t->json to the document's text, or *wrong to what is wrong with this line. */
static pha_status parse_line(pha__text *t, const char *line, size_t size, json_error_t *error, const char **wrong_out)
{
    json_t *object;
    const char *wrong = NULL;
    pha_status status =
        pha__json_parse_line(&object, line, size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, error);
    if (status == PHA_NO_MEMORY)
        FAIL(NO_MEMORY, "%s:%llu: no memory for a line of %zu bytes", t->path, (unsigned long long)t->line, size);
    if (status) return *wrong_out = error->text, PHA_OK;
    json_t *text = json_object_get(object, t->options.text_key); /* NULL for anything but an object */
    if (!json_is_object(object)) wrong = "not an object";
    else if (!text) wrong = "no such key";
    else if (!json_is_string(text)) wrong = "not a string";
    else t->json = json_incref(text);
    json_decref(object);
    error->column = 0;
    *wrong_out = wrong;
    return PHA_OK;
}

/* Reads lines up to the next document with text. */
static pha_status next_document(pha__text *t)
{
    for (;;) {
        const char *line;
        size_t size;
        json_error_t error = { 0 };
        TRY(next_line(t, &line, &size));
        if (!line) return PHA_OK;
        if (t->line == 1 && size >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) line += 3, size -= 3;
        if (!t->discard && is_blank(line, size)) continue;
        const char *wrong = "too long";
        if (!t->discard) TRY(parse_line(t, line, size, &error, &wrong));
        t->discard = false;
        if (wrong && t->options.skip_bad) {
            t->stats.bad_lines++;
        } else if (wrong && error.column > 0) {
            FAIL(BAD_INPUT, "%s:%llu: not JSON: %s (column %d)", t->path, (unsigned long long)t->line, wrong,
                 error.column);
        } else if (wrong) {
            FAIL(BAD_INPUT, "%s:%llu: key '%s': %s", t->path, (unsigned long long)t->line, t->options.text_key, wrong);
        } else {
            t->document = json_string_value(t->json);
            t->document_left = json_string_length(t->json);
            if (t->document_left) return PHA_OK;
            json_decref(t->json);
            t->json = NULL;
        }
    }
}

static pha_status next_jsonl(pha__text *t, pha__piece *piece)
{
    if (t->document_left == 0) {
        json_decref(t->json);
        t->json = NULL;
        TRY(next_document(t));
        if (!t->json) return PHA_OK;
    }
    size_t n = t->document_left, low = 0, want = t->options.piece;
    while (n > want) {
        n = pha__text_cut(t->document, low, want);
        if (!n && want >= t->hard) n = cut_anywhere(t, t->document, want);
        if (n) break;
        n = t->document_left, low = want;
        want = want * 2 < t->hard ? want * 2 : t->hard;
    }
    *piece = (pha__piece){ t->document, n, !t->in_document, n == t->document_left, false, t->path };
    t->in_document = !piece->ends;
    t->document += n, t->document_left -= n;
    return PHA_OK;
}

pha_status pha__text_next(pha__text *t, pha__piece *piece)
{
    *piece = (pha__piece){ 0 };
    while (!piece->data) {
        if (!t->stream && t->file == t->list.n) return PHA_OK;
        if (!t->stream) TRY(open_file(t));
        if (t->stream) TRY((t->kind == JSONL ? next_jsonl : next_text)(t, piece));
        if (t->stream && !piece->data) close_file(t);
    }
    return PHA_OK;
}

void pha__text_get_stats(const pha__text *t, pha__text_stats *out)
{
    *out = t->stats;
    out->files_skipped += t->list.skipped;
    uint64_t here = t->stream ? pha__stream_offset(t->stream) : 0;
    out->bytes_done += here < t->size ? here : t->size;
}

static pha_status open_text(pha__text *t, const char *const *paths, size_t n_paths, const pha__text_options *options)
{
    if (options) t->options = *options;
    if (!t->options.text_key) t->options.text_key = "text";
    if (t->options.piece == 0) t->options.piece = 1 << 20;
    if (t->options.max_line == 0) t->options.max_line = 1 << 30;
    t->hard = t->options.piece * 16;
    for (size_t i = 0; i < n_paths; i++) TRY(pha__text_list_add(&t->list, paths[i], t->options.exclude));
    t->stats.bytes_total = t->list.bytes;
    t->capacity = 2 * (t->options.piece + HEADING + 1) + 16384;
    t->buffer = pha__alloc(t->capacity, 1);
    if (!t->buffer) FAIL(NO_MEMORY, "out of memory for reading text");
    return PHA_OK;
}

pha_status pha__text_open(pha__text **out, const char *const *paths, size_t n_paths, const pha__text_options *options)
{
    *out = NULL;
    pha__text *t = pha__alloc_zero(1, sizeof *t);
    if (!t) FAIL(NO_MEMORY, "out of memory for reading text");
    pha_status status = open_text(t, paths, n_paths, options);
    if (status != PHA_OK) {
        pha__text_close(t);
        return status;
    }
    *out = t;
    return PHA_OK;
}

void pha__text_close(pha__text *t)
{
    if (!t) return;
    json_decref(t->json);
    pha__stream_close(t->stream);
    pha__text_list_free(&t->list);
    pha__free(t->buffer);
    pha__free(t);
}
