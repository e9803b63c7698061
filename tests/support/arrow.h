/* arrow.h -- small Arrow streams and files for tests: a number, a list of texts, the texts asked for, more texts */
#ifndef ARROW_H
#define ARROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct arrow { /* zero-initialise */
    char data[1 << 16];
    size_t n;
    size_t head; /* where the FlatBuffer of the message begins */
    bool wide;   /* offsets of 64 bits */
} arrow;

static inline void arrow_put(arrow *a, uint64_t x, size_t n)
{
    for (size_t i = 0; i < n; i++) a->data[a->n++] = (char)(x >> 8 * i);
}

static inline void arrow_set(arrow *a, size_t at, uint64_t x, size_t n)
{
    for (size_t i = 0; i < n; i++) a->data[at + i] = (char)(x >> 8 * i);
}

static inline void arrow_align(arrow *a, size_t from)
{
    while ((a->n - from) % 8) arrow_put(a, 0, 1);
}

/* A table whose field number i has width[i] bytes (0: absent); the places of its fields go to `at`. */
static inline size_t arrow_table(arrow *a, int n, const int *width, size_t *at)
{
    arrow_align(a, a->head);
    size_t index = a->n, offset = 4;
    arrow_put(a, (uint64_t)(4 + 2 * n), 2), arrow_put(a, 0, 2);
    for (int i = 0; i < n; i++) {
        while (width[i] && offset % (size_t)width[i]) offset++;
        arrow_put(a, width[i] ? offset : 0, 2);
        at[i] = offset, offset += (size_t)width[i];
    }
    arrow_align(a, a->head);
    size_t table = a->n;
    arrow_set(a, index + 2, offset, 2);
    arrow_put(a, table - index, 4);
    while (a->n < table + offset) arrow_put(a, 0, 1);
    for (int i = 0; i < n; i++) at[i] += table;
    return table;
}

static inline void arrow_link(arrow *a, size_t from) { arrow_set(a, from, a->n - from, 4); }

static inline void arrow_text(arrow *a, size_t from, const char *text)
{
    arrow_align(a, a->head);
    arrow_link(a, from);
    arrow_put(a, strlen(text), 4);
    memcpy(a->data + a->n, text, strlen(text) + 1);
    a->n += strlen(text) + 1;
}

static inline size_t arrow_begin(arrow *a, int kind, uint64_t body)
{
    size_t at[4];
    arrow_put(a, 0xffffffff, 4), arrow_put(a, 0, 4);
    a->head = a->n;
    arrow_put(a, 0, 4);
    size_t root = arrow_table(a, 4, (const int[]){2, 1, 4, 8}, at);
    arrow_set(a, a->head, root - a->head, 4);
    arrow_set(a, at[0], 4, 2), arrow_set(a, at[1], (uint64_t)kind, 1), arrow_set(a, at[3], body, 8);
    return at[2]; /* where what it says is linked */
}

static inline void arrow_end(arrow *a)
{
    arrow_align(a, a->head);
    arrow_set(a, a->head - 4, a->n - a->head, 4);
}

/* A list of n links to tables. */
static inline size_t arrow_links(arrow *a, size_t from, int n)
{
    arrow_align(a, a->head);
    arrow_link(a, from);
    arrow_put(a, (uint64_t)n, 4);
    size_t at = a->n;
    for (int i = 0; i < n; i++) arrow_put(a, 0, 4);
    return at;
}

static inline size_t arrow_field(arrow *a, size_t from, const char *name, int type, int children)
{
    size_t at[6], begin;
    size_t table = arrow_table(a, 6, (const int[]){4, 1, 1, 4, 0, 4}, at);
    arrow_set(a, from, table - from, 4);
    arrow_set(a, at[2], (uint64_t)type, 1);
    arrow_text(a, at[0], name);
    size_t none[1], kind = arrow_table(a, 0, NULL, none);
    arrow_set(a, at[3], kind - at[3], 4);
    begin = arrow_links(a, at[5], children);
    return begin;
}

static inline void arrow_schema(arrow *a)
{
    size_t at[2], said = arrow_begin(a, 1, 0), table = arrow_table(a, 2, (const int[]){2, 4}, at);
    arrow_set(a, said, table - said, 4);
    size_t field = arrow_links(a, at[1], 4);
    arrow_field(a, field, "id", 2, 0);
    size_t child = arrow_field(a, field + 4, "tags", 12, 1);
    arrow_field(a, child, "item", 5, 0);
    arrow_field(a, field + 8, "text", a->wide ? 20 : 5, 0);
    arrow_field(a, field + 12, "title", 5, 0);
    arrow_end(a);
}

/* A batch of n texts; NULL: absent. Of the other columns there are no bytes: nobody looks. */
static inline void arrow_batch(arrow *a, const char *const *text, int n)
{
    static char body[1 << 15];
    size_t width = a->wide ? 8 : 4, bytes = 0, offsets = ((size_t)n + 63) / 64 * 8, texts, absent = 0;
    memset(body, 0, sizeof body);
    for (int i = 0; i < n; i++) {
        if (text[i]) body[i / 8] |= (char)(1 << i % 8);
        absent += !text[i];
    }
    texts = offsets + ((size_t)n + 1) * width;
    texts = (texts + 7) / 8 * 8;
    for (int i = 0; i <= n; i++) {
        for (size_t k = 0; k < 4; k++) body[offsets + (size_t)i * width + k] = (char)(bytes >> 8 * k);
        if (i == n) break;
        size_t size = text[i] ? strlen(text[i]) : 0;
        memcpy(body + texts + bytes, text[i] ? text[i] : "", size);
        bytes += size;
    }
    size_t whole = (texts + bytes + 7) / 8 * 8, at[3];
    size_t said = arrow_begin(a, 3, whole), table = arrow_table(a, 3, (const int[]){8, 4, 4}, at);
    arrow_set(a, said, table - said, 4);
    arrow_set(a, at[0], (uint64_t)n, 8);
    arrow_put(a, 0, 4); /* so that what lies behind the numbers of the lists is aligned */
    arrow_link(a, at[1]);
    arrow_put(a, 5, 4);
    for (int i = 0; i < 5; i++) arrow_put(a, (uint64_t)n, 8), arrow_put(a, i == 3 ? absent : 0, 8);
    arrow_put(a, 0, 4);
    arrow_link(a, at[2]);
    arrow_put(a, 13, 4);
    for (int i = 0; i < 13; i++) { /* id 2, tags 2, its items 3, text 3, title 3 */
        bool bits = i == 7, places = i == 8, letters = i == 9;
        arrow_put(a, bits ? 0 : places ? offsets : letters ? texts : 0, 8);
        arrow_put(a, bits && absent ? ((size_t)n + 7) / 8 : places ? ((size_t)n + 1) * width : letters ? bytes : 0, 8);
    }
    arrow_end(a);
    memcpy(a->data + a->n, body, whole);
    a->n += whole;
}

static inline void arrow_stop(arrow *a) { arrow_put(a, 0xffffffff, 4), arrow_put(a, 0, 4); }

#endif
