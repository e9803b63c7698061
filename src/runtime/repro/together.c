/* together.c -- several ranks make the runs of an experiment: each trains whole ones, in turns of as many as there are
 * ranks, and tells the others what came of them. Their folder is one that all see; the leading rank writes what is not
 * of one run. */
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "runtime/repro/repro.h"

/* ---- what ranks tell each other --------------------------------------------------------------------------- */

/* Of each rank a text, "" where it has none; text[r] is the caller's. */
static pha_status share(pha__comm *c, const char *mine, char **text)
{
    uint64_t *size = pha__alloc_zero((size_t)c->size, sizeof *size);
    pha_status status = pha__comm_agree(c, size ? PHA_OK : PHA_NO_MEMORY);
    if (!status) size[c->rank] = strlen(mine) + 1, status = pha__comm_all_gather(c, size, sizeof *size);
    bool room = true;
    for (int r = 0; r < c->size && !status; r++) room = (text[r] = pha__alloc((size_t)size[r], 1)) && room;
    if (!status) status = pha__comm_agree(c, room ? PHA_OK : PHA_NO_MEMORY);
    if (!status) memcpy(text[c->rank], mine, (size_t)size[c->rank]);
    for (int r = 0; r < c->size && !status; r++)
        status = pha__comm_broadcast(c, r, NULL, text[r], (size_t)size[r]);
    pha__free(size);
    return status;
}

static pha_status print(pha__str *out, const json_t *json)
{
    pha__json_print(out, json, JSON_COMPACT | JSON_REAL_PRECISION(17));
    if (out->failed) FAIL(NO_MEMORY, "no memory for what ranks tell each other");
    return PHA_OK;
}

/* Has every rank come this far, and what did each bring? take: of what others say. */
static pha_status exchange(pha__repro *r, pha_status status, const json_t *mine,
                           pha_status (*take)(pha__repro *r, json_t *told))
{
    pha__comm *c = r->world;
    pha__str said = {0};
    char **text = pha__alloc_zero((size_t)c->size, sizeof *text);
    pha_status ready = !text ? PHA_NO_MEMORY : mine ? print(&said, mine) : PHA_OK;
    ready = pha__comm_agree(c, ready);
    if (!ready) ready = share(c, mine ? said.data : "", text);
    for (int k = 0; k < c->size && !ready; k++) {
        json_t *told = NULL;
        if (k == c->rank || !*text[k]) continue;
        ready = pha__json_parse(&told, text[k], strlen(text[k]), "what another rank says");
        if (!ready) ready = take(r, told);
        json_decref(told);
    }
    for (int k = 0; text && k < c->size; k++) pha__free(text[k]);
    pha__free(text);
    pha__str_free(&said);
    return pha__comm_agree(c, ready ? ready : status);
}

/* ---- beginning -------------------------------------------------------------------------------------------- */

static pha_status take_results(pha__repro *r, json_t *told)
{
    json_decref(r->results);
    r->results = json_incref(told);
    return PHA_OK;
}

pha_status pha__repro_begin(pha__repro *r)
{
    pha_status status = pha__repro_leads(r) ? pha__results_load(r) : PHA_OK;
    if (r->world->size == 1) return status;
    TRY(pha__comm_agree(r->world, status));
    return exchange(r, PHA_OK, pha__repro_leads(r) ? r->results : NULL, take_results);
}

pha_status pha__repro_data(pha__repro *r)
{
    if (r->world->size == 1) return pha__repro_prepare(r);
    TRY(pha__comm_agree(r->world, pha__repro_leads(r) ? pha__repro_prepare(r) : PHA_OK));
    return pha__comm_agree(r->world, pha__repro_leads(r) ? PHA_OK : pha__repro_prepare(r));
}

/* ---- turns ------------------------------------------------------------------------------------------------ */

static pha_status take_result(pha__repro *r, json_t *told)
{
    const char *key = json_string_value(json_object_get(told, "run"));
    return pha__results_put(r, key, json_incref(json_object_get(told, "result")));
}

/* Number `which` of the runs without a result whose rate is known; NULL: there is none. */
static const pha__trial *pending(const pha__repro *r, int which)
{
    for (size_t i = 0; i < r->n_runs; i++)
        if (!r->runs[i].result && r->runs[i].lr && which-- == 0) return &r->runs[i];
    return NULL;
}

static pha_status make(pha__repro *r, const pha__trial *run, json_t **told)
{
    char key[PHA__REPRO_KEY];
    json_t *result;
    pha__trial_key(key, run);
    TRY(pha__repro_run(r, run, &result));
    *told = pha__json_object();
    pha__json_set(told, "run", pha__json_text(key));
    pha__json_set(told, "result", json_incref(result));
    return pha__results_put(r, key, result);
}

pha_status pha__repro_turn(pha__repro *r, bool *more)
{
    const pha__trial *run = pending(r, r->world->rank);
    json_t *told = NULL;
    *more = pending(r, 0) != NULL;
    if (!*more) return PHA_OK;
    pha__comm_apart(true);
    pha_status status = run ? make(r, run, &told) : PHA_OK;
    pha__comm_apart(false);
    if (r->world->size > 1) status = exchange(r, status, told, take_result);
    json_decref(told);
    return status;
}
