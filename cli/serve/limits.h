/* limits.h -- the table of limits (limits.def) */
#ifndef CLI_SERVE_LIMITS_H
#define CLI_SERVE_LIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef enum LimitName {
#define LIMIT(name, standard, low, high, what) LIMIT_##name,
#include "serve/limits.def"
#undef LIMIT
    LIMITS
} LimitName;

typedef struct Limits {
    int64_t at[LIMITS];
} Limits;

void limits_default(Limits *l);
/* "name=number"; false: *why (200 bytes) says what is wrong. */
bool limits_set(Limits *l, const char *text, char *why);
const char *limit_name(LimitName name);
const char *limit_what(LimitName name); /* "bytes of a request's body" */

#endif
