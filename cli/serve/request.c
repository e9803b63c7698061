/* request.c -- reading a body: bounds, JSON, and the fields of the table one by one */
#include "serve/request.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- bounds ----------------------------------------------------------------------------------------------- */

/* Counts what lies outside of strings, so that a small body can't become a large tree. Of what is no JSON at all the
 * parser will complain. */
static bool bounded(const char *s, size_t n, const Limits *l, Fault *fault)
{
    int64_t depth = 0, values = 1;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '"')
            for (i++; i < n && s[i] != '"'; i++) i += s[i] == '\\';
        else if (s[i] == '[' || s[i] == '{') depth++, values++;
        else if (s[i] == ']' || s[i] == '}') depth--;
        else if (s[i] == ',') values++;
        if (depth > l->at[LIMIT_depth])
            return fault_set(fault, 400, NULL, "the body has more than %lld arrays and objects inside of each other",
                             (long long)l->at[LIMIT_depth]);
        if (values > l->at[LIMIT_values])
            return fault_set(fault, 400, NULL, "the body has more than %lld values; send less at once",
                             (long long)l->at[LIMIT_values]);
    }
    return true;
}

/* ---- fields ----------------------------------------------------------------------------------------------- */

static const char *type_name(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:  return "an object";
    case JSON_ARRAY:   return "a list";
    case JSON_STRING:  return "text";
    case JSON_INTEGER:
    case JSON_REAL:    return "a number";
    case JSON_NULL:    return "null";
    default:           return "true or false";
    }
}

static bool number(Ask *a, const Field *f, const json_t *v, Fault *fault)
{
    char *at = (char *)a + f->offset;
    if (!json_is_number(v)) return fault_set(fault, 400, f->name, "%s is %s, not a number", f->name, type_name(v));
    double x = json_number_value(v);
    if (!(x >= f->low && x <= f->high) || (f->above && x == f->low))
        return fault_set(fault, 400, f->name, "%s is %.13g, not %s%.13g to %.13g", f->name, x,
                         f->above ? "above " : "in ", f->low, f->high);
    if (f->type == FIELD_REAL) return memcpy(at, &x, sizeof x), true;
    if (x != floor(x)) return fault_set(fault, 400, f->name, "%s is %.13g, not a whole number", f->name, x);
    int64_t whole = json_is_integer(v) ? (int64_t)json_integer_value(v) : (int64_t)x;
    int32_t small = (int32_t)whole;
    if (f->size == sizeof whole) memcpy(at, &whole, sizeof whole);
    else memcpy(at, &small, sizeof small);
    return true;
}

bool request_copy(Piece *p, const json_t *string, Fault *fault)
{
    p->size = json_string_length(string);
    p->text = malloc(p->size + 1);
    if (!p->text) return fault_set(fault, 503, NULL, "no memory for the request");
    memcpy(p->text, json_string_value(string), p->size);
    p->text[p->size] = 0;
    return true;
}

static bool plain_text(Ask *a, const Field *f, const json_t *v, Fault *fault)
{
    Piece p = {0};
    if (!json_is_string(v)) return fault_set(fault, 400, f->name, "%s is %s, not text", f->name, type_name(v));
    if (strlen(json_string_value(v)) != json_string_length(v))
        return fault_set(fault, 400, f->name, "%s has a zero byte in it", f->name);
    if (!request_copy(&p, v, fault)) return false;
    char **at = (char **)(void *)((char *)a + f->offset);
    free(*at); /* of another name for the same */
    *at = p.text;
    return true;
}

static bool take(Ask *a, const Field *f, const json_t *v, const Limits *l, Fault *fault)
{
    switch (f->type) {
    case FIELD_BOOL:
        if (!json_is_boolean(v))
            return fault_set(fault, 400, f->name, "%s is %s, not true or false", f->name, type_name(v));
        *(bool *)((char *)a + f->offset) = json_is_true(v);
        return true;
    case FIELD_INT:
    case FIELD_REAL: return number(a, f, v, fault);
    case FIELD_TEXT: return plain_text(a, f, v, fault);
    default:         return f->own(a, f, v, l, fault);
    }
}

static const Field *find(const char *name, AskKind kind)
{
    for (const Field *f = request_fields; f->name; f++)
        if ((f->kinds & (int)kind) && strcmp(f->name, name) == 0) return f;
    return NULL;
}

static bool fields(Ask *a, const json_t *root, const Limits *l, Fault *fault)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)root, name, value) {
        const Field *f = find(name, a->kind);
        if (!f && a->unknown.size < 4096) text_add(&a->unknown, name, strlen(name) + 1);
        if (!f || json_is_null(value)) continue;
        if (!take(a, f, value, l, fault)) return false;
    }
    return true;
}

/* ---- what fields say together ----------------------------------------------------------------------------- */

static bool within(Fault *fault, const char *name, int64_t value, LimitName limit, const Limits *l)
{
    if (value <= l->at[limit]) return true;
    return fault_set(fault, 400, name, "%s is %lld; this server allows %lld (%s)", name, (long long)value,
                     (long long)l->at[limit], limit_what(limit));
}

static bool chat_logprobs(Ask *a, Fault *fault)
{
    a->logprobs = a->wants_logprobs ? (a->top_logprobs < 0 ? 0 : a->top_logprobs) : -1;
    if (a->top_logprobs > 0 && !a->wants_logprobs)
        return fault_set(fault, 400, "top_logprobs", "top_logprobs needs \"logprobs\": true");
    if (a->n_messages == 0) return fault_set(fault, 400, "messages", "messages is missing or empty");
    return true;
}

/* A state goes on in one way, and what it says already is not told again. */
static bool one_way(const Ask *a, Fault *fault)
{
    if (a->n > 1 || a->n_prompts > 1)
        return fault_set(fault, 400, a->n > 1 ? "n" : "prompt", "a state goes on in one way: one prompt with \"n\": 1; "
                         "fork it for others");
    if (a->echo) return fault_set(fault, 400, "echo", "echo is not for a state; a prompt of tokens can be echoed");
    return true;
}

static bool together(Ask *a, const Limits *l, Fault *fault)
{
    if (a->state && !one_way(a, fault)) return false;
    if (a->kind == ASK_CHAT && !chat_logprobs(a, fault)) return false;
    const char *name = a->kind == ASK_CHAT ? "top_logprobs" : "logprobs";
    if (!within(fault, name, a->logprobs, LIMIT_logprobs, l)) return false;
    if (!within(fault, "n", a->n, LIMIT_n, l)) return false;
    if (a->kind == ASK_TOKENIZE && a->n_prompts != 1 && !(a->n_messages && !a->n_prompts))
        return fault_set(fault, 400, "prompt", "prompt is missing, or more than one text");
    if (a->kind == ASK_DETOKENIZE && !a->n_prompts) return fault_set(fault, 400, "tokens", "tokens is missing");
    return true;
}

bool request_read(Ask *a, AskKind kind, const char *body, size_t size, const Limits *limits, Fault *fault)
{
    json_error_t error;
    *a = (Ask){.kind = kind, .n = 1, .max_tokens = -1, .position = -1, .logprobs = -1, .top_logprobs = -1,
               .temperature = 1, .top_p = 1, .repetition_penalty = 1};
    if (!bounded(body, size, limits, fault)) return false;
    json_t *root = json_loadb(size ? body : "{}", size ? size : 2, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!root)
        return fault_set(fault, 400, NULL, "the body is not JSON: line %d, column %d: %s", error.line, error.column,
                         error.text);
    bool good = json_is_object(root) || fault_set(fault, 400, NULL, "the body is %s, not an object", type_name(root));
    good = good && fields(a, root, limits, fault) && together(a, limits, fault);
    json_decref(root);
    if (good && a->unknown.failed) return fault_set(fault, 503, NULL, "no memory for the request");
    return good;
}

static void free_pieces(Piece *p, size_t n)
{
    for (size_t i = 0; i < n; i++) free(p[i].text), free(p[i].ids);
    free(p);
}

void request_free(Ask *a)
{
    for (size_t i = 0; i < a->n_messages; i++) free(a->messages[i].role.text), free(a->messages[i].content.text);
    free(a->messages);
    free_pieces(a->prompts, a->n_prompts);
    free_pieces(a->stop, a->n_stop);
    free(a->bias);
    free(a->model);
    free(a->state);
    free(a->fingerprint);
    text_free(&a->unknown);
    *a = (Ask){0};
}
