/* cmd_quantize.c -- pha quantize: a model with smaller weights, and what that costs */
#include <math.h>

#include "command.h"

typedef struct Options {
    pha_quantize_options o;
    bool report, json, quiet;
} Options;

static const char *const formats[] = {"stored", "fp32", "bf16", "fp16", "q8", "q4"};

static long long begin_of(int k) { return k ? 1LL << (k - 1) : 0; }

static json_t *positions(const pha_quantize_result *r)
{
    json_t *parts = json_array();
    for (int k = 0; k < PHA_POSITION_BUCKETS; k++) {
        if (!r->bucket_tokens[k]) continue;
        json_t *part = json_object();
        talk_set(&part, "from", json_integer(begin_of(k)));
        talk_set(&part, "tokens", json_integer((json_int_t)r->bucket_tokens[k]));
        talk_set(&part, "loss_before", talk_real(r->bucket_before[k]));
        talk_set(&part, "loss_after", talk_real(r->bucket_after[k]));
        talk_set(&part, "kl", talk_real(r->bucket_kl[k]));
        talk_add(&parts, part);
    }
    return parts;
}

static int print_json(const Options *a, const pha_quantize_result *r)
{
    json_t *all = json_object();
    talk_set(&all, "model", talk_string(a->o.model));
    talk_set(&all, "to", talk_string(formats[a->o.to]));
    talk_set(&all, "out", talk_string(a->o.out));
    talk_set(&all, "bytes_before", json_integer((json_int_t)r->bytes_before));
    talk_set(&all, "bytes_after", json_integer((json_int_t)r->bytes_after));
    if (r->tokens) {
        talk_set(&all, "tokens", json_integer((json_int_t)r->tokens));
        talk_set(&all, "windows", json_integer((json_int_t)r->windows));
        talk_set(&all, "window", json_integer(r->context));
        talk_set(&all, "ppl_before", talk_real(exp(r->loss_before)));
        talk_set(&all, "ppl_after", talk_real(exp(r->loss_after)));
        talk_set(&all, "kl", talk_real(r->kl));
        talk_set(&all, "kl_stderr", talk_real(r->kl_error));
        talk_set(&all, "same_choice", talk_real(r->same_choice));
        talk_set(&all, "kl_early", talk_real(r->kl_early));
        talk_set(&all, "kl_late", talk_real(r->kl_late));
        talk_set(&all, "grows", json_boolean(r->grows));
        talk_set(&all, "by_position", positions(r));
    }
    talk_set(&all, "seconds", talk_real(r->seconds));
    return talk_json(all);
}

static void print_positions(const pha_quantize_result *r)
{
    char n[32], text[64], kl[32], before[32], after[32];
    printf("%18s %12s %12s %12s %12s\n", "position", "tokens", "loss fp32", "loss", "KL");
    for (int k = 0; k < PHA_POSITION_BUCKETS; k++) {
        if (!r->bucket_tokens[k]) continue;
        long long last = k ? (1LL << k) - 1 : 0;
        snprintf(text, sizeof text, k < 2 ? "%lld" : "%lld..%lld", begin_of(k),
                 last < r->context ? last : r->context - 1LL);
        printf("%18s %12s %12s %12s %12s\n", text, talk_count(n, r->bucket_tokens[k]),
               talk_number(before, r->bucket_before[k], 4), talk_number(after, r->bucket_after[k], 4),
               talk_number(kl, r->bucket_kl[k], 6));
    }
}

static void print_text(const Options *a, const pha_quantize_result *r)
{
    char x[32], y[32], n[32];
    printf("%-18s %s, in fp32 %s\n", "weights in memory", talk_bytes(x, (double)r->bytes_after),
           talk_bytes(y, (double)r->bytes_before));
    if (!r->tokens) return;
    talk_print(stdout, "%-18s %s, %s\n", "measured on", a->o.data, a->o.split);
    printf("%-18s %s in %llu windows of %d tokens, each streamed\n", "tokens", talk_count(n, r->tokens),
           (unsigned long long)r->windows, (int)r->context);
    printf("%-18s %s, in fp32 %s\n", "token perplexity", talk_number(x, exp(r->loss_after), 4),
           talk_number(y, exp(r->loss_before), 4));
    printf("%-18s %s +- %s nats\n", "KL to fp32", talk_number(x, r->kl, 6), talk_number(y, r->kl_error, 6));
    printf("%-18s %s %% of tokens\n", "same likeliest", talk_number(x, 100 * r->same_choice, 2));
    print_positions(r);
    if (isfinite(r->kl_late))
        printf("%-18s %s at positions 64 to 1023, %s in the last half: %s\n", "KL by position",
               talk_number(x, r->kl_early, 6), talk_number(y, r->kl_late, 6),
               r->grows ? "it grows" : "it does not grow");
    else printf("%-18s not known: windows are shorter than 2048 tokens\n", "KL by position");
}

static int check(const Call *call, const Options *a)
{
    static const char *const measured[] = {"data", "split", "context", "max-tokens"};
    for (size_t i = 0; i < sizeof measured / sizeof measured[0] && !a->report; i++)
        if (option_given(call, measured[i])) return usage_error(call, "--%s is for --report", measured[i]);
    if (a->report && !a->o.data) return usage_error(call, "--report needs --data DIR, text to measure on");
    if (!a->report && !a->o.out) return usage_error(call, "--out DIR is missing (or --report, to measure only)");
    return PHA_OK;
}

static int run(Call *call, void *options)
{
    Options *a = options;
    pha_quantize_result result;
    int bad = check(call, a);
    if (bad) return bad;
    signals_install(false);
    a->o.progress = talk_progress_unless(a->quiet);
    pha_status status = pha_quantize(&a->o, &result);
    talk_progress_end();
    if (status && !result.grows) return library_error(call, status);
    if (a->json) print_json(a, &result);
    else print_text(a, &result);
    if (status) return library_error(call, status);
    if (a->o.out && !a->json) talk_note("wrote %s", a->o.out);
    return PHA_OK;
}

static const Option table[] = {
    {.name = "model", .letter = 'm', .kind = OPTION_PATH, FIELD(Options, o.model), .arg = "DIR", .required = true,
     .help = "model folder"},
    {.name = "to", .kind = OPTION_ENUM, FIELD(Options, o.to), .choices = "fp32|bf16|fp16|q8|q4",
     .base = PHA_WEIGHTS_FP32, .fallback = "q8", .also = "type,bits,format,weights",
     .help = "format of the matrices; q8, q4: blocks of 32 numbers with a scale"},
    {.name = "out", .letter = 'o', .kind = OPTION_PATH, FIELD(Options, o.out), .arg = "DIR",
     .help = "folder to write"},
    {.group = "What it costs", .name = "report", .kind = OPTION_FLAG, FIELD(Options, report),
     .help = "measure beside fp32; nothing is written if the error grows along a text"},
    {.name = "data", .letter = 'd', .kind = OPTION_PATH, FIELD(Options, o.data), .arg = "DIR",
     .help = "data folder that `pha prepare` wrote with the model's tokenizer"},
    {.name = "split", .kind = OPTION_STRING, FIELD(Options, o.split), .fallback = "valid", .arg = "train|valid|test",
     .help = "what to measure on"},
    {.name = "context", .letter = 'T', .kind = OPTION_INT, FIELD(Options, o.context), .shown = "16384", .low = 1,
     .high = 1 << 20, .also = "window,seq-len", .help = "tokens in a window"},
    {.name = "max-tokens", .kind = OPTION_INT, FIELD(Options, o.max_tokens), .fallback = "65536", .low = 1,
     .high = 1e15, .help = "measure on the first tokens of the split only"},
    OPTION_THREADS(Options, o.threads),
    OPTION_JSON(Options, json),
    OPTION_QUIET(Options, quiet),
    {0},
};

const Command command_quantize = {
    .name = "quantize",
    .summary = "write a model with smaller weights",
    .usage = "--model DIR --to q8 --out DIR [--report --data DIR] [options]\n--model DIR --to q4 --report --data DIR",
    .meant = "model/",
    .about = "Stores the matrices of a model in fewer bits; gains, biases, rates, mixing and scales stay fp32, and so "
             "do all sums. q4 keeps the embedding and the head in q8. Every command reads the folder.\n\n"
             "With --report both models read the same text: perplexities, the KL divergence, and how it changes with "
             "the position in a window, since errors in a recurrence can add up. A folder is then written only if it "
             "does not grow.",
    .examples = "pha quantize --model run/model --to q8 --out run/model-q8\n"
                "pha quantize -m run/model --to q4 --report --data wikitext --out run/model-q4",
    .options = table,
    .size = sizeof(Options),
    .run = run,
};
