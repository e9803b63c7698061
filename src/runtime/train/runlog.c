/* runlog.c -- appends lines to log.jsonl */
#include "runtime/train/runlog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

struct pha__runlog {
    char *path;
    pha__str line; /* its memory is used again for each line */
};

/* A file that ends in the middle of a line gets the end of that line. */
static pha_status mend_end(const char *path)
{
    int fd;
    char last = '\n';
    struct stat info;
    if (!pha__exists(path)) return PHA_OK;
    TRY(pha__open_read(&fd, &info, path));
    ssize_t n = info.st_size > 0 ? pread(fd, &last, 1, info.st_size - 1) : 0;
    close(fd);
    if (n < 0) FAIL(IO, "%s: cannot read: %s", path, strerror(errno));
    return last == '\n' ? PHA_OK : pha__append_file(path, "\n", 1);
}

pha_status pha__runlog_open(pha__runlog **out, const char *folder)
{
    *out = NULL;
    pha__runlog *log = pha__alloc_zero(1, sizeof *log);
    if (!log) return PHA_NO_MEMORY;
    log->path = pha__path_join(folder, "log.jsonl");
    pha_status status = log->path ? mend_end(log->path) : PHA_NO_MEMORY;
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
    json_t *line;
    json_error_t error;
    return pha__json_parse_line(&line, text + begin, n - begin, 0, &error) ? NULL : line;
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
