/* jinja_impl.h -- nodes and values of templates, for jinja*.c */
#ifndef CLI_SERVE_JINJA_IMPL_H
#define CLI_SERVE_JINJA_IMPL_H

#include <limits.h>

#include "serve/jinja.h"

enum { JINJA_DEPTH = 100, JINJA_CALLS = 16, JINJA_STEPS = 4000000, JINJA_MEMORY = 256 << 20, JINJA_TEXT = 1 << 20 };

/* Memory that goes together; NULL is returned, and `failed` set, beyond `most` bytes. */
typedef struct Heap {
    struct HeapBlock *last;
    size_t used, all, most;
    bool failed;
} Heap;
void *heap_take(Heap *h, size_t size); /* zeroed */
void heap_free(Heap *h);

/* ---- values ----------------------------------------------------------------------------------------------- */

typedef struct String {
    size_t n;
    char *bytes, *theirs; /* (n) each */
} String;

typedef struct Value {
    enum { UNDEFINED, NONE, BOOL, INT, REAL, STRING, LIST, DICT, FUNCTION, MACRO } type;
    union {
        bool truth;
        long long whole;
        double real;
        String *string;
        struct Values *list;
        struct Dict *dict;
        int function;
        const struct Node *macro;
    };
} Value;

typedef struct Values {
    size_t n, room;
    Value *at;
} Values;

typedef struct Dict {
    Values keys, values; /* keys are strings */
} Dict;

/* ---- what a template says ---------------------------------------------------------------------------------- */

typedef enum NodeType {
    /* statements: `next` is the one behind */
    N_TEXT, N_OUTPUT, N_IF, N_FOR, N_SET, N_SET_BLOCK, N_MACRO, N_BREAK, N_CONTINUE,
    /* expressions: `next` is the next one of a list */
    N_VALUE, N_NAME, N_LIST, N_DICT, N_ATTRIBUTE, N_ITEM, N_SLICE, N_CALL, N_FILTER, N_TEST, N_NOT, N_NEGATE, N_BINARY,
    N_CHOICE, N_ARGUMENT
} NodeType;

typedef enum Operator {
    O_OR, O_AND, O_EQUAL, O_UNEQUAL, O_LESS, O_LESS_EQUAL, O_MORE, O_MORE_EQUAL, O_IN, O_NOT_IN, O_PLUS, O_MINUS,
    O_JOIN, O_TIMES, O_OVER, O_WHOLE, O_REST, O_POWER
} Operator;

/* a, b, c, by type. IF: condition, then, else. FOR: names, iterable, body, d else, e condition. SET: target, value.
 * SET_BLOCK: target, body. MACRO: arguments (ARGUMENT: name, a the default), body. ITEM: object, index. SLICE: object,
 * from, to. CALL: what, arguments (with a name: ARGUMENT). FILTER, TEST: value, arguments. CHOICE: then, condition,
 * else. DICT: keys in a, values in b. */
typedef struct Node {
    NodeType type;
    int line, number;   /* number: of an operator, filter or test */
    bool negated;
    struct Node *a, *b, *c, *d, *e, *next;
    const char *name;
    Value value;
} Node;

struct Jinja {
    Heap heap;
    char *text;
    Node *body;
};

/* ---- running ---------------------------------------------------------------------------------------------- */

typedef struct Variable {
    const char *name;
    Value value;
} Variable;

typedef struct Run {
    Heap heap;
    Variable *variables;
    size_t n, room, base; /* base: of the innermost scope */
    Text out, theirs;
    long steps;
    int depth;
    int calls;
    enum { GO_ON, LEAVE, NEXT } flow;
    bool failed;
    char *why;
} Run;

/* Says why once, and returns an undefined value. */
Value run_fail(Run *r, const Node *n, const char *format, ...) __attribute__((format(printf, 3, 4)));
Value run_expression(Run *r, const Node *n);
bool is_true(Value v);
bool is_equal(Value a, Value b);
bool is_text(Value v, const char *text);
const char *type_word(Value v);
long long length_of(Value v); /* -1: it has none */

/* An item of an object by name; of a list or text by number. What is not there is undefined. */
Value attribute_of(Run *r, const Node *n, Value object, const char *name, size_t size);
Value item_of(Run *r, const Node *n, Value object, Value index);
size_t byte_of(const String *s, long long i); /* where character i begins */
Value run_operator(Run *r, const Node *n, Value a, Value b);

Value make_string(Run *r, const char *bytes, size_t n, bool theirs);
Value make_room(Run *r, size_t n); /* a string of n bytes to fill in */
Value make_list(Run *r);
Value make_dict(Run *r);
Value join(Run *r, Value a, Value b);
Value part_of(Run *r, Value s, size_t from, size_t to);
void list_add(Run *r, Values *list, Value v);
void dict_set(Run *r, Dict *d, Value key, Value v);
bool dict_get(const Dict *d, const char *name, size_t n, Value *v);
/* As it is written into the text. */
Value string_of(Run *r, const Node *n, Value v);
/* As Python writes it: Python is true, JSON false. */
Value json_of(Run *r, const Node *n, Value v, long long indent);

/* Numbers by name, -1: there is none. */
int filter_number(const char *name);
int test_number(const char *name);
int function_number(const char *name);

typedef struct Arguments {
    Value at[8];
    const char *names[8]; /* NULL: by place */
    int n;
} Arguments;
Value argument(const Arguments *a, int place, const char *name); /* UNDEFINED: not given */
Value run_filter(Run *r, const Node *n, Value v, const Arguments *a);
bool run_test(Run *r, const Node *n, Value v, const Arguments *a);
Value run_function(Run *r, const Node *n, int number, const Arguments *a);
Value run_method(Run *r, const Node *n, Value object, const char *name, const Arguments *a);
Value strip(Run *r, Value s, const char *set, bool left, bool right);

/* jinja_parse.c */
bool jinja_parse(Jinja *j, size_t size, char *why);

#endif
