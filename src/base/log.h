/* log.h -- what the library says besides errors: warnings and notes for a person. Default: stderr; the caller may set
 * another receiver. */
#ifndef PHA__LOG_H
#define PHA__LOG_H

typedef enum pha__log_level { PHA__LOG_WARN, PHA__LOG_NOTE, PHA__LOG_TRACE } pha__log_level;

void pha__log(pha__log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* NULL: stderr again. The text has no newline. Set it before other threads use the library. */
typedef void pha__log_fn(void *context, pha__log_level level, const char *text);
void pha__log_to(pha__log_fn *receiver, void *context);

#endif
