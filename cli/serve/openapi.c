/* openapi.c -- GET /openapi.json, written from the tables that requests are read by */
#include <math.h>
#include <string.h>

#include "serve/server.h"

static const struct {
    const char *path;
    AskKind kind;
    const char *answer;
} bodies[] = {
    {"/v1/completions", ASK_COMPLETION, "The text, or a stream of events."},
    {"/v1/chat/completions", ASK_CHAT, "The message, or a stream of events."},
    {"/tokenize", ASK_TOKENIZE, "The tokens."},
    {"/v1/tokenize", ASK_TOKENIZE, "The tokens."},
    {"/detokenize", ASK_DETOKENIZE, "The text."},
    {"/v1/detokenize", ASK_DETOKENIZE, "The text."},
    {"/v1/states", ASK_STATE, "The state."},
    {"/v1/states/*", ASK_IMPORT, "The state."},
    {"/v1/states/*/fork", ASK_MOVE, "The new state."},
    {"/v1/states/*/rewind", ASK_MOVE, "The state."},
};

static AskKind kind_of(const char *path)
{
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        if (strcmp(bodies[i].path, path) == 0) return bodies[i].kind;
    return 0;
}

static void print_types(Text *t, const char *shape)
{
    text_put(t, "\"type\":[");
    for (const char *s = shape; *s; s += strcspn(s, "|"), s += *s == '|')
        text_print(t, "\"%.*s\",", (int)strcspn(s, "|"), s);
    text_put(t, "\"null\"]");
}

static void print_field(Text *t, const Field *f)
{
    static const char *const types[] = {[FIELD_BOOL] = "boolean", [FIELD_INT] = "integer", [FIELD_REAL] = "number",
                                        [FIELD_TEXT] = "string"};
    text_print(t, "\"%s\":{", f->name);
    print_types(t, f->type == FIELD_OWN ? f->shape : types[f->type]);
    if (f->type == FIELD_INT || f->type == FIELD_REAL)
        text_print(t, ",\"%s\":%.17g,\"maximum\":%.17g", f->above ? "exclusiveMinimum" : "minimum", f->low, f->high);
    if (f->type == FIELD_OWN && strstr(f->shape, "array")) text_put(t, ",\"items\":{}");
    text_put(t, "}");
}

static void print_body(Text *t, AskKind kind)
{
    int n = 0;
    text_print(t, "\"requestBody\":{\"required\":%s,\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\","
               "\"properties\":{", kind & (ASK_CHAT | ASK_DETOKENIZE | ASK_IMPORT) ? "true" : "false");
    for (const Field *f = request_fields; f->name; f++) {
        if (!(f->kinds & (int)kind)) continue;
        if (n++) text_put(t, ",");
        print_field(t, f);
    }
    text_put(t, "}");
    if (kind == ASK_CHAT) text_put(t, ",\"required\":[\"messages\"]");
    if (kind == ASK_DETOKENIZE || kind == ASK_IMPORT) text_put(t, ",\"required\":[\"tokens\"]");
    text_put(t, "}}}},");
}

static void print_answers(Text *t, const Route *r)
{
    static const struct {
        int status;
        const char *text;
        bool bodies;
    } errors[] = {{400, "The request is wrong; final.", true},   {401, "A key is missing or wrong.", false},
                  {404, "There is no such thing.", false},       {405, "Not with this method.", false},
                  {409, "A request goes on with it.", true},     {413, "The body is too long.", true},
                  {429, "Too many wait; see Retry-After.", true}, {500, "The model failed, or a disk.", false},
                  {503, "Not now; see Retry-After.", false},     {504, "The request took too long.", true}};
    text_put(t, "\"responses\":{\"200\":{\"description\":\"What was asked for.\"}");
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        bool conflict = errors[i].status == 409, state = strncmp(r->path, "/v1/states/", 11) == 0;
        bool numbered = errors[i].status == 400 && r->number;
        if (conflict ? !state && !(kind_of(r->path) & (ASK_COMPLETION | ASK_CHAT))
                     : errors[i].bodies && !r->body && !numbered)
            continue;
        text_print(t, ",\"%d\":{\"description\":\"%s\",\"content\":{\"application/json\":{\"schema\":{\"$ref\":"
                   "\"#/components/schemas/Error\"}}}}", errors[i].status, errors[i].text);
    }
    text_put(t, "}");
}

/* "/v1/models/STAR" as "/v1/models/{id}" */
static void print_path(Text *t, const char *path)
{
    text_put(t, "\"");
    for (; *path; path++) {
        if (*path == '*') text_put(t, "{id}");
        else text_add(t, path, 1);
    }
    text_put(t, "\":{");
}

static void print_parameters(Text *t, const Route *r)
{
    bool one = strchr(r->path, '*') != NULL;
    if (!one && !r->number) return;
    text_put(t, "\"parameters\":[");
    if (one) text_put(t, "{\"name\":\"id\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":\"string\"}}");
    if (r->number)
        text_print(t, "%s{\"name\":\"%s\",\"in\":\"query\",\"schema\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":"
                   "999999999999999999}}", one ? "," : "", r->number);
    text_put(t, "],");
}

static void print_route(Text *t, const Route *r)
{
    AskKind kind = r->body ? kind_of(r->path) : 0;
    text_put(t, "\"");
    for (const char *m = r->method; *m; m++) text_print(t, "%c", *m - 'A' + 'a');
    text_put(t, "\":{");
    print_parameters(t, r);
    if (kind) print_body(t, kind);
    if (r->open) text_put(t, "\"security\":[],");
    print_answers(t, r);
    text_put(t, "}");
}

void handle_openapi(void *server, Exchange *x)
{
    const Server *s = server;
    Text t = {0};
    text_print(&t, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"pha serve\",\"version\":\"%s\"},"
               "\"security\":[%s],\"components\":{\"securitySchemes\":{\"key\":{\"type\":\"http\",\"scheme\":"
               "\"bearer\"}},\"schemas\":{\"Error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":"
               "{\"error\":{\"type\":\"object\",\"required\":[\"message\",\"type\",\"param\",\"code\"]}}}}},"
               "\"paths\":{", pha_version(), s->keys.path ? "{\"key\":[]}" : "");
    for (const Route *r = server_routes; r->method; r++) {
        bool same = r > server_routes && strcmp(r->path, r[-1].path) == 0; /* with another method */
        if (r > server_routes) text_put(&t, same ? "," : "},");
        if (!same) print_path(&t, r->path);
        print_route(&t, r);
    }
    text_put(&t, "}}}");
    exchange_answer(x, 200, "application/json", &t);
}
