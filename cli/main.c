/* main.c -- the pha command: finds the command, reads its options, runs it, and sees that the output arrived */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

const Command *const commands[] = {
#define COMMAND(name) &command_##name,
#include "commands.def"
#undef COMMAND
};
const size_t n_commands = sizeof commands / sizeof commands[0];

const Command *find_command(const char *name)
{
    for (size_t i = 0; i < n_commands; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

int unknown_command(const char *name)
{
    static const char *const also[][2] = {{"evaluate", "eval"}, {"test", "eval"},       {"sample", "generate"},
                                          {"run", "generate"},  {"fit", "train"},       {"info", "inspect"},
                                          {"show", "inspect"},  {"encode", "tokenize"}, {"benchmark", "bench"},
                                          {"create", "init"},   {"chat", "generate"}};
    const char *names[64], *near = NULL;
    char text[256];
    size_t n = 0;
    for (; n < n_commands; n++) names[n] = commands[n]->name;
    for (size_t i = 0; i < sizeof also / sizeof also[0]; i++)
        if (strcmp(also[i][0], name) == 0) near = also[i][1];
    if (!near) near = nearest(name, names, n);
    if (near) snprintf(text, sizeof text, "no command %.80s; did you mean %s?", name, near);
    else snprintf(text, sizeof text, "no command %.80s; `pha help` lists them", name);
    talk_error("pha", text);
    return PHA_USAGE;
}

/* A full disk or a closed pipe behind stdout must not look like success. */
static int close_output(int code)
{
    talk_progress_end();
    bool bad = ferror(stdout) != 0;
    if (fflush(stdout) != 0) bad = true;
    if (!bad) return code;
    char text[256];
    snprintf(text, sizeof text, "writing to the standard output failed: %s", strerror(errno));
    talk_error("pha", text);
    return code ? code : PHA_IO;
}

static int run(const Command *command, int argc, char **argv)
{
    Call call;
    void *options = calloc(1, command->size ? command->size : 1);
    if (!options) return PHA_NO_MEMORY;
    int code = option_parse(&call, command, options, argc, argv);
    if (!code && call.help) help_command(stdout, command);
    else if (!code && call.print_config) code = help_print_config(stdout, &call);
    else if (!code) code = ranks_begin(command);
    if (!code && !call.help && !call.print_config) code = command->run(&call, options);
    option_free(&call);
    free(options);
    return close_output(code);
}

struct main_arguments main_arguments;

int main(int argc, char **argv)
{
    main_arguments.values = argv, main_arguments.n = argc;
    signals_at_start();
    if (pha_rank() > 0) talk_mute();
    if (argc < 2) {
        help_all(stderr);
        return PHA_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) name = "help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) name = "version";
    const Command *command = find_command(name);
    if (!command) return unknown_command(name);
    return run(command, argc - 2, argv + 2);
}
