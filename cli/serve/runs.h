/* runs.h -- training runs that may be watched: those in one folder that was named at the start, and nothing else
 *
 * The folder is a run itself or holds runs. Only folders directly in it and plain files in those are read: names have
 * no slash and begin with no dot, and no link is followed. Each call looks at the disk anew, so runs come, grow and go
 * as they like.
 */
#ifndef CLI_SERVE_RUNS_H
#define CLI_SERVE_RUNS_H

#include <stdint.h>
#include <jansson.h>

#include "serve/fault.h"

enum { RUN_NAME = 128, RUNS_MOST = 256 /* the newest ones */, RUNS_SEEN = 65536 /* entries of the folder */,
       RUN_PIECE = 262144 /* bytes of a log that are read at once */, RUN_ABOUT = 1 << 20 /* bytes of a run.json */ };

typedef struct Run {
    char name[RUN_NAME];
    int64_t size;    /* bytes of its log */
    double changed;  /* Unix time of the log */
} Run;

typedef struct RunLog {
    char file[48];   /* another one: the log is another file */
    int64_t from, next, size;
    size_t unreadable, n;
    Text lines;      /* objects with commas between */
} RunLog;

/* At the start: is that a folder? *why (300 bytes). */
bool runs_check(const char *folder, char *why);
/* Newest first; at most RUNS_MOST. */
size_t runs_list(const char *folder, Run *list);
/* What is known of one; *about, of its run.json, is to be released and may be NULL. */
bool runs_get(const char *folder, const char *name, Run *out, json_t **about, Fault *fault);
/* Whole lines of its log from that byte on, at most RUN_PIECE bytes; l->lines is to be freed. */
bool runs_log(const char *folder, const char *name, int64_t from, RunLog *l, Fault *fault);

#endif
