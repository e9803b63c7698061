/* jinja_run.c -- a template over a chat */
#include <stdlib.h>
#include <string.h>

#include "serve/jinja_impl.h"

static void run_block(Run *r, const Node *n);

/* ---- variables -------------------------------------------------------------------------------------------- */

static Variable *find(Run *r, const char *name, size_t base)
{
    for (size_t i = r->n; i-- > base;)
        if (strcmp(r->variables[i].name, name) == 0) return &r->variables[i];
    return NULL;
}

/* In the innermost scope: what a loop sets is forgotten behind it. */
static void set(Run *r, const char *name, Value v)
{
    Variable *there = find(r, name, r->base);
    if (there) {
        there->value = v;
        return;
    }
    if (r->n == r->room) {
        size_t room = r->room ? 2 * r->room : 64;
        Variable *grown = heap_take(&r->heap, room * sizeof *grown);
        if (!grown) {
            run_fail(r, NULL, "the chat takes too much memory in its template");
            return;
        }
        if (r->n) memcpy(grown, r->variables, r->n * sizeof *grown);
        r->variables = grown, r->room = room;
    }
    r->variables[r->n++] = (Variable){name, v};
}

static void set_text(Run *r, Dict *d, const char *name, Value v)
{
    dict_set(r, d, make_string(r, name, strlen(name), false), v);
}

/* ---- parts of values, and operators -------------------------------------------------------------------------- */

static long long clamp(Value v, long long length, long long otherwise)
{
    if (v.type != INT) return otherwise;
    long long i = v.whole < 0 ? v.whole + length : v.whole;
    return i < 0 ? 0 : i > length ? length : i;
}

static Value slice(Run *r, const Node *n)
{
    Value object = run_expression(r, n->a), from = {0}, to = {0}, by = {.type = INT, .whole = 1};
    if (n->b) from = run_expression(r, n->b);
    if (n->c) to = run_expression(r, n->c);
    if (n->d) by = run_expression(r, n->d);
    if (r->failed) return object;
    long long length = length_of(object), first = clamp(from, length, 0), last = clamp(to, length, length);
    bool reversed = by.type == INT && by.whole == -1 && !n->b && !n->c && object.type == LIST;
    if (length < 0 || object.type == DICT || by.type != INT || (by.whole != 1 && !reversed))
        return run_fail(r, n, "this part of %s can't be taken here", type_word(object));
    if (object.type == STRING)
        return part_of(r, object, byte_of(object.string, first), first < last ? byte_of(object.string, last)
                                                                              : byte_of(object.string, first));
    Value list = make_list(r);
    for (long long i = first; !r->failed && i < last; i++)
        list_add(r, list.list, object.list->at[reversed ? length - 1 - i : i]);
    return list;
}

static Value truth(bool b) { return (Value){.type = BOOL, .truth = b}; }

static Value binary(Run *r, const Node *n)
{
    Value a = run_expression(r, n->a);
    if (r->failed || (n->number == O_OR && is_true(a)) || (n->number == O_AND && !is_true(a))) return a;
    Value b = run_expression(r, n->b);
    return r->failed ? b : run_operator(r, n, a, b);
}

/* ---- calls ------------------------------------------------------------------------------------------------ */

static void arguments(Run *r, const Node *n, Arguments *a)
{
    a->n = 0;
    for (const Node *x = n; x && !r->failed; x = x->next) {
        if (a->n == 8) {
            run_fail(r, x, "more than 8 arguments");
            return;
        }
        bool named = x->type == N_ARGUMENT;
        a->names[a->n] = named ? x->name : NULL;
        a->at[a->n] = run_expression(r, named ? x->a : x);
        a->n++;
    }
}

/* What a block writes, as a value. */
static Value text_of(Run *r, const Node *body)
{
    Text out = r->out, theirs = r->theirs;
    r->out = r->theirs = (Text){0};
    run_block(r, body);
    Value v = r->failed ? (Value){0} : make_room(r, r->out.size);
    if (!r->failed && r->out.size) {
        memcpy(v.string->bytes, r->out.data, r->out.size);
        memcpy(v.string->theirs, r->theirs.data, r->out.size);
    }
    text_free(&r->out), text_free(&r->theirs);
    r->out = out, r->theirs = theirs;
    return v;
}

static Value run_macro(Run *r, const Node *n, const Node *macro, const Arguments *a)
{
    size_t base = r->base, count = r->n;
    int place = 0;
    if (r->calls >= JINJA_CALLS) return run_fail(r, n, "more than %d macros inside of each other", JINJA_CALLS);
    r->calls++, r->base = r->n;
    for (const Node *x = macro->a; x && !r->failed; x = x->next, place++) {
        Value v = argument(a, place, x->name);
        if (v.type == UNDEFINED && x->a) v = run_expression(r, x->a);
        set(r, x->name, v);
    }
    Value text = r->failed ? (Value){0} : text_of(r, macro->b);
    r->calls--, r->base = base, r->n = count;
    return text;
}

static Value call(Run *r, const Node *n)
{
    Arguments a;
    if (n->a->type == N_ATTRIBUTE) {
        Value object = run_expression(r, n->a->a);
        if (!r->failed) arguments(r, n->b, &a);
        return r->failed ? object : run_method(r, n, object, n->a->name, &a);
    }
    Value what = run_expression(r, n->a);
    if (!r->failed) arguments(r, n->b, &a);
    if (r->failed) return what;
    if (what.type == FUNCTION) return run_function(r, n, what.function, &a);
    if (what.type == MACRO) return run_macro(r, n, what.macro, &a);
    return run_fail(r, n, "there is no function '%.60s' here", n->a->name);
}

/* ---- expressions ------------------------------------------------------------------------------------------ */

static Value list_or_dict(Run *r, const Node *n)
{
    Value v = n->type == N_LIST ? make_list(r) : make_dict(r);
    for (const Node *x = n->a, *y = n->b; x && !r->failed; x = x->next, y = y ? y->next : NULL) {
        Value a = run_expression(r, x);
        if (r->failed) break;
        if (n->type == N_LIST) list_add(r, v.list, a);
        else if (a.type != STRING) run_fail(r, n, "the keys of a dictionary are texts here");
        else {
            Value b = run_expression(r, y);
            dict_set(r, v.dict, a, b);
        }
    }
    return v;
}

static Value name_value(Run *r, const char *name)
{
    const Variable *v = find(r, name, 0);
    int number = function_number(name);
    if (v) return v->value;
    return number >= 0 ? (Value){.type = FUNCTION, .function = number} : (Value){0};
}

static Value with_arguments(Run *r, const Node *n)
{
    Arguments a;
    Value v = run_expression(r, n->a);
    if (!r->failed) arguments(r, n->b, &a);
    if (r->failed) return v;
    if (n->type == N_FILTER) return run_filter(r, n, v, &a);
    return truth(run_test(r, n, v, &a) != n->negated);
}

static Value expression(Run *r, const Node *n)
{
    Value v;
    switch (n->type) {
    case N_VALUE:     return n->value;
    case N_NAME:      return name_value(r, n->name);
    case N_LIST:
    case N_DICT:      return list_or_dict(r, n);
    case N_ATTRIBUTE:
        v = run_expression(r, n->a);
        return r->failed ? v : attribute_of(r, n, v, n->name, strlen(n->name));
    case N_ITEM: {
        v = run_expression(r, n->a);
        Value index = r->failed ? v : run_expression(r, n->b);
        return r->failed ? v : item_of(r, n, v, index);
    }
    case N_SLICE:     return slice(r, n);
    case N_CALL:      return call(r, n);
    case N_FILTER:
    case N_TEST:      return with_arguments(r, n);
    case N_NOT:       return truth(!is_true(run_expression(r, n->a)));
    case N_NEGATE:
        v = run_expression(r, n->a);
        if (v.type == INT && v.whole > -LLONG_MAX) v.whole = -v.whole;
        else if (v.type == REAL) v.real = -v.real;
        else run_fail(r, n, "%s has no negative", type_word(v));
        return v;
    case N_BINARY:    return binary(r, n);
    case N_CHOICE:
        if (is_true(run_expression(r, n->b))) return run_expression(r, n->a);
        return n->c && !r->failed ? run_expression(r, n->c) : (Value){0};
    default:          return run_fail(r, n, "this is no value");
    }
}

static bool step(Run *r, const Node *n)
{
    if (!r->failed && ++r->steps > JINJA_STEPS) run_fail(r, n, "the chat takes too many steps in its template");
    return !r->failed;
}

Value run_expression(Run *r, const Node *n)
{
    if (r->depth >= 8 * JINJA_DEPTH) return run_fail(r, n, "an expression is too long");
    r->depth++;
    Value v = step(r, n) ? expression(r, n) : (Value){0};
    r->depth--;
    return v;
}

/* ---- statements ------------------------------------------------------------------------------------------- */

static void write(Run *r, const Node *n, Value v)
{
    Value s = string_of(r, n, v);
    if (r->failed || !s.string->n) return;
    text_add(&r->out, s.string->bytes, s.string->n);
    text_add(&r->theirs, s.string->theirs, s.string->n);
    if (r->out.failed || r->theirs.failed || r->out.size > JINJA_MEMORY / 4)
        run_fail(r, n, "the chat becomes too long in its template");
}

static void assign(Run *r, const Node *target, Value v)
{
    if (r->failed) return;
    if (target->type == N_NAME) {
        set(r, target->name, v);
        return;
    }
    Value object = run_expression(r, target->a);
    if (object.type == DICT) set_text(r, object.dict, target->name, v);
    else run_fail(r, target, "'%.40s' can't be set there", target->name);
}

static void name_items(Run *r, const Node *names, Value v)
{
    if (!names->next) {
        set(r, names->name, v);
        return;
    }
    size_t i = 0;
    for (const Node *x = names; x && !r->failed; x = x->next, i++) {
        if (v.type != LIST || i >= v.list->n) run_fail(r, names, "there is nothing for '%.40s'", x->name);
        else set(r, x->name, v.list->at[i]);
    }
}

/* What a loop goes through: the items of a list, the keys of a dictionary, those that the condition wants. */
static Value items_of(Run *r, const Node *n)
{
    static const Arguments none = {.n = 0};
    Value from = run_expression(r, n->b), list = make_list(r);
    if (!r->failed && from.type == DICT) from = run_method(r, n, from, "keys", &none);
    if (!r->failed && from.type == UNDEFINED) return list;
    if (!r->failed && from.type != LIST) run_fail(r, n, "a loop goes through lists here, not %s", type_word(from));
    if (r->failed || !n->e) return from;
    for (size_t i = 0; i < from.list->n && !r->failed; i++) {
        size_t count = r->n, base = r->base;
        r->base = r->n;
        name_items(r, n->a, from.list->at[i]);
        bool wanted = !r->failed && is_true(run_expression(r, n->e));
        r->n = count, r->base = base;
        if (wanted && !r->failed) list_add(r, list.list, from.list->at[i]);
    }
    return list;
}

static void set_loop(Run *r, const Values *list, size_t i)
{
    Value loop = make_dict(r);
    long long at = (long long)i, n = (long long)list->n;
    if (r->failed) return;
    const struct {
        const char *name;
        long long value;
    } numbers[] = {{"index", at + 1}, {"index0", at}, {"revindex", n - at}, {"revindex0", n - at - 1}, {"length", n}};
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        set_text(r, loop.dict, numbers[k].name, (Value){.type = INT, .whole = numbers[k].value});
    set_text(r, loop.dict, "first", truth(i == 0));
    set_text(r, loop.dict, "last", truth(i + 1 == list->n));
    if (i) set_text(r, loop.dict, "previtem", list->at[i - 1]);
    if (i + 1 < list->n) set_text(r, loop.dict, "nextitem", list->at[i + 1]);
    set(r, "loop", loop);
}

static void run_for(Run *r, const Node *n)
{
    Value list = items_of(r, n);
    size_t count = r->n, base = r->base;
    for (size_t i = 0; !r->failed && i < list.list->n; i++) {
        r->base = count;
        set_loop(r, list.list, i);
        if (!r->failed) name_items(r, n->a, list.list->at[i]);
        run_block(r, n->c);
        r->n = count, r->base = base;
        bool leaves = r->flow == LEAVE;
        r->flow = GO_ON;
        if (leaves) break;
    }
    if (!r->failed && list.list->n == 0) run_block(r, n->d);
}

static void run_statement(Run *r, const Node *n)
{
    switch (n->type) {
    case N_TEXT:   write(r, n, n->value); break;
    case N_OUTPUT: write(r, n, run_expression(r, n->a)); break;
    case N_IF:
        if (is_true(run_expression(r, n->a))) run_block(r, n->b);
        else run_block(r, n->c);
        break;
    case N_FOR:       run_for(r, n); break;
    case N_SET:       assign(r, n->a, run_expression(r, n->b)); break;
    case N_SET_BLOCK: assign(r, n->a, text_of(r, n->b)); break;
    case N_MACRO:     set(r, n->name, (Value){.type = MACRO, .macro = n}); break;
    case N_BREAK:     r->flow = LEAVE; break;
    case N_CONTINUE:  r->flow = NEXT; break;
    default:          run_fail(r, n, "this is no statement");
    }
}

static void run_block(Run *r, const Node *n)
{
    for (; n && step(r, n) && r->flow == GO_ON; n = n->next) run_statement(r, n);
}

/* ---- a chat ----------------------------------------------------------------------------------------------- */

static void set_chat(Run *r, const JinjaChat *chat)
{
    Value list = make_list(r);
    for (size_t i = 0; i < chat->n && !r->failed; i++) {
        const Message *m = &chat->messages[i];
        Value v = make_dict(r);
        if (!r->failed) set_text(r, v.dict, "role", make_string(r, m->role.text, m->role.size, true));
        if (!r->failed) set_text(r, v.dict, "content", make_string(r, m->content.text, m->content.size, true));
        if (!r->failed) list_add(r, list.list, v);
    }
    set(r, "messages", list);
    set(r, "add_generation_prompt", truth(chat->prompt));
    set(r, "tools", (Value){.type = NONE});
    set(r, "documents", (Value){.type = NONE});
    if (chat->bos) set(r, "bos_token", make_string(r, chat->bos, strlen(chat->bos), false));
    if (chat->eos) set(r, "eos_token", make_string(r, chat->eos, strlen(chat->eos), false));
}

bool jinja_render(const Jinja *j, const JinjaChat *chat, Text *out, Text *theirs, char *why)
{
    Run r = {.heap = {.most = JINJA_MEMORY}, .why = why};
    set_chat(&r, chat);
    run_block(&r, j->body);
    heap_free(&r.heap);
    *out = r.out, *theirs = r.theirs;
    if (!r.failed) return true;
    text_free(out), text_free(theirs);
    return false;
}

Jinja *jinja_open(const char *text, size_t size, char *why)
{
    Jinja *j = size <= JINJA_TEXT ? calloc(1, sizeof *j) : NULL;
    snprintf(why, 300, size <= JINJA_TEXT ? "no memory" : "it is longer than %d bytes", JINJA_TEXT);
    if (!j) return NULL;
    j->heap.most = JINJA_MEMORY;
    j->text = malloc(size + 1);
    if (j->text) memcpy(j->text, text, size), j->text[size] = 0;
    if (j->text && jinja_parse(j, size, why)) return j;
    jinja_close(j);
    return NULL;
}

void jinja_close(Jinja *j)
{
    if (!j) return;
    heap_free(&j->heap);
    free(j->text);
    free(j);
}
