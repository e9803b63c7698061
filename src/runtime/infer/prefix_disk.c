/* prefix_disk.c -- a folder of pages: the thread that writes them, and who asks for them */
#include "runtime/infer/prefix_disk.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"

enum { OTHERS = 256 /* models and builds whose pages are known to lie there */ };
static const double PAUSE = 5; /* seconds in which nothing is tried after failures, as on a full disk */

typedef struct job {
    struct job *next;
    pha__sheet sheet;
} job;

struct pha__disk {
    char *folder, *mine;      /* DIR, DIR/IDENTITY */
    pha__sheet_kind kind;
    uint64_t most;
    size_t most_waiting;
    pthread_t thread;
    bool running;

    /* The thread's own: */
    uint64_t since;           /* bytes written since the folder was last looked through */
    double paused;            /* until then */
    bool told;                /* of failures, since the last page that was written */

    pthread_mutex_t lock;     /* of everything below */
    pthread_cond_t more, less;
    job *first, **last, *busy; /* busy: it is being written */
    size_t waiting;           /* bytes */
    bool closing;
    pha__key other[OTHERS];
    int n_others;
    struct timespec stamp;    /* of the last page that was used */
    pha__disk_counts count;
};

/* ---- names and times -------------------------------------------------------------------------------------- */

/* NULL: no memory. */
static char *path_of(const char *folder, pha__key key)
{
    char name[33];
    pha__key_name(name, key);
    return pha__path_join(folder, name);
}

struct timespec pha__disk_now(pha__disk *d)
{
    struct timespec now, *t = &d->stamp;
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&d->lock);
    bool later = now.tv_sec > t->tv_sec || (now.tv_sec == t->tv_sec && now.tv_nsec > t->tv_nsec);
    if (later) *t = now;
    else if (++t->tv_nsec >= 1000000000) t->tv_sec++, t->tv_nsec = 0;
    now = *t;
    pthread_mutex_unlock(&d->lock);
    return now;
}

static void touch(const char *path, struct timespec used)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, used};
    utimensat(AT_FDCWD, path, times, 0); /* only its turn to go depends on it */
}

static void look_for_others(pha__disk *d)
{
    char **names;
    size_t n;
    pha__key key;
    if (pha__list_dir(&names, &n, d->folder)) return;
    pthread_mutex_lock(&d->lock);
    d->n_others = 0;
    for (size_t i = 0; i < n && d->n_others < OTHERS; i++)
        if (pha__key_of_name(&key, names[i]) && memcmp(&key, &d->kind.identity, sizeof key))
            d->other[d->n_others++] = key;
    pthread_mutex_unlock(&d->lock);
    pha__free_list(names, n);
}

/* ---- writing ---------------------------------------------------------------------------------------------- */

static void free_sheet(pha__sheet *s)
{
    pha__free(s->lanes);
    pha__free(s->fixed);
    s->lanes = s->fixed = NULL;
}

/* Other processes write here too: the folder is looked through also when a part of the room has been filled. */
static void make_room(pha__disk *d, size_t size)
{
    pthread_mutex_lock(&d->lock);
    uint64_t bytes = d->count.bytes;
    pthread_mutex_unlock(&d->lock);
    if (bytes + size <= d->most && d->since < d->most / 16 + size) return;
    uint64_t spare = d->most / 16, left = d->most - size;
    bytes = pha__disk_trim(d->folder, bytes + size <= d->most ? left : left > spare ? left - spare : 0);
    d->since = 0;
    pthread_mutex_lock(&d->lock);
    d->count.bytes = bytes;
    pthread_mutex_unlock(&d->lock);
    look_for_others(d);
}

static void failed(pha__disk *d)
{
    if (!d->told) pha__log(PHA__LOG_WARN, "a text is not kept on disk: %s", pha_errmsg());
    else d->paused = pha__seconds() + PAUSE; /* the second time */
    d->told = true;
}

/* What lies there under the name says the same, unless it lacks the fixed part. */
static void write_sheet(pha__disk *d, const pha__sheet *s)
{
    size_t size = pha__sheet_size(&d->kind, s->fixed != NULL);
    char *path = path_of(d->mine, s->key);
    int64_t there = path ? pha__file_size(path) : -1;
    uint64_t *count = &d->count.dropped;
    if (path && there >= (int64_t)size) {
        touch(path, s->used);
        count = NULL;
    } else if (path && size <= d->most && pha__seconds() >= d->paused) {
        make_room(d, size);
        pha_status status = pha__sheet_write(&d->kind, s, path);
        if (!status) count = &d->count.written, touch(path, s->used), d->told = false, d->since += size;
        else if (status != PHA_USAGE) count = &d->count.failed, failed(d); /* USAGE: another process writes the same */
    }
    pha__free(path);
    pthread_mutex_lock(&d->lock);
    if (count) ++*count;
    if (count == &d->count.written) d->count.bytes += size - (there > 0 ? (uint64_t)there : 0);
    pthread_mutex_unlock(&d->lock);
}

static void *write_all(void *context)
{
    pha__disk *d = context;
    pthread_mutex_lock(&d->lock);
    for (;;) {
        while (!d->first && !d->closing) pthread_cond_wait(&d->more, &d->lock);
        job *j = d->busy = d->first;
        if (!j) break;
        if (!(d->first = j->next)) d->last = &d->first;
        pthread_mutex_unlock(&d->lock);
        write_sheet(d, &j->sheet);
        pthread_mutex_lock(&d->lock);
        d->waiting -= pha__sheet_size(&d->kind, j->sheet.fixed != NULL);
        d->busy = NULL;
        pthread_cond_broadcast(&d->less);
        free_sheet(&j->sheet);
        pha__free(j);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

void pha__disk_put(pha__disk *d, const pha__sheet *sheet, bool wait)
{
    size_t size = pha__sheet_size(&d->kind, sheet->fixed != NULL);
    pha__sheet unwanted = *sheet;
    job *j = pha__alloc(1, sizeof *j);
    pthread_mutex_lock(&d->lock);
    while (wait && d->waiting && d->waiting + size > d->most_waiting) pthread_cond_wait(&d->less, &d->lock);
    bool room = j && (!d->waiting || d->waiting + size <= d->most_waiting);
    if (room) {
        *j = (job){.sheet = *sheet};
        *d->last = j, d->last = &j->next;
        d->waiting += size;
        pthread_cond_signal(&d->more);
    } else d->count.dropped++;
    pthread_mutex_unlock(&d->lock);
    if (room) return;
    free_sheet(&unwanted);
    pha__free(j);
}

/* ---- reading ---------------------------------------------------------------------------------------------- */

/* What waits to be written is taken back; what is being written, waited for. */
static bool take_back(pha__disk *d, pha__sheet *s)
{
    pthread_mutex_lock(&d->lock);
    while (d->busy && pha__key_equal(d->busy->sheet.key, s->key)) pthread_cond_wait(&d->less, &d->lock);
    job **at = &d->first, *j;
    while (*at && !pha__key_equal((*at)->sheet.key, s->key)) at = &(*at)->next;
    if ((j = *at)) {
        if (!(*at = j->next)) d->last = at;
        d->waiting -= pha__sheet_size(&d->kind, j->sheet.fixed != NULL);
        pthread_cond_broadcast(&d->less);
    }
    pthread_mutex_unlock(&d->lock);
    if (!j) return false;
    bool same = memcmp(j->sheet.ids, s->ids, sizeof s->ids) == 0 && pha__key_equal(j->sheet.parent, s->parent);
    if (same) *s = j->sheet;
    else free_sheet(&j->sheet);
    pha__free(j);
    return same;
}

/* Does a file of this name lie in another's folder? */
static bool others_have(pha__disk *d, pha__key key)
{
    pha__key other[OTHERS];
    bool found = false;
    pthread_mutex_lock(&d->lock);
    int n = d->n_others;
    memcpy(other, d->other, sizeof other);
    pthread_mutex_unlock(&d->lock);
    for (int i = 0; i < n && !found; i++) {
        char *folder = path_of(d->folder, other[i]), *path = folder ? path_of(folder, key) : NULL;
        found = path && pha__file_size(path) >= 0;
        pha__free(path);
        pha__free(folder);
    }
    return found;
}

pha__sheet_found pha__disk_get(pha__disk *d, pha__sheet *s)
{
    if (take_back(d, s)) return PHA__SHEET_FOUND;
    char *path = path_of(d->mine, s->key);
    pha__sheet_found found = path ? pha__sheet_read(&d->kind, s, path) : PHA__SHEET_ABSENT;
    pha__free(path);
    if (found == PHA__SHEET_ABSENT && others_have(d, s->key)) found = PHA__SHEET_OTHER;
    pthread_mutex_lock(&d->lock);
    d->count.read += found == PHA__SHEET_FOUND, d->count.damaged += found == PHA__SHEET_DAMAGED;
    pthread_mutex_unlock(&d->lock);
    return found;
}

void pha__disk_used(pha__disk *d, const pha__key *keys, size_t n)
{
    while (n-- > 0) {
        char *path = path_of(d->mine, keys[n]);
        if (path) touch(path, pha__disk_now(d));
        pha__free(path);
    }
}

uint64_t pha__disk_room(const pha__disk *d) { return d->most; }

void pha__disk_count(pha__disk *d, pha__disk_counts *out)
{
    pthread_mutex_lock(&d->lock);
    *out = d->count;
    out->waiting = d->waiting;
    pthread_mutex_unlock(&d->lock);
}

/* ---- opening and closing ---------------------------------------------------------------------------------- */

/* What people have said lies there: a folder that is new is for its owner alone. */
static pha_status make_folders(pha__disk *d)
{
    bool fresh = !pha__exists(d->folder);
    TRY(pha__mkdirs(d->folder));
    if (fresh && chmod(d->folder, 0700)) FAIL(IO, "%s: cannot be closed to others", d->folder);
    TRY(pha__mkdirs(d->mine));
    if (access(d->mine, R_OK | W_OK | X_OK)) FAIL(IO, "%s: files cannot be read or written there", d->mine);
    return PHA_OK;
}

static pha_status open_parts(pha__disk *d, const char *folder)
{
    d->folder = pha__strdup(folder);
    d->mine = d->folder ? path_of(folder, d->kind.identity) : NULL;
    if (!d->mine) return PHA_NO_MEMORY;
    TRY(make_folders(d));
    pha__disk_sweep(folder);
    d->count.bytes = pha__disk_trim(folder, d->most);
    look_for_others(d);
    if (pthread_create(&d->thread, NULL, write_all, d)) FAIL(NO_MEMORY, "no thread to write texts to disk");
    d->running = true;
    return PHA_OK;
}

pha_status pha__disk_open(pha__disk **out, const char *folder, uint64_t bytes, pha__key identity, size_t lanes,
                          size_t fixed, size_t waiting)
{
    *out = NULL;
    pha__disk *d = pha__alloc_zero(1, sizeof *d);
    if (!d) return PHA_NO_MEMORY;
    d->kind = (pha__sheet_kind){identity, lanes, fixed};
    d->most = bytes, d->most_waiting = waiting, d->last = &d->first;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->more, NULL);
    pthread_cond_init(&d->less, NULL);
    pha_status status = open_parts(d, folder);
    if (status) pha__disk_close(d);
    else *out = d;
    return status;
}

void pha__disk_close(pha__disk *d)
{
    if (!d) return;
    pthread_mutex_lock(&d->lock);
    d->closing = true;
    pthread_cond_signal(&d->more);
    pthread_mutex_unlock(&d->lock);
    if (d->running) pthread_join(d->thread, NULL);
    pthread_cond_destroy(&d->more);
    pthread_cond_destroy(&d->less);
    pthread_mutex_destroy(&d->lock);
    pha__free(d->folder);
    pha__free(d->mine);
    pha__free(d);
}
