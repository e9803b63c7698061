/* visible.c -- text from outside (names, keys, tokens, what a model wrote) on a terminal: control characters are shown,
 * not obeyed */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "talk.h"

static void put(FILE *file, const char *text, size_t size, bool lines)
{
    while (size) {
        char shown[8];
        size_t n, step = pha_visible(text, size, shown, &n);
        if (lines && (*text == '\n' || *text == '\t')) fputc(*text, file);
        else fwrite(shown, 1, n, file);
        text += step, size -= step;
    }
}

void talk_line(FILE *file, const char *text)
{
    put(file, text, strlen(text), false);
}

bool talk_write(FILE *file, const char *text, size_t n)
{
    if (isatty(fileno(file))) put(file, text, n, true);
    else fwrite(text, 1, n, file);
    return !ferror(file);
}

void talk_print(FILE *file, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) {
        talk_error("pha", "out of memory");
        exit(PHA_NO_MEMORY);
    }
    talk_write(file, text, (size_t)n);
    free(text);
}
