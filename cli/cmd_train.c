/* cmd_train.c -- pha train */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

typedef struct Options {
    pha_train_options o;
    bool json, quiet;
} Options;

static void print_json(const pha_train_result *r, const char *out, bool stopped)
{
    talk_json(json_pack("{s:s, s:b, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "out", out, "stopped", stopped,
                        "steps", (json_int_t)r->steps, "tokens", (json_int_t)r->tokens, "train_loss",
                        talk_real(r->train_loss), "valid_loss", talk_real(r->valid_loss), "valid_ppl",
                        talk_real(r->valid_ppl), "averaged_valid_ppl", talk_real(r->averaged_valid_ppl), "seconds",
                        talk_real(r->seconds), "tokens_per_second", talk_real(r->tokens_per_second), "peak_bytes",
                        (json_int_t)r->peak_bytes));
}

static void print_real(const char *name, double value)
{
    if (isfinite(value)) printf("%-26s %.4f\n", name, value);
}

static void print_text(const pha_train_result *r, const char *out)
{
    char text[32];
    printf("%-26s %s\n", "steps", talk_count(text, (uint64_t)r->steps));
    printf("%-26s %s\n", "tokens", talk_count(text, (uint64_t)r->tokens));
    print_real("train loss", r->train_loss);
    print_real("valid loss", r->valid_loss);
    print_real("valid perplexity", r->valid_ppl);
    print_real("averaged valid perplexity", r->averaged_valid_ppl);
    printf("%-26s %s\n", "time", talk_seconds(text, r->seconds));
    if (isfinite(r->tokens_per_second)) printf("%-26s %.0f\n", "tokens per second", r->tokens_per_second);
    printf("%-26s %s\n", "peak memory", talk_bytes(text, (double)r->peak_bytes));
    printf("%-26s %s\n", "run folder", out);
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
    a->o.command = call->line;
    a->o.progress = talk_progress_unless(a->quiet);
    signals_install(false);
    pha_status status = pha_train(&a->o, &result);
    talk_progress_end();
    if (status == PHA_OK || (status == PHA_STOPPED && result.steps > 0)) {
        if (a->json) print_json(&result, a->o.out, status == PHA_STOPPED);
        else print_text(&result, a->o.out);
    }
    if (status == PHA_STOPPED) talk_note("pha train: stopped; `pha train --resume --out %s` goes on", a->o.out);
    else if (status) library_error(call, status);
    return status;
}

static const Option table[] = {
    {.name = "config", .letter = 'c', .kind = OPTION_PATH, FIELD(Options, o.config), .arg = "NAME|FILE",
     .also = "model,arch,preset", .help = "configuration of a new model: a preset's name (pha-125m) or a config.json"},
    {.name = "init-from", .kind = OPTION_PATH, FIELD(Options, o.init_from), .arg = "DIR",
     .also = "finetune,from,pretrained", .help = "model folder whose weights to start from"},
    {.name = "data", .letter = 'd', .kind = OPTION_PATH, FIELD(Options, o.data), .arg = "DIR", .required = true,
     .also = "dataset,input", .help = "data folder that `pha prepare` wrote"},
    {.name = "out", .letter = 'o', .kind = OPTION_PATH, FIELD(Options, o.out), .arg = "DIR", .required = true,
     .also = "output,output-dir,run", .help = "run folder to write"},
    {.name = "resume", .kind = OPTION_FLAG, FIELD(Options, o.resume), .also = "continue",
     .help = "go on from the run folder's checkpoint if there is one"},
    OPTION_SEED(Options, o.seed, "seed of weights, order of the data and dropout"),

    {.group = "Size of a step and of the run", .name = "context", .letter = 'T',
     .kind = OPTION_INT, FIELD(Options, o.context),
     .low = 1, .high = 1 << 20, .shown = "1024, at most the data",
     .also = "seq-len,block-size,context-length,sequence-length",
     .help = "tokens in a sequence"},
    {.name = "batch", .letter = 'b', .kind = OPTION_INT, FIELD(Options, o.batch), .fallback = "24", .low = 1,
     .high = 1 << 20,
     .also = "batch-size", .help = "sequences in a step"},
    {.name = "micro-batch", .kind = OPTION_INT, FIELD(Options, o.micro_batch), .fallback = "1", .low = 1,
     .high = 1 << 20,
     .help = "sequences that run at once; divides --batch"},
    {.name = "steps", .letter = 'n', .kind = OPTION_INT, FIELD(Options, o.steps), .low = 1, .high = 1e15,
     .shown = "by --epochs",
     .also = "iters,iterations,max-steps", .help = "steps of the run"},
    {.name = "epochs", .kind = OPTION_REAL, FIELD(Options, o.epochs), .fallback = "1", .low = 0, .high = 1e6,
     .above = true,
     .help = "passes over the data"},

    {.group = "Optimiser", .name = "lr", .kind = OPTION_REAL, FIELD(Options, o.lr), .fallback = "4.5e-4", .low = 0,
     .high = 10,
     .above = true, .also = "learning-rate,learningrate,rate", .help = "peak learning rate"},
    {.name = "schedule", .kind = OPTION_ENUM, FIELD(Options, o.schedule), .choices = "constant|cosine|plateau",
     .base = PHA_SCHEDULE_CONSTANT, .fallback = "cosine", .also = "lr-schedule,scheduler",
     .help = "course of the learning rate"},
    {.name = "warmup", .kind = OPTION_INT, FIELD(Options, o.warmup), .fallback = "0", .low = 0, .high = 1e15,
     .also = "warmup-steps,warm-up", .help = "steps of linear warm-up"},
    {.name = "lr-min-ratio", .kind = OPTION_REAL, FIELD(Options, o.lr_min_ratio), .fallback = "0.1", .low = 0,
     .high = 1,
     .zero_off = true, .also = "min-lr,lr-min", .help = "cosine: last rate over peak rate"},
    {.name = "plateau-factor", .kind = OPTION_REAL, FIELD(Options, o.plateau_factor), .fallback = "0.75", .low = 0,
     .high = 1,
     .above = true, .help = "plateau: the rate is multiplied by this"},
    {.name = "plateau-patience", .kind = OPTION_INT, FIELD(Options, o.plateau_patience), .fallback = "3", .low = 1,
     .high = 1e6,
     .help = "plateau: evaluations without progress before that"},
    {.name = "beta1", .kind = OPTION_REAL, FIELD(Options, o.beta1), .fallback = "0.9", .low = 0, .high = 1,
     .above = true,
     .help = "decay of the first moment"},
    {.name = "beta2", .kind = OPTION_REAL, FIELD(Options, o.beta2), .fallback = "0.999", .low = 0, .high = 1,
     .above = true,
     .help = "decay of the second moment"},
    {.name = "eps", .kind = OPTION_REAL, FIELD(Options, o.eps), .fallback = "1e-8", .low = 0, .high = 1, .above = true,
     .also = "epsilon", .help = "added to the root of the second moment"},
    {.name = "weight-decay", .kind = OPTION_REAL, FIELD(Options, o.weight_decay), .fallback = "0.1", .low = 0,
     .high = 10,
     .zero_off = true, .also = "wd,decay", .help = "decoupled weight decay; 0: none"},
    {.name = "decay-all", .kind = OPTION_FLAG, FIELD(Options, o.decay_all), .help = "decay gains and vectors too"},
    {.name = "clip", .kind = OPTION_REAL, FIELD(Options, o.clip), .fallback = "1", .low = 0, .high = 1e9,
     .zero_off = true,
     .also = "grad-clip,max-norm", .help = "largest global norm of the gradient; 0: no clipping"},
    {.name = "dropout", .kind = OPTION_REAL, FIELD(Options, o.dropout), .fallback = "0", .low = 0, .high = 0.95,
     .help = "share of values set to zero"},
    {.name = "spike", .kind = OPTION_REAL, FIELD(Options, o.spike), .fallback = "3", .low = 0, .high = 1e9,
     .zero_off = true,
     .help = "skip a step whose loss is above this times the running mean; 0: never"},

    {.group = "Memory and speed", .name = "precision", .kind = OPTION_ENUM, FIELD(Options, o.precision),
     .choices = "fp32|bf16",
     .base = PHA_FP32, .fallback = "fp32", .also = "dtype,bf16",
     .help = "storage of weights and activations (arithmetic is fp32)"},
    {.name = "recompute", .kind = OPTION_FLAG, FIELD(Options, o.recompute),
     .also = "checkpointing,gradient-checkpointing",
     .help = "keep only the layers' inputs and repeat each layer's forward pass"},
    {.name = "fuse", .kind = OPTION_FLAG, FIELD(Options, o.no_fuse), .invert = true,
     .help = "run every step by itself: merge no projections, fuse no norms and filters"},
    OPTION_THREADS(Options, o.threads),

    {.group = "Evaluation, checkpoints, logs", .name = "eval-every",
     .kind = OPTION_INT, FIELD(Options, o.eval_every), .low = 1,
     .high = 1e15, .shown = "once per epoch, at least 4 times", .also = "eval-interval",
     .help = "steps between evaluations"},
    {.name = "eval-tokens", .kind = OPTION_INT, FIELD(Options, o.eval_tokens), .low = 1, .high = 1e15, .shown = "all",
     .help = "tokens of the validation split that are scored"},
    {.name = "checkpoint-every", .kind = OPTION_INT, FIELD(Options, o.checkpoint_every), .low = 1, .high = 1e15,
     .shown = "as --eval-every", .also = "save-every,save-interval",
     .help = "steps between checkpoints; the end of an epoch and of the run has one too"},
    {.name = "keep-best", .kind = OPTION_INT, FIELD(Options, o.keep_best), .fallback = "5", .low = 0, .high = 1000,
     .zero_off = true,
     .help = "model snapshots kept by validation perplexity"},
    {.name = "average-best", .kind = OPTION_INT, FIELD(Options, o.average_best), .fallback = "3", .low = 0,
     .high = 1000,
     .zero_off = true, .help = "of them, averaged at the end; 0: no averaging"},
    {.name = "detail-every", .kind = OPTION_INT, FIELD(Options, o.detail_every), .fallback = "100", .low = 1,
     .high = 1e15,
     .also = "log-every,log-interval", .help = "steps between log entries with mixing weights, horizons and norms"},
    OPTION_JSON(Options, json),
    OPTION_QUIET(Options, quiet),
    {0},
};

const Command command_train = {
    .name = "train",
    .summary = "train a model",
    .usage = "--config NAME|FILE --data DIR --out DIR [options]\n"
             "--init-from DIR --data DIR --out DIR [options]\n"
             "--resume --out DIR [options]",
    .about = "Writes a run folder: run.json (everything needed to repeat the run), log.jsonl, TensorBoard events, "
             "checkpoint/, "
             "the best snapshots, and model/ at the end.\n\n"
             "SIGINT and SIGTERM finish the step, write a checkpoint and exit with 75; --resume then goes on with "
             "the options in the run's run.json and bit-identical "
             "results. A second signal ends at once; the last checkpoint stays good.",
    .examples = "pha train --config quickstart --data data --out run --steps 300 --batch 8\n"
                "pha train --config pha-125m --data wikitext --out run125 --epochs 10 --schedule plateau\n"
                "pha train --run-file run/run.json --out again --seed 2",
    .options = table,
    .size = sizeof(Options),
    .run_file = true,
    .own_run_file = own_run_file,
    .run = run,
};
