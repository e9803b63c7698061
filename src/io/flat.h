/* flat.h -- reading FlatBuffers (tables of fields behind offsets) out of bytes that nobody vouches for
 *
 * A place is an offset into the bytes; 0 is no field. What lies outside reads as 0 and sets `bad`, which is asked once
 * at the end.
 */
#ifndef PHA__FLAT_H
#define PHA__FLAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct pha__flat {
    const char *data;
    size_t size;
    bool bad;
} pha__flat;

/* An integer of n bytes, little endian. */
static inline uint64_t pha__flat_number(pha__flat *f, size_t at, size_t n)
{
    uint64_t x = 0;
    if (at > f->size || n > f->size - at) return f->bad = true, 0;
    for (size_t i = 0; i < n; i++) x |= (uint64_t)(unsigned char)f->data[at + i] << 8 * i;
    return x;
}

/* Where field number i of a table lies; 0: it is absent. */
static inline size_t pha__flat_field(pha__flat *f, size_t table, size_t i)
{
    int64_t index = (int64_t)table - (int32_t)pha__flat_number(f, table, 4);
    if (index < 0) return f->bad = true, 0;
    if (4 + 2 * i + 2 > pha__flat_number(f, (size_t)index, 2)) return 0;
    size_t offset = (size_t)pha__flat_number(f, (size_t)index + 4 + 2 * i, 2);
    return offset ? table + offset : 0;
}

/* A number in a field, or what it is where the field is absent. */
static inline uint64_t pha__flat_get(pha__flat *f, size_t table, size_t i, size_t n, uint64_t absent)
{
    size_t at = pha__flat_field(f, table, i);
    return at ? pha__flat_number(f, at, n) : absent;
}

/* The table, text or list that stands behind an offset; 0: there is none. */
static inline size_t pha__flat_follow(pha__flat *f, size_t at)
{
    return at ? at + (size_t)pha__flat_number(f, at, 4) : 0;
}

/* The elements of a list (a text is one of bytes), `width` bytes each, and their number. */
static inline size_t pha__flat_list(pha__flat *f, size_t table, size_t i, size_t width, size_t *n)
{
    size_t at = pha__flat_follow(f, pha__flat_field(f, table, i));
    *n = at ? (size_t)pha__flat_number(f, at, 4) : 0;
    if (*n && (at + 4 > f->size || *n > (f->size - at - 4) / width)) *n = 0, f->bad = true;
    return at + 4;
}

#endif
