/* cmd_import.c -- pha import: what another program wrote, as a folder of pha */
#include "command.h"

typedef struct Options {
    pha_import_options o;
    List from, valid, test;
    bool json;
} Options;

static int print_json(const Options *a, const pha_import_result *r)
{
    static const char *const kinds[] = {"model", "tokenizer", "tokens"};
    json_t *all = json_object();
    talk_set(&all, "out", talk_string(a->o.out));
    talk_set(&all, "kind", talk_string(kinds[r->kind]));
    if (r->kind == PHA_IMPORT_MODEL) {
        talk_set(&all, "arch", talk_string(r->arch));
        talk_set(&all, "parameters", json_integer((json_int_t)r->parameters));
    }
    if (r->kind == PHA_IMPORT_TOKENS) {
        talk_set(&all, "train", json_integer((json_int_t)r->train));
        talk_set(&all, "valid", json_integer((json_int_t)r->valid));
        talk_set(&all, "test", json_integer((json_int_t)r->test));
    }
    talk_set(&all, "vocab_size", json_integer(r->vocab_size));
    return talk_json(all);
}

static void print_text(const Options *a, const pha_import_result *r)
{
    char n[3][32];
    if (r->kind == PHA_IMPORT_MODEL)
        talk_print(stdout, "%s: a model of arch %s, %s parameters\n", a->o.out, r->arch,
                   talk_count(n[0], r->parameters));
    if (r->kind == PHA_IMPORT_TOKENIZER)
        talk_print(stdout, "%s: a tokenizer of %s tokens\n", a->o.out, talk_count(n[0], (uint64_t)r->vocab_size));
    if (r->kind == PHA_IMPORT_TOKENS)
        talk_print(stdout, "%s: tokens for training %s, validation %s, test %s\n", a->o.out, talk_count(n[0], r->train),
                   talk_count(n[1], r->valid), talk_count(n[2], r->test));
}

static int run(Call *call, void *options)
{
    Options *a = options;
    pha_import_result r;
    a->o.from = a->from.items, a->o.n_from = a->from.n;
    a->o.valid = a->valid.items, a->o.n_valid = a->valid.n;
    a->o.test = a->test.items, a->o.n_test = a->test.n;
    pha_status status = pha_import(&a->o, &r);
    if (status) return library_error(call, status);
    if (a->json) return print_json(a, &r);
    print_text(a, &r);
    return PHA_OK;
}

static const Option table[] = {
    {.name = "from", .letter = 'f', .kind = OPTION_LIST, FIELD(Options, from), .arg = "PATH", .required = true,
     .also = "model,input,data", .help = "folder of a model or tokenizer, or token files; may be repeated"},
    {.name = "out", .letter = 'o', .kind = OPTION_PATH, FIELD(Options, o.out), .arg = "DIR", .required = true,
     .help = "folder to write"},
    {.name = "tokenizer", .kind = OPTION_PATH, FIELD(Options, o.tokenizer), .arg = "PATH",
     .help = "of token files, or of a model without one"},
    {.name = "valid", .kind = OPTION_LIST, FIELD(Options, valid), .arg = "PATH", .also = "val,validation",
     .help = "token files of the validation split; may be repeated"},
    {.name = "test", .kind = OPTION_LIST, FIELD(Options, test), .arg = "PATH",
     .help = "token files of the test split; may be repeated"},
    OPTION_JSON(Options, json),
    {0},
};

const Command command_import = {
    .name = "import",
    .summary = "read a model, tokenizer or tokens of another program",
    .usage = "--from PATH --out DIR [--tokenizer PATH]",
    .about = "What PATH is, is seen in it. A model: a folder that `pha export` wrote and transformers saved again, or\n"
             "GPT-2 as the Hugging Face hub has it, in one file or in shards. A tokenizer: tokenizer.json, or\n"
             "vocab.json and merges.txt. Tokens: .bin files of nanoGPT and llm.c; in a folder, names with \"val\" or\n"
             "\"test\" are those splits.\n"
             "\n"
             "A tensor that is missing, too many, or of another shape is named, and nothing is written.",
    .examples = "pha import --from tuned --out model\n"
                "pha import --from nanogpt/data/openwebtext --tokenizer gpt2 --out data",
    .options = table,
    .size = sizeof(Options),
    .run = run,
};
