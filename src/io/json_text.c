/* json_text.c -- one pass over a JSON object: everything is checked, one string is remembered */
#include "io/json_text.h"

#include <string.h>

#include "base/utf8.h"

enum { REPLACEMENT = 0xFFFD };

typedef enum { OK, CUT, BAD } result;

typedef struct place { /* what lies under the key */
    pha__json_found found;
    size_t from, to;
    bool escaped;
} place;

typedef struct scan {
    const unsigned char *s;
    size_t n, at;
    const char *why, *key;
    unsigned depth, on;          /* open objects and arrays; objects on the way to the key, the outermost among them */
    uint64_t object[PHA__JSON_DEPTH / 64]; /* by depth: object or array? */
    bool literal, nested, enter; /* the value that follows is that of the key, of its path, or on the way */
    place whole, path;
    size_t from, to; /* of the last string */
    bool escaped, begun;
} scan;

static result bad(scan *j, const char *why)
{
    j->why = why;
    return BAD;
}

static void skip_space(scan *j)
{
    while (j->at < j->n && (j->s[j->at] == ' ' || j->s[j->at] == '\n' || j->s[j->at] == '\r' || j->s[j->at] == '\t'))
        j->at++;
}

static int hex(unsigned char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of \uXXXX; -1: they are none. */
static int32_t unit(const unsigned char *s)
{
    int32_t code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex(s[i]);
        if (digit < 0) return -1;
        code = code * 16 + digit;
    }
    return code;
}

/* ---- strings -------------------------------------------------------------------------------------------- */

/* Eight bytes that need no second look: ASCII, no control character, quote or backslash. */
static bool plain_eight(const unsigned char *s)
{
    const uint64_t ones = 0x0101010101010101, high = 0x8080808080808080;
    uint64_t x;
    memcpy(&x, s, 8);
    uint64_t quote = x ^ ones * '"', slash = x ^ ones * '\\';
    uint64_t odd = x | (x - ones * 0x20) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash);
    return (odd & high) == 0;
}

static result escape(scan *j)
{
    if (j->n - j->at < 2) return CUT;
    unsigned char c = j->s[j->at + 1];
    j->escaped = true;
    if (c != 'u') {
        if (!c || !strchr("\"\\/bfnrt", c)) return bad(j, "an unknown escape in a string");
        j->at += 2;
        return OK;
    }
    for (size_t i = 2; i < 6; i++) {
        if (j->at + i >= j->n) return CUT;
        if (hex(j->s[j->at + i]) < 0) return bad(j, "\\u without four hexadecimal digits");
    }
    j->at += 6;
    return OK;
}

/* A byte that is no plain one. */
static result odd_byte(scan *j)
{
    unsigned char c = j->s[j->at];
    if (c == '\\') return escape(j);
    if (c < 0x20) return bad(j, "a control character in a string");
    if (c < 0x80) return j->at++, OK;
    int32_t code;
    int length = pha__utf8_decode(j->s + j->at, j->n - j->at, &code);
    if (code < 0 && j->n - j->at < 4 && pha__utf8_whole(j->s + j->at, j->n - j->at) == 0) return CUT;
    if (code < 0) return bad(j, "a string is not UTF-8");
    j->at += (size_t)length;
    return OK;
}

/* From behind the opening quote to behind the closing one. */
static result string(scan *j)
{
    j->from = j->at, j->escaped = false;
    for (;;) {
        while (j->n - j->at >= 8 && plain_eight(j->s + j->at)) j->at += 8;
        if (j->at == j->n) return CUT;
        if (j->s[j->at] == '"') break;
        result r = odd_byte(j);
        if (r != OK) return r;
    }
    j->to = j->at++;
    return OK;
}

/* The code at s, of a string that was checked; *used bytes. Halves of a pair are put together. */
static int32_t character(const unsigned char *s, size_t size, size_t *used)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    *used = 2;
    if (s[1] != 'u') {
        const char *at = strchr(from, s[1]);
        return at ? to[at - from] : s[1];
    }
    *used = 6;
    int32_t code = unit(s + 2);
    if (code < 0xD800 || code > 0xDFFF) return code;
    int32_t low = code < 0xDC00 && size >= 12 && s[6] == '\\' && s[7] == 'u' ? unit(s + 8) : 0;
    if (low < 0xDC00 || low > 0xDFFF) return -1;
    *used = 12;
    return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
}

size_t pha__json_text_decode(char *s, size_t size, uint64_t *replaced)
{
    const unsigned char *in = (const unsigned char *)s;
    size_t at = 0, out = 0;
    while (at < size) {
        const unsigned char *slash = memchr(in + at, '\\', size - at);
        size_t plain = slash ? (size_t)(slash - in) - at : size - at, used;
        if (out != at) memmove(s + out, s + at, plain);
        at += plain, out += plain;
        if (!slash) break;
        int32_t code = character(in + at, size - at, &used);
        *replaced += code < 0;
        out += (size_t)pha__utf8_encode(code < 0 ? REPLACEMENT : code, (unsigned char *)s + out);
        at += used;
    }
    return out;
}

/* Is the last string this text, which has no escapes? */
static bool equals(const scan *j, const char *text, size_t size)
{
    const unsigned char *s = j->s + j->from;
    size_t n = j->to - j->from, at = 0, done = 0;
    if (!j->escaped) return n == size && memcmp(s, text, size) == 0;
    while (at < n) {
        unsigned char code[4] = {s[at]};
        size_t used = 1, length = 1;
        if (s[at] == '\\') {
            int32_t c = character(s + at, n - at, &used);
            if (c < 0) return false;
            length = (size_t)pha__utf8_encode(c, code);
        }
        if (length > size - done || memcmp(text + done, code, length) != 0) return false;
        done += length, at += used;
    }
    return done == size;
}

/* ---- values --------------------------------------------------------------------------------------------- */

static result digits(scan *j)
{
    while (j->at < j->n && j->s[j->at] >= '0' && j->s[j->at] <= '9') j->at++;
    return j->at < j->n ? OK : CUT;
}

static bool digit_at(const scan *j, size_t at) { return at < j->n && j->s[at] >= '0' && j->s[at] <= '9'; }

static result number(scan *j)
{
    if (j->s[j->at] == '-') j->at++;
    if (j->at == j->n) return CUT;
    if (!digit_at(j, j->at)) return bad(j, "a value was expected");
    if (j->s[j->at] == '0') j->at++;
    else if (digits(j) == CUT) return CUT;
    if (j->at == j->n) return CUT;
    if (j->s[j->at] == '.') {
        if (j->at + 1 == j->n) return CUT;
        if (!digit_at(j, j->at + 1)) return bad(j, "digits were expected behind the point");
        j->at++;
        if (digits(j) == CUT) return CUT;
    }
    if ((j->s[j->at] | 32) != 'e') return OK;
    size_t at = j->at + 1;
    if (at < j->n && (j->s[at] == '+' || j->s[at] == '-')) at++;
    if (at == j->n) return CUT;
    if (!digit_at(j, at)) return bad(j, "digits were expected in the exponent");
    j->at = at;
    return digits(j);
}

/* null, true, false, and numbers, among them those that only Python writes. */
static result scalar(scan *j)
{
    static const char *const words[] = {"null", "true", "false", "NaN", "Infinity", "-Infinity"};
    const char *here = (const char *)j->s + j->at;
    size_t left = j->n - j->at;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if (left >= n && memcmp(here, words[i], n) == 0) return j->at += n, OK;
        if (left < n && memcmp(here, words[i], left) == 0) return CUT;
    }
    return number(j);
}

static result push(scan *j, bool is_object)
{
    if (j->depth == PHA__JSON_DEPTH) return bad(j, "too many objects and arrays inside each other");
    uint64_t bit = (uint64_t)1 << (j->depth & 63), *word = &j->object[j->depth / 64];
    *word = is_object ? *word | bit : *word & ~bit;
    j->depth++;
    return OK;
}

static bool in_object(const scan *j) { return j->object[(j->depth - 1) / 64] >> ((j->depth - 1) & 63) & 1; }

/* The value is one that was looked for: a string, or not. */
static void remember(scan *j, bool is_string)
{
    place p = {is_string ? PHA__JSON_TEXT : PHA__JSON_NO_STRING, j->from, j->to, j->escaped};
    if (j->literal) j->whole = p;
    if (j->nested) j->path = p;
    j->literal = j->nested = j->enter = false;
}

/* The part of the key that the object at depth `on` should have, and whether it is the last. */
static const char *part_of(const scan *j, size_t *size, bool *last)
{
    const char *part = j->key;
    for (unsigned i = 1; i < j->on; i++) part = strchr(part, '.') + 1;
    const char *dot = strchr(part, '.');
    *size = dot ? (size_t)(dot - part) : strlen(part);
    *last = !dot;
    return part;
}

static void look_at_key(scan *j)
{
    j->literal = j->nested = j->enter = false;
    if (j->depth != j->on) return;
    size_t size;
    bool last;
    const char *part = part_of(j, &size, &last);
    j->literal = j->depth == 1 && equals(j, j->key, strlen(j->key));
    if (!equals(j, part, size)) return;
    j->nested = last, j->enter = !last;
    if (!last) j->path.found = PHA__JSON_NO_KEY; /* of an earlier object under the same key */
}

/* Up to the value of the next member. */
static result member(scan *j)
{
    skip_space(j);
    if (j->at == j->n) return CUT;
    if (j->s[j->at] != '"') return bad(j, "a key was expected");
    j->at++;
    result r = string(j);
    if (r != OK) return r;
    look_at_key(j);
    skip_space(j);
    if (j->at == j->n) return CUT;
    if (j->s[j->at] != ':') return bad(j, "':' was expected");
    j->at++;
    return OK;
}

static void pop(scan *j)
{
    if (j->on == j->depth) j->on--;
    j->depth--;
}

/* Opens an object or array. *empty: and it is closed already. */
static result open_value(scan *j, bool is_object, bool *empty)
{
    bool enter = is_object && (j->enter || j->depth == 0);
    remember(j, false);
    j->at++;
    result r = push(j, is_object);
    if (r != OK) return r;
    j->on += enter;
    skip_space(j);
    *empty = j->at < j->n && j->s[j->at] == (is_object ? '}' : ']');
    if (*empty) j->at++, pop(j);
    return j->at == j->n && !*empty ? CUT : OK;
}

/* A value: *open if it is an object or array with something in it, whose first value follows. */
static result value(scan *j, bool *open)
{
    bool empty = true;
    skip_space(j);
    *open = false;
    if (j->at == j->n) return CUT;
    unsigned char c = j->s[j->at];
    result r;
    if (c == '{' || c == '[') {
        r = open_value(j, c == '{', &empty);
        *open = !empty;
    } else if (c == '"') {
        j->at++;
        j->begun |= j->literal || j->nested;
        r = string(j);
        if (r == OK) remember(j, true);
    } else {
        r = scalar(j);
        if (r == OK) remember(j, false);
    }
    return r;
}

/* Behind a value: closes what ends here. At depth > 0 another value follows. */
static result after(scan *j)
{
    while (j->depth > 0) {
        bool object = in_object(j);
        skip_space(j);
        if (j->at == j->n) return CUT;
        unsigned char c = j->s[j->at];
        if (c != ',' && c != (object ? '}' : ']'))
            return bad(j, object ? "',' or '}' was expected" : "',' or ']' was expected");
        j->at++;
        if (c == ',') return OK;
        pop(j);
    }
    return OK;
}

static result object(scan *j)
{
    do {
        bool open = false;
        result r = j->depth > 0 && in_object(j) ? member(j) : OK;
        if (r == OK) r = value(j, &open);
        if (r == OK && !open) r = after(j);
        if (r != OK) return r;
    } while (j->depth > 0);
    return OK;
}

pha__json_found pha__json_text_find(pha__json_text *out, const char *s, size_t size, const char *key)
{
    scan j;
    memset(&j, 0, offsetof(scan, object));
    memset(&j.literal, 0, sizeof j - offsetof(scan, literal));
    j.s = (const unsigned char *)s, j.n = size, j.key = key;
    j.whole.found = j.path.found = PHA__JSON_NO_KEY;
    *out = (pha__json_text){0};
    skip_space(&j);
    if (j.at < j.n && j.s[j.at] == '[') return PHA__JSON_NO_OBJECT;
    result r = j.at == j.n ? CUT : j.s[j.at] == '{' ? object(&j) : bad(&j, "'{' was expected");
    const place *p = j.whole.found == PHA__JSON_NO_KEY ? &j.path : &j.whole;
    *out = (pha__json_text){p->from, p->to, p->escaped, false, j.at, j.why};
    if (r == BAD) return PHA__JSON_BAD;
    if (r == OK) return p->found;
    out->begun = j.begun;
    return PHA__JSON_CUT;
}
