/* command.h -- the list of commands and the few things that several of them share */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "option.h"
#include "read.h"
#include "talk.h"

#define COMMAND(name) extern const Command command_##name;
#include "commands.def"
#undef COMMAND

extern const Command *const commands[];
extern const size_t n_commands;
const Command *find_command(const char *name);       /* NULL: none */
int unknown_command(const char *name);               /* says so, with a suggestion; returns the exit code */
void help_all(FILE *out);                            /* `pha help` */

/* config.c: a file or folder as it is; otherwise a name without a slash is looked for as NAME.json in the folders of
 * presets (beside the program, installed). Returns 0 or an exit code; *out belongs to the call. */
int find_config(Call *call, const char *name, const char **out);
int find_experiment(Call *call, const char *name, const char **out); /* likewise in their folder repro/ */

/* ranks.c. Before a command runs: of several processes only the first talks. Returns 0 or an exit code. */
int ranks_begin(const Command *command);
/* Runs this command line again as n processes, by mpirun, and returns their exit code. */
int ranks_start(Call *call, int n);
extern struct main_arguments { /* main.c */
    char **values;
    int n;
} main_arguments;

/* signals.c: the first SIGINT, SIGTERM, SIGHUP, SIGUSR1 or SIGUSR2 asks the library to stop and says so, the second
 * one ends the process; SIGXCPU, of a limit on its time, only asks. Interactive: nothing is said, and every SIGINT only
 * asks to stop, and is counted. */
void signals_install(bool interactive);
int signals_count(void); /* of SIGINT so far */
void signals_outlive_output(void); /* a reader of stdout or stderr that goes away does not end the process */
/* First of all: standard files that are closed become /dev/null; a limit on file sizes is an error of writing; a mapped
 * file that is truncated ends the process with a message. */
void signals_at_start(void);

/* Bytes of so many megabytes; of -1, a quarter of the memory that is free. */
uint64_t room_for_texts(int64_t megabytes);

#endif
