/* jinja_value.c -- what values are: memory, strings with their origin, lists, dictionaries, how they are written */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/jinja_impl.h"

/* ---- memory ----------------------------------------------------------------------------------------------- */

struct HeapBlock {
    struct HeapBlock *before;
    size_t size;
    max_align_t memory[];
};

void *heap_take(Heap *h, size_t size)
{
    size = (size + 15) / 16 * 16;
    if (h->failed || size > h->most - h->all) return h->failed = true, NULL;
    if (!h->last || h->last->size - h->used < size) {
        size_t room = size > 65536 ? size : 65536;
        struct HeapBlock *b = calloc(1, sizeof *b + room);
        if (!b) return h->failed = true, NULL;
        *b = (struct HeapBlock){h->last, room};
        h->last = b, h->used = 0;
    }
    void *p = (char *)h->last->memory + h->used;
    h->used += size, h->all += size;
    return p;
}

void heap_free(Heap *h)
{
    for (struct HeapBlock *b = h->last, *before; b; b = before) before = b->before, free(b);
    *h = (Heap){0};
}

Value run_fail(Run *r, const Node *n, const char *format, ...)
{
    char text[200];
    va_list args;
    if (r->failed) return (Value){0};
    r->failed = true;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n) snprintf(r->why, 300, "line %d: %s", n->line, text);
    else snprintf(r->why, 300, "%s", text);
    return (Value){0};
}

static Value no_memory(Run *r) { return run_fail(r, NULL, "the chat takes too much memory in its template"); }

/* ---- strings ---------------------------------------------------------------------------------------------- */

Value make_room(Run *r, size_t n)
{
    String *s = heap_take(&r->heap, sizeof *s);
    char *bytes = n < JINJA_MEMORY ? heap_take(&r->heap, 2 * n + 1) : NULL;
    if (!s || !bytes) return no_memory(r);
    *s = (String){n, bytes, bytes + n};
    return (Value){.type = STRING, .string = s};
}

Value make_string(Run *r, const char *bytes, size_t n, bool theirs)
{
    Value v = make_room(r, n);
    if (r->failed) return v;
    memcpy(v.string->bytes, bytes, n);
    memset(v.string->theirs, theirs, n);
    return v;
}

Value join(Run *r, Value a, Value b)
{
    if (r->failed) return a;
    Value v = make_room(r, a.string->n + b.string->n);
    if (r->failed) return v;
    memcpy(v.string->bytes, a.string->bytes, a.string->n);
    memcpy(v.string->bytes + a.string->n, b.string->bytes, b.string->n);
    memcpy(v.string->theirs, a.string->theirs, a.string->n);
    memcpy(v.string->theirs + a.string->n, b.string->theirs, b.string->n);
    return v;
}

/* Shares the bytes, which never change. */
Value part_of(Run *r, Value s, size_t from, size_t to)
{
    String *part = heap_take(&r->heap, sizeof *part);
    if (!part) return no_memory(r);
    *part = (String){to - from, s.string->bytes + from, s.string->theirs + from};
    return (Value){.type = STRING, .string = part};
}

bool is_text(Value v, const char *text)
{
    return v.type == STRING && v.string->n == strlen(text) && memcmp(v.string->bytes, text, v.string->n) == 0;
}

/* ---- lists and dictionaries ------------------------------------------------------------------------------- */

Value make_list(Run *r)
{
    Values *list = heap_take(&r->heap, sizeof *list);
    return list ? (Value){.type = LIST, .list = list} : no_memory(r);
}

Value make_dict(Run *r)
{
    Dict *d = heap_take(&r->heap, sizeof *d);
    return d ? (Value){.type = DICT, .dict = d} : no_memory(r);
}

void list_add(Run *r, Values *list, Value v)
{
    if (list->n == list->room) {
        size_t room = list->room ? 2 * list->room : 8;
        Value *at = heap_take(&r->heap, room * sizeof *at);
        if (!at) {
            no_memory(r);
            return;
        }
        if (list->n) memcpy(at, list->at, list->n * sizeof *at);
        list->at = at, list->room = room;
    }
    list->at[list->n++] = v;
}

bool dict_get(const Dict *d, const char *name, size_t n, Value *v)
{
    for (size_t i = 0; i < d->keys.n; i++) {
        const String *key = d->keys.at[i].string;
        if (key->n == n && memcmp(key->bytes, name, n) == 0) return *v = d->values.at[i], true;
    }
    return false;
}

void dict_set(Run *r, Dict *d, Value key, Value v)
{
    if (r->failed) return;
    for (size_t i = 0; i < d->keys.n; i++)
        if (is_equal(d->keys.at[i], key)) {
            d->values.at[i] = v;
            return;
        }
    list_add(r, &d->keys, key);
    if (!r->failed) list_add(r, &d->values, v);
}

/* ---- all of them ------------------------------------------------------------------------------------------ */

long long length_of(Value v)
{
    size_t n = 0;
    if (v.type == LIST) n = v.list->n;
    else if (v.type == DICT) n = v.dict->keys.n;
    else if (v.type == STRING) /* characters */
        for (size_t i = 0; i < v.string->n; i++) n += ((unsigned char)v.string->bytes[i] & 0xc0) != 0x80;
    else return -1;
    return (long long)n;
}

bool is_true(Value v)
{
    switch (v.type) {
    case UNDEFINED:
    case NONE: return false;
    case BOOL: return v.truth;
    case INT:  return v.whole != 0;
    case REAL: return v.real != 0;
    case STRING: return v.string->n > 0;
    case LIST: return v.list->n > 0;
    case DICT: return v.dict->keys.n > 0;
    default:   return true;
    }
}

static bool is_number(Value v) { return v.type == BOOL || v.type == INT || v.type == REAL; }
static double number_of(Value v) { return v.type == BOOL ? v.truth : v.type == INT ? (double)v.whole : v.real; }

bool is_equal(Value a, Value b)
{
    if (is_number(a) && is_number(b)) return number_of(a) == number_of(b);
    if (a.type != b.type) return false;
    if (a.type == STRING)
        return a.string->n == b.string->n && memcmp(a.string->bytes, b.string->bytes, a.string->n) == 0;
    if (a.type == LIST) {
        bool same = a.list->n == b.list->n;
        for (size_t i = 0; same && i < a.list->n; i++)
            same = a.list->at[i].type != LIST && is_equal(a.list->at[i], b.list->at[i]);
        return same;
    }
    if (a.type == DICT) return a.dict == b.dict;
    return true;
}

const char *type_word(Value v)
{
    static const char *const words[] = {"undefined", "none", "true or false", "a number", "a number", "text", "a list",
                                        "a dictionary", "a function", "a macro"};
    return words[v.type];
}

Value string_of(Run *r, const Node *n, Value v)
{
    char text[64];
    switch (v.type) {
    case STRING:    return v;
    case UNDEFINED: return make_string(r, "", 0, false);
    case NONE:      return make_string(r, "None", 4, false);
    case BOOL:      return make_string(r, v.truth ? "True" : "False", v.truth ? 4 : 5, false);
    case INT:       snprintf(text, sizeof text, "%lld", v.whole); break;
    case REAL:
        snprintf(text, sizeof text, "%.12g", v.real);
        if (!strpbrk(text, ".einf")) strcat(text, ".0");
        break;
    default: return run_fail(r, n, "%s can't be written into a text as it is; tojson can do that", type_word(v));
    }
    return make_string(r, text, strlen(text), false);
}

/* ---- JSON ------------------------------------------------------------------------------------------------- */

static void put_line(Text *t, long long indent, int depth)
{
    text_put(t, "\n");
    for (long long i = 0; i < indent * depth; i++) text_put(t, " ");
}

static void put_json(Run *r, const Node *n, Text *t, Value v, long long indent, int depth)
{
    bool dict = v.type == DICT;
    if (depth > JINJA_CALLS || t->size > JINJA_MEMORY / 16) run_fail(r, n, "the value is too large for JSON");
    if (r->failed) return;
    if (v.type == STRING) {
        text_json(t, v.string->bytes, v.string->n);
    } else if (v.type == LIST || dict) {
        const Values *list = dict ? &v.dict->values : v.list;
        text_put(t, dict ? "{" : "[");
        for (size_t i = 0; i < list->n; i++) {
            if (i) text_put(t, indent >= 0 ? "," : ", ");
            if (indent >= 0) put_line(t, indent, depth + 1);
            if (dict) text_json(t, v.dict->keys.at[i].string->bytes, v.dict->keys.at[i].string->n), text_put(t, ": ");
            put_json(r, n, t, list->at[i], indent, depth + 1);
        }
        if (indent >= 0 && list->n) put_line(t, indent, depth);
        text_put(t, dict ? "}" : "]");
    } else if (v.type == BOOL || v.type == NONE) {
        text_put(t, v.type == NONE ? "null" : v.truth ? "true" : "false");
    } else if (v.type == INT || v.type == REAL) {
        Value text = string_of(r, n, v);
        if (!r->failed) text_add(t, text.string->bytes, text.string->n);
    } else run_fail(r, n, "%s can't be written as JSON", type_word(v));
}

/* What is in it is what people wrote, as far as it is known. */
Value json_of(Run *r, const Node *n, Value v, long long indent)
{
    Text t = {0};
    put_json(r, n, &t, v, indent > 16 ? 16 : indent, 0);
    if (t.failed) no_memory(r);
    Value s = r->failed ? (Value){0} : make_string(r, t.data ? t.data : "", t.size, true);
    text_free(&t);
    return s;
}
