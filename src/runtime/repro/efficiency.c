/* efficiency.c -- speed and memory against context (Table 8, Figure 4): each model at each context by pha_bench, a
 * context at a time, so that models that are compared were measured close to each other */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/print.h"
#include "runtime/repro/repro.h"
#include "runtime/stop.h"

static void key_of(char key[PHA__REPRO_KEY], const pha__system *s, int32_t context)
{
    pha__print(key, PHA__REPRO_KEY, "%s@%d", s->name, context);
}

static const json_t *cell_of(const pha__repro *r, const pha__system *s, int32_t context)
{
    char key[PHA__REPRO_KEY];
    key_of(key, s, context);
    return json_object_get(r->results, key);
}

/* ---- measuring ------------------------------------------------------------------------------------------- */

static pha_status bench(json_t **out, const pha__repro *r, const char *config, int32_t context)
{
    char *text;
    pha_bench_options o = {.model = config, .what = r->e.what, .contexts = &context, .n_contexts = 1,
                           .repeats = r->e.repeats, .json = true, .threads = r->o.threads,
                           .precision = r->e.train.precision, .progress = r->o.progress, .user = r->o.user};
    TRY(pha_bench(&o, &text));
    pha_status status = pha__json_parse(out, text, strlen(text), "pha_bench");
    pha_free(text);
    return status;
}

static pha_status measure(pha__repro *r, const pha__system *s, int32_t context)
{
    pha__config_rules rules = pha__rules();
    char key[PHA__REPRO_KEY], *config;
    json_t *measured, *j;
    key_of(key, s, context);
    pha__log(PHA__LOG_NOTE, "speed and memory of %s", key);
    TRY(pha__repro_config(&config, r, s));
    pha_status status = bench(&measured, r, config, context);
    pha__free(config);
    TRY(status);
    j = pha__json_object();
    pha__json_set(&j, "model", pha__json_text(s->name));
    pha__json_set(&j, "config", pha__config_to_json(&s->config, &rules));
    pha__json_set(&j, "measured", measured);
    return j ? pha__results_put(r, key, j) : PHA_NO_MEMORY;
}

pha_status pha__efficiency_run(pha__repro *r)
{
    pha_repro_result left;
    for (size_t k = 0; k < r->e.contexts.n; k++)
        for (size_t i = 0; i < r->e.n_systems; i++) {
            const pha__system *s = &r->e.systems[i];
            int32_t context = (int32_t)r->e.contexts.at[k];
            if (!pha__is_wanted(r, s) || cell_of(r, s, context)) continue;
            TRY(pha__repro_may_go_on(r, &left));
            TRY(measure(r, s, context));
            TRY(pha__repro_pages(r));
        }
    return PHA_OK;
}

void pha__efficiency_left(const pha__repro *r, pha_repro_result *left)
{
    for (size_t k = 0; k < r->e.contexts.n; k++)
        for (size_t i = 0; i < r->e.n_systems; i++) {
            if (!pha__is_wanted(r, &r->e.systems[i])) continue;
            left->runs++;
            left->done += cell_of(r, &r->e.systems[i], (int32_t)r->e.contexts.at[k]) != NULL;
        }
}

/* ---- the table ------------------------------------------------------------------------------------------- */

/* What was measured under one name ("prefill"); NULL: nothing, or it was skipped. */
static const json_t *part_of(const pha__repro *r, const pha__system *s, int32_t context, const char *what)
{
    const json_t *list = json_object_get(json_object_get(cell_of(r, s, context), "measured"), "results");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *part = json_array_get(list, i), *name = json_object_get(part, "what");
        if (json_is_string(name) && !strcmp(json_string_value(name), what)) return part;
    }
    return NULL;
}

static const char *const parts[] = {"train", "prefill", "decode"};
enum { PARTS = sizeof parts / sizeof *parts };

static void megabytes(pha__str *out, const json_t *part, const char *const *kinds)
{
    double sum = 0;
    for (; *kinds; kinds++) {
        double bytes = pha__result_number(json_object_get(part, "memory_bytes"), *kinds);
        if (!isnan(bytes)) sum += bytes;
    }
    pha__str_printf(out, " %.1f |", sum / 1e6);
}

static void ratio(pha__str *out, double a, double b)
{
    if (isnan(a) || isnan(b) || b == 0) pha__str_puts(out, " - |");
    else pha__str_printf(out, " %.3f |", a / b);
}

/* Speed beside that of the first model, and what operations alone would make of it. */
static void line(pha__str *out, const pha__system *s, int32_t context, const json_t *part, const json_t *first)
{
    static const char *const weights[] = {"weights", "half", NULL}, *const state[] = {"state", NULL};
    static const char *const training[] = {"gradients", "moments", NULL}, *const logits[] = {"logits", NULL};
    static const char *const rest[] = {"activations", "activation_gradients", "statistics", "workspaces", "scratch",
                                       NULL}, *const total[] = {"total", NULL};
    static const char *const *const kinds[] = {weights, training, state, logits, rest, total, NULL};
    double speed = pha__result_number(part, "tokens_per_second");
    pha__str_printf(out, "| %d | %s | %.5g |", context, s->name, speed);
    ratio(out, speed, pha__result_number(first, "tokens_per_second"));
    ratio(out, pha__result_number(first, "flops"), pha__result_number(part, "flops"));
    for (size_t k = 0; kinds[k]; k++) megabytes(out, part, kinds[k]);
    pha__str_puts(out, "\n");
}

static const char head[] = "| context | model | tokens/s | to the first | by FLOPs alone | weights, MB | gradients and "
                           "moments | state | logits | the rest | total |\n"
                           "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";

static void one_table(pha__str *out, const pha__repro *r, const char *what)
{
    bool any = false;
    for (size_t k = 0; k < r->e.contexts.n; k++)
        for (size_t i = 0; i < r->e.n_systems; i++) {
            int32_t context = (int32_t)r->e.contexts.at[k];
            const json_t *part = part_of(r, &r->e.systems[i], context, what);
            if (!part || isnan(pha__result_number(part, "tokens_per_second"))) continue;
            if (!any)
                pha__str_printf(out, "\n## Speed and memory: %s\n\n%s", what, head);
            any = true;
            line(out, &r->e.systems[i], context, part, part_of(r, &r->e.systems[0], context, what));
        }
}

void pha__efficiency_csv(pha__str *out, const pha__repro *r)
{
    static const char *const keys[] = {"tokens_per_second", "seconds", "flops", NULL};
    for (size_t k = 0; k < r->e.contexts.n; k++)
        for (size_t i = 0; i < r->e.n_systems; i++)
            for (size_t part = 0; part < PARTS; part++) {
                int32_t context = (int32_t)r->e.contexts.at[k];
                const json_t *cell = part_of(r, &r->e.systems[i], context, parts[part]);
                if (!cell) continue;
                if (!out->size) {
                    pha__str_puts(out, "model,context,what,tokens_per_second,seconds,flops");
                    for (int m = 0; m < PHA__MEM_KINDS; m++) pha__str_printf(out, ",%s_bytes", pha__memory_keys[m]);
                    pha__str_puts(out, ",total_bytes\n");
                }
                pha__str_printf(out, "%s,%d,%s", r->e.systems[i].name, context, parts[part]);
                for (size_t n = 0; keys[n]; n++) pha__result_csv(out, cell, keys[n]);
                const json_t *memory = json_object_get(cell, "memory_bytes");
                for (int m = 0; m < PHA__MEM_KINDS; m++) pha__result_csv(out, memory, pha__memory_keys[m]);
                pha__result_csv(out, memory, "total");
                pha__str_puts(out, "\n");
            }
}

void pha__efficiency_table(pha__str *out, const pha__repro *r)
{
    for (size_t i = 0; i < PARTS; i++) one_table(out, r, parts[i]);
}
