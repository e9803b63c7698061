/* cmd_completion.c -- pha completion: a shell's completion script, written from the option tables */
#include <stdlib.h>
#include <string.h>

#include "command.h"

typedef struct Options {
    List shells;
} Options;

/* ---- what all shells complete ---- */

typedef void option_fn(const Command *c, const Option *o);

static void each_option(const Command *c, option_fn *fn)
{
    for (int common = 0; common < 2; common++)
        for (const Option *o = common ? common_options : c->options; o->name; o++)
            if (!common || has_common(c, o)) fn(c, o);
}

static const char *no_of(const Option *o)
{
    bool on = o->kind == OPTION_FLAG && (o->invert || (o->fallback && strcmp(o->fallback, "true") == 0));
    return on ? "no-" : "";
}

/* The commands apart by blanks. */
static void put_commands(void)
{
    for (size_t i = 0; i < n_commands; i++) printf("%s%s", i ? " " : "", commands[i]->name);
}

static void put_choices(const Option *o)
{
    for (const char *s = o->choices; *s; s++) putchar(*s == '|' ? ' ' : *s);
}

/* Text within single quotes of a shell; `quote`: how a quote is written there. Brackets end a description of zsh. */
static void put_quoted(const char *text, const char *quote)
{
    for (; *text; text++) {
        if (*text == '\'') fputs(quote, stdout);
        else putchar(*text == '[' ? '(' : *text == ']' ? ')' : *text == '\\' ? '/' : *text == '\n' ? ' ' : *text);
    }
}

/* ---- bash ---- */

static void bash_word(const Command *c, const Option *o)
{
    (void)c;
    printf(" --%s%s", no_of(o), o->name);
}

static void bash_values(const Command *c)
{
    for (const Option *o = c->options; o->name; o++) {
        if (o->kind != OPTION_ENUM) continue;
        printf("    %s:--%s) words='", c->name, o->name);
        put_choices(o);
        printf("' ;;\n");
    }
}

static void bash(void)
{
    printf("# bash completion for pha; put into ~/.bashrc: source <(pha completion bash)\n"
           "_pha() {\n"
           "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n"
           "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    words='");
    put_commands();
    printf("'\n    COMPREPLY=($(compgen -W \"$words\" -- \"$word\")); return\n  fi\n"
           "  case ${COMP_WORDS[1]}:$before in\n    help:*) words='");
    put_commands();
    printf("' ;;\n    completion:*) words='bash zsh fish' ;;\n");
    for (size_t i = 0; i < n_commands; i++) bash_values(commands[i]);
    printf("  esac\n  if [ -z \"$words\" ] && [ \"${word#-}\" != \"$word\" ]; then\n    case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; i < n_commands; i++) {
        printf("      %s) words='", commands[i]->name);
        each_option(commands[i], bash_word);
        printf("' ;;\n");
    }
    printf("    esac\n  fi\n"
           "  [ -n \"$words\" ] && COMPREPLY=($(compgen -W \"$words\" -- \"$word\")) || COMPREPLY=($(compgen -f -- "
           "\"$word\"))\n"
           "}\ncomplete -o filenames -F _pha pha\n");
}

/* ---- zsh ---- */

static void zsh_option(const Command *c, const Option *o)
{
    static const char quote[] = "'\\''";
    (void)c;
    printf(" \\\n        ");
    if (o->letter) printf("'(-%c --%s%s)'{-%c,--%s%s}", o->letter, no_of(o), o->name, o->letter, no_of(o), o->name);
    else printf("'--%s%s'", no_of(o), o->name);
    printf("'[");
    put_quoted(o->help, quote);
    putchar(']');
    if (o->kind != OPTION_FLAG) printf(":%s:", o->name);
    if (o->kind == OPTION_ENUM) putchar('('), put_choices(o), putchar(')');
    if (o->kind == OPTION_PATH || o->kind == OPTION_LIST) printf("_files");
    putchar('\'');
}

static void zsh(void)
{
    printf("#compdef pha\n# zsh completion for pha; put it as _pha into a folder of $fpath, or into ~/.zshrc after "
           "compinit: source <(pha completion zsh)\n"
           "_pha() {\n  local -a commands\n  commands=(\n");
    for (size_t i = 0; i < n_commands; i++) {
        printf("    '%s:", commands[i]->name);
        put_quoted(commands[i]->summary, "'\\''");
        printf("'\n");
    }
    printf("  )\n"
           "  if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
           "  local command=$words[2]\n"
           "  shift words; (( CURRENT-- ))\n"
           "  case $command in\n"
           "    help) _describe command commands ;;\n"
           "    completion) _values shell bash zsh fish ;;\n");
    for (size_t i = 0; i < n_commands; i++) {
        const Command *c = commands[i];
        if (!strcmp(c->name, "help") || !strcmp(c->name, "completion")) continue;
        printf("    %s)\n      _arguments -S", c->name);
        each_option(c, zsh_option);
        if (c->operand) printf(" \\\n        '*:%s:_files'", c->operand);
        printf(" ;;\n");
    }
    printf("  esac\n}\n"
           "if [ \"${funcstack[1]-}\" = _pha ]; then _pha \"$@\"; else compdef _pha pha; fi\n");
}

/* ---- fish ---- */

static void fish_option(const Command *c, const Option *o)
{
    printf("complete -c pha -n '__fish_seen_subcommand_from %s' -l %s%s", c->name, no_of(o), o->name);
    if (o->letter) printf(" -s %c", o->letter);
    if (o->kind == OPTION_ENUM) printf(" -x -a '"), put_choices(o), putchar('\'');
    else if (o->kind == OPTION_PATH || o->kind == OPTION_LIST) printf(" -r -F");
    else if (o->kind != OPTION_FLAG) printf(" -x");
    printf(" -d '");
    put_quoted(o->help, "\\'");
    printf("'\n");
}

static void fish(void)
{
    printf("# fish completion for pha; put it as pha.fish into ~/.config/fish/completions\n"
           "complete -c pha -f\n");
    for (size_t i = 0; i < n_commands; i++) {
        printf("complete -c pha -n __fish_use_subcommand -a %s -d '", commands[i]->name);
        put_quoted(commands[i]->summary, "\\'");
        printf("'\n");
    }
    printf("complete -c pha -n '__fish_seen_subcommand_from help' -a '");
    put_commands();
    printf("'\ncomplete -c pha -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n");
    for (size_t i = 0; i < n_commands; i++) {
        const Command *c = commands[i];
        if (!strcmp(c->name, "help") || !strcmp(c->name, "completion")) continue;
        if (c->operand) printf("complete -c pha -n '__fish_seen_subcommand_from %s' -F\n", c->name);
        each_option(c, fish_option);
    }
}

/* ---- which ---- */

/* Without a name: the person's own shell. */
static const char *shell_of(const Options *a)
{
    const char *own = getenv("SHELL"), *name = own ? strrchr(own, '/') : NULL;
    if (a->shells.n) return a->shells.items[0];
    return name ? name + 1 : own && *own ? own : "bash";
}

static int run(Call *call, void *options)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    const char *shell = shell_of(options);
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (!strcmp(shell, shells[i].name)) return shells[i].print(), PHA_OK;
    return usage_error(call, "no completion for %s; there are some for: bash, zsh, fish", shell);
}

static const Option table[] = {{0}};

const Command command_completion = {
    .name = "completion",
    .summary = "print a shell completion script",
    .usage = "[bash|zsh|fish]",
    .about = "Completes commands, options, the choices of options, and file names. "
             "Without a name it is for the shell that SHELL names.",
    .examples = "source <(pha completion bash)\n"
                "source <(pha completion zsh)\n"
                "pha completion fish > ~/.config/fish/completions/pha.fish",
    .options = table,
    .size = sizeof(Options),
    .operand = "SHELL",
    .operands_offset = offsetof(Options, shells),
    .operands_max = 1,
    .run = run,
};
