/* options.c -- the table of training options: defaults, ranges, and values for files and messages */
#include "runtime/train/options.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/print.h"
#include "base/range.h"

/* ---- the table ------------------------------------------------------------------------------------------- */

#define UNWRAP(...) __VA_ARGS__
#define OPTION(...) ROW(__VA_ARGS__)
#define ROW(field_, name_, kind_, text_, value_, rules_, role_, ...)                                              \
    {.field = #field_, .key = &#field_[sizeof #field_ - sizeof name_], /* without no_ */                          \
     .kind = PHA__OPTION_##kind_, .role = PHA__##role_, .offset = offsetof(pha_train_options, field_),            \
     .size = sizeof((pha_train_options *)0)->field_, UNWRAP rules_},
const pha__option pha__train_options[] = {
#include "pha_train.def"
};
#undef ROW
const size_t pha__n_train_options = sizeof pha__train_options / sizeof *pha__train_options;

/* The defaults, by position: a member of the struct that has no row does not compile. */
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wmissing-field-initializers"
#define OPTION(...) VALUE(__VA_ARGS__)
#define VALUE(field_, name_, kind_, text_, value_, ...) value_,
static const pha_train_options defaults = {
#include "pha_train.def"
    NULL, NULL, NULL /* command, progress, user: no options */
};
#pragma GCC diagnostic pop
#undef VALUE

/* ---- one value ------------------------------------------------------------------------------------------- */

static const void *at(const pha__option *row, const pha_train_options *o) { return (const char *)o + row->offset; }

/* Of an INT, FLAG or ENUM. */
static int64_t whole(const pha__option *row, const pha_train_options *o)
{
    const void *value = at(row, o);
    if (row->kind == PHA__OPTION_FLAG) return *(const bool *)value != row->invert;
    return row->size == sizeof(int32_t) ? *(const int32_t *)value : *(const int64_t *)value;
}

static double number(const pha__option *row, const pha_train_options *o)
{
    return row->kind == PHA__OPTION_REAL ? *(const double *)at(row, o) : (double)whole(row, o);
}

/* The word for the value of an ENUM, and how many bytes of it; NULL: there is none. */
static const char *choice(const pha__option *row, int64_t value, int *size)
{
    const char *s = value >= row->base ? row->choices : NULL;
    for (int64_t i = row->base; i < value && s; i++) s = strchr(s, '|') ? strchr(s, '|') + 1 : NULL;
    *size = s ? (int)strcspn(s, "|") : 0;
    return s;
}

bool pha__option_has(const pha__option *row, const pha_train_options *o)
{
    int size;
    if (row->kind == PHA__OPTION_PATH) return *(const char *const *)at(row, o) != NULL;
    if (row->kind == PHA__OPTION_ENUM) return choice(row, whole(row, o), &size) != NULL;
    if (row->kind == PHA__OPTION_REAL) return number(row, o) != 0 || (row->low == 0 && !row->above);
    return row->kind != PHA__OPTION_INT || number(row, o) >= row->low;
}

bool pha__option_is_default(const pha__option *row, const pha_train_options *o)
{
    return !memcmp(at(row, o), at(row, &defaults), row->size);
}

json_t *pha__option_json(const pha__option *row, const pha_train_options *o)
{
    int size;
    const char *text;
    switch (row->kind) {
    case PHA__OPTION_PATH: return pha__json_path(*(const char *const *)at(row, o));
    case PHA__OPTION_FLAG: return json_boolean(whole(row, o));
    case PHA__OPTION_INT: return pha__json_number(whole(row, o));
    case PHA__OPTION_NATURAL: return pha__json_number(*(const int64_t *)at(row, o));
    case PHA__OPTION_REAL: return pha__json_decimal(number(row, o));
    case PHA__OPTION_ENUM:
        text = choice(row, whole(row, o), &size);
        return pha__json_text_of(text, (size_t)size);
    }
    return NULL;
}

static pha_status read_choice(const pha__option *row, int64_t *out, const json_t *value, const char *where)
{
    int n;
    const char *word = json_string_value(value);
    for (int64_t i = row->base; word && choice(row, i, &n); i++)
        if (!strncmp(word, choice(row, i, &n), (size_t)n) && !word[n]) return *out = i, PHA_OK;
    FAIL(BAD_INPUT, "%s: %s is none of %s", where, row->key, row->choices);
}

static pha_status read_whole(const pha__option *row, int64_t *out, const json_t *value, const char *where)
{
    if (row->kind == PHA__OPTION_ENUM) return read_choice(row, out, value, where);
    if (row->kind == PHA__OPTION_FLAG) {
        if (!json_is_boolean(value)) FAIL(BAD_INPUT, "%s: %s is neither true nor false", where, row->key);
        *out = json_is_true(value) != row->invert;
        return PHA_OK;
    }
    if (!json_is_integer(value)) FAIL(BAD_INPUT, "%s: %s is not a whole number", where, row->key);
    *out = json_integer_value(value);
    if (row->size == sizeof(int32_t) && *out != (int32_t)*out)
        FAIL(BAD_INPUT, "%s: %s = %lld is out of range", where, row->key, (long long)*out);
    return PHA_OK;
}

pha_status pha__option_read(const pha__option *row, pha_train_options *o, const json_t *value, const char *where)
{
    void *to = (char *)o + row->offset;
    int64_t n = 0;
    if (row->kind == PHA__OPTION_REAL) {
        if (!json_is_number(value)) FAIL(BAD_INPUT, "%s: %s is not a number", where, row->key);
        double x = json_number_value(value);
        *(double *)to = x == 0 && row->zero_off ? -1 : x;
        return PHA_OK;
    }
    TRY(read_whole(row, &n, value, where));
    if (n == 0 && row->zero_off) n = -1;
    if (row->kind == PHA__OPTION_FLAG) *(bool *)to = n;
    else if (row->size == sizeof(int32_t)) *(int32_t *)to = (int32_t)n;
    else *(int64_t *)to = n;
    return PHA_OK;
}

json_t *pha__option_stored(const pha__option *row, const pha_train_options *o)
{
    if (row->kind == PHA__OPTION_REAL) return pha__json_decimal(number(row, o));
    if (row->kind != PHA__OPTION_NATURAL) return pha__json_number(whole(row, o));
    return pha__json_hex(*(const uint64_t *)at(row, o));
}

void pha__option_text(const pha__option *row, const json_t *stored, char *text, size_t size)
{
    int n;
    int64_t value = json_integer_value(stored);
    const char *word = row->kind == PHA__OPTION_ENUM ? choice(row, value, &n) : NULL;
    if (json_is_string(stored)) pha__print(text, size, "%s", json_string_value(stored));
    else if (json_is_real(stored)) pha__print(text, size, "%.9g", json_real_value(stored));
    else if (!json_is_integer(stored)) pha__print(text, size, "something else");
    else if (row->kind == PHA__OPTION_FLAG) pha__print(text, size, "%s", value ? "true" : "false");
    else if (word) pha__print(text, size, "%.*s", n, word);
    else pha__print(text, size, "%lld", (long long)value);
}

/* ---- opening --------------------------------------------------------------------------------------------- */

/* "from 1 to 64", "above 0, at most 10", "above 0, below 1"; "or 0 for the default" where 0 itself is out of it. */
static void range_text(const pha__option *row, char *text, size_t size)
{
    const char *low = row->above ? "above" : "from", *high = row->below ? ", below" : row->above ? ", at most" : " to";
    const char *zero = row->low > 0 || row->above ? ", or 0 for the default" : "";
    pha__print(text, size, "%s %.15g%s %.15g%s", low, row->low, high, row->high, zero);
}

static bool in_range(const pha__option *row, double x)
{
    bool may_be_off = row->zero_off || (row->low == 0 && !row->above);
    if (!pha__in_range(x, -INFINITY, INFINITY)) return false;
    if (x == 0 || (x < 0 && may_be_off)) return true;
    return (row->above ? x > row->low : x >= row->low) && (row->below ? x < row->high : x <= row->high);
}

static pha_status check_range(const pha__option *row, double x)
{
    char range[96];
    if (in_range(row, x)) return PHA_OK;
    range_text(row, range, sizeof range);
    FAIL(USAGE, "%s = %.15g is out of range: %s", row->field, x, range);
}

static pha_status check(const pha__option *row, const pha_train_options *o)
{
    int size;
    if (row->kind == PHA__OPTION_INT || row->kind == PHA__OPTION_REAL) return check_range(row, number(row, o));
    if (row->kind != PHA__OPTION_ENUM || !whole(row, o) || choice(row, whole(row, o), &size)) return PHA_OK;
    FAIL(USAGE, "%s = %d is none of %s", row->field, (int)whole(row, o), row->choices);
}

static void resolve(const pha__option *row, pha_train_options *o, pha__arena *memory)
{
    static const pha_train_options off;
    char *value = (char *)o + row->offset;
    if (row->kind == PHA__OPTION_PATH) {
        const char **text = (const char **)value;
        if (*text) *text = pha__arena_strdup(memory, *text);
    } else if (row->kind == PHA__OPTION_INT || row->kind == PHA__OPTION_REAL || row->kind == PHA__OPTION_ENUM) {
        double x = number(row, o);
        if (x <= 0) memcpy(value, at(row, x == 0 ? &defaults : &off), row->size);
    }
}

pha_status pha__options_values(pha_train_options *o, pha__arena *memory)
{
    if (o->command) o->command = pha__arena_strdup(memory, o->command);
    for (size_t i = 0; i < pha__n_train_options; i++) {
        TRY(check(&pha__train_options[i], o));
        resolve(&pha__train_options[i], o, memory);
    }
    if (memory->failed) return PHA_NO_MEMORY;
    if (o->batch % o->micro_batch)
        FAIL(USAGE, "batch = %d must be a multiple of micro_batch = %d", o->batch, o->micro_batch);
    return PHA_OK;
}

pha_status pha__options_open(pha_train_options *o, pha__arena *memory)
{
    TRY(pha__options_values(o, memory));
    if (!o->data) FAIL(USAGE, "training needs a data folder (written by pha prepare)");
    if (!o->config == !o->init_from) FAIL(USAGE, "training needs either a configuration or a model to start from");
    return PHA_OK;
}
