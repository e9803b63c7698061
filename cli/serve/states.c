/* states.c -- named states: who has which, and how much of them */
#include "serve/states.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

void states_open(States *s, const Limits *limits)
{
    s->limits = limits;
    pthread_mutex_init(&s->lock, NULL);
}

static void free_state(State *a)
{
    free(a->ids);
    free(a);
}

void states_close(States *s)
{
    for (State *a = s->first, *next; a; a = next) next = a->next, free_state(a);
    s->first = NULL;
    pthread_mutex_destroy(&s->lock);
}

/* ---- with the lock held ----------------------------------------------------------------------------------- */

/* Where it hangs; names of another tenant don't exist. */
static State **place_of(States *s, const char *tenant, const char *id)
{
    State **at = &s->first;
    while (*at && (strcmp((*at)->id, id) || strcmp((*at)->tenant, tenant))) at = &(*at)->next;
    return at;
}

static bool find(States *s, const char *tenant, const char *id, bool idle, State **out, Fault *f)
{
    *out = *place_of(s, tenant, id);
    if (!*out) {
        fault_set(f, 404, "state", "there is no state %.64s; GET /v1/states lists yours", id);
        f->code = "state_not_found";
        return false;
    }
    if (!idle || !(*out)->busy) return true;
    return fault_set(f, 409, "state", "a request goes on with the state %.64s; wait for its end, or fork it", id);
}

/* Do n more tokens, and another state if `another`, keep to the limits? */
static bool has_room(States *s, const char *tenant, size_t n, bool another, Fault *f)
{
    int64_t all = 0, mine = 0, tokens = 0;
    for (const State *a = s->first; a; a = a->next) {
        all++;
        if (strcmp(a->tenant, tenant)) continue;
        mine++, tokens += (int64_t)(a->n + a->reserved);
    }
    const int64_t *most = s->limits->at;
    if (another && mine >= most[LIMIT_states])
        return fault_set(f, 400, "state", "%lld states are yours already, and this server allows no more: delete one",
                         (long long)mine);
    if (another && all >= most[LIMIT_all_states])
        return fault_set(f, 400, "state", "this server holds %lld states, and no more", (long long)all);
    if (tokens + (int64_t)n > most[LIMIT_state_tokens])
        return fault_set(f, 400, "state", "your states would have up to %lld tokens together; this server allows %lld: "
                         "delete some, or set a smaller max_tokens", (long long)(tokens + (int64_t)n),
                         (long long)most[LIMIT_state_tokens]);
    return true;
}

static void tell(const State *a, StateInfo *info)
{
    if (!info) return;
    *info = (StateInfo){.n = a->n, .created = a->created, .busy = a->busy};
    memcpy(info->id, a->id, sizeof info->id);
}

static bool copy_ids(int32_t **out, const int32_t *ids, size_t n, Fault *f)
{
    *out = malloc((n ? n : 1) * sizeof **out);
    if (!*out) return fault_set(f, 503, NULL, "no memory for the state");
    if (n) memcpy(*out, ids, n * sizeof *ids);
    return true;
}

static bool is_name(const char *id)
{
    size_t n = strlen(id);
    return n > 0 && n <= STATE_ID &&
           strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n;
}

static void draw_name(char id[STATE_ID + 1])
{
    unsigned long long x = 0;
    if (getrandom(&x, sizeof x, 0) != (ssize_t)sizeof x) x = (unsigned long long)time(NULL);
    snprintf(id, STATE_ID + 1, "st-%016llx", x);
}

/* The state of a name, made if there is none. */
static State *make(States *s, const char *tenant, const char *id)
{
    State **at = place_of(s, tenant, id);
    if (*at) return *at;
    State *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    snprintf(a->id, sizeof a->id, "%s", id);
    snprintf(a->tenant, sizeof a->tenant, "%s", tenant);
    return *at = a; /* at the end: the list is in order of age */
}

static bool put(States *s, const char *tenant, const char *id, int32_t *ids, size_t n, StateInfo *info, Fault *f)
{
    State *old = *place_of(s, tenant, id);
    size_t before = old ? old->n : 0;
    if (old && !find(s, tenant, id, true, &old, f)) return false;
    if (!has_room(s, tenant, n > before ? n - before : 0, !old, f)) return false;
    State *a = make(s, tenant, id);
    if (!a) return fault_set(f, 503, NULL, "no memory for the state");
    free(a->ids);
    a->ids = ids, a->n = n, a->created = (long)time(NULL);
    tell(a, info);
    return true;
}

/* ---- for everybody ---------------------------------------------------------------------------------------- */

bool states_put(States *s, const char *tenant, const char *id, const int32_t *ids, size_t n, StateInfo *info, Fault *f)
{
    char drawn[STATE_ID + 1];
    int32_t *copy;
    if (id && !is_name(id))
        return fault_set(f, 400, "state", "the name of a state has 1 to %d letters, digits, - and _", STATE_ID);
    if (!id) draw_name(drawn), id = drawn;
    if (!copy_ids(&copy, ids, n, f)) return false;
    pthread_mutex_lock(&s->lock);
    bool good = put(s, tenant, id, copy, n, info, f);
    pthread_mutex_unlock(&s->lock);
    if (!good) free(copy);
    return good;
}

bool states_get(States *s, const char *tenant, const char *id, StateInfo *info, Fault *f)
{
    State *a;
    pthread_mutex_lock(&s->lock);
    bool good = find(s, tenant, id, false, &a, f);
    if (good) tell(a, info);
    pthread_mutex_unlock(&s->lock);
    return good;
}

bool states_delete(States *s, const char *tenant, const char *id, Fault *f)
{
    State *a;
    pthread_mutex_lock(&s->lock);
    bool good = find(s, tenant, id, true, &a, f);
    if (good) {
        *place_of(s, tenant, id) = a->next;
        free_state(a);
    }
    pthread_mutex_unlock(&s->lock);
    return good;
}

static bool reaches(const State *a, int64_t position, Fault *f)
{
    if (position >= 0 && (uint64_t)position <= a->n) return true;
    return fault_set(f, 400, "position", "the state %.64s has %zu tokens, so there is no position %lld in it", a->id,
                     a->n, (long long)position);
}

bool states_rewind(States *s, const char *tenant, const char *id, int64_t position, StateInfo *info, Fault *f)
{
    State *a;
    pthread_mutex_lock(&s->lock);
    bool good = find(s, tenant, id, true, &a, f) && reaches(a, position, f);
    if (good) a->n = (size_t)position, tell(a, info);
    pthread_mutex_unlock(&s->lock);
    return good;
}

bool states_copy(States *s, const char *tenant, const char *id, int64_t position, int32_t **ids, size_t *n, Fault *f)
{
    State *a;
    pthread_mutex_lock(&s->lock);
    bool good = find(s, tenant, id, false, &a, f) && (position < 0 || reaches(a, position, f));
    if (good) *n = position < 0 ? a->n : (size_t)position;
    good = good && copy_ids(ids, a->ids, *n, f);
    pthread_mutex_unlock(&s->lock);
    return good;
}

size_t states_list(States *s, const char *tenant, StateInfo *out, size_t most)
{
    size_t n = 0;
    pthread_mutex_lock(&s->lock);
    for (const State *a = s->first; a && n < most; a = a->next)
        if (strcmp(a->tenant, tenant) == 0) tell(a, &out[n++]);
    pthread_mutex_unlock(&s->lock);
    return n;
}

/* ---- for a request that goes on with one ------------------------------------------------------------------ */

bool states_take(States *s, const char *tenant, const char *id, int32_t **ids, size_t *n, Fault *f)
{
    State *a;
    pthread_mutex_lock(&s->lock);
    bool good = find(s, tenant, id, true, &a, f) && copy_ids(ids, a->ids, a->n, f);
    if (good) *n = a->n, a->busy = true;
    pthread_mutex_unlock(&s->lock);
    return good;
}

bool states_reserve(States *s, const char *tenant, const char *id, size_t more, Fault *f)
{
    State *a;
    pthread_mutex_lock(&s->lock);
    bool good = find(s, tenant, id, false, &a, f) && has_room(s, tenant, more, false, f);
    if (good) a->reserved = more;
    pthread_mutex_unlock(&s->lock);
    return good;
}

void states_leave(States *s, const char *tenant, const char *id, const int32_t *ids, size_t n)
{
    Fault unused;
    int32_t *copy = NULL;
    bool changes = ids && copy_ids(&copy, ids, n, &unused);
    pthread_mutex_lock(&s->lock);
    State *a = *place_of(s, tenant, id);
    if (a && changes) {
        free(a->ids);
        a->ids = copy, a->n = n;
    }
    if (a) a->busy = false, a->reserved = 0;
    else free(copy);
    pthread_mutex_unlock(&s->lock);
}
