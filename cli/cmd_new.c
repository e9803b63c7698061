/* cmd_new.c -- pha new: a model of one's own text by one command */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "command.h"

typedef struct Options {
    pha_new_options o;
    List inputs;
    bool dry_run, json, quiet;
} Options;

/* ---- the plan -------------------------------------------------------------------------------------------- */

static json_t *plan_json(const pha_plan *p)
{
    json_t *o = json_object(), *losses = json_array();
    for (int i = 0; i < 3; i++) talk_add(&losses, talk_real(p->order_loss[i]));
    talk_set(&o, "text_bytes", json_integer((json_int_t)p->text_bytes));
    talk_set(&o, "train_tokens", json_integer((json_int_t)p->train_tokens));
    talk_set(&o, "held_tokens", json_integer((json_int_t)p->held_tokens));
    talk_set(&o, "scored_tokens", json_integer((json_int_t)p->scored_tokens));
    talk_set(&o, "vocab_size", json_integer(p->vocab_size));
    talk_set(&o, "bytes_per_token", talk_real(p->bytes_per_token));
    talk_set(&o, "order_loss", losses);
    talk_set(&o, "d_model", json_integer(p->d_model));
    talk_set(&o, "n_layer", json_integer(p->n_layer));
    talk_set(&o, "parameters", json_integer((json_int_t)p->parameters));
    talk_set(&o, "context", json_integer(p->context));
    talk_set(&o, "batch", json_integer(p->batch));
    talk_set(&o, "steps", json_integer(p->steps));
    talk_set(&o, "warmup", json_integer(p->warmup));
    talk_set(&o, "lr", talk_real(p->lr));
    talk_set(&o, "dropout", talk_real(p->dropout));
    talk_set(&o, "passes", talk_real(p->passes));
    talk_set(&o, "tokens_per_second", talk_real(p->tokens_per_second));
    talk_set(&o, "memory_bytes", json_integer((json_int_t)p->memory_bytes));
    talk_set(&o, "disk_bytes", json_integer((json_int_t)p->disk_bytes));
    talk_set(&o, "prepare_seconds", talk_real(p->prepare_seconds));
    talk_set(&o, "train_seconds", talk_real(p->train_seconds));
    talk_set(&o, "seconds", talk_real(p->seconds));
    talk_set(&o, "loss", talk_real(p->loss));
    talk_set(&o, "loss_error", talk_real(p->loss_error));
    talk_set(&o, "token_ppl", talk_real(p->token_ppl));
    talk_set(&o, "bits_per_byte", talk_real(p->bits_per_byte));
    talk_set(&o, "bound", talk_string(p->bound));
    return o;
}

static void print_text(const pha_plan *p)
{
    char bytes[32], tokens[32], held[32], vocabulary[32], parameters[32];
    printf("%-10s %s in files, %s tokens of a vocabulary of %s; %s more are held out\n", "text",
           talk_bytes(bytes, (double)p->text_bytes), talk_count(tokens, p->train_tokens),
           talk_count(vocabulary, (uint64_t)p->vocab_size), talk_count(held, p->held_tokens));
    printf("%-10s pha, %d wide, %d layers: %s parameters\n", "model", (int)p->d_model, (int)p->n_layer,
           talk_count(parameters, p->parameters));
}

static void print_training(const pha_plan *p)
{
    char steps[32], rate[32], memory[32], disk[32];
    printf("%-10s %s steps of %d x %d tokens, %.2g passes; rate %.2g", "training",
           talk_count(steps, (uint64_t)p->steps), (int)p->batch, (int)p->context, p->passes, p->lr);
    if (p->dropout > 0) printf(", dropout %.2g", p->dropout);
    printf("\n%-10s %s tokens/s; %s of memory, at most %s of disk\n", "machine",
           talk_count(rate, (uint64_t)p->tokens_per_second), talk_bytes(memory, (double)p->memory_bytes),
           talk_bytes(disk, (double)p->disk_bytes));
}

static void print_expected(const pha_plan *p)
{
    char all[32], training[32], spent[32];
    double off = p->loss * p->loss_error;
    printf("%-10s %s: %s so far, %s of training%s\n", "time", talk_seconds(all, p->seconds),
           talk_seconds(spent, p->prepare_seconds), talk_seconds(training, p->train_seconds),
           !strcmp(p->bound, "text") ? "; the text has no more to give, more of it would use the time" : "");
    printf("%-10s token perplexity %.3g (most likely %.3g to %.3g), %.3g bits per byte\n", "expected", p->token_ppl,
           exp(p->loss - off), exp(p->loss + off), p->bits_per_byte);
}

static void print_plan(const pha_plan *p)
{
    print_text(p);
    print_training(p);
    print_expected(p);
    fflush(stdout);
}

static void planned(void *user, const pha_plan *plan, bool again)
{
    const Options *a = user;
    talk_progress_end();
    if (a->json) return;
    if (again) talk_note("%s: goes on by the plan that is there", a->o.out);
    print_plan(plan);
}

/* ---- the result ------------------------------------------------------------------------------------------ */

static int print_json(const pha_new_result *r, const char *out)
{
    json_t *o = json_object();
    talk_set(&o, "out", talk_string(out));
    talk_set(&o, "plan", plan_json(&r->plan));
    talk_set(&o, "loss", talk_real(r->loss));
    talk_set(&o, "token_ppl", talk_real(r->token_ppl));
    talk_set(&o, "bits_per_byte", talk_real(r->bits_per_byte));
    talk_set(&o, "accuracy", talk_real(r->accuracy));
    talk_set(&o, "seconds", talk_real(r->seconds));
    talk_set(&o, "resumed", json_boolean(r->resumed));
    talk_set(&o, "complete_before", json_boolean(r->complete_before));
    return talk_json(o);
}

static void print_result(const pha_new_result *r, const char *out)
{
    char seconds[32], planned_seconds[32], ppl[32];
    printf("%-10s token perplexity %s, %.4g bits per byte, accuracy %.1f %%; in %s, planned %s\n", "result",
           talk_number(ppl, r->token_ppl, 2), r->bits_per_byte, 100 * r->accuracy, talk_seconds(seconds, r->seconds),
           talk_seconds(planned_seconds, r->plan.seconds));
    talk_print(stdout, "%-10s %s/model; open %s/report.html\n\n", "model", out, out);
    talk_print(stdout,
               "Go on:\n"
               "  pha generate --model %s/model --prompt \"It was\"\n"
               "  pha serve --model %s/model\n"
               "  pha export --model %s/model --out hub\n",
               out, out, out);
    talk_print(stdout, "  pha new ... --minutes N --out DIR      # longer: a larger model, trained anew\n");
}

/* ---- the command ----------------------------------------------------------------------------------------- */

/* runs/NAME, after the first text without what follows the first dot. */
static int default_out(Call *call, Options *a)
{
    const char *text = a->inputs.items[0];
    size_t end = strlen(text);
    while (end > 1 && text[end - 1] == '/') end--;
    size_t begin = end;
    while (begin > 0 && text[begin - 1] != '/') begin--;
    const char *dot = end - begin > 1 ? memchr(text + begin + 1, '.', end - begin - 1) : NULL;
    size_t size = dot ? (size_t)(dot - text) - begin : end - begin;
    if (size == 0 || text[begin] == '.' || text[begin] == '/')
        return usage_error(call, "'%s' gives no name to the folder: --out DIR does", text);
    char *out = option_take(call, size + 6);
    sprintf(out, "runs/%.*s", (int)size, text + begin);
    a->o.out = out;
    return PHA_OK;
}

static int plan_only(Call *call, Options *a)
{
    pha_plan plan;
    pha_status status = pha_new_plan(&a->o, &plan);
    talk_progress_end();
    if (status) return library_error(call, status);
    if (a->json) return talk_json(plan_json(&plan));
    print_plan(&plan);
    return PHA_OK;
}

static int run(Call *call, void *options)
{
    Options *a = options;
    pha_new_result result;
    a->o.inputs = a->inputs.items, a->o.n_inputs = a->inputs.n;
    if (!a->o.out) {
        int bad = default_out(call, a);
        if (bad) return bad;
    }
    a->o.command = call->line;
    a->o.progress = talk_progress_unless(a->quiet);
    a->o.planned = planned, a->o.user = a;
    signals_install(false);
    signals_outlive_output();
    if (a->dry_run) return plan_only(call, a);
    pha_status status = pha_new(&a->o, &result);
    talk_progress_end();
    if (status == PHA_STOPPED) talk_note("pha new: stopped; the same command goes on");
    if (status) return status == PHA_STOPPED ? (int)status : library_error(call, status);
    if (a->json) return print_json(&result, a->o.out);
    if (result.complete_before) {
        talk_note("%s: is complete; nothing was done", a->o.out);
        print_plan(&result.plan);
    }
    print_result(&result, a->o.out);
    return PHA_OK;
}

static const Option table[] = {
    {.name = "minutes", .letter = 'm', .kind = OPTION_REAL, FIELD(Options, o.minutes), .fallback = "10", .low = 0.05,
     .high = 1e5, .also = "time,budget,hours,duration", .help = "time for everything, from reading to the report"},
    {.name = "out", .letter = 'o', .kind = OPTION_PATH, FIELD(Options, o.out), .arg = "DIR",
     .shown = "runs/NAME of the text", .also = "output,output-dir,run", .help = "folder for data, model and report"},
    {.name = "dry-run", .letter = 'n', .kind = OPTION_FLAG, FIELD(Options, dry_run), .also = "plan,plan-only",
     .help = "print the plan only"},
    {.name = "steps", .kind = OPTION_INT, FIELD(Options, o.most_steps), .low = 1, .high = 1e15,
     .shown = "as the time allows", .also = "max-steps,iters", .help = "no more steps of training than this"},
    OPTION_SEED(Options, o.seed, "seed of the split, the weights and the order of the data"),
    OPTION_THREADS(Options, o.threads),
    OPTION_JSON(Options, json),
    OPTION_QUIET(Options, quiet),
    {0},
};

const Command command_new = {
    .name = "new",
    .summary = "make a model of your own text, by one command",
    .usage = "TEXT... [--minutes N] [--out DIR] [options]",
    .about =
        "Looks at the text (files and folders as for `pha prepare`), measures the processor and the memory, and "
        "chooses vocabulary, model, context, batch, rate and steps for the minutes given. It prints the plan with "
        "what is expected of it, then prepares the data, trains, scores held-out text, and writes model and report "
        "into one "
        "folder, which is a run folder with the data in it.\n\n"
        "It may be stopped at any time, by ctrl-C or otherwise; the same command goes on with the same plan, to the "
        "same bits. The number of steps is the plan's, so the result does not depend on how fast the machine is "
        "later on. What is planned of another text, time or seed is refused.\n\n"
        "How well the plan foretells time and loss: docs/new.md.",
    .examples = "pha new ~/books\n"
                "pha new ~/books --minutes 60 --dry-run\n"
                "pha new notes.txt mail.jsonl.gz --minutes 2 --out runs/notes",
    .options = table,
    .size = sizeof(Options),
    .operand = "TEXT",
    .operands_offset = offsetof(Options, inputs),
    .operands_min = 1,
    .operands_max = 100000,
    .device = true,
    .run = run,
};
