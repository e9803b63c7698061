/* stream.c -- plain, gzip and zstd files as one kind of byte stream */
#include "io/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#define ZSTD_STATIC_LINKING_ONLY /* for its allocator */
#include <zstd.h>
#include <zstd_errors.h>

#include "base/mem.h"

enum { INPUT = 256 * 1024, MAX_WINDOW_LOG = 27 }; /* a zstd window of at most 128 MB: what its command accepts */

typedef enum { PLAIN, GZIP, ZSTD } codec;

struct pha__stream {
    char *path;
    int fd;
    codec codec;
    bool file_end;       /* the file is read to its end */
    bool inside;         /* a gzip member or zstd frame has begun and not ended */
    bool done;           /* nothing more will come */
    uint64_t file_offset; /* bytes read from the file */
    z_stream gzip;
    bool gzip_open;
    ZSTD_DStream *zstd;
    size_t begin, end;   /* unread part of input */
    unsigned char input[INPUT];
};

static void *z_alloc(void *context, unsigned n, unsigned size)
{
    (void)context;
    return pha__alloc(n, size);
}

#ifdef PHA__ZSTD_MEMORY
static void *zstd_alloc(void *context, size_t size)
{
    (void)context;
    return pha__alloc(1, size);
}
#endif

static void z_free(void *context, void *p)
{
    (void)context;
    pha__free(p);
}

static ZSTD_DStream *open_zstd(void)
{
#ifdef PHA__ZSTD_MEMORY
    return ZSTD_createDCtx_advanced((ZSTD_customMem){zstd_alloc, z_free, NULL});
#else
    return ZSTD_createDStream();
#endif
}

uint64_t pha__stream_offset(const pha__stream *s) { return s->file_offset - (s->end - s->begin); }

size_t pha__stream_stem(const char *name)
{
    size_t n = strlen(name);
    if (n > 3 && strcasecmp(name + n - 3, ".gz") == 0) return n - 3;
    if (n > 4 && strcasecmp(name + n - 4, ".zst") == 0) return n - 4;
    return n;
}

/* Fills the input buffer up if it is not full. */
static pha_status refill(pha__stream *s)
{
    if (s->begin > 0) {
        memmove(s->input, s->input + s->begin, s->end - s->begin);
        s->end -= s->begin, s->begin = 0;
    }
    while (!s->file_end && s->end < INPUT) {
        ssize_t n = read(s->fd, s->input + s->end, INPUT - s->end);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            FAIL(IO, "%s: reading failed at byte %llu: %s", s->path, (unsigned long long)s->file_offset,
                 strerror(errno));
        if (n == 0) s->file_end = true;
        s->end += (size_t)n, s->file_offset += (uint64_t)n;
    }
    return PHA_OK;
}

static bool is_gzip(const unsigned char *p, size_t n) { return n >= 2 && p[0] == 0x1f && p[1] == 0x8b; }

/* A zstd frame or one of its skippable frames. */
static bool is_zstd(const unsigned char *p, size_t n)
{
    if (n < 4) return false;
    bool frame = p[0] == 0x28 && p[1] == 0xb5 && p[2] == 0x2f && p[3] == 0xfd;
    bool skippable = (p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18;
    return frame || skippable;
}

static pha_status detect(pha__stream *s)
{
    TRY(refill(s));
    const char *suffix = s->path + pha__stream_stem(s->path);
    s->codec = is_gzip(s->input, s->end) ? GZIP : is_zstd(s->input, s->end) ? ZSTD : PLAIN;
    if (s->codec == PLAIN && *suffix)
        FAIL(BAD_INPUT, "%s: the name ends in %s but the file does not begin as such a file does (truncated, or not "
                        "compressed?)", s->path, suffix);
    if (s->codec == GZIP) {
        s->gzip.zalloc = z_alloc, s->gzip.zfree = z_free;
        if (inflateInit2(&s->gzip, 15 + 16) != Z_OK) FAIL(NO_MEMORY, "%s: out of memory for gzip", s->path);
        s->gzip_open = s->inside = true;
    }
    if (s->codec == ZSTD) {
        s->zstd = open_zstd();
        if (!s->zstd || ZSTD_isError(ZSTD_DCtx_setParameter(s->zstd, ZSTD_d_windowLogMax, MAX_WINDOW_LOG)))
            FAIL(NO_MEMORY, "%s: out of memory for zstd", s->path);
        s->inside = true;
    }
    return PHA_OK;
}

static pha_status open_file(pha__stream *s, const char *path)
{
    s->path = pha__strdup(path);
    if (!s->path) FAIL(NO_MEMORY, "%s: out of memory", path);
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block here */
    if (s->fd < 0) FAIL(IO, "%s: cannot open: %s", path, strerror(errno));
    struct stat st;
    if (fstat(s->fd, &st) != 0) FAIL(IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode)) FAIL(BAD_INPUT, "%s: not a regular file", path);
    return detect(s);
}

pha_status pha__stream_open(pha__stream **out, const char *path)
{
    *out = NULL;
    pha__stream *s = pha__alloc(1, sizeof *s);
    if (!s) FAIL(NO_MEMORY, "%s: out of memory", path);
    memset(s, 0, offsetof(pha__stream, input));
    s->fd = -1;
    pha_status status = open_file(s, path);
    if (status != PHA_OK) {
        pha__stream_close(s);
        return status;
    }
    *out = s;
    return PHA_OK;
}

void pha__stream_close(pha__stream *s)
{
    if (!s) return;
    if (s->gzip_open) inflateEnd(&s->gzip);
    ZSTD_freeDStream(s->zstd);
    if (s->fd >= 0) close(s->fd);
    pha__free(s->path);
    pha__free(s);
}

static pha_status broken(pha__stream *s, const char *kind, const char *why)
{
    FAIL(BAD_INPUT, "%s: %s data %s at byte %llu of the file", s->path, kind, why,
         (unsigned long long)pha__stream_offset(s));
}

/* Between two gzip members: another member, or padding with zero bytes up to the end of the file. */
static pha_status next_member(pha__stream *s)
{
    if (s->end - s->begin < 2) TRY(refill(s));
    if (s->begin == s->end) {
        s->done = true;
    } else if (is_gzip(s->input + s->begin, s->end - s->begin)) {
        if (inflateReset(&s->gzip) != Z_OK) return broken(s, "gzip", "cannot be restarted");
        s->inside = true;
    } else {
        while (s->begin < s->end && s->input[s->begin] == 0) {
            if (++s->begin == s->end) TRY(refill(s));
        }
        if (s->begin < s->end) return broken(s, "gzip", "is followed by something else");
        s->done = true;
    }
    return PHA_OK;
}

static pha_status read_gzip(pha__stream *s, unsigned char *data, size_t size, size_t *got)
{
    if (!s->inside) {
        TRY(next_member(s));
        if (s->done) return PHA_OK;
    }
    if (s->begin == s->end) TRY(refill(s));
    s->gzip.next_in = s->input + s->begin, s->gzip.avail_in = (unsigned)(s->end - s->begin);
    unsigned room = size > 1u << 30 ? 1u << 30 : (unsigned)size;
    s->gzip.next_out = data, s->gzip.avail_out = room;
    int rc = inflate(&s->gzip, Z_NO_FLUSH);
    s->begin = s->end - s->gzip.avail_in;
    *got = room - s->gzip.avail_out;
    if (rc == Z_STREAM_END) {
        s->inside = false;
    } else if (rc == Z_MEM_ERROR) {
        FAIL(NO_MEMORY, "%s: out of memory for gzip", s->path);
    } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
        return broken(s, "gzip", "is corrupt");
    } else if (*got == 0 && s->begin == s->end && s->file_end) {
        return broken(s, "gzip", "is truncated");
    }
    return PHA_OK;
}

static pha_status read_zstd(pha__stream *s, unsigned char *data, size_t size, size_t *got)
{
    if (s->begin == s->end) TRY(refill(s));
    if (s->begin == s->end && !s->inside) {
        s->done = true;
        return PHA_OK;
    }
    bool ended = s->begin == s->end;
    ZSTD_inBuffer in = { s->input + s->begin, s->end - s->begin, 0 };
    ZSTD_outBuffer out = { data, size, 0 };
    size_t rc = ZSTD_decompressStream(s->zstd, &out, &in);
    s->begin += in.pos;
    *got = out.pos;
    if (ZSTD_isError(rc) && ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation)
        FAIL(NO_MEMORY, "%s: out of memory for zstd", s->path);
    if (ZSTD_isError(rc)) return broken(s, "zstd", ZSTD_getErrorName(rc));
    s->inside = rc != 0;
    if (s->inside && ended && out.pos == 0) return broken(s, "zstd", "is truncated");
    return PHA_OK;
}

static pha_status read_plain(pha__stream *s, unsigned char *data, size_t size, size_t *got)
{
    if (s->begin == s->end) TRY(refill(s));
    size_t n = s->end - s->begin;
    if (n > size) n = size;
    memcpy(data, s->input + s->begin, n);
    s->begin += n;
    *got = n;
    s->done = n == 0;
    return PHA_OK;
}

pha_status pha__stream_read(pha__stream *s, void *data, size_t size, size_t *got)
{
    pha_status (*const decode[])(pha__stream *, unsigned char *, size_t, size_t *) = { read_plain, read_gzip,
                                                                                       read_zstd };
    *got = 0;
    while (*got < size && !s->done) {
        size_t n = 0;
        TRY(decode[s->codec](s, (unsigned char *)data + *got, size - *got, &n));
        *got += n;
    }
    return PHA_OK;
}
