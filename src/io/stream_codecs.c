/* stream_codecs.c -- gzip, zstd, xz and bzip2: how a file of each begins, goes on and ends */
#include <bzlib.h>
#include <lzma.h>
#include <string.h>
#include <zlib.h>
#define ZSTD_STATIC_LINKING_ONLY /* for its allocator */
#include <zstd.h>
#include <zstd_errors.h>

#include "base/log.h"
#include "base/mem.h"
#include "io/stream_impl.h"

enum {
    MAX_WINDOW_LOG = 31,      /* of zstd: what --long=31 makes; 2 GiB */
    USUAL_WINDOW_LOG = 27,    /* up to here nothing is said */
    ROOM = 1 << 30,           /* most bytes that a decoder is asked for at once: it counts in 32 bits */
};
static const uint64_t XZ_MEMORY = (uint64_t)2 << 30; /* of a decoder; xz -9 needs 65 MB */

static pha_status broken(pha__stream *s, const char *why)
{
    FAIL(BAD_INPUT, "%s: %s data %s at byte %llu of the file", s->name, s->codec->name, why,
         (unsigned long long)pha__stream_offset(s));
}

static pha_status no_memory(pha__stream *s) { FAIL(NO_MEMORY, "%s: out of memory for %s", s->name, s->codec->name); }

static unsigned room_of(size_t size) { return size > ROOM ? ROOM : (unsigned)size; }

/* Nothing came out, though the file is at its end. */
static bool truncated(const pha__stream *s, size_t got) { return got == 0 && s->begin == s->end && s->file_end; }

/* Between two members: another member begins, or zero bytes up to the end of the file pad it. */
static pha_status next_member(pha__stream *s, bool *another)
{
    *another = false;
    if (s->end - s->begin < 16) TRY(pha__stream_refill(s));
    if (s->begin < s->end && s->codec->begins(s->input + s->begin, s->end - s->begin)) {
        *another = s->inside = true;
        return PHA_OK;
    }
    while (s->begin < s->end && s->input[s->begin] == 0)
        if (++s->begin == s->end) TRY(pha__stream_refill(s));
    if (s->begin < s->end) return broken(s, "is followed by something else");
    s->done = true;
    return PHA_OK;
}

/* ---- gzip ----------------------------------------------------------------------------------------------- */

static void *z_alloc(void *context, unsigned n, unsigned size)
{
    (void)context;
    return pha__alloc(n, size);
}

static void z_free(void *context, void *p)
{
    (void)context;
    pha__free(p);
}

static bool gzip_begins(const unsigned char *p, size_t n) { return n >= 2 && p[0] == 0x1f && p[1] == 0x8b; }

static pha_status gzip_open(pha__stream *s)
{
    z_stream *z = pha__alloc_zero(1, sizeof *z);
    if (!z) return no_memory(s);
    z->zalloc = z_alloc, z->zfree = z_free;
    if (inflateInit2(z, 15 + 16) != Z_OK) {
        pha__free(z);
        return no_memory(s);
    }
    s->decoder = z;
    return PHA_OK;
}

static void gzip_close(pha__stream *s)
{
    inflateEnd(s->decoder);
    pha__free(s->decoder);
}

static pha_status gzip_read(pha__stream *s, unsigned char *data, size_t size, size_t *got)
{
    z_stream *z = s->decoder;
    bool another = true;
    if (!s->inside) TRY(next_member(s, &another));
    if (!another) return PHA_OK;
    if (s->begin == s->end) TRY(pha__stream_refill(s));
    unsigned room = room_of(size);
    z->next_in = s->input + s->begin, z->avail_in = (unsigned)(s->end - s->begin);
    z->next_out = data, z->avail_out = room;
    int rc = inflate(z, Z_NO_FLUSH);
    s->begin = s->end - z->avail_in;
    *got = room - z->avail_out;
    if (rc == Z_STREAM_END) {
        s->inside = false;
        if (inflateReset(z) != Z_OK) return broken(s, "cannot be restarted");
    } else if (rc == Z_MEM_ERROR) {
        return no_memory(s);
    } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
        return broken(s, "is corrupt");
    } else if (truncated(s, *got)) {
        return broken(s, "is truncated");
    }
    return PHA_OK;
}

/* ---- zstd ----------------------------------------------------------------------------------------------- */

static bool is_frame(const unsigned char *p) { return p[0] == 0x28 && p[1] == 0xb5 && p[2] == 0x2f && p[3] == 0xfd; }

/* A frame, or one that is to be skipped. */
static bool zstd_begins(const unsigned char *p, size_t n)
{
    return n >= 4 && (is_frame(p) || ((p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18));
}

/* How much text a frame may refer back to, from its header (RFC 8878, 3.1.1.1.2); all of that is held in memory. A
 * frame without this field is held whole, and is small. */
static void note_window(const pha__stream *s)
{
    if (s->end < 6 || !is_frame(s->input) || (s->input[4] & 0x20)) return;
    unsigned log = 10 + (s->input[5] >> 3);
    if (log <= USUAL_WINDOW_LOG || log > MAX_WINDOW_LOG) return;
    double size = (double)((uint64_t)1 << log) * (1 + (s->input[5] & 7) / 8.0);
    pha__log(PHA__LOG_NOTE, "%s: reading it takes up to %.1f GB of memory (it was compressed with a long window)",
             s->name, size * 1e-9);
}

#ifdef PHA__ZSTD_MEMORY
static void *zstd_alloc(void *context, size_t size)
{
    (void)context;
    return pha__alloc(1, size);
}
#endif

static ZSTD_DStream *new_zstd(void)
{
#ifdef PHA__ZSTD_MEMORY
    return ZSTD_createDCtx_advanced((ZSTD_customMem){zstd_alloc, z_free, NULL});
#else
    return ZSTD_createDStream();
#endif
}

static pha_status zstd_open(pha__stream *s)
{
    note_window(s);
    s->decoder = new_zstd();
    if (!s->decoder || ZSTD_isError(ZSTD_DCtx_setParameter(s->decoder, ZSTD_d_windowLogMax, MAX_WINDOW_LOG)))
        return no_memory(s);
    return PHA_OK;
}

static void zstd_close(pha__stream *s) { ZSTD_freeDStream(s->decoder); }

static pha_status zstd_read(pha__stream *s, unsigned char *data, size_t size, size_t *got)
{
    if (s->begin == s->end) TRY(pha__stream_refill(s));
    if (s->begin == s->end && !s->inside) {
        s->done = true;
        return PHA_OK;
    }
    bool ended = s->begin == s->end;
    ZSTD_inBuffer in = { s->input + s->begin, s->end - s->begin, 0 };
    ZSTD_outBuffer out = { data, size, 0 };
    size_t rc = ZSTD_decompressStream(s->decoder, &out, &in);
    s->begin += in.pos;
    *got = out.pos;
    if (ZSTD_isError(rc) && ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation) return no_memory(s);
    if (ZSTD_isError(rc)) return broken(s, ZSTD_getErrorName(rc));
    s->inside = rc != 0;
    if (s->inside && ended && out.pos == 0) return broken(s, "is truncated");
    return PHA_OK;
}

/* ---- xz ------------------------------------------------------------------------------------------------- */

static void *xz_alloc(void *context, size_t n, size_t size)
{
    (void)context;
    return pha__alloc(n, size);
}

static const lzma_allocator xz_allocator = {xz_alloc, z_free, NULL};

static bool xz_begins(const unsigned char *p, size_t n) { return n >= 6 && memcmp(p, "\xfd" "7zXZ", 6) == 0; }

static pha_status xz_open(pha__stream *s)
{
    lzma_stream *x = pha__alloc_zero(1, sizeof *x);
    if (!x) return no_memory(s);
    s->decoder = x;
    x->allocator = &xz_allocator;
    return lzma_stream_decoder(x, XZ_MEMORY, LZMA_CONCATENATED) == LZMA_OK ? PHA_OK : no_memory(s);
}

static void xz_close(pha__stream *s)
{
    lzma_end(s->decoder);
    pha__free(s->decoder);
}

static pha_status xz_read(pha__stream *s, unsigned char *data, size_t size, size_t *got)
{
    lzma_stream *x = s->decoder;
    if (s->begin == s->end) TRY(pha__stream_refill(s));
    x->next_in = s->input + s->begin, x->avail_in = s->end - s->begin;
    x->next_out = data, x->avail_out = size;
    lzma_ret rc = lzma_code(x, s->file_end && s->begin == s->end ? LZMA_FINISH : LZMA_RUN);
    s->begin = s->end - x->avail_in;
    *got = size - x->avail_out;
    if (rc == LZMA_STREAM_END) {
        s->done = true;
    } else if (rc == LZMA_MEM_ERROR) {
        return no_memory(s);
    } else if (rc == LZMA_MEMLIMIT_ERROR) {
        FAIL(BAD_INPUT, "%s: reading it would take %.1f GB of memory, more than the %.1f GB that are allowed; compress "
                        "it with a smaller dictionary", s->name, (double)lzma_memusage(x) * 1e-9,
             (double)XZ_MEMORY * 1e-9);
    } else if (rc == LZMA_BUF_ERROR && truncated(s, *got)) {
        return broken(s, "is truncated");
    } else if (rc == LZMA_FORMAT_ERROR) {
        return broken(s, "is followed by something else");
    } else if (rc != LZMA_OK && rc != LZMA_BUF_ERROR) {
        return broken(s, "is corrupt");
    }
    return PHA_OK;
}

/* ---- bzip2 ---------------------------------------------------------------------------------------------- */

static void *bz_alloc(void *context, int n, int size)
{
    (void)context;
    return pha__alloc((size_t)n, (size_t)size);
}

/* The size of its blocks, and the number that begins a block or the end. */
static bool bzip2_begins(const unsigned char *p, size_t n)
{
    return n >= 10 && memcmp(p, "BZh", 3) == 0 && p[3] >= '1' && p[3] <= '9' &&
           (memcmp(p + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0 || memcmp(p + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0);
}

static pha_status bzip2_begin(pha__stream *s)
{
    bz_stream *b = s->decoder;
    *b = (bz_stream){.bzalloc = bz_alloc, .bzfree = z_free};
    return BZ2_bzDecompressInit(b, 0, 0) == BZ_OK ? PHA_OK : no_memory(s);
}

static pha_status bzip2_open(pha__stream *s)
{
    s->decoder = pha__alloc_zero(1, sizeof(bz_stream));
    return s->decoder ? bzip2_begin(s) : no_memory(s);
}

static void bzip2_close(pha__stream *s)
{
    BZ2_bzDecompressEnd(s->decoder); /* harmless after a failed begin */
    pha__free(s->decoder);
}

static pha_status bzip2_read(pha__stream *s, unsigned char *data, size_t size, size_t *got)
{
    bz_stream *b = s->decoder;
    if (!s->inside) {
        bool another;
        TRY(next_member(s, &another));
        if (!another) return PHA_OK;
        BZ2_bzDecompressEnd(b); /* it cannot be wound back */
        TRY(bzip2_begin(s));
    }
    if (s->begin == s->end) TRY(pha__stream_refill(s));
    unsigned room = room_of(size);
    b->next_in = (char *)s->input + s->begin, b->avail_in = (unsigned)(s->end - s->begin);
    b->next_out = (char *)data, b->avail_out = room;
    int rc = BZ2_bzDecompress(b);
    s->begin = s->end - b->avail_in;
    *got = room - b->avail_out;
    if (rc == BZ_STREAM_END) s->inside = false;
    else if (rc == BZ_MEM_ERROR) return no_memory(s);
    else if (rc != BZ_OK) return broken(s, "is corrupt");
    else if (truncated(s, *got)) return broken(s, "is truncated");
    return PHA_OK;
}

const pha__codec pha__codecs[] = {
    {"gzip", ".gz", gzip_begins, gzip_open, gzip_read, gzip_close},
    {"zstd", ".zst", zstd_begins, zstd_open, zstd_read, zstd_close},
    {"xz", ".xz", xz_begins, xz_open, xz_read, xz_close},
    {"bzip2", ".bz2", bzip2_begins, bzip2_open, bzip2_read, bzip2_close},
    {0},
};
