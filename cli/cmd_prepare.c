/* cmd_prepare.c -- pha prepare: text in, token shards out */
#include <string.h>

#include "command.h"

typedef struct Options {
    pha_prepare_options o;
    List inputs, valid, test;
    bool json, quiet;
} Options;

static json_t *split_json(const pha_split *s)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "tokens", (json_int_t)s->tokens, "bytes", (json_int_t)s->bytes,
                     "words", (json_int_t)s->words, "lines", (json_int_t)s->lines, "documents",
                     (json_int_t)s->documents, "copies", (json_int_t)s->copies);
}

static int print_json(const pha_prepare_result *r, const char *out)
{
    json_t *o = json_object();
    talk_set(&o, "out", talk_string(out));
    talk_set(&o, "train", split_json(&r->train));
    talk_set(&o, "valid", split_json(&r->valid));
    talk_set(&o, "test", split_json(&r->test));
    talk_set(&o, "vocab_size", json_integer(r->vocab_size));
    talk_set(&o, "tokenizer_hash", talk_hash(r->tokenizer_hash));
    talk_set(&o, "skipped_lines", json_integer((json_int_t)r->skipped_lines));
    talk_set(&o, "replaced_characters", json_integer((json_int_t)r->replaced_characters));
    talk_set(&o, "seconds", talk_real(r->seconds));
    talk_set(&o, "end_token", talk_text(r->end_token, strlen(r->end_token)));
    talk_set(&o, "end_id", json_integer(r->end_id));
    return talk_json(o);
}

static void print_split(const char *name, const pha_split *s)
{
    char tokens[32], bytes[32], words[32], documents[32];
    if (s->tokens == 0) return;
    printf("%-8s %16s %16s %14s %12s %14.3f %12.3f\n", name, talk_count(tokens, s->tokens), talk_count(bytes, s->bytes),
           talk_count(words, s->words), talk_count(documents, s->documents),
           s->words ? (double)s->tokens / (double)s->words : 0, (double)s->bytes / (double)s->tokens);
}

static void print_text(const pha_prepare_result *r, const char *out)
{
    char text[32], rate[32];
    double bytes = (double)(r->train.bytes + r->valid.bytes + r->test.bytes);
    printf("%-8s %16s %16s %14s %12s %14s %12s\n", "split", "tokens", "bytes", "words", "documents", "tokens/word",
           "bytes/token");
    print_split("train", &r->train);
    print_split("valid", &r->valid);
    print_split("test", &r->test);
    printf("vocabulary %d, tokenizer %016llx\n", (int)r->vocab_size, (unsigned long long)r->tokenizer_hash);
    if (r->end_id >= 0) printf("end of a document: %s (id %d, by %s)\n", r->end_token, (int)r->end_id, r->end_from);
    else printf("end of a document: no token is known\n");
    if (r->skipped_lines) printf("skipped %s bad lines\n", talk_count(text, r->skipped_lines));
    if (r->replaced_characters)
        printf("%s halves of surrogate pairs are now U+FFFD\n", talk_count(text, r->replaced_characters));
    talk_note("wrote %s in %s (%s/s)", out, talk_seconds(text, r->seconds),
              talk_bytes(rate, r->seconds > 0 ? bytes / r->seconds : 0));
}

static int run(Call *call, void *options)
{
    Options *a = options;
    pha_prepare_result result = {0};
    a->o.inputs = a->inputs.items, a->o.n_inputs = a->inputs.n;
    a->o.valid = a->valid.items, a->o.n_valid = a->valid.n;
    a->o.test = a->test.items, a->o.n_test = a->test.n;
    if (a->inputs.n + a->valid.n + a->test.n == 0)
        return usage_error(call, "INPUT is missing; usage: pha prepare INPUT... --out DIR [options]");
    if (a->valid.n && option_given(call, "valid-fraction"))
        return usage_error(call, "--valid and --valid-fraction exclude each other");
    if (a->test.n && option_given(call, "test-fraction"))
        return usage_error(call, "--test and --test-fraction exclude each other");
    if (!option_given(call, "valid-fraction")) a->o.valid_fraction = 0; /* a default that gives way to the other one */
    if (!option_given(call, "test-fraction")) a->o.test_fraction = 0;
    if (a->o.tokenizer && option_given(call, "vocab-size"))
        return usage_error(call, "--vocab-size is for a tokenizer that is trained; --tokenizer names a finished one");
    a->o.progress = talk_progress_unless(a->quiet);
    signals_install(false);
    signals_outlive_output();
    pha_status status = pha_prepare(&a->o, &result);
    talk_progress_end();
    if (status) return library_error(call, status);
    if (a->json) return print_json(&result, a->o.out);
    print_text(&result, a->o.out);
    return PHA_OK;
}

static const Option table[] = {
    {.name = "out", .letter = 'o', .kind = OPTION_PATH, FIELD(Options, o.out), .arg = "DIR", .required = true,
     .also = "output,output-dir", .help = "data folder to write"},
    {.name = "tokenizer", .kind = OPTION_PATH, FIELD(Options, o.tokenizer), .shown = "train one",
     .help = "tokenizer.json, a folder with GPT-2's files, or `bytes`"},
    {.name = "end-token", .kind = OPTION_STRING, FIELD(Options, o.end_token), .shown = "the tokenizer's",
     .arg = "TOKEN",
     .also = "eos-token,eos,eot", .help = "token that ends documents, if the tokenizer doesn't say it"},
    {.name = "vocab-size", .kind = OPTION_INT, FIELD(Options, o.vocab_size), .fallback = "16384", .low = 257,
     .high = 1 << 20,
     .also = "vocab,vocabulary", .help = "vocabulary of a trained tokenizer"},
    {.name = "train-bytes", .kind = OPTION_INT, FIELD(Options, o.train_bytes), .fallback = "64000000", .low = 1,
     .high = 1e12,
     .help = "bytes of text, from all over the training split, that a tokenizer is trained on"},
    {.name = "valid", .kind = OPTION_LIST, FIELD(Options, valid), .arg = "PATH", .also = "validation,dev",
     .help = "input of the validation split (may be repeated); left out of INPUT"},
    {.name = "test", .kind = OPTION_LIST, FIELD(Options, test), .arg = "PATH",
     .help = "input of the test split (may be repeated); left out of INPUT"},
    {.name = "valid-fraction", .kind = OPTION_REAL, FIELD(Options, o.valid_fraction), .fallback = "0.005", .low = 0,
     .high = 1,
     .zero_off = true, .help = "share of the documents that become the validation split"},
    {.name = "test-fraction", .kind = OPTION_REAL, FIELD(Options, o.test_fraction), .fallback = "0.005", .low = 0,
     .high = 1,
     .zero_off = true, .help = "share of the documents that become the test split"},
    OPTION_SEED(Options, o.seed, "seed of the split"),
    {.name = "text-key", .kind = OPTION_STRING, FIELD(Options, o.text_key), .fallback = "text", .arg = "KEY",
     .also = "json-key,field", .help = "key of the text in JSON (a.b: b in the object under a), or column"},
    {.name = "skip-bad-lines", .kind = OPTION_FLAG, FIELD(Options, o.skip_bad_lines),
     .help = "JSON: count bad lines and go on instead of failing"},
    {.name = "join", .kind = OPTION_ENUM, FIELD(Options, o.join), .choices = "auto|always|never", .base = 0,
     .fallback = "auto",
     .help = "the end token between documents (auto: not for WikiText)"},
    OPTION_THREADS(Options, o.threads),
    OPTION_JSON(Options, json),
    OPTION_QUIET(Options, quiet),
    {0},
};

const Command command_prepare = {
    .name = "prepare",
    .summary = "turn text into token shards",
    .usage = "INPUT... --out DIR [options]\n[INPUT...] --test PATH --out DIR --tokenizer TOKENIZER [options]",
    .about =
        "Reads files and folders of plain text, of JSON (.jsonl, .ndjson, .json: an object per line, or an array of "
        "objects), of Arrow as the datasets library saves it, and WikiText's .tokens and .raw files, each also as .gz, "
        ".zst, .xz or .bz2, in a stream; writes memory-mapped token shards of the splits train, valid and test, and "
        "the tokenizer. `-` is standard input; it is copied beside "
        "the output first, as is a pipe, for text is read more than once.\n\n"
        "Without --tokenizer a byte-level BPE is trained on the text first. Documents go to a split by a seeded hash "
        "of "
        "their number, unless --valid or --test name the inputs of a split. Too few documents are cut: then the "
        "splits are the head and the tail of the text. No file lies in two splits, and documents whose text does are "
        "counted and told.",
    .examples = "pha prepare my-texts --out data --vocab-size 8192\n"
                "pha prepare wiki.train.tokens --valid wiki.valid.tokens --test wiki.test.tokens --tokenizer gpt2 "
                "--out wikitext\n"
                "pha prepare corpus.jsonl.zst --tokenizer gpt2 --out owt",
    .options = table,
    .size = sizeof(Options),
    .operand = "INPUT",
    .operands_offset = offsetof(Options, inputs),
    .operands_min = 0,
    .operands_max = 1 << 20,
    .run = run,
};
