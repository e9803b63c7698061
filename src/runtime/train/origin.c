/* origin.c -- what a checkpoint tells of the run that wrote it
 *
 * The options of the run by their table, and facts that are no options: the configuration, the data, the kernels. In
 * the file "identity" has what is PHA__FIXED and "course" the rest; what is PHA__BY_DEVICE is one of both.
 */
#include "runtime/train/origin.h"

#include <string.h>

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

/* A later build has more keys. What it cannot read stays as it is. */
static pha_status config_before(json_t **was)
{
    json_t *now;
    pha__config_rules rules = pha__rules();
    pha_status status = pha__config_renew(&now, *was, "config", &rules);
    if (!status) json_decref(*was), *was = now;
    return status == PHA_NO_MEMORY ? status : PHA_OK;
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

static json_t *train_data(const pha_trainer *t) { return pha__json_hex(pha__tokens_identity(t->data)); }

static json_t *valid_data(const pha_trainer *t) { return pha__json_hex(t->valid ? pha__tokens_identity(t->valid) : 0); }

/* The rules of a course: 1, windows on one grid in every epoch, a cosine that ends above its last rate, a guard that
 * compares with a multiple of the mean loss; 2, as now. */
static json_t *rules(const pha_trainer *t)
{
    (void)t;
    return pha__json_number(2);
}

static const struct fact {
    const char *key;
    pha__option_role role;
    json_t *(*value)(const pha_trainer *t);
    pha_status (*before)(json_t **was); /* says what a checkpoint has in the words of this build; may be NULL */
    bool data;        /* may be another on request */
    const char *once; /* what a checkpoint of before this key was written with, if it was something else */
} facts[] = {
    {.key = "config", PHA__FIXED, config, config_before},
    {.key = "tokenizer_hash", PHA__FIXED, tokenizer_hash},
    {.key = "tokens", PHA__FIXED, tokens, .data = true},
    {.key = "train_data", PHA__FIXED, train_data, .data = true},
    {.key = "valid_data", PHA__FIXED, valid_data, .data = true},
    {.key = "rules", PHA__IDENTITY, rules, .once = "1"},
    {.key = "isa", PHA__IDENTITY, isa},
    {.key = "kernels", PHA__IDENTITY, kernels},
};

enum { FACTS = sizeof facts / sizeof *facts };

/* ---- facts and options as one list ----------------------------------------------------------------------- */

typedef struct entry {
    const char *key;
    pha__option_role role;
    const pha__option *row;  /* NULL: a fact, */
    const struct fact *fact; /* this one */
    bool kept;               /* in the checkpoint; else now is NULL */
    json_t *now;             /* to be released; NULL of what is kept: no memory */
} entry;

static pha__option_role role_of(const pha_trainer *t, const pha__option *row)
{
    if (row->role != PHA__BY_DEVICE) return row->role;
    return t->device->backend->by_sequence && !t->program->takes_turns ? PHA__FREE : PHA__FIXED;
}

/* The i-th entry; false: there are no more. */
static bool get(const pha_trainer *t, size_t i, entry *e)
{
    if (i < FACTS) {
        const struct fact *f = &facts[i];
        *e = (entry){.key = f->key, .role = f->role, .fact = f, .kept = true, .now = f->value(t)};
        return true;
    }
    if (i - FACTS >= pha__n_train_options) return false;
    const pha__option *row = &pha__train_options[i - FACTS];
    bool kept = row->role != PHA__FREE && row->role != PHA__CALL;
    *e = (entry){row->key, role_of(t, row), row, NULL, kept, kept ? pha__option_stored(row, &t->o) : NULL};
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

/* Wherever it stands, so that an option may change its role. NULL: nowhere; else to be released. */
static pha_status before(json_t **was, const json_t *json, const entry *e)
{
    *was = json_incref(json_object_get(json_object_get(json, "identity"), e->key));
    if (!*was) *was = json_incref(json_object_get(json_object_get(json, "course"), e->key));
    return *was && e->fact && e->fact->before ? e->fact->before(was) : PHA_OK;
}

static bool same(const json_t *was, const json_t *now)
{
    if (json_is_real(now)) return json_is_number(was) && json_number_value(was) == json_number_value(now);
    return json_equal(was, now);
}

/* ---- reading --------------------------------------------------------------------------------------------- */

static void json_text(const json_t *value, char *text, size_t size)
{
    pha__str s = {0};
    pha__json_print(&s, value, JSON_COMPACT | JSON_ENCODE_ANY);
    pha__print(text, size, "%s", s.failed ? "something else" : s.data);
    pha__str_free(&s);
}

static void text_of(const entry *e, const json_t *value, char *text, size_t size)
{
    if (e->row) pha__option_text(e->row, value, text, size);
    else if (json_is_string(value)) pha__print(text, size, "%s", json_string_value(value));
    else if (!value) pha__print(text, size, "none");
    else json_text(value, text, size);
}

/* Of what has keys, the one that differs. */
static const char *name_difference(const json_t **was, const json_t **now, const char *key)
{
    const char *inside = json_is_object(*was) && json_is_object(*now) ? pha__config_difference(*was, *now) : NULL;
    if (inside) *was = json_object_get(*was, inside), *now = json_object_get(*now, inside);
    return inside ? inside : key;
}

static bool is_data(const entry *e) { return e->fact && e->fact->data; }

/* Is it another that has to be the same? What checkpoints say of the data began with the number of tokens. */
static bool refused(const pha_trainer *t, const entry *e, const json_t *was)
{
    if (e->role != PHA__FIXED || (is_data(e) && t->o.other_data)) return false;
    if (!was && e->row) return !pha__option_is_default(e->row, &t->o); /* an earlier build knew nothing else */
    if (!was) return !is_data(e) || !strcmp(e->key, "tokens");
    return !same(was, e->now);
}

static pha_status refuse(const pha_trainer *t, const entry *e, const json_t *was, const char *path)
{
    char a[64], b[64];
    const json_t *now = e->now;
    const char *key = name_difference(&was, &now, e->key);
    text_of(e, was, a, sizeof a);
    text_of(e, now, b, sizeof b);
    if (is_data(e))
        FAIL(BAD_INPUT,
             "%s: the run was trained on other data than %s has now (%s = %s, here %s): other text, another order or "
             "another split; give the run its data again, or go on over this with --other-data",
             path, t->o.data, e->key, a, b);
    FAIL(BAD_INPUT,
         "%s: was written with another '%s' (%s, now %s); resume with the options of the run (they are in run.json), "
         "or train into a new folder with --init-from",
         path, key, a, b);
}

/* Options first: some of them change the configuration, and have a name of their own. */
pha_status pha__origin_check(const pha_trainer *t, const json_t *json, const char *path)
{
    pha_status status = PHA_OK;
    entry e;
    size_t n = FACTS + pha__n_train_options;
    for (size_t i = 0; i < n && get(t, (i + FACTS) % n, &e); i++) {
        json_t *was = NULL;
        if (!status) status = before(&was, json, &e);
        if (!status && e.kept && !e.now)
            status = pha__fail(PHA_NO_MEMORY, "%s: no memory to compare it with this run", path);
        if (!status && refused(t, &e, was)) status = refuse(t, &e, was, path);
        json_decref(was);
        json_decref(e.now);
    }
    return status;
}

static void tell(const entry *e, const char *was, const char *path)
{
    char now[64];
    text_of(e, e->now, now, sizeof now);
    if (e->role != PHA__COURSE)
        pha__log(PHA__LOG_WARN, "%s: the run had %s = %s and goes on with %s; from here it is another run", path,
                 e->key, was, now);
    else
        pha__log(PHA__LOG_NOTE, "%s: the run had %s = %s and goes on with %s", path, e->key, was, now);
}

void pha__origin_tell(const pha_trainer *t, const json_t *json, const char *path)
{
    entry e;
    for (size_t i = 0; get(t, i, &e); i++) {
        json_t *was = NULL;
        char text[64];
        if (!before(&was, json, &e) && e.role != PHA__FREE && e.now && was && !same(was, e.now)) {
            text_of(&e, was, text, sizeof text);
            tell(&e, text, path);
        } else if (!was && e.fact && e.fact->once) {
            tell(&e, e.fact->once, path);
        }
        json_decref(was);
        json_decref(e.now);
    }
}

/* ---- the other ranks ------------------------------------------------------------------------------------- */

static pha_status differs(const pha_trainer *t, const entry *e, const json_t *there)
{
    char a[64], b[64];
    const json_t *now = e->now;
    const char *key = name_difference(&there, &now, e->key);
    text_of(e, there, a, sizeof a);
    text_of(e, now, b, sizeof b);
    if (is_data(e))
        FAIL(BAD_INPUT, "%s holds other data than it does on the leading rank (%s = %s, there %s); copy that folder",
             t->o.data, e->key, b, a);
    FAIL(BAD_INPUT, "has %s = %s, the leading rank %s; all ranks need the same options, configuration and kernels", key,
         b, a);
}

static pha_status compare(const pha_trainer *t, const json_t *leading)
{
    pha_status status = PHA_OK;
    const char *version = json_string_value(json_object_get(leading, "version"));
    if (!version || strcmp(version, pha_version()) != 0)
        FAIL(BAD_INPUT, "is pha %s, the leading rank %s", pha_version(), version ? version : "another");
    entry e;
    for (size_t i = 0; get(t, i, &e); i++) {
        json_t *there = NULL;
        bool compared = e.kept && e.role != PHA__FREE;
        if (!status && compared) status = before(&there, leading, &e);
        if (!status && compared && !same(there, e.now)) status = differs(t, &e, there);
        json_decref(there);
        json_decref(e.now);
    }
    return status;
}

/* What the leading rank says of its run, as text. */
static pha_status leading_text(const pha_trainer *t, pha__str *text)
{
    json_t *json = pha__json_object();
    pha__json_set(&json, "version", pha__json_text(pha_version()));
    pha__origin_write(t, &json);
    pha__json_print(text, json, JSON_COMPACT);
    json_decref(json);
    return text->failed ? PHA_NO_MEMORY : PHA_OK;
}

static pha_status compare_text(const pha_trainer *t, const char *text, size_t size)
{
    json_t *leading;
    TRY(pha__json_parse(&leading, text, size, "the leading rank"));
    pha_status status = compare(t, leading);
    json_decref(leading);
    return status;
}

pha_status pha__origin_compare(const pha_trainer *t)
{
    if (t->comm->size == 1) return PHA_OK;
    pha__str text = {0};
    pha_status status = pha__leads(t) ? leading_text(t, &text) : PHA_OK;
    uint64_t size = text.size;
    status = pha__from_leader(t, status, &size, sizeof size);
    char *all = status ? NULL : pha__alloc(size + 1, 1);
    if (all && pha__leads(t)) memcpy(all, text.data, size);
    if (!status) status = pha__comm_agree(t->comm, all ? PHA_OK : PHA_NO_MEMORY);
    if (!status) status = pha__comm_broadcast(t->comm, 0, NULL, all, size);
    if (!status) status = pha__comm_agree(t->comm, compare_text(t, all, size));
    pha__free(all);
    pha__str_free(&text);
    return status;
}
