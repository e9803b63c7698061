/* cmd_export.c -- pha export: a model folder as other programs read it */
#include "command.h"

typedef struct Options {
    const char *model, *out;
    int format;
    bool json;
} Options;

static const char *const formats[] = {"gpt2", NULL};

static int run(Call *call, void *options)
{
    Options *a = options;
    pha_status status = pha_model_export(a->model, (pha_export_format)a->format, a->out);
    if (status) return library_error(call, status);
    if (a->json)
        return talk_json(json_pack("{s:o, s:s}", "out", talk_string(a->out), "format", formats[a->format]));
    talk_print(stdout, "%s: %s in the format %s\n", a->out, a->model, formats[a->format]);
    return PHA_OK;
}

static const Option table[] = {
    {.name = "model", .letter = 'm', .kind = OPTION_PATH, FIELD(Options, model), .arg = "DIR", .required = true,
     .help = "model folder"},
    {.name = "out", .letter = 'o', .kind = OPTION_PATH, FIELD(Options, out), .arg = "DIR", .required = true,
     .help = "folder to write"},
    {.name = "format", .kind = OPTION_ENUM, FIELD(Options, format), .choices = "gpt2", .fallback = "gpt2",
     .help = "gpt2: as GPT2LMHeadModel of transformers has it"},
    OPTION_JSON(Options, json),
    {0},
};

const Command command_export = {
    .name = "export",
    .summary = "write a model as other programs read it",
    .usage = "--model DIR --out DIR [--format gpt2]",
    .about = "Writes a model of arch gpt2 under the names that GPT-2 has on the Hugging Face hub, in fp32. `pha`\n"
             "opens such a folder as it is, with the same results.",
    .examples = "pha export --model run/model --out gpt2 --format gpt2",
    .options = table,
    .size = sizeof(Options),
    .run = run,
};
