/* origin.c -- what a checkpoint tells of the run that wrote it
 *
 * The options of the run by their table, and facts that are no options: the configuration, the data, the kernels. In
 * the file "identity" has what is PHA__FIXED and "course" the rest.
 */
#include "runtime/train/origin.h"


#include "backend/backend.h"
#include "base/json.h"
#include "base/log.h"
#include "base/print.h"
#include "runtime/train/options.h"

/* ---- facts ----------------------------------------------------------------------------------------------- */

static json_t *config(const pha_trainer *t)
{
    pha__config_rules rules = pha__rules();
    return pha__config_to_json(&t->config, &rules);
}

static json_t *tokens(const pha_trainer *t) { return pha__json_number((int64_t)pha__tokens_count(t->data)); }

static json_t *tokenizer_hash(const pha_trainer *t) { return pha__json_hex(pha__tokens_tokenizer_hash(t->data)); }

static json_t *isa(const pha_trainer *t)
{
    (void)t;
    return pha__json_text(pha_isa());
}

static json_t *kernels(const pha_trainer *t)
{
    (void)t;
    return pha__json_number(PHA__KERNELS);
}

static const struct fact {
    const char *key;
    pha__option_role role;
    json_t *(*value)(const pha_trainer *t);
} facts[] = {
    {"config", PHA__FIXED, config}, {"tokens", PHA__FIXED, tokens}, {"tokenizer_hash", PHA__FIXED, tokenizer_hash},
    {"isa", PHA__IDENTITY, isa},    {"kernels", PHA__IDENTITY, kernels},
};

enum { FACTS = sizeof facts / sizeof *facts };

/* ---- facts and options as one list ----------------------------------------------------------------------- */

typedef struct entry {
    const char *key;
    pha__option_role role;
    const pha__option *row; /* NULL: a fact */
    bool kept;              /* in the checkpoint; else now is NULL */
    json_t *now;            /* to be released; NULL of what is kept: no memory */
} entry;

/* The i-th entry; false: there are no more. */
static bool get(const pha_trainer *t, size_t i, entry *e)
{
    if (i < FACTS) {
        *e = (entry){.key = facts[i].key, .role = facts[i].role, .kept = true, .now = facts[i].value(t)};
        return true;
    }
    if (i - FACTS >= pha__n_train_options) return false;
    const pha__option *row = &pha__train_options[i - FACTS];
    bool kept = row->role != PHA__FREE && row->role != PHA__CALL;
    *e = (entry){row->key, row->role, row, kept, kept ? pha__option_stored(row, &t->o) : NULL};
    return true;
}

void pha__origin_write(const pha_trainer *t, json_t **json)
{
    json_t *identity = pha__json_object(), *course = pha__json_object();
    entry e;
    for (size_t i = 0; get(t, i, &e); i++)
        if (e.kept) pha__json_set(e.role == PHA__FIXED ? &identity : &course, e.key, e.now);
    pha__json_set(json, "identity", identity);
    pha__json_set(json, "course", course);
}

/* Wherever it stands, so that an option may change its role. */
static const json_t *before(const json_t *json, const char *key)
{
    const json_t *was = json_object_get(json_object_get(json, "identity"), key);
    return was ? was : json_object_get(json_object_get(json, "course"), key);
}

static bool same(const json_t *was, const json_t *now)
{
    if (json_is_real(now)) return json_is_number(was) && json_number_value(was) == json_number_value(now);
    return json_equal(was, now);
}

/* ---- reading --------------------------------------------------------------------------------------------- */

pha_status pha__origin_check(const pha_trainer *t, const json_t *json, const char *path)
{
    const char *other = NULL;
    bool failed = false;
    entry e;
    for (size_t i = 0; get(t, i, &e); i++) {
        const json_t *was = before(json, e.key);
        failed = failed || (e.kept && !e.now);
        if (!other && e.role == PHA__FIXED && !(was && same(was, e.now))) other = e.key;
        json_decref(e.now);
    }
    if (failed) FAIL(NO_MEMORY, "%s: no memory to compare it with this run", path);
    if (other)
        FAIL(BAD_INPUT,
             "%s: was written with another '%s'; resume with the options of the run (they are in run.json), or train "
             "into a new folder with --init-from",
             path, other);
    return PHA_OK;
}

static void text_of(const entry *e, const json_t *value, char *text, size_t size)
{
    if (e->row) pha__option_text(e->row, value, text, size);
    else if (json_is_string(value)) pha__print(text, size, "%s", json_string_value(value));
    else pha__print(text, size, "%lld", (long long)json_integer_value(value));
}

static void tell(const entry *e, const json_t *was, const char *path)
{
    char a[64], b[64];
    text_of(e, was, a, sizeof a);
    text_of(e, e->now, b, sizeof b);
    if (e->role == PHA__IDENTITY)
        pha__log(PHA__LOG_WARN, "%s: the run had %s = %s and goes on with %s; from here it is another run", path,
                 e->key, a, b);
    else
        pha__log(PHA__LOG_NOTE, "%s: the run had %s = %s and goes on with %s", path, e->key, a, b);
}

void pha__origin_tell(const pha_trainer *t, const json_t *json, const char *path)
{
    entry e;
    for (size_t i = 0; get(t, i, &e); i++) {
        const json_t *was = before(json, e.key);
        if (e.now && was && !same(was, e.now)) tell(&e, was, path);
        json_decref(e.now);
    }
}
