/* end_token.c -- the token that ends a document, by whatever name a tokenizer has it
 *
 * The files beside a tokenizer.json say it, in the order in which other programs believe them; else it is the added
 * token with a well-known name. A choice that names alone don't give is written into tokenizer_config.json
 * (tokenizer_save.c).
 */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "io/tokenizer/tokenizer_impl.h"

#define SIDE_FILE_LIMIT ((size_t)64 << 20)

/* Those of documents before those of turns of a conversation. */
static const char *const names[] = {"<|endoftext|>",
                                    "<|end_of_text|>",
                                    "<\xef\xbd\x9c"
                                    "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>",
                                    "</s>",
                                    "<eos>",
                                    "<|eos|>",
                                    "[EOS]",
                                    "<|end_of_document|>",
                                    "<|endofdocument|>",
                                    "<EOT>",
                                    "<EOS>",
                                    "<|eot_id|>",
                                    "<|im_end|>",
                                    "<|eot|>",
                                    "<|end|>",
                                    "<end_of_turn>"};

int32_t pha__tokenizer_added_id(const pha__tokenizer *t, const char *text)
{
    size_t size = strlen(text);
    for (int32_t i = 0; i < t->n_added; i++)
        if (t->added[i].size == size && !memcmp(t->added[i].text, text, size)) return t->added[i].id;
    return -1;
}

int32_t pha__end_by_name(const pha__tokenizer *t)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int32_t id = pha__tokenizer_added_id(t, names[i]);
        if (id >= 0) return id;
    }
    return -1;
}

static bool is_text(const unsigned char *s, size_t size)
{
    return size > 0 && pha__utf8_valid((const char *)s, size);
}

pha_status pha__tokenizer_set_end(pha__tokenizer *t, const char *text, const char *from)
{
    size_t size;
    int32_t id = pha__tokenizer_added_id(t, text);
    if (id < 0) id = pha__tokenizer_find(t, text, strlen(text));
    if (id < 0) FAIL(USAGE, "'%.100s' is no token of the tokenizer, so it can't end documents", text);
    const unsigned char *bytes = pha__tokenizer_bytes(t, id, &size);
    if (!is_text(bytes, size)) FAIL(USAGE, "an end token must be valid UTF-8");
    t->eot = id;
    t->end_from = from;
    return PHA_OK;
}

/* eos_token: a text, or an object with it */
static bool take_text(pha__tokenizer *t, const json_t *json, const char *path, const char *from)
{
    const json_t *value = json_object_get(json, "eos_token");
    const char *text = json_string_value(json_is_object(value) ? json_object_get(value, "content") : value);
    if (!text) return false;
    if (!pha__tokenizer_set_end(t, text, from)) return true;
    pha__log(PHA__LOG_WARN, "%s: its eos_token '%.100s' is no token of the tokenizer, so it's not used", path, text);
    return false;
}

/* eos_token_id: a number, or a list whose first counts */
static bool take_id(pha__tokenizer *t, const json_t *json, const char *path, const char *from)
{
    const json_t *value = json_object_get(json, "eos_token_id");
    if (json_is_array(value)) value = json_array_get(value, 0);
    double id = json_number_value(value);
    if (!json_is_number(value) || id != floor(id)) return false;
    size_t size;
    const unsigned char *text = id >= 0 && id < t->size ? pha__tokenizer_bytes(t, (int32_t)id, &size) : NULL;
    if (!text || !is_text(text, size)) {
        pha__log(PHA__LOG_WARN, "%s: its eos_token_id %.0f is no token of the tokenizer, so it's not used", path, id);
        return false;
    }
    t->eot = (int32_t)id, t->end_from = from;
    return true;
}

/* These files hold numbers that no integer of ours does ("model_max_length": 10^30), so all are read as reals. */
static pha_status load(json_t **out, const char *path)
{
    json_error_t error;
    char *text;
    size_t size;
    TRY(pha__read_file(&text, &size, path, SIDE_FILE_LIMIT));
    pha_status status = pha__json_parse_line(out, text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    pha__free(text);
    if (status == PHA_NO_MEMORY) FAIL(NO_MEMORY, "%s: no memory for its contents", path);
    if (status) FAIL(BAD_INPUT, "%s: line %d, column %d: %s", path, error.line, error.column, error.text);
    return PHA_OK;
}

typedef bool take_fn(pha__tokenizer *t, const json_t *json, const char *path, const char *from);

static pha_status look_beside(pha__tokenizer *t, const char *folder, const char *name, take_fn *take, bool *found)
{
    json_t *json;
    char *path = pha__path_join(folder, name);
    if (!path) return PHA_NO_MEMORY;
    pha_status status = PHA_OK;
    if (pha__exists(path)) {
        status = load(&json, path);
        if (!status) {
            *found = take(t, json, path, name);
            json_decref(json);
        } else if (status == PHA_BAD_INPUT) {
            pha__log(PHA__LOG_WARN, "%s; so no end token is looked for there", pha_errmsg());
            status = PHA_OK;
        }
    }
    pha__free(path);
    return status;
}

pha_status pha__end_beside(pha__tokenizer *t, const char *folder)
{
    static const struct {
        const char *name;
        take_fn *take;
    } files[] = {{PHA__TOKENIZER_CONFIG, take_text},
                 {"special_tokens_map.json", take_text},
                 {"generation_config.json", take_id},
                 {"config.json", take_id}};
    bool found = false;
    for (size_t i = 0; i < sizeof files / sizeof *files && !found; i++)
        TRY(look_beside(t, folder, files[i].name, files[i].take, &found));
    return PHA_OK;
}
