/* config_hub.c -- keys that a config.json of the Hugging Face hub has beside a model's own
 *
 * Some say nothing about the mathematics and are passed over. Some are other names of keys of ours and must say the
 * same. Some must have the one value that is true here; with another the file means another model and is refused.
 */
#include <math.h>
#include <string.h>

#include "io/config_check.h"

static const char *const passed_over[] = {"_attn_implementation",
                                          "_name_or_path",
                                          "architectures",
                                          "auto_map",
                                          "bos_token_id",
                                          "decoder_start_token_id",
                                          "dtype",
                                          "eos_token_id",
                                          "finetuning_task",
                                          "id2label",
                                          "initializer_range",
                                          "label2id",
                                          "max_position_embeddings",
                                          "model_type",
                                          "n_ctx",
                                          "n_positions",
                                          "output_attentions",
                                          "output_hidden_states",
                                          "pad_token_id",
                                          "problem_type",
                                          "return_dict",
                                          "sep_token_id",
                                          "task_specific_params",
                                          "tokenizer_class",
                                          "torch_dtype",
                                          "torchscript",
                                          "transformers_version",
                                          "unk_token_id",
                                          "use_cache"};

#define AT(field) offsetof(pha__config, field)

static const struct {
    const char *key, *own;
    size_t offset; /* of an int32_t */
} other_names[] = {{"hidden_size", "d_model", AT(d_model)},
                   {"n_embd", "d_model", AT(d_model)},
                   {"num_hidden_layers", "n_layer", AT(n_layer)},
                   {"num_attention_heads", "n_head", AT(n_head)},
                   {"num_key_value_heads", "n_kv_head", AT(n_kv_head)},
                   {"intermediate_size", "d_ffn", AT(d_ffn)},
                   {"n_inner", "d_ffn", AT(d_ffn)}};

typedef enum need { NEED_FALSE, NEED_TRUE, NEED_ZERO, NEED_NONE, NEED_SILU, NEED_EPS } need;

static const struct {
    const char *key;
    need need;
    const char *why;
} fixed[] = {{"tie_word_embeddings", NEED_TRUE, "the output layer of these models is the embedding"},
             {"attention_bias", NEED_FALSE, "these models have no such biases"},
             {"mlp_bias", NEED_FALSE, "these models have no such biases"},
             {"is_encoder_decoder", NEED_FALSE, "these models are decoders"},
             {"attention_dropout", NEED_ZERO, "dropout is an option of training here"},
             {"hidden_dropout", NEED_ZERO, "dropout is an option of training here"},
             {"hidden_dropout_prob", NEED_ZERO, "dropout is an option of training here"},
             {"resid_pdrop", NEED_ZERO, "dropout is an option of training here"},
             {"embd_pdrop", NEED_ZERO, "dropout is an option of training here"},
             {"attn_pdrop", NEED_ZERO, "dropout is an option of training here"},
             {"rope_scaling", NEED_NONE, "these models turn positions by rope_theta alone"},
             {"quantization_config", NEED_NONE, "weights are F32, BF16, F16 or F64"},
             {"sliding_window", NEED_NONE, "a window is the key 'window'"},
             {"hidden_act", NEED_SILU, "the feed-forward part is SwiGLU"},
             {"rms_norm_eps", NEED_EPS, "the norms have 1e-6"}};

#define COUNT(table) (sizeof(table) / sizeof *(table))

bool pha__config_hub_key(const char *key)
{
    for (size_t i = 0; i < COUNT(passed_over); i++)
        if (!strcmp(key, passed_over[i])) return true;
    for (size_t i = 0; i < COUNT(other_names); i++)
        if (!strcmp(key, other_names[i].key)) return true;
    for (size_t i = 0; i < COUNT(fixed); i++)
        if (!strcmp(key, fixed[i].key)) return true;
    return false;
}

static bool fits(need n, const json_t *value)
{
    const char *text = json_string_value(value);
    double x = json_is_number(value) ? json_number_value(value) : NAN;
    switch (n) {
    case NEED_FALSE: return json_is_false(value);
    case NEED_TRUE: return json_is_true(value);
    case NEED_ZERO: return x == 0;
    case NEED_NONE: return json_is_null(value);
    case NEED_SILU: return text && (!strcmp(text, "silu") || !strcmp(text, "swish"));
    case NEED_EPS: return x == 1e-6;
    }
    return false;
}

pha_status pha__config_hub_check(const pha__config *c, const json_t *object, const char *where)
{
    static const char *const words[] = {"false", "true", "0", "null", "\"silu\"", "1e-6"};
    for (size_t i = 0; i < COUNT(other_names); i++) {
        const json_t *value = json_object_get(object, other_names[i].key);
        int32_t own = *(const int32_t *)(const void *)((const char *)c + other_names[i].offset);
        if (value && !json_is_null(value) && (!json_is_integer(value) || json_integer_value(value) != own))
            FAIL(BAD_INPUT, "%s: %s means %s, which is %d here, but says something else; remove it", where,
                 other_names[i].key, other_names[i].own, own);
    }
    for (size_t i = 0; i < COUNT(fixed); i++) {
        const json_t *value = json_object_get(object, fixed[i].key);
        if (value && !fits(fixed[i].need, value))
            FAIL(BAD_INPUT, "%s: %s must be %s or absent: %s", where, fixed[i].key, words[fixed[i].need], fixed[i].why);
    }
    return PHA_OK;
}
