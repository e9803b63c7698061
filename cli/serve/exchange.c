/* exchange.c -- one request and its answer: who holds it, what is sent, when its connection sleeps
 *
 * The library's rule is that a connection is suspended by its own thread only, once, and resumed once. `suspended`
 * says in which state it is, and changes under the lock together with the call.
 */
#include "serve/exchange.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static const double PING_EVERY = 5; /* seconds */

double http_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- holders ---------------------------------------------------------------------------------------------- */

Exchange *exchange_make(Http *h, struct MHD_Connection *connection)
{
    Exchange *x = calloc(1, sizeof *x);
    if (!x) return NULL;
    x->http = h, x->connection = connection, x->holders = 1;
    pthread_mutex_init(&x->lock, NULL);
    pthread_mutex_lock(&h->lock);
    x->after = h->first;
    if (x->after) x->after->before = x;
    h->first = x;
    pthread_mutex_unlock(&h->lock);
    return x;
}

void exchange_hold(Exchange *x) { x->holders++; }

void exchange_release(Exchange *x)
{
    if (--x->holders > 0) return;
    text_free(&x->body);
    text_free(&x->out);
    x->http->bodies -= x->counted;
    pthread_mutex_destroy(&x->lock);
    free(x);
}

void exchange_forget(Exchange *x)
{
    Http *h = x->http;
    pthread_mutex_lock(&h->lock);
    if (x->before) x->before->after = x->after;
    else h->first = x->after;
    if (x->after) x->after->before = x->before;
    pthread_mutex_unlock(&h->lock);
    pthread_mutex_lock(&x->lock);
    x->connection = NULL;
    x->gone = true;
    pthread_mutex_unlock(&x->lock);
    exchange_release(x);
}

const Route *exchange_route(const Exchange *x) { return x->route; }
const char *exchange_tenant(const Exchange *x) { return x->tenant; }
void *exchange_server(const Exchange *x) { return x->http->o.server; }
bool exchange_draining(const Exchange *x) { return x->http->draining; }
bool exchange_gone(const Exchange *x) { return x->gone; }
void exchange_told(Exchange *x) { x->told = true; }
bool exchange_is_told(const Exchange *x) { return x->told; }

const char *exchange_asked(const Exchange *x, const char **path)
{
    *path = x->path;
    return x->method;
}

const char *exchange_body(const Exchange *x, size_t *size)
{
    *size = x->body.size;
    return x->body.data ? x->body.data : "";
}

void exchange_segment(const Exchange *x, char *out, size_t size)
{
    size_t n = strlen(x->segment);
    memcpy(out, x->segment, n < size ? n + 1 : 0);
    if (n >= size) out[0] = 0;
}

int64_t exchange_number(const Exchange *x) { return x->number; }

/* ---- answers; the lock is held ---------------------------------------------------------------------------- */

static void wake(Exchange *x)
{
    if (!x->suspended || !x->connection) return;
    x->suspended = false;
    MHD_resume_connection(x->connection);
}

static void answer(Exchange *x, int status, const char *type, Text *body)
{
    if (x->status == 0) {
        x->status = status, x->type = type, x->ended = true;
        x->out = *body, *body = (Text){0};
        wake(x);
    }
    text_free(body);
}

void exchange_answer(Exchange *x, int status, const char *type, Text *body)
{
    Fault fault;
    if (body->failed) {
        text_free(body);
        fault_set(&fault, 503, NULL, "no memory for the answer");
        exchange_fault(x, &fault);
        return;
    }
    pthread_mutex_lock(&x->lock);
    answer(x, status, type, body);
    pthread_mutex_unlock(&x->lock);
}

static void add_event(Exchange *x, const char *data, size_t n)
{
    text_put(&x->out, "data: ");
    text_add(&x->out, data, n);
    text_put(&x->out, "\n\n");
    if (x->out.failed) x->gone = true; /* half an event is worse than none */
    x->fed = http_now();
    wake(x);
}

/* Of a stream that has begun, the last event. */
void exchange_fault(Exchange *x, const Fault *f)
{
    Text text = {0};
    fault_print(&text, f);
    if (text.failed) text_free(&text); /* an empty answer with its status */
    pthread_mutex_lock(&x->lock);
    if (x->streams && !x->ended) {
        add_event(x, text.data ? text.data : "", text.size);
        x->ended = true;
    }
    if (!x->status && (f->status == 429 || f->status == 503)) x->retry = f->retry > 0 ? f->retry : 1;
    answer(x, f->status, "application/json", &text);
    pthread_mutex_unlock(&x->lock);
}

void exchange_stream(Exchange *x)
{
    pthread_mutex_lock(&x->lock);
    if (x->status == 0) {
        x->status = 200, x->type = "text/event-stream", x->streams = true;
        x->fed = http_now();
        wake(x);
    }
    pthread_mutex_unlock(&x->lock);
}

void exchange_event(Exchange *x, const Text *json)
{
    pthread_mutex_lock(&x->lock);
    if (json->failed) x->gone = true;
    else if (x->streams && !x->ended && !x->gone) add_event(x, json->data, json->size);
    pthread_mutex_unlock(&x->lock);
}

void exchange_end(Exchange *x)
{
    pthread_mutex_lock(&x->lock);
    x->ended = true;
    wake(x);
    pthread_mutex_unlock(&x->lock);
}

bool exchange_full(Exchange *x)
{
    pthread_mutex_lock(&x->lock);
    bool full = (int64_t)(x->out.size - x->sent) > x->http->o.limits->at[LIMIT_unsent];
    if (!full) x->full_since = 0;
    else if (x->full_since == 0) x->full_since = http_now();
    pthread_mutex_unlock(&x->lock);
    return full;
}

/* ---- the connection's thread ------------------------------------------------------------------------------ */

/* What the library asks for when there is room in the socket. */
static ssize_t take(void *context, uint64_t position, char *buffer, size_t most)
{
    Exchange *x = context;
    ssize_t n = 0;
    (void)position;
    pthread_mutex_lock(&x->lock);
    size_t left = x->out.size - x->sent;
    if (x->gone) n = MHD_CONTENT_READER_END_WITH_ERROR;
    else if (left) {
        n = (ssize_t)(left < most ? left : most);
        memcpy(buffer, x->out.data + x->sent, (size_t)n);
        x->sent += (size_t)n;
        if (x->sent == x->out.size) x->out.size = x->sent = 0;
        else if (x->sent > x->out.size / 2) { /* each byte moves once on average */
            memmove(x->out.data, x->out.data + x->sent, x->out.size - x->sent);
            x->out.size -= x->sent, x->sent = 0;
        }
    } else if (x->ended) n = MHD_CONTENT_READER_END_OF_STREAM;
    else {
        x->suspended = true;
        MHD_suspend_connection(x->connection);
    }
    pthread_mutex_unlock(&x->lock);
    return n;
}

static void add_headers(const Exchange *x, struct MHD_Response *r)
{
    char text[16];
    const char *cors = x->http->o.cors;
    MHD_add_response_header(r, "Content-Type", x->type);
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (strncmp(x->type, "text/html", 9) == 0) {
        MHD_add_response_header(r, "Content-Security-Policy", "default-src 'self'; img-src data:; base-uri 'none'; "
                                "form-action 'none'; frame-ancestors 'none'");
        MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    }
    MHD_add_response_header(r, "Cache-Control", "no-store");
    if (x->streams) MHD_add_response_header(r, "X-Accel-Buffering", "no");
    if (cors) MHD_add_response_header(r, "Access-Control-Allow-Origin", cors);
    if (cors) MHD_add_response_header(r, "Vary", "Origin");
    if (x->status == 405) MHD_add_response_header(r, "Allow", x->allowed);
    if (x->preflight) {
        MHD_add_response_header(r, "Access-Control-Allow-Methods", x->allowed);
        MHD_add_response_header(r, "Access-Control-Allow-Headers", "Authorization, Content-Type");
        MHD_add_response_header(r, "Access-Control-Max-Age", "600");
    }
    if (x->status == 401) MHD_add_response_header(r, "WWW-Authenticate", "Bearer");
    if (x->retry) {
        snprintf(text, sizeof text, "%d", x->retry);
        MHD_add_response_header(r, "Retry-After", text);
    }
}

/* Without the lock, since the library holds one of its own while it asks for more; what is read here was written
 * once, before the status. */
static enum MHD_Result queue(Exchange *x)
{
    struct MHD_Response *r;
    if (x->streams) r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, take, x, NULL);
    else r = MHD_create_response_from_buffer(x->out.size, x->out.data, MHD_RESPMEM_MUST_FREE);
    if (!r) return MHD_NO;
    if (!x->streams) x->out = (Text){0}; /* the response frees it */
    add_headers(x, r);
    enum MHD_Result result = MHD_queue_response(x->connection, (unsigned)x->status, r);
    MHD_destroy_response(r); /* the connection keeps it until it is sent */
    return result;
}

enum MHD_Result exchange_go_on(Exchange *x)
{
    pthread_mutex_lock(&x->lock);
    bool cut_off = x->gone || x->http->closing;
    x->queued = !cut_off && x->status;
    if (!cut_off && !x->queued) {
        x->suspended = true;
        MHD_suspend_connection(x->connection);
    }
    bool queued = x->queued;
    pthread_mutex_unlock(&x->lock);
    if (cut_off) return MHD_NO; /* closes the connection */
    return queued ? queue(x) : MHD_YES;
}

/* ---- what nobody else sees -------------------------------------------------------------------------------- */

/* A connection that is not suspended may wait for a reader that never comes: shutting its socket ends that. */
static void cut(Exchange *x)
{
    const union MHD_ConnectionInfo *info;
    x->gone = true;
    if (!x->connection) return;
    info = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info) shutdown(info->connect_fd, SHUT_RDWR);
    wake(x);
}

void exchange_cut(Exchange *x)
{
    pthread_mutex_lock(&x->lock);
    cut(x);
    pthread_mutex_unlock(&x->lock);
}

static bool hung_up(const Exchange *x)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd p = {.fd = info ? info->connect_fd : -1, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

void exchange_watch(Exchange *x, double now)
{
    pthread_mutex_lock(&x->lock);
    bool slow = x->full_since > 0 && now - x->full_since > (double)x->http->o.limits->at[LIMIT_slow];
    if (!x->gone && x->connection && (slow || (x->suspended && hung_up(x)))) cut(x);
    else if (x->suspended && x->streams && !x->ended && now - x->fed > PING_EVERY) {
        text_put(&x->out, ": ping\n\n");
        x->fed = now;
        wake(x);
    }
    pthread_mutex_unlock(&x->lock);
}
