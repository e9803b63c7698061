/* quantize.c -- pha_quantize: a model folder with smaller weights */
#include "runtime/infer/quantize.h"

#include <math.h>

#include "base/clock.h"
#include "base/format.h"
#include "base/inside.h"
#include "base/print.h"

/* Files have rows of plain numbers and panels of blocks. */
static pha__dtype of_files(pha__dtype panels)
{
    return panels == PHA__F32_PANEL    ? PHA__F32
           : panels == PHA__BF16_PANEL ? PHA__BF16
           : panels == PHA__F16_PANEL  ? PHA__F16
                                       : panels;
}

/* One parameter in its format; numbers that are not finite are an error, since there would be no sign of them. */
static pha_status convert(pha__store *to, pha__arena *memory, const pha_model *m, int i, pha__dtype format)
{
    const pha__node *v = m->names->params[i];
    float *numbers = pha__alloc((size_t)v->rows * (size_t)v->width, sizeof *numbers);
    void *packed = pha__arena_alloc(memory, pha__format_bytes(format, v->rows, v->width), 1);
    pha_status status = numbers && packed ? pha__store_copy_out(m->store, PHA__WEIGHT, i, numbers) : PHA_NO_MEMORY;
    for (int64_t k = 0; k < pha__param_size(m->names, i) && !status; k++)
        if (!isfinite(numbers[k]))
            status = pha__fail(PHA_BAD_INPUT, "%s: '%s' has a number that is not finite", m->folder, v->path);
    if (!status) pha__format_pack(format, packed, v->rows, v->width, 0, v->rows, numbers, v->width);
    pha__free(numbers);
    return status ? status : pha__store_set(to, PHA__WEIGHT, i, packed, format);
}

static pha_status convert_all(pha__store *to, pha__arena *memory, const pha_model *m, const pha_quantize_options *o,
                              pha_quantize_result *r)
{
    for (int i = 0; i < m->names->n_params; i++) {
        const pha__node *v = m->names->params[i];
        pha__dtype from = pha__store_at(m->store, PHA__WEIGHT, i).format;
        pha__dtype format = of_files(pha__weights_format(o->to, &m->config, v, from));
        TRY(convert(to, memory, m, i, format));
        r->bytes_before += (uint64_t)v->rows * pha__format_row(PHA__F32, v->width);
        r->bytes_after += (uint64_t)v->rows * pha__format_row(format, v->width);
    }
    return PHA_OK;
}

static pha_status write_folder(pha__claim *claim, const pha_model *m, const pha__store *store,
                               const pha_quantize_options *o)
{
    static const char *const names[] = {"as it was", "fp32", "bf16", "fp16", "8 bits (q8)", "4 bits (q4)"};
    char card[200];
    pha__print(card, sizeof card,
               "Its matrices are in %s, made from other weights by `pha quantize`; all else is fp32.\n", names[o->to]);
    return pha__model_write_to(claim, &m->config, store, m->tokenizer, card);
}

static pha_status run(pha__claim *claim, const pha_model *m, const pha_quantize_options *o, pha_quantize_result *r)
{
    pha__arena memory = {0};
    pha__store *store = NULL;
    TRY(pha__model_verify(m));
    pha_status status = pha__store_open(&store, m->names, NULL);
    if (!status) status = convert_all(store, &memory, m, o, r);
    if (!status && o->data) status = pha__quantize_measure(m, o, r);
    if (!status && r->grows)
        status = pha__fail(PHA_NUMERIC,
                           "the error of these weights grows along a text (KL %.2e at positions 64 to 1023, %.2e in "
                           "the last half): nothing was written; try more bits", r->kl_early, r->kl_late);
    if (!status && o->out) status = write_folder(claim, m, store, o);
    pha__store_close(store);
    pha__arena_free(&memory);
    return status;
}

static pha_status check(const pha_quantize_options *o)
{
    NEED(o, "options");
    if (!o->model) FAIL(USAGE, "no model folder was named");
    if (!o->out && !o->data) FAIL(USAGE, "a folder to write is needed, or data to measure on");
    TRY(pha__weights_check(o->to));
    if (o->to == PHA_WEIGHTS_DEFAULT) FAIL(USAGE, "no format of weights was named");
    if (o->context < 0 || o->context > 1 << 20) FAIL(USAGE, "context is %d, not in 1 to 1048576", o->context);
    if (o->max_tokens < 0) FAIL(USAGE, "max_tokens is %lld, below 0", (long long)o->max_tokens);
    if (o->out && pha__is_inside(o->model, o->out))
        FAIL(USAGE, "%s: is read from and would be replaced; choose another folder", o->model);
    return PHA_OK;
}

pha_status pha_quantize(const pha_quantize_options *o, pha_quantize_result *result)
{
    pha_quantize_result unused;
    pha__claim claim = {0};
    pha_model *m = NULL;
    if (!result) result = &unused;
    *result = (pha_quantize_result){0};
    double begin = pha__seconds();
    TRY(check(o));
    if (o->out) TRY(pha__model_claim(&claim, o->out));
    pha_status status = pha_model_open(&m, o->model);
    if (!status) status = run(&claim, m, o, result);
    pha_model_close(m);
    if (o->out) pha__claim_close(&claim);
    result->seconds = pha__seconds() - begin;
    return status;
}
