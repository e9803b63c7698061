/* cmd_init.c -- pha init: an untrained model folder */
#include "command.h"

typedef struct Options {
    const char *config, *tokenizer, *out;
    uint64_t seed;
    bool json;
} Options;

static int print_json(const Options *a, const pha_model_info *info)
{
    json_t *o = json_object();
    talk_set(&o, "out", talk_string(a->out));
    talk_set(&o, "arch", talk_string(info->arch));
    talk_set(&o, "parameters", json_integer((json_int_t)info->parameters));
    talk_set(&o, "vocab_size", json_integer(info->vocab_size));
    talk_set(&o, "d_model", json_integer(info->d_model));
    talk_set(&o, "n_layer", json_integer(info->n_layer));
    talk_set(&o, "seed", json_integer((json_int_t)a->seed));
    return talk_json(o);
}

static int run(Call *call, void *options)
{
    Options *a = options;
    pha_model *model = NULL;
    pha_model_info info = {0};
    char text[32];
    int bad = find_config(call, a->config, &a->config);
    if (bad) return bad;
    pha_status status = pha_model_init(a->config, a->seed, a->tokenizer, a->out);
    if (!status) status = pha_model_open(&model, a->out);
    if (status) return library_error(call, status);
    pha_model_get_info(model, &info);
    if (a->json) bad = print_json(a, &info);
    else
        talk_print(stdout, "%s: %s, %s parameters, seed %llu\n", a->out, info.arch, talk_count(text, info.parameters),
               (unsigned long long)a->seed);
    pha_model_close(model);
    return bad;
}

static const Option table[] = {
    {.name = "config", .letter = 'c', .kind = OPTION_PATH, FIELD(Options, config), .arg = "NAME|FILE", .required = true,
     .help = "a preset's name (pha-125m) or a config.json"},
    {.name = "out", .letter = 'o', .kind = OPTION_PATH, FIELD(Options, out), .arg = "DIR", .required = true,
     .help = "model folder to write"},
    OPTION_SEED(Options, seed, "every tensor is a function of the seed and its name"),
    {.name = "tokenizer", .kind = OPTION_PATH, FIELD(Options, tokenizer), .help = "tokenizer to put into the folder"},
    OPTION_JSON(Options, json),
    {0},
};

const Command command_init = {
    .name = "init",
    .summary = "write an untrained model",
    .usage = "--config NAME|FILE --out DIR [--seed N] [--tokenizer PATH]",
    .meant = "config",
    .about = "Writes a model folder with random weights, as training would start from.",
    .examples = "pha init --config pha-125m --seed 1 --out untrained",
    .options = table,
    .size = sizeof(Options),
    .run = run,
};
