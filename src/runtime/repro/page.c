/* page.c -- the files that show an experiment: table.md, table.csv, curves.svg, index.html */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/print.h"
#include "runtime/look/report_log.h"
#include "runtime/look/svg.h"
#include "runtime/repro/repro.h"

static const char style[] =
    ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:2rem auto;"
    "padding:0 1.2rem;color:#1d2430;background:#fff}table{border-collapse:collapse;margin:1rem 0}"
    "td,th{padding:.2rem 1rem .2rem 0;text-align:right;font-variant-numeric:tabular-nums}"
    "td:first-child,th:first-child{text-align:left}th{font-weight:500;color:#667085}.wide{overflow-x:auto}\n"
    "@media(prefers-color-scheme:dark){body{color:#e6e9ef;background:#14181f}th{color:#98a2b3}}\n";

/* ---- curves ---------------------------------------------------------------------------------------------- */

enum { CURVES = 64 };

/* Validation losses of a run, over the tokens that were read. False: there are none. */
static bool read_curve(pha__report_log *log, const pha__repro *r, const pha__trial *run)
{
    char key[PHA__REPRO_KEY];
    pha__str path = {0};
    pha__trial_key(key, run);
    pha__str_printf(&path, "%s/runs/%s/log.jsonl", r->o.out, key);
    bool read = !path.failed && !pha__report_log_read(log, path.data);
    pha__str_free(&path);
    pha__points *p = &log->series[PHA__REPORT_VALID_LOSS];
    double step = run->tokens / (double)pha__trial_steps(&r->e, run);
    for (size_t i = 0; read && i < p->n; i++) p->x[i] *= step / 1e6;
    return read && p->n > 1;
}

void pha__repro_curves(pha__str *out, const pha__repro *r, int stage, bool standalone)
{
    pha__report_log *logs = pha__alloc_zero(CURVES, sizeof *logs);
    pha__svg_series series[CURVES];
    size_t at = 0, n = 0;
    char title[80];
    pha__group g;
    if (!logs) out->failed = 1;
    while (logs && n < CURVES && pha__next_group(r, stage, &at, &g)) {
        const pha__points *p = &logs[n].series[PHA__REPORT_VALID_LOSS];
        if (read_curve(&logs[n], r, g.runs[0]))
            series[n] = (pha__svg_series){.name = g.system->name, .x = p->x, .y = p->y, .n = p->n}, n++;
        else pha__report_log_free(&logs[n]), logs[n] = (pha__report_log){.lines = 0};
    }
    pha__print(title, sizeof title, "Validation loss, %.4g M tokens, first seed", r->e.stages[stage].tokens / 1e6);
    pha__svg_chart chart = {.title = title, .x_label = "million tokens", .y_label = "nats", .series = series,
                            .n_series = n, .standalone = standalone};
    if (n) pha__svg_lines(out, &chart);
    for (size_t i = 0; logs && i < n; i++) pha__report_log_free(&logs[i]);
    pha__free(logs);
}

/* ---- HTML from the Markdown -------------------------------------------------------------------------------- */

static void cells(pha__str *out, const char *line, size_t n, const char *tag)
{
    pha__str_puts(out, "<tr>");
    for (size_t i = 1; i < n;) {
        const char *bar = memchr(line + i, '|', n - i);
        size_t end = bar ? (size_t)(bar - line) : n;
        pha__str_printf(out, "<%s>", tag);
        pha__xml_escape(out, line + i, end - i);
        pha__str_printf(out, "</%s>", tag);
        i = end + 1;
    }
    pha__str_puts(out, "</tr>\n");
}

static void element(pha__str *out, const char *tag, const char *text, size_t n)
{
    pha__str_printf(out, "<%s>", tag);
    pha__xml_escape(out, text, n);
    pha__str_printf(out, "</%s>\n", tag);
}

/* The subset that pha__repro_table writes: headings, paragraphs of a line, tables. */
static void html(pha__str *out, const char *markdown)
{
    bool table = false;
    for (const char *line = markdown; *line;) {
        size_t n = strcspn(line, "\n");
        bool row = *line == '|';
        if (row && !table) pha__str_puts(out, "<div class=\"wide\"><table>\n");
        if (!row && table) pha__str_puts(out, "</table></div>\n");
        if (row && strncmp(line, "|---", 4)) cells(out, line, n, table ? "td" : "th");
        else if (!strncmp(line, "## ", 3)) element(out, "h2", line + 3, n - 3);
        else if (!strncmp(line, "# ", 2)) element(out, "h1", line + 2, n - 2);
        else if (!row && n) element(out, "p", line, n);
        table = row;
        line += n + (line[n] == '\n');
    }
    if (table) pha__str_puts(out, "</table></div>\n");
}

static void page(pha__str *out, const pha__repro *r, const char *markdown)
{
    pha__str_puts(out, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
                       "content=\"width=device-width,initial-scale=1\"><title>");
    pha__xml_escape(out, r->e.title, strlen(r->e.title));
    pha__str_printf(out, "</title><style>%s", style);
    pha__svg_style(out);
    pha__str_puts(out, "</style>\n");
    html(out, markdown);
    for (int i = 0; i < (int)r->e.n_stages; i++) pha__repro_curves(out, r, i, false);
    if (r->e.n_families) pha__scaling_figure(out, r);
    pha__str_puts(out, "</html>\n");
}

/* ---- files ----------------------------------------------------------------------------------------------- */

static pha_status write(const pha__repro *r, const char *name, const pha__str *text)
{
    char *path = pha__path_join(r->o.out, name);
    pha_status status = path && !text->failed ? PHA_OK : pha__fail(PHA_NO_MEMORY, "no memory for %s", name);
    if (!status && text->size) status = pha__write_file(path, text->data, text->size);
    pha__free(path);
    return status;
}

pha_status pha__repro_pages(const pha__repro *r)
{
    pha__str table = {0}, csv = {0}, speed = {0}, curves = {0}, whole = {0};
    pha__repro_table(&table, r);
    pha__repro_csv(&csv, r);
    pha__efficiency_csv(&speed, r);
    if (r->e.n_stages) pha__repro_curves(&curves, r, (int)r->e.n_stages - 1, true);
    if (!table.failed) page(&whole, r, table.data);
    pha_status status = write(r, "table.md", &table);
    if (!status) status = write(r, "table.csv", &csv);
    if (!status) status = write(r, "speed.csv", &speed);
    if (!status) status = write(r, "curves.svg", &curves);
    if (!status) status = write(r, "index.html", &whole);
    pha__str_free(&table);
    pha__str_free(&csv);
    pha__str_free(&speed);
    pha__str_free(&curves);
    pha__str_free(&whole);
    return status;
}
