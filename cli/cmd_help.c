/* cmd_help.c -- pha help: the list of commands, one command's help, manual pages */
#include <string.h>

#include "command.h"

typedef struct Options {
    List names;
    bool man, commands;
} Options;

void help_all(FILE *out)
{
    fprintf(
        out,
        "%spha%s -- train, evaluate and run parallel hybrid language models\n\n%sUsage%s\n  pha COMMAND [options]\n",
        talk_bold(out), talk_plain(out), talk_bold(out), talk_plain(out));
    fprintf(out, "\n%sCommands%s\n", talk_bold(out), talk_plain(out));
    for (size_t i = 0; i < n_commands; i++) fprintf(out, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "\n%sFrom text to a model%s\n"
                 "  pha new my-texts --minutes 10       does it all, or step by step:\n"
                 "  pha prepare my-texts --out data\n"
                 "  pha train --config quickstart --data data --out run\n"
                 "  pha eval --model run/model --data data\n"
                 "  pha generate --model run/model --prompt 'Once upon a time'\n\n"
                 "`pha COMMAND --help` tells more. Data goes to stdout, talk to stderr.\n",
            talk_bold(out), talk_plain(out));
}

static void man_all(FILE *out)
{
    fprintf(out, ".TH PHA 1 \"\" \"pha %s\" \"pha manual\"\n.SH NAME\n"
                 "pha \\- train, evaluate and run parallel hybrid language models\n"
                 ".SH SYNOPSIS\n\\fBpha\\fR \\fICOMMAND\\fR [\\fIoptions\\fR]\n.SH COMMANDS\n", pha_version());
    for (size_t i = 0; i < n_commands; i++)
        fprintf(out, ".TP\n\\fBpha %s\\fR\n%s; see\n.BR pha\\-%s (1)\n", commands[i]->name, commands[i]->summary,
                commands[i]->name);
    fprintf(out, ".SH ENVIRONMENT\n"
                 ".TP\nPHA_<OPTION>\nvalue of an option that is not given as a flag (PHA_SEED for \\-\\-seed)\n"
                 ".TP\nPHA_THREADS\nnumber of threads\n"
                 ".TP\nPHA_ISA\ninstruction set of the kernels: generic, avx2, avx512, neon\n"
                 ".TP\nPHA_TRACE\n1 prints the range of every value and stops at the first that is not finite\n"
                 ".TP\nNO_COLOR\nno colour on the terminal\n.SH EXIT STATUS\n");
#define X(name, value, text) fprintf(out, ".TP\n%d\n%s\n", value, text);
    PHA_STATUS_MAP(X)
#undef X
}

static int run(Call *call, void *options)
{
    Options *o = options;
    (void)call;
    for (size_t i = 0; o->commands && i < n_commands; i++) puts(commands[i]->name);
    if (o->commands) return PHA_OK;
    if (o->names.n == 0) {
        if (o->man) man_all(stdout);
        else help_all(stdout);
        return PHA_OK;
    }
    const Command *command = find_command(o->names.items[0]);
    if (!command) return unknown_command(o->names.items[0]);
    if (o->man) help_man(stdout, command);
    else help_command(stdout, command);
    return PHA_OK;
}

static const Option table[] = {
    {.name = "man", .kind = OPTION_FLAG, FIELD(Options, man), .env = "", .help = "print a manual page (roff) instead"},
    {.name = "commands", .kind = OPTION_FLAG, FIELD(Options, commands), .env = "",
     .help = "print the names of the commands, one a line"},
    {0},
};

const Command command_help = {
    .name = "help",
    .ranks = true,
    .summary = "show the commands, or the help of one",
    .usage = "[COMMAND] [--man]",
    .about = "Without a command, lists all of them.",
    .examples = "pha help train\npha help --man train | man -l -",
    .options = table,
    .size = sizeof(Options),
    .operand = "COMMAND",
    .operands_offset = offsetof(Options, names),
    .operands_max = 1,
    .run = run,
};
