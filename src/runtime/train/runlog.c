/* runlog.c -- appends lines to log.jsonl */
#include "runtime/train/runlog.h"

#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

struct pha__runlog {
    char *path;
    pha__str line; /* its memory is used again for each line */
};

/* Does the file end in the middle of a line? */
static bool torn(const char *path)
{
    FILE *file = fopen(path, "rb");
    bool is_torn = file && fseek(file, -1, SEEK_END) == 0 && fgetc(file) != '\n';
    if (file) fclose(file);
    return is_torn;
}

pha_status pha__runlog_open(pha__runlog **out, const char *folder)
{
    *out = NULL;
    pha__runlog *log = pha__alloc_zero(1, sizeof *log);
    if (!log) return PHA_NO_MEMORY;
    log->path = pha__path_join(folder, "log.jsonl");
    pha_status status = !log->path ? PHA_NO_MEMORY : torn(log->path) ? pha__append_file(log->path, "\n", 1) : PHA_OK;
    if (status) pha__runlog_close(log);
    else *out = log;
    return status;
}

pha_status pha__runlog_add(pha__runlog *log, json_t *line)
{
    pha__str_clear(&log->line);
    pha__json_print(&log->line, line, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(line);
    pha__str_puts(&log->line, "\n");
    if (log->line.failed) FAIL(NO_MEMORY, "%s: no memory for a log line", log->path);
    return pha__append_file(log->path, log->line.data, log->line.size);
}

void pha__runlog_close(pha__runlog *log)
{
    if (!log) return;
    pha__str_free(&log->line);
    pha__free(log->path);
    pha__free(log);
}
