/* jinja_filter.c -- filters, tests, functions, and what strings and dictionaries can do */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/jinja_impl.h"

static int number_in(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return (int)i;
    return -1;
}

Value argument(const Arguments *a, int place, const char *name)
{
    int k = 0;
    for (int i = 0; i < a->n; i++) {
        if (a->names[i] ? strcmp(a->names[i], name) == 0 : k == place) return a->at[i];
        k += a->names[i] == NULL;
    }
    return (Value){0};
}

/* ---- strings ---------------------------------------------------------------------------------------------- */

static bool is_white(char c) { return c && strchr(" \t\n\r\f\v", c); }

Value strip(Run *r, Value s, const char *set, bool left, bool right)
{
    size_t from = 0, to = s.string->n;
    const char *b = s.string->bytes;
    while (left && from < to && (set ? b[from] && strchr(set, b[from]) : is_white(b[from]))) from++;
    while (right && to > from && (set ? b[to - 1] && strchr(set, b[to - 1]) : is_white(b[to - 1]))) to--;
    return part_of(r, s, from, to);
}

/* 'u' upper, 'l' lower, 't' each word's first letter, 'c' the first letter; other letters than those of ASCII stay. */
static Value change_case(Run *r, Value s, char how)
{
    Value v = join(r, s, make_string(r, "", 0, false));
    bool first = true;
    for (size_t i = 0; !r->failed && i < v.string->n; i++) {
        char *c = &v.string->bytes[i];
        bool upper = how == 'u' || ((how == 't' || how == 'c') && first), letter;
        if (*c >= 'a' && *c <= 'z' && upper) *c = (char)(*c - 32);
        else if (*c >= 'A' && *c <= 'Z' && !upper) *c = (char)(*c + 32);
        letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (unsigned char)*c >= 0x80;
        first = how == 't' && !letter;
    }
    return v;
}

/* Where `what` begins in s, from a byte on; s.n: nowhere. */
static size_t find(const String *s, const String *what, size_t from)
{
    const char *at = what->n && from < s->n ? memmem(s->bytes + from, s->n - from, what->bytes, what->n) : NULL;
    return at ? (size_t)(at - s->bytes) : s->n;
}

static Value replace(Run *r, const Node *n, Value s, Value what, Value by)
{
    if (what.type != STRING || by.type != STRING || !what.string->n)
        return run_fail(r, n, "replace takes a text that is not empty, and another one");
    size_t count = 0, done = 0, to = 0;
    for (size_t at = 0; (at = find(s.string, what.string, at)) < s.string->n; at += what.string->n) count++;
    Value v = make_room(r, s.string->n - count * what.string->n + count * by.string->n);
    while (!r->failed && done < s.string->n) {
        size_t at = find(s.string, what.string, done), same = at - done;
        memcpy(v.string->bytes + to, s.string->bytes + done, same);
        memcpy(v.string->theirs + to, s.string->theirs + done, same);
        to += same, done = at;
        if (at == s.string->n) break;
        memcpy(v.string->bytes + to, by.string->bytes, by.string->n);
        memcpy(v.string->theirs + to, by.string->theirs, by.string->n);
        to += by.string->n, done += what.string->n;
    }
    return v;
}

static Value split(Run *r, const Node *n, Value s, Value by, long long most)
{
    Value list = make_list(r);
    size_t done = 0;
    if (by.type != UNDEFINED && (by.type != STRING || !by.string->n)) return run_fail(r, n, "split takes a text");
    for (size_t at; !r->failed && by.type == STRING && most != 0; most--) {
        if ((at = find(s.string, by.string, done)) == s.string->n) break;
        list_add(r, list.list, part_of(r, s, done, at));
        done = at + by.string->n;
    }
    while (!r->failed && by.type == UNDEFINED && done < s.string->n) { /* at white space, of which none is left */
        size_t end = done;
        while (end < s.string->n && !is_white(s.string->bytes[end])) end++;
        if (end > done) list_add(r, list.list, part_of(r, s, done, end));
        done = end + 1;
    }
    if (!r->failed && by.type == STRING) list_add(r, list.list, part_of(r, s, done, s.string->n));
    return list;
}

static bool begins(const String *s, Value with, bool ends)
{
    if (with.type == LIST) {
        for (size_t i = 0; i < with.list->n; i++)
            if (with.list->at[i].type == STRING && begins(s, with.list->at[i], ends)) return true;
        return false;
    }
    size_t n = with.type == STRING ? with.string->n : s->n + 1;
    return n <= s->n && memcmp(s->bytes + (ends ? s->n - n : 0), with.string->bytes, n) == 0;
}

/* ---- methods ---------------------------------------------------------------------------------------------- */

static Value string_method(Run *r, const Node *n, Value s, const char *name, const Arguments *a)
{
    Value first = argument(a, 0, "sep"), second = argument(a, 1, "maxsplit");
    char set[64] = "";
    if (first.type == STRING) snprintf(set, sizeof set, "%.*s", (int)first.string->n, first.string->bytes);
    const char *chars = first.type == STRING ? set : NULL;
    if (strcmp(name, "strip") == 0) return strip(r, s, chars, true, true);
    if (strcmp(name, "lstrip") == 0) return strip(r, s, chars, true, false);
    if (strcmp(name, "rstrip") == 0) return strip(r, s, chars, false, true);
    if (strcmp(name, "upper") == 0) return change_case(r, s, 'u');
    if (strcmp(name, "lower") == 0) return change_case(r, s, 'l');
    if (strcmp(name, "title") == 0) return change_case(r, s, 't');
    if (strcmp(name, "capitalize") == 0) return change_case(r, s, 'c');
    if (strcmp(name, "startswith") == 0) return (Value){.type = BOOL, .truth = begins(s.string, first, false)};
    if (strcmp(name, "endswith") == 0) return (Value){.type = BOOL, .truth = begins(s.string, first, true)};
    if (strcmp(name, "split") == 0) return split(r, n, s, first, second.type == INT ? second.whole : -1);
    if (strcmp(name, "replace") == 0) return replace(r, n, s, first, second);
    if (strcmp(name, "find") == 0 && first.type == STRING) {
        size_t at = find(s.string, first.string, 0);
        return (Value){.type = INT, .whole = at == s.string->n ? -1 : (long long)at};
    }
    return run_fail(r, n, "texts have no '%.40s' here", name);
}

static Value pairs_of(Run *r, const Dict *d)
{
    Value list = make_list(r);
    for (size_t i = 0; !r->failed && i < d->keys.n; i++) {
        Value pair = make_list(r);
        if (!r->failed) list_add(r, pair.list, d->keys.at[i]);
        if (!r->failed) list_add(r, pair.list, d->values.at[i]);
        if (!r->failed) list_add(r, list.list, pair);
    }
    return list;
}

static Value dict_method(Run *r, const Node *n, const Dict *d, const char *name, const Arguments *a)
{
    Value key = argument(a, 0, "key"), v;
    if (strcmp(name, "items") == 0) return pairs_of(r, d);
    if (strcmp(name, "get") == 0 && key.type == STRING) {
        if (dict_get(d, key.string->bytes, key.string->n, &v)) return v;
        return a->n > 1 ? argument(a, 1, "default") : (Value){.type = NONE};
    }
    if (strcmp(name, "keys") && strcmp(name, "values"))
        return run_fail(r, n, "dictionaries have no '%.40s' here", name);
    Value list = make_list(r);
    const Values *from = *name == 'k' ? &d->keys : &d->values;
    for (size_t i = 0; !r->failed && i < from->n; i++) list_add(r, list.list, from->at[i]);
    return list;
}

Value run_method(Run *r, const Node *n, Value object, const char *name, const Arguments *a)
{
    if (object.type == STRING) return string_method(r, n, object, name, a);
    if (object.type == DICT) return dict_method(r, n, object.dict, name, a);
    if (object.type == LIST && strcmp(name, "append") == 0 && a->n == 1) {
        list_add(r, object.list, a->at[0]);
        return (Value){.type = NONE};
    }
    return run_fail(r, n, "%s has no '%.40s' here", type_word(object), name);
}

/* ---- filters ---------------------------------------------------------------------------------------------- */

/* First those that make a text of what they get. */
static const char *const filters[] = {"trim", "upper", "lower", "title", "capitalize", "string", "replace", "safe",
                                      "length", "count", "tojson", "first", "last", "default", "d", "join", "int",
                                      "list", "items", "select", "reject", "selectattr", "rejectattr", "map"};
enum { F_TRIM, F_UPPER, F_LOWER, F_TITLE, F_CAPITALIZE, F_STRING, F_REPLACE, F_SAFE, F_LENGTH, F_COUNT, F_TOJSON,
       F_FIRST, F_LAST, F_DEFAULT, F_D, F_JOIN, F_INT, F_LIST, F_ITEMS, F_SELECT, F_REJECT, F_SELECTATTR,
       F_REJECTATTR, F_MAP };

int filter_number(const char *name) { return number_in(filters, sizeof filters / sizeof *filters, name); }

static Value join_all(Run *r, const Node *n, Value v, Value by)
{
    Value all = make_string(r, "", 0, false);
    if (v.type != LIST) return run_fail(r, n, "join is for lists, not %s", type_word(v));
    for (size_t i = 0; !r->failed && i < v.list->n; i++) {
        if (i && by.type == STRING) all = join(r, all, by);
        Value s = string_of(r, n, v.list->at[i]);
        if (!r->failed) all = join(r, all, s);
    }
    return all;
}

static Value end_of(Run *r, const Node *n, Value v, bool last)
{
    if (v.type != LIST) return run_fail(r, n, "first and last are for lists here, not %s", type_word(v));
    return v.list->n ? v.list->at[last ? v.list->n - 1 : 0] : (Value){0};
}

static Value member(Value object, Value name)
{
    Value v = {0};
    if (object.type == DICT && name.type == STRING) dict_get(object.dict, name.string->bytes, name.string->n, &v);
    return v;
}

/* By a test that is named, of the items or of what they have under a name; by their truth, where none is. */
static Value choose(Run *r, const Node *n, Value v, const Arguments *a)
{
    bool attribute = n->number >= F_SELECTATTR, wanted = n->number == F_SELECT || n->number == F_SELECTATTR;
    Value list = make_list(r), test = argument(a, attribute, "test");
    Node named = *n;
    Arguments with = {.n = a->n > attribute + 1, .at = {argument(a, attribute + 1, "value")}};
    char name[32] = "";
    if (test.type == STRING) snprintf(name, sizeof name, "%.*s", (int)test.string->n, test.string->bytes);
    named.number = test_number(name);
    if (v.type != LIST) return run_fail(r, n, "%s is for lists, not %s", n->name, type_word(v));
    if (test.type != UNDEFINED && named.number < 0) return run_fail(r, n, "there is no test '%.30s' here", name);
    for (size_t i = 0; !r->failed && i < v.list->n; i++) {
        Value item = attribute ? member(v.list->at[i], argument(a, 0, "attribute")) : v.list->at[i];
        bool passes = named.number < 0 ? is_true(item) : run_test(r, &named, item, &with);
        if (passes == wanted && !r->failed) list_add(r, list.list, v.list->at[i]);
    }
    return list;
}

static Value map(Run *r, const Node *n, Value v, const Arguments *a)
{
    Value list = make_list(r), name = argument(a, 99, "attribute");
    if (v.type != LIST || name.type != STRING) return run_fail(r, n, "map takes a list and attribute='...' here");
    for (size_t i = 0; !r->failed && i < v.list->n; i++) list_add(r, list.list, member(v.list->at[i], name));
    return list;
}

static Value whole_of(Run *r, const Node *n, Value v)
{
    char text[32];
    if (v.type == REAL && v.real > -1e18 && v.real < 1e18) return (Value){.type = INT, .whole = (long long)v.real};
    if (v.type != STRING) return v.type == INT ? v : run_fail(r, n, "%s is no number", type_word(v));
    snprintf(text, sizeof text, "%.*s", (int)(v.string->n < 31 ? v.string->n : 31), v.string->bytes);
    return (Value){.type = INT, .whole = strtoll(text, NULL, 10)};
}

static Value other_filter(Run *r, const Node *n, Value v, const Arguments *a)
{
    Value first = argument(a, 0, n->number == F_TOJSON ? "indent" : "default_value");
    long long length = length_of(v);
    switch (n->number) {
    case F_LENGTH:
    case F_COUNT:
        if (length < 0) return run_fail(r, n, "%s has no length", type_word(v));
        return (Value){.type = INT, .whole = length};
    case F_TOJSON:  return json_of(r, n, v, first.type == INT ? first.whole : -1);
    case F_FIRST:
    case F_LAST:    return end_of(r, n, v, n->number == F_LAST);
    case F_DEFAULT:
    case F_D: {
        bool given = is_true(argument(a, 1, "boolean")) ? is_true(v) : v.type != UNDEFINED;
        return given ? v : a->n ? first : make_string(r, "", 0, false);
    }
    case F_JOIN:    return join_all(r, n, v, argument(a, 0, "d"));
    case F_INT:     return whole_of(r, n, v);
    case F_MAP:     return map(r, n, v, a);
    case F_SELECT:
    case F_REJECT:
    case F_SELECTATTR:
    case F_REJECTATTR: return choose(r, n, v, a);
    case F_ITEMS:   return v.type == DICT ? pairs_of(r, v.dict) : run_fail(r, n, "items is for dictionaries");
    default:
        if (v.type == LIST || v.type == STRING) return v;
        return v.type == DICT ? dict_method(r, n, v.dict, "keys", a) : run_fail(r, n, "%s is no list", type_word(v));
    }
}

Value run_filter(Run *r, const Node *n, Value v, const Arguments *a)
{
    if (n->number >= F_LENGTH) return other_filter(r, n, v, a);
    Value s = string_of(r, n, v);
    if (r->failed) return s;
    switch (n->number) {
    case F_TRIM:       return strip(r, s, NULL, true, true);
    case F_UPPER:      return change_case(r, s, 'u');
    case F_LOWER:      return change_case(r, s, 'l');
    case F_TITLE:      return change_case(r, s, 't');
    case F_CAPITALIZE: return change_case(r, s, 'c');
    case F_REPLACE:    return replace(r, n, s, argument(a, 0, "old"), argument(a, 1, "new"));
    default:           return s;
    }
}

/* ---- tests ------------------------------------------------------------------------------------------------ */

static const char *const tests[] = {"defined", "undefined", "none", "string", "mapping", "iterable", "sequence",
                                    "number", "integer", "boolean", "true", "false", "odd", "even", "equalto", "eq",
                                    "in"};

int test_number(const char *name) { return number_in(tests, sizeof tests / sizeof *tests, name); }

bool run_test(Run *r, const Node *n, Value v, const Arguments *a)
{
    bool whole = v.type == INT, list = v.type == LIST || v.type == STRING || v.type == DICT;
    switch (n->number) {
    case 0:  return v.type != UNDEFINED;
    case 1:  return v.type == UNDEFINED;
    case 2:  return v.type == NONE;
    case 3:  return v.type == STRING;
    case 4:  return v.type == DICT;
    case 5:
    case 6:  return list;
    case 7:  return whole || v.type == REAL || v.type == BOOL;
    case 8:  return whole;
    case 9:  return v.type == BOOL;
    case 10: return v.type == BOOL && v.truth;
    case 11: return v.type == BOOL && !v.truth;
    case 12: return whole && v.whole % 2 != 0;
    case 13: return whole && v.whole % 2 == 0;
    case 14:
    case 15: return a->n && is_equal(v, a->at[0]);
    default: break;
    }
    if (!a->n || a->at[0].type != LIST) return run_fail(r, n, "the test 'in' wants a list"), false;
    for (size_t i = 0; i < a->at[0].list->n; i++)
        if (is_equal(v, a->at[0].list->at[i])) return true;
    return false;
}

/* ---- functions -------------------------------------------------------------------------------------------- */

static const char *const functions[] = {"raise_exception", "namespace", "range", "strftime_now", "dict"};

int function_number(const char *name) { return number_in(functions, sizeof functions / sizeof *functions, name); }

static Value numbers(Run *r, const Node *n, const Arguments *a)
{
    long long from = a->n > 1 ? a->at[0].whole : 0, to = a->n ? a->at[a->n > 1].whole : 0;
    long long by = a->n > 2 ? a->at[2].whole : 1;
    Value list = make_list(r);
    for (int i = 0; i < a->n; i++)
        if (a->at[i].type != INT || llabs(a->at[i].whole) > 1000000) return run_fail(r, n, "range takes small numbers");
    if (by == 0) return run_fail(r, n, "range takes steps of at least one");
    for (; !r->failed && (by > 0 ? from < to : from > to); from += by)
        list_add(r, list.list, (Value){.type = INT, .whole = from});
    return list;
}

Value run_function(Run *r, const Node *n, int number, const Arguments *a)
{
    char text[160] = "", format[64] = "";
    Value first = argument(a, 0, "format");
    if (first.type == STRING) snprintf(text, sizeof text, "%.*s", (int)first.string->n, first.string->bytes);
    if (number == 0) return run_fail(r, n, "the model's template refuses this chat: %s", text);
    if (number == 2) return numbers(r, n, a);
    if (number == 3) {
        time_t now = time(NULL);
        struct tm t;
        snprintf(format, sizeof format, "%.60s", text);
        return make_string(r, text, localtime_r(&now, &t) ? strftime(text, sizeof text, format, &t) : 0, false);
    }
    Value d = make_dict(r);
    for (int i = 0; !r->failed && i < a->n; i++)
        if (a->names[i]) dict_set(r, d.dict, make_string(r, a->names[i], strlen(a->names[i]), false), a->at[i]);
    return d;
}
