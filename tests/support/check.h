/* check.h -- what every test file needs: cmocka, and assertions about statuses and messages */
#ifndef CHECK_H
#define CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "pha.h"

/* Fails with the library's message. */
#define OK(call)                                                                                        \
    do {                                                                                                \
        pha_status check_status_ = (call);                                                              \
        if (check_status_ != PHA_OK) fail_msg("%s: status %d: %s", #call, check_status_, pha_errmsg()); \
    } while (0)

/* The call fails with PHA_<code> and a message that contains `part`. */
#define FAILS(code, part, call)                                                                               \
    do {                                                                                                      \
        pha_status check_status_ = (call);                                                                    \
        if (check_status_ != PHA_##code)                                                                      \
            fail_msg("%s: status %d, not " #code ": %s", #call, check_status_, pha_errmsg());                 \
        if (!strstr(pha_errmsg(), part)) fail_msg("%s: '%s' does not say '%s'", #call, pha_errmsg(), part);   \
    } while (0)

/* A fresh folder under $TMPDIR or /tmp; `path` has room for 256 bytes. */
static inline void check_folder(char *path)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(path, 256, "%s/pha-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(path)) fail_msg("cannot make the folder %s", path);
}

#endif
