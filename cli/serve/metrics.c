/* metrics.c -- counters and their text */
#include "serve/metrics.h"

#include "pha.h"

static const double bounds[METRIC_PARTS] = {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300};

void metrics_seconds(Histogram *h, double seconds)
{
    int i = 0;
    while (i < METRIC_PARTS && seconds > bounds[i]) i++;
    h->part[i]++;
    h->count++;
    h->microseconds += (uint64_t)(seconds > 0 ? 1e6 * seconds : 0);
}

static void print_number(Text *t, const char *name, const char *help, const char *type, long long value)
{
    text_print(t, "# HELP pha_%s %s\n# TYPE pha_%s %s\npha_%s %lld\n", name, help, name, type, name, value);
}

/* count is that of the parts as they were read, so that the two agree. */
static void print_seconds(Text *t, const char *name, const char *help, Histogram *h)
{
    unsigned long long sum = 0, microseconds = h->microseconds;
    text_print(t, "# HELP pha_%s_seconds %s\n# TYPE pha_%s_seconds histogram\n", name, help, name);
    for (int i = 0; i <= METRIC_PARTS; i++) {
        sum += h->part[i];
        if (i < METRIC_PARTS) text_print(t, "pha_%s_seconds_bucket{le=\"%g\"} %llu\n", name, bounds[i], sum);
        else text_print(t, "pha_%s_seconds_bucket{le=\"+Inf\"} %llu\n", name, sum);
    }
    text_print(t, "pha_%s_seconds_sum %.6f\npha_%s_seconds_count %llu\n", name, 1e-6 * (double)microseconds, name, sum);
}

void metrics_print(Text *t, Metrics *m, const char *name)
{
    text_print(t, "# HELP pha_info What is served.\n# TYPE pha_info gauge\npha_info{version=\"%s\",isa=\"%s\",model=",
               pha_version(), pha_isa());
    text_put(t, name);
    text_put(t, "} 1\n");
    text_put(t, "# HELP pha_misses_total Why prompts were not known further.\n# TYPE pha_misses_total counter\n");
    for (int i = 0; i < PHA_MISS_REASONS; i++)
        text_print(t, "pha_misses_total{reason=\"%s\"} %llu\n", pha_miss_text((pha_miss)i),
                   (unsigned long long)m->misses[i]);
#define COUNTER(row, help) print_number(t, #row "_total", help, "counter", (long long)m->row);
#define GAUGE(row, help) print_number(t, #row, help, "gauge", (long long)m->row);
#define SECONDS(row, help) print_seconds(t, #row, help, &m->row);
#include "serve/metrics.def"
#undef COUNTER
#undef GAUGE
#undef SECONDS
}
