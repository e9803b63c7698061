/* config.h -- config.json: the keys of a model's configuration, read, checked and written (docs/format.md) */
#ifndef PHA__IO_CONFIG_H
#define PHA__IO_CONFIG_H

#include <jansson.h>

#include "base/config.h"
#include "base/status.h"

/* What an architecture uses, so that this file knows no architecture. */
typedef struct pha__config_rules {
    /* Keys besides arch, vocab_size, d_model and n_layer, ended by NULL; NULL: there is no such architecture. */
    const char *const *(*keys)(const char *arch);
    const char *archs; /* for the message: "pha, seq" */
    /* Keys that no other architecture has, ended by {0}; may be NULL or answer NULL: none. */
    const pha__config_key *(*own)(const char *arch);
    /* What must hold between the keys of one architecture; may be NULL: nothing. `where` names the file. */
    pha_status (*check)(const pha__config *c, const char *where);
} pha__config_rules;

pha_status pha__config_load(pha__config *c, const char *path, const pha__config_rules *rules);
/* `where` names the file in messages. */
#define PHA__CONFIG_EDITED "edited" /* true: a person changed what the file means, and knows it */
pha_status pha__config_parse(pha__config *c, const json_t *object, const char *where, const pha__config_rules *rules);
/* All keys that the architecture uses with these branches, so that a later change of a default changes no model. NULL:
 * out of memory or an unknown architecture; json_decref the result. */
json_t *pha__config_to_json(const pha__config *c, const pha__config_rules *rules);
/* What a configuration of any build means, as this one writes it: keys that came later have their defaults. */
pha_status pha__config_renew(json_t **out, const json_t *object, const char *where, const pha__config_rules *rules);
/* Only what differs from the defaults, with arch and all that is required: the same whatever keys a build has besides,
 * so that a state or a page of an earlier one is of the same model. NULL: out of memory; json_decref the result. */
json_t *pha__config_least(const pha__config *c, const pha__config_rules *rules);
/* A key that only one of them has, or both with different values; NULL: none. It is theirs. */
const char *pha__config_difference(const json_t *one, const json_t *other);
/* As pha__config_to_json, with another width and number of layers (0: as it is), and all that goes with them
 * (config_resize.c). What comes of it is to be parsed: not every width fits every architecture. */
json_t *pha__config_resized(const pha__config *c, const pha__config_rules *rules, int32_t d_model, int32_t n_layer);
pha_status pha__config_save(const pha__config *c, const char *path, const pha__config_rules *rules);

#endif
