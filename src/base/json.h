/* json.h -- glue over jansson: typed look-ups whose messages name the file and the key */
#ifndef PHA__JSON_H
#define PHA__JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* Parses a file of at most `limit` bytes (rejects duplicate keys, nesting deeper than jansson's limit, trailing text).
 * The message of a syntax error has line and column. json_decref the result. */
pha_status pha__json_load(json_t **out, const char *path, size_t limit);
pha_status pha__json_parse(json_t **out, const char *text, size_t size, const char *name);
/* Sorted keys, two spaces of indent, final newline; written beside, synced, renamed. Reals with 17 digits. */
pha_status pha__json_save(const json_t *json, const char *path);

json_t *pha__json_hex(uint64_t x); /* 16 hexadecimal digits as text: not every reader takes whole numbers of 64 bits */

/* Required members; `where` names the file. The range is inclusive. */
pha_status pha__json_int(int64_t *out, const json_t *object, const char *key, int64_t low, int64_t high,
                         const char *where);
pha_status pha__json_real(double *out, const json_t *object, const char *key,
                          const char *where); /* integers accepted */
pha_status pha__json_string(const char **out, const json_t *object, const char *key, const char *where);

#endif
