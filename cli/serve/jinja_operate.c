/* jinja_operate.c -- parts of values, and what operators make of two */
#include <math.h>
#include <string.h>

#include "serve/jinja_impl.h"

/* ---- parts of values -------------------------------------------------------------------------------------- */

Value attribute_of(Run *r, const Node *n, Value object, const char *name, size_t size)
{
    Value v;
    if (object.type == UNDEFINED)
        return run_fail(r, n, "'%.*s' is asked of something that is undefined", (int)(size < 40 ? size : 40), name);
    if (object.type == DICT && dict_get(object.dict, name, size, &v)) return v;
    return (Value){0};
}

/* The byte where character i begins. */
size_t byte_of(const String *s, long long i)
{
    size_t at = 0;
    for (; at < s->n; at++)
        if (((unsigned char)s->bytes[at] & 0xc0) != 0x80 && i-- == 0) break;
    return at;
}

Value item_of(Run *r, const Node *n, Value object, Value index)
{
    long long length = length_of(object), i;
    if (index.type == STRING) return attribute_of(r, n, object, index.string->bytes, index.string->n);
    if (object.type == UNDEFINED) return run_fail(r, n, "an item is asked of something that is undefined");
    if (index.type != INT || object.type == DICT || length < 0) return (Value){0};
    i = index.whole < 0 ? index.whole + length : index.whole;
    if (i < 0 || i >= length) return (Value){0};
    if (object.type == LIST) return object.list->at[i];
    return part_of(r, object, byte_of(object.string, i), byte_of(object.string, i + 1));
}

/* ---- operators -------------------------------------------------------------------------------------------- */

static bool is_number(Value v) { return v.type == INT || v.type == REAL || v.type == BOOL; }
static double real(Value v)
{
    return v.type == REAL ? v.real : v.type == INT ? (double)v.whole : v.type == BOOL && v.truth;
}

static Value truth(bool b) { return (Value){.type = BOOL, .truth = b}; }

static Value contains(Run *r, const Node *n, Value a, Value in)
{
    Value unused;
    if (in.type == STRING && a.type == STRING) {
        const String *s = in.string, *what = a.string;
        return truth(what->n == 0 || memmem(s->bytes, s->n, what->bytes, what->n) != NULL);
    }
    if (in.type == DICT) return truth(a.type == STRING && dict_get(in.dict, a.string->bytes, a.string->n, &unused));
    if (in.type != LIST) return run_fail(r, n, "nothing is in %s", type_word(in));
    for (size_t i = 0; i < in.list->n; i++)
        if (is_equal(in.list->at[i], a)) return truth(true);
    return truth(false);
}

static Value compare(Run *r, const Node *n, Value a, Value b)
{
    double d = 0;
    if (is_number(a) && is_number(b)) d = real(a) - real(b);
    else if (a.type == STRING && b.type == STRING) {
        size_t least = a.string->n < b.string->n ? a.string->n : b.string->n;
        d = memcmp(a.string->bytes, b.string->bytes, least);
        if (d == 0) d = (double)a.string->n - (double)b.string->n;
    } else return run_fail(r, n, "%s and %s can't be compared", type_word(a), type_word(b));
    switch ((Operator)n->number) {
    case O_LESS:       return truth(d < 0);
    case O_LESS_EQUAL: return truth(d <= 0);
    case O_MORE:       return truth(d > 0);
    default:           return truth(d >= 0);
    }
}

static Value of_whole(Run *r, const Node *n, long long a, long long b)
{
    long long c = 0;
    bool over = false;
    switch ((Operator)n->number) {
    case O_PLUS:  over = __builtin_add_overflow(a, b, &c); break;
    case O_MINUS: over = __builtin_sub_overflow(a, b, &c); break;
    case O_TIMES: over = __builtin_mul_overflow(a, b, &c); break;
    default: /* rounded down, and a rest of the divisor's sign */
        if (b == 0) return run_fail(r, n, "a division by zero");
        if (b == -1) over = __builtin_sub_overflow(0, a, &c), c = n->number == O_REST ? 0 : c;
        else c = n->number == O_REST ? (a % b + b) % b : a / b - (a % b != 0 && (a < 0) != (b < 0));
    }
    if (over) return run_fail(r, n, "a number is too large");
    return (Value){.type = INT, .whole = c};
}

static Value calculate(Run *r, const Node *n, Value a, Value b)
{
    double x = real(a), y = real(b);
    if (!is_number(a) || !is_number(b))
        return run_fail(r, n, "%s and %s can't be put together like this", type_word(a), type_word(b));
    bool whole = a.type != REAL && b.type != REAL && n->number != O_OVER && n->number != O_POWER;
    if (whole) return of_whole(r, n, (long long)x, (long long)y);
    if (y == 0 && n->number != O_PLUS && n->number != O_MINUS && n->number != O_TIMES && n->number != O_POWER)
        return run_fail(r, n, "a division by zero");
    switch ((Operator)n->number) {
    case O_PLUS:  x += y; break;
    case O_MINUS: x -= y; break;
    case O_TIMES: x *= y; break;
    case O_OVER:  x /= y; break;
    case O_WHOLE: x = floor(x / y); break;
    case O_REST:  x -= y * floor(x / y); break;
    default:      x = pow(x, y);
    }
    bool power = n->number == O_POWER && a.type != REAL && b.type != REAL && y >= 0 && fabs(x) < 0x1p53;
    return power ? (Value){.type = INT, .whole = (long long)x} : (Value){.type = REAL, .real = x};
}

static Value both_lists(Run *r, Value a, Value b)
{
    Value list = make_list(r);
    for (size_t i = 0; !r->failed && i < a.list->n; i++) list_add(r, list.list, a.list->at[i]);
    for (size_t i = 0; !r->failed && i < b.list->n; i++) list_add(r, list.list, b.list->at[i]);
    return list;
}

Value run_operator(Run *r, const Node *n, Value a, Value b)
{
    switch ((Operator)n->number) {
    case O_OR:
    case O_AND:     return b;
    case O_EQUAL:   return truth(is_equal(a, b));
    case O_UNEQUAL: return truth(!is_equal(a, b));
    case O_IN:      return contains(r, n, a, b);
    case O_NOT_IN:  return truth(!is_true(contains(r, n, a, b)));
    case O_JOIN:    a = string_of(r, n, a), b = string_of(r, n, b); return join(r, a, b);
    case O_PLUS:
        if (a.type == STRING && b.type == STRING) return join(r, a, b);
        if (a.type == LIST && b.type == LIST) return both_lists(r, a, b);
        return calculate(r, n, a, b);
    case O_LESS:
    case O_LESS_EQUAL:
    case O_MORE:
    case O_MORE_EQUAL: return compare(r, n, a, b);
    default:           return calculate(r, n, a, b);
    }
}
