/* cmd_inspect.c -- pha inspect: what is in a model, a configuration, a program, a memory plan */
#include <string.h>

#include "command.h"

typedef struct Options {
    pha_inspect_options o;
    List models;
    bool mixing, program, memory;
} Options;

static int run(Call *call, void *options)
{
    Options *a = options;
    char *text = NULL;
    if (a->mixing + a->program + a->memory > 1)
        return usage_error(call, "--mixing, --program and --memory exclude each other");
    if (a->o.svg && (a->program || a->memory))
        return usage_error(call, "--svg draws the mixing table; use it with --mixing");
    a->o.what = a->mixing || a->o.svg ? PHA_INSPECT_MIXING
                : a->program          ? PHA_INSPECT_PROGRAM
                : a->memory           ? PHA_INSPECT_MEMORY
                                      : PHA_INSPECT_SUMMARY;
    int bad = find_config(call, a->models.items[0], &a->o.model);
    if (bad) return bad;
    pha_status status = pha_inspect(&a->o, &text);
    if (status) return library_error(call, status);
    talk_write(stdout, text, strlen(text));
    if (!*text || text[strlen(text) - 1] != '\n') putchar('\n');
    pha_free(text);
    if (a->o.svg) talk_note("wrote %s", a->o.svg);
    return PHA_OK;
}

static const Option table[] = {
    {.name = "mixing", .kind = OPTION_FLAG, FIELD(Options, mixing),
     .help = "mixing weights per layer: GSS, attention, FFN; raw and scaled"},
    {.name = "program", .kind = OPTION_FLAG, FIELD(Options, program), .also = "graph,steps",
     .help = "one line per step of the program"},
    {.name = "memory", .kind = OPTION_FLAG, FIELD(Options, memory), .also = "plan", .help = "the memory plan"},
    {.name = "svg", .kind = OPTION_PATH, FIELD(Options, o.svg), .arg = "FILE",
     .help = "also write the mixing table as a figure"},
    {.name = "context", .letter = 'T', .kind = OPTION_INT, FIELD(Options, o.context), .fallback = "1024", .low = 1,
     .high = 1 << 20,
     .help = "tokens in a sequence, of the program and the plan"},
    {.name = "batch", .letter = 'b', .kind = OPTION_INT, FIELD(Options, o.batch), .fallback = "1", .low = 1,
     .high = 65536,
     .help = "sequences, of the program and the plan"},
    {.name = "inference", .kind = OPTION_FLAG, FIELD(Options, o.inference),
     .help = "a streaming session instead of a training step"},
    {.name = "recompute", .kind = OPTION_FLAG, FIELD(Options, o.recompute), .help = "as of `pha train`"},
    {.name = "fuse", .kind = OPTION_FLAG, FIELD(Options, o.no_fuse), .invert = true,
     .help = "run every step by itself: merge no projections, fuse no norms and filters"},
    OPTION_PRECISION(Options, o.precision),
    OPTION_JSON(Options, o.json),
    {0},
};

const Command command_inspect = {
    .name = "inspect",
    .summary = "show what a model is made of",
    .usage = "MODEL|CONFIG [--mixing | --program | --memory] [options]",
    .about = "MODEL is a model folder, or a run folder for the run's model; CONFIG a config.json or a preset's name. "
             "Shows the configuration, parameters by component, FLOPs and bytes per token, and the size of the state "
             "against the context; or one of the other views.",
    .examples = "pha inspect pha-125m\npha inspect run/model --mixing --svg mixing.svg\npha inspect pha-125m --memory "
                "--batch 4 --recompute",
    .options = table,
    .size = sizeof(Options),
    .operand = "MODEL",
    .operands_offset = offsetof(Options, models),
    .operands_min = 1,
    .operands_max = 1,
    .device = true,
    .run = run,
};
