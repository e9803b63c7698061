/* exchange.h -- what http.c and exchange.c know of a request and its answer */
#ifndef CLI_SERVE_EXCHANGE_H
#define CLI_SERVE_EXCHANGE_H

#include <microhttpd.h>

#include "serve/http.h"

struct Exchange {
    Http *http;
    _Atomic int holders;
    Exchange *before, *after;  /* in the list of all, under its lock */

    /* Of the request: written by the connection's thread before anybody else sees the exchange. */
    const Route *route;        /* NULL: none; the fault says so */
    Fault fault;               /* found before the end of the body; told behind it */
    Text body;
    size_t counted;            /* bytes of it among those of all bodies */
    char tenant[64], segment[128], method[16], path[160];
    char allowed[64];          /* methods of its path, where its own is none of them */
    bool preflight;            /* a browser asks whether a page of another origin may */
    int64_t number;            /* of the query */
    bool passed;               /* to a handler */

    _Atomic bool gone, told;

    pthread_mutex_t lock;      /* of everything below */
    struct MHD_Connection *connection; /* NULL: it has done with the exchange */
    bool suspended;
    int status;                /* of the answer; 0: there is none yet */
    const char *type;
    int retry;
    bool streams, ended, queued;
    Text out;                  /* what is to be sent; of a stream, from `sent` on */
    size_t sent;
    double fed, full_since;    /* when something was last added; since when it has been full, 0: it is not */
};

typedef struct Peer { /* a connection */
    struct Peer *before, *after; /* in the list of all */
    int fd;
    double since;              /* when it became free for a request; 0: one has come */
} Peer;

struct Http {
    HttpOptions o;
    struct MHD_Daemon *daemon;
    _Atomic bool draining, closing;
    _Atomic int under_way;
    _Atomic size_t bodies;     /* bytes of all */
    pthread_mutex_t lock;      /* of the lists */
    Exchange *first;
    Peer *peers;
};


Exchange *exchange_make(Http *h, struct MHD_Connection *connection);
void exchange_forget(Exchange *x); /* the connection has done with it */
void exchange_cut(Exchange *x);    /* marks it as gone and wakes its connection */
/* For the connection's thread: queues the answer if there is one, else suspends until there is. */
enum MHD_Result exchange_go_on(Exchange *x);
void exchange_watch(Exchange *x, double now);

#endif
