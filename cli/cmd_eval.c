/* cmd_eval.c -- pha eval: the four numbers with their protocol, a task, losses by position, logits of given tokens */
#include <math.h>
#include <string.h>

#include "eval.h"

static const char *const modes[] = {"windows", "sliding", "carried"};

enum { PROTOCOL_WINDOW = 1024 }; /* of published perplexities */

/* Was all of the split scored? Then its words and bytes are known. */
static bool whole(const pha_eval_result *r) { return r->bytes > 0; }

/* Is there one full window? */
static bool long_enough(const pha_eval_result *r) { return r->tokens >= (uint64_t)r->context; }

/* WikiText whose lines were brought into files otherwise: other words and tokens than those of published numbers. */
static bool otherwise(const pha_eval_result *r)
{
    return r->published_words && (r->words != r->published_words || r->end_tokens > 0);
}

static bool comparable(const EvalOptions *a, const pha_eval_result *r)
{
    return a->o.mode == PHA_EVAL_WINDOWS && r->context == PROTOCOL_WINDOW && whole(r) && long_enough(r) &&
           !otherwise(r) && a->o.rope_theta == 0;
}

static size_t add_wikitext(char *text, size_t size, const pha_eval_result *r)
{
    char words[32], published[32], ends[32];
    return (size_t)snprintf(text, size,
                            "; WikiText with %s words and %s end tokens between its lines, where published numbers "
                            "have %s words and none: NOT COMPARABLE with these",
                            talk_count(words, r->words), talk_count(ends, r->end_tokens),
                            talk_count(published, r->published_words));
}

/* How the numbers came about, in a sentence. */
static void protocol(char *text, size_t size, const EvalOptions *a, const pha_eval_result *r)
{
    int T = (int)r->context;
    if (a->o.mode == PHA_EVAL_SLIDING)
        snprintf(text, size, "overlapping windows of %d tokens, stride %d, state zero in each", T, (int)r->stride);
    else if (a->o.mode == PHA_EVAL_CARRIED)
        snprintf(text, size, "windows of %d tokens, state carried from window to window", T);
    else
        snprintf(text, size, "windows of %d tokens without overlap (stride %d), state zero in each", T, T);
    size_t n = strlen(text);
    if (a->o.rope_theta != 0)
        n += (size_t)snprintf(text + n, size - n, ", rotary base %g in place of the model's", a->o.rope_theta);
    unsigned long long scored = r->tokens;
    if (whole(r))
        n += (size_t)snprintf(text + n, size - n, ", every target scored once");
    else
        n += (size_t)snprintf(text + n, size - n, ", only the first %llu targets scored", scored);
    if (whole(r) && otherwise(r)) n += add_wikitext(text + n, size - n, r);
    if (whole(r) && !long_enough(r))
        snprintf(text + n, size - n, "; the text is shorter than one window: NOT COMPARABLE with the protocol");
    else if (a->o.mode == PHA_EVAL_WINDOWS && whole(r) && r->context != PROTOCOL_WINDOW)
        snprintf(text + n, size - n, "; comparable with windows of %d only, the protocol has %d", T, PROTOCOL_WINDOW);
    else if (a->o.mode != PHA_EVAL_WINDOWS || !whole(r))
        snprintf(text + n, size - n, "; NOT COMPARABLE with the protocol");
}

static int print_json(const EvalOptions *a, const pha_eval_result *r)
{
    char text[512];
    protocol(text, sizeof text, a, r);
    json_t *loss = json_array(), *n = json_array(), *all = json_object();
    for (int i = 0; i < PHA_EVAL_BUCKETS; i++) {
        talk_add(&loss, r->bucket_tokens[i] ? talk_real(r->bucket_loss[i]) : json_null());
        talk_add(&n, json_integer((json_int_t)r->bucket_tokens[i]));
    }
    talk_set(&all, "model", talk_string(a->o.model));
    talk_set(&all, "data", talk_string(a->o.data));
    talk_set(&all, "split", talk_string(a->o.split));
    talk_set(&all, "protocol", talk_string(text));
    talk_set(&all, "comparable", json_boolean(comparable(a, r)));
    talk_set(&all, "mode", talk_string(modes[a->o.mode]));
    talk_set(&all, "window", json_integer(r->context));
    talk_set(&all, "stride", json_integer(r->stride));
    talk_set(&all, "tokenizer_hash", talk_hash(r->tokenizer_hash));
    talk_set(&all, "tokens", json_integer((json_int_t)r->tokens));
    talk_set(&all, "words", r->words ? json_integer((json_int_t)r->words) : json_null());
    talk_set(&all, "bytes", r->bytes ? json_integer((json_int_t)r->bytes) : json_null());
    talk_set(&all, "scored_words", r->words ? json_integer((json_int_t)r->scored_words) : json_null());
    talk_set(&all, "scored_bytes", r->bytes ? json_integer((json_int_t)r->scored_bytes) : json_null());
    talk_set(&all, "published_words", r->published_words ? json_integer((json_int_t)r->published_words) : json_null());
    talk_set(&all, "end_tokens", json_integer((json_int_t)r->end_tokens));
    talk_set(&all, "nll", talk_real(r->nll));
    talk_set(&all, "text_nll", talk_real(r->text_nll));
    talk_set(&all, "token_ppl", talk_real(r->token_ppl));
    talk_set(&all, "word_ppl", talk_real(r->word_ppl));
    talk_set(&all, "bits_per_byte", talk_real(r->bits_per_byte));
    talk_set(&all, "accuracy", talk_real(r->accuracy));
    talk_set(&all, "loss_by_position", loss);
    talk_set(&all, "tokens_by_position", n);
    talk_set(&all, "seconds", talk_real(r->seconds));
    talk_set(&all, "peak_bytes", json_integer((json_int_t)r->peak_bytes));
    return talk_json(all);
}

void eval_print_real(const char *name, double value, int decimals, const char *unit)
{
    char text[32];
    if (isnan(value)) printf("%-18s - (a part of the text, or too little of it, was scored)\n", name);
    else printf("%-18s %s%s\n", name, isinf(value) ? "above 1e308" : talk_number(text, value, decimals), unit);
}

/* "words  217,646 (217,645 scored)" */
static void print_parts(const char *name, uint64_t all, uint64_t scored)
{
    char n[32], of[32];
    if (all) printf("%-18s %s (%s scored)\n", name, talk_count(n, all), talk_count(of, scored));
}

static void print_positions(const pha_eval_result *r)
{
    double highest = 0;
    for (int i = 0; i < PHA_EVAL_BUCKETS; i++)
        if (r->bucket_tokens[i] && r->bucket_loss[i] > highest) highest = r->bucket_loss[i];
    printf("loss by position in the window\n");
    for (int i = 0; i < PHA_EVAL_BUCKETS; i++) {
        if (!r->bucket_tokens[i]) continue;
        long low = (long)r->context * i / PHA_EVAL_BUCKETS, high = (long)r->context * (i + 1) / PHA_EVAL_BUCKETS - 1;
        printf("  %6ld..%-6ld %8.4f  ", low, high, r->bucket_loss[i]);
        for (int k = 0; highest > 0 && k < (int)(40 * r->bucket_loss[i] / highest + 0.5); k++) putchar('#');
        putchar('\n');
    }
}

static void print_text(const EvalOptions *a, const pha_eval_result *r)
{
    char text[512], n[32];
    protocol(text, sizeof text, a, r);
    talk_print(stdout, "%-18s %s\n%-18s %s, %s\n", "protocol", text, "split", a->o.data, a->o.split);
    printf("%-18s %016llx\n", "tokenizer", (unsigned long long)r->tokenizer_hash);
    printf("%-18s %s\n", "tokens scored", talk_count(n, r->tokens));
    if (r->end_tokens) printf("%-18s %s\n", "end tokens", talk_count(n, r->end_tokens));
    print_parts("words", r->words, r->scored_words);
    print_parts("bytes", r->bytes, r->scored_bytes);
    eval_print_real("token perplexity", r->token_ppl, 4, "");
    eval_print_real("word perplexity", r->word_ppl, 4, "");
    eval_print_real("bits per byte", r->bits_per_byte, 5, "");
    eval_print_real("accuracy", 100 * r->accuracy, 3, " %");
    print_positions(r);
    talk_note("%s tokens in %s, peak memory %s", talk_count(n, r->tokens), talk_seconds(text, r->seconds),
              talk_bytes(text + 64, (double)r->peak_bytes));
}

/* Logits are those of the given tokens, at once and in fp32. */
static int check_logits(const Call *call)
{
    static const char *const others[] = {"split", "context", "mode", "stride", "batch", "max-tokens",
                                        "rope-theta"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (option_given(call, others[i])) return usage_error(call, "--%s does not apply to --logits", others[i]);
    return PHA_OK;
}

static int write_logits(Call *call, const EvalOptions *a)
{
    pha_status status = pha_eval_logits(a->o.model, a->tokens, a->logits, a->o.threads);
    if (status) return library_error(call, status);
    if (!a->json) return PHA_OK;
    return talk_json(json_pack("{s:o, s:o, s:o}", "model", talk_string(a->o.model), "tokens", talk_string(a->tokens),
                               "logits", talk_string(a->logits)));
}

static int print_branches(Call *call, const EvalOptions *a)
{
    pha_eval_options o = a->o;
    char *text;
    o.progress = talk_progress_unless(a->quiet);
    pha_status status = pha_eval_branches(&o, a->json, &text);
    talk_progress_end();
    if (status) return library_error(call, status);
    talk_write(stdout, text, strlen(text));
    pha_free(text);
    return PHA_OK;
}

static int check(const Call *call, const EvalOptions *a)
{
    if (a->scores || a->max_items) return usage_error(call, "--%s is for --task", a->scores ? "scores" : "max-items");
    if (a->svg && !a->by_position) return usage_error(call, "--svg is for --by-position");
    if (a->branches && (a->by_position || a->tokens || a->logits))
        return usage_error(call, "--branches scores a split; it does not go with --%s",
                           a->by_position ? "by-position" : a->tokens ? "tokens" : "logits");
    if (a->by_position) return PHA_OK; /* it checks the rest */
    if (!a->tokens != !a->logits) return usage_error(call, "--tokens and --logits belong together");
    if (a->tokens && a->o.precision == PHA_BF16)
        return usage_error(call, "--logits are always fp32; --precision bf16 is for scoring with --data");
    if (a->tokens && option_given(call, "weights"))
        return usage_error(call, "--logits are those of the weights as they are stored; --weights is for scoring");
    if (a->tokens && a->o.data) return usage_error(call, "--tokens and --data exclude each other");
    if (a->tokens) return check_logits(call);
    if (!a->o.data)
        return usage_error(call, "--data DIR is missing: data folder that `pha prepare` wrote (or --task FILE)");
    if (a->o.mode == PHA_EVAL_SLIDING && a->o.stride == 0)
        return usage_error(call, "--mode sliding needs --stride N, less than --context");
    if (a->o.mode != PHA_EVAL_SLIDING && a->o.stride) return usage_error(call, "--stride is for --mode sliding");
    if (a->o.stride > a->o.context)
        return usage_error(call, "--stride %d is above --context %d", (int)a->o.stride, (int)a->o.context);
    return PHA_OK;
}

static int run(Call *call, void *options)
{
    EvalOptions *a = options;
    pha_eval_result result = {0};
    int bad = a->task ? 0 : check(call, a);
    if (bad) return bad;
    if (pha_ranks() > 1 && (a->task || a->by_position || a->tokens || a->branches))
        return usage_error(call, "several processes share the scoring of a split alone; start this without them");
    signals_install(false);
    if (a->task) return eval_task(call, a);
    if (a->by_position) return eval_positions(call, a);
    if (a->tokens) return write_logits(call, a);
    if (a->branches) return print_branches(call, a);
    a->o.progress = talk_progress_unless(a->quiet);
    pha_status status = pha_eval(&a->o, &result);
    talk_progress_end();
    if (status) return library_error(call, status);
    if (a->json) return print_json(a, &result);
    print_text(a, &result);
    return PHA_OK;
}

static const Option table[] = {
    {.name = "model", .letter = 'm', .kind = OPTION_PATH, FIELD(EvalOptions, o.model), .arg = "DIR", .required = true,
     .help = "model folder"},
    {.name = "data", .letter = 'd', .kind = OPTION_PATH, FIELD(EvalOptions, o.data), .arg = "DIR",
     .help = "data folder that `pha prepare` wrote with the model's tokenizer"},
    {.name = "split", .kind = OPTION_STRING, FIELD(EvalOptions, o.split), .fallback = "valid",
     .arg = "train|valid|test", .help = "what to score"},
    {.name = "context", .letter = 'T', .kind = OPTION_INT, FIELD(EvalOptions, o.context), .fallback = "1024", .low = 1,
     .high = 1 << 20,
     .also = "window,seq-len,block-size", .help = "tokens in a window"},
    {.name = "mode", .kind = OPTION_ENUM, FIELD(EvalOptions, o.mode), .choices = "windows|sliding|carried",
     .base = PHA_EVAL_WINDOWS,
     .fallback = "windows", .help = "sliding and carried are not comparable with the protocol"},
    {.name = "stride", .kind = OPTION_INT, FIELD(EvalOptions, o.stride), .low = 1, .high = 1 << 20,
     .help = "of --mode sliding"},
    {.name = "batch", .letter = 'b', .kind = OPTION_INT, FIELD(EvalOptions, o.batch), .fallback = "1", .low = 1,
     .high = 65536,
     .also = "batch-size", .help = "windows that run at once"},
    {.name = "max-tokens", .kind = OPTION_INT, FIELD(EvalOptions, o.max_tokens), .low = 1, .high = 1e15, .shown = "all",
     .help = "score only the first tokens of the split"},
    {.name = "rope-theta", .kind = OPTION_REAL, FIELD(EvalOptions, o.rope_theta), .low = 1.5, .high = 1e12,
     .shown = "the model's", .also = "rope-base,rope-freq-base",
     .help = "base of rotary positions in place of the model's"},
    {.name = "by-position", .kind = OPTION_FLAG, FIELD(EvalOptions, by_position), .also = "positions",
     .help = "losses by the number of tokens in front"},
    {.name = "svg", .kind = OPTION_PATH, FIELD(EvalOptions, svg), .arg = "FILE",
     .help = "of --by-position: also draw it"},
    {.name = "branches", .kind = OPTION_FLAG, FIELD(EvalOptions, branches), .also = "ablate,mixing",
     .help = "what each branch of each layer is worth: scores the split without it"},
    OPTION_PRECISION(EvalOptions, o.precision),
    OPTION_WEIGHTS(EvalOptions, o.weights),
    {.name = "tokens", .kind = OPTION_PATH, FIELD(EvalOptions, tokens), .arg = "FILE.npy",
     .help = "token ids (B, T), integers"},
    {.name = "logits", .kind = OPTION_PATH, FIELD(EvalOptions, logits), .arg = "FILE.npy",
     .help = "write the logits of --tokens here (B, T, V), fp32"},
    {.name = "task", .kind = OPTION_PATH, FIELD(EvalOptions, task), .arg = "FILE.jsonl", .also = "tasks",
     .help = "accuracy on a downstream task instead"},
    {.name = "max-items", .kind = OPTION_INT, FIELD(EvalOptions, max_items), .low = 1, .high = 1e15, .shown = "all",
     .also = "limit", .help = "only the first items of the task"},
    {.name = "scores", .kind = OPTION_PATH, FIELD(EvalOptions, scores), .arg = "FILE.jsonl", .also = "log-samples",
     .help = "write the likelihoods of each item here"},
    OPTION_THREADS(EvalOptions, o.threads),
    OPTION_JSON(EvalOptions, json),
    OPTION_QUIET(EvalOptions, quiet),
    {0},
};

const Command command_eval = {
    .name = "eval",
    .ranks = true,
    .summary = "measure a model's perplexity, or its accuracy on a task",
    .usage = "--model DIR --data DIR [--split valid] [options]\n"
             "--model DIR --data DIR --by-position [--context 65536] [options]\n"
             "--model DIR --data DIR --branches [--max-tokens N] [options]\n"
             "--model DIR --task FILE.jsonl [options]\n"
             "--model DIR --tokens FILE.npy --logits FILE.npy",
    .meant = "model/,data",
    .about =
        "Prints token perplexity, tokens scored, word perplexity and bits per byte with the protocol behind them, the "
        "share of targets that equal the most likely token, and the loss by position in the window.\n\n"
        "The protocol: the split is one stream, cut into windows of 1024 tokens without overlap; every target except "
        "the stream's first token is scored once; losses are summed in double. With another window, mode or only a "
        "part of the split the output says that the numbers are not those of the protocol.\n\n"
        "Numbers per word and per byte are losses over the words and bytes that they are of: neither the first token, "
        "which is never a target, nor the end tokens between documents, which stand for no text, are in them. A "
        "line's end counts as a word.\n\n"
        "Under mpirun or srun the ranks share the windows; the numbers are the same to the bit.\n\n"
        "With --by-position the windows are as long as --context [65536, or the positions of the model], each is "
        "streamed with a carried state, and losses are printed for position 0, 1, 2 to 3, 4 to 7 and so on: what "
        "a model makes of a longer context. Memory grows with the window only if the state does, by attention "
        "without a window.\n\n"
        "With --branches (of models that mix, as pha does): for each branch of each layer its mixing weight, that "
        "times the rms of its gain, its share in the norm of what the layer adds on the first window, and the token "
        "perplexity of the split when it is switched off, alone and in all layers.\n\n"
        "With --task it scores continuations of contexts by their likelihood, as the Language Model Evaluation "
        "Harness does without examples. The file has an object on each line: {\"text\"}, whose last word is asked "
        "(LAMBADA); {\"context\", \"target\"}; or a \"context\", \"query\", \"ctx\" or \"goal\" with \"choices\", "
        "\"endings\" or \"sol1\" and \"sol2\", and a \"label\", \"gold\" or \"answer\" that says which is right, "
        "from 0. The files of PIQA (labels in X-labels.lst beside X.jsonl) and HellaSwag are known as they are "
        "published. acc is the accuracy by likelihood, acc_norm by likelihood per character, acc_bytes per byte. "
        "Longer contexts than --context [the positions of the model, or 2048] lose their beginning.\n\n"
        "With --tokens and --logits it writes logits, to compare with another implementation.",
    .examples = "pha eval --model run/model --data data --split test --json\n"
                "pha eval --model run/model --task lambada_test.jsonl\n"
                "pha eval --model run/model --tokens in.npy --logits out.npy",
    .options = table,
    .size = sizeof(EvalOptions),
    .device = true,
    .run = run,
};
