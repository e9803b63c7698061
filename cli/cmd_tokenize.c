/* cmd_tokenize.c -- pha tokenize: text to token ids and back */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

typedef struct Options {
    List files;
    const char *tokenizer, *text;
    bool decode, special, count, info, json;
} Options;

static int print_ids(const Options *a, const int32_t *ids, size_t n)
{
    if (a->json) {
        json_t *all = json_object(), *list = a->count ? NULL : json_array();
        for (size_t i = 0; i < n && !a->count; i++) talk_add(&list, json_integer(ids[i]));
        talk_set(&all, "n", json_integer((json_int_t)n));
        if (!a->count) talk_set(&all, "ids", list);
        return talk_json(all);
    }
    if (a->count) {
        printf("%zu\n", n);
    } else {
        for (size_t i = 0; i < n; i++) printf("%s%d", i ? " " : "", (int)ids[i]);
        putchar('\n');
    }
    return PHA_OK;
}

static int encode(Call *call, const Options *a, const pha_tokenizer *tokenizer, const char *text, size_t size)
{
    int32_t *ids = NULL;
    size_t n = 0;
    pha_status status = pha_tokenizer_encode(tokenizer, text, size, a->special, &ids, &n);
    if (status) return library_error(call, status);
    int code = print_ids(a, ids, n);
    pha_free(ids);
    return code;
}

/* Numbers with anything but letters between them: "1 2 3", "[1, 2, 3]". */
static int decode(Call *call, const Options *a, const pha_tokenizer *tokenizer, const char *text)
{
    size_t n = 0, size = 0;
    int32_t *ids = malloc((strlen(text) / 2 + 1) * sizeof *ids);
    char *bytes = NULL;
    if (!ids) return PHA_NO_MEMORY;
    for (const char *s = text; *(s += strspn(s, " ,[]\t\r\n"));) {
        char *end;
        errno = 0;
        long id = strtol(s, &end, 10);
        if (end == s || errno || id < 0 || id > INT32_MAX) {
            int code = usage_error(call, "--decode: '%.20s' is not a token id", s);
            free(ids);
            return code;
        }
        ids[n++] = (int32_t)id;
        s = end;
    }
    pha_status status = pha_tokenizer_decode(tokenizer, ids, n, &bytes, &size);
    free(ids);
    if (status) return library_error(call, status);
    int code = PHA_OK;
    if (a->json) code = talk_json(json_pack("{s:o, s:I}", "text", talk_text(bytes, size), "bytes", (json_int_t)size));
    else talk_write(stdout, bytes, size);
    pha_free(bytes);
    return code;
}

static json_t *info_json(const pha_tokenizer *tokenizer, int32_t end, const char *text, size_t size)
{
    json_t *o = json_object();
    talk_set(&o, "vocab_size", json_integer(pha_tokenizer_size(tokenizer)));
    talk_set(&o, "hash", talk_hash(pha_tokenizer_hash(tokenizer)));
    talk_set(&o, "end_id", json_integer(end));
    talk_set(&o, "end_token", talk_text(text ? text : "", size));
    talk_set(&o, "end_from", talk_string(pha_tokenizer_end_from(tokenizer)));
    return o;
}

/* What a tokenizer is, without any text. */
static int describe(Call *call, const Options *a, const pha_tokenizer *tokenizer)
{
    int32_t end = pha_tokenizer_end(tokenizer);
    char *text = NULL;
    size_t size = 0;
    pha_status status = end < 0 ? PHA_OK : pha_tokenizer_decode(tokenizer, &end, 1, &text, &size);
    if (status) return library_error(call, status);
    int code = PHA_OK;
    if (a->json) code = talk_json(info_json(tokenizer, end, text, size));
    else {
        printf("%-10s %d\n%-10s %016llx\n%-10s ", "tokens", (int)pha_tokenizer_size(tokenizer), "hash",
               (unsigned long long)pha_tokenizer_hash(tokenizer), "end");
        if (end < 0) printf("no token is known\n");
        else printf("%s (id %d, by %s)\n", text, (int)end, pha_tokenizer_end_from(tokenizer));
    }
    pha_free(text);
    return code;
}

static int run(Call *call, void *options)
{
    Options *a = options;
    pha_tokenizer *tokenizer = NULL;
    char *text = NULL;
    size_t size = a->text ? strlen(a->text) : 0;
    if (a->text && a->files.n) return usage_error(call, "--text and a file exclude each other");
    pha_status status = pha_tokenizer_open(&tokenizer, a->tokenizer);
    if (status) return library_error(call, status);
    if (a->info) {
        int code = describe(call, a, tokenizer);
        pha_tokenizer_close(tokenizer);
        return code;
    }
    int code = a->text ? PHA_OK : read_all(call, a->files.n ? a->files.items[0] : "-", &text, &size);
    const char *given = a->text ? a->text : text;
    if (!code) code = a->decode ? decode(call, a, tokenizer, given) : encode(call, a, tokenizer, given, size);
    free(text);
    pha_tokenizer_close(tokenizer);
    return code;
}

static const Option table[] = {
    {.name = "tokenizer", .kind = OPTION_PATH, FIELD(Options, tokenizer), .required = true, .also = "model",
     .help = "tokenizer.json, a folder with one or with GPT-2's files, or `bytes`"},
    {.name = "text", .kind = OPTION_STRING, FIELD(Options, text), .shown = "standard input", .help = "the text itself"},
    {.name = "decode", .letter = 'd', .kind = OPTION_FLAG, FIELD(Options, decode),
     .help = "the input is token ids, the output text"},
    {.name = "special", .kind = OPTION_FLAG, FIELD(Options, special),
     .help = "special tokens in the text become their ids"},
    {.name = "count", .kind = OPTION_FLAG, FIELD(Options, count), .help = "print only the number of tokens"},
    {.name = "info", .kind = OPTION_FLAG, FIELD(Options, info),
     .help = "print what the tokenizer is: its size, hash and the token that ends a text"},
    OPTION_JSON(Options, json),
    {0},
};

const Command command_tokenize = {
    .name = "tokenize",
    .summary = "turn text into token ids, or back",
    .usage = "--tokenizer PATH [FILE | --text TEXT] [--decode]",
    .about = "Prints the token ids of a text. Without FILE or --text it reads standard input.",
    .examples =
        "pha tokenize --tokenizer gpt2 --text 'Hello world'\necho 15496 995 | pha tokenize --tokenizer gpt2 --decode",
    .options = table,
    .size = sizeof(Options),
    .operand = "FILE",
    .operands_offset = offsetof(Options, files),
    .operands_max = 1,
    .run = run,
};
