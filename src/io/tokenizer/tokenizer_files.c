/* tokenizer_files.c -- finding and reading a tokenizer's files: tokenizer.json, or a list of merges and a vocabulary
 *
 * A list of merges is GPT-2's vocab.bpe or merges.txt: a first line "#version: ...", then two tokens a line, best
 * first. A vocabulary is encoder.json or vocab.json: one object from token to id. <|endoftext|> in it is a special
 * token.
 */
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "io/tokenizer/tokenizer_impl.h"

static pha_status read_vocab(pha__tokenizer **out, const json_t *vocab, const char *name)
{
    if (!json_is_object(vocab)) FAIL(BAD_INPUT, "%s: not an object from tokens to ids", name);
    int64_t n = (int64_t)json_object_size(vocab);
    if (n > PHA__TOKENIZER_VOCAB_LIMIT) FAIL(BAD_INPUT, "%s: more than %d tokens", name, PHA__TOKENIZER_VOCAB_LIMIT);
    pha__token_def *defs = pha__alloc_zero((size_t)n + 1, sizeof *defs);
    if (!defs) return PHA_NO_MEMORY;
    pha_status status = PHA_OK;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)vocab, key, value)
    {
        int64_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= n)
            status = pha__fail(
                PHA_BAD_INPUT,
                "%s: the id of token '%.60s' isn't an integer in 0..%lld (there are %lld tokens, and ids have no gaps)",
                name, key, (long long)n - 1, (long long)n);
        else if (defs[id].kind)
            status = pha__fail(PHA_BAD_INPUT, "%s: tokens '%.60s' and '%.60s' have the same id %lld", name,
                               defs[id].text, key, (long long)id);
        if (status) break;
        pha__token_kind kind = strcmp(key, PHA__EOT_TEXT) == 0 ? PHA__TOKEN_SPECIAL : PHA__TOKEN_CHARS;
        defs[id] = (pha__token_def){.text = key, .size = strlen(key), .kind = kind, .in_vocab = true};
    }
    if (!status) status = pha__tokenizer_build(out, defs, (int32_t)n, NULL, name);
    pha__free(defs);
    return status;
}

static pha_status read_merges(pha__tokenizer *t, const char *text, size_t size, const char *name)
{
    size_t lines = 0;
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    TRY(pha__tokenizer_reserve_merges(t, lines + 1, name));
    for (size_t i = 0, line = 1; i < size; line++) {
        const char *begin = text + i, *end = memchr(begin, '\n', size - i);
        if (!end) end = text + size;
        i = (size_t)(end - text) + 1;
        if (end > begin && end[-1] == '\r') end--;
        if (end == begin || (line == 1 && end - begin >= 8 && memcmp(begin, "#version", 8) == 0)) continue;
        const char *space = memchr(begin, ' ', (size_t)(end - begin));
        if (!space || memchr(space + 1, ' ', (size_t)(end - space - 1)))
            FAIL(BAD_INPUT, "%s: line %zu isn't two tokens with a space between them", name, line);
        TRY(pha__tokenizer_add_merge_chars(t, begin, (size_t)(space - begin), space + 1, (size_t)(end - space - 1),
                                           name));
    }
    pha_status status = pha__tokenizer_complete(t);
    return status ? pha__fail_in(status, "%s", name) : PHA_OK;
}

pha_status pha__tokenizer_parse_gpt2(pha__tokenizer **out, const char *merges, size_t merges_size,
                                     const char *merges_name, const char *vocab, size_t vocab_size,
                                     const char *vocab_name)
{
    *out = NULL;
    json_t *json;
    TRY(pha__json_parse(&json, vocab, vocab_size, vocab_name));
    pha__tokenizer *t = NULL;
    pha_status status = read_vocab(&t, json, vocab_name);
    json_decref(json);
    if (!status) status = read_merges(t, merges, merges_size, merges_name);
    if (status) {
        pha__tokenizer_close(t);
        return status;
    }
    *out = t;
    return PHA_OK;
}

static pha_status open_bytes(pha__tokenizer **out)
{
    pha__token_def defs[257];
    char bytes[256];
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        defs[i] = (pha__token_def){.text = &bytes[i], .size = 1, .kind = PHA__TOKEN_BYTES};
    }
    defs[256] = (pha__token_def){
        .text = PHA__EOT_TEXT, .size = strlen(PHA__EOT_TEXT), .kind = PHA__TOKEN_SPECIAL, .in_vocab = true};
    TRY(pha__tokenizer_build(out, defs, 257, NULL, "bytes"));
    pha_status status = pha__tokenizer_complete(*out);
    if (status) {
        pha__tokenizer_close(*out);
        *out = NULL;
    }
    return status;
}

static pha_status open_json(pha__tokenizer **out, const char *path)
{
    char *text;
    size_t size;
    TRY(pha__read_file(&text, &size, path, PHA__TOKENIZER_FILE_LIMIT));
    pha_status status = pha__tokenizer_parse(out, text, size, path);
    pha__free(text);
    return status;
}

static pha_status open_pair(pha__tokenizer **out, const char *merges, const char *vocab)
{
    char *merges_text = NULL, *vocab_text = NULL;
    size_t merges_size, vocab_size;
    pha_status status = pha__read_file(&merges_text, &merges_size, merges, PHA__TOKENIZER_FILE_LIMIT);
    if (!status) status = pha__read_file(&vocab_text, &vocab_size, vocab, PHA__TOKENIZER_FILE_LIMIT);
    if (!status)
        status = pha__tokenizer_parse_gpt2(out, merges_text, merges_size, merges, vocab_text, vocab_size, vocab);
    pha__free(merges_text);
    pha__free(vocab_text);
    return status;
}

static const struct {
    const char *merges, *vocab;
} pairs[] = {{"vocab.bpe", "encoder.json"}, {"merges.txt", "vocab.json"}};

/* Sets *done if the folder holds both files of the pair. */
static pha_status try_pair(pha__tokenizer **out, const char *folder, size_t pair, bool *done)
{
    char *merges = pha__path_join(folder, pairs[pair].merges), *vocab = pha__path_join(folder, pairs[pair].vocab);
    pha_status status = merges && vocab ? PHA_OK : PHA_NO_MEMORY;
    *done = !status && pha__exists(merges) && pha__exists(vocab);
    if (*done) status = open_pair(out, merges, vocab);
    pha__free(merges);
    pha__free(vocab);
    return status;
}

static pha_status open_folder(pha__tokenizer **out, const char *path)
{
    char *json = pha__path_join(path, "tokenizer.json");
    if (!json) return PHA_NO_MEMORY;
    bool done = pha__exists(json);
    pha_status status = done ? open_json(out, json) : PHA_OK;
    pha__free(json);
    for (size_t i = 0; !done && !status && i < 2; i++) status = try_pair(out, path, i, &done);
    if (!done && !status)
        FAIL(BAD_INPUT,
             "%s: no tokenizer here; looked for tokenizer.json, vocab.bpe with encoder.json, merges.txt with "
             "vocab.json",
             path);
    return status;
}

/* One file of a folder. */
static pha_status open_file(pha__tokenizer **out, const char *path, const char *folder)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < 2; i++) {
        if (strcmp(name, pairs[i].merges) != 0 && strcmp(name, pairs[i].vocab) != 0) continue;
        bool done = false;
        TRY(try_pair(out, folder, i, &done));
        if (done) return PHA_OK;
        FAIL(BAD_INPUT, "%s: %s and %s belong together, and one of them is missing in %s", path, pairs[i].merges,
             pairs[i].vocab, folder);
    }
    return open_json(out, path);
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = pha__strdup(slash == path ? "/" : slash ? path : ".");
    if (folder && slash && slash != path) folder[slash - path] = 0;
    return folder;
}

pha_status pha__tokenizer_open(pha__tokenizer **out, const char *path)
{
    *out = NULL;
    if (strcmp(path, "bytes") == 0) return open_bytes(out);
    TRY(pha__settle(path, false));
    bool is_folder = pha__is_dir(path);
    char *folder = is_folder ? pha__strdup(path) : folder_of(path);
    if (!folder) return PHA_NO_MEMORY;
    pha_status status = is_folder ? open_folder(out, path) : open_file(out, path, folder);
    if (!status) status = pha__end_beside(*out, folder);
    pha__free(folder);
    if (status) {
        pha__tokenizer_close(*out);
        *out = NULL;
    }
    return status;
}
