/* input.h -- what fuzz targets share: the input as a file, a folder, silence, and memory that is fast */
#ifndef PHA__FUZZ_INPUT_H
#define PHA__FUZZ_INPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The path of a file in memory with this content; valid until the next call. */
const char *fuzz_file(const uint8_t *data, size_t size);

/* The path of a name in a folder that the first call makes, in memory where there is such a place, and that is removed
 * at the end. The text stays. */
const char *fuzz_path(const char *name);
void fuzz_write(const char *path, const void *data, size_t size); /* without the syncs of pha__write_file */

#endif
