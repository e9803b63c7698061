/* cmd_average.c -- pha average: the mean of several models' weights */
#include "command.h"

typedef struct Options {
    List models;
    const char *out;
    bool json;
} Options;

static int run(Call *call, void *options)
{
    Options *a = options;
    pha_status status = pha_model_average(a->models.items, a->models.n, a->out);
    if (status) return library_error(call, status);
    if (a->json)
        return talk_json(json_pack("{s:o, s:I}", "out", talk_string(a->out), "models", (json_int_t)a->models.n));
    talk_print(stdout, "%s: mean of %zu models\n", a->out, a->models.n);
    return PHA_OK;
}

static const Option table[] = {
    {.name = "out", .letter = 'o', .kind = OPTION_PATH, FIELD(Options, out), .arg = "DIR", .required = true,
     .help = "model folder to write"},
    OPTION_JSON(Options, json),
    {0},
};

const Command command_average = {
    .name = "average",
    .summary = "average the weights of several models",
    .usage = "MODEL MODEL... --out DIR",
    .about =
        "Writes the mean of the weights of model folders of the same configuration, equal weights, summed in double.",
    .examples = "pha average run/best-1 run/best-2 run/best-3 --out averaged",
    .options = table,
    .size = sizeof(Options),
    .operand = "MODEL",
    .operands_offset = offsetof(Options, models),
    .operands_min = 2,
    .operands_max = 1000,
    .run = run,
};
