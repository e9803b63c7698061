/* config.c -- config.json, from one table: a row per key */
#include "io/config.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/print.h"
#include "base/range.h"
#include "base/str.h"
#include "io/config_check.h"

#define MAX_FILE ((size_t)1 << 20)

typedef pha__config_key row;

#define AT(field) offsetof(pha__config, field)
#define NAMES(...) (const char *const[]){ __VA_ARGS__, NULL }
#define ALL_BRANCHES (PHA__BRANCH_ATTN | PHA__BRANCH_GSS | PHA__BRANCH_AUX)

enum { ATTN = PHA__BRANCH_ATTN, GSS = PHA__BRANCH_GSS, AUX = PHA__BRANCH_AUX, TWO = 8 }; /* TWO: any two branches */

static const char *const branch_names[] = { "attn", "gss", "aux", NULL }; /* bit i */

static const row rows[] = {
    { "arch", PHA__KEY_TEXT, AT(arch), true, 0, 0, 0, NULL, 0 },
    { "vocab_size", PHA__KEY_INT, AT(vocab_size), false, 1, 1 << 24, 0, NULL, 0 }, /* absent: that of the data */
    { "d_model", PHA__KEY_INT, AT(d_model), true, 1, 65536, 0, NULL, 0 },
    { "n_layer", PHA__KEY_INT, AT(n_layer), true, 1, PHA__MAX_LAYER, 0, NULL, 0 },
    { "n_head", PHA__KEY_INT, AT(n_head), false, 1, 4096, 0, NULL, ATTN },
    { "n_kv_head", PHA__KEY_INT, AT(n_kv_head), false, 1, 4096, 0, NULL, ATTN },
    { "d_state", PHA__KEY_INT, AT(d_state), false, 32, 1 << 20, 0, NULL, GSS },
    { "d_ffn", PHA__KEY_INT, AT(d_ffn), true, 1, 1 << 20, 0, NULL, 0 },
    { "d_aux", PHA__KEY_INT, AT(d_aux), false, 1, 1 << 20, 0, NULL, AUX },
    { "branches", PHA__KEY_BRANCHES, AT(branches), false, 0, 0, ALL_BRANCHES, branch_names, 0 },
    { "residual", PHA__KEY_NAME, AT(residual), false, 0, 0, PHA__RES_POST,
      NAMES("post", "post_raw", "pre", "pre_alpha", "pre_inv"), 0 },
    { "main_residual", PHA__KEY_BOOL, AT(main_residual), false, 0, 0, true, NULL, 0 },
    { "alpha", PHA__KEY_REAL, AT(alpha), false, 1e-6, 1000, 0, NULL, 0 }, /* null or absent: pha__config_alpha */
    { "embed_std", PHA__KEY_REAL, AT(embed_std), false, 1e-8, 10, 0.02, NULL, 0 },
    { "gate_bias", PHA__KEY_NAME, AT(gate_bias), false, 0, 0, PHA__BIAS_ZERO, NAMES("zero", "none", "matched"), GSS },
    { "wb_scale", PHA__KEY_NAME, AT(wb_scale), false, 0, 0, PHA__WB_INIT, NAMES("init", "none", "fixed"), GSS },
    { "seq_norm", PHA__KEY_BOOL, AT(seq_norm), false, 0, 0, true, NULL, 0 },
    { "window", PHA__KEY_WINDOW, AT(window), false, 1, 1 << 24, 0, NULL, ATTN },
    { "local", PHA__KEY_INT, AT(local), false, 1, 1 << 24, 0, NULL, ATTN },
    { "mix", PHA__KEY_NAME, AT(mix), false, 0, 0, PHA__MIX_LEARNED, NAMES("learned", "uniform", "dynamic"), TWO },
    { "qk", PHA__KEY_NAME, AT(qk), false, 0, 0, PHA__QK_COSINE, NAMES("cosine", "rms", "dot"), ATTN },
    { "branch_gain", PHA__KEY_BOOL, AT(branch_gain), false, 0, 0, true, NULL, 0 },
    { "rope_theta", PHA__KEY_REAL, AT(rope_theta), false, 1.5, 1e12, 10000, NULL, ATTN },
    { "rope", PHA__KEY_NAME, AT(rope), false, 0, 0, PHA__ROPE_HALF, NAMES("half", "interleaved"), ATTN },
    { "gss_state", PHA__KEY_NAME, AT(gss_state), false, 0, 0, PHA__STATE_REAL, NAMES("real", "complex"), GSS },
    { "gss_filter", PHA__KEY_NAME, AT(gss_filter), false, 0, 0, PHA__FILTER_SILU,
      NAMES("silu", "none", "norm", "conv4"), GSS },
    { "attn_layers", PHA__KEY_LAYERS, AT(attn_layers), false, 0, 0, 0, NULL, 0 },
    { "n_positions", PHA__KEY_INT, AT(n_positions), false, 1, 1 << 20, 1024, NULL, 0 },
};

#define N_ROWS (sizeof rows / sizeof *rows)
#define N_COMMON 4 /* the first rows belong to every architecture */

static bool listed(const char *const *list, const char *key)
{
    for (; *list; list++)
        if (strcmp(*list, key) == 0) return true;
    return false;
}

/* The row after r, NULL before the first: those above, then the architecture's own. NULL behind the last. */
static const row *next(const row *r, const row *own)
{
    r = r == NULL ? rows : r == rows + N_ROWS - 1 ? own : r + 1;
    return r && r->key ? r : NULL;
}

static bool is_own(const row *r) { return r->offset >= AT(own); }

static bool uses(const row *r, const char *const *keys)
{
    return r < rows + N_COMMON || is_own(r) || listed(keys, r->key);
}

/* Does this model read the key? What belongs to a branch that is absent has no meaning. */
static bool in_use(const row *r, const pha__config *c)
{
    if (r->needs == TWO) return (c->branches & (c->branches - 1)) != 0;
    return !r->needs || c->branches & r->needs;
}

/* The default of a row, or -- for a key that the architecture does not use -- of the same. */
static void set_default(pha__config *c, const row *r)
{
    char *at = (char *)c + r->offset;
    if (r->kind == PHA__KEY_REAL) *(double *)(void *)at = r->init;
    else if (r->kind == PHA__KEY_BOOL) *(bool *)at = r->init != 0;
    else if (r->kind != PHA__KEY_TEXT && r->kind != PHA__KEY_WINDOW && r->kind != PHA__KEY_LAYERS)
        *(int32_t *)(void *)at = (int32_t)r->init;
}

static pha_status read_int(int32_t *out, const row *r, const json_t *value, const char *where)
{
    if (!json_is_integer(value)) FAIL(BAD_INPUT, "%s: %s is not a whole number", where, r->key);
    json_int_t n = json_integer_value(value);
    if (n < (json_int_t)r->low || n > (json_int_t)r->high)
        FAIL(BAD_INPUT, "%s: %s = %lld is out of range (%.0f to %.0f)", where, r->key, (long long)n, r->low, r->high);
    *out = (int32_t)n;
    return PHA_OK;
}

static pha_status read_real(double *out, const row *r, const json_t *value, const char *where)
{
    if (json_is_null(value)) return PHA_OK;
    if (!json_is_number(value)) FAIL(BAD_INPUT, "%s: %s is not a number", where, r->key);
    double x = json_number_value(value);
    if (!pha__in_range(x, r->low, r->high))
        FAIL(BAD_INPUT, "%s: %s = %g is out of range (%g to %g)", where, r->key, x, r->low, r->high);
    *out = x;
    return PHA_OK;
}

static pha_status read_bool(bool *out, const row *r, const json_t *value, const char *where)
{
    json_int_t n = json_is_integer(value) ? json_integer_value(value) : -1;
    if (!json_is_boolean(value) && n != 0 && n != 1) FAIL(BAD_INPUT, "%s: %s is neither true nor false", where, r->key);
    *out = json_is_true(value) || n == 1;
    return PHA_OK;
}

static pha_status find_name(int32_t *out, const row *r, const json_t *value, const char *where)
{
    const char *text = json_string_value(value);
    char all[128] = "";
    for (int i = 0; r->names[i]; i++) {
        if (text && strcmp(text, r->names[i]) == 0) return *out = i, PHA_OK;
        pha__print(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? ", " : "", r->names[i]);
    }
    FAIL(BAD_INPUT, "%s: %s: %s%.40s%s is not one of %s", where, r->key, text ? "'" : "", text ? text : "the value",
         text ? "'" : "", all);
}

static pha_status read_branches(int32_t *out, const row *r, const json_t *value, const char *where)
{
    int32_t mask = 0, bit;
    size_t n = json_array_size(value);
    if (n == 0) FAIL(BAD_INPUT, "%s: branches is not a list of attn, gss, aux with at least one of them", where);
    for (size_t i = 0; i < n; i++) {
        TRY(find_name(&bit, r, json_array_get(value, i), where));
        if (mask & 1 << bit) FAIL(BAD_INPUT, "%s: branches names %s twice", where, branch_names[bit]);
        mask |= 1 << bit;
    }
    *out = mask;
    return PHA_OK;
}

/* n_layer has been read before: its row stands above. A list is repeated. */
static pha_status read_window(pha__config *c, const row *r, const json_t *value, const char *where)
{
    bool list = json_is_array(value);
    size_t n = list ? json_array_size(value) : 1;
    if (n == 0 || (size_t)c->n_layer % n)
        FAIL(BAD_INPUT, "%s: window has %zu entries for n_layer = %d; a list is repeated, so their number must divide "
             "that of the layers", where, n, c->n_layer);
    for (int i = 0; i < c->n_layer; i++) {
        const json_t *one = list ? json_array_get(value, (size_t)i % n) : value;
        c->window[i] = 0;
        if (!json_is_null(one)) TRY(read_int(&c->window[i], r, one, where));
    }
    return PHA_OK;
}

/* Indices of layers, from 0. */
static pha_status read_layers(pha__config *c, const row *r, const json_t *value, const char *where)
{
    if (!json_is_array(value)) FAIL(BAD_INPUT, "%s: %s is not a list of layers, like [1, 8]", where, r->key);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *one = json_array_get(value, i);
        json_int_t n = json_integer_value(one);
        if (!json_is_integer(one)) FAIL(BAD_INPUT, "%s: %s has an entry that is no whole number", where, r->key);
        if (n < 0 || n >= c->n_layer)
            FAIL(BAD_INPUT, "%s: %s names layer %lld, but n_layer = %d: there are 0 to %d (nearest: %d)", where, r->key,
                 (long long)n, c->n_layer, c->n_layer - 1, n < 0 ? 0 : c->n_layer - 1);
        if (pha__is_attn_layer(c, (int)n))
            FAIL(BAD_INPUT, "%s: %s names layer %lld twice", where, r->key, (long long)n);
        c->attn_layers[n / 64] |= (uint64_t)1 << n % 64;
    }
    return PHA_OK;
}

static pha_status read_value(pha__config *c, const row *r, const json_t *value, const char *where)
{
    void *at = (char *)c + r->offset;
    switch (r->kind) {
    case PHA__KEY_INT: return read_int(at, r, value, where);
    case PHA__KEY_REAL: return read_real(at, r, value, where);
    case PHA__KEY_BOOL: return read_bool(at, r, value, where);
    case PHA__KEY_NAME: return find_name(at, r, value, where);
    case PHA__KEY_BRANCHES: return read_branches(at, r, value, where);
    case PHA__KEY_WINDOW: return read_window(c, r, value, where);
    case PHA__KEY_LAYERS: return read_layers(c, r, value, where);
    case PHA__KEY_TEXT: return PHA_OK; /* arch, read first */
    }
    return PHA_OK;
}

/* The architectures that read a key, like "gpt2, linear"; "": none. */
static void readers(char *out, size_t size, const char *key, const pha__config_rules *rules)
{
    *out = 0;
    for (const char *at = rules->archs; *at; at += strspn(at, ", ")) {
        char arch[sizeof((pha__config *)0)->arch];
        pha__print(arch, sizeof arch, "%.*s", (int)strcspn(at, ","), at);
        at += strcspn(at, ",");
        const char *const *keys = rules->keys(arch);
        bool reads = false;
        for (const row *r = NULL; keys && (r = next(r, rules->own ? rules->own(arch) : NULL));)
            reads = reads || (!strcmp(r->key, key) && uses(r, keys));
        if (reads) pha__print(out + strlen(out), size - strlen(out), "%s%s", *out ? ", " : "", arch);
    }
}

static pha_status unknown_key(const char *key, const char *arch, const char *const *keys, const char *where,
                              const pha__config_rules *rules)
{
    const row *best = NULL, *own = rules->own ? rules->own(arch) : NULL;
    int distance = 4; /* at most three letters away */
    char others[160];
    readers(others, sizeof others, key, rules);
    if (*others)
        FAIL(BAD_INPUT, "%s: %s is not used by arch '%s' but by %s; remove it, or change arch", where, key, arch,
             others);
    for (const row *r = NULL; (r = next(r, own));) {
        int d = uses(r, keys) ? pha__edit_distance(r->key, key) : 99;
        if (d < distance) distance = d, best = r;
    }
    if (best) FAIL(BAD_INPUT, "%s: no such key '%.60s'; did you mean %s?", where, key, best->key);
    FAIL(BAD_INPUT, "%s: no such key '%.60s' for arch '%s'", where, key, arch);
}

static pha_status read_arch(pha__config *c, const char *const **keys, const json_t *object, const char *where,
                            const pha__config_rules *rules)
{
    const char *arch;
    if (!json_is_object(object)) FAIL(BAD_INPUT, "%s: not a JSON object", where);
    TRY(pha__json_string(&arch, object, "arch", where));
    *keys = strlen(arch) < sizeof c->arch ? rules->keys(arch) : NULL;
    if (!*keys) FAIL(BAD_INPUT, "%s: arch '%.60s' is not one of %s", where, arch, rules->archs);
    strcpy(c->arch, arch);
    return PHA_OK;
}

/* The branches of an architecture without that key follow from the sizes it has; attention of some layers only is there
 * if there are some. */
static int32_t implied_branches(const char *const *keys, const pha__config *c)
{
    bool none = listed(keys, "attn_layers");
    for (int layer = 0; layer < c->n_layer; layer++) none = none && !pha__is_attn_layer(c, layer);
    return (listed(keys, "n_head") && !none ? PHA__BRANCH_ATTN : 0) | (listed(keys, "d_state") ? PHA__BRANCH_GSS : 0) |
           (listed(keys, "d_aux") ? PHA__BRANCH_AUX : 0);
}

/* Names all keys of the file at once that belong to branches which the model does not have. */
static pha_status check_unused(const pha__config *c, const json_t *object, const char *where)
{
    char found[256] = "", branches[24] = "";
    int n = 0;
    for (const row *r = NULL; (r = next(r, NULL));) {
        if (in_use(r, c) || !json_object_get(object, r->key)) continue;
        pha__print(found + strlen(found), sizeof found - strlen(found), "%s%s", n++ ? ", " : "", r->key);
    }
    if (n == 0) return PHA_OK;
    for (int i = 0; branch_names[i]; i++) {
        if (!(c->branches & 1 << i)) continue;
        pha__print(branches + strlen(branches), sizeof branches - strlen(branches), "%s%s", *branches ? ", " : "",
                   branch_names[i]);
    }
    if (!c->branches)
        FAIL(BAD_INPUT, "%s: %s %s not used where no layer is attention; remove %s, or name layers in attn_layers",
             where, found, n == 1 ? "is" : "are", n == 1 ? "it" : "them");
    FAIL(BAD_INPUT, "%s: %s %s not used with branches = [%s]; remove %s", where, found, n == 1 ? "is" : "are", branches,
         n == 1 ? "it" : "them");
}

pha_status pha__config_parse(pha__config *c, const json_t *object, const char *where, const pha__config_rules *rules)
{
    const char *const *keys, *key;
    json_t *value;
    memset(c, 0, sizeof *c);
    TRY(read_arch(c, &keys, object, where, rules));
    const row *own = rules->own ? rules->own(c->arch) : NULL;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        const row *r = next(NULL, own);
        while (r && (strcmp(r->key, key) != 0 || !uses(r, keys))) r = next(r, own);
        if (!r && !pha__config_hub_key(key) && strcmp(key, PHA__CONFIG_EDITED) != 0)
            return unknown_key(key, c->arch, keys, where, rules);
    }
    for (const row *r = NULL; (r = next(r, own));) {
        set_default(c, r);
        value = uses(r, keys) ? json_object_get(object, r->key) : NULL;
        if (value) TRY(read_value(c, r, value, where));
        else if (r->required && uses(r, keys)) FAIL(BAD_INPUT, "%s: '%s' is missing", where, r->key);
    }
    if (!listed(keys, "branches")) c->branches = implied_branches(keys, c);
    TRY(check_unused(c, object, where));
    TRY(pha__config_check(c, where));
    if (rules->check) TRY(rules->check(c, where));
    return pha__config_hub_check(c, object, where);
}

pha_status pha__config_load(pha__config *c, const char *path, const pha__config_rules *rules)
{
    json_t *object;
    memset(c, 0, sizeof *c);
    TRY(pha__json_load(&object, path, MAX_FILE));
    pha_status status = pha__config_parse(c, object, path, rules);
    json_decref(object);
    return status;
}

static json_t *window_json(const pha__config *c)
{
    bool same = true;
    for (int i = 1; i < c->n_layer; i++) same = same && c->window[i] == c->window[0];
    if (same) return c->window[0] ? pha__json_number(c->window[0]) : json_null();
    json_t *list = pha__json_list();
    for (int i = 0; i < c->n_layer; i++)
        pha__json_add(&list, c->window[i] ? pha__json_number(c->window[i]) : json_null());
    return list;
}

static json_t *layers_json(const pha__config *c)
{
    json_t *list = pha__json_list();
    for (int layer = 0; layer < c->n_layer; layer++)
        if (pha__is_attn_layer(c, layer)) pha__json_add(&list, pha__json_number(layer));
    return list;
}

static json_t *branches_json(const pha__config *c)
{
    json_t *list = pha__json_list();
    for (int i = 0; branch_names[i]; i++)
        if (c->branches & 1 << i) pha__json_add(&list, pha__json_text(branch_names[i]));
    return list;
}

/* Not a size without a meaning in this model. */
static bool written(const pha__config *c, const row *r)
{
    return r->kind != PHA__KEY_INT || r->init != 0 || *(const int32_t *)((const char *)c + r->offset);
}

static json_t *value_json(const pha__config *c, const row *r)
{
    const void *at = (const char *)c + r->offset;
    switch (r->kind) {
    case PHA__KEY_INT: return pha__json_number(*(const int32_t *)at);
    case PHA__KEY_REAL:
        if (r->offset == AT(alpha) && c->alpha == pha__config_alpha(c)) return json_null();
        return pha__json_decimal(*(const double *)at);
    case PHA__KEY_BOOL: return json_boolean(*(const bool *)at);
    case PHA__KEY_NAME: return pha__json_text(r->names[*(const int32_t *)at]);
    case PHA__KEY_TEXT: return pha__json_text(at);
    case PHA__KEY_BRANCHES: return branches_json(c);
    case PHA__KEY_WINDOW: return window_json(c);
    case PHA__KEY_LAYERS: return layers_json(c);
    }
    return NULL;
}

json_t *pha__config_to_json(const pha__config *c, const pha__config_rules *rules)
{
    const char *const *keys = rules->keys(c->arch);
    const row *own = rules->own ? rules->own(c->arch) : NULL;
    json_t *object = keys ? pha__json_object() : NULL;
    for (const row *r = NULL; keys && (r = next(r, own));)
        if (uses(r, keys) && in_use(r, c) && written(c, r)) pha__json_set(&object, r->key, value_json(c, r));
    return object;
}

pha_status pha__config_renew(json_t **out, const json_t *object, const char *where, const pha__config_rules *rules)
{
    pha__config c;
    TRY(pha__config_parse(&c, object, where, rules));
    if (!(*out = pha__config_to_json(&c, rules))) FAIL(NO_MEMORY, "%s: no memory for its configuration", where);
    return PHA_OK;
}

/* Does the object say the same without this key? False also where there is no memory to tell (*failed). */
static bool is_default(const json_t *whole, const char *key, const pha__config_rules *rules, bool *failed)
{
    json_t *less = pha__json_object(), *again = NULL, *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)whole, name, value)
        if (strcmp(name, key)) pha__json_set(&less, name, json_incref(value));
    pha_status status = less ? pha__config_renew(&again, less, "defaults", rules) : PHA_NO_MEMORY;
    *failed |= status == PHA_NO_MEMORY;
    bool same = !status && json_equal(again, whole);
    json_decref(less);
    json_decref(again);
    return same;
}

json_t *pha__config_least(const pha__config *c, const pha__config_rules *rules)
{
    json_t *whole = pha__config_to_json(c, rules), *least = whole ? pha__json_object() : NULL, *value;
    pha__message kept = pha__message_keep();
    bool failed = false;
    const char *key;
    json_object_foreach(whole, key, value)
        if (!is_default(whole, key, rules, &failed)) pha__json_set(&least, key, json_incref(value));
    json_decref(whole);
    pha__message_restore(&kept);
    if (!failed) return least;
    json_decref(least);
    return NULL;
}

/* A key of one that the other has not, or has with another value. */
static const char *missed(const json_t *one, const json_t *other)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)one, key, value)
        if (!json_equal(value, json_object_get(other, key))) return key;
    return NULL;
}

const char *pha__config_difference(const json_t *one, const json_t *other)
{
    const char *key = missed(one, other);
    return key ? key : missed(other, one);
}

pha_status pha__config_save(const pha__config *c, const char *path, const pha__config_rules *rules)
{
    if (!rules->keys(c->arch)) FAIL(FAILED, "%s: cannot write the configuration of arch '%s'", path, c->arch);
    json_t *object = pha__config_to_json(c, rules);
    pha_status status = pha__json_save(object, path);
    json_decref(object);
    return status;
}
