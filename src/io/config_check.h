/* config_check.h -- what must hold between the keys of a configuration */
#ifndef PHA__CONFIG_CHECK_H
#define PHA__CONFIG_CHECK_H

#include "base/config.h"
#include "base/status.h"

/* Fills in what follows from other keys (alpha, n_kv_head) and checks; `where` names the file. */
pha_status pha__config_check(pha__config *c, const char *where);

double pha__config_alpha(const pha__config *c); /* (2 L)^(1/4) */

#endif
