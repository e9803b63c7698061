/* task_read.c -- a file of JSON lines as items */
#include <inttypes.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "io/stream.h"
#include "runtime/task/task.h"

enum { MOST_LINE = 1 << 24 };
static const size_t MOST_BYTES = (size_t)1 << 30;

static bool blank(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r", s[i])) return false;
    return true;
}

static pha__item *next_item(pha__exam *t)
{
    if (t->n == t->capacity) {
        size_t more = t->capacity ? 2 * t->capacity : 1024;
        pha__item *items = pha__realloc(t->items, more, sizeof *items);
        if (!items) return NULL;
        t->items = items, t->capacity = more;
    }
    t->items[t->n] = (pha__item){.gold = -1};
    return &t->items[t->n];
}

static pha_status take_line(pha__exam *t, const char *line, size_t size, uint64_t number)
{
    json_error_t error;
    json_t *object;
    pha__item *item = next_item(t);
    if (!item) return PHA_NO_MEMORY;
    item->line = number;
    pha_status status = pha__json_parse_line(&object, line, size, JSON_REJECT_DUPLICATES, &error);
    if (status == PHA_NO_MEMORY) FAIL(NO_MEMORY, "%s:%" PRIu64 ": no memory for the line", t->path, number);
    if (status)
        FAIL(BAD_INPUT, "%s:%" PRIu64 ": not JSON: %s (column %d)", t->path, number, error.text, error.column);
    status = json_is_object(object) ? pha__task_item(t, item, object)
                                    : pha__fail(PHA_BAD_INPUT, "not an object { ... }");
    json_decref(object);
    if (status == PHA_BAD_INPUT) return pha__fail_in(status, "%s:%" PRIu64, t->path, number);
    TRY(status);
    t->n++;
    return PHA_OK;
}

/* ---- lines ---------------------------------------------------------------------------------------------- */

static pha_status read_lines(pha__exam *t, const char *text, size_t size, uint64_t most)
{
    uint64_t number = 1;
    for (size_t at = 0; at < size && (!most || t->n < most); number++) {
        const char *line = text + at, *end = memchr(line, '\n', size - at);
        size_t length = end ? (size_t)(end - line) : size - at;
        at += length + (end != NULL);
        if (number == 1 && length >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) line += 3, length -= 3;
        if (blank(line, length)) continue;
        if (length > MOST_LINE)
            FAIL(BAD_INPUT, "%s:%" PRIu64 ": a line of %zu bytes, more than %d", t->path, number, length, MOST_LINE);
        TRY(take_line(t, line, length, number));
    }
    return PHA_OK;
}

static pha_status read_text(pha__str *out, const char *path)
{
    char piece[1 << 15];
    pha__stream *s;
    size_t got = sizeof piece;
    TRY(pha__stream_open(&s, path, NULL));
    pha_status status = PHA_OK;
    while (!status && got == sizeof piece && !out->failed) {
        status = pha__stream_read(s, piece, sizeof piece, &got);
        if (!status) pha__str_add(out, piece, got);
        if (!status && out->size > MOST_BYTES)
            status = pha__fail(PHA_BAD_INPUT, "%s: more than %zu bytes; is it a task?", path, MOST_BYTES);
    }
    pha__stream_close(s);
    if (!status && out->failed) FAIL(NO_MEMORY, "%s: no memory for its %zu bytes", path, out->size);
    return status;
}

/* ---- labels in a file of their own ------------------------------------------------------------------------ */

/* DIR/valid-labels.lst of DIR/valid.jsonl.gz, as PIQA is published. */
static void labels_path(pha__str *out, const char *path)
{
    size_t n = pha__stream_stem(path);
    const char *end = path + n;
    while (end > path && end[-1] != '.' && end[-1] != '/') end--;
    if (end > path && end[-1] == '.') n = (size_t)(end - path) - 1;
    pha__str_add(out, path, n);
    pha__str_puts(out, "-labels.lst");
}

static pha_status take_labels(pha__exam *t, const char *text, const char *path, uint64_t most)
{
    size_t i = 0;
    uint64_t number = 1;
    for (const char *s = text; *s; number++) {
        size_t length = strcspn(s, "\n"), used = length;
        while (used && strchr(" \r\t", s[used - 1])) used--;
        if (used && i < t->n) {
            if (used != 1 || s[0] < '0' || s[0] >= '0' + t->items[i].n)
                FAIL(BAD_INPUT, "%s:%" PRIu64 ": '%.*s' is not the number of one of %d choices, from 0", path, number,
                     (int)(used < 40 ? used : 40), s, t->items[i].n);
            t->items[i].gold = s[0] - '0';
        }
        i += used > 0;
        s += length + (s[length] == '\n');
    }
    if (i < t->n || (i > t->n && !most))
        FAIL(BAD_INPUT, "%s: has %zu labels, %s %zu items", path, i, t->path, t->n);
    return PHA_OK;
}

static pha_status read_labels(pha__exam *t, uint64_t most)
{
    pha__str path = {0};
    char *text = NULL;
    size_t size;
    labels_path(&path, t->path);
    pha_status status = path.failed ? PHA_NO_MEMORY : PHA_OK;
    if (!status && !pha__exists(path.data))
        status = pha__fail(PHA_BAD_INPUT, "%s:%" PRIu64 ": has no \"label\", and there is no %s with the labels",
                           t->path, t->items[0].line, path.data);
    if (!status) status = pha__read_file(&text, &size, path.data, (size_t)1 << 26);
    if (!status) status = take_labels(t, text, path.data, most);
    pha__free(text);
    pha__str_free(&path);
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

pha_status pha__task_read(pha__exam *t, const char *path, uint64_t most)
{
    pha__str text = {0};
    t->path = path;
    pha_status status = read_text(&text, path);
    if (!status) status = read_lines(t, text.data, text.size, most);
    pha__str_free(&text);
    TRY(status);
    if (t->n == 0) FAIL(BAD_INPUT, "%s: has no items: an object on each line is wanted", path);
    return t->gold_key || t->items[0].n == 1 ? PHA_OK : read_labels(t, most);
}

void pha__task_free(pha__exam *t)
{
    pha__free(t->items);
    pha__arena_free(&t->arena);
    *t = (pha__exam){0};
}
