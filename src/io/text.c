/* text.c -- documents from files: plain text and WikiText; JSON is read by text_json.c, Arrow by text_arrow.c */
#include "io/text.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "io/text_impl.h"

enum { HEADING = 4096 }; /* a line longer than this is no heading */

pha_status pha__text_fill(pha__text *t, size_t want)
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

static void close_file(pha__text *t)
{
    if (t->stream && t->options.check) pha__text_say(t);
    pha__stream_close(t->stream);
    t->stream = NULL;
    t->stats.bytes_done += t->size;
    t->size = 0;
}

/* Opens the next file; one in a folder that is not text is passed over. */
static pha_status open_file(pha__text *t)
{
    const pha__text_file *file = &t->list->files[t->file++];
    bool skip = false;
    t->path = file->name, t->size = file->size;
    t->begin = t->end = t->scan = 0;
    t->stream_end = t->in_document = t->has_text = t->discard = t->noted = t->array = t->separated = false;
    t->line_blank = true;
    t->line = t->handed = t->odd = t->zeros = 0;
    t->arrow = (pha__arrow){0};
    if (file->size > 0) { /* an empty one is no text, whatever its name says */
        TRY(pha__stream_open(&t->stream, file->path, file->name));
        TRY(pha__text_look(t, file, &skip));
    }
    if (skip || file->size == 0) close_file(t);
    *(skip ? &t->stats.files_skipped : &t->stats.files) += 1;
    return PHA_OK;
}

/* Hands on n bytes of the buffer. */
static void emit(pha__text *t, size_t n, bool ends, pha__piece *piece)
{
    *piece = (pha__piece){ t->buffer + t->begin, n, !t->in_document, ends, t->kind == PHA__TEXT_WIKITEXT, t->path };
    if (t->options.check) pha__text_check(t, piece->data, n);
    t->begin += n, t->handed += n;
    t->scan = t->scan > n ? t->scan - n : 0;
    t->in_document = !ends;
    if (ends) t->has_text = false;
}

size_t pha__text_cut_anywhere(pha__text *t, const char *text, size_t size)
{
    if (!t->noted && !t->options.quiet)
        pha__log(PHA__LOG_NOTE,
                 "%s: %zu bytes without a place where a word of this tokenizer surely ends; cut there all the same (no "
                 "byte is lost, one token may differ)",
                 t->path, size);
    t->noted = true;
    size_t likely = pha__text_cut(text, 0, size, PHA__CUT_BLANK | PHA__CUT_LINE_END);
    if (likely) return likely;
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

bool pha__text_is_blank(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] != ' ' && s[i] != '\r' && s[i] != '\n' && s[i] != '\t') return false;
    return true;
}

size_t pha__text_mark(const char *s, size_t n) { return n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; }

/* Looks in the first `limit` bytes for the beginning of the next document: its offset, or 0. A text line that happens
 * to read " = b = " follows text; a title follows an empty line, or begins the file. */
static size_t find_heading(pha__text *t, size_t limit)
{
    const char *s = t->buffer + t->begin;
    size_t available = t->end - t->begin;
    while (t->scan < limit) {
        const char *newline = memchr(s + t->scan, '\n', limit - t->scan);
        size_t next = newline ? (size_t)(newline - s) + 1 : limit;
        if ((t->line_blank || !t->has_text) && !pha__text_is_blank(s + t->scan, next - t->scan))
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
        TRY(pha__text_fill(t, want + HEADING + 1));
        size_t available = t->end - t->begin;
        if (available == 0) return PHA_OK;
        size_t limit = available < want ? available : want;
        size_t heading = t->kind == PHA__TEXT_WIKITEXT ? find_heading(t, limit) : 0;
        if (heading) return emit(t, heading, true, piece), PHA_OK;
        if (available <= want) return emit(t, available, true, piece), PHA_OK;
        const char *s = t->buffer + t->begin;
        size_t cut = pha__text_cut(s, low, want, t->options.cuts);
        if (!cut && want >= t->hard) cut = pha__text_cut_anywhere(t, s, want);
        if (cut) return emit(t, cut, false, piece), PHA_OK;
        low = want;
        want = want * 2 < t->hard ? want * 2 : t->hard;
    }
}

static pha_status next_of_kind(pha__text *t, pha__piece *piece)
{
    if (t->kind == PHA__TEXT_ARROW) return pha__text_next_arrow(t, piece);
    return (t->kind == PHA__TEXT_LINES || t->kind == PHA__TEXT_VALUES ? pha__text_next_json : next_text)(t, piece);
}

pha_status pha__text_next(pha__text *t, pha__piece *piece)
{
    *piece = (pha__piece){ 0 };
    while (!piece->data) {
        if (!t->stream && t->file == t->list->n) return PHA_OK;
        if (!t->stream) TRY(open_file(t));
        if (t->stream) TRY(next_of_kind(t, piece));
        if (t->stream && !piece->data) close_file(t);
    }
    return PHA_OK;
}

void pha__text_get_stats(const pha__text *t, pha__text_stats *out)
{
    *out = t->stats;
    out->files_skipped += t->list->skipped;
    uint64_t here = t->stream ? pha__stream_offset(t->stream) : 0;
    out->bytes_done += here < t->size ? here : t->size;
}

static pha_status open_text(pha__text *t, const char *const *paths, size_t n_paths, const pha__text_options *options)
{
    if (options) t->options = *options;
    if (!t->options.text_key) t->options.text_key = "text";
    if (t->options.piece == 0) t->options.piece = 1 << 20;
    if (t->options.max_line == 0) t->options.max_line = 1 << 30;
    t->hard = t->options.piece * 64;
    for (size_t i = 0; i < n_paths; i++) TRY(pha__text_list_add(&t->own, paths[i], NULL));
    t->stats.bytes_total = t->list->bytes;
    t->capacity = 2 * (t->options.piece + HEADING + 1) + 16384;
    t->buffer = pha__alloc(t->capacity, 1);
    if (!t->buffer) FAIL(NO_MEMORY, "out of memory for reading text");
    return PHA_OK;
}

static pha_status open_any(pha__text **out, const char *const *paths, size_t n_paths, const pha__text_list *list,
                           const pha__text_options *options)
{
    *out = NULL;
    pha__text *t = pha__alloc_zero(1, sizeof *t);
    if (!t) FAIL(NO_MEMORY, "out of memory for reading text");
    t->list = list ? list : &t->own;
    pha_status status = open_text(t, paths, n_paths, options);
    if (status != PHA_OK) {
        pha__text_close(t);
        return status;
    }
    *out = t;
    return PHA_OK;
}

pha_status pha__text_open(pha__text **out, const char *const *paths, size_t n_paths, const pha__text_options *options)
{
    return open_any(out, paths, n_paths, NULL, options);
}

pha_status pha__text_open_list(pha__text **out, const pha__text_list *list, const pha__text_options *options)
{
    return open_any(out, NULL, 0, list, options);
}

void pha__text_close(pha__text *t)
{
    if (!t) return;
    pha__stream_close(t->stream);
    pha__text_list_free(&t->own);
    pha__free(t->buffer);
    pha__free(t);
}
