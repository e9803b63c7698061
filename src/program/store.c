/* store.c -- blocks of parameters by role, and moving numbers into and out of them */
#include "program/store.h"

#include <stdlib.h>
#include <string.h>

#include "base/format.h"

pha_status pha__store_open(pha__store **out, const pha__program *names, pha__device *device)
{
    *out = pha__alloc_zero(1, sizeof **out);
    if (!*out) return PHA_NO_MEMORY;
    (*out)->names = names, (*out)->device = device;
    return PHA_OK;
}

void pha__store_close(pha__store *s)
{
    if (!s) return;
    for (int r = 0; r < PHA__ROLES; r++) {
        if (s->block[r]) pha__device_free(s->device, s->block[r]);
        pha__free(s->place[r]);
    }
    pha__free(s);
}

/* ---- layout ---------------------------------------------------------------------------------------------- */

/* A unit is what lies together: a stack, or a parameter alone. Members first..first + n - 1 of `sorted`. */
typedef struct layout {
    const pha__program *names;
    int *sorted; /* parameters by place */
    int n;
    pha__dtype *format; /* of each parameter; NULL: nobody asks */
} layout;

static _Thread_local const pha__program *sorting; /* qsort has no context argument */

static int by_offset(const void *a, const void *b)
{
    int64_t x = sorting->params[*(const int *)a]->offset, y = sorting->params[*(const int *)b]->offset;
    return (x > y) - (x < y);
}

void pha__place_order(const pha__program *p, int *out)
{
    for (int i = 0; i < p->n_params; i++) out[i] = i;
    sorting = p;
    qsort(out, (size_t)p->n_params, sizeof *out, by_offset);
}

static pha_status lay_out(layout *l, const pha__program *names)
{
    *l = (layout){names, pha__alloc((size_t)names->n_params + 1, sizeof *l->sorted), names->n_params, NULL};
    if (!l->sorted) return PHA_NO_MEMORY;
    pha__place_order(names, l->sorted);
    return PHA_OK;
}

static const pha__node *member(const layout *l, int k) { return l->names->params[l->sorted[k]]; }

/* Members of the unit that begins at k, and its rows. */
static int unit(const layout *l, int k, int64_t *rows)
{
    int n = 1, group = member(l, k)->group;
    *rows = member(l, k)->rows;
    while (group >= 0 && k + n < l->n && member(l, k + n)->group == group) *rows += member(l, k + n++)->rows;
    return n;
}

static bool wanted(const pha__node *v, int which)
{
    static const int bit[] = {[PHA__MATRIX] = PHA__ALL_MATRICES,
                              [PHA__VECTOR] = PHA__ALL_VECTORS,
                              [PHA__DYNAMICS] = PHA__ALL_VECTORS,
                              [PHA__CONSTANT] = PHA__ALL_CONSTANTS};
    return which & bit[v->kind] && (!v->frozen || which & PHA__ALL_FROZEN);
}

/* One format for the members of a unit. */
static void agree(layout *l, pha__dtype mixed)
{
    int64_t rows;
    for (int k = 0, n; k < l->n; k += n) {
        n = unit(l, k, &rows);
        pha__dtype first = l->format[l->sorted[k]];
        bool same = true;
        for (int m = k; m < k + n; m++) same = same && l->format[l->sorted[m]] == first;
        for (int m = k; m < k + n; m++)
            l->format[l->sorted[m]] = member(l, m)->kind != PHA__MATRIX ? PHA__F32 : same ? first : mixed;
    }
}

/* Where units begin: so that also 16-bit numbers begin on a cache line, and all roles of plain numbers have the same
 * distances between parameters, counted in elements. */
static size_t place_after(size_t at, pha__dtype format)
{
    size_t step = PHA__ALIGN / 2 * (size_t)pha__format_of(format)->bits / 8;
    step = step < PHA__ALIGN ? PHA__ALIGN : step;
    return (at + step - 1) / step * step;
}

enum { NONE = -1 };

/* The offset in the block of every parameter, NONE where it is not wanted; returns the size of the block. In formats
 * whose rows are interleaved only the first member of a unit has a place: that of the whole. */
static size_t assign(const layout *l, int which, int64_t *offset)
{
    size_t at = 0;
    int64_t rows;
    for (int k = 0, n; k < l->n; k += n) {
        n = unit(l, k, &rows);
        const pha__node *v = member(l, k);
        pha__dtype f = l->format[l->sorted[k]];
        size_t inside = 0;
        for (int m = k; m < k + n; m++) {
            bool first = m == k, apart = pha__format_of(f)->panel == 1;
            offset[l->sorted[m]] = wanted(v, which) && (first || apart) ? (int64_t)(at + inside) : NONE;
            inside += pha__format_bytes(f, member(l, m)->rows, v->width);
        }
        if (wanted(v, which)) at = place_after(at + pha__format_bytes(f, rows, v->width), f);
    }
    return at;
}

static pha_status allocate(pha__store *s, pha__role role, const layout *l, const int64_t *offset, size_t size)
{
    const pha__program *names = s->names;
    s->place[role] = pha__alloc_zero((size_t)names->n_params + 1, sizeof **s->place);
    s->block[role] = pha__device_alloc(s->device, size);
    if (!s->place[role] || !s->block[role])
        FAIL(NO_MEMORY, "no memory for %llu parameters (%.1f GB)", (unsigned long long)names->parameters,
             (double)size * 1e-9);
    for (int i = 0; i < names->n_params; i++)
        s->place[role][i] =
            (pha__place){offset[i] != NONE ? (char *)s->block[role] + offset[i] : NULL, l->format[i]};
    return pha__fill(s->device, s->block[role], 0, size);
}

pha_status pha__store_add_each(pha__store *s, pha__role role, int which, const pha__dtype *formats, pha__dtype mixed)
{
    layout l;
    size_t n = (size_t)s->names->n_params + 1;
    int64_t *offset = pha__alloc(n, sizeof *offset);
    pha_status status = lay_out(&l, s->names);
    l.format = pha__alloc(n, sizeof *l.format);
    if (!offset || !l.format) status = PHA_NO_MEMORY;
    if (!status) {
        memcpy(l.format, formats, (n - 1) * sizeof *formats);
        agree(&l, mixed);
        status = allocate(s, role, &l, offset, assign(&l, which, offset));
    }
    pha__free(l.sorted);
    pha__free(l.format);
    pha__free(offset);
    return status;
}

pha_status pha__store_add(pha__store *s, pha__role role, int which, pha__dtype format)
{
    pha__dtype *formats = pha__alloc((size_t)s->names->n_params + 1, sizeof *formats);
    if (!formats) return PHA_NO_MEMORY;
    for (int i = 0; i < s->names->n_params; i++) formats[i] = format;
    pha_status status = pha__store_add_each(s, role, which, formats, format);
    pha__free(formats);
    return status;
}

pha_status pha__store_add_part(pha__store *s, pha__role role, int64_t begin, int64_t end)
{
    size_t size = (size_t)(end - begin) * sizeof(float);
    s->block[role] = pha__device_alloc(s->device, size);
    s->first[role] = begin;
    if (!s->block[role]) FAIL(NO_MEMORY, "no memory for a part of the parameters (%.1f GB)", (double)size * 1e-9);
    return pha__fill(s->device, s->block[role], 0, size);
}

pha_status pha__store_set(pha__store *s, pha__role role, int i, void *data, pha__dtype format)
{
    if (!s->place[role]) s->place[role] = pha__alloc_zero((size_t)s->names->n_params + 1, sizeof **s->place);
    if (!s->place[role]) return PHA_NO_MEMORY;
    s->place[role][i] = (pha__place){data, format};
    return PHA_OK;
}

/* ---- looking --------------------------------------------------------------------------------------------- */

pha__place pha__store_at(const pha__store *s, pha__role role, int i)
{
    return s->place[role] ? s->place[role][i] : (pha__place){0};
}

pha__place pha__store_read(const pha__store *s, int i)
{
    pha__place working = pha__store_at(s, PHA__WORKING, i);
    return working.data ? working : pha__store_at(s, PHA__WEIGHT, i);
}

static bool on_host(const pha__store *s) { return !s->device || s->device->backend->host_memory; }

const float *pha__store_host(const pha__store *s, pha__role role, int i)
{
    pha__place at = pha__store_at(s, role, i);
    return at.format == PHA__F32 && on_host(s) ? at.data : NULL;
}

/* ---- moving numbers -------------------------------------------------------------------------------------- */

static pha_status no_place(const pha__store *s, int i)
{
    FAIL(FAILED, "%s: has no place of its own there", s->names->params[i]->path);
}

static pha_status to_store(pha__store *s, void *to, const void *from, size_t size)
{
    if (s->device) return pha__upload(s->device, to, from, size);
    memcpy(to, from, size);
    return PHA_OK;
}

static pha_status from_store(const pha__store *s, void *to, const void *from, size_t size)
{
    if (s->device) return pha__download(s->device, to, from, size);
    memcpy(to, from, size);
    return PHA_OK;
}

pha_status pha__store_copy_in(pha__store *s, pha__role role, int i, const float *from)
{
    const pha__node *v = s->names->params[i];
    pha__place at = pha__store_at(s, role, i);
    if (!at.data || pha__format_of(at.format)->panel > 1) return no_place(s, i);
    size_t size = pha__format_bytes(at.format, v->rows, v->width);
    if (at.format == PHA__F32) return to_store(s, at.data, from, size);
    void *packed = pha__alloc(size, 1);
    if (!packed) return PHA_NO_MEMORY;
    pha__format_pack(at.format, packed, v->rows, v->width, 0, v->rows, from, v->width);
    pha_status status = to_store(s, at.data, packed, size);
    pha__free(packed);
    return status;
}

pha_status pha__store_copy_out(const pha__store *s, pha__role role, int i, float *to)
{
    const pha__node *v = s->names->params[i];
    pha__place at = pha__store_at(s, role, i);
    if (!at.data) return no_place(s, i);
    size_t size = pha__format_bytes(at.format, v->rows, v->width);
    if (at.format == PHA__F32) return from_store(s, to, at.data, size);
    void *packed = pha__alloc(size, 1);
    if (!packed) return PHA_NO_MEMORY;
    pha_status status = from_store(s, packed, at.data, size);
    for (int64_t r = 0; r < v->rows && !status; r++)
        pha__format_unpack(at.format, packed, v->width, r, 0, v->width, to + r * v->width);
    pha__free(packed);
    return status;
}

/* Rows of parameter i from `row` on of a packed unit. `own` has room for its numbers. */
static pha_status convert_member(void *packed, pha__dtype format, int64_t rows, int64_t row, const pha__store *from,
                                 pha__role role, int i, float *own)
{
    const pha__node *v = from->names->params[i];
    pha__place at = pha__store_at(from, role, i);
    if (at.data && at.format == format && on_host(from)) {
        pha__format_move(format, packed, row, at.data, 0, v->rows, v->width);
        return PHA_OK;
    }
    const float *numbers = pha__store_host(from, role, i);
    if (!numbers) TRY(pha__store_copy_out(from, role, i, own));
    pha__format_pack(format, packed, rows, v->width, row, v->rows, numbers ? numbers : own, v->width);
    return PHA_OK;
}

/* One unit: members k to k + n - 1 of the layout of `to`, `rows` in all. */
static pha_status convert_unit(pha__store *to, pha__place at, const pha__store *from, pha__role role, const layout *l,
                               int k, int n, int64_t rows)
{
    int32_t width = member(l, k)->width;
    size_t size = pha__format_bytes(at.format, rows, width);
    char *packed = pha__alloc_zero(size, 1); /* what moves does not fill up its last panel */
    float *own = pha__alloc((size_t)rows * (size_t)width, sizeof *own);
    pha_status status = packed && own ? PHA_OK : PHA_NO_MEMORY;
    int64_t row = 0;
    for (int m = k; m < k + n && !status; m++) {
        status = convert_member(packed, at.format, rows, row, from, role, l->sorted[m], own);
        row += member(l, m)->rows;
    }
    if (!status) status = to_store(to, at.data, packed, size);
    pha__free(packed);
    pha__free(own);
    return status;
}

pha_status pha__store_convert(pha__store *to, pha__role to_role, const pha__store *from, pha__role from_role)
{
    layout l;
    int64_t rows;
    if (to->names->n_params != from->names->n_params) FAIL(FAILED, "the parameters of another model");
    TRY(lay_out(&l, to->names));
    pha_status status = PHA_OK;
    for (int k = 0, n; k < l.n && !status; k += n) {
        n = unit(&l, k, &rows);
        pha__place at = pha__store_at(to, to_role, l.sorted[k]);
        if (at.data) status = convert_unit(to, at, from, from_role, &l, k, n, rows);
    }
    pha__free(l.sorted);
    return status;
}

pha_status pha__store_copy_named(pha__store *to, const pha__store *from)
{
    for (int i = 0; i < to->names->n_params; i++) {
        const pha__node *v = to->names->params[i], *w = pha__find_param(from->names, v->path);
        if (!w || w->rows != v->rows || w->width != v->width) continue;
        float *numbers = pha__alloc((size_t)v->rows * (size_t)v->width, sizeof *numbers);
        if (!numbers) return PHA_NO_MEMORY;
        pha_status status = pha__store_copy_out(from, PHA__WEIGHT, w->index, numbers);
        if (!status) status = pha__store_copy_in(to, PHA__WEIGHT, i, numbers);
        pha__free(numbers);
        TRY(status);
    }
    return PHA_OK;
}

pha_status pha__init_weights(pha__store *s, uint64_t seed)
{
    for (int i = 0; i < s->names->n_params; i++) {
        const pha__node *v = s->names->params[i];
        float *numbers = pha__alloc((size_t)v->rows * (size_t)v->width, sizeof *numbers);
        if (!numbers) return PHA_NO_MEMORY;
        v->init.fill(numbers, v->rows, v->width, v->init.arg, seed, v->path);
        pha_status status = pha__store_copy_in(s, PHA__WEIGHT, i, numbers);
        pha__free(numbers);
        TRY(status);
    }
    return PHA_OK;
}
