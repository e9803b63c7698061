/* print.h -- numbers into text, and outside text into messages
 *
 * A program that links libpha may have called setlocale, and then printf writes 0,5 where 0.5 was meant. Every text of
 * libpha that may hold a number is made by these functions, which do not know the program's locale (tools/lint finds
 * others); numbers are read by jansson, which doesn't either.
 */
#ifndef PHA__PRINT_H
#define PHA__PRINT_H

#include <stdarg.h>
#include <stddef.h>

/* As snprintf and vsnprintf. */
int pha__print(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
int pha__vprint(char *text, size_t size, const char *format, va_list args) __attribute__((format(printf, 3, 0)));

/* A number for a person: with `decimals`, or from 1e9 on as 1.2346e+245, for nobody counts hundreds of digits. */
int pha__print_number(char *text, size_t size, double x, int decimals);

/* Copies `text`, made safe for a terminal, into `out` (size > 0 bytes): every character as pha_visible has it.
 * What does not fit is cut between characters. What was made so once does not change again. */
void pha__print_visible(char *out, size_t size, const char *text);

#endif
