/* status.h -- how a function says that it failed
 *
 * A fallible function returns pha_status. FAIL records a message for pha_errmsg() and returns; TRY forwards. A message
 * says what, where (file, tensor, flag), and what to do.
 */
#ifndef PHA__STATUS_H
#define PHA__STATUS_H

#include "pha/status.h"

/* Records the message of this thread and returns code. Messages longer than 1023 bytes are cut. */
pha_status pha__fail(pha_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " in front of the recorded message (to add the file's name, say) and returns code. */
pha_status pha__fail_in(pha_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The recorded message, over a clean-up that may record one of its own. */
typedef struct pha__message {
    char text[1024];
} pha__message;
pha__message pha__message_keep(void);
void pha__message_restore(const pha__message *message);

/* FAIL(BAD_INPUT, "%s: no such key", path); */
#define FAIL(code, ...) return pha__fail(PHA_##code, __VA_ARGS__)

/* NEED(out, "a place for its result"); refuses an argument of a public function that is NULL. */
#define NEED(pointer, what)                                        \
    do {                                                           \
        if (!(pointer)) FAIL(USAGE, "%s needs %s", __func__, what); \
    } while (0)

#define TRY(call)                                   \
    do {                                            \
        pha_status try_status_ = (call);            \
        if (try_status_ != PHA_OK) return try_status_; \
    } while (0)

#endif
