/* cmd_train.c -- pha train */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

typedef struct Options {
    pha_train_options o;
    int32_t ranks;
    bool json, quiet;
} Options;

static int print_json(const pha_train_result *r, const char *out, bool stopped)
{
    json_t *o = json_object();
    talk_set(&o, "out", talk_string(out));
    talk_set(&o, "stopped", json_boolean(stopped));
    talk_set(&o, "steps", json_integer(r->steps));
    talk_set(&o, "tokens", json_integer(r->tokens));
    talk_set(&o, "refused", json_integer(r->refused));
    talk_set(&o, "train_loss", talk_real(r->train_loss));
    talk_set(&o, "valid_loss", talk_real(r->valid_loss));
    talk_set(&o, "valid_ppl", talk_real(r->valid_ppl));
    talk_set(&o, "averaged_valid_ppl", talk_real(r->averaged_valid_ppl));
    talk_set(&o, "seconds", talk_real(r->seconds));
    talk_set(&o, "tokens_per_second", talk_real(r->tokens_per_second));
    talk_set(&o, "peak_bytes", json_integer((json_int_t)r->peak_bytes));
    return talk_json(o);
}

static void print_real(const char *name, double value)
{
    char text[32];
    if (isinf(value)) printf("%-26s above 1e308\n", name);
    else if (!isnan(value)) printf("%-26s %s\n", name, talk_number(text, value, 4));
}

static void print_text(const pha_train_result *r, const char *out)
{
    char text[32];
    printf("%-26s %s\n", "steps", talk_count(text, (uint64_t)r->steps));
    printf("%-26s %s\n", "tokens", talk_count(text, (uint64_t)r->tokens));
    if (r->refused)
        printf("%-26s %s (%.1f %%)\n", "refused steps", talk_count(text, (uint64_t)r->refused),
               100 * (double)r->refused / (double)r->steps);
    print_real("train loss", r->train_loss);
    print_real("valid loss", r->valid_loss);
    print_real("valid perplexity", r->valid_ppl);
    print_real("averaged valid perplexity", r->averaged_valid_ppl);
    printf("%-26s %s\n", "time", talk_seconds(text, r->seconds));
    if (isfinite(r->tokens_per_second)) printf("%-26s %.0f\n", "tokens per second", r->tokens_per_second);
    printf("%-26s %s\n", "peak memory", talk_bytes(text, (double)r->peak_bytes));
    talk_print(stdout, "%-26s %s\n", "run folder", out);
}

static bool exists_in(Call *call, const char *folder, const char *name, const char **path)
{
    char *joined = option_take(call, strlen(folder) + strlen(name) + 2);
    sprintf(joined, "%s/%s", folder, name);
    *path = joined;
    return access(joined, R_OK) == 0;
}

/* A run that goes on does so with its own options. */
static const char *own_run_file(Call *call, const void *options)
{
    const pha_train_options *o = &((const Options *)options)->o;
    const char *path;
    return o->resume && o->out && exists_in(call, o->out, "run.json", &path) ? path : NULL;
}

static int check(Call *call, Options *a)
{
    pha_train_options *o = &a->o;
    const char *own;
    bool new_model = option_from(call, "config") > FROM_FILE || option_from(call, "init-from") > FROM_FILE;
    if (o->resume && !new_model && exists_in(call, o->out, "config.json", &own)) o->config = o->init_from = NULL;
    if (option_from(call, "epochs") > option_from(call, "steps")) o->steps = 0;
    if (o->config && o->init_from) return usage_error(call, "--config and --init-from exclude each other");
    if (!o->config && !o->init_from && !o->resume)
        return usage_error(call, "a model is missing: --config NAME for a new one, --init-from DIR for given weights");
    if (option_from(call, "steps") == option_from(call, "epochs") && option_given(call, "steps") && !call->run_file)
        return usage_error(call, "--steps and --epochs exclude each other");
    if (o->steps) o->epochs = 0;
    if (o->micro_batch > 0 && o->batch % o->micro_batch)
        return usage_error(call, "--micro-batch %d does not divide --batch %d", (int)o->micro_batch, (int)o->batch);
    return o->config ? find_config(call, o->config, &o->config) : PHA_OK;
}

static int run(Call *call, void *options)
{
    Options *a = options;
    pha_train_result result = {.train_loss = NAN, .valid_loss = NAN, .valid_ppl = NAN, .averaged_valid_ppl = NAN};
    int bad = check(call, a);
    if (bad) return bad;
    if (a->ranks > 1 && pha_ranks() == 1) return ranks_start(call, a->ranks);
    a->o.command = call->line;
    a->o.progress = talk_progress_unless(a->quiet);
    signals_install(false);
    signals_outlive_output();
    pha_status status = pha_train(&a->o, &result);
    talk_progress_end();
    int printed = PHA_OK;
    if (status == PHA_OK || (status == PHA_STOPPED && result.steps > 0)) {
        if (a->json) printed = print_json(&result, a->o.out, status == PHA_STOPPED);
        else print_text(&result, a->o.out);
    }
    if (status == PHA_STOPPED) talk_note("pha train: stopped; `pha train --resume --out %s` goes on", a->o.out);
    else if (status) library_error(call, status);
    return status ? (int)status : printed;
}

#define UNWRAP(...) __VA_ARGS__
#define OPTION(...) ROW(__VA_ARGS__)
#define ROW(field_, name_, kind_, text_, value_, rules_, role_, help_, ...)                                \
    {.name = name_, .kind = OPTION_##kind_, FIELD(Options, o.field_), .fallback = text_, .help = help_, \
     __VA_ARGS__ __VA_OPT__(,) UNWRAP rules_},
#define OPTION_NATURAL OPTION_INT

static const Option table[] = {
#include "pha_train.def"
    {.name = "ranks", .kind = OPTION_INT, FIELD(Options, ranks), .low = 1, .high = 1024, .fallback = "1",
     .group = "Several processes", .also = "np,nproc,nprocs,processes,world-size,nproc-per-node",
     .help = "processes on this machine that train together, a power of two (by mpirun)"},
    OPTION_JSON(Options, json),
    OPTION_QUIET(Options, quiet),
    {0},
};

const Command command_train = {
    .name = "train",
    .ranks = true,
    .summary = "train a model",
    .usage = "--config NAME|FILE --data DIR --out DIR [options]\n"
             "--init-from DIR --data DIR --out DIR [options]\n"
             "--resume --out DIR [options]",
    .meant = "data/,config",
    .about = "Writes a run folder: run.json (everything needed to repeat the run), log.jsonl, TensorBoard events, "
             "the last two checkpoints (12 bytes per parameter each; while one is written there are three), "
             "the best snapshots, and model/ at the end.\n\n"
             "Several processes train together, to the same bits as one with the same --lanes: --ranks N on this "
             "machine, or on many machines under their own starter (mpirun -n N pha train ..., srun pha train ...). "
             "The run folder is the first one's; the data lies where each can read it. mpirun hands SIGUSR1 on to all "
             "of them.\n\n"
             "SIGINT, SIGTERM, SIGHUP and SIGUSR1 leave the step under way undone, write a checkpoint of the last "
             "whole one and exit with 75; --resume then goes on with the options in the run's run.json and "
             "bit-identical results. A second signal ends at once; the last checkpoint stays good. A checkpoint that "
             "is damaged is told, and "
             "the run goes on from the one before.",
    .examples = "pha train --config quickstart --data data --out run --steps 300 --batch 8\n"
                "pha train --config pha-125m --data wikitext --out run125 --epochs 10 --schedule plateau\n"
                "pha train --run-file run/run.json --out again --seed 2",
    .options = table,
    .size = sizeof(Options),
    .run_file = true,
    .own_run_file = own_run_file,
    .device = true,
    .run = run,
};
