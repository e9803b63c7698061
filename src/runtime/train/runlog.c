/* runlog.c -- appends lines to log.jsonl */
#include "runtime/train/runlog.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
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

static int add_text(const char *data, size_t size, void *context)
{
    pha__str *line = context;
    pha__str_add(line, data, size);
    return line->failed ? -1 : 0;
}

pha_status pha__runlog_add(pha__runlog *log, json_t *line)
{
    if (!line) FAIL(NO_MEMORY, "%s: no memory for a log line", log->path);
    pha__str_clear(&log->line);
    int bad = json_dump_callback(line, add_text, &log->line, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(line);
    pha__str_puts(&log->line, "\n");
    if (bad || log->line.failed) FAIL(NO_MEMORY, "%s: no memory for a log line", log->path);
    return pha__append_file(log->path, log->line.data, log->line.size);
}

/* The last line of a file as an object; NULL: it is longer than `size`, torn, or none. */
static json_t *last_line(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    if (fseek(file, -(long)size, SEEK_END) != 0) rewind(file); /* the file is shorter */
    size_t n = fread(text, 1, size, file);
    fclose(file);
    if (n < 2 || text[n - 1] != '\n') return NULL;
    size_t begin = --n;
    while (begin > 0 && text[begin - 1] != '\n') begin--;
    return json_loadb(text + begin, n - begin, 0, NULL);
}

pha_status pha__runlog_last(json_t **out, const char *folder)
{
    enum { SIZE = 1 << 16 };
    char *path = pha__path_join(folder, "log.jsonl"), *text = pha__alloc(SIZE, 1);
    *out = path && text ? last_line(path, text, SIZE) : NULL;
    pha_status status = path && text ? PHA_OK : PHA_NO_MEMORY;
    pha__free(path);
    pha__free(text);
    return status;
}

void pha__runlog_close(pha__runlog *log)
{
    if (!log) return;
    pha__str_free(&log->line);
    pha__free(log->path);
    pha__free(log);
}

json_t *pha__runlog_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}
