/* cmd_convert.c -- pha convert: a Hedgehog model from a trained softmax model */
#include <math.h>

#include "command.h"

typedef struct Options {
    pha_convert_options o;
    List model;
    int to;
    bool json, quiet;
} Options;

static int print_json(const Options *a, const pha_convert_result *r)
{
    json_t *o = json_object();
    talk_set(&o, "out", talk_string(a->o.out));
    talk_set(&o, "steps", json_integer(r->steps));
    talk_set(&o, "loss_before", talk_real(r->loss_before));
    talk_set(&o, "loss", talk_real(r->loss));
    talk_set(&o, "kl_before", talk_real(r->kl_before));
    talk_set(&o, "kl", talk_real(r->kl));
    talk_set(&o, "teacher_ppl", talk_real(r->teacher_ppl));
    talk_set(&o, "ppl_before", talk_real(r->ppl_before));
    talk_set(&o, "ppl", talk_real(r->ppl));
    talk_set(&o, "seconds", talk_real(r->seconds));
    talk_set(&o, "peak_bytes", json_integer((json_int_t)r->peak_bytes));
    return talk_json(o);
}

static void print_pair(const char *name, double before, double after)
{
    char a[32], b[32];
    printf("%-26s %12s %12s\n", name, talk_number(a, before, 4), talk_number(b, after, 4));
}

static void print_text(const Options *a, const pha_convert_result *r)
{
    char text[32];
    printf("%-26s %12s %12s\n", "", "before", "after");
    print_pair("distillation loss", r->loss_before, r->loss);
    print_pair("KL divergence", r->kl_before, r->kl);
    print_pair("perplexity", r->ppl_before, r->ppl);
    printf("%-26s %12s\n", "  of the softmax model", talk_number(text, r->teacher_ppl, 4));
    printf("%-26s %12s\n", "steps", talk_count(text, (uint64_t)r->steps));
    printf("%-26s %12s\n", "time", talk_seconds(text, r->seconds));
    printf("%-26s %12s\n", "peak memory", talk_bytes(text, (double)r->peak_bytes));
    talk_print(stdout, "%-26s %s\n", "model folder", a->o.out);
}

static int run(Call *call, void *options)
{
    Options *a = options;
    pha_convert_result result;
    a->o.model = a->model.items[0], a->o.to = "hedgehog";
    int bad = a->o.config ? find_config(call, a->o.config, &a->o.config) : PHA_OK;
    if (bad) return bad;
    a->o.progress = talk_progress_unless(a->quiet);
    signals_install(false);
    signals_outlive_output();
    pha_status status = pha_convert(&a->o, &result);
    talk_progress_end();
    if (status) return library_error(call, status);
    if (a->json) return print_json(a, &result);
    print_text(a, &result);
    return PHA_OK;
}

static const Option table[] = {
    {.name = "to", .kind = OPTION_ENUM, FIELD(Options, to), .choices = "hedgehog", .required = true,
     .help = "architecture of the model to make"},
    {.name = "data", .letter = 'd', .kind = OPTION_PATH, FIELD(Options, o.data), .arg = "DIR", .required = true,
     .also = "dataset,input", .help = "data folder that `pha prepare` wrote, with the model's tokenizer"},
    {.name = "out", .letter = 'o', .kind = OPTION_PATH, FIELD(Options, o.out), .arg = "DIR", .required = true,
     .also = "output,output-dir", .help = "model folder to write"},
    {.name = "config", .letter = 'c', .kind = OPTION_PATH, FIELD(Options, o.config), .arg = "NAME|FILE",
     .shown = "the model's shape", .help = "configuration of the model to make, in the shape of the other one"},
    {.name = "context", .letter = 'T', .kind = OPTION_INT, FIELD(Options, o.context), .low = 1, .high = 1 << 20,
     .group = "Distillation", .shown = "512, at most the model and the data",
     .also = "seq-len,block-size,context-length", .help = "tokens in a sequence"},
    {.name = "batch", .letter = 'b', .kind = OPTION_INT, FIELD(Options, o.batch), .low = 1, .high = 1 << 20,
     .shown = "8", .also = "batch-size", .help = "sequences in a step"},
    {.name = "steps", .letter = 'n', .kind = OPTION_INT, FIELD(Options, o.steps), .low = 1, .high = 1e15,
     .shown = "two passes, at most 2000", .also = "iters,iterations,max-steps", .help = "steps"},
    {.name = "lr", .kind = OPTION_REAL, FIELD(Options, o.lr), .low = 0, .high = 10, .above = true, .shown = "0.01",
     .also = "learning-rate,rate", .help = "peak learning rate of a cosine"},
    OPTION_SEED(Options, o.seed, "seed of the order of the data"),
    {.name = "eval-tokens", .kind = OPTION_INT, FIELD(Options, o.eval_tokens), .low = 1, .high = 1e15,
     .shown = "65536", .help = "tokens of the validation split that are measured"},
    OPTION_THREADS(Options, o.threads),
    OPTION_JSON(Options, json),
    OPTION_QUIET(Options, quiet),
    {0},
};

const Command command_convert = {
    .name = "convert",
    .summary = "make a linear-attention model of a softmax model",
    .usage = "MODEL --to hedgehog --data DIR --out DIR [options]",
    .about = "Takes a trained model of arch gpt2, or a folder of GPT-2 from the hub, and teaches feature maps to weigh "
             "keys as its softmax does; all other weights stay what they are. Reports the distillation loss and the KL "
             "divergence of the weights, and perplexities. The result is a model folder; `pha train --init-from` is "
             "the second stage, in which everything learns.\n\n"
             "SIGINT, SIGTERM and SIGHUP write a checkpoint beside the folder (DIR.converting) and exit with 75; the "
             "same command goes on from it.",
    .examples = "pha convert gpt2 --to hedgehog --data wikitext --out hedgehog\n"
                "pha train --init-from hedgehog --data wikitext --out run --lr 6e-4",
    .options = table,
    .size = sizeof(Options),
    .operand = "MODEL",
    .operands_offset = offsetof(Options, model),
    .operands_min = 1,
    .operands_max = 1,
    .device = true,
    .run = run,
};
