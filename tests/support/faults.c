/* faults.c -- faults that the environment of a test asks for (base/fault.h); the library itself has none of it
 *
 *   PHA_FAULT_WRITE=n           the process is killed, as kill -9 does, at the n-th system call that changes files
 *   PHA_FAULT_ENOSPC=n          that one and all later ones that need space fail as on a full disk
 *   PHA_FAULT_EIO=n             that one alone fails
 *   PHA_FAULT_EXCHANGE=ENOSYS   two names cannot be swapped at once (or EINVAL), as on network file systems
 *   PHA_FAULT_MEMORY=n          the n-th allocation fails
 *   PHA_FAULT_SEEN=path         this file is made when one of the first three comes
 *
 * Calls are counted from when a variable is set, so a test may set it in the middle.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"

static atomic_long kill_count, full_count, once_count;
static _Thread_local bool dying;

/* -1: before the n-th call, 0: it is this one, 1: after it */
static int place(const char *variable, atomic_long *counter)
{
    const char *text = getenv(variable);
    if (!text || !*text) return -1;
    long at = atomic_fetch_add(counter, 1) + 1, wanted = atol(text);
    return at < wanted ? -1 : at > wanted;
}

static void seen(void)
{
    const char *path = getenv("PHA_FAULT_SEEN");
    int fd = path && *path ? open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0666) : -1;
    if (fd >= 0) close(fd);
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* A process that is killed in a write has written half of it. */
static int before(pha__call call, size_t *size)
{
    const char *swap = getenv("PHA_FAULT_EXCHANGE");
    if (place("PHA_FAULT_WRITE", &kill_count) >= 0) {
        seen();
        if (call != PHA__CALL_WRITE) die();
        *size /= 2;
        dying = true;
    }
    if (place("PHA_FAULT_ENOSPC", &full_count) >= 0) {
        seen();
        if (call != PHA__CALL_FREE) return ENOSPC;
    }
    if (place("PHA_FAULT_EIO", &once_count) == 0) {
        seen();
        return EIO;
    }
    if (call != PHA__CALL_EXCHANGE || !swap || !*swap) return 0;
    return strcmp(swap, "EINVAL") == 0 ? EINVAL : ENOSYS;
}

static void after(void)
{
    if (dying) die();
}

static const pha__faults faults = {before, after};

static __attribute__((constructor)) void put(void)
{
    const char *memory = getenv("PHA_FAULT_MEMORY");
    pha__faulty = &faults;
    if (memory && *memory) pha__mem_fail_at(strtoull(memory, NULL, 10));
}
