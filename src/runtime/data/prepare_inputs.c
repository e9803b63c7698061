/* prepare_inputs.c -- the files of each split, and what is no file made one */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/print.h"
#include "runtime/data/prepare_impl.h"

enum { COPY = 1 << 18 };
static const char spool_name[] = "input-";

bool pha__inputs_is_spool(const char *name)
{
    size_t n = sizeof spool_name - 1;
    if (strncmp(name, spool_name, n) != 0) return false;
    size_t digits = strspn(name + n, "0123456789");
    return digits > 0 && !strcmp(name + n + digits, ".spool");
}

/* ---- streams -------------------------------------------------------------------------------------------- */

typedef struct spooler {
    const char *partial;
    pha_status (*received)(void *context, uint64_t bytes);
    void *context;
    int n;
    bool stdin_used;
} spooler;

static pha_status copy_all(const spooler *s, int fd, const char *name, pha__writer *w)
{
    char *buffer = pha__alloc(COPY, 1);
    if (!buffer) FAIL(NO_MEMORY, "%s: out of memory", name);
    pha_status status = PHA_OK;
    for (uint64_t bytes = 0; !status;) {
        ssize_t got = read(fd, buffer, COPY);
        if (got < 0 && errno != EINTR) status = pha__fail(PHA_IO, "%s: reading failed: %s", name, strerror(errno));
        if (got > 0) status = pha__writer_write(w, buffer, (size_t)got), bytes += (uint64_t)got;
        if (!status) status = s->received(s->context, bytes);
        if (got == 0) break;
    }
    pha__free(buffer);
    return status;
}

static pha_status spool(const spooler *s, int fd, const char *name, const char *path)
{
    pha__writer *w;
    TRY(pha__writer_open(&w, path));
    pha_status status = copy_all(s, fd, name, w);
    if (!status) return pha__writer_commit(w);
    pha__writer_abort(w);
    return status;
}

/* Adds what comes from a stream. */
static pha_status add_stream(pha__text_list *list, spooler *s, const char *path, bool standard)
{
    char number[48];
    const char *name = standard ? "standard input" : path;
    if (standard && s->stdin_used) FAIL(USAGE, "standard input ('-') can be read once only");
    s->stdin_used |= standard;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) FAIL(IO, "%s: cannot open: %s", path, strerror(errno));
    pha__print(number, sizeof number, "%s%d.spool", spool_name, s->n++);
    char *file = pha__path_join(s->partial, number);
    pha_status status = file ? spool(s, fd, name, file) : pha__fail(PHA_NO_MEMORY, "%s: out of memory", name);
    if (!status) status = pha__text_list_add_as(list, file, name);
    struct stat st; /* `pha prepare - <FILE`: it is that file that may be in one split only */
    if (!status && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        pha__text_file *added = &list->files[list->n - 1];
        added->device = (uint64_t)st.st_dev, added->inode = (uint64_t)st.st_ino;
    }
    pha__free(file);
    if (!standard) close(fd);
    return status;
}

static pha_status add_paths(pha__text_list *list, spooler *s, const char *const *paths, size_t n, const char *out)
{
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        bool standard = !strcmp(paths[i], "-");
        bool stream = standard || (stat(paths[i], &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)));
        TRY(stream ? add_stream(list, s, paths[i], standard) : pha__text_list_add(list, paths[i], out));
    }
    return PHA_OK;
}

/* ---- one file under several names ----------------------------------------------------------------------- */

typedef struct owner { /* of a file: where it is named */
    pha__text_file *file;
    int split;
    size_t index;
} owner;

static int by_file(const void *a, const void *b)
{
    const owner *x = a, *y = b;
    const pha__text_file *f = x->file, *g = y->file;
    if (f->device != g->device) return f->device < g->device ? -1 : 1;
    if (f->inode != g->inode) return f->inode < g->inode ? -1 : 1;
    bool x_given = x->split != PHA__SPLIT_TRAIN, y_given = y->split != PHA__SPLIT_TRAIN;
    if (x_given != y_given) return x_given ? -1 : 1; /* valid and test go before the inputs */
    if (f->named != g->named) return f->named ? -1 : 1; /* a file that is named before one in a folder */
    if (x->split != y->split) return x->split - y->split;
    return x->index < y->index ? -1 : 1;
}

typedef struct tally { /* of files that are left out */
    uint64_t n;
    const owner *first, *instead;
} tally;

static void count_one(tally *t, const owner *left_out, const owner *instead)
{
    if (t->n++ == 0) t->first = left_out, t->instead = instead;
}

static void tell(const tally *twice, const tally *taken)
{
    if (twice->n)
        pha__log(PHA__LOG_NOTE, "%" PRIu64 " %s named or linked more than once and read once (%s is %s)", twice->n,
                 twice->n == 1 ? "file is" : "files are", twice->first->file->name, twice->instead->file->name);
    if (taken->n)
        pha__log(PHA__LOG_NOTE,
                 "%" PRIu64 " %s left out of %s, being given for %s (%s is %s): no text is to be in two splits",
                 taken->n, taken->n == 1 ? "file is" : "files are",
                 taken->first->split == PHA__SPLIT_TRAIN ? "the inputs" : pha__split_names[taken->first->split],
                 pha__split_names[taken->instead->split], taken->first->file->name, taken->instead->file->name);
}

/* Marks all but the first of the same file. A file that two splits claim alike is an error. */
static pha_status look_at_same(owner *all, size_t n, tally *twice, tally *taken)
{
    for (size_t first = 0, i = 1; i < n; i++) {
        const pha__text_file *f = all[first].file, *g = all[i].file;
        if (f->device != g->device || f->inode != g->inode) {
            first = i;
            continue;
        }
        bool given = all[i].split != PHA__SPLIT_TRAIN;
        if (given && all[i].split != all[first].split && f->named == g->named)
            FAIL(USAGE, "%s: is given for %s and (as %s) for %s; a file can be in one split only", f->name,
                 pha__split_names[all[first].split], g->name, pha__split_names[all[i].split]);
        count_one(all[i].split == all[first].split ? twice : taken, &all[i], &all[first]);
        all[i].file->drop = true;
    }
    return PHA_OK;
}

static pha_status one_name_each(pha__inputs *in)
{
    size_t n = 0, k = 0;
    tally twice = {0}, taken = {0};
    for (int i = 0; i < PHA__DATA_SPLITS; i++) n += in->list[i].n;
    owner *all = pha__alloc(n ? n : 1, sizeof *all);
    if (!all) FAIL(NO_MEMORY, "out of memory for the list of files");
    for (int i = 0; i < PHA__DATA_SPLITS; i++)
        for (size_t j = 0; j < in->list[i].n; j++, k++) all[k] = (owner){&in->list[i].files[j], i, k};
    qsort(all, n, sizeof *all, by_file);
    pha_status status = look_at_same(all, n, &twice, &taken);
    tell(&twice, &taken);
    in->taken_out = taken.n;
    pha__free(all);
    for (int i = 0; i < PHA__DATA_SPLITS; i++) pha__text_list_drop(&in->list[i]);
    return status;
}

pha_status pha__inputs_open(pha__inputs *in, const pha__prepare_options *o, const char *partial,
                            pha_status (*received)(void *context, uint64_t bytes), void *context)
{
    spooler s = {partial, received, context, 0, false};
    *in = (pha__inputs){0};
    TRY(add_paths(&in->list[PHA__SPLIT_TRAIN], &s, o->inputs, o->n_inputs, o->out));
    TRY(add_paths(&in->list[PHA__SPLIT_VALID], &s, o->valid, o->n_valid, o->out));
    TRY(add_paths(&in->list[PHA__SPLIT_TEST], &s, o->test, o->n_test, o->out));
    return one_name_each(in);
}

void pha__inputs_close(pha__inputs *in)
{
    for (int i = 0; i < PHA__DATA_SPLITS; i++) pha__text_list_free(&in->list[i]);
}
