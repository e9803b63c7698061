/* report.c -- report.html: a run at a glance, in one file without outside resources
 *
 * Whatever a run does not have (no evaluation yet, no mixing weights in a Transformer) is left out. Every text that
 * comes from a file is escaped.
 */
#include "runtime/look/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/print.h"
#include "pha.h"
#include "runtime/look/svg.h"

#define LIMIT (16u << 20) /* bytes of run.json */

static const char page_style[] =
    ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:1500px;margin:2rem auto;padding:0 "
    "1.2rem;"
    "color:#1d2430;background:#fff}h1{font-size:1.6rem}h2{font-size:1.1rem;margin-top:2.2rem}"
    "table{border-collapse:collapse}td,th{padding:.2rem 1.2rem .2rem 0;text-align:left;vertical-align:top}"
    "th{font-weight:500;color:#667085}td{font-variant-numeric:tabular-nums;overflow-wrap:anywhere}"
    ".figures{display:flex;flex-wrap:wrap;gap:1rem}pre{white-space:pre-wrap;overflow-wrap:anywhere;padding:.8rem;"
    "border-radius:6px;background:#f4f5f7;margin:.5rem 0}details{margin:.6rem 0}summary{cursor:pointer}"
    ".numbers{display:flex;flex-wrap:wrap;gap:.8rem}.numbers div{background:#f4f5f7;border-radius:6px;padding:.6rem "
    "1rem}"
    ".numbers b{display:block;font-size:1.25rem;font-variant-numeric:tabular-nums}.prompt{color:#667085}\n"
    "@media(prefers-color-scheme:dark){body{color:#e6e9ef;background:#14181f}pre,.numbers div{background:#1f252f}"
    "th,.prompt{color:#98a2b3}}\n";

static void text(pha__str *out, const char *s)
{
    pha__xml_escape(out, s, strlen(s));
}

/* ---- the summary ---------------------------------------------------------------------------------------- */

static void value(pha__str *out, const json_t *json)
{
    if (json_is_string(json)) {
        pha__xml_escape(out, json_string_value(json), json_string_length(json));
    } else if (json_is_integer(json)) {
        pha__str_printf(out, "%lld", (long long)json_integer_value(json));
    } else if (json_is_real(json)) {
        pha__str_printf(out, "%.6g", json_real_value(json));
    } else if (json_is_boolean(json)) {
        pha__str_puts(out, json_is_true(json) ? "yes" : "no");
    } else {
        pha__str plain = {0};
        pha__json_print(&plain, json, JSON_COMPACT | JSON_REAL_PRECISION(6));
        if (plain.failed) out->failed = 1;
        else text(out, plain.data);
        pha__str_free(&plain);
    }
}

static void row(pha__str *out, const char *name, const json_t *json)
{
    if (!json || json_is_null(json)) return;
    pha__str_puts(out, "<tr><th>");
    text(out, name);
    pha__str_puts(out, "</th><td>");
    value(out, json);
    pha__str_puts(out, "</td></tr>\n");
}

/* The members of an object as a table that opens on a click. */
static void members(pha__str *out, const char *title, const json_t *object, bool open)
{
    const char *key;
    json_t *member;
    if (!json_is_object(object) || json_object_size(object) == 0) return;
    pha__str_printf(out, "<details%s><summary>%s</summary><table>\n", open ? " open" : "", title);
    json_object_foreach((json_t *)object, key, member) row(out, key, member);
    pha__str_puts(out, "</table></details>\n");
}

static void tile(pha__str *out, const char *name, double v, const char *format)
{
    char number[64];
    if (!isfinite(v)) return;
    int n = pha__print(number, sizeof number, format, v);
    if (fabs(v) >= 1e15) n = pha__print(number, sizeof number, "%.6g", v); /* up to hundreds of digits */
    pha__str_printf(out, "<div>%s<b>", name);
    for (int i = 0; i < n; i++) { /* thousands apart, in whole numbers */
        if (i && !strpbrk(number, ". e") && (n - i) % 3 == 0) pha__str_puts(out, "&#8239;");
        pha__str_add(out, number + i, 1);
    }
    pha__str_puts(out, "</b></div>\n");
}

static double extreme(const pha__points *p, int sign)
{
    double best = NAN;
    for (size_t i = 0; i < p->n; i++)
        if (isfinite(p->y[i]) && !(sign * p->y[i] >= sign * best)) best = p->y[i];
    return best;
}

/* Of the last half of the run, so that the start does not count. */
static double mean_speed(const pha__points *p)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = p->n / 2; i < p->n; i++)
        if (isfinite(p->y[i])) sum += p->y[i], n++;
    return n ? sum / (double)n : NAN;
}

static void tiles(pha__str *out, const json_t *run, const pha__report_log *log)
{
    const pha__points *s = log->series;
    const json_t *parameters = json_object_get(run, "parameters"),
                 *averaged = json_object_get(log->end, "averaged_valid_ppl");
    pha__str_puts(out, "<div class=\"numbers\">\n");
    if (json_is_number(parameters)) tile(out, "parameters", json_number_value(parameters), "%.0f");
    if (log->last_step > 0) tile(out, "steps", log->last_step, "%.0f");
    if (log->last_tokens > 0) tile(out, "tokens", log->last_tokens, "%.0f");
    tile(out, "train loss, last", pha__points_last(&s[PHA__REPORT_LOSS]), "%.4f");
    tile(out, "valid loss, last", pha__points_last(&s[PHA__REPORT_VALID_LOSS]), "%.4f");
    tile(out, "valid perplexity, best", extreme(&s[PHA__REPORT_VALID_PPL], 1), "%.3f");
    if (json_is_number(averaged)) tile(out, "valid perplexity, averaged", json_number_value(averaged), "%.3f");
    tile(out, "accuracy, best", 100 * extreme(&s[PHA__REPORT_ACCURACY], -1), "%.2f %%");
    tile(out, "tokens/s, second half", mean_speed(&s[PHA__REPORT_SPEED]), "%.0f");
    if (log->skips) tile(out, "steps skipped by the guard", (double)log->skips, "%.0f");
    pha__str_puts(out, "</div>\n");
}

static void summary(pha__str *out, const json_t *run, const pha__report_log *log)
{
    static const char *const keys[] = {"pha_version", "isa", "threads", "host", "tokenizer_hash", "seed"};
    tiles(out, run, log);
    const json_t *command = json_object_get(run, "command");
    if (json_is_string(command)) {
        pha__str_puts(out, "<h2>Command</h2><pre>");
        value(out, command);
        pha__str_puts(out, "</pre>\n");
    }
    if (run) pha__str_puts(out, "<h2>Run</h2><table>\n");
    for (size_t i = 0; run && i < sizeof keys / sizeof keys[0]; i++) row(out, keys[i], json_object_get(run, keys[i]));
    if (run) pha__str_puts(out, "</table>\n");
    members(out, "Data", json_object_get(run, "data"), true);
    members(out, "Result", log->end, true);
    members(out, "Configuration of the model", json_object_get(run, "config"), false);
    members(out, "Options of the training", json_object_get(run, "options"), false);
}

/* ---- curves --------------------------------------------------------------------------------------------- */

static pha__svg_series series_of(const pha__points *p, const char *name)
{
    return (pha__svg_series){.name = name, .x = p->x, .y = p->y, .n = p->n};
}

/* Mean over a fiftieth of the run around each point: the trend behind the noise of single steps. */
static double *smooth(const pha__points *p)
{
    size_t reach = p->n / 100, low = 0, high = 0, count = 0;
    double *y = pha__alloc(p->n ? p->n : 1, sizeof *y), sum = 0;
    for (size_t i = 0; y && i < p->n; i++) {
        for (; high < p->n && high <= i + reach; high++)
            if (isfinite(p->y[high])) sum += p->y[high], count++;
        for (; low + reach < i; low++)
            if (isfinite(p->y[low])) sum -= p->y[low], count--;
        y[i] = count ? sum / (double)count : NAN;
    }
    return y;
}

static void loss_chart(pha__str *out, const pha__report_log *log)
{
    const pha__points *train = &log->series[PHA__REPORT_LOSS], *valid = &log->series[PHA__REPORT_VALID_LOSS];
    pha__svg_series s[3] = {series_of(train, NULL), series_of(train, "train"), series_of(valid, "valid")};
    double *trend = train->n > 100 ? smooth(train) : NULL;
    if (train->n > 100 && !trend) out->failed = 1;
    s[0].faint = trend != NULL;
    s[0].colour = s[1].colour = 1;
    if (trend) s[1].y = trend;
    s[2].colour = 2, s[2].marks = true;
    if (!valid->n) s[2].name = NULL;
    if (!train->n) s[1].name = NULL;
    pha__svg_chart c = {.title = "Loss", .x_label = "step", .y_label = "nats per token", .series = s, .n_series = 3};
    if (train->n || valid->n) pha__svg_lines(out, &c);
    pha__free(trend);
}

typedef enum Look { LINE, MARKS, TREND } Look;

static void one_chart(pha__str *out, const pha__points *p, const char *title, const char *y_label, bool log_y,
                      Look look, int colour)
{
    pha__svg_series s[2] = {series_of(p, NULL), series_of(p, NULL)};
    double *trend = look == TREND && p->n > 100 ? smooth(p) : NULL;
    if (look == TREND && p->n > 100 && !trend) out->failed = 1;
    s[0].marks = look == MARKS, s[0].colour = s[1].colour = colour;
    if (trend) s[0].faint = true, s[1].y = trend;
    pha__svg_chart c = {
        .title = title, .x_label = "step", .y_label = y_label, .log_y = log_y, .series = s, .n_series = trend ? 2 : 1};
    if (p->n) pha__svg_lines(out, &c);
    pha__free(trend);
}

static void curves(pha__str *out, const pha__report_log *log)
{
    const pha__points *s = log->series;
    pha__str_puts(out, "<h2>Curves</h2>\n<div class=\"figures\">\n");
    loss_chart(out, log);
    one_chart(out, &s[PHA__REPORT_VALID_PPL], "Validation perplexity", "per token", true, MARKS, 2);
    one_chart(out, &s[PHA__REPORT_ACCURACY], "Validation accuracy", "share", false, MARKS, 3);
    one_chart(out, &s[PHA__REPORT_LR], "Learning rate", NULL, false, LINE, 1);
    one_chart(out, &s[PHA__REPORT_GRADIENT], "Gradient norm", "before clipping", true, TREND, 4);
    one_chart(out, &s[PHA__REPORT_SPEED], "Speed", "tokens/s", false, TREND, 3);
    pha__str_puts(out, "</div>\n");
}

/* ---- samples and the page ------------------------------------------------------------------------------- */

static void sample_texts(pha__str *out, const pha__report_log *log, const char *const *samples, size_t n)
{
    size_t logged = json_array_size(log->samples), first = logged > 12 ? logged - 12 : 0;
    if (n + logged == 0) return;
    pha__str_puts(out, "<h2>Samples</h2>\n");
    for (size_t i = 0; i < n; i++) {
        pha__str_puts(out, "<pre>");
        text(out, samples[i] ? samples[i] : "");
        pha__str_puts(out, "</pre>\n");
    }
    for (size_t i = first; i < logged; i++) {
        const json_t *s = json_array_get(log->samples, i), *step = json_object_get(s, "step");
        const json_t *prompt = json_object_get(s, "prompt"), *body = json_object_get(s, "text");
        if (json_is_number(step)) pha__str_printf(out, "<p class=\"prompt\">step %.0f</p>", json_number_value(step));
        pha__str_puts(out, "<pre><span class=\"prompt\">");
        if (json_is_string(prompt)) value(out, prompt);
        pha__str_puts(out, "</span>");
        if (json_is_string(body)) value(out, body);
        pha__str_puts(out, "</pre>\n");
    }
}

void pha__report_html(pha__str *out, const char *name, const json_t *run, const pha__report_log *log,
                      const char *const *samples, size_t n_samples)
{
    pha__str_puts(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>"
                       "<meta name=\"viewport\" content=\"width=device-width\"/><title>");
    text(out, name);
    pha__str_puts(out, "</title><style>\n");
    pha__str_puts(out, page_style);
    pha__svg_style(out);
    pha__str_puts(out, "</style></head><body>\n<h1>");
    text(out, name);
    pha__str_puts(out, "</h1>\n");
    summary(out, run, log);
    if (log->lines > log->bad_lines) curves(out, log);
    pha__report_layers(out, log);
    sample_texts(out, log, samples, n_samples);
    if (log->bad_lines)
        pha__str_printf(out, "<p class=\"prompt\">%zu unreadable lines of log.jsonl were left out.</p>\n",
                        log->bad_lines);
    pha__str_puts(out, "</body></html>\n");
}

static pha_status write_report(const char *folder, const char *run_path, const char *log_path, const char *out_path,
                               const char *const *samples, size_t n_samples)
{
    pha__report_log log = {0};
    pha__str html = {0};
    json_t *run = NULL;
    if (!run_path || !log_path || !out_path) FAIL(NO_MEMORY, "%s: no memory for the report", folder);
    if (!pha__exists(run_path) && !pha__exists(log_path))
        FAIL(BAD_INPUT, "%s: not a run folder: neither run.json nor log.jsonl is there", folder);
    if (pha__exists(run_path)) TRY(pha__json_load(&run, run_path, LIMIT));
    pha_status status = pha__report_log_read(&log, log_path);
    if (!status) {
        pha__report_html(&html, folder, run, &log, samples, n_samples);
        status = html.failed ? pha__fail(PHA_NO_MEMORY, "%s: no memory for the report", folder)
                             : pha__write_file(out_path, html.data, html.size);
        pha__report_log_free(&log);
    }
    pha__str_free(&html);
    json_decref(run);
    return status;
}

pha_status pha_report(const char *run_folder, const char *const *samples, size_t n_samples)
{
    if (!run_folder) FAIL(USAGE, "pha_report: the run folder is missing");
    if (n_samples && !samples) FAIL(USAGE, "pha_report: %zu samples are missing", n_samples);
    if (!pha__exists(run_folder)) FAIL(BAD_INPUT, "%s: no such folder", run_folder);
    TRY(pha__need_dir(run_folder, "a report is made of the folder of a run"));
    char *run = pha__path_join(run_folder, "run.json"), *log = pha__path_join(run_folder, "log.jsonl");
    char *out = pha__path_join(run_folder, "report.html");
    pha_status status = write_report(run_folder, run, log, out, samples, n_samples);
    pha__free(run);
    pha__free(log);
    pha__free(out);
    return status;
}
