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

/* Locks may be unsupported (some network file systems): then there is none, which is no failure. */
int pha__open_locked(int *fd, const char *path)
{
    for (;;) {
        *fd = pha__sys_create(path, O_RDWR | O_NOFOLLOW);
        if (*fd < 0) return errno;
        bool held = flock(*fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        if (!held && still_named(*fd, path)) return 0;
        close(*fd);
        *fd = -1;
        if (held) return EWOULDBLOCK;
    }
}

/* A lock is an empty file: whatever else has its name is somebody's, and would go with the lock. */
static pha_status take(int *fd, const char *path)
{
    struct stat info;
    int error = pha__open_locked(fd, path);
    if (error == EWOULDBLOCK) FAIL(USAGE, "%s: another process holds this lock", path);
    if (error) FAIL(IO, "%s: cannot create: %s", path, pha__error_text(error));
    if (fstat(*fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size == 0) return PHA_OK;
    close(*fd);
    FAIL(IO, "%s: is in the way of a lock and not an empty file; remove it", path);
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

pha_status pha__lock_folder(pha__lock *lock, const char *folder, const char *doing)
{
    *lock = (pha__lock){NULL, -1};
    char *path = pha__path_join(folder, "lock");
    if (!path) return PHA_NO_MEMORY;
    pha_status status = pha__lock_open(lock, path);
    pha__free(path);
    if (status == PHA_USAGE) FAIL(USAGE, "%s: another process is %s this folder", folder, doing);
    return status;
}

void pha__lock_close(pha__lock *lock)
{
    if (!lock->path) return;
    pha__sys_remove(lock->path);
    close(lock->fd);
    pha__free(lock->path);
    *lock = (pha__lock){NULL, -1};
}
