/* telling.h -- runs of training with all that their log is told */
#ifndef TELLING_H
#define TELLING_H

#include "training.h"

static char told[20000];

static inline void listen(void *context, int level, const char *message)
{
    (void)context;
    size_t n = strlen(told);
    snprintf(told + n, sizeof told - n, "%d %s\n", level, message);
}

/* A run, with all that the log was told in `told`. */
static inline pha_status train(const pha_train_options *o, pha_train_result *result)
{
    told[0] = 0;
    pha_set_log(listen, NULL);
    pha_status status = pha_train(o, result);
    pha_set_log(NULL, NULL);
    return status;
}

static inline void tells(const char *text)
{
    if (!strstr(told, text)) fail_msg("'%s' was not told, but: %s", text, told);
}

static inline void tells_not(const char *text)
{
    if (strstr(told, text)) fail_msg("'%s' was told: %s", text, told);
}

/* in_root that lasts. */
static inline void keep_path(char to[300], const char *name) { snprintf(to, 300, "%s", in_root(name)); }

#endif
