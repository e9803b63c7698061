/* prefix_disk_file.c -- one page as a file: a header with tokens and checksum, the lanes and perhaps the fixed part */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "runtime/infer/prefix_disk.h"

enum { VERSION = 1, HAS_FIXED = 1 };
static const char magic[8] = "phapage";

/* As it lies in the file, in the order of bytes of the machine, to whose kernels the state belongs. */
typedef struct header {
    char magic[8];
    uint32_t version, flags;
    pha__key identity, parent, key;
    uint64_t lanes, fixed; /* bytes */
    int32_t ids[PHA__PAGE];
    uint64_t sum;          /* of all of the file, while this is 0 */
} header;

size_t pha__sheet_size(const pha__sheet_kind *k, bool fixed)
{
    return sizeof(header) + k->lanes + (fixed ? k->fixed : 0);
}

/* The header as it must be, without the sum. */
static header header_of(const pha__sheet_kind *k, const pha__sheet *s)
{
    header h = {.version = VERSION, .flags = s->fixed ? HAS_FIXED : 0, .identity = k->identity, .parent = s->parent,
                .key = s->key, .lanes = k->lanes, .fixed = s->fixed ? k->fixed : 0};
    memcpy(h.magic, magic, sizeof h.magic);
    memcpy(h.ids, s->ids, sizeof h.ids);
    return h;
}

/* 0: no memory. */
static uint64_t sum_of(header h, const pha__sheet *s)
{
    pha__hasher *hasher = pha__hasher_open();
    if (!hasher) return 0;
    h.sum = 0;
    pha__hasher_add(hasher, &h, sizeof h);
    pha__hasher_add(hasher, s->lanes, h.lanes);
    if (h.fixed) pha__hasher_add(hasher, s->fixed, h.fixed);
    uint64_t sum = pha__hasher_value(hasher);
    pha__hasher_close(hasher);
    return sum ? sum : 1;
}

pha_status pha__sheet_write(const pha__sheet_kind *k, const pha__sheet *s, const char *path)
{
    pha__writer *w;
    header h = header_of(k, s);
    h.sum = sum_of(h, s);
    if (!h.sum) return PHA_NO_MEMORY;
    TRY(pha__writer_open(&w, path)); /* an error of a write is repeated by all that follow */
    pha__writer_write(w, &h, sizeof h);
    pha__writer_write(w, s->lanes, h.lanes);
    if (h.fixed) pha__writer_write(w, s->fixed, h.fixed);
    return pha__writer_commit(w);
}

/* ---- reading ---------------------------------------------------------------------------------------------- */

static bool read_all(int fd, void *to, size_t size)
{
    for (char *p = to; size > 0;) {
        ssize_t n = read(fd, p, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        p += n, size -= (size_t)n;
    }
    return true;
}

/* The parts behind a header that says how large they are, as the file's size does. */
static pha__sheet_found read_parts(const pha__sheet_kind *k, pha__sheet *s, int fd, const header *h)
{
    bool fixed = (h->flags & HAS_FIXED) != 0;
    s->lanes = pha__alloc(k->lanes + 1, 1);
    s->fixed = fixed ? pha__alloc(k->fixed + 1, 1) : NULL;
    if (!s->lanes || (fixed && !s->fixed)) return PHA__SHEET_ABSENT; /* no memory */
    char end;
    bool whole = read_all(fd, s->lanes, k->lanes) && (!fixed || read_all(fd, s->fixed, k->fixed)) &&
                 read(fd, &end, 1) == 0;
    if (!whole) return PHA__SHEET_DAMAGED;
    header wanted = header_of(k, s);
    memcpy(wanted.ids, h->ids, sizeof wanted.ids); /* those are compared last */
    wanted.sum = sum_of(wanted, s);
    if (!wanted.sum) return PHA__SHEET_ABSENT;
    if (memcmp(&wanted, h, sizeof wanted)) return PHA__SHEET_DAMAGED;
    return memcmp(h->ids, s->ids, sizeof h->ids) ? PHA__SHEET_ABSENT : PHA__SHEET_FOUND; /* equal keys prove nothing */
}

pha__sheet_found pha__sheet_read(const pha__sheet_kind *k, pha__sheet *s, const char *path)
{
    int fd;
    struct stat info;
    header h;
    pha__message first = pha__message_keep();
    s->lanes = s->fixed = NULL;
    bool open = !pha__open_read(&fd, &info, path);
    pha__message_restore(&first);
    if (!open) return PHA__SHEET_ABSENT;
    pha__sheet_found found = PHA__SHEET_DAMAGED;
    uint64_t size = (uint64_t)info.st_size;
    bool known = size == pha__sheet_size(k, true) || size == pha__sheet_size(k, false);
    if (known && read_all(fd, &h, sizeof h)) found = read_parts(k, s, fd, &h);
    close(fd);
    if (found == PHA__SHEET_FOUND) return found;
    pha__free(s->lanes);
    pha__free(s->fixed);
    s->lanes = s->fixed = NULL;
    if (found == PHA__SHEET_DAMAGED) pha__sys_remove(path);
    return found;
}
