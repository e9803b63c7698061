/* members.c -- see members.h */
#include "runtime/repro/members.h"

#include <string.h>

#include "base/range.h"

static const char *nearest(const char *key, const char *const *keys)
{
    const char *best = NULL;
    int least = 3;
    for (; *keys; keys++) {
        int d = pha__edit_distance(key, *keys);
        if (d < least) least = d, best = *keys;
    }
    return best;
}

/* Only these members; `what` says whose they are. */
pha_status pha__members_known(const json_t *object, const char *what, const char *const *keys, const pha__experiment *e)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object)) FAIL(BAD_INPUT, "%s: %s is not an object", e->path, what);
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        size_t i = 0;
        while (keys[i] && strcmp(keys[i], key)) i++;
        const char *meant = keys[i] ? NULL : nearest(key, keys);
        if (meant) FAIL(BAD_INPUT, "%s: %s has no key '%.60s'; is '%s' meant?", e->path, what, key, meant);
        if (!keys[i]) FAIL(BAD_INPUT, "%s: %s has no key '%.60s' (docs/repro.md lists them)", e->path, what, key);
    }
    return PHA_OK;
}

pha_status pha__member_text(const char **out, const json_t *object, const char *key, pha__experiment *e)
{
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) return PHA_OK;
    if (!json_is_string(value)) FAIL(BAD_INPUT, "%s: %s is no text", e->path, key);
    *out = pha__arena_strdup(&e->memory, json_string_value(value));
    return *out ? PHA_OK : PHA_NO_MEMORY;
}

pha_status pha__member_number(double *out, const json_t *object, const char *key, double low, double high,
                            const pha__experiment *e)
{
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) return PHA_OK;
    if (!json_is_number(value) || !pha__in_range(json_number_value(value), low, high))
        FAIL(BAD_INPUT, "%s: %s is no number from %.15g to %.15g", e->path, key, low, high);
    *out = json_number_value(value);
    return PHA_OK;
}

pha_status pha__member_numbers(pha__numbers *out, const json_t *list, const char *key, double low, double high,
                             const pha__experiment *e)
{
    size_t n = json_array_size(list);
    if (n < 1 || n > PHA__REPRO_LIST)
        FAIL(BAD_INPUT, "%s: %s is no list of 1 to %d numbers", e->path, key, PHA__REPRO_LIST);
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(list, i);
        if (!json_is_number(x) || !pha__in_range(json_number_value(x), low, high))
            FAIL(BAD_INPUT, "%s: number %zu of %s is not from %.15g to %.15g", e->path, i + 1, key, low, high);
        out->at[i] = json_number_value(x);
        for (size_t k = 0; k < i; k++)
            if (out->at[k] == out->at[i]) FAIL(BAD_INPUT, "%s: %s has %.15g twice", e->path, key, out->at[i]);
    }
    out->n = n;
    return PHA_OK;
}
