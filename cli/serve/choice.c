/* choice.c -- the text of a sequence as its tokens come: entries, stop strings, what is certain */
#include "serve/choice.h"

#include <stdlib.h>
#include <string.h>

static size_t stride(const Ask *a) { return (size_t)(a->logprobs < 0 ? 0 : 1 + a->logprobs); }

/* Room for one more token, and for an entry of it. */
static bool reserve(Choice *c, const Ask *a, size_t n)
{
    if (n <= c->room) return true;
    size_t room = 2 * n + 32, k = stride(a);
    int32_t *ids = realloc(c->ids, room * sizeof *ids);
    if (ids) c->ids = ids;
    size_t *starts = realloc(c->starts, room * sizeof *starts);
    if (starts) c->starts = starts;
    pha_logprob *p = k ? realloc(c->logprobs, room * k * sizeof *p) : c->logprobs;
    if (p) c->logprobs = p;
    if (!ids || !starts || (k && !p)) return false;
    c->room = room;
    return true;
}

static void add_entry(Choice *c, const Ask *a, const pha_logprob *p)
{
    size_t k = stride(a), at = c->n_entries++;
    c->starts[at] = c->text.size;
    if (k && p) memcpy(c->logprobs + at * k, p, k * sizeof *p);
    else if (k) c->logprobs[at * k].id = -1;
}

bool choice_begin(Choice *c, const Ask *a, const Tokens *tokens)
{
    size_t n = c->prompt->n;
    if (!reserve(c, a, n + 1)) return false;
    memcpy(c->ids, c->prompt->ids, n * sizeof *c->ids);
    c->n_ids = n;
    c->first = a->echo ? 0 : n;
    text_add(&c->text, "", 0); /* there is always a text */
    for (size_t i = 0; a->echo && i < n; i++) {
        size_t size;
        const char *bytes = tokens_bytes(tokens, c->ids[i], &size);
        add_entry(c, a, NULL);
        text_add(&c->text, bytes, size);
    }
    c->echoed = c->text.size;
    return !c->text.failed;
}

void choice_scored(Choice *c, const Ask *a, size_t first, size_t n, const pha_logprob *p)
{
    size_t k = stride(a);
    memcpy(c->logprobs + first * k, p, n * k * sizeof *p);
}

/* ---- stop strings ----------------------------------------------------------------------------------------- */

/* Where the first stop string begins that ends behind byte `known`; the size of the text if there is none. */
static size_t find_stop(const Choice *c, const Ask *a, size_t known)
{
    size_t first = c->text.size;
    for (size_t i = 0; i < a->n_stop; i++) {
        size_t n = a->stop[i].size, from = known > c->echoed + n - 1 ? known - (n - 1) : c->echoed;
        if (from >= c->text.size) continue;
        const char *at = memmem(c->text.data + from, c->text.size - from, a->stop[i].text, n);
        if (at && (size_t)(at - c->text.data) < first) first = (size_t)(at - c->text.data);
    }
    return first;
}

/* The longest end of the text with which a stop string may begin. */
static size_t held_back(const Choice *c, const Ask *a)
{
    size_t most = 0, size = c->text.size - c->echoed;
    for (size_t i = 0; i < a->n_stop; i++) {
        size_t n = a->stop[i].size - 1 < size ? a->stop[i].size - 1 : size;
        while (n > most && memcmp(c->text.data + c->text.size - n, a->stop[i].text, n)) n--;
        most = n > most ? n : most;
    }
    return most;
}

/* The tokens whose text has gone altogether go with it. */
static void cut(Choice *c, size_t at)
{
    c->text.size = at;
    if (c->text.data) c->text.data[at] = 0;
    while (c->n_entries && c->starts[c->n_entries - 1] >= at && c->first + c->n_entries > c->prompt->n) c->n_entries--;
    c->finish = "stop";
}

bool choice_drew(Choice *c, const Ask *a, const Tokens *tokens, int32_t id, const pha_logprob *p)
{
    size_t size, known = c->text.size;
    if (!reserve(c, a, c->n_ids + 1)) return false;
    c->ids[c->n_ids++] = id;
    c->made++;
    add_entry(c, a, p);
    if (id == tokens->end && !a->ignore_end) {
        c->finish = "stop";
        return true;
    }
    const char *bytes = tokens_bytes(tokens, id, &size);
    text_add(&c->text, bytes, size);
    if (c->text.failed) return false;
    size_t at = find_stop(c, a, known);
    if (at < c->text.size) cut(c, at);
    else if (c->made >= c->most) c->finish = "length";
    return true;
}

size_t choice_certain(const Choice *c, const Ask *a)
{
    if (c->finish) return c->text.size;
    size_t n = c->text.size - held_back(c, a);
    return c->text.data ? pha_utf8_whole(c->text.data, n) : 0;
}

size_t choice_whole(const Choice *c, const Tokens *tokens)
{
    size_t n = c->first + c->n_entries;
    while (n > c->prompt->n) {
        size_t size;
        tokens_bytes(tokens, c->ids[n - 1], &size);
        if (c->starts[n - 1 - c->first] + size <= c->text.size) break;
        n--;
    }
    return n;
}

void choice_free(Choice *c)
{
    free(c->ids);
    free(c->starts);
    free(c->logprobs);
    text_free(&c->text);
    c->ids = NULL, c->starts = NULL, c->logprobs = NULL;
}
