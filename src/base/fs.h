/* fs.h -- files: mapping, and writing so that nothing is ever half there
 *
 * A file is written beside its final name, synced and renamed; a folder likewise. Every message names the path and
 * says what the system said.
 */
#ifndef PHA__FS_H
#define PHA__FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

/* A read-only map of a whole file. An empty file has data != NULL, size 0. */
typedef struct pha__map {
    const unsigned char *data;
    size_t size;
    char *path;
} pha__map;

pha_status pha__map_open(pha__map *map, const char *path);
void pha__map_close(pha__map *map); /* a zeroed map is allowed */

struct stat;
/* Opens a file for reading. Only a regular one, so that a FIFO or a device in the place of one is an error and blocks
 * nothing; behind /dev/stdin and /dev/fd/N there may be a pipe. */
pha_status pha__open_read(int *fd, struct stat *info, const char *path);

/* Reads a whole file into memory with a terminating zero byte; fails if it is larger than `limit` bytes. */
pha_status pha__read_file(char **out, size_t *size, const char *path, size_t limit);

/* A file being written beside `path`, DIR/NAME, as DIR/.NAME.pha-tmp. After an error every further call returns that
 * error; commit syncs, renames and frees, abort removes and frees. */
typedef struct pha__writer pha__writer;
pha_status pha__writer_open(pha__writer **out, const char *path);
pha_status pha__writer_write(pha__writer *w, const void *data, size_t size);
pha_status pha__writer_printf(pha__writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Overwrites bytes already written (a header that is known at the end). */
pha_status pha__writer_patch(pha__writer *w, uint64_t offset, const void *data, size_t size);
uint64_t pha__writer_size(const pha__writer *w);
/* Makes the file `size` bytes long: others write what is missing, into the file of the name `beside` (below). */
pha_status pha__writer_extend(pha__writer *w, uint64_t size);
const char *pha__writer_beside(const pha__writer *w);
pha_status pha__writer_commit(pha__writer *w);
void pha__writer_abort(pha__writer *w); /* NULL is allowed */

/* part.c: a file that one process makes or has made and that others write to or read in parts. They know it, wherever
 * their system finds it, by its first bytes. */
typedef struct pha__file_head {
    uint64_t size, hash; /* bytes, and their pha__hash */
} pha__file_head;
/* PHA_IO where there is no such file, it begins otherwise, or may not be written: the message says which. */
pha_status pha__part_open(int *fd, const char *path, const pha__file_head *head);
pha_status pha__part_write(int fd, const char *path, uint64_t at, const void *data, size_t size);
/* Syncs what was written, after which others read it, and closes also after a failure. */
pha_status pha__part_close(int fd, const char *path, pha_status status);

/* Of a name as a file has it while it is being written: that of the whole file. Any other as it is. */
void pha__whole_name(char whole[256], const char *name);

pha_status pha__write_file(const char *path, const void *data, size_t size);

/* A lock that one process at a time can have: an open, locked file `path`, which is made and removed again. PHA_USAGE:
 * somebody else has it. Close does nothing for a zeroed lock or after a failure. */
typedef struct pha__lock {
    char *path; /* NULL: not held */
    int fd;
} pha__lock;
pha_status pha__lock_open(pha__lock *lock, const char *path);
void pha__lock_close(pha__lock *lock);
/* The lock of a folder, its file "lock". PHA_USAGE: "FOLDER: another process is `doing` in this folder". */
pha_status pha__lock_folder(pha__lock *lock, const char *folder, const char *doing);

/* Opens a file for writing, making it if need be, and locks it for this process. 0, or errno: EWOULDBLOCK, another
 * process has it. What it is the caller looks at. */
int pha__open_locked(int *fd, const char *path);

/* strerror, with what is to be done where that is not plain. */
const char *pha__error_text(int error);

/* Appends to an existing or new file and flushes (log lines). */
pha_status pha__append_file(const char *path, const void *data, size_t size);

/* Is there something of this name, were it a link that leads nowhere? False only if the system says that there is
 * nothing; where it cannot say (no permission, a failing disk) whoever opens it is told why. */
bool pha__exists(const char *path);
bool pha__is_dir(const char *path);     /* also behind a link */
bool pha__is_own_dir(const char *path); /* not behind a link */
/* PHA_IO with the system's reason and a hint, unless it is a folder. */
pha_status pha__need_dir(const char *path, const char *hint);
int64_t pha__file_size(const char *path); /* -1: not a regular file */
pha_status pha__mkdirs(const char *path);
/* Syncs the folder that holds path, so that a rename in it lasts. */
pha_status pha__sync_parent(const char *path);
pha_status pha__remove_tree(const char *path); /* a path that does not exist is fine */
/* The same in the course of a failure: the message that is recorded stays. */
void pha__discard(const char *path);

/* The place that a path names: behind links, also where nothing is there yet, without slashes at its end. */
pha_status pha__resolve(char **out, const char *path);
/* DIR/.NAME.suffix for DIR/NAME. PHA_USAGE for a path without a name, as "/" or "..". */
pha_status pha__beside(char **out, const char *path, const char *suffix);
/* rename(2) of a folder over `to`, an old `to` being replaced, behind links; the parent is synced. The caller has the
 * lock of `to` (place.h) or keeps others out otherwise. */
pha_status pha__replace_dir(const char *from, const char *to);
/* Before a folder is opened that is written by pha__replace_dir: if it is absent since a replacement was broken off,
 * the old one is put back. `locked`: the caller has the lock of the place. */
pha_status pha__settle(const char *path, bool locked);
/* Removes a folder that has had its day, first giving it the name .PLACE.removed, so that half of it is not taken for
 * the whole. Does what it can: the caller's work is done, and what is left is swept by who writes the place next. */
void pha__remove_aside(const char *aside, const char *place);

/* Names in a folder, sorted bytewise, without "." and ".."; free with pha__free_list. */
pha_status pha__list_dir(char ***names, size_t *n, const char *path);
void pha__free_list(char **names, size_t n);

/* "dir/name" in fresh memory (pha__free); NULL if out of memory. */
char *pha__path_join(const char *dir, const char *name);

#endif
