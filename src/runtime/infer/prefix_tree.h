/* prefix_tree.h -- the pages in memory: where they lie, how they are found, which goes first. For prefix*.c */
#ifndef PHA__PREFIX_TREE_H
#define PHA__PREFIX_TREE_H

#include <pthread.h>

#include "runtime/infer/prefix.h"

enum { PHA__GONE = 65536 /* keys of pages that are not there, remembered to say why */ };

typedef struct pha__page {
    pha__key key, from;   /* from: of its parent, or the tenant's root */
    uint64_t used;        /* the tick of the last use */
    uint32_t age;         /* counts the pages that lay here */
    int32_t next;         /* in the list of its bucket, or of those that are free */
    int32_t parent, child, before, after; /* the first of its children; its neighbours among those of its parent */
    int32_t older, newer; /* of a page without children: neighbours in the order of use */
    bool taken;
    int32_t ids[PHA__PAGE];
    char *lanes, *fixed;  /* fixed NULL: no run ended here */
} pha__page;

typedef struct pha__gone {
    pha__key key;
    pha_miss why;
} pha__gone;

struct pha__prefix {
    const pha__state *layout;
    pha__disk *disk;           /* NULL: none */
    pthread_mutex_t lock;      /* of everything below */
    size_t lanes, most, bytes; /* of a page's lanes; of all pages: allowed, there */
    pha__page *pages;
    int32_t n, unused;         /* places; the first of those that are free */
    int32_t *bucket;           /* (n) */
    int32_t root;              /* the first page without a parent */
    int32_t oldest, newest;    /* of those without children */
    uint64_t tick;
    pha__gone *gone;           /* (PHA__GONE) by the low half of the key */
    bool too_small;
};

/* Of the page that would lie behind the chain with these ids. */
pha__key pha__page_key(const pha__prefix *p, const pha__chain *c, const int32_t *ids);
pha__key pha__page_parent(const pha__prefix *p, const pha__chain *c);
/* The page behind a chain with these ids, or -1. */
int32_t pha__page_find(pha__prefix *p, const pha__chain *c, const int32_t *ids);
/* Makes room for so many bytes and one more page; the page `keep` stays. False: there is none. */
bool pha__page_room(pha__prefix *p, size_t bytes, int32_t keep);
/* A page behind the chain, for which there is room; the lanes are its own from here on. */
int32_t pha__page_plant(pha__prefix *p, const pha__chain *c, const int32_t *ids, char *lanes);
void pha__page_set_fixed(pha__prefix *p, int32_t i, char *fixed);
/* The chain goes on to this page, which has been used now. */
void pha__page_step(pha__prefix *p, pha__chain *c, int32_t i);
/* All pages in the order in which they would go, and then they are gone but for their places. Returns their number. */
int32_t pha__page_order(pha__prefix *p, int32_t *order);
pha__sheet pha__page_sheet(pha__prefix *p, int32_t i);
/* Is the page of a chain still the one that it was? */
bool pha__page_stands(const pha__prefix *p, const pha__chain *c);

/* Why a page is not there; NONE: nothing is known of it. */
void pha__gone_set(pha__prefix *p, pha__key key, pha_miss why);
pha_miss pha__gone_why(const pha__prefix *p, pha__key key);

#endif
