/* gguf.c -- see gguf.h */
#include "io/gguf.h"

#include <math.h>
#include <string.h>

#include "base/format.h"
#include "base/fs.h"
#include "base/mem.h"

enum { VERSION = 3, UNIT = 32, BLOCK = 32 };
enum { U32 = 4, I32 = 5, F32 = 6, BOOL = 7, TEXT = 8, LIST = 9 }; /* types of members */

/* ---- members --------------------------------------------------------------------------------------------- */

static void put(pha__str *s, uint64_t x, int bytes)
{
    char out[8];
    for (int i = 0; i < bytes; i++) out[i] = (char)(x >> 8 * i);
    pha__str_add(s, out, (size_t)bytes);
}

static void put_text(pha__str *s, const char *text, size_t size)
{
    put(s, size, 8);
    pha__str_add(s, text, size);
}

static void put_key(pha__gguf *g, const char *key, uint32_t type)
{
    put_text(&g->members, key, strlen(key));
    put(&g->members, type, 4);
    g->n_members++;
}

void pha__gguf_number(pha__gguf *g, const char *key, uint32_t value)
{
    put_key(g, key, U32);
    put(&g->members, value, 4);
}

void pha__gguf_real(pha__gguf *g, const char *key, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(g, key, F32);
    put(&g->members, bits, 4);
}

void pha__gguf_flag(pha__gguf *g, const char *key, bool value) { put_key(g, key, BOOL), put(&g->members, value, 1); }

void pha__gguf_text(pha__gguf *g, const char *key, const char *value)
{
    put_key(g, key, TEXT);
    put_text(&g->members, value, strlen(value));
}

static void put_list(pha__gguf *g, const char *key, uint32_t type, uint64_t n)
{
    put_key(g, key, LIST);
    put(&g->members, type, 4);
    put(&g->members, n, 8);
}

void pha__gguf_texts(pha__gguf *g, const char *key, uint64_t n) { put_list(g, key, TEXT, n); }
void pha__gguf_add_text(pha__gguf *g, const char *text, size_t size) { put_text(&g->members, text, size); }
void pha__gguf_numbers(pha__gguf *g, const char *key, uint64_t n) { put_list(g, key, I32, n); }
void pha__gguf_add_number(pha__gguf *g, int32_t value) { put(&g->members, (uint32_t)value, 4); }

void pha__gguf_free(pha__gguf *g) { pha__str_free(&g->members); }

/* ---- tensors --------------------------------------------------------------------------------------------- */

static uint64_t row_bytes(const pha__gguf_tensor *t)
{
    uint64_t w = (uint64_t)t->width;
    return t->type == PHA__GGUF_F32 ? 4 * w : t->type == PHA__GGUF_F16 ? 2 * w : w / BLOCK * (2 + BLOCK);
}

static uint64_t rounded(uint64_t n) { return (n + UNIT - 1) / UNIT * UNIT; }

/* A number as a half; false: there is none. */
static bool half(unsigned char out[2], float x)
{
    uint16_t h = pha__f32_to_f16(x);
    out[0] = (unsigned char)h, out[1] = (unsigned char)(h >> 8);
    return (h & 0x7c00) != 0x7c00;
}

/* 32 numbers: the largest one over 127 as a half, then each over that, to nearest. */
static bool block(unsigned char out[2 + BLOCK], const float *x)
{
    float largest = 0;
    for (int i = 0; i < BLOCK; i++) {
        if (!isfinite(x[i])) return false;
        largest = fmaxf(largest, fabsf(x[i]));
    }
    float step = largest / 127, per = step ? 1 / step : 0;
    for (int i = 0; i < BLOCK; i++) out[2 + i] = (unsigned char)(signed char)roundf(x[i] * per);
    return half(out, step);
}

static bool convert(unsigned char *out, const pha__gguf_tensor *t, const float *x)
{
    bool good = true;
    for (int64_t i = 0; t->type == PHA__GGUF_F16 && i < t->width; i++) good = half(out + 2 * i, x[i]) && good;
    for (int64_t i = 0; t->type == PHA__GGUF_Q8_0 && i < t->width; i += BLOCK)
        good = block(out + i / BLOCK * (2 + BLOCK), x + i) && good;
    for (int64_t i = 0; t->type == PHA__GGUF_F32 && i < t->width; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        for (int k = 0; k < 4; k++) out[4 * i + k] = (unsigned char)(bits >> 8 * k);
    }
    return good;
}

/* ---- the file -------------------------------------------------------------------------------------------- */

static void put_head(pha__str *s, const pha__gguf *g)
{
    uint64_t offset = 0;
    pha__str_add(s, "GGUF", 4);
    put(s, VERSION, 4);
    put(s, g->n_tensors, 8);
    put(s, g->n_members, 8);
    pha__str_add(s, g->members.data, g->members.size);
    for (uint64_t i = 0; i < g->n_tensors; i++) {
        const pha__gguf_tensor *t = &g->tensors[i];
        put_text(s, t->name, strlen(t->name));
        put(s, t->vector ? 1 : 2, 4);
        put(s, (uint64_t)t->width, 8);
        if (!t->vector) put(s, (uint64_t)t->rows, 8);
        put(s, (uint32_t)t->type, 4);
        put(s, offset, 8);
        offset += rounded(row_bytes(t) * (uint64_t)t->rows);
    }
    while (s->size % UNIT) put(s, 0, 1);
    s->failed |= g->members.failed;
}

typedef struct job {
    pha__writer *file;
    pha_status (*row)(void *context, const pha__gguf_tensor *t, int64_t row, float *out);
    void *context;
    const char *path;
    float *numbers; /* a row */
    unsigned char *bytes;
} job;

static pha_status write_tensor(job *j, const pha__gguf_tensor *t)
{
    static const unsigned char zeros[UNIT] = {0};
    uint64_t size = row_bytes(t), all = size * (uint64_t)t->rows;
    for (int64_t r = 0; r < t->rows; r++) {
        TRY(j->row(j->context, t, r, j->numbers));
        if (!convert(j->bytes, t, j->numbers))
            FAIL(NUMERIC, "%s: '%s' has a number in row %lld that this format has no place for; write fp32", j->path,
                 t->name, (long long)r);
        TRY(pha__writer_write(j->file, j->bytes, size));
    }
    return pha__writer_write(j->file, zeros, rounded(all) - all);
}

static pha_status write_all(job *j, const pha__gguf *g)
{
    int64_t widest = 1;
    for (uint64_t i = 0; i < g->n_tensors; i++) widest = g->tensors[i].width > widest ? g->tensors[i].width : widest;
    pha__str head = {0};
    put_head(&head, g);
    j->numbers = pha__alloc((size_t)widest, sizeof *j->numbers);
    j->bytes = pha__alloc((size_t)widest, 4);
    pha_status status = PHA_OK;
    if (head.failed || !j->numbers || !j->bytes) status = pha__fail(PHA_NO_MEMORY, "%s: no memory for it", j->path);
    if (!status) status = pha__writer_write(j->file, head.data, head.size);
    for (uint64_t i = 0; i < g->n_tensors && !status; i++) status = write_tensor(j, &g->tensors[i]);
    pha__free(j->numbers);
    pha__free(j->bytes);
    pha__str_free(&head);
    return status;
}

pha_status pha__gguf_write(const pha__gguf *g, const char *path,
                           pha_status (*row)(void *context, const pha__gguf_tensor *t, int64_t row, float *out),
                           void *context)
{
    job j = {.row = row, .context = context, .path = path};
    TRY(pha__writer_open(&j.file, path));
    pha_status status = write_all(&j, g);
    if (!status) return pha__writer_commit(j.file);
    pha__writer_abort(j.file);
    return status;
}
