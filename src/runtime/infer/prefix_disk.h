/* prefix_disk.h -- pages of texts as files of a folder, found by what they say
 *
 * A file is DIR/IDENTITY/KEY: of a model and what else decides the bits of a state, and of a tenant's text up to the
 * end of the page, so that equal names are equal contents. The file system is the index: several processes may use a
 * folder, and what one of them removes is a miss for the others. A thread writes, beside, synced and renamed;
 * nobody who computes waits for it. What is read is checked whole before it is used, and removed if it is damaged.
 */
#ifndef PHA__PREFIX_DISK_H
#define PHA__PREFIX_DISK_H

#include <stdbool.h>
#include <time.h>

#include "base/hash.h"
#include "base/status.h"

enum { PHA__PAGE = 64 /* tokens */ };

typedef struct pha__sheet { /* a page on its way to a file or from one */
    pha__key parent, key;
    int32_t ids[PHA__PAGE];
    char *lanes, *fixed; /* of pha__alloc; fixed NULL: there is none */
    struct timespec used; /* pha__disk_now: it goes before what was used later */
} pha__sheet;

typedef enum pha__sheet_found {
    PHA__SHEET_FOUND,
    PHA__SHEET_ABSENT,
    PHA__SHEET_DAMAGED, /* it was there, and has been removed */
    PHA__SHEET_OTHER    /* another model, or another build, has read this text */
} pha__sheet_found;

typedef struct pha__disk_counts {
    uint64_t bytes;     /* in the folder, of all models, as far as this process knows */
    uint64_t waiting;   /* to be written */
    uint64_t written, read, dropped, damaged, failed; /* pages; dropped: more came than could be written */
} pha__disk_counts;

typedef struct pha__disk pha__disk;

/* Of a folder that is made if need be, with room for `bytes`. lanes, fixed: bytes of those parts of a page. `waiting`:
 * bytes of pages that may wait to be written; one always may. */
pha_status pha__disk_open(pha__disk **out, const char *folder, uint64_t bytes, pha__key identity, size_t lanes,
                          size_t fixed, size_t waiting);
void pha__disk_close(pha__disk *d); /* when all that waits has been written; NULL is allowed */

/* The time, later with each call, so that files have an order also where the clock is coarse. */
struct timespec pha__disk_now(pha__disk *d);
/* Takes the memory over. wait: until there is room among what waits, else it is dropped. */
void pha__disk_put(pha__disk *d, const pha__sheet *sheet, bool wait);
/* Of a sheet with parent, key and ids the rest. */
pha__sheet_found pha__disk_get(pha__disk *d, pha__sheet *sheet);
/* These were of use: they go later than others, the last one of them first. */
void pha__disk_used(pha__disk *d, const pha__key *keys, size_t n);
uint64_t pha__disk_room(const pha__disk *d);
void pha__disk_count(pha__disk *d, pha__disk_counts *out);

/* ---- prefix_disk_file.c: one file, for prefix_disk.c ---- */

typedef struct pha__sheet_kind { /* what all files of a model have in common */
    pha__key identity;
    size_t lanes, fixed;
} pha__sheet_kind;

size_t pha__sheet_size(const pha__sheet_kind *k, bool fixed);
pha_status pha__sheet_write(const pha__sheet_kind *k, const pha__sheet *s, const char *path);
pha__sheet_found pha__sheet_read(const pha__sheet_kind *k, pha__sheet *s, const char *path);

/* ---- prefix_disk_room.c: the folder ---- */

void pha__key_name(char name[33], pha__key key);
bool pha__key_of_name(pha__key *key, const char *name);

/* Walks over all pages of all models. Files that have gone meanwhile don't count, others that lie there neither.
 * Removes what was used longest ago until `most` bytes are left; returns how many there are. */
uint64_t pha__disk_trim(const char *folder, uint64_t most);
/* Removes what killed processes left beside. */
void pha__disk_sweep(const char *folder);

#endif
