/* options.c -- what becomes of a training run's options before anything is opened: defaults, ranges, copies */
#include "runtime/train/options.h"

#include "runtime/train/trainer.h"

static double or_default(double value, double fallback) { return value == 0 ? fallback : value < 0 ? 0 : value; }

static void resolve(pha_train_options *o)
{
    if (!o->batch) o->batch = 24;
    if (!o->micro_batch) o->micro_batch = 1;
    o->lr = or_default(o->lr, 4.5e-4);
    o->lr_min_ratio = or_default(o->lr_min_ratio, 0.1);
    if (o->warmup < 0) o->warmup = 0;
    if (!o->schedule) o->schedule = PHA_SCHEDULE_COSINE;
    o->plateau_factor = or_default(o->plateau_factor, 0.75);
    if (!o->plateau_patience) o->plateau_patience = 3;
    o->beta1 = or_default(o->beta1, 0.9);
    o->beta2 = or_default(o->beta2, 0.999);
    o->eps = or_default(o->eps, 1e-8);
    o->weight_decay = or_default(o->weight_decay, 0.1);
    o->clip = or_default(o->clip, 1.0);
    if (o->dropout < 0) o->dropout = 0;
    if (!o->precision) o->precision = PHA_FP32;
    o->keep_best = o->keep_best ? o->keep_best : 5;
    o->average_best = o->average_best ? o->average_best : 3;
    if (!o->detail_every) o->detail_every = 100;
    o->spike = or_default(o->spike, 3.0);
}

static pha_status check_options(const pha_train_options *o)
{
    if (!o->data) FAIL(USAGE, "training needs a data folder (written by pha prepare)");
    if (!o->config == !o->init_from) FAIL(USAGE, "training needs either a configuration or a model to start from");
    if (o->context < 0 || o->context > 1 << 20) FAIL(USAGE, "context must be from 1 to %d", 1 << 20);
    if (o->batch < 1 || o->batch > 1 << 20) FAIL(USAGE, "batch must be from 1 to %d", 1 << 20);
    if (o->micro_batch < 1 || o->batch % o->micro_batch)
        FAIL(USAGE, "batch = %d must be a multiple of micro_batch = %d", o->batch, o->micro_batch);
    if (o->dropout >= 1) FAIL(USAGE, "dropout must be below 1");
    if (o->beta1 >= 1 || o->beta2 >= 1) FAIL(USAGE, "beta1 and beta2 must be below 1");
    if (o->keep_best > PHA__MAX_BEST) FAIL(USAGE, "keep_best must be at most %d", PHA__MAX_BEST);
    return PHA_OK;
}

static void copy_strings(pha_train_options *o, pha__arena *memory)
{
    const char **fields[] = {&o->config, &o->init_from, &o->data, &o->out, &o->command};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (*fields[i]) *fields[i] = pha__arena_strdup(memory, *fields[i]);
}

pha_status pha__options_open(pha_train_options *o, pha__arena *memory)
{
    resolve(o);
    copy_strings(o, memory);
    return memory->failed ? PHA_NO_MEMORY : check_options(o);
}
