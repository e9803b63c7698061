/* jinja_parse.c -- words, and the expressions that they make */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "serve/jinja_parse.h"

/* ---- tokens ----------------------------------------------------------------------------------------------- */

void parse_fail(Parser *p, const char *format, ...)
{
    char text[200];
    va_list args;
    if (p->failed) return;
    p->failed = true;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(p->why, 300, "line %d: %s", p->line, text);
}

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_white(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static char escaped(char c)
{
    static const char from[] = "nrt\\'\"0", to[] = "\n\r\t\\'\"";
    const char *at = c ? strchr(from, c) : NULL;
    return at && at - from < 6 ? to[at - from] : 0;
}

static void read_string(Parser *p)
{
    char quote = *p->at++;
    const char *first = p->at;
    while (p->at < p->behind && *p->at != quote) p->at += *p->at == '\\' ? 2 : 1;
    if (p->at >= p->behind) {
        parse_fail(p, "a string without its end");
        return;
    }
    String *s = heap_take(&p->j->heap, sizeof *s);
    size_t n = (size_t)(p->at - first);
    if (s) s->bytes = heap_take(&p->j->heap, 2 * n + 1);
    if (!s || !s->bytes) return;
    s->theirs = s->bytes + n;
    for (const char *c = first; c < p->at; c++) {
        if (*c == '\n') p->line++;
        char plain = *c == '\\' ? escaped(c[1]) : *c;
        if (*c == '\\' && !plain) plain = '\\'; /* as Python keeps it, with what is behind it */
        else if (*c == '\\') c++;
        s->bytes[s->n++] = plain;
    }
    memset(s->bytes + s->n, 0, 2 * n - s->n);
    p->at++;
    p->token.type = T_STRING, p->value = (Value){.type = STRING, .string = s};
}

static void read_number(Parser *p)
{
    char text[64], *end;
    size_t n = 0;
    for (const char *c = p->at; n < 63 && c < p->behind && (is_digit(*c) || *c == '.'); c++) text[n++] = *c;
    text[n] = 0;
    bool real = strchr(text, '.') != NULL;
    if (real) p->value = (Value){.type = REAL, .real = strtod(text, &end)};
    else p->value = (Value){.type = INT, .whole = strtoll(text, &end, 10)};
    if (*end || n > 18) parse_fail(p, "%s is no number", text);
    p->token.type = real ? T_REAL : T_INT;
    p->at += n;
}

void parse_next(Parser *p)
{
    static const char *const signs[] = {"==", "!=", "<=", ">=", "//", "**"};
    while (p->at < p->behind && is_white(*p->at)) p->line += *p->at++ == '\n';
    p->token = (Token){.type = T_END, .at = p->at};
    if (p->failed || p->at >= p->behind) return;
    if (is_letter(*p->at)) {
        while (p->at < p->behind && (is_letter(*p->at) || is_digit(*p->at))) p->at++;
        p->token.type = T_NAME;
    } else if (is_digit(*p->at)) {
        read_number(p);
    } else if (*p->at == '\'' || *p->at == '"') {
        read_string(p);
    } else {
        size_t n = 1;
        for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
            if (p->at + 1 < p->behind && strncmp(p->at, signs[i], 2) == 0) n = 2;
        p->token.type = T_SIGN, p->at += n;
    }
    p->token.n = (size_t)(p->at - p->token.at);
}

bool parse_is(const Parser *p, const char *text)
{
    bool word = p->token.type == T_NAME || p->token.type == T_SIGN;
    return word && p->token.n == strlen(text) && strncmp(p->token.at, text, p->token.n) == 0;
}

bool parse_take(Parser *p, const char *text)
{
    if (!parse_is(p, text)) return false;
    parse_next(p);
    return true;
}

void parse_need(Parser *p, const char *text)
{
    if (parse_take(p, text)) return;
    if (p->token.type == T_END) parse_fail(p, "the tag ends where '%s' is expected", text);
    else parse_fail(p, "'%.*s' where '%s' is expected", (int)(p->token.n < 40 ? p->token.n : 40), p->token.at, text);
}

static const char *copy_name(Parser *p)
{
    char *name = heap_take(&p->j->heap, p->token.n + 1);
    if (name) memcpy(name, p->token.at, p->token.n);
    return name ? name : "";
}

const char *parse_name(Parser *p)
{
    if (p->token.type != T_NAME) {
        parse_fail(p, "a name is expected");
        return "";
    }
    const char *name = copy_name(p);
    parse_next(p);
    return name;
}

Node *parse_node(Parser *p, NodeType type, Node *a, Node *b)
{
    static Node spare;
    Node *n = heap_take(&p->j->heap, sizeof *n);
    if (!n) {
        parse_fail(p, "the template is too long");
        return &spare;
    }
    *n = (Node){.type = type, .line = p->line, .a = a, .b = b};
    return n;
}

/* ---- expressions ------------------------------------------------------------------------------------------ */

static Node *unary(Parser *p);

static Node *list_until(Parser *p, const char *close, bool named)
{
    Node *first = NULL, **last = &first;
    while (!p->failed && !parse_is(p, close)) {
        Node *n = parse_expression(p);
        if (named && n->type == N_NAME && parse_take(p, "=")) {
            Node *value = parse_expression(p), *argument = parse_node(p, N_ARGUMENT, value, NULL);
            argument->name = n->name;
            n = argument;
        }
        *last = n, last = &n->next;
        if (!parse_take(p, ",")) break;
    }
    parse_need(p, close);
    return first;
}

static Node *dict(Parser *p)
{
    Node *n = parse_node(p, N_DICT, NULL, NULL), **key = &n->a, **value = &n->b;
    while (!p->failed && !parse_is(p, "}")) {
        *key = parse_expression(p), key = &(*key)->next;
        parse_need(p, ":");
        *value = parse_expression(p), value = &(*value)->next;
        if (!parse_take(p, ",")) break;
    }
    parse_need(p, "}");
    return n;
}

static Node *name_or_constant(Parser *p)
{
    static const struct {
        const char *name;
        Value value;
    } constants[] = {{"true", {.type = BOOL, .truth = true}}, {"True", {.type = BOOL, .truth = true}},
                     {"false", {.type = BOOL}}, {"False", {.type = BOOL}}, {"none", {.type = NONE}},
                     {"None", {.type = NONE}}};
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        if (!parse_take(p, constants[i].name)) continue;
        Node *n = parse_node(p, N_VALUE, NULL, NULL);
        n->value = constants[i].value;
        return n;
    }
    Node *n = parse_node(p, N_NAME, NULL, NULL);
    n->name = parse_name(p);
    return n;
}

/* (x), or (x, y) as a list. */
static Node *brackets(Parser *p)
{
    Node *first = parse_expression(p);
    if (parse_take(p, ")")) return first;
    if (!parse_is(p, ",")) parse_need(p, ")");
    parse_take(p, ",");
    Node *n = parse_node(p, N_LIST, first, NULL);
    first->next = list_until(p, ")", false);
    return n;
}

static Node *primary(Parser *p)
{
    if (p->token.type == T_STRING || p->token.type == T_INT || p->token.type == T_REAL) {
        Node *n = parse_node(p, N_VALUE, NULL, NULL);
        n->value = p->value;
        parse_next(p);
        return n;
    }
    if (parse_take(p, "(")) return brackets(p);
    if (parse_take(p, "[")) {
        Node *n = parse_node(p, N_LIST, NULL, NULL);
        n->a = list_until(p, "]", false);
        return n;
    }
    if (parse_take(p, "{")) return dict(p);
    if (p->token.type == T_NAME) return name_or_constant(p);
    if (p->token.type == T_END) parse_fail(p, "the tag ends where a value is expected");
    else parse_fail(p, "'%.*s' where a value is expected", (int)(p->token.n < 40 ? p->token.n : 40), p->token.at);
    return parse_node(p, N_VALUE, NULL, NULL);
}

/* x[i], x[i:j] */
static Node *item(Parser *p, Node *object)
{
    Node *from = parse_is(p, ":") ? NULL : parse_expression(p);
    if (!parse_take(p, ":")) {
        parse_need(p, "]");
        return parse_node(p, N_ITEM, object, from);
    }
    Node *n = parse_node(p, N_SLICE, object, from);
    if (!parse_is(p, "]") && !parse_is(p, ":")) n->c = parse_expression(p);
    if (parse_take(p, ":")) n->d = parse_expression(p);
    parse_need(p, "]");
    return n;
}

/* A filter or a test, with what it is called. */
static Node *named(Parser *p, NodeType type, Node *value, int (*number)(const char *), const char *what)
{
    Node *n = parse_node(p, type, value, NULL);
    n->name = parse_name(p);
    n->number = number(n->name);
    if (n->number < 0) parse_fail(p, "there is no %s '%.60s' here", what, n->name);
    if (parse_take(p, "(")) n->b = list_until(p, ")", true);
    else if (type == N_TEST && (p->token.type == T_STRING || p->token.type == T_INT)) n->b = primary(p);
    return n;
}

static Node *test(Parser *p, Node *value)
{
    bool negated = parse_take(p, "not");
    Node *n = named(p, N_TEST, value, test_number, "test");
    n->negated = negated;
    return n;
}

static Node *postfix(Parser *p, Node *n)
{
    while (!p->failed) {
        if (parse_take(p, ".")) {
            n = parse_node(p, N_ATTRIBUTE, n, NULL);
            n->name = parse_name(p);
        } else if (parse_take(p, "[")) n = item(p, n);
        else if (parse_take(p, "(")) {
            if (n->type != N_NAME && n->type != N_ATTRIBUTE) parse_fail(p, "this can't be called");
            n = parse_node(p, N_CALL, n, NULL);
            n->b = list_until(p, ")", true);
        } else if (parse_take(p, "|")) n = named(p, N_FILTER, n, filter_number, "filter");
        else if (parse_take(p, "is")) n = test(p, n);
        else break;
    }
    return n;
}

static Node *unary(Parser *p)
{
    if (++p->depth > JINJA_DEPTH) parse_fail(p, "more than %d expressions inside of each other", JINJA_DEPTH);
    Node *n;
    if (p->failed) n = parse_node(p, N_VALUE, NULL, NULL);
    else if (parse_take(p, "-")) n = parse_node(p, N_NEGATE, unary(p), NULL);
    else if (parse_take(p, "+")) n = unary(p);
    else n = postfix(p, primary(p));
    p->depth--;
    return n;
}

/* Operators from the loosest to the tightest; of one level from left to right. */
static const struct {
    const char *text;
    int level;
    Operator operator;
} operators[] = {{"or", 0, O_OR}, {"and", 1, O_AND}, {"==", 3, O_EQUAL}, {"!=", 3, O_UNEQUAL}, {"<", 3, O_LESS},
                 {"<=", 3, O_LESS_EQUAL}, {">", 3, O_MORE}, {">=", 3, O_MORE_EQUAL}, {"in", 3, O_IN}, {"+", 4, O_PLUS},
                 {"-", 4, O_MINUS}, {"~", 5, O_JOIN}, {"*", 6, O_TIMES}, {"/", 6, O_OVER}, {"//", 6, O_WHOLE},
                 {"%", 6, O_REST}, {"**", 7, O_POWER}};
enum { LEVELS = 8, NOT_LEVEL = 2, COMPARE_LEVEL = 3 };

static bool take_operator(Parser *p, int level, Operator *out)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (operators[i].level == level && parse_take(p, operators[i].text)) return *out = operators[i].operator, true;
    if (level != COMPARE_LEVEL || !parse_is(p, "not")) return false;
    parse_next(p); /* x not in y */
    parse_need(p, "in");
    *out = O_NOT_IN;
    return true;
}

static Node *binary(Parser *p, int level)
{
    Operator operator;
    if (level == LEVELS) return unary(p);
    if (level == NOT_LEVEL && parse_is(p, "not")) {
        if (++p->depth > JINJA_DEPTH) parse_fail(p, "more than %d expressions inside of each other", JINJA_DEPTH);
        parse_next(p);
        Node *n = parse_node(p, N_NOT, p->failed ? NULL : binary(p, level), NULL);
        p->depth--;
        return n;
    }
    Node *n = binary(p, level + 1);
    while (!p->failed && take_operator(p, level, &operator)) {
        n = parse_node(p, N_BINARY, n, binary(p, level + 1));
        n->number = (int)operator;
    }
    return n;
}

Node *parse_expression(Parser *p)
{
    if (++p->depth > JINJA_DEPTH) parse_fail(p, "more than %d expressions inside of each other", JINJA_DEPTH);
    Node *n = p->failed ? parse_node(p, N_VALUE, NULL, NULL) : binary(p, 0);
    if (!p->failed && parse_take(p, "if")) {
        Node *condition = binary(p, 0);
        n = parse_node(p, N_CHOICE, n, condition);
        if (parse_take(p, "else")) n->c = parse_expression(p);
    }
    p->depth--;
    return n;
}
