/* plan.c -- the cells of a call: every combination of its lists that can be */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/print.h"
#include "base/range.h"
#include "runtime/lab/lab.h"

enum { MOST_CELLS = 4096, MOST_BATCH = 1 << 20, VERSION = 1 }; /* of the tasks and of how a model is trained on them */

/* ---- options --------------------------------------------------------------------------------------------- */

static pha_status check_lists(const pha_lab_options *o)
{
    const struct { const void *list; size_t n; const char *name; } all[] = {
        {o->models, o->n_models, "models"}, {o->lengths, o->n_lengths, "lengths"}, {o->pairs, o->n_pairs, "pairs"},
        {o->widths, o->n_widths, "widths"}, {o->rates, o->n_rates, "rates"},       {o->depths, o->n_depths, "depths"},
        {o->set, o->n_set, "set"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].n && !all[i].list) FAIL(USAGE, "%s is NULL", all[i].name);
        if (all[i].n > MOST_CELLS) FAIL(USAGE, "more than %d %s", MOST_CELLS, all[i].name);
    }
    for (size_t i = 0; i < o->n_widths; i++)
        if (o->widths[i] < 1) FAIL(USAGE, "a width of %d is out of range", o->widths[i]);
    for (size_t i = 0; i < o->n_rates; i++)
        if (!pha__in_range(o->rates[i], 0, 10) || o->rates[i] == 0)
            FAIL(USAGE, "a learning rate of %g is out of range: above 0, at most 10", o->rates[i]);
    for (size_t i = 0; i < o->n_depths; i++)
        if (o->depths[i] < 0 || o->depths[i] > 100)
            FAIL(USAGE, "a depth of %d is out of range (0 to 100 percent)", o->depths[i]);
    return PHA_OK;
}

static pha_status check_numbers(const pha_lab_options *o)
{
    const struct { int64_t x, most; const char *name; } all[] = {
        {o->steps, (int64_t)1 << 50, "steps"},       {o->batch, MOST_BATCH, "batch"},
        {o->examples, (int64_t)1 << 50, "examples"}, {o->tests, (int64_t)1 << 50, "tests"},
        {o->layers, PHA__MAX_LAYER, "layers"},       {o->vocab_size, 1 << 24, "vocab_size"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].x < 0 || all[i].x > all[i].most)
            FAIL(USAGE, "%s = %lld is out of range: 1 to %lld, or 0 for the default", all[i].name, (long long)all[i].x,
                 (long long)all[i].most);
    if (!pha__in_range(o->weight_decay, -1, 10)) FAIL(USAGE, "weight_decay = %g is out of range", o->weight_decay);
    return PHA_OK;
}

static pha_status check_together(const pha_lab_options *o, const pha__lab_row *row)
{
    if (!o->n_models) FAIL(USAGE, "the laboratory needs a model");
    if (o->test_only && (o->n_widths || o->n_rates || o->vocab_size || o->n_set || o->layers || o->steps))
        FAIL(USAGE, "a model that is only tested has its width, its layers and its vocabulary, and trains no steps");
    if (o->n_depths && !row->has_depth) FAIL(USAGE, "%s: has no depth; passkey and needle do", row->name);
    double cells = (double)o->n_models * (double)(o->n_lengths + !o->n_lengths) * (double)(o->n_pairs + !o->n_pairs);
    cells *= (double)(o->n_widths + !o->n_widths) * (double)(o->n_rates + !o->n_rates);
    if (cells > MOST_CELLS) FAIL(USAGE, "%.0f combinations are more than %d", cells, MOST_CELLS);
    return PHA_OK;
}

static void fill_in(pha_lab_options *o)
{
    static const double rate = 1e-3;
    if (!o->n_rates) o->rates = &rate, o->n_rates = 1;
    if (!o->steps) o->steps = 1000;
    if (!o->batch) o->batch = 32;
    if (!o->examples) o->examples = 100000;
    if (!o->tests) o->tests = 3000;
    if (!o->layers) o->layers = 2;
    if (o->weight_decay == 0) o->weight_decay = 0.1;
    if (o->weight_decay < 0) o->weight_decay = 0;
}

/* ---- models ---------------------------------------------------------------------------------------------- */

static pha_status open_models(pha__lab *l)
{
    const pha_lab_options *o = &l->o;
    pha__config_rules rules = pha__rules();
    if (o->test_only) l->trained = pha__alloc_zero(o->n_models, sizeof *l->trained);
    else l->configs = pha__alloc_zero(o->n_models, sizeof *l->configs);
    if (!l->trained && !l->configs) return PHA_NO_MEMORY;
    for (size_t i = 0; i < o->n_models; i++) {
        if (!o->models[i]) FAIL(USAGE, "model %zu has no name", i + 1);
        if (!o->test_only) TRY(pha__config_load(&l->configs[i], o->models[i], &rules));
        else TRY(pha_model_open(&l->trained[i], o->models[i]));
        if (o->test_only) TRY(pha__model_verify(l->trained[i]));
    }
    return PHA_OK;
}

/* "key=value": JSON, or else a word. */
static pha_status set_one(json_t **config, const char *text)
{
    const char *equals = strchr(text, '=');
    char key[64];
    if (!equals || equals == text || (size_t)(equals - text) >= sizeof key)
        FAIL(USAGE, "'%.60s' sets nothing; a setting is key=value, as n_head=2", text);
    pha__print(key, sizeof key, "%.*s", (int)(equals - text), text);
    json_error_t error;
    json_t *value = NULL;
    pha_status status = pha__json_parse_line(&value, equals + 1, strlen(equals + 1), JSON_DECODE_ANY, &error);
    if (status == PHA_NO_MEMORY) return status;
    pha__json_set(config, key, status ? pha__json_text(equals + 1) : value);
    return PHA_OK;
}

/* The configuration of a cell: the model's at the width, the layers and the vocabulary that were asked for. */
static pha_status make_config(pha__config *out, const pha__lab *l, size_t model, int32_t width, int32_t V)
{
    char where[400], wide[24] = "";
    pha__config_rules rules = pha__rules();
    json_t *json = pha__config_resized(&l->configs[model], &rules, width, l->o.layers);
    pha__json_set(&json, "vocab_size", pha__json_number(V));
    pha_status status = PHA_OK;
    for (size_t i = 0; i < l->o.n_set && !status; i++)
        status = l->o.set[i] ? set_one(&json, l->o.set[i]) : pha__fail(PHA_USAGE, "setting %zu is NULL", i + 1);
    if (!status && !json) status = pha__fail(PHA_NO_MEMORY, "no memory for a configuration");
    if (width) pha__print(wide, sizeof wide, " of width %d", width);
    pha__print(where, sizeof where, "%.300s, %d layers%s", l->o.models[model], l->o.layers, wide);
    if (!status) status = pha__config_parse(out, json, where, &rules);
    json_decref(json);
    return status;
}

/* Texts of more than so many tokens are too long for the model. */
static pha_status check_length(const pha__config *c, int32_t T, const char *model, bool trained)
{
    pha__program *names;
    pha__program_options options = {.B = 1, .T = 1};
    TRY(pha__record(&names, c, &options, PHA__HEAD_NONE));
    int64_t longest = pha__longest_text(names);
    pha__program_close(names);
    if (T <= longest) return PHA_OK;
    if (trained) FAIL(USAGE, "%s: reads texts of at most %lld tokens, not of %d", model, (long long)longest, T);
    FAIL(USAGE, "%s: reads texts of at most %lld tokens, not of %d; set n_positions=%d to change that", model,
         (long long)longest, T, T);
}

/* ---- cells ----------------------------------------------------------------------------------------------- */

static pha_status describe_model(json_t **s, const pha__lab_cell *cell)
{
    uint64_t fingerprint;
    pha__config_rules rules = pha__rules();
    if (!cell->trained) {
        pha__json_set(s, "config", pha__config_to_json(&cell->config, &rules));
        return PHA_OK;
    }
    TRY(pha__model_fingerprint(&fingerprint, cell->trained));
    pha__json_set(s, "weights", pha__json_hex(fingerprint));
    return PHA_OK;
}

/* All that a result depends on, besides the machine. */
static pha_status describe(pha__lab_cell *cell, const pha__lab *l)
{
    const pha_lab_options *o = &l->o;
    json_t *s = pha__json_object();
    pha__json_set(&s, "version", pha__json_number(VERSION));
    pha__json_set(&s, "task", pha__json_text(l->row->name));
    pha__json_set(&s, "length", pha__json_number(cell->s.T));
    pha__json_set(&s, "vocab_size", pha__json_number(cell->s.V));
    pha__json_set(&s, "pairs", pha__json_number(cell->s.n));
    if (l->row->has_chains) pha__json_set(&s, "chains", pha__json_number(cell->s.chains));
    json_t *depths = pha__json_list();
    for (size_t i = 0; i < o->n_depths; i++) pha__json_add(&depths, pha__json_number(o->depths[i]));
    pha__json_set(&s, "depths", depths);
    pha__json_set(&s, "seed", pha__json_hex(o->seed));
    pha__json_set(&s, "tests", pha__json_number(o->tests));
    if (!cell->trained) {
        pha__json_set(&s, "examples", pha__json_number(o->examples));
        pha__json_set(&s, "steps", pha__json_number(o->steps));
        pha__json_set(&s, "batch", pha__json_number(o->batch));
        pha__json_set(&s, "lr", pha__json_decimal(cell->lr));
        pha__json_set(&s, "weight_decay", pha__json_decimal(o->weight_decay));
    }
    pha_status status = describe_model(&s, cell);
    if (!status && !s) status = pha__fail(PHA_NO_MEMORY, "no memory for the settings of a cell");
    if (status) json_decref(s);
    else cell->setting = s;
    return status;
}

pha__lab_sizes pha__lab_first(const pha_lab_options *o, int32_t V, int32_t avoid)
{
    return (pha__lab_sizes){.T = o->n_lengths ? o->lengths[0] : 0, .V = V, .n = o->n_pairs ? o->pairs[0] : 0,
                            .chains = o->chains, .depth = PHA__LAB_ANY_DEPTH, .avoid = avoid};
}

/* One combination; what it is comes as numbers of its lists. */
static pha_status make_cell(pha__lab_cell *cell, const pha__lab *l, size_t m, size_t w, size_t t, size_t p, size_t r)
{
    const pha_lab_options *o = &l->o;
    pha_model *trained = l->trained ? l->trained[m] : NULL;
    bool ends = trained && trained->tokenizer;
    *cell = (pha__lab_cell){.model = o->models[m], .trained = trained, .lr = o->rates[r]};
    cell->s = pha__lab_first(o, trained ? trained->config.vocab_size : o->vocab_size,
                             ends ? pha__tokenizer_eot(trained->tokenizer) : -1);
    if (o->n_lengths) cell->s.T = o->lengths[t];
    if (o->n_pairs) cell->s.n = o->pairs[p];
    TRY(pha__lab_check(l->row, &cell->s));
    if (trained) cell->config = trained->config;
    else TRY(make_config(&cell->config, l, m, o->n_widths ? o->widths[w] : 0, cell->s.V));
    TRY(check_length(&cell->config, cell->s.T, cell->model, trained));
    return describe(cell, l);
}

static size_t at_least_one(size_t n) { return n ? n : 1; }

/* Leaves out what cannot be, and says so; an error if that is everything. */
static pha_status make_cells(pha__lab *l)
{
    const pha_lab_options *o = &l->o;
    size_t T = at_least_one(o->n_lengths), P = at_least_one(o->n_pairs), W = at_least_one(o->n_widths);
    size_t R = o->n_rates, all = o->n_models * T * P * W * R, left_out = 0;
    pha__message why = {""};
    if (!(l->cells = pha__alloc_zero(all, sizeof *l->cells))) return PHA_NO_MEMORY;
    pha_status status = PHA_OK, first = PHA_OK;
    for (size_t i = 0; i < all; i++) {
        status = make_cell(&l->cells[l->n_cells], l, i / (R * P * T * W), i / (R * P * T) % W, i / (R * P) % T,
                           i / R % P, i % R);
        if (status && status != PHA_USAGE && status != PHA_BAD_INPUT) return status;
        if (!status) l->n_cells++;
        else if (!left_out++) why = pha__message_keep(), first = status;
    }
    if (!l->n_cells) return pha__message_restore(&why), first;
    if (left_out)
        pha__log(PHA__LOG_NOTE, "%zu of %zu combinations cannot be and are left out: %s", left_out, all, why.text);
    return PHA_OK;
}

pha_status pha__lab_plan(pha__lab *l, const pha_lab_options *options)
{
    l->o = *options;
    if (!options->task) FAIL(USAGE, "no task was named");
    TRY(pha__lab_find(&l->row, options->task));
    TRY(check_lists(options));
    TRY(check_numbers(options));
    TRY(check_together(options, l->row));
    fill_in(&l->o);
    TRY(open_models(l));
    return make_cells(l);
}

void pha__lab_unplan(pha__lab *l)
{
    for (size_t i = 0; i < l->n_cells; i++) {
        json_decref(l->cells[i].setting);
        json_decref(l->cells[i].result);
    }
    for (size_t i = 0; l->trained && i < l->o.n_models; i++) pha_model_close(l->trained[i]);
    pha__free(l->trained);
    pha__free(l->configs);
    pha__free(l->cells);
    json_decref(l->others);
}
