/* option.h -- the option table of a command, and everything that comes from it
 *
 * A command is one constant struct with one table of options. Parsing, help, "did you mean", environment variables,
 * run-file keys, --print-config, manual pages and shell completion are all read from the table. A value comes from the
 * first of: flag, environment (PHA_<NAME>), run file, default.
 */
#ifndef CLI_OPTION_H
#define CLI_OPTION_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pha.h"

typedef enum option_kind {
    OPTION_FLAG,   /* bool */
    OPTION_INT,    /* 32 or 64 bits, by the field's size */
    OPTION_REAL,   /* double */
    OPTION_STRING, /* const char * */
    OPTION_PATH,   /* const char * */
    OPTION_ENUM,   /* int: the number of the choice, from .base */
    OPTION_LIST,   /* List: one more string each time it is given */
    OPTION_INTS,   /* Ints: numbers with commas between */
    OPTION_REALS,  /* Reals: likewise */
} option_kind;

typedef struct List {
    const char **items;
    size_t n;
} List;

typedef struct Ints {
    int32_t *items;
    size_t n;
} Ints;

typedef struct Reals {
    double *items;
    size_t n;
} Reals;

typedef struct Option {
    const char *name;       /* without dashes; NULL ends the table */
    char letter;            /* 0: none */
    option_kind kind;
    size_t offset, size;    /* FIELD(struct, member) */
    const char *arg;        /* of the help: "FILE"; NULL: by kind */
    const char *fallback;   /* the default as it would be typed; NULL: the field stays zero */
    const char *shown;      /* how the help calls the default when that says more than `fallback` */
    double low, high;       /* inclusive; both 0: no range */
    bool above, below;      /* low itself is excluded; high is */
    bool zero_off;          /* 0 switches off: the library gets -1, as its own 0 means "default" */
    bool invert;            /* FLAG: the field is true when the flag is off */
    bool required;
    const char *choices;    /* ENUM: "fp32|bf16" */
    int base;               /* ENUM: value of the first choice */
    const char *env;        /* NULL: PHA_<NAME>, "": none */
    const char *also;       /* comma-separated names that people try; for "did you mean" */
    const char *help;       /* one line */
    const char *group;      /* heading in front of this option and the following ones */
} Option;

#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define ANY INFINITY

/* Options that several commands have. */
#define OPTION_JSON(type, member) \
    { .name = "json", .kind = OPTION_FLAG, FIELD(type, member), .help = "print the result as JSON" }
#define OPTION_QUIET(type, member) \
    { .name = "quiet", .letter = 'q', .kind = OPTION_FLAG, FIELD(type, member), .help = "no progress on stderr" }
#define OPTION_THREADS(type, member)                                                                        \
    { .name = "threads", .kind = OPTION_INT, FIELD(type, member), .low = 0, .high = 1024,                   \
      .also = "jobs,num-threads,cores", .shown = "all processors", .help = "number of threads" }
#define OPTION_SEED(type, member, what)                                                                     \
    { .name = "seed", .kind = OPTION_INT, FIELD(type, member), .fallback = "0", .low = 0, .high = 0x1p63,   \
      .also = "random-seed", .help = what }
#define OPTION_PRECISION(type, member)                                                                      \
    { .name = "precision", .kind = OPTION_ENUM, FIELD(type, member), .choices = "fp32|bf16", .base = PHA_FP32, \
      .fallback = "fp32", .also = "dtype,bf16,fp16", .help = "storage of weights and activations (arithmetic is fp32)" }
#define OPTION_WEIGHTS(type, member)                                                                        \
    { .name = "weights", .kind = OPTION_ENUM, FIELD(type, member),                                          \
      .choices = "stored|fp32|bf16|fp16|q8|q4", .base = PHA_WEIGHTS_DEFAULT, .fallback = "stored",          \
      .also = "quantize,quantise,bits", .help = "format of the matrices while it runs" }
#define OPTION_CACHE(type, member)                                                                          \
    { .name = "cache", .kind = OPTION_ENUM, FIELD(type, member), .choices = "fp32|bf16", .base = PHA_FP32,  \
      .fallback = "fp32", .also = "kv-cache,cache-type,kv-cache-dtype", .help = "format of keys and values" }

#define OPTION_STATE_DISK(type, folder, budget)                                                             \
    { .name = "state-disk", .kind = OPTION_PATH, FIELD(type, folder), .arg = "DIR",                         \
      .also = "cache-dir,prompt-cache-dir,slot-save-path",                                                  \
      .help = "folder for texts that were read, for later runs of this model" },                            \
    { .name = "state-disk-budget", .kind = OPTION_INT, FIELD(type, budget), .arg = "MB",                    \
      .fallback = "10000", .low = 1, .high = 1e9, .help = "what that folder may hold" }

struct Call;

typedef struct Command {
    const char *name;
    const char *summary;     /* one line, no capital, no period */
    const char *usage;       /* what follows "pha NAME", lines with \n */
    const char *about;       /* paragraphs with blank lines between */
    const char *examples;    /* lines with \n */
    const Option *options;
    size_t size;             /* of the struct that the table fills */
    const char *operand;     /* name of the positional arguments, NULL: none */
    size_t operands_offset;  /* of a `List` */
    size_t operands_min, operands_max;
    const char *meant;       /* the options that a lone argument may be meant for: "data/,config"; with /, a folder */
    bool run_file;           /* takes --run-file */
    bool ranks;              /* several processes may do it together */
    bool device;             /* takes --device, which is PHA_DEVICE */
    const char *(*own_run_file)(struct Call *call, const void *options); /* what it is by default; or NULL */
    int (*run)(struct Call *call, void *options); /* returns the exit code */
} Command;

/* One running command: its table, where each value came from, and the memory behind the values. */
typedef enum option_source { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG } option_source;

typedef struct Call {
    const Command *command;
    unsigned char *sources;  /* option_source of each option */
    char **texts;            /* each value as text, NULL: not set */
    char *line;              /* the command line, quoted for a shell */
    const char *run_file;
    bool help, print_config;
    void *pool;              /* all memory of the values */
} Call;

/* Fills `options` (command->size bytes). Returns 0, or an exit code after it has said on stderr what is wrong. */
int option_parse(Call *call, const Command *command, void *options, int argc, char **argv);
void option_free(Call *call);

/* Where the option's value came from; was it given at all (flag, environment or file)? */
option_source option_from(const Call *call, const char *name);
bool option_given(const Call *call, const char *name);

/* "pha NAME: ..." on stderr; returns the code. */
int usage_error(const Call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What the library said about a failed call, "pha NAME: message"; returns the exit code. */
int library_error(const Call *call, pha_status status);

/* option_value.c: for option.c. `where` is how the person wrote the name. Memory lives until option_free. */
int option_set(Call *call, void *options, size_t i, const char *text, option_source source, const char *where);
void option_append(Call *call, List *l, const char *text);
void *option_take(Call *call, size_t size); /* zeroed; ends the process if there is no memory */
char *option_copy(Call *call, const char *text, size_t size);

/* help.c */
void help_command(FILE *out, const Command *command);
void help_man(FILE *out, const Command *command);
int help_print_config(FILE *out, const Call *call);
/* "--lr NUMBER" of an option into text. */
void option_spelling(char *text, size_t size, const Option *option, bool roff);
const char *option_env_name(char *text, size_t size, const Option *option); /* NULL: none */
extern const Option common_options[]; /* the parser's own: --help, --print-config, --run-file, --device */
bool has_common(const Command *command, const Option *option); /* not every command has all of them */

/* nearest.c: the name that a person probably meant, NULL if none is near */
const char *nearest(const char *name, const char *const *names, size_t n);

#endif
