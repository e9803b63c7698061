/* Any bytes as a run's run.json and, behind the first zero byte, its log.jsonl: a whole page comes out, and nothing of
 * the input is markup in it */
#include <string.h>

#include "base/json.h"
#include "input.h"
#include "runtime/look/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t n = zero ? (size_t)(zero - data) : size, skip = zero ? n + 1 : n;
    json_t *run = NULL;
    pha__report_log log = {0};
    pha__str page = {0};
    const char *samples[] = {"a <i> & \"c\"", "\xff\xfe"};
    const char *path = fuzz_file(data + skip, size - skip);
    if (pha__json_parse(&run, n ? (const char *)data : "", n, "run.json") != PHA_OK && !*pha_errmsg()) abort();
    if (pha__report_log_read(&log, path) != PHA_OK) abort();
    for (int i = 0; i < PHA__REPORT_N_SERIES; i++)
        for (size_t k = 1; k < log.series[i].n; k++)
            if (!(log.series[i].x[k - 1] < log.series[i].x[k])) abort();
    pha__report_html(&page, "a <i>", run, &log, samples, 2);
    if (page.failed || memcmp(page.data, "<!DOCTYPE html>", 15) || !strstr(page.data, "</html>")) abort();
    if (strlen(page.data) != page.size || strstr(page.data, "<script") || strstr(page.data, "<i>")) abort();
    pha__str_free(&page);
    pha__report_log_free(&log);
    json_decref(run);
    return 0;
}
