/* regex_translate.c -- a pattern of Oniguruma in the words of PCRE2
 *
 * Only what is known to mean the same is let through, everything else is refused by name. Single characters are written
 * as \x{...}, so no character of a class has a meaning of its own. Classes of characters are spelled out where the two
 * libraries differ: white space and letters of words are Unicode's properties; \h is a hexadecimal digit; a script is
 * the script alone, without its extensions.
 */
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "io/tokenizer/regex.h"

enum { PATTERN_LIMIT = 16384, REPEAT_LIMIT = 1000 };

#define SPACE "\\x09-\\x0D\\x20\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define NOT_SPACE                                                                                                      \
    "\\x00-\\x08\\x0E-\\x1F\\x21-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}\\x{200B}-\\x{2027}"        \
    "\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{D7FF}\\x{E000}-\\x{10FFFF}"
/* With what Oniguruma counts as letters among the characters below U+0100. */
#define WORD                                                                                                           \
    "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}"    \
    "\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}"

typedef struct reader {
    const char *pattern, *at, *name;
    pha__str *out;
} reader;

#define REFUSE(r, ...)                                                                                                 \
    return pha__fail_in(pha__fail(PHA_BAD_INPUT, __VA_ARGS__), "%s: the pattern '%.200s'", (r)->name, (r)->pattern)

static void put(reader *r, const char *text) { pha__str_puts(r->out, text); }
static void put_char(reader *r, int32_t code) { pha__str_printf(r->out, "\\x{%X}", (unsigned)code); }

/* The next character of the pattern as it is. */
static pha_status read_char(reader *r, int32_t *code)
{
    int size = pha__utf8_decode((const unsigned char *)r->at, strlen(r->at), code);
    if (*code < 0) REFUSE(r, "isn't UTF-8");
    r->at += size;
    return PHA_OK;
}

/* The general categories by their short and long names. */
static const char *category(const char *name)
{
    static const char *const names[] = {"L",  "Letter",
                                        "Lu", "Uppercase_Letter",
                                        "Ll", "Lowercase_Letter",
                                        "Lt", "Titlecase_Letter",
                                        "Lm", "Modifier_Letter",
                                        "Lo", "Other_Letter",
                                        "M",  "Mark",
                                        "Mn", "Nonspacing_Mark",
                                        "Mc", "Spacing_Mark",
                                        "Me", "Enclosing_Mark",
                                        "N",  "Number",
                                        "Nd", "Decimal_Number",
                                        "Nl", "Letter_Number",
                                        "No", "Other_Number",
                                        "P",  "Punctuation",
                                        "Pc", "Connector_Punctuation",
                                        "Pd", "Dash_Punctuation",
                                        "Ps", "Open_Punctuation",
                                        "Pe", "Close_Punctuation",
                                        "Pi", "Initial_Punctuation",
                                        "Pf", "Final_Punctuation",
                                        "Po", "Other_Punctuation",
                                        "S",  "Symbol",
                                        "Sm", "Math_Symbol",
                                        "Sc", "Currency_Symbol",
                                        "Sk", "Modifier_Symbol",
                                        "So", "Other_Symbol",
                                        "Z",  "Separator",
                                        "Zs", "Space_Separator",
                                        "Zl", "Line_Separator",
                                        "Zp", "Paragraph_Separator",
                                        "C",  "Other",
                                        "Cc", "Control",
                                        "Cf", "Format",
                                        "Cn", "Unassigned",
                                        "Co", "Private_Use"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i]) == 0) return names[i & ~(size_t)1];
    return NULL;
}

/* Behind \p or \P: {Name}, {^Name} or a letter. */
static pha_status property(reader *r, bool negated)
{
    char name[40] = "";
    if (*r->at == '{') {
        const char *end = strchr(++r->at, '}');
        if (*r->at == '^') negated = !negated, r->at++;
        if (!end || end <= r->at || end - r->at >= (ptrdiff_t)sizeof name) REFUSE(r, "has a \\p without a name");
        memcpy(name, r->at, (size_t)(end - r->at));
        r->at = end + 1;
    } else if (*r->at) {
        name[0] = *r->at++;
    }
    if (!name[0] || name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")])
        REFUSE(r, "has a property '%s', which isn't supported", name);
    const char *known = category(name);
    pha__str_printf(r->out, "\\%c{%s%s}", negated ? 'P' : 'p', known ? "" : "sc:", known ? known : name);
    return PHA_OK;
}

/* \x41 and \x{41} behind the x, \u0041 behind the u */
static pha_status hexadecimal(reader *r, bool four, int32_t *code)
{
    int n = 0, most = four ? 4 : 2;
    bool braces = !four && *r->at == '{';
    if (braces) r->at++, most = 6;
    for (*code = 0; n < most; n++, r->at++) {
        const char *digits = "0123456789abcdef", *d = *r->at ? strchr(digits, *r->at | 32) : NULL;
        if (!d || (*r->at < '0') || (*r->at > '9' && *r->at < 'A')) break;
        *code = *code * 16 + (int32_t)(d - digits);
    }
    if (n == 0 || (four && n < 4) || (braces && *r->at++ != '}')) REFUSE(r, "has an unfinished hexadecimal number");
    if (*code > 0x10FFFF || (*code >= 0xD800 && *code < 0xE000) || (!four && !braces && *code > 0x7F))
        REFUSE(r, "names a character by a number that is none");
    return PHA_OK;
}

/* An escape that is one character, behind the backslash; *code stays -1 for others. */
static pha_status escaped_char(reader *r, int32_t *code)
{
    static const char letters[] = "rntfvae", values[] = "\r\n\t\f\v\a\033";
    *code = -1;
    char c = *r->at;
    const char *known = c ? strchr(letters, c) : NULL;
    if (c == 0) REFUSE(r, "ends in a backslash");
    if (known) return r->at++, *code = values[known - letters], PHA_OK;
    if (c == 'x' || c == 'u') return r->at++, hexadecimal(r, c == 'u', code);
    if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')) return PHA_OK;
    return read_char(r, code);
}

/* An escape that is a set, as a class or inside of one; false in *done for others. */
static pha_status escaped_set(reader *r, bool in_class, bool *done)
{
    char c = *r->at;
    const char *set = NULL, *not_set = NULL;
    *done = true;
    if (c == 'p' || c == 'P') return r->at++, property(r, c == 'P');
    if (c == 's' || c == 'S')
        set = SPACE, not_set = NOT_SPACE;
    else if (c == 'd' || c == 'D')
        set = "\\p{Nd}", not_set = "\\P{Nd}";
    else if (c == 'h' || c == 'H')
        set = "0-9A-Fa-f", not_set = "\\x00-/:-@G-`g-\\x{D7FF}\\x{E000}-\\x{10FFFF}";
    else if (c == 'w' || (c == 'W' && !in_class))
        set = WORD;
    else
        return *done = false, PHA_OK;
    bool negated = c < 'a';
    r->at++;
    if (negated && not_set) set = not_set, negated = false;
    if (!in_class) put(r, negated ? "[^" : "[");
    put(r, set);
    if (!in_class) put(r, "]");
    return PHA_OK;
}

/* A member of a class: a character (*code), or a set that is written at once (*code -1). */
static pha_status member(reader *r, int32_t *code)
{
    bool done;
    *code = -1;
    if (*r->at != '\\') return read_char(r, code);
    r->at++;
    TRY(escaped_set(r, true, &done));
    if (done) return PHA_OK;
    if (*r->at == 'b') return r->at++, *code = '\b', PHA_OK;
    TRY(escaped_char(r, code));
    if (*code < 0) REFUSE(r, "has \\%c in a class, which isn't supported", *r->at);
    return PHA_OK;
}

/* Behind '['. Classes inside of a class are joined to it. */
static pha_status class(reader *r)
{
    put(r, "[");
    if (*r->at == '^') r->at++, put(r, "^");
    if (*r->at == ']') REFUSE(r, "has an empty class");
    for (int depth = 1; depth;) {
        int32_t first, last;
        if (*r->at == 0) REFUSE(r, "has a class without an end");
        if (*r->at == ']') {
            r->at++, depth--;
            continue;
        }
        if (*r->at == '[') {
            if (r->at[1] == '^' || r->at[1] == ':' || r->at[1] == ']')
                REFUSE(r, "has '[%c' in a class, which isn't supported", r->at[1]);
            r->at++, depth++;
            continue;
        }
        if (r->at[0] == '&' && r->at[1] == '&') REFUSE(r, "has '&&' in a class, which isn't supported");
        TRY(member(r, &first));
        if (first < 0) {
            if (r->at[0] == '-' && r->at[1] != ']') REFUSE(r, "has a range from a set in a class");
            continue;
        }
        put_char(r, first);
        if (r->at[0] != '-' || r->at[1] == ']') continue;
        r->at++;
        if (r->at[0] == '[') REFUSE(r, "has a range to a set in a class");
        put(r, "-");
        TRY(member(r, &last));
        if (last < first) REFUSE(r, "has a range in a class that isn't one");
        put_char(r, last);
    }
    put(r, "]");
    return PHA_OK;
}

/* Behind '(' */
static pha_status group(reader *r)
{
    static const char *const heads[] = {"?:", "?i:", "?=", "?!", "?<=", "?<!", "?>"};
    if (*r->at != '?') return put(r, "(?:"), PHA_OK;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        if (strncmp(r->at, heads[i], strlen(heads[i])) != 0) continue;
        pha__str_printf(r->out, "(%s", heads[i]);
        r->at += strlen(heads[i]);
        return PHA_OK;
    }
    if (r->at == r->pattern + 1 && strncmp(r->at, "?i)", 3) == 0) return r->at += 3, put(r, "(?i)"), PHA_OK;
    REFUSE(r, "has '(%.3s', which isn't supported", r->at);
}

static int number(const char **at)
{
    int n = -1;
    for (; **at >= '0' && **at <= '9'; (*at)++) n = n < REPEAT_LIMIT ? (n < 0 ? 0 : n * 10) + (**at - '0') : n;
    return n;
}

/* Behind '{': {n}, {n,}, {n,m}, {,m}, else the character */
static pha_status repeat(reader *r)
{
    const char *at = r->at;
    int low = number(&at), high = low;
    bool comma = *at == ',';
    if (comma) at++, high = number(&at);
    if (*at != '}' || (low < 0 && high < 0)) return put(r, "\\{"), PHA_OK;
    at++;
    if (*at == '+' || (*at == '?' && !comma)) REFUSE(r, "has '%c' behind '}', which isn't supported", *at);
    if (low > REPEAT_LIMIT || high > REPEAT_LIMIT) REFUSE(r, "repeats something more than %d times", REPEAT_LIMIT);
    r->at = at;
    if (comma && high < 0)
        pha__str_printf(r->out, "{%d,}", low);
    else
        pha__str_printf(r->out, "{%d,%d}", low < 0 ? 0 : low, high);
    return PHA_OK;
}

/* Behind a backslash outside of a class */
static pha_status escape(reader *r)
{
    bool done;
    int32_t code;
    TRY(escaped_set(r, false, &done));
    if (done) return PHA_OK;
    if (*r->at == 'b')
        return r->at++, put(r, "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))"), PHA_OK;
    if (*r->at == 'A' || *r->at == 'z') return pha__str_printf(r->out, "\\%c", *r->at++), PHA_OK;
    TRY(escaped_char(r, &code));
    if (code < 0) REFUSE(r, "has \\%c, which isn't supported", *r->at);
    put_char(r, code);
    return PHA_OK;
}

static pha_status translate(reader *r)
{
    while (*r->at) {
        char c = *r->at;
        if (strchr("\\[({", c)) {
            r->at++;
            TRY(c == '\\' ? escape(r) : c == '[' ? class(r) : c == '(' ? group(r) : repeat(r));
        } else if (strchr(")|.^$*+?", c)) {
            r->at++;
            pha__str_add(r->out, &c, 1);
        } else {
            int32_t code;
            TRY(read_char(r, &code));
            put_char(r, code);
        }
    }
    return PHA_OK;
}

pha_status pha__regex_translate(pha__str *out, const char *pattern, const char *name)
{
    reader r = {.pattern = pattern, .at = pattern, .name = name, .out = out};
    if (strlen(pattern) > PATTERN_LIMIT) FAIL(BAD_INPUT, "%s: a pattern of more than %d bytes", name, PATTERN_LIMIT);
    return translate(&r);
}
