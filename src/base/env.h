/* env.h -- switches in the environment, for developers: unset or empty is the default, 0 is off, anything else on */
#ifndef PHA__ENV_H
#define PHA__ENV_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool pha__env_flag(const char *name, bool otherwise)
{
    const char *value = getenv(name);
    return value && *value ? strcmp(value, "0") != 0 : otherwise;
}

#endif
