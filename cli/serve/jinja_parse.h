/* jinja_parse.h -- reading a template: words and expressions (jinja_parse.c) for the tags (jinja_tags.c) */
#ifndef CLI_SERVE_JINJA_PARSE_H
#define CLI_SERVE_JINJA_PARSE_H

#include "serve/jinja_impl.h"

typedef struct Token {
    enum { T_END, T_NAME, T_STRING, T_INT, T_REAL, T_SIGN } type;
    const char *at;
    size_t n;
} Token;

typedef struct Parser {
    Jinja *j;
    const char *text;              /* where the template begins */
    const char *at, *end;          /* of the template */
    const char *behind, *close;    /* of the tag that is read: of its words, which a '-' may follow; its end */
    Token token;
    int line, depth;
    bool failed, trims;            /* trims: the tag before says that white space goes */
    char *why;
    Value value;                   /* of a token that is a string or a number */
} Parser;

/* The first failure stays; from then on everything is at its end. */
void parse_fail(Parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void parse_next(Parser *p);
bool parse_is(const Parser *p, const char *text);
bool parse_take(Parser *p, const char *text);
void parse_need(Parser *p, const char *text);
const char *parse_name(Parser *p);
Node *parse_node(Parser *p, NodeType type, Node *a, Node *b);
Node *parse_expression(Parser *p);

#endif
