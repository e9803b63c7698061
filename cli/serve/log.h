/* log.h -- one line a request on stderr: who, how much, how long, how it ended; never what was said */
#ifndef CLI_SERVE_LOG_H
#define CLI_SERVE_LOG_H

#include "serve/server.h"

typedef struct LogLine {
    const char *id, *tenant, *end; /* "ok", "gone", "error" */
    int status;
    long long read, reused, made;  /* tokens */
    double waiting, reading, decoding; /* seconds */
} LogLine;

/* A line on stderr, from any thread. */
void log_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_tokens(Server *s, const LogLine *l);
/* A request that was no matter of tokens, or was refused before it was one. */
void log_plain(Server *s, const char *tenant, const char *method, const char *path, int status);

#endif
