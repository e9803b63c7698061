/* fault.h -- the system calls that change the file system, in one place, so that tests can put faults before them */
#ifndef PHA__FAULT_H
#define PHA__FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* As the system calls: -1 and errno on failure. EINTR is retried. */
int pha__sys_create(const char *path, int flags); /* open(2) with O_CREAT and mode 0666 */
ssize_t pha__sys_write(int fd, const void *data, size_t size);
ssize_t pha__sys_pwrite(int fd, const void *data, size_t size, uint64_t offset);
int pha__sys_truncate(int fd, uint64_t size);
int pha__sys_sync(int fd);
int pha__sys_rename(const char *from, const char *to);
int pha__sys_exchange(const char *a, const char *b); /* swaps two names at once; ENOSYS or EINVAL where unsupported */
int pha__sys_mkdir(const char *path);
int pha__sys_remove(const char *path); /* a file or an empty folder */

/* What a test puts around every call (tests/support/faults.c); NULL, as it always is in the library that is installed:
 * nothing. `before` returns 0, or the errno with which the call fails without being made; of a write it may cut the
 * size. `after` follows a write. */
typedef enum pha__call { PHA__CALL_FREE, PHA__CALL_SPACE, PHA__CALL_WRITE, PHA__CALL_EXCHANGE } pha__call;
typedef struct pha__faults {
    int (*before)(pha__call call, size_t *size);
    void (*after)(void);
} pha__faults;
extern const pha__faults *pha__faulty;

#endif
