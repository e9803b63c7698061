/* part.c -- writing into a file that another process makes */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"

static pha_status read_head(int fd, const char *path, const pha__file_head *head)
{
    size_t size = (size_t)head->size, have = 0;
    char *text = pha__alloc(size + 1, 1);
    if (!text) return PHA_NO_MEMORY;
    for (ssize_t n = 1; have < size && n != 0;) {
        n = pread(fd, text + have, size - have, (off_t)have);
        if (n < 0 && errno != EINTR) break;
        have += n > 0 ? (size_t)n : 0;
    }
    bool same = have == size && pha__hash(text, size, 0) == head->hash;
    pha__free(text);
    if (!same) FAIL(IO, "%s: another file than the leading rank's is there", path);
    /* A page that a network file system has read it may write back whole, over what others wrote there. */
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    return PHA_OK;
}

/* The file that was opened for writing, and no other of its name. */
static pha_status check(int fd, const char *path, const pha__file_head *head)
{
    struct stat written, read;
    int other = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (other < 0) FAIL(IO, "%s: cannot open: %s", path, strerror(errno));
    bool one = fstat(fd, &written) == 0 && fstat(other, &read) == 0 && S_ISREG(written.st_mode) &&
               written.st_dev == read.st_dev && written.st_ino == read.st_ino;
    pha_status status = one ? read_head(other, path, head) : pha__fail(PHA_IO, "%s: was replaced meanwhile", path);
    close(other);
    return status;
}

pha_status pha__part_open(int *fd, const char *path, const pha__file_head *head)
{
    *fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK); /* never for reading too: see above */
    if (*fd < 0) FAIL(IO, "%s: cannot open for writing: %s", path, strerror(errno));
    pha_status status = check(*fd, path, head);
    if (status) close(*fd), *fd = -1;
    return status;
}

pha_status pha__part_write(int fd, const char *path, uint64_t at, const void *data, size_t size)
{
    for (const char *p = data; size > 0;) {
        ssize_t n = pha__sys_pwrite(fd, p, size, at);
        if (n < 0) FAIL(IO, "%s: cannot write: %s", path, pha__error_text(errno));
        p += n, at += (uint64_t)n, size -= (size_t)n;
    }
    return PHA_OK;
}

pha_status pha__part_close(int fd, const char *path, pha_status status)
{
    if (fd < 0) return status;
    if (!status && pha__sys_sync(fd) != 0) status = pha__fail(PHA_IO, "%s: cannot sync: %s", path, strerror(errno));
    if (close(fd) != 0 && !status) status = pha__fail(PHA_IO, "%s: cannot close: %s", path, strerror(errno));
    return status;
}
