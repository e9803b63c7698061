/* read.h -- files that a person or a folder names, opened and read by the command itself */
#ifndef CLI_READ_H
#define CLI_READ_H

#include <stdio.h>

struct Call;

/* Opens a file for reading; NULL: *why says what is wrong (errno is ENOENT if nothing is there). What is no regular
 * file would block (a FIFO) or never end and is refused, but for the process's own descriptors (`--config <(...)`). */
FILE *read_open(const char *path, const char **why);

/* Reads a file, or stdin for "-", whole (at most 1 GB). Memory from malloc. Returns 0 or an exit code. */
int read_all(const struct Call *call, const char *path, char **text, size_t *size);

#endif
