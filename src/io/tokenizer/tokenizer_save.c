/* tokenizer_save.c -- writing tokenizer.json, in order of id and rank, as the Hugging Face packages read it; what a
 * file had beside the vocabulary, the merges and the added tokens is written as it was */
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/tokenizer/tokenizer_impl.h"

/* A JSON string from text (`chars` false; valid UTF-8 it must be) or from bytes as byte characters. */
static void put_text(pha__str *s, const unsigned char *text, size_t size, bool chars)
{
    for (size_t i = 0; i < size; i++) {
        char c[2] = {(char)text[i], 0};
        int n = chars ? pha__byte_char(text[i], c) : 1;
        if (n == 1 && (c[0] == '"' || c[0] == '\\')) pha__str_add(s, "\\", 1);
        if (n == 1 && (unsigned char)c[0] < 0x20)
            pha__str_printf(s, "\\u%04x", (unsigned)c[0]);
        else
            pha__str_add(s, c, (size_t)n);
    }
}

static void put_token(pha__str *s, const pha__tokenizer *t, int32_t id, bool chars)
{
    size_t size;
    const unsigned char *bytes = pha__tokenizer_bytes(t, id, &size);
    put_text(s, bytes, size, chars);
}

static void put_bool(pha__str *s, const char *key, bool value)
{
    pha__str_printf(s, "\"%s\": %s", key, value ? "true" : "false");
}

static void put_flags(pha__str *s, const pha__added *a)
{
    put_bool(s, "single_word", a->single_word);
    pha__str_puts(s, ", ");
    put_bool(s, "lstrip", a->lstrip);
    pha__str_puts(s, ", ");
    put_bool(s, "rstrip", a->rstrip);
    pha__str_puts(s, ", ");
    put_bool(s, "normalized", a->normalized);
    pha__str_puts(s, ", ");
    put_bool(s, "special", a->special);
}

/* added: by id; NULL: another token */
static void put_added(pha__str *s, const pha__tokenizer *t, const pha__added *const *added)
{
    const char *comma = "";
    pha__str_puts(s, "  \"added_tokens\": [");
    for (int32_t id = 0; id < t->size; id++) {
        if (!added[id]) continue;
        pha__str_printf(s, "%s\n    {\"id\": %d, \"content\": \"", comma, id);
        put_token(s, t, id, false);
        pha__str_puts(s, "\", ");
        put_flags(s, added[id]);
        pha__str_puts(s, "}");
        comma = ",";
    }
    pha__str_puts(s, *comma ? "\n  ],\n" : "],\n");
}

static void put_byte_level(pha__str *s, bool add_prefix_space, bool use_regex)
{
    pha__str_puts(s, "{\"type\": \"ByteLevel\", \"trim_offsets\": true, ");
    put_bool(s, "add_prefix_space", add_prefix_space);
    pha__str_puts(s, ", ");
    put_bool(s, "use_regex", use_regex);
    pha__str_puts(s, "}");
}

static void put_usual_frame(pha__str *s, const pha__tokenizer *t)
{
    pha__str_puts(s, "  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
    pha__str_puts(s, "  \"normalizer\": null,\n  \"pre_tokenizer\": ");
    if (t->split == PHA__SPLIT_LLAMA3 || t->split == PHA__SPLIT_QWEN2) {
        const char *pattern = t->split == PHA__SPLIT_LLAMA3 ? pha__split_llama3 : pha__split_qwen2;
        pha__str_puts(
            s, "{\"type\": \"Sequence\", \"pretokenizers\": [\n    {\"type\": \"Split\", \"pattern\": {\"Regex\": \"");
        put_text(s, (const unsigned char *)pattern, strlen(pattern), false);
        pha__str_puts(s, "\"}, \"behavior\": \"Isolated\", \"invert\": false},\n    ");
        put_byte_level(s, false, false);
        pha__str_puts(s, "]}");
    } else {
        put_byte_level(s, t->add_prefix_space, t->split == PHA__SPLIT_GPT2);
    }
    pha__str_puts(s, ",\n  \"post_processor\": null,\n  \"decoder\": ");
    put_byte_level(s, t->add_prefix_space, true);
    pha__str_puts(s, ",\n");
}

static void put_usual_model(pha__str *s, const pha__tokenizer *t)
{
    pha__str_puts(s, "\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
                     "\"continuing_subword_prefix\": null, \"end_of_word_suffix\": null,\n    \"fuse_unk\": false, "
                     "\"byte_fallback\": false, ");
    put_bool(s, "ignore_merges", t->ignore_merges);
    pha__str_puts(s, ",");
}

static void put_model(pha__str *s, const pha__tokenizer *t, const pha__added *const *added)
{
    const char *comma = "";
    pha__str_puts(s, "  \"model\": {\n    ");
    if (t->model_frame)
        pha__str_puts(s, t->model_frame);
    else
        put_usual_model(s, t);
    pha__str_puts(s, "\n    \"vocab\": {");
    for (int32_t id = 0; id < t->size; id++) {
        if (!(t->flags[id] & PHA__IN_VOCAB)) continue;
        pha__str_printf(s, "%s\n      \"", comma);
        put_token(s, t, id, !added[id]);
        pha__str_printf(s, "\": %d", id);
        comma = ",";
    }
    pha__str_puts(s, "\n    },\n    \"merges\": [");
    for (uint32_t i = 0; i < t->n_merges; i++) {
        pha__str_puts(s, i ? ",\n      \"" : "\n      \"");
        put_token(s, t, t->merges[i].left, true);
        pha__str_puts(s, " ");
        put_token(s, t, t->merges[i].right, true);
        pha__str_puts(s, "\"");
    }
    pha__str_puts(s, "\n    ]\n  }\n}\n");
}

pha_status pha__tokenizer_save(const pha__tokenizer *t, const char *path)
{
    const pha__added **added = pha__alloc_zero((size_t)t->size, sizeof *added);
    if (!added) return PHA_NO_MEMORY;
    for (int32_t i = 0; i < t->n_added; i++) added[t->added[i].id] = &t->added[i];
    pha__str s = {0};
    pha__str_puts(&s, "{\n");
    if (t->frame)
        pha__str_puts(&s, t->frame);
    else
        put_usual_frame(&s, t);
    if (t->frame) pha__str_puts(&s, "\n");
    put_added(&s, t, added);
    put_model(&s, t, added);
    pha_status status = s.failed ? PHA_NO_MEMORY : pha__write_file(path, s.data, s.size);
    pha__str_free(&s);
    pha__free(added);
    return status;
}

/* Says which token ends documents, as Hugging Face's packages do. */
static pha_status save_end(const pha__tokenizer *t, const char *folder)
{
    char *path = pha__path_join(folder, PHA__TOKENIZER_CONFIG);
    if (!path) return PHA_NO_MEMORY;
    pha__str s = {0};
    pha__str_puts(&s, "{\n  \"eos_token\": \"");
    put_token(&s, t, t->eot, false);
    pha__str_puts(&s, "\",\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\"\n}\n");
    pha_status status = s.failed ? PHA_NO_MEMORY : pha__write_file(path, s.data, s.size);
    pha__str_free(&s);
    pha__free(path);
    return status;
}

pha_status pha__tokenizer_save_folder(const pha__tokenizer *t, const char *folder)
{
    char *path = pha__path_join(folder, "tokenizer.json");
    if (!path) return PHA_NO_MEMORY;
    pha_status status = pha__tokenizer_save(t, path);
    pha__free(path);
    return status || t->eot < 0 || t->eot == pha__end_by_name(t) ? status : save_end(t, folder);
}
