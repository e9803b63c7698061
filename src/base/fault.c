/* fault.c -- system calls that change the file system, and the faults that tests ask for */
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long kill_count, full_count;

/* Counts this call in the variable's counter; true from the n-th on. Calls are counted only while it is set. */
static bool reached(const char *variable, atomic_long *counter)
{
    const char *text = getenv(variable);
    if (!text || !*text) return false;
    return atomic_fetch_add(counter, 1) + 1 >= atol(text);
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

static bool disk_full(bool needs_space)
{
    if (!reached("PHA_FAULT_ENOSPC", &full_count) || !needs_space) return false;
    errno = ENOSPC;
    return true;
}

static bool fault(bool needs_space)
{
    if (reached("PHA_FAULT_WRITE", &kill_count)) die();
    return disk_full(needs_space);
}

#define RETRY(result, call) do result = (call); while (result < 0 && errno == EINTR)

int pha__sys_create(const char *path, int flags)
{
    int fd;
    if (fault(true)) return -1;
    RETRY(fd, open(path, flags | O_CREAT | O_CLOEXEC, 0666));
    return fd;
}

/* A process that is killed here has written half of it. */
static ssize_t write_at(int fd, const void *data, size_t size, const uint64_t *offset)
{
    ssize_t n;
    bool last = reached("PHA_FAULT_WRITE", &kill_count);
    if (disk_full(true)) return -1;
    if (last) size /= 2;
    if (offset) RETRY(n, pwrite(fd, data, size, (off_t)*offset));
    else RETRY(n, write(fd, data, size));
    if (last) die();
    return n;
}

ssize_t pha__sys_write(int fd, const void *data, size_t size) { return write_at(fd, data, size, NULL); }

ssize_t pha__sys_pwrite(int fd, const void *data, size_t size, uint64_t offset)
{
    return write_at(fd, data, size, &offset);
}

int pha__sys_truncate(int fd)
{
    int result;
    if (fault(true)) return -1;
    RETRY(result, ftruncate(fd, 0));
    return result;
}

int pha__sys_sync(int fd)
{
    int result;
    if (fault(true)) return -1;
    RETRY(result, fsync(fd));
    return result;
}

int pha__sys_rename(const char *from, const char *to)
{
    if (fault(true)) return -1;
    return rename(from, to);
}

int pha__sys_exchange(const char *a, const char *b)
{
    if (fault(true)) return -1;
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
    if (fault(true)) return -1;
    return mkdir(path, 0777);
}

int pha__sys_remove(const char *path)
{
    if (fault(false)) return -1;
    return remove(path);
}
