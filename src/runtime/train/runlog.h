/* runlog.h -- log.jsonl of a run: one JSON object per line, each line appended with one write */
#ifndef PHA__RUNLOG_H
#define PHA__RUNLOG_H

#include <jansson.h>

#include "base/status.h"

typedef struct pha__runlog pha__runlog;

/* Appends to folder/log.jsonl. A line that a crash left without its end is closed first. */
pha_status pha__runlog_open(pha__runlog **out, const char *folder);
/* Writes and releases `line` (an object); NULL, what is left of one when memory is out, fails with NO_MEMORY. */
pha_status pha__runlog_add(pha__runlog *log, json_t *line);
/* The last whole line of folder/log.jsonl, to be released; NULL if there is none that can be read. */
pha_status pha__runlog_last(json_t **out, const char *folder);
void pha__runlog_close(pha__runlog *log); /* NULL is allowed */

#endif
