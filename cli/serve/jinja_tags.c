/* jinja_tags.c -- a template as text and tags */
#include <stdlib.h>
#include <string.h>

#include "serve/jinja_parse.h"

static Node *block(Parser *p, const char *const *ends, const char **ended);

/* ---- text ------------------------------------------------------------------------------------------------- */

static bool is_white(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* The text before a tag. Of a statement or comment at the beginning of a line the blanks before it go, as models'
 * templates expect; '-' takes all white space, '+' none. */
static Node *text_before(Parser *p, const char *tag)
{
    const char *from = p->at, *to = tag;
    bool strips = tag + 2 < p->end && tag[2] == '-', keeps = tag + 2 < p->end && tag[2] == '+';
    for (const char *c = from; c < tag; c++) p->line += *c == '\n';
    if (p->trims) while (from < to && is_white(*from)) from++;
    if (strips) while (to > from && is_white(to[-1])) to--;
    else if (tag < p->end && tag[1] != '{' && !keeps) {
        const char *line = to;
        while (line > p->text && (line[-1] == ' ' || line[-1] == '\t')) line--;
        if (line == p->text || line[-1] == '\n') to = line < from ? from : line;
    }
    if (to <= from) return NULL;
    Node *n = parse_node(p, N_TEXT, NULL, NULL);
    String *s = heap_take(&p->j->heap, sizeof *s);
    if (s) *s = (String){.n = (size_t)(to - from), .bytes = (char *)(uintptr_t)from,
                         .theirs = heap_take(&p->j->heap, (size_t)(to - from))};
    n->value = (Value){.type = STRING, .string = s};
    return n;
}

/* Where a tag of this kind ends: the '}' or '%' outside of strings. NULL: nowhere. */
static const char *end_of_tag(const Parser *p, const char *from, char kind)
{
    char close = kind == '{' ? '}' : kind, quote = 0;
    int open = 0;
    for (const char *c = from; c + 1 < p->end; c++) {
        if (quote && *c == '\\') c++;
        else if (quote) quote = *c == quote ? 0 : quote;
        else if (kind != '#' && (*c == '\'' || *c == '"')) quote = *c;
        else if (kind == '{' && *c == '{') open++;
        else if (kind == '{' && *c == '}' && open) open--;
        else if (*c == close && c[1] == '}') return c;
    }
    return NULL;
}

/* The words of a tag between '-' or '+' on either side. */
static void enter_tag(Parser *p, const char *from, const char *close)
{
    if (from < close && (*from == '-' || *from == '+')) from++;
    p->at = from, p->close = p->behind = close;
    if (close > from && (close[-1] == '-' || close[-1] == '+')) p->behind--;
}

/* Behind a tag: a statement takes the line's end with it. */
static void leave_tag(Parser *p, char kind)
{
    char mark = p->behind < p->close ? *p->behind : 0;
    p->trims = mark == '-';
    p->at = p->close + 2;
    if (kind != '{' && mark != '+' && p->at < p->end && *p->at == '\n') p->at++, p->line++;
}

/* Up to the next tag, whose kind is returned ('{', '%', 0: the end); its text joins *last. Comments are passed over. */
static char to_tag(Parser *p, Node ***last)
{
    for (;;) {
        const char *tag = p->at;
        while (tag < p->end && !(*tag == '{' && tag + 1 < p->end && strchr("{%#", tag[1]))) tag++;
        Node *text = text_before(p, tag);
        if (text) **last = text, *last = &text->next;
        if (tag >= p->end || p->failed) return p->at = p->end, 0;
        char kind = tag[1];
        const char *close = end_of_tag(p, tag + 2, kind);
        if (!close) return parse_fail(p, "{%c without its end", kind), 0;
        enter_tag(p, tag + 2, close);
        if (kind != '#') return parse_next(p), kind;
        for (const char *c = tag; c < close; c++) p->line += *c == '\n';
        leave_tag(p, kind);
    }
}

static void end_tag(Parser *p, char kind)
{
    if (p->token.type != T_END)
        parse_fail(p, "'%.*s' is too much", (int)(p->token.n < 40 ? p->token.n : 40), p->token.at);
    if (!p->failed) leave_tag(p, kind);
}

/* ---- statements ------------------------------------------------------------------------------------------- */

static Node *if_block(Parser *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL}, *const last[] = {"endif", NULL};
    const char *ended = "";
    if (++p->depth > JINJA_DEPTH) parse_fail(p, "more than %d branches", JINJA_DEPTH);
    Node *n = parse_node(p, N_IF, parse_expression(p), NULL);
    end_tag(p, '%');
    n->b = block(p, ends, &ended);
    if (!p->failed && strcmp(ended, "elif") == 0) n->c = if_block(p); /* which ends at the same endif */
    else if (strcmp(ended, "else") == 0) {
        end_tag(p, '%');
        n->c = block(p, last, &ended);
        end_tag(p, '%');
    } else end_tag(p, '%');
    p->depth--;
    return n;
}

static Node *for_block(Parser *p)
{
    static const char *const ends[] = {"else", "endfor", NULL}, *const last[] = {"endfor", NULL};
    const char *ended = "";
    Node *n = parse_node(p, N_FOR, NULL, NULL), **name = &n->a;
    do {
        *name = parse_node(p, N_NAME, NULL, NULL);
        (*name)->name = parse_name(p);
        name = &(*name)->next;
    } while (!p->failed && parse_take(p, ","));
    parse_need(p, "in");
    n->b = parse_expression(p);
    if (n->b->type == N_CHOICE && !n->b->c) n->e = n->b->b, n->b = n->b->a; /* for x in y if z */
    if (parse_is(p, "recursive")) parse_fail(p, "loops that call themselves are not understood");
    end_tag(p, '%');
    n->c = block(p, ends, &ended);
    if (!p->failed && strcmp(ended, "else") == 0) {
        end_tag(p, '%');
        n->d = block(p, last, &ended);
    }
    end_tag(p, '%');
    return n;
}

static Node *set_tag(Parser *p)
{
    static const char *const ends[] = {"endset", NULL};
    const char *ended;
    Node *target = parse_node(p, N_NAME, NULL, NULL);
    target->name = parse_name(p);
    if (parse_take(p, ".")) {
        Node *object = target;
        target = parse_node(p, N_ATTRIBUTE, object, NULL);
        target->name = parse_name(p);
    }
    Node *n = parse_node(p, N_SET, target, NULL);
    if (parse_take(p, "=")) {
        n->b = parse_expression(p);
        end_tag(p, '%');
        return n;
    }
    n->type = N_SET_BLOCK;
    end_tag(p, '%');
    n->b = block(p, ends, &ended);
    end_tag(p, '%');
    return n;
}

static Node *macro(Parser *p)
{
    static const char *const ends[] = {"endmacro", NULL};
    const char *ended;
    Node *n = parse_node(p, N_MACRO, NULL, NULL), **last = &n->a;
    n->name = parse_name(p);
    parse_need(p, "(");
    while (!p->failed && !parse_is(p, ")")) {
        Node *a = parse_node(p, N_ARGUMENT, NULL, NULL);
        a->name = parse_name(p);
        if (parse_take(p, "=")) a->a = parse_expression(p);
        *last = a, last = &a->next;
        if (!parse_take(p, ",")) break;
    }
    parse_need(p, ")");
    end_tag(p, '%');
    n->b = block(p, ends, &ended);
    end_tag(p, '%');
    return n;
}

static Node *lonely(Parser *p, NodeType type)
{
    Node *n = parse_node(p, type, NULL, NULL);
    end_tag(p, '%');
    return n;
}

/* A statement of which the first word is read; NULL for one that says nothing. */
static Node *statement(Parser *p)
{
    if (parse_take(p, "if")) return if_block(p);
    if (parse_take(p, "for")) return for_block(p);
    if (parse_take(p, "set")) return set_tag(p);
    if (parse_take(p, "macro")) return macro(p);
    if (parse_take(p, "break")) return lonely(p, N_BREAK);
    if (parse_take(p, "continue")) return lonely(p, N_CONTINUE);
    /* where answers are, for training */
    if (parse_take(p, "generation") || parse_take(p, "endgeneration")) return end_tag(p, '%'), NULL;
    parse_fail(p, "the tag '%.*s' is not understood", (int)(p->token.n < 40 ? p->token.n : 40), p->token.at);
    return NULL;
}

static bool ends_block(Parser *p, const char *const *ends, const char **ended)
{
    for (int i = 0; ends && ends[i]; i++)
        if (parse_take(p, ends[i])) return *ended = ends[i], true;
    return false;
}

/* Up to one of the tags in `ends`, whose first word has been read then; NULL: to the end of the template. */
static Node *block(Parser *p, const char *const *ends, const char **ended)
{
    Node *first = NULL, **last = &first;
    if (++p->depth > JINJA_DEPTH) parse_fail(p, "more than %d blocks inside of each other", JINJA_DEPTH);
    for (char kind; !p->failed && (kind = to_tag(p, &last));) {
        Node *n;
        if (kind == '{') {
            n = parse_node(p, N_OUTPUT, parse_expression(p), NULL);
            end_tag(p, kind);
        } else if (ends_block(p, ends, ended)) {
            p->depth--;
            return first;
        } else n = statement(p);
        if (n) *last = n, last = &n->next;
    }
    while (ends && ends[1]) ends++; /* the one that is not another branch */
    if (ends && !p->failed) parse_fail(p, "the template ends where %s is expected", ends[0]);
    p->depth--;
    return first;
}

bool jinja_parse(Jinja *j, size_t size, char *why)
{
    Parser p = {.j = j, .text = j->text, .at = j->text, .end = j->text + size, .line = 1, .why = why};
    if (size && p.end[-1] == '\n') p.end--; /* as the language has it */
    j->body = block(&p, NULL, NULL);
    if (!p.failed && j->heap.failed) parse_fail(&p, "the template is too long");
    return !p.failed;
}
