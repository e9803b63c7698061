/* cmd_repro.c -- pha repro */
#include <string.h>

#include "command.h"

typedef struct Options {
    pha_repro_options o;
    List experiment, only;
    int32_t ranks;
    bool quiet;
} Options;

/* Names may have commas between. */
static void split_names(Call *call, Options *a)
{
    List names = {0};
    for (size_t i = 0; i < a->only.n; i++)
        for (const char *at = a->only.items[i]; at;) {
            size_t n = strcspn(at, ",");
            if (n) option_append(call, &names, option_copy(call, at, n));
            at = at[n] ? at + n + 1 : NULL;
        }
    a->o.only = names.items, a->o.n_only = names.n;
}

/* FILE.json has its results in FILE. */
static const char *folder_of(Call *call, const char *file)
{
    const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
    size_t n = strlen(name);
    if (n <= 5 || strcmp(name + n - 5, ".json")) return "repro";
    n -= 5;
    return option_copy(call, name, n);
}

static int run(Call *call, void *options)
{
    Options *a = options;
    char *text = NULL;
    int bad = find_experiment(call, a->experiment.items[0], &a->o.experiment);
    if (bad) return bad;
    if (a->o.dry_run && a->o.pages_only) return usage_error(call, "--dry-run and --pages-only: one of the two");
    if (!a->o.out) a->o.out = folder_of(call, a->o.experiment);
    if (a->ranks > 1 && pha_ranks() == 1) return ranks_start(call, a->ranks);
    split_names(call, a);
    a->o.progress = talk_progress_unless(a->quiet);
    signals_install(false);
    pha_status status = pha_repro(&a->o, &text, NULL);
    talk_progress_end();
    if (text) talk_write(stdout, text, strlen(text));
    pha_free(text);
    if (status) library_error(call, status);
    if (status == PHA_STOPPED) talk_note("pha repro: the same command goes on");
    return (int)status;
}

static const Option table[] = {
    {.name = "out", .letter = 'o', .kind = OPTION_PATH, FIELD(Options, o.out), .arg = "DIR", .also = "output,work",
     .shown = "its name", .help = "folder for data, runs, results.json and the pages"},
    {.name = "texts", .kind = OPTION_PATH, FIELD(Options, o.texts), .arg = "DIR", .also = "text-dir,data-dir",
     .shown = "that of FILE", .help = "folder of the text files that the experiment names"},
    {.name = "only", .kind = OPTION_LIST, FIELD(Options, only), .arg = "NAME", .also = "model,models",
     .help = "these models of the experiment, with commas or given again"},
    {.name = "minutes", .kind = OPTION_REAL, FIELD(Options, o.minutes), .low = 0, .high = 1e9, .above = true,
     .also = "time-limit", .shown = "no limit", .help = "start no run after so many; the same command goes on"},
    {.name = "dry-run", .letter = 'n', .kind = OPTION_FLAG, FIELD(Options, o.dry_run), .also = "plan",
     .help = "show budgets, memory, FLOPs and time, and write nothing"},
    {.name = "pages-only", .kind = OPTION_FLAG, FIELD(Options, o.pages_only), .also = "table,no-run",
     .help = "write the pages anew from the results that are there"},
    {.name = "ranks", .kind = OPTION_INT, FIELD(Options, ranks), .low = 1, .high = 1024, .fallback = "1",
     .also = "jobs,processes,nproc,np",
     .help = "processes on this machine that make runs side by side, a power of two (by mpirun)"},
    OPTION_THREADS(Options, o.threads),
    OPTION_QUIET(Options, quiet),
    {0},
};

const Command command_repro = {
    .name = "repro",
    .summary = "run a whole experiment: many models, rates and seeds",
    .usage = "NAME|FILE [options]",
    .about =
        "Makes all runs of an experiment: a JSON file, or the name of one that comes with pha, which says texts, "
        "models, rates, budgets of tokens and seeds (docs/repro.md). Models must have the same number of parameters "
        "within what the file allows. For each model the rate is chosen on the validation text, then the runs of every "
        "stage are made and scored. What has a result is not run again and what was broken off is resumed, so the "
        "command can be stopped at any time. Under mpirun or srun, or with --ranks, each process trains whole runs; "
        "they share the folder.\n\n"
        "The table is printed and written with everything else into the folder: results.json, table.md, table.csv, "
        "curves.svg, index.html, the data and each run.",
    .examples = "pha repro systems-10m --texts wikitext-2 --dry-run\n"
                "pha repro systems-10m --texts wikitext-2 --minutes 120\n"
                "pha repro systems-10m --only pha,attn --pages-only",
    .options = table,
    .size = sizeof(Options),
    .ranks = true,
    .operand = "NAME|FILE",
    .operands_offset = offsetof(Options, experiment),
    .operands_min = 1,
    .operands_max = 1,
    .device = true,
    .run = run,
};
