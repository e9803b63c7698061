/* bench.c -- pha_bench: options, random weights, and the results as a table or as JSON */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/print.h"
#include "runtime/look/bench.h"
#include "runtime/look/subject.h"

#define MAX_REPEATS 100 /* more are of no use to a median */

/* The shapes of the ops where no model is given: those of pha-125m (pha.md 3). */
static const char default_config[] =
    "{\"arch\":\"pha\",\"vocab_size\":50257,\"d_model\":608,\"n_layer\":12,\"n_head\":8,\"n_kv_head\":2,\"d_ffn\":1216,"
    "\"d_state\":1632,\"d_aux\":416}";

/* ---- options ------------------------------------------------------------------------------------------ */

static pha_status read_what(pha__bench *b)
{
    const char *at = b->o.what ? b->o.what : b->o.model ? "train,prefill,decode" : "ops";
    struct { const char *name; bool *flag; } all[] = {
        {"ops", &b->ops}, {"train", &b->train}, {"prefill", &b->prefill}, {"decode", &b->decode},
    };
    while (*at) {
        size_t n = strcspn(at, ","), i = 0;
        while (i < 4 && (strlen(all[i].name) != n || strncmp(all[i].name, at, n))) i++;
        if (i == 4 && n)
            FAIL(USAGE, "there is no benchmark '%.*s'; there are ops, train, prefill, decode", (int)(n > 40 ? 40 : n),
                 at);
        if (n) *all[i].flag = true;
        at += n + (at[n] == ',');
    }
    if (!b->ops && !b->train && !b->prefill && !b->decode) FAIL(USAGE, "no benchmark was named");
    if (!b->o.model && (b->train || b->prefill || b->decode))
        FAIL(USAGE, "train, prefill and decode need a model or a configuration");
    return PHA_OK;
}

static pha_status read_contexts(pha__bench *b)
{
    static const int32_t usual[] = {1024, 2048, 4096, 8192, 16384};
    if (b->o.n_contexts > PHA__BENCH_CONTEXTS) FAIL(USAGE, "more than %d contexts", PHA__BENCH_CONTEXTS);
    if (b->o.n_contexts && !b->o.contexts) FAIL(USAGE, "contexts is NULL");
    b->usual = !b->o.n_contexts;
    if (b->usual) memcpy(b->contexts, usual, sizeof usual);
    else memcpy(b->contexts, b->o.contexts, b->o.n_contexts * sizeof *b->contexts);
    b->op_context = b->o.n_contexts ? b->contexts[0] : 1024;
    b->o.n_contexts = b->o.n_contexts ? b->o.n_contexts : sizeof usual / sizeof *usual;
    for (size_t i = 0; i < b->o.n_contexts; i++)
        if (b->contexts[i] < 1 || b->contexts[i] > 1 << 24 || (int64_t)b->contexts[i] * b->o.batch > INT32_MAX / 2)
            FAIL(USAGE, "a context of %d tokens at batch %d is out of range", b->contexts[i], b->o.batch);
    return PHA_OK;
}

static pha_status read_options(pha__bench *b, const pha_bench_options *options)
{
    b->o = *options;
    b->o.batch = b->o.batch ? b->o.batch : 1;
    b->o.repeats = b->o.repeats ? b->o.repeats : 5;
    if (b->o.batch < 1 || b->o.batch > 65536 || b->o.repeats < 1) FAIL(USAGE, "batch and repeats must be positive");
    b->o.repeats = b->o.repeats > MAX_REPEATS ? MAX_REPEATS : b->o.repeats;
    TRY(pha__weights_check(b->o.weights));
    TRY(read_what(b));
    return read_contexts(b);
}

/* ---- random weights and tokens ------------------------------------------------------------------------ */

static pha_status open_config(pha__bench *b)
{
    pha__config_rules r = pha__rules();
    if (b->o.model) { /* of a model only the configuration is used: the time doesn't depend on the values */
        pha__subject s;
        TRY(pha__subject_open(&s, b->o.model));
        b->config = s.config;
        pha__subject_close(&s);
    } else {
        json_t *json;
        TRY(pha__json_parse(&json, default_config, sizeof default_config - 1, "pha-125m"));
        pha_status status = pha__config_parse(&b->config, json, "pha-125m", &r);
        json_decref(json);
        TRY(status);
    }
    pha__program_options options = {.B = 1, .T = 1};
    return pha__record(&b->names, &b->config, &options, PHA__HEAD_NONE);
}

static pha_status fill_weights(pha__bench *b)
{
    size_t need = (size_t)b->names->weights * sizeof(float), have = pha__memory_free();
    if (need > have)
        FAIL(NO_MEMORY, "the weights alone need %.1f GB and %.1f GB are free", (double)need / 1e9, (double)have / 1e9);
    pha__store *random;
    TRY(pha__store_open(&random, b->names, b->device));
    pha_status status = pha__store_add(random, PHA__WEIGHT, PHA__ALL_PARAMS, PHA__F32);
    if (!status) status = pha__init_weights(random, 1);
    if (!status)
        status = pha__weights_place(&b->weights, &b->config, random, b->device,
                                    b->o.precision == PHA_BF16 ? PHA__BF16 : PHA__F32, b->o.weights);
    pha__store_close(random);
    return status;
}

static pha_status fill_tokens(pha__bench *b)
{
    int32_t longest = b->op_context;
    for (size_t i = 0; i < b->o.n_contexts; i++) longest = b->contexts[i] > longest ? b->contexts[i] : longest;
    size_t n = (size_t)b->o.batch * (size_t)longest + 1 + MAX_REPEATS * 16;
    b->ids = pha__alloc(n, sizeof *b->ids);
    if (!b->ids) return PHA_NO_MEMORY;
    uint64_t x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        b->ids[i] = (int32_t)((x >> 33) % (uint64_t)b->config.vocab_size);
    }
    return PHA_OK;
}

/* Of the usual contexts those behind which the model still knows places for tokens; else half of what it knows. */
static void choose_contexts(pha__bench *b)
{
    int64_t longest = pha__longest_text(b->names);
    while (b->usual && b->o.n_contexts > 1 && b->contexts[b->o.n_contexts - 1] > longest / 2) b->o.n_contexts--;
    if (b->usual && b->contexts[0] > longest / 2) b->contexts[0] = longest > 1 ? (int32_t)(longest / 2) : 1;
    if (b->usual && b->op_context > longest) b->op_context = (int32_t)longest;
}

static pha_status open_bench(pha__bench *b)
{
    TRY(open_config(b));
    choose_contexts(b);
    TRY(pha__device_open(&b->device, NULL, b->o.threads));
    TRY(pha__bench_machine(b));
    return fill_tokens(b);
}

static void close_bench(pha__bench *b)
{
    pha__weights_close(&b->weights);
    pha__program_close(b->names);
    pha__device_close(b->device);
    pha__free(b->ids);
    pha__free(b);
}

static pha_status run_all(pha__bench *b)
{
    for (size_t i = 0; i < b->o.n_contexts && b->train; i++) TRY(pha__bench_train(b, b->contexts[i]));
    if (b->ops) TRY(pha__bench_ops(b));
    if (!b->prefill && !b->decode) return PHA_OK;
    TRY(fill_weights(b)); /* only now: a training step has weights of its own */
    for (size_t i = 0; i < b->o.n_contexts; i++) TRY(pha__bench_stream(b, b->contexts[i]));
    return PHA_OK;
}

/* ---- results as text ---------------------------------------------------------------------------------- */

typedef struct share {
    char text[16];
} share;

/* "12.3 %", or "-" where the whole is not known. */
static share share_of(double part, double whole)
{
    share s = {"-"};
    double percent = 100 * part / whole;
    if (isfinite(percent)) pha__print(s.text, sizeof s.text, "%.1f %%", percent);
    return s;
}

static const char *const weights_names[] = {"stored", "fp32", "bf16", "fp16", "q8", "q4"};

static void text_head(pha__str *out, const pha__bench *b)
{
    pha__str_printf(out, "%s: arch %s, %s parameters, %s%s%s, batch %d; %s, %d threads\n",
                    b->o.model ? b->o.model : "pha-125m", b->config.arch, pha__digits(b->names->parameters).text,
                    b->o.precision == PHA_BF16 ? "bf16" : "fp32", b->o.weights ? ", weights in " : "",
                    b->o.weights ? weights_names[b->o.weights] : "", b->o.batch, pha_isa(),
                    pha__device_units(b->device));
    if (!isfinite(b->peak)) {
        pha__str_puts(out, "What this device could do at most has not been measured. Random weights; medians of `runs` "
                           "after a first run.\n");
        return;
    }
    pha__str_printf(out,
                    "Measured peak: %.1f GFLOP/s of multiply-adds in registers, of which our matrix product (1024 x "
                    "1024 x 1024, fp32)\nreaches %.1f (%.1f %%); copy of memory %.1f GB/s. Random weights; medians of "
                    "`runs` after a first run.\n",
                    b->peak / 1e9, b->product / 1e9, 100 * b->product / b->peak, b->copy / 1e9);
}

static void text_cells(pha__str *out, const pha__bench *b)
{
    pha__str_printf(out, "\n%-8s %8s %12s %12s %10s %9s %8s %9s %5s\n", "what", "context", "tokens/s", "ms", "GFLOP/s",
                    "of peak", "GB/s", "of copy", "runs");
    for (int i = 0; i < b->n_cells; i++) {
        const pha__bench_cell *c = &b->cells[i];
        pha__str_printf(out, "%-8s %8d ", c->what, c->context);
        if (!c->runs) {
            pha__str_printf(out, "%s\n", *c->skipped ? c->skipped : "skipped");
            continue;
        }
        pha__str_printf(out, "%12.1f %12.2f %10.1f %10s", c->tokens / c->seconds, c->seconds * 1e3,
                        c->flops / c->seconds / 1e9, share_of(c->flops / c->seconds, b->peak).text);
        if (c->bytes > 0)
            pha__str_printf(out, " %8.1f %9s", c->bytes / c->seconds / 1e9,
                            share_of(c->bytes / c->seconds, b->copy).text);
        else pha__str_printf(out, " %8s %9s", "-", "-");
        pha__str_printf(out, " %5d\n", c->runs);
    }
    pha__str_puts(
        out,
        "train: forward, backward, gradient norm and AdamW; prefill: a prompt in runs of 256 tokens, without the "
        "head;\ndecode: one token behind `context` tokens. GFLOP/s count useful work only (causal pairs; no repeats), "
        "GB/s of decode\nthe weights and the state that a token needs.\n");
}

static void text_memory(pha__str *out, const pha__bench *b)
{
    pha__str_printf(out, "\nPeak memory in MB by kind (parts of the block each at their highest)\n%-8s %8s", "what",
                    "context");
    static const char *const head[PHA__MEM_KINDS] = {"weights",  "bf16",  "grads",  "moments", "state",  "activ.",
                                                     "d.activ.", "stats", "logits", "work",    "scratch"};
    for (int k = 0; k < PHA__MEM_KINDS; k++) pha__str_printf(out, " %8s", head[k]);
    pha__str_printf(out, " | %8s %8s %9s\n", "block", "naive", "total");
    for (int i = 0; i < b->n_cells; i++) {
        const pha__bench_cell *c = &b->cells[i];
        pha__str_printf(out, "%-8s %8d", c->what, c->context);
        for (int k = 0; k < PHA__MEM_KINDS; k++) pha__str_printf(out, " %8.1f", (double)c->memory.kind[k] / 1e6);
        pha__str_printf(out, " | %8.1f %8.1f %9.1f\n", (double)c->memory.block / 1e6, (double)c->memory.naive / 1e6,
                        (double)c->memory.total / 1e6);
    }
}

static double sum_of_ops(const pha__bench *b)
{
    double sum = 0;
    for (int i = 0; i < b->n_op; i++) sum += b->op[i].seconds;
    return sum > 0 ? sum : 1e-9;
}

static double expected_of_ops(const pha__bench *b)
{
    double sum = 0;
    for (int i = 0; i < b->n_op; i++) sum += b->op[i].expected;
    return sum > 0 ? sum : 1e-9;
}

static void text_ops(pha__str *out, const pha__bench *b)
{
    double sum = sum_of_ops(b);
    pha__str_printf(
        out,
        "\nOps of one training step at %d x %d (forward, backward, gradient norm, AdamW): %.1f ms; medians of "
        "%d runs\n%-16s %-9s %5s %9s %9s %8s %9s %8s %6s %8s\n",
        b->o.batch, b->op_context, b->op_step * 1e3, b->o.repeats, "op", "pass", "steps", "ms", "expected", "share",
        "GFLOP/s", "of peak", "GB/s", "of copy");
    for (int i = 0; i < b->n_op; i++) {
        const pha__bench_op *r = &b->op[i];
        double s = r->seconds > 0 ? r->seconds : 1e-9;
        pha__str_printf(out, "%-16s %-9s %5d %9.3f %9.3f %6.1f %% %9.1f %8s %6.1f %8s\n", r->op, r->pass, r->steps,
                        r->seconds * 1e3, r->expected * 1e3, 100 * r->seconds / sum, r->flops / s / 1e9,
                        share_of(r->flops / s, b->peak).text, r->bytes / s / 1e9, share_of(r->bytes / s, b->copy).text);
    }
    pha__str_printf(out,
                    "%-16s %-9s %5s %9.3f %9.3f %6.1f %%\nExpected: at the rate of this step's products or at that of "
                    "a copy, whichever takes longer; the whole takes %.2f times that.\n",
                    "all", "", "", sum * 1e3, expected_of_ops(b) * 1e3, 100.0, sum / expected_of_ops(b));
}

/* ---- results as JSON ---------------------------------------------------------------------------------- */

static json_t *cells_json(const pha__bench *b)
{
    json_t *list = pha__json_list();
    for (int i = 0; i < b->n_cells; i++) {
        const pha__bench_cell *c = &b->cells[i];
        json_t *o = pha__json_object();
        pha__json_set(&o, "what", pha__json_text(c->what));
        pha__json_set(&o, "context", pha__json_number(c->context));
        pha__json_set(&o, "batch", pha__json_number(b->o.batch));
        pha__json_set(&o, "memory_bytes", pha__memory_json(&c->memory));
        if (!c->runs) pha__json_set(&o, "skipped", pha__json_text(*c->skipped ? c->skipped : "skipped"));
        else {
            pha__json_set(&o, "runs", pha__json_number(c->runs));
            pha__json_set(&o, "seconds", pha__json_decimal(c->seconds));
            pha__json_set(&o, "tokens_per_second", pha__json_decimal(c->tokens / c->seconds));
            pha__json_set(&o, "flops", pha__json_decimal(c->flops));
            pha__json_set(&o, "gflops_per_second", pha__json_decimal(c->flops / c->seconds / 1e9));
            pha__json_set(&o, "share_of_peak", pha__json_decimal(c->flops / c->seconds / b->peak));
        }
        if (c->runs && c->bytes > 0) {
            pha__json_set(&o, "gbytes_per_second", pha__json_decimal(c->bytes / c->seconds / 1e9));
            pha__json_set(&o, "share_of_copy", pha__json_decimal(c->bytes / c->seconds / b->copy));
        }
        pha__json_add(&list, o);
    }
    return list;
}

static json_t *ops_json(const pha__bench *b)
{
    json_t *list = pha__json_list();
    double sum = sum_of_ops(b);
    for (int i = 0; i < b->n_op; i++) {
        const pha__bench_op *r = &b->op[i];
        double s = r->seconds > 0 ? r->seconds : 1e-9;
        json_t *o = pha__json_object();
        pha__json_set(&o, "op", pha__json_text(r->op));
        pha__json_set(&o, "pass", pha__json_text(r->pass));
        pha__json_set(&o, "steps", pha__json_number(r->steps));
        pha__json_set(&o, "seconds", pha__json_decimal(r->seconds));
        pha__json_set(&o, "expected_seconds", pha__json_decimal(r->expected));
        pha__json_set(&o, "flops", pha__json_decimal(r->flops));
        pha__json_set(&o, "bytes", pha__json_decimal(r->bytes));
        pha__json_set(&o, "gflops_per_second", pha__json_decimal(r->flops / s / 1e9));
        pha__json_set(&o, "gbytes_per_second", pha__json_decimal(r->bytes / s / 1e9));
        pha__json_set(&o, "share_of_step", pha__json_decimal(r->seconds / sum));
        pha__json_add(&list, o);
    }
    return list;
}

static json_t *as_json(const pha__bench *b)
{
    json_t *o = pha__json_object();
    pha__json_set(&o, "model", pha__json_text(b->o.model ? b->o.model : "pha-125m"));
    pha__json_set(&o, "arch", pha__json_text(b->config.arch));
    pha__json_set(&o, "parameters", pha__json_number((int64_t)b->names->parameters));
    pha__json_set(&o, "isa", pha__json_text(pha_isa()));
    pha__json_set(&o, "threads", pha__json_number(pha__device_units(b->device)));
    pha__json_set(&o, "precision", pha__json_text(b->o.precision == PHA_BF16 ? "bf16" : "fp32"));
    pha__json_set(&o, "weights", pha__json_text(weights_names[b->o.weights]));
    pha__json_set(&o, "batch", pha__json_number(b->o.batch));
    pha__json_set(&o, "peak_gflops", pha__json_decimal(b->peak / 1e9));
    pha__json_set(&o, "product_gflops", pha__json_decimal(b->product / 1e9));
    pha__json_set(&o, "copy_gbytes", pha__json_decimal(b->copy / 1e9));
    if (b->n_cells) pha__json_set(&o, "results", cells_json(b));
    if (b->n_op) {
        pha__json_set(&o, "ops", ops_json(b));
        pha__json_set(&o, "ops_context", pha__json_number(b->op_context));
        pha__json_set(&o, "ops_step_seconds", pha__json_decimal(b->op_step));
    }
    return o;
}

static pha_status write_results(const pha__bench *b, char **text)
{
    pha__str out = {0};
    pha_status status = PHA_OK;
    if (b->o.json) status = pha__add_json(&out, as_json(b));
    else {
        text_head(&out, b);
        if (b->n_cells) text_cells(&out, b), text_memory(&out, b);
        if (b->n_op) text_ops(&out, b);
    }
    if (!status && out.failed) status = pha__fail(PHA_NO_MEMORY, "no memory for the results");
    if (status) pha__str_free(&out);
    else *text = out.data;
    return status;
}

pha_status pha_bench(const pha_bench_options *options, char **text)
{
    NEED(text, "a place for the text");
    *text = NULL;
    NEED(options, "options");
    pha__bench *b = pha__alloc_zero(1, sizeof *b);
    if (!b) return PHA_NO_MEMORY;
    pha_status status = read_options(b, options);
    if (!status) status = open_bench(b);
    if (!status) status = run_all(b);
    if (!status) status = write_results(b, text);
    close_bench(b);
    return status;
}
