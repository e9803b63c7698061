/* cmd_check.c -- pha check: does this machine compute a model as it should? */
#include <string.h>

#include "command.h"

typedef struct Options {
    pha_check_options o;
    List models;
    bool json;
} Options;

/* "bits", or "3.1e-07 of 2e-05". */
static const char *margin(char text[48], const pha_verdict *v)
{
    if (v->limit > 0) snprintf(text, 48, "%.1e of %.0e", v->error, v->limit);
    else snprintf(text, 48, "bits");
    return text;
}

static void print_verdict(void *user, const pha_verdict *v)
{
    char text[48], seconds[16];
    (void)user;
    snprintf(seconds, sizeof seconds, "%.1f s", v->seconds);
    talk_print(stdout, "%-6s  %-17s  %-16s  %7s  %s\n", v->passed ? "ok" : "FAILED", v->what, margin(text, v), seconds,
               v->text);
    fflush(stdout);
}

static int print_json(const Options *a, const pha_check_result *r)
{
    json_t *all = json_object(), *list = json_array();
    for (int i = 0; i < r->n; i++) {
        const pha_verdict *v = &r->verdict[i];
        json_t *one = json_object();
        talk_set(&one, "what", talk_string(v->what));
        talk_set(&one, "passed", json_boolean(v->passed));
        talk_set(&one, "error", talk_real(v->error));
        talk_set(&one, "limit", talk_real(v->limit));
        talk_set(&one, "seconds", talk_real(v->seconds));
        talk_set(&one, "text", talk_string(v->text));
        talk_add(&list, one);
    }
    talk_set(&all, "model", talk_string(a->o.model));
    talk_set(&all, "isa", talk_string(pha_isa()));
    talk_set(&all, "passed", json_boolean(r->failed == 0));
    talk_set(&all, "failed", json_integer(r->failed));
    talk_set(&all, "checks", list);
    talk_set(&all, "seconds", talk_real(r->seconds));
    return talk_json(all);
}

static int run(Call *call, void *options)
{
    Options *a = options;
    pha_check_result result;
    char seconds[32];
    int bad = find_config(call, a->models.items[0], &a->o.model);
    if (bad) return bad;
    signals_install(false);
    if (!a->json) a->o.verdict = print_verdict;
    pha_status status = pha_check(&a->o, &result);
    if (status && status != PHA_FAILED) return library_error(call, status);
    if (a->json) bad = print_json(a, &result);
    else if (status) printf("%d of %d checks failed\n", result.failed, result.n);
    else printf("all %d checks passed in %s\n", result.n, talk_seconds(seconds, result.seconds));
    return bad ? bad : (int)status;
}

static const Option table[] = {
    OPTION_THREADS(Options, o.threads),
    OPTION_JSON(Options, json),
    {0},
};

const Command command_check = {
    .name = "check",
    .summary = "prove on this machine that a model is computed as it should be",
    .usage = "MODEL|CONFIG [options]",
    .about =
        "MODEL is a model folder, or a run folder for the run's model; CONFIG a config.json or a preset's name, which "
        "gets initial values.\n\n"
        "Each line is a promise of docs/spec/numerics.md that was tried: a verdict, how far the result was off "
        "(\"bits\" where none is allowed), seconds, what was done. A text read at once, in pieces, token by "
        "token, beside others, in a copy and from a saved state has the same bits, on any number of threads; all "
        "instruction sets of this machine agree within limits. On a narrow copy of the model (the same "
        "architecture and switches, small widths, two layers) the same is tried with a longer text, gradients are "
        "compared with differences of the loss, and training is resumed and run on other threads, to the bit. The "
        "tokenizer must give bytes and text back.\n\n"
        "The exit code is 0 if all passed, 1 if one failed.",
    .examples = "pha check run/model\npha check pha-125m --json",
    .options = table,
    .size = sizeof(Options),
    .operand = "MODEL",
    .operands_offset = offsetof(Options, models),
    .operands_min = 1,
    .operands_max = 1,
    .device = true,
    .run = run,
};
