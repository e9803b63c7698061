/* http.h -- requests and answers over libmicrohttpd; the only file but http.c that knows of it knows no more than this
 *
 * One thread of the library serves all connections. An Exchange is one request and its answer. It is held by the
 * connection and by whoever works on an answer, and freed with the last of them. Everything below may be called from
 * any thread; under an exchange's lock its connection is suspended while there is nothing to send, and resumed once.
 */
#ifndef CLI_SERVE_HTTP_H
#define CLI_SERVE_HTTP_H

#include <stdatomic.h>
#include <pthread.h>

#include "serve/fault.h"
#include "serve/limits.h"

typedef struct Http Http;
typedef struct Exchange Exchange;

typedef struct Route {
    const char *method, *path; /* a segment "*" takes any: exchange_segment */
    const char *number;        /* that its query may have, a whole one from 0 on; NULL: none */
    bool open;                 /* needs no key */
    bool brief;                /* is answered at once, on the thread of the connections: nothing that takes 5 ms */
    bool body;                 /* reads one */
    bool even_draining;
    void (*handle)(void *server, Exchange *x);
} Route;

typedef struct HttpOptions {
    const char *host;
    int port;                  /* 0: any that is free */
    int listener;              /* a socket that listens already; -1: none */
    bool alone;                /* no socket that other machines reach */
    const char *cert, *key;    /* PEM texts of TLS; NULL: without */
    const char *cors;          /* the origin that may read answers; NULL: none */
    const Limits *limits;
    const Route *routes;
    void *server;
    /* Who asks: fills in `tenant` (64 bytes) from the key (NULL: none was sent) or the address; false: no such key. */
    bool (*known)(void *server, const char *key, const char *address, bool open, char *tenant);
    void (*work)(void *server, Exchange *x); /* passes an exchange, which it then holds, to a worker */
    /* The connection has done with it; status 0: the client left before. For counting and for the log. */
    void (*finished)(void *server, Exchange *x, int status);
} HttpOptions;

/* False: *why (300 bytes) says what is wrong. */
bool http_open(Http **out, const HttpOptions *o, char *why);
int http_port(const Http *h);
/* New requests are refused from now on. */
void http_drain(Http *h);
/* Requests that are under way, and whether they are asked to end. */
int http_under_way(const Http *h);
/* Looks after connections that nothing happens on: sees those that were closed, keeps streams alive, ends those whose
 * reader is too slow. To be called some times a second. */
void http_watch(Http *h);
/* Cuts off what is under way and closes. Nobody may hold an exchange afterwards that still wants to send. */
void http_close(Http *h);

/* ---- an exchange ------------------------------------------------------------------------------------------ */

void exchange_hold(Exchange *x);
void exchange_release(Exchange *x);
const Route *exchange_route(const Exchange *x);
const char *exchange_body(const Exchange *x, size_t *size);
const char *exchange_tenant(const Exchange *x);
void exchange_segment(const Exchange *x, char *out, size_t size); /* what stood for "*"; "" if it is too long */
int64_t exchange_number(const Exchange *x);   /* of the query; 0: none was said */
void *exchange_server(const Exchange *x);
bool exchange_draining(const Exchange *x); /* is its server about to stop? */
const char *exchange_asked(const Exchange *x, const char **path); /* the method */
bool exchange_is_told(const Exchange *x);
/* Nobody waits for the answer any more. */
bool exchange_gone(const Exchange *x);
void exchange_told(Exchange *x); /* whoever works on it writes its line of the log */
/* The reader of the stream has so much to take that nothing should be added for now. */
bool exchange_full(Exchange *x);

/* One answer; the text is taken over. */
void exchange_answer(Exchange *x, int status, const char *type, Text *body);
void exchange_fault(Exchange *x, const Fault *f);
/* Or a stream of events, each {"data": json}. */
void exchange_stream(Exchange *x);
void exchange_event(Exchange *x, const Text *json);
void exchange_end(Exchange *x); /* nothing more comes */


double http_now(void); /* seconds of a clock that only goes forward */

#endif
