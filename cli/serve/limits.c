/* limits.c -- the table of limits, and other numbers for it from the command line */
#include "serve/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *what;
    int64_t standard, low, high;
} rows[] = {
#define LIMIT(name, standard, low, high, what) {#name, what, standard, low, high},
#include "serve/limits.def"
#undef LIMIT
};

void limits_default(Limits *l)
{
    for (int i = 0; i < LIMITS; i++) l->at[i] = rows[i].standard;
}

const char *limit_name(LimitName name) { return rows[name].name; }
const char *limit_what(LimitName name) { return rows[name].what; }

static int find(const char *text, size_t n)
{
    for (int i = 0; i < LIMITS; i++)
        if (strlen(rows[i].name) == n && strncmp(rows[i].name, text, n) == 0) return i;
    return -1;
}

bool limits_set(Limits *l, const char *text, char *why)
{
    const char *equals = strchr(text, '=');
    int i = equals ? find(text, (size_t)(equals - text)) : -1;
    if (i < 0) {
        int n = snprintf(why, 200, "%.60s is not NAME=NUMBER with one of the names", text);
        for (int k = 0; k < LIMITS && n < 180; k++) n += snprintf(why + n, (size_t)(200 - n), " %s", rows[k].name);
        return false;
    }
    char *end;
    errno = 0;
    long long value = strtoll(equals + 1, &end, 10);
    if (end == equals + 1 || *end || errno || value < rows[i].low || value > rows[i].high) {
        snprintf(why, 200, "%.40s is not in %lld to %lld", text, (long long)rows[i].low, (long long)rows[i].high);
        return false;
    }
    l->at[i] = value;
    return true;
}
