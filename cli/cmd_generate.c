/* cmd_generate.c -- pha generate: text from a model, streamed; or a conversation line by line */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

typedef struct Options {
    const char *model, *prompt, *prompt_file;
    List stop;
    pha_session_options session;
    const char *state_disk;
    int64_t state_disk_budget;
    pha_generate_options o;
    bool interactive, echo, json, quiet;
} Options;

static const char *const ends[] = {"max-tokens", "end of text", "stop string", "caller", "context full", "stopped"};

/* Receives the text: printed at once, or kept for JSON. */
typedef struct Output {
    bool keep, failed;
    char *text;
    size_t size;
    json_t *tokens; /* for JSON: text may hold bytes that are no UTF-8 */
} Output;

static void on_token(void *user, int32_t id)
{
    Output *out = user;
    talk_add(&out->tokens, json_integer(id));
}

static bool on_text(void *user, const char *text, size_t size)
{
    Output *out = user;
    if (!out->keep) return talk_write(stdout, text, size) && fflush(stdout) == 0;
    char *more = realloc(out->text, out->size + size + 1);
    if (!more) {
        out->failed = true;
        return false;
    }
    memcpy(more + out->size, text, size);
    out->text = more;
    out->size += size;
    return true;
}

static double rate(int64_t n, double seconds)
{
    return seconds > 0 ? (double)n / seconds : 0;
}

static void say_speed(const pha_generate_result *r)
{
    int end = r->end >= 0 && r->end < 6 ? r->end : 0;
    char known[64] = "";
    if (r->reuse.tokens) snprintf(known, sizeof known, ", %lld of them known", (long long)r->reuse.tokens);
    talk_note("[prompt %lld tokens%s, %.0f tokens/s; new %lld tokens, %.1f tokens/s; %s]", (long long)r->prompt_tokens,
              known, rate(r->prompt_tokens, r->prompt_seconds), (long long)r->new_tokens,
              rate(r->new_tokens, r->new_seconds), ends[end]);
}

/* Also when quiet: a text that was cut looks like one that ended. */
static void say_if_full(const pha_generate_result *r, const char *then)
{
    if (r->end == 4) talk_note("the context is full, so the text was cut here; %s", then);
}

static int print_json(const Options *a, const Output *out, const char *prompt, size_t size,
                      const pha_generate_result *r)
{
    json_t *o = json_object();
    talk_set(&o, "model", talk_string(a->model));
    talk_set(&o, "prompt", talk_text(prompt, size));
    talk_set(&o, "text", talk_text(out->text ? out->text : "", out->size));
    talk_set(&o, "tokens", json_incref(out->tokens));
    talk_set(&o, "prompt_tokens", json_integer(r->prompt_tokens));
    talk_set(&o, "new_tokens", json_integer(r->new_tokens));
    if (a->state_disk) {
        talk_set(&o, "reused", json_integer(r->reuse.tokens));
        talk_set(&o, "miss", talk_string(pha_miss_text(r->reuse.miss)));
    }
    talk_set(&o, "prompt_seconds", talk_real(r->prompt_seconds));
    talk_set(&o, "new_seconds", talk_real(r->new_seconds));
    talk_set(&o, "end", talk_string(ends[r->end >= 0 && r->end < 6 ? r->end : 0]));
    return talk_json(o);
}

static int generate_once(Call *call, Options *a, pha_session *session)
{
    Output out = {.keep = a->json};
    pha_generate_result result = {0};
    char *text = NULL;
    size_t size = a->prompt ? strlen(a->prompt) : 0;
    int code = a->prompt ? PHA_OK : read_all(call, a->prompt_file ? a->prompt_file : "-", &text, &size);
    if (code) return code;
    const char *prompt = a->prompt ? a->prompt : text;
    if (a->echo && !a->json) talk_write(stdout, prompt, size), fflush(stdout);
    a->o.text = on_text, a->o.user = &out;
    if (a->json) a->o.token = on_token, out.tokens = json_array();
    pha_status status = pha_generate(session, prompt, size, &a->o, &result);
    if (!a->json) putchar('\n'), fflush(stdout);
    code = out.failed ? PHA_NO_MEMORY : status;
    if (a->json && !out.failed && (status == PHA_OK || status == PHA_STOPPED)) {
        int printed = print_json(a, &out, prompt, size, &result);
        code = code ? code : printed;
    }
    if (status && status != PHA_STOPPED) library_error(call, status);
    else if (!a->quiet && !a->json) say_speed(&result);
    if (!status && !a->json) say_if_full(&result, "--max-context sets how many tokens it holds");
    json_decref(out.tokens);
    free(out.text);
    free(text);
    return code ? code : result.end == 5 ? PHA_STOPPED : PHA_OK;
}

/* One line of *size bytes from the person; false at the end of the input. ctrl-C empties the line. */
static bool read_line(char **line, size_t *capacity, size_t *size)
{
    for (;;) {
        if (isatty(STDIN_FILENO)) fprintf(stderr, "%s> %s", talk_bold(stderr), talk_plain(stderr)), fflush(stderr);
        int before = signals_count();
        errno = 0;
        ssize_t n = getline(line, capacity, stdin);
        pha_clear_stop();
        if (n >= 0) {
            if (n && (*line)[n - 1] == '\n') (*line)[--n] = 0;
            *size = (size_t)n;
            return true;
        }
        if (errno != EINTR || signals_count() == before) return false;
        clearerr(stdin);
        fputc('\n', stderr);
        talk_note("(/quit or ctrl-D to leave, /reset to forget the text so far)");
    }
}

static int converse(Call *call, Options *a, pha_session *session)
{
    Output out = {0};
    char *line = NULL;
    size_t capacity = 0, size;
    int code = PHA_OK; /* of the last line that failed */
    a->o.text = on_text, a->o.user = &out;
    if (isatty(STDIN_FILENO))
        talk_note("A line is read and continued; ctrl-C stops the text. /reset forgets, /quit leaves.");
    for (bool first = true; (code == PHA_OK || code == PHA_USAGE) && read_line(&line, &capacity, &size);) {
        if (strcmp(line, "/quit") == 0) break;
        if (strcmp(line, "/reset") == 0) {
            pha_session_reset(session);
            first = true;
            continue;
        }
        if (first && !size) continue; /* nothing to go on from yet */
        pha_generate_result result = {0};
        pha_status status = pha_generate(session, line, size, &a->o, &result);
        pha_clear_stop();
        if (status && status != PHA_STOPPED) { /* after USAGE, a line too long perhaps, the session is as it was */
            code = library_error(call, status);
            continue;
        }
        putchar('\n'), fflush(stdout);
        if (!a->quiet) say_speed(&result);
        if (!status) say_if_full(&result, "/reset forgets the text so far");
        first = false;
        a->o.sample.seed++; /* the same line again gets another answer */
    }
    free(line);
    return code;
}

/* Text that is not typed: it may say <|endoftext|> without meaning it. */
static bool is_from_elsewhere(const Options *a)
{
    return !a->prompt && !(a->interactive && isatty(STDIN_FILENO));
}

/* A session that knows what lies in a folder of texts, and leaves there what it has read. */
static pha_status open_with_texts(const Options *a, const pha_model *model, pha_session **session)
{
    pha_engine *engine;
    pha_engine_options o = {.max_context = a->session.max_context, .chunk = a->session.chunk, .batch = 1,
                            .threads = a->session.threads, .weights = a->session.weights, .cache = a->session.cache,
                            .state_ram = room_for_texts(-1), .state_disk = a->state_disk,
                            .state_disk_bytes = (uint64_t)a->state_disk_budget * 1000000};
    pha_status status = pha_engine_open(&engine, model, &o);
    if (status) return status;
    status = pha_engine_session(engine, session);
    pha_engine_close(engine); /* the session keeps it */
    return status;
}

static int run(Call *call, void *options)
{
    Options *a = options;
    pha_model *model = NULL;
    pha_session *session = NULL;
    if (a->prompt && a->prompt_file) return usage_error(call, "--prompt and --prompt-file exclude each other");
    if (a->interactive && (a->prompt || a->prompt_file || a->json))
        return usage_error(call, "--interactive reads lines from stdin: no --prompt, --prompt-file or --json with it");
    a->o.stop = a->stop.items, a->o.n_stop = a->stop.n;
    if (!option_given(call, "special")) a->o.plain_prompt = is_from_elsewhere(a);
    signals_install(a->interactive);
    pha_status status = pha_model_open(&model, a->model);
    if (!status)
        status = a->state_disk ? open_with_texts(a, model, &session) : pha_session_open(&session, model, &a->session);
    int code = status           ? library_error(call, status)
               : a->interactive ? converse(call, a, session)
                                : generate_once(call, a, session);
    pha_session_close(session);
    pha_model_close(model);
    return code;
}

static const Option table[] = {
    {.name = "model", .letter = 'm', .kind = OPTION_PATH, FIELD(Options, model), .arg = "DIR", .required = true,
     .help = "model folder"},
    {.name = "prompt", .letter = 'p', .kind = OPTION_STRING, FIELD(Options, prompt), .also = "text,input",
     .shown = "standard input", .help = "text to go on from"},
    {.name = "prompt-file", .letter = 'f', .kind = OPTION_PATH, FIELD(Options, prompt_file), .arg = "FILE",
     .also = "file",
     .help = "file with the text to go on from; - is standard input"},
    {.name = "interactive", .letter = 'i', .kind = OPTION_FLAG, FIELD(Options, interactive), .also = "chat",
     .help = "read lines and go on from each; /reset, /quit, ctrl-C stops a text"},
    {.name = "special", .kind = OPTION_FLAG, FIELD(Options, o.plain_prompt), .invert = true, .also = "parse-special",
     .help = "special tokens in the prompt become their ids, not plain text; unless given: on for what is typed, off "
             "for a file and standard input"},
    {.name = "echo", .kind = OPTION_FLAG, FIELD(Options, echo), .help = "print the prompt too"},

    {.group = "Choice of the next token", .name = "temperature", .letter = 't', .kind = OPTION_REAL,
     FIELD(Options, o.sample.temperature), .fallback = "0.8", .low = 0, .high = 100,
     .help = "0 takes the most likely token"},
    {.name = "top-k", .kind = OPTION_INT, FIELD(Options, o.sample.top_k), .fallback = "0", .low = 0, .high = 1 << 24,
     .help = "among the k most likely; 0: off"},
    {.name = "top-p", .kind = OPTION_REAL, FIELD(Options, o.sample.top_p), .fallback = "0", .low = 0, .high = 1,
     .also = "nucleus", .help = "among the most likely that hold this probability; 0: off"},
    {.name = "min-p", .kind = OPTION_REAL, FIELD(Options, o.sample.min_p), .fallback = "0", .low = 0, .high = 1,
     .help = "at least this share of the highest probability; 0: off"},
    {.name = "repetition-penalty", .kind = OPTION_REAL, FIELD(Options, o.sample.repetition_penalty), .fallback = "1",
     .low = 0,
     .high = 100, .above = true, .also = "repeat-penalty", .help = "divides positive logits of recent tokens; 1: off"},
    {.name = "repetition-window", .kind = OPTION_INT, FIELD(Options, o.sample.repetition_window), .fallback = "256",
     .low = 1,
     .high = 1 << 24, .help = "recent tokens"},
    OPTION_SEED(Options, o.sample.seed, "the same seed and prompt give the same text"),

    {.group = "Length", .name = "max-tokens", .letter = 'n', .kind = OPTION_INT, FIELD(Options, o.max_tokens),
     .fallback = "256",
     .low = 1, .high = 1e12, .also = "max-new-tokens,length,tokens", .help = "new tokens at most"},
    {.name = "stop", .kind = OPTION_LIST, FIELD(Options, stop), .help = "text that ends the output (may be repeated)"},
    {.name = "ignore-end", .kind = OPTION_FLAG, FIELD(Options, o.ignore_end),
     .help = "go on after the end of the text"},
    {.name = "max-context", .kind = OPTION_INT, FIELD(Options, session.max_context), .fallback = "4096", .low = 1,
     .high = 1 << 28,
     .also = "context", .help = "tokens that the caches hold"},
    {.name = "chunk", .kind = OPTION_INT, FIELD(Options, session.chunk), .fallback = "256", .low = 1, .high = 65536,
     .help = "tokens per run while the prompt is read"},
    OPTION_STATE_DISK(Options, state_disk, state_disk_budget),
    OPTION_WEIGHTS(Options, session.weights),
    OPTION_CACHE(Options, session.cache),
    OPTION_THREADS(Options, session.threads),
    OPTION_JSON(Options, json),
    OPTION_QUIET(Options, quiet),
    {0},
};

const Command command_generate = {
    .name = "generate",
    .summary = "continue a text",
    .usage = "--model DIR [--prompt TEXT | --prompt-file FILE] [options]\n--model DIR --interactive [options]",
    .meant = "model/,prompt",
    .about = "Reads the prompt in chunks and prints the continuation as it comes, in whole UTF-8 characters. Without a "
             "prompt "
             "it reads standard input.\n\n"
             "With --interactive the session stays: each line is added to the text so far and continued.",
    .examples = "pha generate --model run/model --prompt 'The history of' --max-tokens 100\n"
                "pha generate -m run/model -f prompt.txt --temperature 0 --json",
    .options = table,
    .size = sizeof(Options),
    .device = true,
    .run = run,
};
