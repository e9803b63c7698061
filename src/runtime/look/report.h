/* report.h -- report.html of a run folder (pha_report of pha.h) */
#ifndef PHA__REPORT_H
#define PHA__REPORT_H

#include <jansson.h>

#include "base/str.h"
#include "runtime/look/report_log.h"

/* The page as text, from run.json (may be NULL) and the log; `name` is the title. */
void pha__report_html(pha__str *out, const char *name, const json_t *run, const pha__report_log *log,
                      const char *const *samples, size_t n_samples);

/* The figures of what the layers show (report_layers.c). */
void pha__report_layers(pha__str *out, const pha__report_log *log);

#endif
