/* members.h -- members of an experiment's file, with messages that name the file and the key */
#ifndef PHA__REPRO_MEMBERS_H
#define PHA__REPRO_MEMBERS_H

#include "runtime/repro/repro.h"

/* Only these, ended by NULL; `what` says whose they are. */
pha_status pha__members_known(const json_t *object, const char *what, const char *const *keys,
                              const pha__experiment *e);
/* What is absent or null leaves *out as it is. Ranges are inclusive. */
pha_status pha__member_text(const char **out, const json_t *object, const char *key, pha__experiment *e);
pha_status pha__member_number(double *out, const json_t *object, const char *key, double low, double high,
                              const pha__experiment *e);
/* A list of 1 to PHA__REPRO_LIST different numbers; `key` names it. */
pha_status pha__member_numbers(pha__numbers *out, const json_t *list, const char *key, double low, double high,
                               const pha__experiment *e);

#endif
