/* cmd_version.c -- pha version */
#include "command.h"

typedef struct Options {
    bool json;
} Options;

static int run(Call *call, void *options)
{
    (void)call;
    if (((Options *)options)->json)
        return talk_json(json_pack("{s:s, s:s}", "version", pha_version(), "isa", pha_isa()));
    printf("pha %s (kernels: %s)\n", pha_version(), pha_isa());
    return PHA_OK;
}

static const Option table[] = {OPTION_JSON(Options, json), {0}};

const Command command_version = {
    .name = "version",
    .ranks = true,
    .summary = "show the version and the instruction set in use",
    .usage = "[--json]",
    .about = "Prints the version of pha and the instruction set of the kernels that it would run on this machine.",
    .options = table,
    .size = sizeof(Options),
    .run = run,
};
