/* fault.c -- system calls that change the file system */
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

const pha__faults *pha__faulty;

/* True: the call fails, errno says how. */
static bool fault(pha__call call, size_t *size)
{
    int error = pha__faulty ? pha__faulty->before(call, size) : 0;
    if (error) errno = error;
    return error != 0;
}

#define RETRY(result, call) do result = (call); while (result < 0 && errno == EINTR)

int pha__sys_create(const char *path, int flags)
{
    int fd;
    if (fault(PHA__CALL_SPACE, NULL)) return -1;
    RETRY(fd, open(path, flags | O_CREAT | O_CLOEXEC, 0666));
    return fd;
}

static ssize_t write_at(int fd, const void *data, size_t size, const uint64_t *offset)
{
    ssize_t n;
    if (fault(PHA__CALL_WRITE, &size)) return -1;
    if (offset) RETRY(n, pwrite(fd, data, size, (off_t)*offset));
    else RETRY(n, write(fd, data, size));
    if (pha__faulty) pha__faulty->after();
    return n;
}

ssize_t pha__sys_write(int fd, const void *data, size_t size) { return write_at(fd, data, size, NULL); }

ssize_t pha__sys_pwrite(int fd, const void *data, size_t size, uint64_t offset)
{
    return write_at(fd, data, size, &offset);
}

int pha__sys_truncate(int fd, uint64_t size)
{
    int result;
    if (fault(PHA__CALL_SPACE, NULL)) return -1;
    RETRY(result, ftruncate(fd, (off_t)size));
    return result;
}

int pha__sys_sync(int fd)
{
    int result;
    if (fault(PHA__CALL_SPACE, NULL)) return -1;
    RETRY(result, fsync(fd));
    return result;
}

int pha__sys_rename(const char *from, const char *to)
{
    if (fault(PHA__CALL_SPACE, NULL)) return -1;
    return rename(from, to);
}

int pha__sys_exchange(const char *a, const char *b)
{
    if (fault(PHA__CALL_EXCHANGE, NULL)) return -1;
#if defined(SYS_renameat2) && defined(RENAME_EXCHANGE)
    return (int)syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
#else
    (void)a, (void)b;
    errno = ENOSYS;
    return -1;
#endif
}

int pha__sys_mkdir(const char *path)
{
    if (fault(PHA__CALL_SPACE, NULL)) return -1;
    return mkdir(path, 0777);
}

int pha__sys_remove(const char *path)
{
    if (fault(PHA__CALL_FREE, NULL)) return -1;
    return remove(path);
}
