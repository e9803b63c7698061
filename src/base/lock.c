/* lock.c -- one process at a time
 *
 * The lock is on an open file, so it goes with the process however that ends. The file is removed while it is still
 * locked; whoever opened it before that finds that the name is gone, or another file's, and tries again.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"

static bool still_named(int fd, const char *path)
{
    struct stat mine, named;
    return fstat(fd, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino &&
           mine.st_dev == named.st_dev;
}

static bool is_file(int fd)
{
    struct stat info;
    return fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

/* Locks may be unsupported (some network file systems): then there is none, which is no failure. */
static pha_status take(int *fd, const char *path)
{
    for (;;) {
        *fd = pha__sys_create(path, O_RDWR | O_NOFOLLOW);
        if (*fd < 0) FAIL(IO, "%s: cannot create: %s", path, strerror(errno));
        if (!is_file(*fd)) {
            close(*fd);
            *fd = -1;
            FAIL(IO, "%s: is in the way of a lock and no regular file; remove it", path);
        }
        if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
            if (errno != EWOULDBLOCK) return PHA_OK;
            close(*fd);
            *fd = -1;
            FAIL(USAGE, "%s: another process holds this lock", path);
        }
        if (still_named(*fd, path)) return PHA_OK;
        close(*fd);
    }
}

pha_status pha__lock_open(pha__lock *lock, const char *path)
{
    *lock = (pha__lock){NULL, -1};
    char *copy = pha__strdup(path);
    if (!copy) return PHA_NO_MEMORY;
    pha_status status = take(&lock->fd, path);
    if (status != PHA_OK) {
        pha__free(copy);
        return status;
    }
    lock->path = copy;
    return PHA_OK;
}

void pha__lock_close(pha__lock *lock)
{
    if (!lock->path) return;
    pha__sys_remove(lock->path);
    close(lock->fd);
    pha__free(lock->path);
    *lock = (pha__lock){NULL, -1};
}
