/* cmd_lab.c -- pha lab */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

typedef struct Options {
    pha_lab_options o;
    List task, models, set;
    Ints lengths, pairs, widths, depths;
    Reals rates;
    int64_t show;
    bool quiet;
} Options;

/* ---- --show ---------------------------------------------------------------------------------------------- */

static void print_ids(const char *name, const int32_t *ids, int32_t T)
{
    printf("%s", name);
    for (int32_t i = 0; i < T; i++)
        if (ids[i] < 0) printf(" .");
        else printf(" %d", (int)ids[i]);
    putchar('\n');
}

static json_t *ids_json(const int32_t *ids, int32_t T)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < T; i++) talk_add(&list, json_integer(ids[i]));
    return list;
}

static int print_examples(const Options *a, const int32_t *inputs, const int32_t *targets, int32_t T, int32_t V)
{
    if (!a->o.json) printf("%s, length %d, vocabulary %d\n", a->o.task, (int)T, (int)V);
    json_t *all = json_array();
    for (int64_t i = 0; i < a->show; i++) {
        const int32_t *x = inputs + i * T, *y = targets + i * T;
        if (!a->o.json) print_ids("inputs ", x, T), print_ids("targets", y, T);
        json_t *one = json_object();
        talk_set(&one, "inputs", ids_json(x, T));
        talk_set(&one, "targets", ids_json(y, T));
        talk_add(&all, one);
    }
    if (a->o.json) return talk_json(all);
    json_decref(all);
    return PHA_OK;
}

static int show(Call *call, const Options *a)
{
    int32_t T, V;
    pha_status status = pha_lab_examples(&a->o, false, 0, 0, NULL, NULL, &T, &V);
    if (status) return library_error(call, status);
    size_t n = (size_t)a->show * (size_t)T;
    int32_t *inputs = option_take(call, n * sizeof *inputs), *targets = option_take(call, n * sizeof *targets);
    status = pha_lab_examples(&a->o, false, 0, (size_t)a->show, inputs, targets, NULL, NULL);
    return status ? library_error(call, status) : print_examples(a, inputs, targets, T, V);
}

/* ---- cells ----------------------------------------------------------------------------------------------- */

/* Names may have commas between; a file whose name has one is taken as it is. */
static int find_models(Call *call, Options *a)
{
    List found = {0};
    for (size_t i = 0; i < a->models.n; i++)
        for (const char *at = a->models.items[i]; at;) {
            size_t n = access(at, F_OK) == 0 ? strlen(at) : strcspn(at, ",");
            const char *path = option_copy(call, at, n);
            int bad = a->o.test_only ? PHA_OK : find_config(call, path, &path);
            if (bad) return bad;
            option_append(call, &found, path);
            at = at[n] ? at + n + 1 : NULL;
        }
    a->o.models = found.items, a->o.n_models = found.n;
    return PHA_OK;
}

static int check(const Call *call, const Options *a)
{
    static const char *const trained[] = {"width", "lr", "vocab", "set", "layers", "steps", "batch", "weight-decay",
                                          "examples"};
    if (!a->models.n)
        return usage_error(call, "a model is missing: --model NAME to train, --test-only --model DIR to test one, or "
                                 "--show N to see examples");
    for (size_t i = 0; a->o.test_only && i < sizeof trained / sizeof *trained; i++)
        if (option_given(call, trained[i]))
            return usage_error(call, "--%s is for models that are trained here, not for --test-only", trained[i]);
    return PHA_OK;
}

static int run(Call *call, void *options)
{
    Options *a = options;
    char *text = NULL;
    a->o.task = a->task.items[0];
    a->o.lengths = a->lengths.items, a->o.n_lengths = a->lengths.n;
    a->o.pairs = a->pairs.items, a->o.n_pairs = a->pairs.n;
    a->o.widths = a->widths.items, a->o.n_widths = a->widths.n;
    a->o.depths = a->depths.items, a->o.n_depths = a->depths.n;
    a->o.rates = a->rates.items, a->o.n_rates = a->rates.n;
    a->o.set = a->set.items, a->o.n_set = a->set.n;
    if (a->show) return show(call, a);
    int bad = check(call, a);
    if (!bad) bad = find_models(call, a);
    if (bad) return bad;
    a->o.progress = talk_progress_unless(a->quiet);
    signals_install(false);
    pha_status status = pha_lab(&a->o, &text);
    talk_progress_end();
    if (text) talk_write(stdout, text, strlen(text));
    pha_free(text);
    if (status == PHA_STOPPED && a->o.out) talk_note("pha lab: stopped; the same command goes on");
    else if (status) library_error(call, status);
    return (int)status;
}

static const Option table[] = {
    {.name = "model", .letter = 'm', .kind = OPTION_LIST, FIELD(Options, models), .arg = "NAME|FILE|DIR",
     .also = "config,models", .help = "preset or config.json, several with commas; with --test-only a model folder"},
    {.name = "test-only", .kind = OPTION_FLAG, FIELD(Options, o.test_only), .also = "eval,no-train",
     .help = "train nothing: test model folders as they are"},
    {.name = "show", .kind = OPTION_INT, FIELD(Options, show), .low = 1, .high = 1000, .also = "print,examples-only",
     .help = "print this many examples of the task, and stop"},

    {.name = "length", .letter = 'T', .kind = OPTION_INTS, FIELD(Options, lengths), .low = 1, .high = 1 << 20,
     .also = "lengths,context,seq-len", .group = "Cells: every combination of these lists", .shown = "by task",
     .help = "tokens in an example"},
    {.name = "pairs", .letter = 'n', .kind = OPTION_INTS, FIELD(Options, pairs), .low = 1, .high = 1 << 20,
     .also = "items,kv-pairs,digits,needles,variables", .shown = "by task", .help = "things to recall"},
    {.name = "width", .letter = 'D', .kind = OPTION_INTS, FIELD(Options, widths), .low = 1, .high = 65536,
     .also = "widths,d-model,dim", .shown = "the model's", .help = "d_model, and all widths with it"},
    {.name = "lr", .kind = OPTION_REALS, FIELD(Options, rates), .low = 0, .high = 10, .above = true,
     .also = "learning-rate,rate,lrs", .shown = "0.001", .help = "peak learning rate"},

    {.name = "depth", .kind = OPTION_INTS, FIELD(Options, depths), .low = 0, .high = 100, .also = "depths",
     .group = "Task", .shown = "anywhere", .help = "passkey, needle: percent; each is tested"},
    {.name = "chains", .kind = OPTION_INT, FIELD(Options, o.chains), .low = 1, .high = 1 << 20, .shown = "1",
     .help = "tracking: chains of variables"},
    {.name = "vocab", .letter = 'V', .kind = OPTION_INT, FIELD(Options, o.vocab_size), .low = 2, .high = 1 << 24,
     .also = "vocab-size,vocabulary", .shown = "by task", .help = "tokens of the vocabulary"},
    OPTION_SEED(Options, o.seed, "seed of examples and weights"),
    {.name = "tests", .kind = OPTION_INT, FIELD(Options, o.tests), .low = 1, .high = 1e15, .shown = "3000",
     .help = "examples of a test"},

    {.name = "layers", .kind = OPTION_INT, FIELD(Options, o.layers), .low = 1, .high = 256, .shown = "2",
     .also = "n-layer,depth-of-model", .group = "Training", .help = "layers of the model"},
    {.name = "set", .kind = OPTION_LIST, FIELD(Options, set), .arg = "KEY=VALUE", .also = "override",
     .help = "of config.json, after everything else; may be given again"},
    {.name = "steps", .kind = OPTION_INT, FIELD(Options, o.steps), .low = 1, .high = 1e15, .shown = "1000",
     .also = "iters,iterations", .help = "steps, a tenth of them warm-up, then a cosine to a tenth"},
    {.name = "batch", .letter = 'b', .kind = OPTION_INT, FIELD(Options, o.batch), .low = 1, .high = 1 << 20,
     .also = "batch-size", .shown = "32", .help = "examples in a step"},
    {.name = "weight-decay", .kind = OPTION_REAL, FIELD(Options, o.weight_decay), .low = 0, .high = 10,
     .zero_off = true, .also = "wd", .shown = "0.1", .help = "decoupled weight decay; 0: none"},
    {.name = "examples", .kind = OPTION_INT, FIELD(Options, o.examples), .low = 1, .high = 1e15, .shown = "100000",
     .help = "different examples of training"},

    {.name = "out", .letter = 'o', .kind = OPTION_PATH, FIELD(Options, o.out), .arg = "DIR", .also = "output",
     .group = "Results",
     .help = "folder for lab.json and lab.svg; what lab.json has is not run again"},
    OPTION_THREADS(Options, o.threads),
    OPTION_JSON(Options, o.json),
    OPTION_QUIET(Options, quiet),
    {0},
};

const Command command_lab = {
    .name = "lab",
    .summary = "see what a mixer can recall",
    .usage = "TASK --model NAME [options]\nTASK --test-only --model DIR [options]\nTASK --show N [options]",
    .about =
        "Trains models on sequences in which something is to be recalled, and tests them on others. No data is needed: "
        "sequences are made from the seed.\n\n"
        "Tasks: mqar (many keys, each with a value), induction (what followed this token), copy and selective (tokens "
        "again, after or among blanks), passkey and needle (one thing in a long text, by depth), tracking (which "
        "variables have this value). docs/lab.md defines them.\n\n"
        "A model is the named architecture with two layers, the task's vocabulary and, with --width, another width. "
        "Lists with commas make a cell of each combination. Printed are the share of targets that are the most likely "
        "token, and the share of examples that are right as a whole.",
    .examples = "pha lab mqar --show 1 --length 16 --pairs 2 --vocab 20\n"
                "pha lab mqar --model attn-125,pha-125m,gss-125 --width 64 --vocab 256 --out recall\n"
                "pha lab passkey --test-only --model run/model --length 256,512,1024 --depth 0,25,50,75,100",
    .options = table,
    .size = sizeof(Options),
    .operand = "TASK",
    .operands_offset = offsetof(Options, task),
    .operands_min = 1,
    .operands_max = 1,
    .device = true,
    .run = run,
};
