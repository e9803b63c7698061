/* pha/status.h -- how functions say that they failed, and the version; of pha.h */
#ifndef PHA_STATUS_H
#define PHA_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PHA_API __attribute__((visibility("default")))
#else
#define PHA_API
#endif

#define PHA_VERSION_MAJOR 0
#define PHA_VERSION_MINOR 1
#define PHA_VERSION_PATCH 0

/* clang-format off */
/* The status codes are the exit codes of the command: X(name, value, text). */
#define PHA_STATUS_MAP(X)                                              \
    X(OK,         0, "success")                                        \
    X(FAILED,     1, "failed")                                         \
    X(USAGE,      2, "wrong usage: a flag, an option or an argument")  \
    X(BAD_INPUT,  3, "a bad model, data or configuration file")        \
    X(IO,         4, "input or output failed, or the disk is full")    \
    X(NO_MEMORY,  5, "out of memory")                                  \
    X(NO_DEVICE,  6, "the device is missing")                          \
    X(NUMERIC,    7, "a value that is not finite, or a loss spike")    \
    X(STOPPED,   75, "stopped early with a good checkpoint")
/* clang-format on */

typedef enum pha_status {
#define X(name, value, text) PHA_##name = value,
    PHA_STATUS_MAP(X)
#undef X
} pha_status;

/* The reason of the calling thread's last failure, "" if there was none. Valid until the thread's next libpha call. */
PHA_API const char *pha_errmsg(void);

/* The fixed text of a status code; never NULL. */
PHA_API const char *pha_status_text(pha_status status);

/* "0.1.0" */
PHA_API const char *pha_version(void);

#ifdef __cplusplus
}
#endif
#endif
