/* json.c -- reading JSON */
#include "base/json.h"

#include "base/fs.h"
#include "base/json_memory.h"
#include "base/mem.h"

pha_status pha__json_parse_line(json_t **out, const char *text, size_t size, size_t flags, json_error_t *error)
{
    bool no_memory;
    *out = pha__json_loadb(text, size, flags, error, &no_memory);
    return *out ? PHA_OK : no_memory ? PHA_NO_MEMORY : PHA_BAD_INPUT;
}

pha_status pha__json_parse(json_t **out, const char *text, size_t size, const char *name)
{
    json_error_t error;
    pha_status status = pha__json_parse_line(out, text, size, JSON_REJECT_DUPLICATES, &error);
    if (status == PHA_NO_MEMORY) FAIL(NO_MEMORY, "%s: no memory for its contents", name);
    if (status) FAIL(BAD_INPUT, "%s: line %d, column %d: %s", name, error.line, error.column, error.text);
    return PHA_OK;
}

pha_status pha__json_load(json_t **out, const char *path, size_t limit)
{
    char *text;
    size_t size;
    *out = NULL;
    TRY(pha__read_file(&text, &size, path, limit));
    pha_status status = pha__json_parse(out, text, size, path);
    pha__free(text);
    return status;
}

static pha_status member(const json_t **out, const json_t *object, const char *key, const char *where)
{
    if (!json_is_object(object)) FAIL(BAD_INPUT, "%s: an object with '%s' was expected", where, key);
    *out = json_object_get(object, key);
    if (!*out) FAIL(BAD_INPUT, "%s: '%s' is missing", where, key);
    return PHA_OK;
}

pha_status pha__json_int(int64_t *out, const json_t *object, const char *key, int64_t low, int64_t high,
                         const char *where)
{
    const json_t *value;
    TRY(member(&value, object, key, where));
    if (!json_is_integer(value)) FAIL(BAD_INPUT, "%s: '%s' is not a whole number", where, key);
    int64_t n = json_integer_value(value);
    if (n < low || n > high)
        FAIL(BAD_INPUT, "%s: '%s' = %lld is out of range (%lld to %lld)", where, key, (long long)n, (long long)low,
             (long long)high);
    *out = n;
    return PHA_OK;
}

pha_status pha__json_real(double *out, const json_t *object, const char *key, const char *where)
{
    const json_t *value;
    TRY(member(&value, object, key, where));
    if (!json_is_number(value)) FAIL(BAD_INPUT, "%s: '%s' is not a number", where, key);
    *out = json_number_value(value);
    return PHA_OK;
}

pha_status pha__json_string(const char **out, const json_t *object, const char *key, const char *where)
{
    const json_t *value;
    TRY(member(&value, object, key, where));
    if (!json_is_string(value)) FAIL(BAD_INPUT, "%s: '%s' is not a string", where, key);
    *out = json_string_value(value);
    return PHA_OK;
}
