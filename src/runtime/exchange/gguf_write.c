/* gguf_write.c -- a model of arch gpt2 as a GGUF file of llama.cpp's architecture gpt2
 *
 * Linear maps as [out, in], those of q, k and v one below the other; the head is the embedding, which llama.cpp takes
 * where there is no output.weight. No other model of ours has an architecture there.
 */
#include <string.h>

#include "base/format.h"
#include "base/fs.h"
#include "base/print.h"
#include "io/gguf.h"
#include "runtime/exchange/exchange.h"

static const char writer_key[] = "pha.version";

/* ---- tensors --------------------------------------------------------------------------------------------- */

typedef struct row {
    const char *name, *ours[3]; /* behind blk.N. and layerN. for those of a layer */
    bool matrix;                /* in the format that was asked for; others are fp32 */
} row;

static const row of_layer[] = {
    {"attn_norm.weight", {"norm.gain"}, false},      {"attn_norm.bias", {"norm.bias"}, false},
    {"attn_qkv.weight", {"attn.q", "attn.k", "attn.v"}, true},
    {"attn_qkv.bias", {"attn.q_bias", "attn.k_bias", "attn.v_bias"}, false},
    {"attn_output.weight", {"attn.out"}, true},      {"attn_output.bias", {"attn.out_bias"}, false},
    {"ffn_norm.weight", {"mlp_norm.gain"}, false},   {"ffn_norm.bias", {"mlp_norm.bias"}, false},
    {"ffn_up.weight", {"mlp.up"}, true},             {"ffn_up.bias", {"mlp.up_bias"}, false},
    {"ffn_down.weight", {"mlp.down"}, true},         {"ffn_down.bias", {"mlp.down_bias"}, false}};
static const row of_model[] = {{"token_embd.weight", {"embed"}, true},
                               {"position_embd.weight", {"pos"}, false},
                               {"output_norm.weight", {"norm.gain"}, false},
                               {"output_norm.bias", {"norm.bias"}, false}};
#define COUNT(table) (sizeof(table) / sizeof *(table))

typedef struct parts { /* of a tensor: parameters one behind the other */
    int param[3], n;
} parts;

typedef struct job {
    const pha_model *m;
    pha__gguf_tensor *tensors;
    parts *parts;
    size_t n;
    pha__gguf_type type; /* of matrices */
} job;

static int find_param(const pha_model *m, const char *path)
{
    for (int i = 0; i < m->names->n_params; i++)
        if (!strcmp(m->names->params[i]->path, path)) return i;
    return -1;
}

static pha_status add(job *j, const row *r, int layer)
{
    pha__gguf_tensor *t = &j->tensors[j->n];
    parts *p = &j->parts[j->n++];
    if (layer < 0) pha__print(t->name, sizeof t->name, "%s", r->name);
    else pha__print(t->name, sizeof t->name, "blk.%d.%s", layer, r->name);
    for (p->n = 0; p->n < 3 && r->ours[p->n]; p->n++) {
        char path[80];
        if (layer < 0) pha__print(path, sizeof path, "%s", r->ours[p->n]);
        else pha__print(path, sizeof path, "layer%d.%s", layer, r->ours[p->n]);
        int i = p->param[p->n] = find_param(j->m, path);
        if (i < 0) FAIL(FAILED, "%s: has no parameter %s", j->m->folder, path);
        const pha__node *v = j->m->names->params[i];
        t->vector = v->rows == 1 && strcmp(r->ours[0], "pos");
        t->rows += t->vector ? 0 : v->rows;
        t->width = t->vector ? t->width + v->width : v->width;
    }
    if (t->vector) t->rows = 1;
    t->type = r->matrix ? j->type : PHA__GGUF_F32;
    if (t->type == PHA__GGUF_Q8_0 && t->width % 32) t->type = PHA__GGUF_F16; /* as llama.cpp does it */
    t->from = p;
    return PHA_OK;
}

/* A row of a matrix of several below each other; a vector of several behind each other. */
static pha_status read_row(void *context, const pha__gguf_tensor *t, int64_t r, float *out)
{
    const pha_model *m = context;
    const parts *p = t->from;
    for (int k = 0; k < p->n; k++) {
        const pha__node *v = m->names->params[p->param[k]];
        pha__place at = pha__store_at(m->store, PHA__WEIGHT, p->param[k]);
        if (t->vector) pha__format_unpack(at.format, at.data, v->width, 0, 0, v->width, out), out += v->width;
        else if (r < v->rows) return pha__format_unpack(at.format, at.data, v->width, r, 0, v->width, out), PHA_OK;
        else r -= v->rows;
    }
    return PHA_OK;
}

static pha_status list_tensors(job *j)
{
    size_t most = COUNT(of_model) + COUNT(of_layer) * (size_t)j->m->config.n_layer;
    j->tensors = pha__alloc_zero(most, sizeof *j->tensors);
    j->parts = pha__alloc_zero(most, sizeof *j->parts);
    if (!j->tensors || !j->parts) FAIL(NO_MEMORY, "%s: no memory for a list of its tensors", j->m->folder);
    for (size_t i = 0; i < COUNT(of_model); i++) TRY(add(j, &of_model[i], -1));
    for (int layer = 0; layer < j->m->config.n_layer; layer++)
        for (size_t i = 0; i < COUNT(of_layer); i++) TRY(add(j, &of_layer[i], layer));
    return PHA_OK;
}

/* ---- members --------------------------------------------------------------------------------------------- */

static void put_config(pha__gguf *g, const pha_model *m, pha__gguf_type type)
{
    const pha__config *c = &m->config;
    uint32_t kind = type == PHA__GGUF_Q8_0 ? 7 : type == PHA__GGUF_F16 ? 1 : 0; /* of llama.cpp's files */
    pha__gguf_text(g, "general.architecture", "gpt2");
    pha__gguf_text(g, writer_key, pha_version());
    pha__gguf_text(g, "general.type", "model");
    pha__gguf_number(g, "general.file_type", kind);
    pha__gguf_number(g, "general.quantization_version", 2);
    pha__gguf_number(g, "gpt2.context_length", (uint32_t)c->n_positions);
    pha__gguf_number(g, "gpt2.embedding_length", (uint32_t)c->d_model);
    pha__gguf_number(g, "gpt2.block_count", (uint32_t)c->n_layer);
    pha__gguf_number(g, "gpt2.feed_forward_length", (uint32_t)c->d_ffn);
    pha__gguf_number(g, "gpt2.attention.head_count", (uint32_t)c->n_head);
    pha__gguf_real(g, "gpt2.attention.layer_norm_epsilon", 1e-5f);
}

/* A row of the embedding that no text uses has a name all the same. */
static void put_tokens(pha__gguf *g, const pha__tokenizer *t, int32_t V)
{
    enum { NORMAL = 1, CONTROL = 3, USER = 4, UNUSED = 5 };
    static const int32_t kinds[] = {[PHA__LISTED_NONE] = UNUSED, [PHA__LISTED_NORMAL] = NORMAL,
                                    [PHA__LISTED_ADDED] = USER, [PHA__LISTED_SPECIAL] = CONTROL};
    pha__str text = {0};
    pha__gguf_texts(g, "tokenizer.ggml.tokens", (uint64_t)V);
    for (int32_t id = 0; id < V; id++) {
        pha__str_clear(&text);
        if (pha__tokenizer_list(t, id, &text) == PHA__LISTED_NONE) pha__str_printf(&text, "[PAD%d]", id);
        pha__gguf_add_text(g, text.data, text.size);
    }
    pha__gguf_numbers(g, "tokenizer.ggml.token_type", (uint64_t)V);
    for (int32_t id = 0; id < V; id++) pha__gguf_add_number(g, kinds[pha__tokenizer_list(t, id, NULL)]);
    pha__gguf_texts(g, "tokenizer.ggml.merges", pha__tokenizer_merges(t));
    for (uint32_t i = 0; i < pha__tokenizer_merges(t); i++) {
        pha__str_clear(&text);
        pha__tokenizer_list_merge(t, i, &text);
        pha__gguf_add_text(g, text.data, text.size);
    }
    g->members.failed |= text.failed;
    pha__str_free(&text);
}

static pha_status put_tokenizer(pha__gguf *g, const pha_model *m)
{
    static const struct { const char *ours, *theirs; } patterns[] = {
        {"gpt2", "gpt-2"}, {"llama3", "llama-bpe"}, {"qwen2", "qwen2"}};
    const pha__tokenizer *t = m->tokenizer;
    if (!t) {
        pha__gguf_number(g, "gpt2.vocab_size", (uint32_t)m->config.vocab_size);
        return pha__gguf_text(g, "tokenizer.ggml.model", "none"), PHA_OK;
    }
    const char *pattern = pha__tokenizer_plain(t);
    size_t i = 0;
    while (pattern && i < COUNT(patterns) && strcmp(pattern, patterns[i].ours)) i++;
    if (!pattern || i == COUNT(patterns))
        FAIL(BAD_INPUT, "%s: its tokenizer has steps that a GGUF file has no name for; llama.cpp would cut text "
             "otherwise", m->folder);
    pha__gguf_text(g, "tokenizer.ggml.model", "gpt2");
    pha__gguf_text(g, "tokenizer.ggml.pre", patterns[i].theirs);
    put_tokens(g, t, m->config.vocab_size);
    if (pha__tokenizer_eot(t) >= 0) {
        pha__gguf_number(g, "tokenizer.ggml.bos_token_id", (uint32_t)pha__tokenizer_eot(t));
        pha__gguf_number(g, "tokenizer.ggml.eos_token_id", (uint32_t)pha__tokenizer_eot(t));
    }
    pha__gguf_flag(g, "tokenizer.ggml.add_bos_token", false);
    return PHA_OK;
}

/* ---- the file -------------------------------------------------------------------------------------------- */

/* A file that stands there is replaced only if we wrote it. */
static pha_status check_place(const char *path)
{
    pha__map file;
    if (!pha__exists(path)) return PHA_OK;
    if (pha__is_dir(path)) FAIL(USAGE, "%s: is a folder; a GGUF file is one file", path);
    TRY(pha__map_open(&file, path));
    size_t look = file.size < 4096 ? file.size : 4096;
    bool ours = look > 4 && !memcmp(file.data, "GGUF", 4) && memmem(file.data, look, writer_key, strlen(writer_key));
    pha__map_close(&file);
    if (!ours) FAIL(USAGE, "%s: is there, and no GGUF file of pha; choose another name or remove it", path);
    return PHA_OK;
}

static pha_status type_of(pha__gguf_type *type, pha_weights weights)
{
    switch (weights) {
    case PHA_WEIGHTS_DEFAULT:
    case PHA_WEIGHTS_FP16: return *type = PHA__GGUF_F16, PHA_OK;
    case PHA_WEIGHTS_FP32: return *type = PHA__GGUF_F32, PHA_OK;
    case PHA_WEIGHTS_Q8: return *type = PHA__GGUF_Q8_0, PHA_OK;
    default: FAIL(USAGE, "a GGUF file of pha has weights in fp32, fp16 or q8");
    }
}

pha_status pha__gguf_export(const char *path, const pha_model *m, const pha_export_options *o)
{
    job j = {.m = m};
    pha__gguf g = {0};
    TRY(type_of(&j.type, o->weights));
    TRY(pha__gpt2_check_fits(m, "a GGUF file"));
    TRY(check_place(path));
    TRY(pha__model_verify(m));
    pha_status status = list_tensors(&j);
    if (!status) put_config(&g, m, j.type), status = put_tokenizer(&g, m);
    g.tensors = j.tensors, g.n_tensors = j.n;
    if (!status) status = pha__gguf_write(&g, path, read_row, (void *)(uintptr_t)m);
    pha__gguf_free(&g);
    pha__free(j.tensors);
    pha__free(j.parts);
    return status;
}
