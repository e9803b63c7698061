/* cmd_bench.c -- pha bench */
#include <string.h>

#include "command.h"

typedef struct Options {
    pha_bench_options o;
    Ints contexts;
    bool quiet;
} Options;

static int run(Call *call, void *options)
{
    Options *a = options;
    char *text = NULL;
    int bad = a->o.model ? find_config(call, a->o.model, &a->o.model) : PHA_OK;
    if (bad) return bad;
    if (!a->o.model && a->o.what && strcmp(a->o.what, "ops"))
        return usage_error(call, "--what %s needs --model", a->o.what);
    a->o.contexts = a->contexts.items, a->o.n_contexts = a->contexts.n;
    a->o.progress = talk_progress_unless(a->quiet);
    signals_install(false);
    pha_status status = pha_bench(&a->o, &text);
    talk_progress_end();
    if (status) return library_error(call, status);
    talk_write(stdout, text, strlen(text));
    if (!*text || text[strlen(text) - 1] != '\n') putchar('\n');
    pha_free(text);
    return PHA_OK;
}

static const Option table[] = {
    {.name = "model", .letter = 'm', .kind = OPTION_PATH, FIELD(Options, o.model), .arg = "DIR|NAME|FILE",
     .also = "config",
     .shown = "the ops only", .help = "model folder, config.json or preset"},
    {.name = "what", .kind = OPTION_STRING, FIELD(Options, o.what), .arg = "LIST", .shown = "train,prefill,decode",
     .help = "of ops, train, prefill, decode, with commas between"},
    {.name = "context", .letter = 'T', .kind = OPTION_INTS, FIELD(Options, contexts), .low = 1, .high = 1 << 20,
     .shown = "1024,2048,4096,8192,16384", .also = "contexts", .help = "lengths, with commas between"},
    {.name = "batch", .letter = 'b', .kind = OPTION_INT, FIELD(Options, o.batch), .fallback = "1", .low = 1,
     .high = 65536,
     .help = "sequences"},
    {.name = "repeats", .letter = 'r', .kind = OPTION_INT, FIELD(Options, o.repeats), .fallback = "5", .low = 1,
     .high = 10000,
     .also = "repeat,runs", .help = "timed runs; the median is printed"},
    OPTION_PRECISION(Options, o.precision),
    OPTION_WEIGHTS(Options, o.weights),
    OPTION_CACHE(Options, o.cache),
    OPTION_THREADS(Options, o.threads),
    OPTION_JSON(Options, o.json),
    OPTION_QUIET(Options, quiet),
    {0},
};

const Command command_bench = {
    .name = "bench",
    .summary = "time ops and whole models",
    .usage = "[--model DIR|NAME] [--context 1024,2048] [options]",
    .meant = "model",
    .about = "Times a training step, reading of a prompt and decoding for several context lengths: tokens/s, GFLOP/s, "
             "share of the "
             "machine's measured peak, and peak memory by kind. Without a model it times the ops.",
    .examples = "pha bench --model pha-125m --context 1024,4096\npha bench --json > ops.json",
    .options = table,
    .size = sizeof(Options),
    .device = true,
    .run = run,
};
