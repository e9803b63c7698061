/* fields.c -- the table of fields of all requests, and those that are more than a number or a text */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "serve/request.h"

#define AT(member) .offset = offsetof(Ask, member), .size = sizeof(((Ask *)0)->member)
#define OWN(name_, kinds_, own_, shape_) \
    {.name = name_, .kinds = kinds_, .type = FIELD_OWN, .own = own_, .shape = shape_}

static bool refuse(Fault *fault, const Field *f, const char *what)
{
    return fault_set(fault, 400, f->name, "%s must be %s", f->name, what);
}

static bool no_memory(Fault *fault) { return fault_set(fault, 503, NULL, "no memory for the request"); }

/* ---- prompts ---------------------------------------------------------------------------------------------- */

bool request_ids(Piece *p, const json_t *list, const char *name, Fault *fault)
{
    size_t n = json_array_size(list);
    p->ids = malloc((n ? n : 1) * sizeof *p->ids);
    if (!p->ids) return no_memory(fault);
    p->n = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        double x = json_number_value(v);
        if (!json_is_number(v) || !(x >= 0 && x <= INT32_MAX) || x != floor(x))
            return fault_set(fault, 400, name, "%s: token %zu is not the number of a token", name, i);
        p->ids[i] = (int32_t)x;
    }
    return true;
}

static bool is_list_of_numbers(const json_t *v)
{
    return json_is_array(v) && json_array_size(v) > 0 && json_is_number(json_array_get(v, 0));
}

static bool piece(Piece *p, const Field *f, const json_t *v, Fault *fault)
{
    if (json_is_string(v)) return request_copy(p, v, fault);
    if (json_is_array(v)) return request_ids(p, v, f->name, fault);
    return refuse(fault, f, "text, a list of tokens, or a list of either");
}

/* A text, a list of texts, a list of tokens, a list of lists of tokens. */
static bool own_prompt(Ask *a, const Field *f, const json_t *v, const Limits *l, Fault *fault)
{
    bool one = json_is_string(v) || is_list_of_numbers(v);
    size_t n = one ? 1 : json_array_size(v);
    if (!one && !json_is_array(v)) return refuse(fault, f, "text, a list of tokens, or a list of either");
    if ((int64_t)n > l->at[LIMIT_prompts])
        return fault_set(fault, 400, f->name, "%zu prompts in a request; this server allows %lld", n,
                         (long long)l->at[LIMIT_prompts]);
    a->prompts = calloc(n ? n : 1, sizeof *a->prompts);
    if (!a->prompts) return no_memory(fault);
    a->n_prompts = n;
    for (size_t i = 0; i < n; i++)
        if (!piece(&a->prompts[i], f, one ? v : json_array_get(v, i), fault)) return false;
    return true;
}

static bool own_tokens(Ask *a, const Field *f, const json_t *v, const Limits *l, Fault *fault)
{
    (void)l;
    if (!json_is_array(v)) return refuse(fault, f, "a list of tokens");
    a->prompts = calloc(1, sizeof *a->prompts);
    if (!a->prompts) return no_memory(fault);
    a->n_prompts = 1;
    return request_ids(&a->prompts[0], v, f->name, fault);
}

/* ---- messages --------------------------------------------------------------------------------------------- */

/* {"type":"text","text":"..."}: their texts one after another. */
static bool parts(Piece *out, const json_t *list, Fault *fault)
{
    Text all = {0};
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *part = json_array_get(list, i), *text = json_object_get(part, "text");
        const char *type = json_string_value(json_object_get(part, "type"));
        if (!type || strcmp(type, "text") || !json_is_string(text)) {
            text_free(&all);
            return fault_set(fault, 400, "messages", "part %zu of a message is not of the type text; this model reads "
                             "text only", i);
        }
        text_add(&all, json_string_value(text), json_string_length(text));
    }
    text_add(&all, "", 0);
    if (all.failed) return text_free(&all), no_memory(fault);
    *out = (Piece){.text = all.data, .size = all.size};
    return true;
}

static bool message(Message *m, const json_t *v, size_t i, Fault *fault)
{
    const json_t *role = json_object_get(v, "role"), *content = json_object_get(v, "content");
    if (!json_is_string(role) || json_string_length(role) > 64)
        return fault_set(fault, 400, "messages", "message %zu has no role", i);
    if (!request_copy(&m->role, role, fault)) return false;
    if (json_is_string(content)) return request_copy(&m->content, content, fault);
    if (json_is_array(content)) return parts(&m->content, content, fault);
    return fault_set(fault, 400, "messages", "message %zu has no content: text, or a list of parts", i);
}

static bool own_messages(Ask *a, const Field *f, const json_t *v, const Limits *l, Fault *fault)
{
    size_t n = json_array_size(v);
    if (!json_is_array(v)) return refuse(fault, f, "a list of messages");
    if ((int64_t)n > l->at[LIMIT_messages])
        return fault_set(fault, 400, f->name, "%zu messages in a request; this server allows %lld", n,
                         (long long)l->at[LIMIT_messages]);
    a->messages = calloc(n ? n : 1, sizeof *a->messages);
    if (!a->messages) return no_memory(fault);
    a->n_messages = n;
    for (size_t i = 0; i < n; i++)
        if (!message(&a->messages[i], json_array_get(v, i), i, fault)) return false;
    return true;
}

/* ---- stop, bias, and the rest ----------------------------------------------------------------------------- */

static bool own_stop(Ask *a, const Field *f, const json_t *v, const Limits *l, Fault *fault)
{
    bool one = json_is_string(v);
    size_t n = one ? 1 : json_array_size(v);
    if (!one && !json_is_array(v)) return refuse(fault, f, "text or a list of texts");
    if ((int64_t)n > l->at[LIMIT_stop])
        return fault_set(fault, 400, f->name, "%zu stop strings; this server allows %lld", n,
                         (long long)l->at[LIMIT_stop]);
    a->stop = calloc(n ? n : 1, sizeof *a->stop);
    if (!a->stop) return no_memory(fault);
    a->n_stop = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *s = one ? v : json_array_get(v, i);
        if (!json_is_string(s) || json_string_length(s) == 0)
            return fault_set(fault, 400, f->name, "stop string %zu is not a text of at least one character", i);
        if ((int64_t)json_string_length(s) > l->at[LIMIT_stop_bytes])
            return fault_set(fault, 400, f->name, "stop string %zu has %zu bytes; this server allows %lld", i,
                             json_string_length(s), (long long)l->at[LIMIT_stop_bytes]);
        if (!request_copy(&a->stop[i], s, fault)) return false;
    }
    return true;
}

static bool own_bias(Ask *a, const Field *f, const json_t *v, const Limits *l, Fault *fault)
{
    const char *key;
    json_t *value;
    if (!json_is_object(v)) return refuse(fault, f, "an object from tokens to numbers");
    if ((int64_t)json_object_size(v) > l->at[LIMIT_bias])
        return fault_set(fault, 400, f->name, "%zu tokens in logit_bias; this server allows %lld", json_object_size(v),
                         (long long)l->at[LIMIT_bias]);
    a->bias = calloc(json_object_size(v) + 1, sizeof *a->bias);
    if (!a->bias) return no_memory(fault);
    json_object_foreach((json_t *)v, key, value) {
        char *end;
        errno = 0;
        long id = strtol(key, &end, 10);
        double x = json_number_value(value);
        if (*key < '0' || *key > '9' || *end || errno || id > INT32_MAX)
            return fault_set(fault, 400, f->name, "logit_bias: %.40s is not the number of a token", key);
        if (!json_is_number(value) || !(x >= -100 && x <= 100))
            return fault_set(fault, 400, f->name, "logit_bias: the value of token %ld is not in -100 to 100", id);
        a->bias[a->n_bias++] = (pha_logit_bias){(int32_t)id, x == -100 ? -INFINITY : x}; /* -100 forbids */
    }
    return true;
}

static bool own_stream_options(Ask *a, const Field *f, const json_t *v, const Limits *l, Fault *fault)
{
    (void)l;
    const json_t *usage = json_object_get(v, "include_usage");
    if (!json_is_object(v)) return refuse(fault, f, "an object");
    if (usage && !json_is_boolean(usage) && !json_is_null(usage))
        return fault_set(fault, 400, f->name, "include_usage must be true or false");
    a->usage = json_is_true(usage);
    return true;
}

static bool own_seed(Ask *a, const Field *f, const json_t *v, const Limits *l, Fault *fault)
{
    (void)l;
    double x = json_number_value(v);
    bool whole = json_is_integer(v) || (json_is_real(v) && x == floor(x) && fabs(x) < 0x1p53);
    if (!whole) return refuse(fault, f, "a whole number of up to 63 bits");
    a->seed = json_is_integer(v) ? (int64_t)json_integer_value(v) : (int64_t)x;
    a->seeded = true;
    return true;
}

/* What is not there and is asked for in its neutral form is no reason to refuse. */
static bool own_neutral(Ask *a, const Field *f, const json_t *v, const Limits *l, Fault *fault)
{
    (void)a, (void)l;
    bool empty = (json_is_array(v) || json_is_object(v)) && json_array_size(v) + json_object_size(v) == 0;
    bool one = strcmp(f->name, "best_of") == 0 && json_is_number(v) && json_number_value(v) <= 1;
    const char *text = json_string_value(v);
    bool none = text && (!*text || strcmp(text, "none") == 0 || strcmp(text, "auto") == 0);
    if (empty || one || none || json_is_false(v)) return true;
    return fault_set(fault, 400, f->name, "%s is not supported by this server; leave it out", f->name);
}

static bool own_response_format(Ask *a, const Field *f, const json_t *v, const Limits *l, Fault *fault)
{
    (void)a, (void)l;
    const char *type = json_string_value(json_object_get(v, "type"));
    if (type && strcmp(type, "text") == 0) return true;
    return refuse(fault, f, "{\"type\":\"text\"}: answers in a given form are not supported");
}

static bool own_ignored(Ask *a, const Field *f, const json_t *v, const Limits *l, Fault *fault)
{
    (void)a, (void)f, (void)v, (void)l, (void)fault;
    return true;
}

enum { TEXTS = ASK_COMPLETION | ASK_CHAT, ALL = TEXTS | ASK_TOKENIZE | ASK_DETOKENIZE | ASK_STATE | ASK_MOVE };

const Field request_fields[] = {
    {"model", ALL, FIELD_TEXT, AT(model)},
    OWN("prompt", ASK_COMPLETION | ASK_TOKENIZE | ASK_STATE, own_prompt, "string|array"),
    OWN("messages", ASK_CHAT | ASK_TOKENIZE, own_messages, "array"),
    OWN("tokens", ASK_DETOKENIZE | ASK_IMPORT, own_tokens, "array"),
    {"max_tokens", TEXTS, FIELD_INT, AT(max_tokens), .low = 0, .high = 0x1p40},
    {"max_completion_tokens", ASK_CHAT, FIELD_INT, AT(max_tokens), .low = 0, .high = 0x1p40},
    {"temperature", TEXTS, FIELD_REAL, AT(temperature), .low = 0, .high = 100},
    {"top_p", TEXTS, FIELD_REAL, AT(top_p), .low = 0, .high = 1, .above = true},
    {"top_k", TEXTS, FIELD_INT, AT(top_k), .low = -1, .high = 0x1p30},
    {"min_p", TEXTS, FIELD_REAL, AT(min_p), .low = 0, .high = 1},
    {"repetition_penalty", TEXTS, FIELD_REAL, AT(repetition_penalty), .low = 0, .high = 100, .above = true},
    {"presence_penalty", TEXTS, FIELD_REAL, AT(presence_penalty), .low = -2, .high = 2},
    {"frequency_penalty", TEXTS, FIELD_REAL, AT(frequency_penalty), .low = -2, .high = 2},
    OWN("logit_bias", TEXTS, own_bias, "object"),
    {"n", TEXTS, FIELD_INT, AT(n), .low = 1, .high = 0x1p30},
    OWN("stop", TEXTS, own_stop, "string|array"),
    OWN("seed", TEXTS, own_seed, "integer"),
    {"stream", TEXTS, FIELD_BOOL, AT(stream)},
    OWN("stream_options", TEXTS, own_stream_options, "object"),
    {"logprobs", ASK_COMPLETION, FIELD_INT, AT(logprobs), .low = 0, .high = 0x1p30},
    {"logprobs", ASK_CHAT, FIELD_BOOL, AT(wants_logprobs)},
    {"top_logprobs", ASK_CHAT, FIELD_INT, AT(top_logprobs), .low = 0, .high = 0x1p30},
    {"echo", ASK_COMPLETION, FIELD_BOOL, AT(echo)},
    {"ignore_eos", TEXTS, FIELD_BOOL, AT(ignore_end)},
    {"state", TEXTS, FIELD_TEXT, AT(state)},
    {"position", ASK_MOVE, FIELD_INT, AT(position), .low = 0, .high = 0x1p40},
    {"fingerprint", ASK_IMPORT, FIELD_TEXT, AT(fingerprint)},
    OWN("object", ASK_IMPORT, own_ignored, "string"),
    OWN("id", ASK_IMPORT, own_ignored, "string"),
    OWN("best_of", ASK_COMPLETION, own_neutral, "integer"),
    OWN("suffix", ASK_COMPLETION, own_neutral, "string"),
    OWN("tools", ASK_CHAT, own_neutral, "array"),
    OWN("tool_choice", ASK_CHAT, own_neutral, "string"),
    OWN("functions", ASK_CHAT, own_neutral, "array"),
    OWN("function_call", ASK_CHAT, own_neutral, "string"),
    OWN("response_format", TEXTS, own_response_format, "object"),
    OWN("user", TEXTS, own_ignored, "string"),
    OWN("add_special_tokens", ASK_TOKENIZE, own_ignored, "boolean"),
    OWN("skip_special_tokens", TEXTS | ASK_DETOKENIZE, own_ignored, "boolean"),
    {0},
};
