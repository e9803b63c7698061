/* tokenizer_json.c -- reading Hugging Face's tokenizer.json
 *
 * Understood: model BPE over byte characters; normalize.c's and pipeline.c's ways to bring a text into form and to cut
 * it; added tokens. Anything else that would change the ids is an error that names it. Truncation, padding and
 * post-processing (such as a first token) are not applied, but kept for saving.
 */
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/tokenizer/members.h"
#include "io/tokenizer/tokenizer_impl.h"

static bool absent(const json_t *value) { return !value || json_is_null(value); }

static bool is_type(const json_t *object, const char *type) { return !strcmp(pha__type_of(object), type); }

/* ByteLevel itself or somewhere in a sequence. */
static bool is_byte_level(const json_t *json, const char *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(json, list), i, item) if (is_type(item, "ByteLevel")) return true;
    return is_type(json, "ByteLevel");
}

/* What would change the ids and isn't done here. */
static pha_status check_unsupported(const json_t *root, const json_t *model, const char *name)
{
    if (!json_is_object(root)) FAIL(BAD_INPUT, "%s: not a tokenizer.json (no object)", name);
    const json_t *decoder = json_object_get(root, "decoder");
    if (pha__flag(model, "byte_fallback", false) &&
        !is_byte_level(json_object_get(root, "pre_tokenizer"), "pretokenizers"))
        FAIL(BAD_INPUT, "%s: a vocabulary of SentencePiece (byte_fallback); only byte-level BPE is supported", name);
    if (!absent(decoder) && !is_byte_level(decoder, "decoders"))
        FAIL(BAD_INPUT, "%s: decoder '%.40s' isn't supported (only ByteLevel)", name, pha__type_of(decoder));
    if (!json_is_object(model)) FAIL(BAD_INPUT, "%s: 'model' is missing or no object", name);
    if (json_object_get(model, "type") && !is_type(model, "BPE"))
        FAIL(BAD_INPUT, "%s: model '%.40s' isn't supported (only BPE)", name, pha__type_of(model));
    const json_t *dropout = json_object_get(model, "dropout");
    if (!absent(dropout) && !(json_is_number(dropout) && json_number_value(dropout) == 0))
        FAIL(BAD_INPUT, "%s: model.dropout isn't supported", name);
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *affix = json_object_get(model, affixes[i]);
        if (!absent(affix) && !(json_is_string(affix) && json_string_length(affix) == 0))
            FAIL(BAD_INPUT, "%s: model.%s isn't supported", name, affixes[i]);
    }
    return PHA_OK;
}

/* Says which tokens other programs put around a text. */
static void note_template(const json_t *post, const char *name)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(post, "processors"), i, item) note_template(item, name);
    if (!is_type(post, "TemplateProcessing")) return;
    json_array_foreach(json_object_get(post, "single"), i, item)
    {
        const char *id = json_string_value(json_object_get(json_object_get(item, "SpecialToken"), "id"));
        if (id)
            pha__log(PHA__LOG_NOTE,
                     "%s: the post_processor would put %.60s around every text; here no token is put "
                     "there by itself",
                     name, id);
    }
}

static void note_post_processor(const json_t *post, const char *name)
{
    note_template(post, name);
    if (absent(post) || is_type(post, "ByteLevel") || is_type(post, "Sequence") || is_type(post, "TemplateProcessing"))
        return;
    pha__log(PHA__LOG_NOTE, "%s: post_processor '%.40s' is not applied: no tokens are put around a text", name,
             pha__type_of(post));
}

/* The definitions by id, in fresh memory; the texts stay in the JSON values. */
static pha_status read_vocab(pha__token_def *defs, int64_t n, const json_t *vocab, const char *name)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)vocab, key, value)
    {
        int64_t id = json_integer_value(value);
        if (id >= n) FAIL(FAILED, "%s: token '%.60s' is out of place", name, key);
        if (defs[id].kind)
            FAIL(BAD_INPUT, "%s: tokens '%.60s' and '%.60s' have the same id %lld", name, defs[id].text, key,
                 (long long)id);
        defs[id] = (pha__token_def){.text = key, .size = strlen(key), .kind = PHA__TOKEN_CHARS};
    }
    return PHA_OK;
}

static pha_status read_added(pha__token_def *defs, const json_t *added, const json_t *vocab, const char *name)
{
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *item = json_array_get(added, i);
        int64_t id = json_integer_value(json_object_get(item, "id"));
        const char *content = json_string_value(json_object_get(item, "content"));
        const json_t *other = json_object_get(vocab, content);
        bool special = pha__flag(item, "special", false);
        if (defs[id].kind == PHA__TOKEN_ADDED || defs[id].kind == PHA__TOKEN_SPECIAL)
            FAIL(BAD_INPUT, "%s: added token '%.60s' has the id %lld of '%.60s', or is listed twice", name, content,
                 (long long)id, defs[id].text);
        if ((other && json_integer_value(other) != id) || (!other && defs[id].kind))
            FAIL(BAD_INPUT, "%s: added token '%.60s' has id %lld, which contradicts the vocabulary", name, content,
                 (long long)id);
        defs[id] = (pha__token_def){.text = content,
                                    .size = strlen(content),
                                    .in_vocab = other != NULL,
                                    .kind = special ? PHA__TOKEN_SPECIAL : PHA__TOKEN_ADDED,
                                    .single_word = pha__flag(item, "single_word", false),
                                    .lstrip = pha__flag(item, "lstrip", false),
                                    .rstrip = pha__flag(item, "rstrip", false),
                                    .normalized = pha__flag(item, "normalized", !special)};
    }
    return PHA_OK;
}

static void most(int64_t *n, int64_t id) { *n = id >= *n ? id + 1 : *n; }

/* Checks all ids. Their number, with those that no token has. */
static pha_status count_ids(int64_t *n, const json_t *vocab, const json_t *added, const char *name)
{
    const char *key;
    json_t *value;
    size_t i;
    int64_t id, tokens = (int64_t)(json_object_size(vocab) + json_array_size(added));
    *n = 0;
    json_object_foreach((json_t *)vocab, key, value)
    {
        id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= PHA__TOKENIZER_VOCAB_LIMIT)
            FAIL(BAD_INPUT, "%s: the id of token '%.60s' isn't an integer in 0..%d", name, key,
                 PHA__TOKENIZER_VOCAB_LIMIT - 1);
        most(n, id);
    }
    json_array_foreach((json_t *)added, i, value)
    {
        TRY(pha__json_int(&id, value, "id", 0, PHA__TOKENIZER_VOCAB_LIMIT - 1, name));
        TRY(pha__json_string(&key, value, "content", name));
        most(n, id);
    }
    if (*n - tokens > PHA__TOKENIZER_GAP_LIMIT)
        FAIL(BAD_INPUT, "%s: ids up to %lld for %lld tokens; at most %d ids may be missing", name, (long long)*n - 1,
             (long long)tokens, PHA__TOKENIZER_GAP_LIMIT);
    return PHA_OK;
}

static pha_status read_tokens(pha__tokenizer **out, const json_t *root, const json_t *vocab, const char *name)
{
    const json_t *added = json_object_get(root, "added_tokens");
    pha__forms forms = {0};
    int64_t n;
    if (!json_is_object(vocab)) FAIL(BAD_INPUT, "%s: model.vocab is missing or not an object from tokens to ids", name);
    if (!absent(added) && !json_is_array(added)) FAIL(BAD_INPUT, "%s: added_tokens isn't a list", name);
    TRY(pha__forms_read(&forms, json_object_get(root, "normalizer"), name));
    TRY(count_ids(&n, vocab, absent(added) ? NULL : added, name));
    pha__token_def *defs = pha__alloc_zero((size_t)n + 1, sizeof *defs);
    if (!defs) return PHA_NO_MEMORY;
    pha_status status = read_vocab(defs, n, vocab, name);
    if (!status) status = read_added(defs, added, vocab, name);
    if (!status) status = pha__tokenizer_build(out, defs, (int32_t)n, &forms, name);
    pha__free(defs);
    return status;
}

/* A merge is "a b" or ["a", "b"]. */
static pha_status read_merges(pha__tokenizer *t, const json_t *merges, const char *name)
{
    if (!json_is_array(merges)) FAIL(BAD_INPUT, "%s: model.merges is missing or not a list", name);
    size_t n = json_array_size(merges);
    TRY(pha__tokenizer_reserve_merges(t, n, name));
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(merges, i);
        const char *a = json_string_value(item), *b = NULL, *space = a ? strchr(a, ' ') : NULL;
        size_t a_size = 0;
        if (space && !strchr(space + 1, ' ')) {
            a_size = (size_t)(space - a);
            b = space + 1;
        } else if (!a && json_array_size(item) == 2) {
            a = json_string_value(json_array_get(item, 0));
            b = json_string_value(json_array_get(item, 1));
            a_size = a ? strlen(a) : 0;
        }
        if (!a || !b) FAIL(BAD_INPUT, "%s: merge %zu (counted from 0) is neither \"a b\" nor [\"a\", \"b\"]", name, i);
        TRY(pha__tokenizer_add_merge_chars(t, a, a_size, b, strlen(b), name));
    }
    return PHA_OK;
}

/* The members of an object but some, as text with a comma behind each; they're written back when the tokenizer is
 * saved. */
static pha_status keep(char **out, const json_t *object, const char *const *without)
{
    pha__str s = {0};
    const char *key;
    json_t *value;
    pha__str_add(&s, "", 0);
    json_object_foreach((json_t *)object, key, value)
    {
        const char *const *w = without;
        while (*w && strcmp(*w, key) != 0) w++;
        if (*w) continue;
        json_t *name = pha__json_text(key);
        pha__json_print(&s, name, JSON_ENCODE_ANY);
        json_decref(name);
        pha__str_puts(&s, ": ");
        pha__json_print(&s, value, JSON_ENCODE_ANY);
        pha__str_puts(&s, ", ");
    }
    *out = s.data;
    return s.failed ? PHA_NO_MEMORY : PHA_OK;
}

static pha_status parse(pha__tokenizer **t, const json_t *root, const char *name)
{
    static const char *const others[] = {"added_tokens", "model", NULL}, *const lists[] = {"vocab", "merges", NULL};
    const json_t *model = json_object_get(root, "model");
    TRY(check_unsupported(root, model, name));
    TRY(read_tokens(t, root, json_object_get(model, "vocab"), name));
    TRY(pha__pipeline_read(&(*t)->pipeline, &(*t)->split, &(*t)->add_prefix_space,
                           json_object_get(root, "pre_tokenizer"), name));
    (*t)->ignore_merges = pha__flag(model, "ignore_merges", false);
    TRY(read_merges(*t, json_object_get(model, "merges"), name));
    TRY(keep(&(*t)->frame, root, others));
    TRY(keep(&(*t)->model_frame, model, lists));
    note_post_processor(json_object_get(root, "post_processor"), name);
    pha_status status = pha__tokenizer_complete(*t);
    return status ? pha__fail_in(status, "%s", name) : PHA_OK;
}

pha_status pha__tokenizer_parse(pha__tokenizer **out, const char *text, size_t size, const char *name)
{
    *out = NULL;
    json_t *root;
    TRY(pha__json_parse(&root, text, size, name));
    pha__tokenizer *t = NULL;
    pha_status status = parse(&t, root, name);
    json_decref(root);
    if (status) {
        pha__tokenizer_close(t);
        return status;
    }
    *out = t;
    return PHA_OK;
}
