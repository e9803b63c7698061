/* metrics.h -- counters, written as Prometheus reads them
 *
 * One row each in metrics.def; every part of the server adds to them without a lock.
 */
#ifndef CLI_SERVE_METRICS_H
#define CLI_SERVE_METRICS_H

#include <stdatomic.h>

#include "pha.h"
#include "serve/text.h"

/* Upper bounds of the parts of a histogram of seconds, the last one without. */
enum { METRIC_PARTS = 12 };

typedef struct Histogram {
    _Atomic uint64_t part[METRIC_PARTS + 1];
    _Atomic uint64_t count, microseconds;
} Histogram;

typedef struct Metrics {
#define COUNTER(name, help) _Atomic uint64_t name;
#define GAUGE(name, help) _Atomic int64_t name;
#define SECONDS(name, help) Histogram name;
#include "serve/metrics.def"
#undef COUNTER
#undef GAUGE
#undef SECONDS
    _Atomic uint64_t misses[PHA_MISS_REASONS];
} Metrics;

void metrics_seconds(Histogram *h, double seconds);
void metrics_print(Text *t, Metrics *m, const char *name);

#endif
