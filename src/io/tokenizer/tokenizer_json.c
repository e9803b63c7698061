/* tokenizer_json.c -- reading Hugging Face's tokenizer.json
 *
 * Understood: model BPE without normaliser; pre-tokenizer ByteLevel, or Split by a known pattern followed by ByteLevel;
 * added tokens that are found as they are. Anything else that would change the ids is an error that names it.
 * Truncation, padding and post-processing (such as a first token) are not applied.
 */
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/tokenizer/tokenizer_impl.h"

static bool absent(const json_t *value) { return !value || json_is_null(value); }

static bool is_type(const json_t *object, const char *type)
{
    const char *s = json_string_value(json_object_get(object, "type"));
    return s && strcmp(s, type) == 0;
}

static const char *type_of(const json_t *object)
{
    const char *s = json_string_value(json_object_get(object, "type"));
    return s ? s : "of no type";
}

/* A boolean member that may be missing. */
static bool flag(const json_t *object, const char *key, bool missing)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : missing;
}

static pha_status read_split(pha__split *out, const json_t *split, const char *name)
{
    static const struct {
        const char *text;
        pha__split split;
    } known[] = {{pha__split_gpt2, PHA__SPLIT_GPT2},
                 {pha__split_llama3, PHA__SPLIT_LLAMA3},
                 {pha__split_cl100k, PHA__SPLIT_LLAMA3},
                 {pha__split_qwen2, PHA__SPLIT_QWEN2}};
    const char *pattern = json_string_value(json_object_get(json_object_get(split, "pattern"), "Regex"));
    const char *behavior = json_string_value(json_object_get(split, "behavior"));
    if (!pattern) FAIL(BAD_INPUT, "%s: pre-tokenizer Split without a pattern {\"Regex\": ...}", name);
    if (!behavior || strcmp(behavior, "Isolated") != 0 || flag(split, "invert", false))
        FAIL(BAD_INPUT, "%s: pre-tokenizer Split with behavior '%.40s'%s isn't supported (only Isolated, not inverted)",
             name, behavior ? behavior : "", flag(split, "invert", false) ? ", inverted," : "");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(pattern, known[i].text) == 0) return *out = known[i].split, PHA_OK;
    }
    FAIL(BAD_INPUT,
         "%s: pre-tokenizer Split with an unknown pattern, '%.200s'; known are those of GPT-2, cl100k, Llama 3 and "
         "Qwen 2",
         name, pattern);
}

static pha_status read_pre_tokenizer(pha__tokenizer *t, const json_t *json, const char *name)
{
    if (absent(json)) FAIL(BAD_INPUT, "%s: no pre_tokenizer; only byte-level BPE is supported", name);
    if (is_type(json, "Sequence")) {
        const json_t *list = json_object_get(json, "pretokenizers");
        const json_t *split = json_array_get(list, 0), *bytes = json_array_get(list, 1);
        if (json_array_size(list) == 1 && is_type(split, "ByteLevel")) return read_pre_tokenizer(t, split, name);
        if (json_array_size(list) != 2 || !is_type(split, "Split") || !is_type(bytes, "ByteLevel"))
            FAIL(BAD_INPUT, "%s: a pre_tokenizer Sequence other than Split, ByteLevel isn't supported", name);
        TRY(read_split(&t->split, split, name));
        if (flag(bytes, "use_regex", true) || flag(bytes, "add_prefix_space", true))
            FAIL(BAD_INPUT, "%s: pre_tokenizer ByteLevel behind Split must have use_regex and add_prefix_space false",
                 name);
        return PHA_OK;
    }
    if (!is_type(json, "ByteLevel"))
        FAIL(BAD_INPUT, "%s: pre_tokenizer '%.40s' isn't supported (only ByteLevel, and Split with ByteLevel)", name,
             type_of(json));
    t->split = flag(json, "use_regex", true) ? PHA__SPLIT_GPT2 : PHA__SPLIT_NONE;
    t->add_prefix_space = flag(json, "add_prefix_space", true);
    return PHA_OK;
}

/* What would change the ids and isn't done here. */
static pha_status check_unsupported(const json_t *root, const json_t *model, const char *name)
{
    if (!json_is_object(root)) FAIL(BAD_INPUT, "%s: not a tokenizer.json (no object)", name);
    const json_t *normalizer = json_object_get(root, "normalizer"), *decoder = json_object_get(root, "decoder");
    if (!absent(normalizer))
        FAIL(BAD_INPUT, "%s: normalizer '%.40s' isn't supported (only null): text must come back exactly", name,
             type_of(normalizer));
    if (!absent(decoder) && !is_type(decoder, "ByteLevel"))
        FAIL(BAD_INPUT, "%s: decoder '%.40s' isn't supported (only ByteLevel)", name, type_of(decoder));
    if (!json_is_object(model)) FAIL(BAD_INPUT, "%s: 'model' is missing or no object", name);
    if (json_object_get(model, "type") && !is_type(model, "BPE"))
        FAIL(BAD_INPUT, "%s: model '%.40s' isn't supported (only BPE)", name, type_of(model));
    const json_t *dropout = json_object_get(model, "dropout");
    if (!absent(dropout) && !(json_is_number(dropout) && json_number_value(dropout) == 0))
        FAIL(BAD_INPUT, "%s: model.dropout isn't supported", name);
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < 2; i++) {
        const json_t *affix = json_object_get(model, affixes[i]);
        if (!absent(affix) && !(json_is_string(affix) && json_string_length(affix) == 0))
            FAIL(BAD_INPUT, "%s: model.%s isn't supported", name, affixes[i]);
    }
    const json_t *post = json_object_get(root, "post_processor");
    if (!absent(post) && !is_type(post, "ByteLevel"))
        pha__log(PHA__LOG_NOTE, "%s: post_processor '%.40s' is not applied: no tokens are put around a text", name,
                 type_of(post));
    return PHA_OK;
}

static pha_status check_added(int64_t *id, const char **content, const json_t *item, const char *name)
{
    TRY(pha__json_int(id, item, "id", 0, PHA__TOKENIZER_VOCAB_LIMIT - 1, name));
    TRY(pha__json_string(content, item, "content", name));
    static const char *const flags[] = {"single_word", "lstrip", "rstrip"};
    for (size_t i = 0; i < 3; i++) {
        if (flag(item, flags[i], false))
            FAIL(BAD_INPUT, "%s: added token '%.60s' has %s set, which isn't supported", name, *content, flags[i]);
    }
    return PHA_OK;
}

/* The definitions by id, in fresh memory; the texts stay in the JSON values. */
static pha_status read_vocab(pha__token_def *defs, int64_t n, const json_t *vocab, const char *name)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)vocab, key, value)
    {
        int64_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= n)
            FAIL(BAD_INPUT,
                 "%s: the id of token '%.60s' isn't an integer in 0..%lld (there are %lld tokens, and ids have no "
                 "gaps)", name, key, (long long)n - 1, (long long)n);
        if (defs[id].kind)
            FAIL(BAD_INPUT, "%s: tokens '%.60s' and '%.60s' have the same id %lld", name, defs[id].text, key,
                 (long long)id);
        defs[id] = (pha__token_def){.text = key, .size = strlen(key), .kind = PHA__TOKEN_CHARS};
    }
    return PHA_OK;
}

static pha_status read_added(pha__token_def *defs, int64_t n, const json_t *added, const json_t *vocab,
                             const char *name)
{
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *item = json_array_get(added, i);
        int64_t id;
        const char *content;
        TRY(check_added(&id, &content, item, name));
        const json_t *other = json_object_get(vocab, content);
        if (id >= n)
            FAIL(BAD_INPUT, "%s: added token '%.60s' has id %lld, but there are %lld tokens: ids are missing", name,
                 content, (long long)id, (long long)n);
        if ((other && json_integer_value(other) != id) || (!other && defs[id].kind))
            FAIL(BAD_INPUT, "%s: added token '%.60s' has id %lld, which contradicts the vocabulary", name, content,
                 (long long)id);
        if (defs[id].kind == PHA__TOKEN_ADDED || defs[id].kind == PHA__TOKEN_SPECIAL)
            FAIL(BAD_INPUT, "%s: added token '%.60s' is listed twice", name, content);
        pha__token_kind kind = flag(item, "special", false) ? PHA__TOKEN_SPECIAL : PHA__TOKEN_ADDED;
        defs[id] = (pha__token_def){.text = content, .size = strlen(content), .kind = kind};
    }
    return PHA_OK;
}

static pha_status read_tokens(pha__tokenizer **out, const json_t *root, const json_t *vocab, const char *name)
{
    const json_t *added = json_object_get(root, "added_tokens");
    if (!json_is_object(vocab)) FAIL(BAD_INPUT, "%s: model.vocab is missing or not an object from tokens to ids", name);
    if (!absent(added) && !json_is_array(added)) FAIL(BAD_INPUT, "%s: added_tokens isn't a list", name);
    int64_t n = (int64_t)json_object_size(vocab);
    for (size_t i = 0; i < json_array_size(added); i++) {
        const char *content = json_string_value(json_object_get(json_array_get(added, i), "content"));
        n += !content || !json_object_get(vocab, content);
    }
    if (n > PHA__TOKENIZER_VOCAB_LIMIT) FAIL(BAD_INPUT, "%s: more than %d tokens", name, PHA__TOKENIZER_VOCAB_LIMIT);
    pha__token_def *defs = pha__alloc_zero((size_t)n + 1, sizeof *defs);
    if (!defs) return PHA_NO_MEMORY;
    pha_status status = read_vocab(defs, n, vocab, name);
    if (!status) status = read_added(defs, n, added, vocab, name);
    if (!status) status = pha__tokenizer_build(out, defs, (int32_t)n, name);
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

static pha_status parse(pha__tokenizer **t, const json_t *root, const char *name)
{
    const json_t *model = json_object_get(root, "model");
    TRY(check_unsupported(root, model, name));
    TRY(read_tokens(t, root, json_object_get(model, "vocab"), name));
    TRY(read_pre_tokenizer(*t, json_object_get(root, "pre_tokenizer"), name));
    (*t)->ignore_merges = flag(model, "ignore_merges", false);
    TRY(read_merges(*t, json_object_get(model, "merges"), name));
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
