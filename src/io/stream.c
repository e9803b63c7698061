/* stream.c -- plain and compressed files as one kind of byte stream */
#include "io/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/stream_impl.h"

uint64_t pha__stream_offset(const pha__stream *s) { return s->file_offset - (s->end - s->begin); }

size_t pha__stream_stem(const char *name)
{
    size_t n = strlen(name);
    for (const pha__codec *c = pha__codecs; c->name; c++) {
        size_t m = strlen(c->suffix);
        if (n > m && strcasecmp(name + n - m, c->suffix) == 0) return n - m;
    }
    return n;
}

pha_status pha__stream_refill(pha__stream *s)
{
    if (s->begin > 0) {
        memmove(s->input, s->input + s->begin, s->end - s->begin);
        s->end -= s->begin, s->begin = 0;
    }
    while (!s->file_end && s->end < PHA__STREAM_INPUT) {
        ssize_t n = read(s->fd, s->input + s->end, PHA__STREAM_INPUT - s->end);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            FAIL(IO, "%s: reading failed at byte %llu: %s", s->name, (unsigned long long)s->file_offset,
                 strerror(errno));
        if (n == 0) s->file_end = true;
        s->end += (size_t)n, s->file_offset += (uint64_t)n;
    }
    return PHA_OK;
}

static pha_status detect(pha__stream *s)
{
    TRY(pha__stream_refill(s));
    const char *suffix = s->name + pha__stream_stem(s->name);
    const pha__codec *c = pha__codecs;
    while (c->name && !c->begins(s->input, s->end)) c++;
    if (!c->name && *suffix)
        FAIL(BAD_INPUT, "%s: the name ends in %s but the file does not begin as such a file does (truncated, or not "
                        "compressed?)", s->name, suffix);
    if (!c->name) return PHA_OK;
    s->codec = c;
    s->inside = true;
    return c->open(s);
}

static pha_status open_file(pha__stream *s, const char *path, const char *name)
{
    s->name = pha__strdup(name ? name : path);
    if (!s->name) FAIL(NO_MEMORY, "%s: out of memory", path);
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block here */
    if (s->fd < 0) FAIL(IO, "%s: cannot open: %s", s->name, strerror(errno));
    struct stat st;
    if (fstat(s->fd, &st) != 0) FAIL(IO, "%s: %s", s->name, strerror(errno));
    if (!S_ISREG(st.st_mode)) FAIL(BAD_INPUT, "%s: not a regular file", s->name);
    return detect(s);
}

pha_status pha__stream_open(pha__stream **out, const char *path, const char *name)
{
    *out = NULL;
    pha__stream *s = pha__alloc(1, sizeof *s);
    if (!s) FAIL(NO_MEMORY, "%s: out of memory", path);
    memset(s, 0, offsetof(pha__stream, input));
    s->fd = -1;
    pha_status status = open_file(s, path, name);
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
    if (s->decoder) s->codec->close(s);
    if (s->fd >= 0) close(s->fd);
    pha__free(s->name);
    pha__free(s);
}

static pha_status read_plain(pha__stream *s, unsigned char *data, size_t size, size_t *got)
{
    if (s->begin == s->end) TRY(pha__stream_refill(s));
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
    *got = 0;
    while (*got < size && !s->done) {
        size_t n = 0;
        TRY((s->codec ? s->codec->read : read_plain)(s, (unsigned char *)data + *got, size - *got, &n));
        *got += n;
    }
    return PHA_OK;
}
