/* cmd_completion.c -- pha completion: a shell's completion script, written from the option tables */
#include <stdlib.h>
#include <string.h>

#include "command.h"

typedef struct Options {
    List shells;
} Options;

static void words_of(const Command *c)
{
    for (int common = 0; common < 2; common++)
        for (const Option *o = common ? common_options : c->options; o->name; o++) {
            if (common && strcmp(o->name, "run-file") == 0 && !c->run_file) continue;
            printf(" --%s%s", o->kind == OPTION_FLAG && o->invert ? "no-" : "", o->name);
        }
}

static void values_of(const Command *c)
{
    for (const Option *o = c->options; o->name; o++) {
        if (o->kind != OPTION_ENUM) continue;
        printf("    %s:--%s) words='", c->name, o->name);
        for (const char *s = o->choices; *s; s++) putchar(*s == '|' ? ' ' : *s);
        printf("' ;;\n");
    }
}

/* Without a name: the person's own shell. */
static const char *shell_of(const Options *a)
{
    const char *own = getenv("SHELL"), *name = own ? strrchr(own, '/') : NULL;
    if (a->shells.n) return a->shells.items[0];
    return name ? name + 1 : own && *own ? own : "bash";
}

static int run(Call *call, void *options)
{
    const char *shell = shell_of(options);
    if (strcmp(shell, "bash"))
        return usage_error(call, "no completion for %s; there is one for: bash%s", shell,
                           strcmp(shell, "zsh") ? "" : " (zsh reads it after: autoload -U bashcompinit; bashcompinit)");
    printf("# bash completion for pha; put into ~/.bashrc: source <(pha completion bash)\n"
           "_pha() {\n"
           "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n"
           "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    words='");
    for (size_t i = 0; i < n_commands; i++) printf("%s%s", i ? " " : "", commands[i]->name);
    printf("'\n    COMPREPLY=($(compgen -W \"$words\" -- \"$word\")); return\n  fi\n"
           "  case ${COMP_WORDS[1]}:$before in\n    help:*) words='");
    for (size_t i = 0; i < n_commands; i++) printf("%s%s", i ? " " : "", commands[i]->name);
    printf("' ;;\n    completion:*) words='bash' ;;\n");
    for (size_t i = 0; i < n_commands; i++) values_of(commands[i]);
    printf("  esac\n  if [ -z \"$words\" ] && [ \"${word#-}\" != \"$word\" ]; then\n    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < n_commands; i++) {
        printf("      %s) words='", commands[i]->name);
        words_of(commands[i]);
        printf("' ;;\n");
    }
    printf("    esac\n  fi\n"
           "  [ -n \"$words\" ] && COMPREPLY=($(compgen -W \"$words\" -- \"$word\")) || COMPREPLY=($(compgen -f -- "
           "\"$word\"))\n"
           "}\ncomplete -o filenames -F _pha pha\n");
    return PHA_OK;
}

static const Option table[] = {{0}};

const Command command_completion = {
    .name = "completion",
    .summary = "print a shell completion script",
    .usage = "[bash]",
    .about = "Completes commands, options, the choices of options, and file names. "
             "Without a name it is for the shell that SHELL names.",
    .examples = "source <(pha completion bash)",
    .options = table,
    .size = sizeof(Options),
    .operand = "SHELL",
    .operands_offset = offsetof(Options, shells),
    .operands_max = 1,
    .run = run,
};
