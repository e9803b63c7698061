/* config_check.h -- what must hold between the keys of a configuration */
#ifndef PHA__CONFIG_CHECK_H
#define PHA__CONFIG_CHECK_H

#include <jansson.h>

#include "base/config.h"
#include "base/status.h"

/* Fills in what follows from other keys (alpha, n_kv_head) and checks; `where` names the file. */
pha_status pha__config_check(pha__config *c, const char *where);

double pha__config_alpha(const pha__config *c); /* (2 L)^(1/4) */

/* Keys of the Hugging Face hub: is it one, and does what they say fit the model (config_hub.c)? */
bool pha__config_hub_key(const char *key);
pha_status pha__config_hub_check(const pha__config *c, const json_t *object, const char *where);

#endif
