/* talk.h -- what the command says to a person on stderr, and JSON results on stdout */
#ifndef CLI_TALK_H
#define CLI_TALK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "pha.h"

/* Colour: only on a terminal, never with NO_COLOR or TERM=dumb. */
bool talk_colour(FILE *file);
const char *talk_bold(FILE *file); /* the escape sequence, or "" */
const char *talk_plain(FILE *file);

/* From here on nothing is said on stderr by what is below. */
void talk_mute(void);

/* "who: text" on a line of its own, on stderr. */
void talk_error(const char *who, const char *text);
void talk_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* visible.c: outside text. talk_line escapes every control character, always: messages. talk_write and talk_print do so
 * only on a terminal, and leave \n and \t: results, which in a file are as they are. talk_write returns false once
 * writing failed. */
void talk_line(FILE *file, const char *text);
bool talk_write(FILE *file, const char *text, size_t size);
void talk_print(FILE *file, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A pha_progress_fn: on a terminal one line that is rewritten, otherwise plain lines every few seconds. `user` is
 * ignored. talk_progress_end finishes the rewritten line. */
void talk_progress(void *user, const pha_progress *progress);
void talk_progress_end(void);
/* The function for an options struct: NULL if quiet. */
pha_progress_fn *talk_progress_unless(bool quiet);

/* Building: NULL is a value for which there was no memory, and an object or list that was to receive one is released
 * and becomes NULL itself. Each value is handed over. */
void talk_set(json_t **object, const char *key, json_t *value);
void talk_add(json_t **list, json_t *value);
json_t *talk_string(const char *text); /* talk_text of all of it */
/* Prints and releases; keys in the order in which they were added. Returns the exit code: NULL has said on stderr that
 * there was no memory, and nothing was printed. */
int talk_json(json_t *json);
/* A number for a person: with `decimals`, from 1e9 on as 1.2346e+245. */
const char *talk_number(char text[32], double value, int decimals);
json_t *talk_real(double value); /* null where it is not finite */
/* Any bytes: what is not UTF-8 becomes U+FFFD, one for each byte. */
json_t *talk_text(const char *text, size_t size);
json_t *talk_hash(uint64_t hash); /* sixteen hex digits */

/* 1234567 -> "1,234,567"; text has room for 32. */
const char *talk_count(char text[32], uint64_t n);
/* 123.4 -> "2m 03s" */
const char *talk_seconds(char text[32], double seconds);
const char *talk_bytes(char text[32], double bytes);

#endif
