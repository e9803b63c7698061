/* json.c -- glue over jansson */
#include "base/json.h"

#include <inttypes.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/print.h"

pha_status pha__json_parse(json_t **out, const char *text, size_t size, const char *name)
{
    json_error_t error;
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (*out) return PHA_OK;
    if (json_error_code(&error) == json_error_out_of_memory) FAIL(NO_MEMORY, "%s: out of memory", name);
    FAIL(BAD_INPUT, "%s: line %d, column %d: %s", name, error.line, error.column, error.text);
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

static int to_writer(const char *data, size_t size, void *writer)
{
    return pha__writer_write(writer, data, size) == PHA_OK ? 0 : -1;
}

pha_status pha__json_save(const json_t *json, const char *path)
{
    pha__writer *w;
    TRY(pha__writer_open(&w, path));
    int flags = JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(17) | JSON_ENCODE_ANY;
    if (json_dump_callback(json, to_writer, w, flags) != 0 && pha__writer_write(w, "", 0) == PHA_OK) {
        pha__writer_abort(w);
        FAIL(FAILED, "%s: cannot write this JSON value", path);
    }
    pha__writer_write(w, "\n", 1);
    return pha__writer_commit(w);
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

json_t *pha__json_hex(uint64_t x)
{
    char text[20];
    pha__print(text, sizeof text, "%016" PRIx64, x);
    return json_string(text);
}
