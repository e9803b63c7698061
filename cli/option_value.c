/* option_value.c -- one value of an option: from text into its field, with its range; and the memory behind values */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "option.h"
#include "talk.h"

/* ---- memory: blocks in a chain, freed together ---------------------------------------------------------- */

typedef struct block {
    struct block *next;
    max_align_t memory[];
} block;

void *option_take(Call *call, size_t size)
{
    block *b = calloc(1, sizeof *b + size);
    if (!b) {
        talk_error("pha", "out of memory");
        exit(PHA_NO_MEMORY);
    }
    b->next = call->pool;
    call->pool = b;
    return b->memory;
}

char *option_copy(Call *call, const char *text, size_t size)
{
    char *c = option_take(call, size + 1);
    memcpy(c, text, size);
    return c;
}

void option_free(Call *call)
{
    for (block *b = call->pool, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    call->pool = NULL;
}

/* ---- messages ------------------------------------------------------------------------------------------- */

static void name_of(const Call *call, char name[64])
{
    bool named = call->command && call->command->name;
    snprintf(name, 64, "pha%s%s", named ? " " : "", named ? call->command->name : "");
}

int usage_error(const Call *call, const char *format, ...)
{
    char name[64], text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    name_of(call, name);
    talk_error(name, text);
    return PHA_USAGE;
}

int library_error(const Call *call, pha_status status)
{
    char name[64];
    const char *message = pha_errmsg();
    name_of(call, name);
    if (status != PHA_OK) talk_error(name, message[0] ? message : pha_status_text(status));
    return status;
}

/* ---- one value ------------------------------------------------------------------------------------------ */

static void *field(const Call *call, void *options, const Option *o)
{
    (void)call;
    return (char *)options + o->offset;
}

/* One end of a range. The largest whole number that an option takes is no double. */
static void end_text(const Option *o, double end, char text[32])
{
    bool whole = o->kind == OPTION_INT || o->kind == OPTION_INTS;
    if (whole && end >= 0x1p63) snprintf(text, 32, "%lld", (long long)INT64_MAX);
    else snprintf(text, 32, whole ? "%.0f" : "%.15g", end);
}

/* "1 to 64", "at least 1", "above 0, at most 1", "above 0, below 1", "at least 0, below 1" */
static void range_text(const Option *o, char *text, size_t size)
{
    char low[32], high[32];
    end_text(o, o->low, low);
    end_text(o, o->high, high);
    if (isinf(o->high)) snprintf(text, size, "%s %s", o->above ? "above" : "at least", low);
    else if (!o->above && !o->below) snprintf(text, size, "%s to %s", low, high);
    else
        snprintf(text, size, "%s %s, %s %s", o->above ? "above" : "at least", low, o->below ? "below" : "at most",
                 high);
}

static int out_of_range(const Call *call, const Option *o, const char *where, const char *text)
{
    char range[96];
    range_text(o, range, sizeof range);
    return usage_error(call, "%s = %s is out of range: %s", where, text, range);
}

static int check_range(const Call *call, const Option *o, double value, const char *where, const char *text)
{
    if (isnan(value)) return usage_error(call, "%s = %s is not a number", where, text);
    if (o->low == 0 && o->high == 0 && !o->above) return 0;
    bool low = o->above ? value > o->low : value >= o->low, high = o->below ? value < o->high : value <= o->high;
    return low && high ? 0 : out_of_range(call, o, where, text);
}

static int set_int(Call *call, void *at, const Option *o, const char *text, const char *where)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end) return usage_error(call, "%s = %s is not a whole number", where, text);
    bool overflow = errno == ERANGE;
    bool bounded = o->low != 0 || o->high != 0 || o->above;
    if (overflow && bounded) return out_of_range(call, o, where, text);
    int bad = overflow ? 0 : check_range(call, o, (double)value, where, text);
    if (bad) return bad;
    if (overflow || (o->size == 4 && value != (int32_t)value))
        return usage_error(call, "%s = %s is out of range: it must fit in %d bits", where, text, (int)o->size * 8);
    if (o->zero_off && value == 0) value = -1;
    if (o->size == 4) *(int32_t *)at = (int32_t)value;
    else *(int64_t *)at = value;
    return 0;
}

static int set_real(Call *call, void *at, const Option *o, const char *text, const char *where)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end) return usage_error(call, "%s = %s is not a number", where, text);
    int bad = check_range(call, o, value, where, text);
    *(double *)at = o->zero_off && value == 0 ? -1 : value;
    return bad;
}

static int set_flag(Call *call, void *at, const Option *o, const char *text, const char *where)
{
    static const char *const words[] = {"true", "1", "yes", "on", "false", "0", "no", "off"};
    for (int i = 0; i < 8; i++)
        if (strcmp(text, words[i]) == 0) {
            *(bool *)at = (i < 4) != o->invert;
            return 0;
        }
    return usage_error(call, "%s = %s: a flag is true or false", where, text);
}

static int set_enum(Call *call, void *at, const Option *o, const char *text, const char *where)
{
    char names[256], all[300] = "", *save = NULL;
    const char *choices[16];
    int n = 0;
    snprintf(names, sizeof names, "%s", o->choices);
    for (char *name = strtok_r(names, "|", &save); name && n < 16; name = strtok_r(NULL, "|", &save)) {
        if (strcmp(name, text) == 0) {
            *(int *)at = o->base + n;
            return 0;
        }
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", n ? ", " : "", name);
        choices[n++] = name;
    }
    const char *near = nearest(text, choices, (size_t)n);
    if (near) return usage_error(call, "%s = %s: did you mean %s? It is one of: %s", where, text, near, all);
    return usage_error(call, "%s = %s: it is one of: %s", where, text, all);
}

void option_append(Call *call, List *l, const char *text)
{
    const char **items = option_take(call, (l->n + 1) * sizeof *items);
    if (l->n) memcpy(items, l->items, l->n * sizeof *items);
    items[l->n++] = text;
    l->items = items;
}

/* Numbers with commas between, into fresh memory. */
static int set_numbers(Call *call, void **items, size_t *found, const Option *o, const char *text, const char *where)
{
    size_t n = 1, size = o->kind == OPTION_INTS ? sizeof(int32_t) : sizeof(double);
    for (const char *s = text; *s; s++) n += *s == ',';
    Option one = *o;
    one.size = size;
    char *out = option_take(call, n * size);
    *items = out, *found = 0;
    for (const char *s = text; n-- > 0; s += strcspn(s, ",") + (n > 0)) {
        char *number = option_copy(call, s, strcspn(s, ",")), *at = out + size * (*found)++;
        int bad = o->kind == OPTION_INTS ? set_int(call, at, &one, number, where)
                                         : set_real(call, at, &one, number, where);
        if (bad) return bad;
    }
    return 0;
}

static int set_ints(Call *call, Ints *out, const Option *o, const char *text, const char *where)
{
    void *items = NULL;
    int bad = set_numbers(call, &items, &out->n, o, text, where);
    out->items = items;
    return bad;
}

static int set_reals(Call *call, Reals *out, const Option *o, const char *text, const char *where)
{
    void *items = NULL;
    int bad = set_numbers(call, &items, &out->n, o, text, where);
    out->items = items;
    return bad;
}

/* where: how the person wrote the name, for messages. */
int option_set(Call *call, void *options, size_t i, const char *text, option_source source, const char *where)
{
    const Option *o = &call->command->options[i];
    void *at = field(call, options, o);
    int bad = 0;
    text = option_copy(call, text, strlen(text));
    switch (o->kind) {
    case OPTION_FLAG: bad = set_flag(call, at, o, text, where); break;
    case OPTION_INT: bad = set_int(call, at, o, text, where); break;
    case OPTION_REAL: bad = set_real(call, at, o, text, where); break;
    case OPTION_ENUM: bad = set_enum(call, at, o, text, where); break;
    case OPTION_INTS: bad = set_ints(call, at, o, text, where); break;
    case OPTION_REALS: bad = set_reals(call, at, o, text, where); break;
    case OPTION_LIST: option_append(call, at, text); break;
    case OPTION_STRING:
    case OPTION_PATH: *(const char **)at = text; break;
    }
    if (bad) return bad;
    if (o->kind == OPTION_LIST && call->texts[i]) {
        size_t size = strlen(call->texts[i]) + strlen(text) + 3;
        char *joined = option_take(call, size);
        snprintf(joined, size, "%s, %s", call->texts[i], text);
        text = joined;
    }
    call->texts[i] = (char *)text;
    call->sources[i] = source;
    return 0;
}
