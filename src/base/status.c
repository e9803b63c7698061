/* status.c -- the message of a thread's last failure, status texts, version */
#include "base/status.h"

#include <stdarg.h>
#include <string.h>

#include "base/print.h"
#include "base/utf8.h"

#define MESSAGE_SIZE 1024

static _Thread_local char message[MESSAGE_SIZE];

/* Names of files, keys and tokens come from outside and must not reach a terminal as they are. A character that the end
 * of the buffer cut is left out. */
static void set_message(char text[MESSAGE_SIZE])
{
    text[pha__utf8_whole((const unsigned char *)text, strlen(text))] = 0;
    pha__print_visible(message, sizeof message, text);
}

/* A message may be made from the old message, so it is put together beside it. */
pha_status pha__fail(pha_status code, const char *format, ...)
{
    char text[MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    pha__vprint(text, sizeof text, format, args);
    va_end(args);
    set_message(text);
    return code;
}

pha_status pha__fail_in(pha_status code, const char *format, ...)
{
    char text[MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    int n = pha__vprint(text, sizeof text, format, args);
    va_end(args);
    if (n < 0) n = 0;
    int room = MESSAGE_SIZE - 3 - n; /* behind ": " */
    if (room > 0) pha__print(text + n, sizeof text - (size_t)n, ": %.*s", room, message);
    set_message(text);
    return code;
}

const char *pha_errmsg(void) { return message; }

pha__message pha__message_keep(void)
{
    pha__message kept;
    memcpy(kept.text, message, sizeof kept.text);
    return kept;
}

void pha__message_restore(const pha__message *kept) { memcpy(message, kept->text, sizeof kept->text); }

const char *pha_status_text(pha_status status)
{
    switch (status) {
#define X(name, value, text) case PHA_##name: return text;
        PHA_STATUS_MAP(X)
#undef X
    }
    return "unknown status";
}

#define TEXT2(a) #a
#define TEXT(a) TEXT2(a)

const char *pha_version(void)
{
    return TEXT(PHA_VERSION_MAJOR) "." TEXT(PHA_VERSION_MINOR) "." TEXT(PHA_VERSION_PATCH);
}
