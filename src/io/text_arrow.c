/* text_arrow.c -- documents from a column of an Arrow stream or file, as the datasets library keeps them
 *
 * The format (Arrow columnar format, "IPC"): messages, each a length, a FlatBuffer and a body. The first one is the
 * schema; the others are batches of rows, whose body has a few buffers of each column. Of the column with the texts
 * they are a bit per row (absent: all are there), rows + 1 offsets, and the bytes.
 */
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "io/flat.h"
#include "io/text_impl.h"

enum { MOST_HEAD = 64 << 20, DEEPEST = 64 };
enum { SCHEMA = 1, BATCH = 3 };                                       /* messages */
enum { /* of columns; from the last one on: not read here */
    TYPE_NULL = 1,
    TYPE_BINARY = 4,
    TYPE_UTF8,
    TYPE_STRUCT = 13,
    TYPE_UNION,
    TYPE_FIXED_LIST = 16,
    TYPE_LARGE_BINARY = 19,
    TYPE_LARGE_UTF8,
    TYPE_RUN_END = 22,
};

static const char magic[8] = "ARROW1"; /* of a file; a stream has none */

static pha_status damaged(const pha__text *t, const char *what)
{
    FAIL(BAD_INPUT, "%s: a damaged Arrow file: %s (batch %" PRIu64 ")", t->path, what, t->arrow.batch);
}

/* ---- messages -------------------------------------------------------------------------------------------- */

enum { MARK = 8 }; /* a message begins with ff ff ff ff and the length of its head; 0 ends a stream */

static bool has_mark(const char *s, size_t n, size_t *length)
{
    pha__flat f = {s, n, false};
    bool marked = pha__flat_number(&f, 0, 4) == 0xffffffff;
    *length = (size_t)pha__flat_number(&f, 4, 4);
    return marked && !f.bad;
}

typedef struct message {
    int kind;
    size_t table; /* of what it says, in the head */
    uint64_t body;
} message;

static message message_of(pha__flat *f)
{
    size_t root = (size_t)pha__flat_number(f, 0, 4);
    if (f->bad || root == 0) return (message){0};
    message m = {.kind = (int)pha__flat_get(f, root, 1, 1, 0), .body = pha__flat_get(f, root, 3, 8, 0)};
    size_t at = pha__flat_field(f, root, 2);
    m.table = pha__flat_follow(f, at);
    return m;
}

bool pha__text_is_arrow(const char *s, size_t n)
{
    size_t length;
    if (n >= sizeof magic && !memcmp(s, magic, sizeof magic)) return true;
    if (!has_mark(s, n, &length) || length == 0 || length > MOST_HEAD) return false;
    pha__flat f = {s + MARK, n - MARK < length ? n - MARK : length, false};
    return message_of(&f).kind == SCHEMA;
}

/* Bytes at the beginning of the buffer, which grows with what is there and not with what a file says. */
static pha_status need(pha__text *t, size_t n)
{
    size_t have = 0;
    do {
        size_t want = have ? 2 * have : t->options.piece;
        TRY(pha__text_fill(t, want < n ? want : n));
        size_t now = t->end - t->begin;
        if (now < n && now == have) return damaged(t, "it ends too early; is the file truncated?");
        have = now;
    } while (have < n);
    return PHA_OK;
}

static pha_status pass_over(pha__text *t, uint64_t n)
{
    while (n) {
        size_t some = n < t->options.piece ? (size_t)n : t->options.piece;
        TRY(need(t, some));
        t->begin += some, n -= some;
    }
    return PHA_OK;
}

/* ---- the schema ------------------------------------------------------------------------------------------ */

typedef struct count { /* of what a batch has for some columns */
    size_t rows, buffers;
    bool unknown;
} count;

static bool is_text(int type) { return type == TYPE_UTF8 || type == TYPE_LARGE_UTF8; }

static size_t buffers_of(int type, bool dictionary)
{
    if (dictionary) return 2; /* numbers */
    if (type == TYPE_NULL) return 0;
    if (type == TYPE_STRUCT || type == TYPE_FIXED_LIST) return 1;
    return is_text(type) || type == TYPE_BINARY || type == TYPE_LARGE_BINARY ? 3 : 2;
}

static void count_column(pha__flat *f, size_t field, int depth, count *c)
{
    size_t n;
    int type = (int)pha__flat_get(f, field, 2, 1, 0);
    bool dictionary = pha__flat_field(f, field, 4) != 0;
    c->rows++;
    c->buffers += buffers_of(type, dictionary);
    c->unknown |= !dictionary && (type == TYPE_UNION || type >= TYPE_RUN_END || type == 0);
    size_t at = pha__flat_list(f, field, 5, 4, &n);
    if (depth == DEEPEST) f->bad = true;
    for (size_t i = 0; i < n && !dictionary && !f->bad; i++)
        count_column(f, pha__flat_follow(f, at + 4 * i), depth + 1, c);
}

static pha_status no_column(pha__text *t, const char *names)
{
    FAIL(BAD_INPUT, "%s: no column '%s'; there are%s; text-key names the one that holds the text", t->path,
         t->options.text_key, names);
}

static pha_status take_column(pha__text *t, pha__flat *f, size_t field, const count *before)
{
    int type = (int)pha__flat_get(f, field, 2, 1, 0);
    if (!is_text(type) || pha__flat_field(f, field, 4))
        FAIL(BAD_INPUT, "%s: column '%s' does not hold text as it is (type %d%s); text-key names another", t->path,
             t->options.text_key, type, pha__flat_field(f, field, 4) ? ", by a dictionary" : "");
    if (before->unknown)
        FAIL(BAD_INPUT, "%s: a column before '%s' is of a kind that is not read here; save the texts alone", t->path,
             t->options.text_key);
    t->arrow.row_column = before->rows, t->arrow.buffer = before->buffers;
    t->arrow.wide = type == TYPE_LARGE_UTF8;
    t->arrow.open = true;
    return PHA_OK;
}

static pha_status read_schema(pha__text *t, pha__flat *f, size_t schema)
{
    size_t n, size, key = strlen(t->options.text_key), at = pha__flat_list(f, schema, 1, 4, &n);
    pha__str names = {0};
    count before = {0};
    pha_status status = PHA_OK;
    if (pha__flat_get(f, schema, 0, 2, 0)) return damaged(t, "numbers with the most significant byte first");
    for (size_t i = 0; i < n && !f->bad && !status && !t->arrow.open; i++) {
        size_t field = pha__flat_follow(f, at + 4 * i), name = pha__flat_list(f, field, 0, 1, &size);
        if (f->bad) break;
        bool wanted = size == key && !memcmp(f->data + name, t->options.text_key, size);
        if (wanted) status = take_column(t, f, field, &before);
        if (names.size < 200) pha__str_printf(&names, "%s '%.*s'", i ? "," : "", (int)size, f->data + name);
        count_column(f, field, 0, &before);
    }
    if (!status && f->bad) status = damaged(t, "its schema");
    if (!status && !t->arrow.open) status = no_column(t, names.data ? names.data : " none");
    pha__str_free(&names);
    return status;
}

/* ---- batches --------------------------------------------------------------------------------------------- */

typedef struct range {
    uint64_t begin, size;
} range;

static range buffer_at(pha__flat *f, size_t at, size_t i)
{
    return (range){pha__flat_number(f, at + 16 * i, 8), pha__flat_number(f, at + 16 * i + 8, 8)};
}

/* Where the texts of a batch lie in its body. */
static pha_status read_batch(pha__text *t, pha__flat *f, size_t batch, uint64_t body)
{
    size_t rows_listed, buffers, columns = pha__flat_list(f, batch, 1, 16, &rows_listed);
    size_t at = pha__flat_list(f, batch, 2, 16, &buffers);
    pha__arrow *a = &t->arrow;
    a->batch++;
    if (pha__flat_field(f, batch, 3))
        FAIL(BAD_INPUT, "%s: its batches are compressed; save it without compression", t->path);
    if (f->bad || rows_listed <= a->row_column || buffers < a->buffer + 3) return damaged(t, "a batch lacks columns");
    uint64_t absent = pha__flat_number(f, columns + 16 * a->row_column + 8, 8), width = a->wide ? 8 : 4;
    range r[3];
    for (size_t i = 0; i < 3; i++) {
        r[i] = buffer_at(f, at, a->buffer + i);
        if (r[i].begin > body || r[i].size > body - r[i].begin) return damaged(t, "a buffer outside of its batch");
    }
    a->rows = pha__flat_number(f, columns + 16 * a->row_column, 8), a->row = 0;
    if (f->bad || a->rows > body || (a->rows && r[1].size / width < a->rows + 1)) return damaged(t, "too few offsets");
    if (absent && r[0].size < (a->rows + 7) / 8) return damaged(t, "too few bits of absent texts");
    a->bits = absent ? (size_t)r[0].begin : SIZE_MAX;
    a->offsets = (size_t)r[1].begin, a->bytes = (size_t)r[2].begin, a->size = r[2].size;
    a->body = (size_t)body;
    return PHA_OK;
}

static pha_status read_head(pha__text *t, size_t length, message *m)
{
    pha__flat f = {t->buffer + t->begin + MARK, length, false};
    *m = message_of(&f);
    if (f.bad || m->table == 0) return damaged(t, "the head of a message");
    if (m->body > t->options.max_line)
        FAIL(BAD_INPUT, "%s: a batch of %" PRIu64 " bytes, more than %zu", t->path, m->body, t->options.max_line);
    if (!t->arrow.open && m->kind != SCHEMA) return damaged(t, "it does not begin with a schema");
    if (!t->arrow.open) return read_schema(t, &f, m->table);
    return m->kind == BATCH ? read_batch(t, &f, m->table, m->body) : PHA_OK;
}

/* The next message; its body is left in the buffer if it has texts. A stream need not say that it ends. */
static pha_status next_message(pha__text *t)
{
    size_t length = 0;
    message m;
    TRY(pha__text_fill(t, MARK));
    size_t there = t->end - t->begin;
    if (there && !has_mark(t->buffer + t->begin, there, &length)) return damaged(t, "no message where one should be");
    t->arrow.done = length == 0;
    if (length == 0) return PHA_OK;
    if (length > MOST_HEAD) return damaged(t, "the head of a message is too long");
    TRY(need(t, MARK + length));
    TRY(read_head(t, length, &m));
    t->begin += MARK + length;
    return m.kind == BATCH ? need(t, (size_t)m.body) : pass_over(t, m.body);
}

static uint64_t offset_at(const pha__text *t, uint64_t i)
{
    size_t width = t->arrow.wide ? 8 : 4;
    pha__flat f = {t->buffer + t->begin + t->arrow.offsets, SIZE_MAX, false};
    return pha__flat_number(&f, (size_t)i * width, width);
}

/* The text of a row; an absent one is empty. */
static pha_status take_row(pha__text *t, uint64_t row)
{
    const pha__arrow *a = &t->arrow;
    char *body = t->buffer + t->begin;
    if (a->bits != SIZE_MAX && !(body[a->bits + row / 8] >> row % 8 & 1)) return PHA_OK;
    uint64_t from = offset_at(t, row), to = offset_at(t, row + 1);
    if (from > to || to > a->size) return damaged(t, "an offset outside of the texts");
    t->document = body + a->bytes + from, t->document_left = (size_t)(to - from);
    return PHA_OK;
}

static pha_status next_text(pha__text *t)
{
    pha__arrow *a = &t->arrow;
    while (t->document_left == 0 && !a->done) {
        if (a->row < a->rows) {
            TRY(take_row(t, a->row++));
            continue;
        }
        t->begin += a->body; /* of a batch that is through */
        a->body = 0;
        if (!a->open && !memcmp(t->buffer + t->begin, magic, sizeof magic)) t->begin += sizeof magic;
        TRY(next_message(t));
    }
    return a->open || t->document_left ? PHA_OK : damaged(t, "it has no schema");
}

pha_status pha__text_next_arrow(pha__text *t, pha__piece *piece)
{
    if (t->document_left == 0) TRY(next_text(t));
    if (t->document_left == 0) return PHA_OK;
    pha__text_hand_on(t, piece);
    if (t->options.check) pha__text_check(t, piece->data, piece->size);
    t->handed += piece->size;
    return PHA_OK;
}
