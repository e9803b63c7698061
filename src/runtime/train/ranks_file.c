/* ranks_file.c -- see ranks_file.h */
#include "runtime/train/ranks_file.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/print.h"

/* ---- pieces ---------------------------------------------------------------------------------------------- */

pha_status pha__ranks_file_add(pha__ranks_file *f, const pha__file_piece *piece)
{
    if (f->n == f->room) {
        size_t room = f->room ? 2 * f->room : 64;
        pha__file_piece *more = pha__realloc(f->piece, room, sizeof *more);
        if (!more) return PHA_NO_MEMORY;
        f->piece = more, f->room = room;
    }
    if (piece->size) f->piece[f->n++] = *piece;
    return PHA_OK;
}

void pha__ranks_file_free(pha__ranks_file *f)
{
    pha__free(f->piece);
    f->piece = NULL, f->n = f->room = 0;
}

static int by_place(const void *a, const void *b)
{
    const pha__file_piece *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

/* One behind another, up to the end of the data. */
static pha_status order(pha__ranks_file *f, uint64_t size)
{
    uint64_t at = 0;
    bool whole = true;
    if (f->n) qsort(f->piece, f->n, sizeof *f->piece, by_place);
    for (size_t i = 0; i < f->n; at += f->piece[i++].size) whole = whole && f->piece[i].at == at;
    return whole && at == size ? PHA_OK : pha__fail(PHA_FAILED, "the pieces of a file are not the whole of it");
}

static bool on_host(const pha__ranks_file *f) { return !f->device || f->device->backend->host_memory; }

/* ---- checksums ------------------------------------------------------------------------------------------- */

static void close_hashers(pha__hasher **h, int n)
{
    for (int r = 0; h && r < n; r++) pha__hasher_close(h[r]);
    pha__free(h);
}

static pha__hasher **open_hashers(int n)
{
    pha__hasher **h = pha__alloc_zero((size_t)n, sizeof *h);
    for (int r = 0; h && r < n; r++) {
        h[r] = pha__hasher_open();
        if (h[r]) continue;
        close_hashers(h, n);
        return NULL;
    }
    return h;
}

/* Of the pieces of each rank, in the order of the file, and (may be NULL) of all: one pass over the data. */
static pha_status hash_pieces(const pha__ranks_file *f, const unsigned char *data, uint64_t *each, uint64_t *all)
{
    int n = f->comm->size;
    pha__hasher **h = open_hashers(n + 1);
    if (!h) return PHA_NO_MEMORY;
    for (size_t i = 0; i < f->n; i++) {
        const pha__file_piece *p = &f->piece[i];
        for (uint64_t at = 0, step; at < p->size; at += step) { /* so that the second finds it in the cache */
            step = p->size - at < PHA__COMM_PIECE / 16 ? p->size - at : PHA__COMM_PIECE / 16;
            pha__hasher_add(h[p->rank], data + p->at + at, (size_t)step);
            if (all) pha__hasher_add(h[n], data + p->at + at, (size_t)step);
        }
    }
    for (int r = 0; r < n; r++) each[r] = pha__hasher_value(h[r]);
    if (all) *all = pha__hasher_value(h[n]);
    close_hashers(h, n + 1);
    return PHA_OK;
}

/* ---- one file for all ------------------------------------------------------------------------------------ */

typedef struct look { /* what the leading rank tells of a file */
    char path[PATH_MAX];
    pha__file_head head;
} look;

/* The name that it has for ranks in other folders. */
static pha_status name_file(look *l, const char *path)
{
    char whole[PATH_MAX];
    if (!realpath(path, whole)) FAIL(IO, "%s: cannot be found again", path);
    pha__print(l->path, sizeof l->path, "%s", whole);
    return PHA_OK;
}

/* Once: a run has many checkpoints. The recorded message of rank `who` says what is wrong there. */
static pha_status tell(pha__comm *c, int who)
{
    static bool told;
    pha__message message = pha__message_keep();
    TRY(pha__comm_broadcast(c, who, NULL, &message, sizeof message));
    if (c->rank == 0 && !told)
        pha__log(PHA__LOG_NOTE, "checkpoints are written and read by the leading rank alone; rank %d: %s", who,
                 message.text);
    if (c->rank == 0) told = true;
    return PHA_OK;
}

/* Do all see it? */
static pha_status all_see(pha__comm *c, bool mine, bool *all)
{
    int32_t *sees = pha__alloc((size_t)c->size, sizeof *sees);
    TRY(pha__comm_agree(c, sees ? PHA_OK : PHA_NO_MEMORY));
    sees[c->rank] = mine;
    pha_status status = pha__comm_all_gather(c, sees, sizeof *sees);
    int first = 0;
    while (!status && first < c->size && sees[first]) first++;
    *all = first == c->size;
    pha__free(sees);
    return status || *all ? status : tell(c, first);
}

pha_status pha__ranks_file_wanted(pha__comm *c, bool *yes)
{
    const char *who = getenv("PHA_CHECKPOINT");
    bool alone = who && !strcmp(who, "leader");
    *yes = c->size > 1 && !alone;
    if (c->size == 1) return PHA_OK;
    bool known = alone || !who || !*who;
    TRY(pha__comm_agree(c, known || c->rank ? PHA_OK
                                            : pha__fail(PHA_USAGE, "PHA_CHECKPOINT is %s: it can be leader, or unset",
                                                        who)));
    return pha__comm_broadcast(c, 0, NULL, yes, sizeof *yes); /* as the leading rank has it */
}

/* ---- writing --------------------------------------------------------------------------------------------- */

typedef struct draft {
    look look;
    int fd;
    uint64_t *sum; /* of each rank's memory */
    /* of the leading rank */
    pha__writer *writer;
    pha__str head;
    char mark[17];
} draft;

static pha_status open_draft(draft *d, const char *path, const pha__tensor *tensors, size_t n)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number) FAIL(IO, "%s: the system gives no random number", path);
    pha__print(d->mark, sizeof d->mark, "%016" PRIx64, number);
    TRY(pha__safetensors_draft(&d->writer, &d->head, path, tensors, n, d->mark));
    d->look.head = (pha__file_head){d->head.size, pha__hash(d->head.data, d->head.size, 0)};
    return name_file(&d->look, pha__writer_beside(d->writer));
}

/* One's own pieces, and the checksum of what was in memory. */
static pha_status write_piece(const pha__ranks_file *f, const draft *d, const pha__file_piece *p, pha__hasher *h)
{
    for (uint64_t at = 0, step; at < p->size; at += step) {
        const char *from = p->data + at;
        step = p->size - at < PHA__COMM_PIECE ? p->size - at : PHA__COMM_PIECE;
        if (!on_host(f)) TRY(pha__download(f->device, f->comm->piece[0], from, (size_t)step));
        if (!on_host(f)) from = f->comm->piece[0];
        pha__hasher_add(h, from, (size_t)step);
        TRY(pha__part_write(d->fd, d->look.path, d->look.head.size + p->at + at, from, (size_t)step));
    }
    return PHA_OK;
}

static pha_status write_own(const pha__ranks_file *f, draft *d)
{
    pha__hasher *h = pha__hasher_open();
    pha_status status = h ? PHA_OK : PHA_NO_MEMORY;
    for (size_t i = 0; i < f->n && !status; i++)
        if (f->piece[i].rank == f->comm->rank) status = write_piece(f, d, &f->piece[i], h);
    if (h) d->sum[f->comm->rank] = pha__hasher_value(h);
    pha__hasher_close(h);
    status = pha__part_close(d->fd, d->look.path, status);
    d->fd = -1;
    return status;
}

static pha_status compare(const pha__ranks_file *f, const draft *d, const unsigned char *data, uint64_t *all)
{
    uint64_t *found = pha__alloc((size_t)f->comm->size, sizeof *found);
    pha_status status = found ? hash_pieces(f, data, found, all) : PHA_NO_MEMORY;
    for (int r = 0; r < f->comm->size && !status; r++)
        if (found[r] != d->sum[r])
            status = pha__fail(PHA_IO,
                               "%s: what rank %d wrote reads back otherwise; where a file system cannot be written by "
                               "several at once, PHA_CHECKPOINT=leader lets the leading rank write alone",
                               d->look.path, r);
    pha__free(found);
    return status;
}

/* By the leading rank: what stands there is what all had in memory. */
static pha_status seal(const pha__ranks_file *f, draft *d)
{
    pha__map map;
    uint64_t all = 0, size = d->look.head.size + f->piece[f->n - 1].at + f->piece[f->n - 1].size;
    TRY(pha__map_open(&map, d->look.path));
    pha_status status = map.size == size ? compare(f, d, map.data + d->look.head.size, &all)
                                         : pha__fail(PHA_IO, "%s: has another length than it was given", d->look.path);
    pha__map_close(&map);
    TRY(status);
    pha__writer *w = d->writer;
    d->writer = NULL;
    return pha__safetensors_seal(w, &d->head, d->mark, all);
}

static pha_status write_together(pha__ranks_file *f, draft *d, bool *done)
{
    pha__comm *c = f->comm;
    TRY(pha__comm_broadcast(c, 0, NULL, &d->look, sizeof d->look));
    TRY(all_see(c, !pha__part_open(&d->fd, d->look.path, &d->look.head), done));
    if (!*done) return PHA_OK;
    TRY(pha__comm_agree(c, write_own(f, d)));
    TRY(pha__comm_all_gather(c, d->sum, sizeof *d->sum));
    return pha__comm_agree(c, c->rank == 0 ? seal(f, d) : PHA_OK);
}

pha_status pha__ranks_file_write(pha__ranks_file *f, const char *path, const pha__tensor *tensors, size_t n, bool *done)
{
    draft d = {.fd = -1, .sum = pha__alloc_zero((size_t)f->comm->size, sizeof *d.sum)};
    uint64_t size = 0;
    *done = false;
    if (!f->n) return pha__free(d.sum), PHA_OK; /* no data: not worth it */
    for (size_t i = 0; i < n; i++) size += tensors[i].size;
    pha_status status = d.sum ? order(f, size) : PHA_NO_MEMORY;
    if (!status && f->comm->rank == 0) status = open_draft(&d, path, tensors, n);
    status = pha__comm_agree(f->comm, status);
    if (!status) status = write_together(f, &d, done);
    pha__part_close(d.fd, path, PHA_FAILED); /* where it is still open nothing was written */
    pha__writer_abort(d.writer);
    pha__str_free(&d.head);
    pha__free(d.sum);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

static pha_status open_same(pha__safetensors **file, const look *l)
{
    pha__file_head head;
    TRY(pha__safetensors_open(file, l->path));
    pha__safetensors_head(*file, &head);
    if (head.size != l->head.size || head.hash != l->head.hash)
        FAIL(IO, "%s: another file than the leading rank's is there", l->path);
    return PHA_OK;
}

static pha_status open_first(pha__safetensors **file, look *l, const char *path)
{
    TRY(pha__safetensors_open(file, path));
    pha__safetensors_head(*file, &l->head);
    return name_file(l, path);
}

pha_status pha__ranks_file_open(pha__comm *c, const char *path, pha__safetensors **file)
{
    look l = {0};
    bool all;
    *file = NULL;
    pha_status status = pha__comm_agree(c, c->rank == 0 ? open_first(file, &l, path) : PHA_OK);
    if (!status) status = pha__comm_broadcast(c, 0, NULL, &l, sizeof l);
    if (!status) status = all_see(c, c->rank == 0 || !open_same(file, &l), &all);
    if (!status && all) return PHA_OK;
    pha__safetensors_close(*file);
    *file = NULL;
    return status;
}

static pha_status take_own(const pha__ranks_file *f, const unsigned char *data)
{
    for (size_t i = 0; i < f->n; i++) {
        const pha__file_piece *p = &f->piece[i];
        if (p->rank != f->comm->rank) continue;
        if (f->device) TRY(pha__upload(f->device, p->data, data + p->at, (size_t)p->size));
        else memcpy(p->data, data + p->at, (size_t)p->size);
    }
    return PHA_OK;
}

/* The checksum of the leading rank's view of each rank's pieces, and of each rank's own of its. */
static pha_status hash_views(const pha__ranks_file *f, const unsigned char *data, uint64_t *sum)
{
    if (f->comm->rank == 0) return hash_pieces(f, data, sum, NULL);
    pha__hasher *h = pha__hasher_open();
    if (!h) return PHA_NO_MEMORY;
    for (size_t i = 0; i < f->n; i++)
        if (f->piece[i].rank == f->comm->rank) pha__hasher_add(h, data + f->piece[i].at, (size_t)f->piece[i].size);
    sum[f->comm->rank] = pha__hasher_value(h);
    pha__hasher_close(h);
    return PHA_OK;
}

pha_status pha__ranks_file_read(pha__ranks_file *f, const pha__safetensors *file, bool *done)
{
    pha__comm *c = f->comm;
    const unsigned char *data;
    uint64_t *sum = pha__alloc_zero((size_t)c->size, sizeof *sum), own, size = pha__safetensors_data(file, &data);
    pha_status status = sum ? order(f, size) : PHA_NO_MEMORY;
    if (!status) status = hash_views(f, data, sum);
    status = pha__comm_agree(c, status);
    own = sum ? sum[c->rank] : 0;
    if (!status) status = pha__comm_broadcast(c, 0, NULL, sum, (size_t)c->size * sizeof *sum);
    bool same = !status && (own == sum[c->rank] ||
                            pha__fail(PHA_IO, "%s: holds other numbers there", pha__safetensors_path(file)) == PHA_OK);
    if (!status) status = all_see(c, same, done);
    if (!status && *done) status = pha__comm_agree(c, take_own(f, data));
    pha__free(sum);
    return status;
}
