/* cmd_report.c -- pha report: report.html of a run folder, with samples from its model */
#include <stdlib.h>
#include <string.h>

#include "command.h"

typedef struct Options {
    List runs, prompts;
    pha_generate_options o;
    int threads;
    bool json, quiet;
} Options;

typedef struct Text {
    char *data;
    size_t size;
    bool failed;
} Text;

static bool on_text(void *user, const char *data, size_t size)
{
    Text *t = user;
    char *more = realloc(t->data, t->size + size + 1);
    if (!more) return t->failed = true, false;
    memcpy(more + t->size, data, size);
    t->data = more;
    t->size += size;
    t->data[t->size] = 0;
    return true;
}

/* One sample, the prompt in front of it, into *sample (malloc). */
static pha_status sample(const Options *a, pha_session *session, const char *prompt, char **out)
{
    Text text = {0};
    pha_generate_options o = a->o;
    o.text = on_text, o.user = &text;
    on_text(&text, prompt, strlen(prompt));
    pha_session_reset(session);
    pha_status status = text.failed ? PHA_NO_MEMORY : pha_generate(session, prompt, strlen(prompt), &o, NULL);
    *out = text.data;
    return text.failed ? PHA_NO_MEMORY : status;
}

static pha_status make_samples(const Options *a, char **samples)
{
    char folder[4096];
    pha_model *model = NULL;
    pha_session *session = NULL;
    pha_session_options options = {.threads = a->threads};
    snprintf(folder, sizeof folder, "%s/model", a->runs.items[0]);
    pha_status status = pha_model_open(&model, folder);
    if (!status) status = pha_session_open(&session, model, &options);
    for (size_t i = 0; !status && i < a->prompts.n; i++) {
        if (!a->quiet) talk_note("sample %zu of %zu", i + 1, a->prompts.n);
        status = sample(a, session, a->prompts.items[i], &samples[i]);
    }
    pha_session_close(session);
    pha_model_close(model);
    return status;
}

static int print_json(const Options *a, char *const *samples)
{
    char path[4096];
    json_t *list = json_array();
    snprintf(path, sizeof path, "%s/report.html", a->runs.items[0]);
    for (size_t i = 0; i < a->prompts.n; i++) talk_add(&list, talk_string(samples[i]));
    return talk_json(json_pack("{s:o, s:o}", "report", talk_string(path), "samples", list));
}

static int run(Call *call, void *options)
{
    Options *a = options;
    char **samples = calloc(a->prompts.n + 1, sizeof *samples);
    if (!samples) return PHA_NO_MEMORY;
    signals_install(false);
    pha_status status = a->prompts.n ? make_samples(a, samples) : PHA_OK;
    if (!status) status = pha_report(a->runs.items[0], (const char *const *)samples, a->prompts.n);
    int code = status;
    if (status) library_error(call, status);
    else if (a->json) code = print_json(a, samples);
    else talk_print(stdout, "%s/report.html\n", a->runs.items[0]);
    for (size_t i = 0; i < a->prompts.n; i++) free(samples[i]);
    free(samples);
    return code;
}

static const Option table[] = {
    {.name = "prompt", .letter = 'p', .kind = OPTION_LIST, FIELD(Options, prompts), .arg = "TEXT",
     .help = "add a sample that goes on from this (may be repeated)"},
    {.name = "max-tokens", .letter = 'n', .kind = OPTION_INT, FIELD(Options, o.max_tokens), .fallback = "200",
     .low = 1, .high = 1e6,
     .help = "new tokens of a sample"},
    {.name = "temperature", .letter = 't', .kind = OPTION_REAL, FIELD(Options, o.sample.temperature),
     .fallback = "0.8", .low = 0,
     .high = 100, .help = "of the samples; 0 takes the most likely token"},
    {.name = "top-p", .kind = OPTION_REAL, FIELD(Options, o.sample.top_p), .fallback = "0.95", .low = 0, .high = 1,
     .help = "of the samples"},
    OPTION_SEED(Options, o.sample.seed, "of the samples"),
    OPTION_THREADS(Options, threads),
    OPTION_JSON(Options, json),
    OPTION_QUIET(Options, quiet),
    {0},
};

const Command command_report = {
    .name = "report",
    .summary = "write a run's report.html",
    .usage = "RUN [--prompt TEXT]...",
    .about = "Writes report.html into a run folder: one file without outside resources, with the configuration, loss "
             "curves, "
             "mixing weights by layer, horizons and samples. Can be called while a run goes on.",
    .examples = "pha report run --prompt 'The history of' --prompt 'In 1998'",
    .options = table,
    .size = sizeof(Options),
    .operand = "RUN",
    .operands_offset = offsetof(Options, runs),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
