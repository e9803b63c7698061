/* cmd_export.c -- pha export: a model folder as other programs read it */
#include "command.h"

typedef struct Options {
    pha_export_options o;
    int to, weights;
    bool json;
} Options;

static const char *const formats[] = {"hf", "gpt2", "gguf"};
static const pha_weights weights[] = {PHA_WEIGHTS_DEFAULT, PHA_WEIGHTS_FP32, PHA_WEIGHTS_FP16, PHA_WEIGHTS_Q8};

static int run(Call *call, void *options)
{
    Options *a = options;
    a->o.format = (pha_export_format)a->to;
    a->o.weights = weights[a->weights];
    pha_status status = pha_export(&a->o);
    if (status) return library_error(call, status);
    if (a->json)
        return talk_json(json_pack("{s:o, s:s}", "out", talk_string(a->o.out), "format", formats[a->to]));
    talk_print(stdout, "%s: %s in the format %s\n", a->o.out, a->o.model, formats[a->to]);
    return PHA_OK;
}

static const Option table[] = {
    {.name = "model", .letter = 'm', .kind = OPTION_PATH, FIELD(Options, o.model), .arg = "DIR", .required = true,
     .help = "model folder"},
    {.name = "out", .letter = 'o', .kind = OPTION_PATH, FIELD(Options, o.out), .arg = "DIR", .required = true,
     .help = "folder to write; of gguf a file"},
    {.name = "to", .kind = OPTION_ENUM, FIELD(Options, to), .choices = "hf|gpt2|gguf", .fallback = "hf",
     .also = "format,type", .help = "hf: for transformers; gpt2: as its GPT2LMHeadModel has it; gguf: for llama.cpp"},
    {.name = "weights", .kind = OPTION_ENUM, FIELD(Options, weights), .choices = "default|fp32|fp16|q8",
     .fallback = "default", .also = "outtype,quantize", .help = "gguf: format of the matrices; default is fp16"},
    {.name = "eval", .kind = OPTION_PATH, FIELD(Options, o.eval), .arg = "FILE", .also = "evaluation,results",
     .help = "what `pha eval --json` printed, for the model card"},
    OPTION_JSON(Options, json),
    {0},
};

const Command command_export = {
    .name = "export",
    .summary = "write a model as other programs read it",
    .usage = "--model DIR --out DIR [--to hf|gpt2] [--eval FILE]\n"
             "--model DIR --out FILE --to gguf [--weights fp32|fp16|q8]",
    .about = "hf: a folder that transformers opens with trust_remote_code=True: the weights of arch pha or seq, the\n"
             "tokenizer, two Python files, and a card with the run that the model lies in, an evaluation and its\n"
             "mixing weights. A model of arch gpt2 becomes a plain GPT-2, which needs no code.\n"
             "\n"
             "gpt2: a model of arch gpt2 under the names that GPT-2 has on the Hugging Face hub, in fp32.\n"
             "\n"
             "gguf: the same models as a file that llama.cpp opens, with the tokenizer (Q8_0 for q8).\n"
             "\n"
             "`pha` opens such folders as they are, with the same results.",
    .examples = "pha export --model run/model --out hub\n"
                "pha eval --model run/model --data data --json > eval.json\n"
                "pha export --model run/model --out hub --eval eval.json\n"
                "pha export --model gpt2 --out gpt2.gguf --to gguf --weights q8",
    .options = table,
    .size = sizeof(Options),
    .run = run,
};
