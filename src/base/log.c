/* log.c -- one line of talk at a time, to stderr or to the caller's receiver */
#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "base/print.h"

static void to_stderr(void *context, pha__log_level level, const char *text)
{
    (void)context;
    const char *prefix = level == PHA__LOG_WARN ? "pha: warning: " : level == PHA__LOG_NOTE ? "pha: " : "";
    fprintf(stderr, "%s%s\n", prefix, text);
}

static pha__log_fn *receive = to_stderr;
static void *receive_context;

void pha__log_to(pha__log_fn *receiver, void *context)
{
    receive = receiver ? receiver : to_stderr;
    receive_context = receiver ? context : NULL;
}

void pha__log(pha__log_level level, const char *format, ...)
{
    char raw[2048], text[sizeof raw];
    va_list args;
    va_start(args, format);
    pha__vprint(raw, sizeof raw, format, args);
    va_end(args);
    pha__print_visible(text, sizeof text, raw);
    receive(receive_context, level, text);
}
