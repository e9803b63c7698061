/* writer.c -- a file written beside its final name, synced and renamed
 *
 * The file beside NAME is .NAME.pha-tmp, a name that is ours, so that what a killed process left is overwritten by the
 * next attempt. A lock on it, which dies with the process, keeps two processes from writing the same file at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/print.h"

#define BUFFER ((size_t)256 << 10)

struct pha__writer {
    int fd;
    pha_status status;  /* of the first failure */
    pha__message error; /* its message */
    uint64_t flushed;   /* bytes that the system has */
    size_t used;        /* bytes in the buffer */
    char *path, *beside;
    unsigned char buffer[];
};

/* Makes the failure that was just recorded stick. */
static pha_status keep(pha__writer *w, pha_status status)
{
    w->status = status;
    w->error = pha__message_keep();
    return status;
}

static pha_status fail(pha__writer *w, const char *what)
{
    return keep(w, pha__fail(PHA_IO, "%s: %s: %s", w->path, what, pha__error_text(errno)));
}

static pha_status failed_before(const pha__writer *w)
{
    pha__message_restore(&w->error);
    return w->status;
}

static void release(pha__writer *w)
{
    if (w->fd >= 0) close(w->fd);
    pha__free(w->path);
    pha__free(w->beside);
    pha__free(w);
}

const char *pha__error_text(int error)
{
    if (error == EFBIG) return "File too large: there is a limit on the size of a file (ulimit -f shows it)";
    return strerror(error);
}

static const char suffix[] = "pha-tmp";

void pha__whole_name(char whole[256], const char *name)
{
    size_t n = strlen(name), end = sizeof suffix; /* with its dot */
    bool half = n > 1 + end && name[0] == '.' && name[n - end] == '.' && !strcmp(name + n - end + 1, suffix);
    pha__print(whole, 256, "%.*s", half ? (int)(n - end - 1) : (int)n, name + half);
}

/* What is renamed to the name of a device or a pipe would put an end to it. */
static pha_status check_place(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0 || S_ISREG(info.st_mode)) return PHA_OK;
    FAIL(IO, "%s: is there and no regular file; choose another name", path);
}

static pha_status open_beside(pha__writer *w)
{
    struct stat info;
    int error = pha__open_locked(&w->fd, w->beside);
    if (error == EWOULDBLOCK) FAIL(USAGE, "%s: another process is writing it", w->path);
    if (error) FAIL(IO, "%s: cannot create: %s", w->path, pha__error_text(error));
    if (fstat(w->fd, &info) != 0 || !S_ISREG(info.st_mode))
        FAIL(IO, "%s: is in the way and no regular file; remove it", w->beside);
    if (pha__sys_truncate(w->fd, 0) == 0) return PHA_OK;
    pha_status status = fail(w, "cannot empty the file beside it");
    pha__sys_remove(w->beside);
    return status;
}

pha_status pha__writer_open(pha__writer **out, const char *path)
{
    *out = NULL;
    pha__writer *w = pha__alloc(1, sizeof *w + BUFFER);
    if (!w) return PHA_NO_MEMORY;
    memset(w, 0, sizeof *w);
    w->fd = -1;
    pha_status status = pha__resolve(&w->path, path);
    if (!status) status = check_place(w->path);
    if (!status) status = pha__beside(&w->beside, w->path, suffix);
    if (!status) status = open_beside(w);
    if (status != PHA_OK) release(w);
    else *out = w;
    return status;
}

static pha_status write_all(pha__writer *w, const unsigned char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = pha__sys_write(w->fd, data, size);
        if (n < 0) return fail(w, "cannot write");
        data += n;
        size -= (size_t)n;
        w->flushed += (uint64_t)n;
    }
    return PHA_OK;
}

static pha_status flush(pha__writer *w)
{
    size_t used = w->used;
    w->used = 0;
    return write_all(w, w->buffer, used);
}

pha_status pha__writer_write(pha__writer *w, const void *data, size_t size)
{
    if (w->status != PHA_OK) return failed_before(w);
    if (size > BUFFER - w->used) TRY(flush(w));
    if (size >= BUFFER) return write_all(w, data, size);
    if (size) memcpy(w->buffer + w->used, data, size);
    w->used += size;
    return PHA_OK;
}

pha_status pha__writer_printf(pha__writer *w, const char *format, ...)
{
    char small[512], *text = small;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = pha__vprint(small, sizeof small, format, args);
    va_end(args);
    if (n >= (int)sizeof small) {
        text = pha__alloc((size_t)n + 1, 1);
        if (text) pha__vprint(text, (size_t)n + 1, format, again);
    }
    va_end(again);
    pha_status status = !text || n < 0 ? PHA_NO_MEMORY : pha__writer_write(w, text, (size_t)n);
    if ((!text || n < 0) && w->status == PHA_OK) keep(w, status); /* a text with a hole must not be committed */
    if (text != small) pha__free(text);
    return status;
}

pha_status pha__writer_patch(pha__writer *w, uint64_t offset, const void *data, size_t size)
{
    if (w->status != PHA_OK) return failed_before(w);
    TRY(flush(w));
    if (size > w->flushed || offset > w->flushed - size)
        return keep(w, pha__fail(PHA_FAILED, "%s: patch of %zu bytes at %llu is behind the end", w->path, size,
                                 (unsigned long long)offset));
    for (const unsigned char *p = data; size > 0;) {
        ssize_t n = pha__sys_pwrite(w->fd, p, size, offset);
        if (n < 0) return fail(w, "cannot write");
        p += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return PHA_OK;
}

pha_status pha__writer_extend(pha__writer *w, uint64_t size)
{
    if (w->status != PHA_OK) return failed_before(w);
    TRY(flush(w));
    return pha__sys_truncate(w->fd, size) == 0 ? PHA_OK : fail(w, "cannot make it as long as it is to be");
}

const char *pha__writer_beside(const pha__writer *w) { return w->beside; }

uint64_t pha__writer_size(const pha__writer *w) { return w->flushed + w->used; }

static pha_status finish(pha__writer *w)
{
    if (w->status != PHA_OK) return failed_before(w);
    TRY(flush(w));
    if (pha__sys_sync(w->fd) != 0) return fail(w, "cannot sync");
    if (pha__sys_rename(w->beside, w->path) != 0) return fail(w, "cannot rename the new file to it");
    return pha__sync_parent(w->path);
}

pha_status pha__writer_commit(pha__writer *w)
{
    pha_status status = finish(w);
    if (status == PHA_OK) release(w);
    else pha__writer_abort(w);
    return status;
}

void pha__writer_abort(pha__writer *w)
{
    if (!w) return;
    pha__sys_remove(w->beside);
    release(w);
}

pha_status pha__write_file(const char *path, const void *data, size_t size)
{
    pha__writer *w;
    TRY(pha__writer_open(&w, path));
    pha__writer_write(w, data, size); /* a failure sticks and comes back from commit */
    return pha__writer_commit(w);
}

pha_status pha__append_file(const char *path, const void *data, size_t size)
{
    struct stat info;
    int fd = pha__sys_create(path, O_WRONLY | O_APPEND | O_NONBLOCK); /* a FIFO without a reader would block */
    if (fd < 0) FAIL(IO, "%s: cannot open for appending: %s", path, pha__error_text(errno));
    pha_status status = PHA_OK;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        status = pha__fail(PHA_IO, "%s: not a regular file; nothing is appended", path);
    for (const unsigned char *p = data; size > 0 && status == PHA_OK;) {
        ssize_t n = pha__sys_write(fd, p, size);
        if (n < 0) status = pha__fail(PHA_IO, "%s: cannot append: %s", path, pha__error_text(errno));
        else p += n, size -= (size_t)n;
    }
    if (close(fd) != 0 && status == PHA_OK) status = pha__fail(PHA_IO, "%s: cannot append: %s", path, strerror(errno));
    return status;
}
