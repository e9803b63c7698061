/* json.h -- glue over jansson: reading with messages that name the file and the key; building and writing
 *
 * Everything that allocates goes through here, so that jansson's memory is ours (json_memory.h) and no failure of it
 * goes unseen; tools/lint keeps it so.
 */
#ifndef PHA__JSON_H
#define PHA__JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

/* ---- reading -------------------------------------------------------------------------------------------- */

/* Parses a file of at most `limit` bytes (rejects duplicate keys, nesting deeper than jansson's limit, trailing text).
 * The message of a syntax error has line and column. json_decref the result. */
pha_status pha__json_load(json_t **out, const char *path, size_t limit);
pha_status pha__json_parse(json_t **out, const char *text, size_t size, const char *name);
/* With jansson's flags; a syntax error is in *error alone, without a message. */
pha_status pha__json_parse_line(json_t **out, const char *text, size_t size, size_t flags, json_error_t *error);

/* Required members; `where` names the file. The range is inclusive. */
pha_status pha__json_int(int64_t *out, const json_t *object, const char *key, int64_t low, int64_t high,
                         const char *where);
pha_status pha__json_real(double *out, const json_t *object, const char *key,
                          const char *where); /* integers accepted */
pha_status pha__json_string(const char **out, const json_t *object, const char *key, const char *where);

/* Of a file that only programs write: its member "checksum" says XXH3 of everything else in it (docs/format.md),
 * however it is laid out. BAD_INPUT: that is wrong. A file without it, of an earlier build, is accepted. */
pha_status pha__json_check_seal(json_t *object, const char *where);

/* ---- building ------------------------------------------------------------------------------------------- */

/* Memory is the only thing that can fail here, and a failure sticks: a value that could not be made is NULL, and an
 * object or list that was to receive one is released and becomes NULL itself, until at the end print, save or the
 * caller sees the NULL. Each value is handed over to what receives it. */
json_t *pha__json_object(void);
json_t *pha__json_list(void);
json_t *pha__json_number(int64_t x);
json_t *pha__json_decimal(double x);        /* null where x is not finite: JSON has no other */
json_t *pha__json_text(const char *text);   /* each byte that is not UTF-8 becomes U+FFFD */
json_t *pha__json_text_of(const char *text, size_t size);
/* A path: text, or where it is not UTF-8 {"bytes": its bytes in hexadecimal, "shown": text}. */
json_t *pha__json_path(const char *path);
json_t *pha__json_hex(uint64_t x); /* 16 hexadecimal digits as text: not every reader takes whole numbers of 64 bits */
void pha__json_set(json_t **object, const char *key, json_t *value);
void pha__json_seal(json_t **object); /* adds "checksum", last of all */
void pha__json_add(json_t **list, json_t *value);

/* ---- writing -------------------------------------------------------------------------------------------- */

/* Adds the text to `out`; NULL and failures set out->failed. Flags are jansson's. */
void pha__json_print(pha__str *out, const json_t *json, size_t flags);
/* Sorted keys, two spaces of indent, final newline; written beside, synced, renamed. Reals with 17 digits. NULL is
 * refused with NO_MEMORY. */
pha_status pha__json_save(const json_t *json, const char *path);

#endif
