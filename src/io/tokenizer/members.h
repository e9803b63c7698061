/* members.h -- what many objects of a tokenizer.json have: a type, and flags that may be missing */
#ifndef PHA__MEMBERS_H
#define PHA__MEMBERS_H

#include <jansson.h>
#include <stdbool.h>

static inline const char *pha__type_of(const json_t *object)
{
    const char *s = json_string_value(json_object_get(object, "type"));
    return s ? s : "of no type";
}

static inline bool pha__flag(const json_t *object, const char *key, bool missing)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : missing;
}

#endif
