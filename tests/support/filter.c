/* filter.c -- PHA_TEST=pattern runs only the tests of a program whose names match (* and ?) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static __attribute__((constructor)) void filter(void)
{
    const char *pattern = getenv("PHA_TEST");
    if (pattern) cmocka_set_test_filter(pattern);
}
