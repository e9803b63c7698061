/* http.c -- the library's callbacks: a request's line, headers and body; who asks; which route takes it */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/exchange.h"

/* ---- which route ------------------------------------------------------------------------------------------ */

/* Does the path fit? *segment: what stands for "*". */
static bool fits(const char *pattern, const char *path, char *segment, size_t size)
{
    for (; *pattern && *path; pattern++) {
        if (*pattern != '*') {
            if (*pattern != *path++) return false;
            continue;
        }
        size_t n = strcspn(path, "/");
        if (n == 0 || n >= size) return false;
        memcpy(segment, path, n);
        segment[n] = 0;
        path += n;
    }
    return *pattern == *path;
}

static void find_route(Exchange *x, const char *method, const char *path)
{
    char *allowed = x->allowed;
    for (const Route *r = x->http->o.routes; r->method; r++) {
        if (!fits(r->path, path, x->segment, sizeof x->segment)) continue;
        bool same = strcmp(r->method, method) == 0 || (!strcmp(method, "HEAD") && !strcmp(r->method, "GET"));
        if (same) {
            x->route = r;
            return;
        }
        size_t n = strlen(allowed);
        snprintf(allowed + n, sizeof x->allowed - n, "%s%s", n ? ", " : "", r->method);
    }
    x->preflight = *allowed && x->http->o.cors && strcmp(method, "OPTIONS") == 0;
    if (x->preflight) return;
    if (*allowed) fault_set(&x->fault, 405, NULL, "%.60s takes %s, not %.16s", path, allowed, method);
    else fault_set(&x->fault, 404, NULL, "this server has no %.200s; docs/serve.md lists what it has", path);
}

/* The one number that a route may have in its query. */
static void find_number(Exchange *x, struct MHD_Connection *c)
{
    const char *name = x->route ? x->route->number : NULL;
    const char *text = name ? MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, name) : NULL;
    if (!text) return;
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 18 || text[n]) fault_set(&x->fault, 400, name, "%s must be a whole number from 0 on", name);
    else x->number = strtoll(text, NULL, 10);
}

/* ---- who asks --------------------------------------------------------------------------------------------- */

static void address_of(struct MHD_Connection *c, char *out, size_t size)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *a = info ? info->client_addr : NULL;
    snprintf(out, size, "local");
    if (a && a->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a)->sin_addr, out, (socklen_t)size);
    if (a && a->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, out, (socklen_t)size);
}

static void find_tenant(Exchange *x, struct MHD_Connection *c)
{
    char address[64];
    const char *header = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization"), *key = NULL;
    address_of(c, address, sizeof address);
    if (header && strncasecmp(header, "Bearer ", 7) == 0) key = header + 7;
    if (x->http->o.known(x->http->o.server, key, address, x->route && x->route->open, x->tenant)) return;
    fault_set(&x->fault, 401, NULL, "%s; send one of the server's keys as \"Authorization: Bearer KEY\" with every "
              "request (lm-evaluation-harness: auth_token=KEY among --model_args, besides OPENAI_API_KEY)",
              key && *key ? "this key is not known here" : "this server wants a key");
    x->fault.code = "invalid_api_key";
}

/* ---- connections ------------------------------------------------------------------------------------------ */

/* The library ends connections on which nothing happens, but not those whose requests come byte by byte. */
static void set_since(Http *h, struct MHD_Connection *c, double since)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    Peer *p = info ? info->socket_context : NULL;
    if (!p) return;
    pthread_mutex_lock(&h->lock);
    p->since = since;
    pthread_mutex_unlock(&h->lock);
}

static void on_connection(void *context, struct MHD_Connection *c, void **own, enum MHD_ConnectionNotificationCode what)
{
    Http *h = context;
    Peer *p = *own;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (what == MHD_CONNECTION_NOTIFY_STARTED && info && (p = calloc(1, sizeof *p)) != NULL) {
        *p = (Peer){.fd = info->connect_fd, .since = http_now()};
        pthread_mutex_lock(&h->lock);
        p->after = h->peers;
        if (p->after) p->after->before = p;
        h->peers = p;
        pthread_mutex_unlock(&h->lock);
        *own = p;
    } else if (what == MHD_CONNECTION_NOTIFY_CLOSED && p) {
        pthread_mutex_lock(&h->lock);
        if (p->before) p->before->after = p->after;
        else h->peers = p->after;
        if (p->after) p->after->before = p->before;
        pthread_mutex_unlock(&h->lock);
        free(p);
        *own = NULL;
    }
}

/* ---- a request -------------------------------------------------------------------------------------------- */

static enum MHD_Result count_lengths(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind, (void)value;
    *(int *)context += !strcasecmp(name, "Content-Length") || !strcasecmp(name, "Transfer-Encoding");
    return MHD_YES;
}

/* Where a body ends must not be a matter of opinion: a proxy in front may have another one, and take what follows for
 * the request of somebody else. */
static bool is_ambiguous(struct MHD_Connection *c)
{
    int n = 0;
    MHD_get_connection_values(c, MHD_HEADER_KIND, count_lengths, &n);
    return n > 1;
}

static enum MHD_Result begin(Http *h, struct MHD_Connection *c, const char *path, const char *method, void **context)
{
    Exchange *x = exchange_make(h, c);
    if (!x) return MHD_NO;
    *context = x;
    h->under_way++;
    snprintf(x->method, sizeof x->method, "%s", method);
    snprintf(x->path, sizeof x->path, "%s", path);
    find_route(x, method, path);
    find_number(x, c);
    if (!x->preflight) find_tenant(x, c); /* which browsers send without a key */
    if (h->draining && !(x->route && x->route->even_draining))
        fault_set(&x->fault, 503, NULL, "the server is stopping");
    bool ambiguous = is_ambiguous(c);
    if (ambiguous) fault_set(&x->fault, 400, NULL, "the length of the body is told more than once");
    /* Who waits to be told whether to send its body is told at once; what can't be told apart is not read. */
    if (ambiguous || (x->fault.status && MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Expect"))) {
        exchange_fault(x, &x->fault);
        return exchange_go_on(x);
    }
    return MHD_YES;
}

/* Nothing but headers. */
static void answer_preflight(Exchange *x)
{
    Text none = {0};
    exchange_told(x);
    exchange_answer(x, 204, "text/plain", &none);
}

/* What is too long, or of a request that has failed already, is read and forgotten, so that the client reads why. */
static void add_body(Exchange *x, const char *data, size_t n)
{
    Http *h = x->http;
    const Limits *l = h->o.limits;
    if (x->fault.status) return;
    if (!x->route || !x->route->body) n = 0;
    if ((int64_t)(x->body.size + n) > l->at[LIMIT_body])
        fault_set(&x->fault, 413, NULL, "the body has more than %lld bytes", (long long)l->at[LIMIT_body]);
    else if ((int64_t)(h->bodies + n) > l->at[LIMIT_bodies])
        fault_set(&x->fault, 503, NULL, "the requests under way have %lld bytes together", (long long)h->bodies);
    else {
        text_add(&x->body, data, n);
        x->counted += n, h->bodies += n;
        if (x->body.failed) fault_set(&x->fault, 503, NULL, "no memory for the body");
    }
}

/* The whole request is there. */
static enum MHD_Result dispatch(Exchange *x)
{
    if (!x->passed) {
        x->passed = true;
        if (x->fault.status) exchange_fault(x, &x->fault);
        else if (x->preflight) answer_preflight(x);
        else if (x->route->brief) x->route->handle(x->http->o.server, x);
        else exchange_hold(x), x->http->o.work(x->http->o.server, x);
    }
    return exchange_go_on(x);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *c, const char *path, const char *method,
                                  const char *version, const char *data, size_t *size, void **own)
{
    Exchange *x = *own;
    (void)version;
    if (!x) return begin(context, c, path, method, own);
    if (*size == 0) {
        set_since(context, c, 0);
        return dispatch(x);
    }
    add_body(x, data, *size);
    *size = 0;
    return MHD_YES;
}

static void on_completed(void *context, struct MHD_Connection *c, void **own, enum MHD_RequestTerminationCode why)
{
    Http *h = context;
    Exchange *x = *own;
    (void)why;
    set_since(h, c, http_now());
    if (!x) return;
    *own = NULL;
    h->under_way--;
    pthread_mutex_lock(&x->lock);
    int status = x->queued ? x->status : 0;
    pthread_mutex_unlock(&x->lock);
    h->o.finished(h->o.server, x, status);
    exchange_forget(x);
}

/* The library tells of each client that goes away; that is no news. */
static void quiet(void *context, const char *format, va_list args) { (void)context, (void)format, (void)args; }

/* As the library does it, but for %00, behind which it would not look. In place. */
static size_t unescape(void *context, struct MHD_Connection *c, char *text)
{
    char *to = text;
    (void)context, (void)c;
    for (const char *p = text; *p; p++, to++) {
        bool coded = *p == '%' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2]);
        char hex[3] = {coded ? p[1] : '0', coded ? p[2] : '0', 0}, byte = (char)strtol(hex, NULL, 16);
        *to = byte ? byte : *p;
        if (byte) p += 2;
    }
    *to = 0;
    return (size_t)(to - text);
}

/* ---- opening and closing ---------------------------------------------------------------------------------- */

static int listen_at(const struct addrinfo *a, char *why)
{
    int yes = 1, room = 262144;
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room); /* for slow readers */
    if (fd >= 0 && bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, 1024) == 0) return fd;
    snprintf(why, 300, "%s", strerror(errno));
    if (fd >= 0) close(fd);
    return -1;
}

/* A listening socket at host and port; -1: *why says why there is none. */
static int listener(const HttpOptions *o, char *why)
{
    char port[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *list;
    int fd = -1;
    snprintf(port, sizeof port, "%d", o->port);
    int error = getaddrinfo(o->host, port, &hints, &list);
    if (error) snprintf(why, 300, "%s", gai_strerror(error));
    if (error) return -1;
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) fd = listen_at(a, why);
    freeaddrinfo(list);
    return fd;
}

/* By where it is bound: a name says nothing, and nobody has named a socket that was opened elsewhere. */
static bool is_alone(int fd)
{
    struct sockaddr_storage a = {0};
    socklen_t size = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &size)) return false;
    if (a.ss_family == AF_UNIX) return true;
    if (a.ss_family == AF_INET) return ntohl(((struct sockaddr_in *)&a)->sin_addr.s_addr) >> 24 == 127;
    const struct in6_addr *six = &((struct sockaddr_in6 *)&a)->sin6_addr;
    bool four = IN6_IS_ADDR_V4MAPPED(six);
    return a.ss_family == AF_INET6 && (IN6_IS_ADDR_LOOPBACK(six) || (four && six->s6_addr[12] == 127));
}

static bool start(Http *h, int fd)
{
    const HttpOptions *o = &h->o;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->cert},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->key},
                                   {MHD_OPTION_END, 0, NULL}};
    if (o->cert) flags |= MHD_USE_TLS;
    h->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, h,
                                 MHD_OPTION_EXTERNAL_LOGGER, quiet, NULL,
                                 MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
                                 MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
                                 MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
                                 MHD_OPTION_LISTEN_SOCKET, fd,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)o->limits->at[LIMIT_connections],
                                 MHD_OPTION_CONNECTION_TIMEOUT, 60u,
                                 MHD_OPTION_STRICT_FOR_CLIENT, 1,
                                 MHD_OPTION_ARRAY, o->cert ? tls : tls + 2, MHD_OPTION_END);
    return h->daemon != NULL;
}

bool http_open(Http **out, const HttpOptions *o, char *why)
{
    *out = NULL;
    int fd = o->listener >= 0 ? o->listener : listener(o, why);
    if (fd < 0) return false;
    if (o->alone && !is_alone(fd)) {
        close(fd);
        snprintf(why, 300, "this can be reached by other machines: name keys with --api-key-file, or say --insecure if "
                           "nobody else can get there");
        return false;
    }
    Http *h = calloc(1, sizeof *h);
    if (h) {
        h->o = *o;
        pthread_mutex_init(&h->lock, NULL);
        if (start(h, fd)) return *out = h, true;
        pthread_mutex_destroy(&h->lock);
    }
    free(h);
    close(fd);
    snprintf(why, 300, o->cert ? "the HTTP library refuses; are certificate and key PEM files that belong together?"
                               : "the HTTP library could not start");
    return false;
}

int http_port(const Http *h)
{
    struct sockaddr_storage a;
    socklen_t size = sizeof a;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_LISTEN_FD);
    if (!info || getsockname(info->listen_fd, (struct sockaddr *)&a, &size)) return 0;
    if (a.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
    return a.ss_family == AF_INET ? ntohs(((struct sockaddr_in *)&a)->sin_port) : 0;
}

void http_drain(Http *h) { h->draining = true; }
int http_under_way(const Http *h) { return h->under_way; }

void http_watch(Http *h)
{
    double now = http_now();
    pthread_mutex_lock(&h->lock);
    for (Exchange *x = h->first; x; x = x->after) exchange_watch(x, now);
    for (Peer *p = h->peers; p; p = p->after)
        if (p->since > 0 && now - p->since > (double)h->o.limits->at[LIMIT_receive]) shutdown(p->fd, SHUT_RDWR);
    pthread_mutex_unlock(&h->lock);
}

/* The library refuses to stop while a connection is suspended. Behind `closing` none becomes so. */
void http_close(Http *h)
{
    if (!h) return;
    h->closing = true;
    pthread_mutex_lock(&h->lock);
    for (Exchange *x = h->first; x; x = x->after) exchange_cut(x);
    pthread_mutex_unlock(&h->lock);
    MHD_stop_daemon(h->daemon);
    pthread_mutex_destroy(&h->lock);
    free(h);
}
