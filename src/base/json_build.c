/* json_build.c -- building and writing JSON */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/json_memory.h"
#include "base/print.h"
#include "base/utf8.h"

/* What a call of jansson's gave, of which failed allocations leave nothing. */
#define MAKE(value) (pha__json_enter(), leave(value))

static json_t *leave(json_t *value)
{
    pha__json_leave();
    return value;
}

json_t *pha__json_object(void) { return MAKE(json_object()); }
json_t *pha__json_list(void) { return MAKE(json_array()); }
json_t *pha__json_number(int64_t x) { return MAKE(json_integer(x)); }
json_t *pha__json_decimal(double x) { return isfinite(x) ? MAKE(json_real(x)) : json_null(); }

json_t *pha__json_text(const char *text) { return pha__json_text_of(text, strlen(text)); }

json_t *pha__json_text_of(const char *text, size_t size)
{
    if (pha__utf8_valid(text, size)) return MAKE(json_stringn(text, size));
    pha__str valid = {0};
    for (size_t i = 0; i < size;) {
        int32_t code;
        int n = pha__utf8_decode((const unsigned char *)text + i, size - i, &code);
        pha__str_add(&valid, code < 0 ? "\xef\xbf\xbd" : text + i, code < 0 ? 3 : (size_t)n);
        i += (size_t)n;
    }
    json_t *value = valid.failed ? NULL : MAKE(json_stringn(valid.data, valid.size));
    pha__str_free(&valid);
    return value;
}

json_t *pha__json_path(const char *path)
{
    if (pha__utf8_valid(path, strlen(path))) return pha__json_text(path);
    pha__str hex = {0};
    for (const char *s = path; *s; s++) pha__str_printf(&hex, "%02x", (unsigned char)*s);
    json_t *json = pha__json_object();
    pha__json_set(&json, "bytes", hex.failed ? NULL : pha__json_text(hex.data));
    pha__json_set(&json, "shown", pha__json_text(path));
    pha__str_free(&hex);
    return json;
}

json_t *pha__json_hex(uint64_t x)
{
    char text[20];
    pha__print(text, sizeof text, "%016" PRIx64, x);
    return pha__json_text(text);
}

static void give_up(json_t **whole)
{
    json_decref(*whole);
    *whole = NULL;
}

/* jansson takes the value over even where it fails, and refuses NULL. */
void pha__json_set(json_t **object, const char *key, json_t *value)
{
    if (!*object) {
        json_decref(value);
        return;
    }
    pha__json_enter();
    bool failed = json_object_set_new(*object, key, value) != 0;
    pha__json_leave();
    if (failed) give_up(object);
}

void pha__json_add(json_t **list, json_t *value)
{
    if (!*list) {
        json_decref(value);
        return;
    }
    pha__json_enter();
    bool failed = json_array_append_new(*list, value) != 0;
    pha__json_leave();
    if (failed) give_up(list);
}

/* ---- checksums ------------------------------------------------------------------------------------------ */

static const char seal[] = "checksum";

/* Of an object without its seal. */
static bool sum_of(const json_t *object, uint64_t *sum)
{
    pha__str text = {0};
    pha__json_print(&text, object, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    bool known = !text.failed;
    if (known) *sum = pha__hash(text.data, text.size, 0);
    pha__str_free(&text);
    return known;
}

void pha__json_seal(json_t **object)
{
    uint64_t sum = 0;
    bool known = *object && sum_of(*object, &sum);
    pha__json_set(object, seal, known ? pha__json_hex(sum) : NULL);
}

pha_status pha__json_check_seal(json_t *object, const char *where)
{
    char wanted[20] = "", found[20];
    uint64_t sum;
    const json_t *value = json_object_get(object, seal);
    if (!value) return PHA_OK;
    if (json_is_string(value)) pha__print(wanted, sizeof wanted, "%s", json_string_value(value));
    json_object_del(object, seal);
    if (!sum_of(object, &sum)) FAIL(NO_MEMORY, "%s: no memory for its checksum", where);
    pha__print(found, sizeof found, "%016" PRIx64, sum);
    if (strcmp(wanted, found))
        FAIL(BAD_INPUT, "%s: its checksum is wrong: the file is damaged, or was changed by hand; take a copy of it "
                        "that is whole", where);
    return PHA_OK;
}

/* ---- writing -------------------------------------------------------------------------------------------- */

static int to_text(const char *data, size_t size, void *out)
{
    pha__str_add(out, data, size);
    return ((pha__str *)out)->failed ? -1 : 0;
}

void pha__json_print(pha__str *out, const json_t *json, size_t flags)
{
    pha__json_enter();
    int bad = !json || json_dump_callback(json, to_text, out, flags | JSON_ENCODE_ANY) != 0;
    pha__json_leave();
    if (bad) out->failed = 1;
}

pha_status pha__json_save(const json_t *json, const char *path)
{
    pha__str text = {0};
    pha__json_print(&text, json, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    pha__str_puts(&text, "\n");
    pha_status status = text.failed ? pha__fail(PHA_NO_MEMORY, "%s: no memory for its contents", path)
                                    : pha__write_file(path, text.data, text.size);
    pha__str_free(&text);
    return status;
}
