/* npy.c -- NumPy's .npy files
 *
 * A file is "\x93NUMPY", version, header length, and a header that is a Python dictionary of three keys:
 * {'descr': '<i4', 'fortran_order': False, 'shape': (2, 1024), }
 */
#include "io/npy.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/print.h"

#define MAX_HEADER 65536
#define MAX_DIMS 4

typedef struct header {
    char descr[16];
    bool fortran;
    int rank, seen; /* seen: bit per key */
    int64_t shape[MAX_DIMS];
} header;

typedef struct cursor {
    const char *p, *end;
} cursor;

static int next(cursor *c)
{
    while (c->p < c->end && strchr(" \t\r\n", *c->p) && *c->p) c->p++;
    return c->p < c->end ? (unsigned char)*c->p : -1;
}

static bool take(cursor *c, int what)
{
    if (next(c) != what) return false;
    c->p++;
    return true;
}

static bool take_word(cursor *c, const char *word)
{
    size_t n = strlen(word);
    next(c);
    if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0) return false;
    c->p += n;
    return true;
}

static bool take_string(cursor *c, char *out, size_t capacity)
{
    int quote = next(c);
    if (quote != '\'' && quote != '"') return false;
    const char *begin = ++c->p;
    while (c->p < c->end && *c->p != quote) c->p++;
    size_t n = (size_t)(c->p - begin);
    if (c->p == c->end || n >= capacity) return false;
    memcpy(out, begin, n);
    out[n] = 0;
    c->p++;
    return true;
}

static bool take_number(cursor *c, int64_t *out)
{
    if (next(c) < '0' || next(c) > '9') return false;
    for (*out = 0; c->p < c->end && *c->p >= '0' && *c->p <= '9'; c->p++)
        if (__builtin_mul_overflow(*out, (int64_t)10, out) || __builtin_add_overflow(*out, *c->p - '0', out))
            return false;
    return true;
}

static bool take_shape(cursor *c, header *h)
{
    if (!take(c, '(')) return false;
    while (!take(c, ')')) {
        if (h->rank == MAX_DIMS || !take_number(c, &h->shape[h->rank])) return false;
        h->rank++;
        if (!take(c, ',') && next(c) != ')') return false;
    }
    return true;
}

static bool parse_header(header *h, const char *text, size_t size)
{
    cursor c = { text, text + size };
    char key[32];
    *h = (header){ 0 };
    if (!take(&c, '{')) return false;
    while (!take(&c, '}')) {
        int bit;
        if (!take_string(&c, key, sizeof key) || !take(&c, ':')) return false;
        if (strcmp(key, "descr") == 0) {
            bit = 1;
            if (!take_string(&c, h->descr, sizeof h->descr)) return false;
        } else if (strcmp(key, "fortran_order") == 0) {
            bit = 2;
            h->fortran = take_word(&c, "True");
            if (!h->fortran && !take_word(&c, "False")) return false;
        } else if (strcmp(key, "shape") == 0) {
            bit = 4;
            if (h->rank || !take_shape(&c, h)) return false;
        } else {
            return false;
        }
        if (h->seen & bit) return false;
        h->seen |= bit;
        if (!take(&c, ',') && next(&c) != '}') return false;
    }
    return h->seen == 7 && next(&c) == -1;
}

static pha_status read_header(header *h, size_t *offset, const pha__map *map)
{
    const unsigned char *p = map->data;
    if (map->size < 10 || memcmp(p, "\x93NUMPY", 6) != 0) FAIL(BAD_INPUT, "%s: not a .npy file", map->path);
    if (p[6] < 1 || p[6] > 3) FAIL(BAD_INPUT, "%s: .npy version %d.%d is unknown", map->path, p[6], p[7]);
    size_t begin = p[6] == 1 ? 10 : 12;
    size_t size = (size_t)p[8] | (size_t)p[9] << 8;
    if (begin == 12 && map->size >= 12) size |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (size > MAX_HEADER || map->size < begin || size > map->size - begin)
        FAIL(BAD_INPUT, "%s: the .npy header is truncated or too long (%zu bytes)", map->path, size);
    if (!parse_header(h, (const char *)p + begin, size))
        FAIL(BAD_INPUT,
             "%s: the .npy header cannot be read: it must have descr, fortran_order and a shape of at most %d "
             "dimensions",
             map->path, MAX_DIMS);
    *offset = begin + size;
    return PHA_OK;
}

static int64_t id_at(const unsigned char *p, int width)
{
    if (width == 2) return p[0] | p[1] << 8;
    uint64_t x = 0;
    for (int i = width - 1; i >= 0; i--) x = x << 8 | p[i];
    return width == 4 ? (int64_t)(int32_t)(uint32_t)x : (int64_t)x;
}

static pha_status read_ids(int32_t **ids, const unsigned char *p, int64_t n, int width, const char *path)
{
    *ids = pha__alloc((size_t)n, sizeof **ids);
    if (!*ids) return PHA_NO_MEMORY;
    for (int64_t i = 0; i < n; i++) {
        int64_t id = id_at(p + (size_t)i * (size_t)width, width);
        if (id < INT32_MIN || id > INT32_MAX) {
            pha__free(*ids);
            *ids = NULL;
            FAIL(BAD_INPUT, "%s: element %" PRId64 " is %" PRId64 ", no token id", path, i, id);
        }
        (*ids)[i] = (int32_t)id;
    }
    return PHA_OK;
}

static pha_status read_map(int32_t **ids, int64_t *B, int64_t *T, const pha__map *map)
{
    header h;
    size_t offset = 0;
    TRY(read_header(&h, &offset, map));
    int width = strcmp(h.descr, "<i4") == 0 ? 4 : strcmp(h.descr, "<i8") == 0 ? 8 : strcmp(h.descr, "<u2") == 0 ? 2 : 0;
    if (!width)
        FAIL(BAD_INPUT, "%s: dtype '%s' is not read; save the ids as int32, int64 or uint16 (little-endian)", map->path,
             h.descr);
    if (h.fortran) FAIL(BAD_INPUT, "%s: the array is in Fortran order; save numpy.ascontiguousarray of it", map->path);
    if (h.rank != 1 && h.rank != 2) FAIL(BAD_INPUT, "%s: the array has rank %d, not (B, T)", map->path, h.rank);
    int64_t b = h.rank == 2 ? h.shape[0] : 1, t = h.shape[h.rank - 1], n, bytes;
    if (b < 1 || t < 1 || __builtin_mul_overflow(b, t, &n) || __builtin_mul_overflow(n, (int64_t)width, &bytes))
        FAIL(BAD_INPUT, "%s: the shape (%" PRId64 ", %" PRId64 ") is empty or overflows", map->path, b, t);
    if ((uint64_t)bytes != map->size - offset)
        FAIL(BAD_INPUT, "%s: (%" PRId64 ", %" PRId64 ") of '%s' need %" PRId64 " bytes but %zu follow the header",
             map->path, b, t, h.descr, bytes, map->size - offset);
    TRY(read_ids(ids, map->data + offset, n, width, map->path));
    *B = b;
    *T = t;
    return PHA_OK;
}

pha_status pha__npy_read_ids(int32_t **ids, int64_t *B, int64_t *T, const char *path)
{
    pha__map map;
    *ids = NULL;
    *B = *T = 0;
    TRY(pha__map_open(&map, path));
    pha_status status = read_map(ids, B, T, &map);
    pha__map_close(&map);
    return status;
}

/* ---- writing ---- */

struct pha__npy {
    pha__writer *file;
    uint64_t left; /* elements */
    char *path;
};

static pha_status write_header(pha__writer *file, const int64_t *shape, int rank)
{
    char text[256];
    int n = pha__print(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (int i = 0; i < rank; i++)
        n += pha__print(text + n, sizeof text - (size_t)n, "%" PRId64 "%s", shape[i],
                        i + 1 < rank ? ", "
                        : rank == 1  ? ","
                                   : "");
    n += pha__print(text + n, sizeof text - (size_t)n, "), }");
    int padded = (n + 1 + 10 + 63) / 64 * 64 - 10;
    unsigned char head[10] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)padded, (unsigned char)(padded >> 8)
    };
    TRY(pha__writer_write(file, head, sizeof head));
    return pha__writer_printf(file, "%-*s\n", padded - 1, text);
}

pha_status pha__npy_open(pha__npy **out, const char *path, const int64_t *shape, int rank)
{
    uint64_t n = 1;
    *out = NULL;
    if (rank < 1 || rank > MAX_DIMS) FAIL(FAILED, "%s: rank %d is not in 1 to %d", path, rank, MAX_DIMS);
    for (int i = 0; i < rank; i++)
        if (shape[i] < 0 || __builtin_mul_overflow(n, (uint64_t)shape[i], &n)) FAIL(FAILED, "%s: bad shape", path);
    pha__npy *w = pha__alloc_zero(1, sizeof *w);
    if (!w) return PHA_NO_MEMORY;
    w->left = n;
    w->path = pha__strdup(path);
    pha_status status = w->path ? pha__writer_open(&w->file, path) : PHA_NO_MEMORY;
    if (status == PHA_OK) status = write_header(w->file, shape, rank);
    if (status == PHA_OK) *out = w;
    else pha__npy_abort(w);
    return status;
}

pha_status pha__npy_write(pha__npy *w, const float *values, size_t n)
{
    if (n > w->left) FAIL(FAILED, "%s: more values than the shape has", w->path);
    w->left -= n;
    return pha__writer_write(w->file, values, n * sizeof *values);
}

pha_status pha__npy_commit(pha__npy *w)
{
    pha_status status = PHA_OK;
    if (w->left) {
        status = pha__fail(PHA_FAILED, "%s: %" PRIu64 " values of the array are missing", w->path, w->left);
    } else {
        status = pha__writer_commit(w->file);
        w->file = NULL;
    }
    pha__npy_abort(w);
    return status;
}

void pha__npy_abort(pha__npy *w)
{
    if (!w) return;
    pha__writer_abort(w->file);
    pha__free(w->path);
    pha__free(w);
}
