/* config.json: the presets and their parameter counts, defaults, round trip, and messages */
#include "base/mem.h"
#include "io/config.h"

#include <math.h>

#include "base/json.h"
#include "models/formulas.h"
#include "runtime/model.h"
#include "support/allocations.h"
#include "support/root.h"

static pha__config_rules rules; /* those of the architectures; set in main */
static char file[300];

static pha_status parse(pha__config *c, const char *text)
{
    json_t *j;
    OK(pha__json_parse(&j, text, strlen(text), "text"));
    pha_status status = pha__config_parse(c, j, "x.json", &rules);
    json_decref(j);
    return status;
}

static void presets(void **state)
{
    (void)state;
    static const struct { const char *name; int64_t parameters; double alpha, embed_std; } want[] = {
        { "pha-90m", 89885466, 2.3003, 0.02 },      { "pha-125m", 125072068, 2.2134, 0.02 },
        { "pha-125m-s25", 121800772, 2.2134, 0.02 },        { "pha-180m", 180725014, 2.1147, 0.01 },
        { "tiny", 197966, 1.4142, 0.02 },           { "attn-180", 180586176, 2.3784, 0.01 },
        { "attn-180-l10", 180424824, 2.1147, 0.01 }, { "attn-180-l18", 181082328, 2.4495, 0.01 },
        { "attn-180-l24", 180801312, 2.6321, 0.01 }, { "attn-125", 124970896, 2.4495, 0.02 },
        { "attn-125-w768", 125330064, 2.2134, 0.01 }, { "seq-186", 186147216, 2.2134, 0.01 },
        { "seq-125", 125072032, 2.2134, 0.02 },      { "gpt2-125", 124439808, 2.2134, 0.02 },
        { "linear-125", 124439808, 2.2134, 0.02 },   { "hedgehog-125", 125619456, 2.2134, 0.02 },
        { "gss-125", 123444672, 2.3403, 0.02 },      { "gss-hybrid-125", 126307648, 2.3403, 0.02 },
        { "gss-hybrid-125-local", 126307648, 2.3403, 0.02 },
        { "h3-125", 126635520, 2.2134, 0.02 },       { "h3-hybrid-125", 126139392, 2.2134, 0.02 },
        { "h3-hybrid-125-rel", 126387456, 2.2134, 0.02 },
        { "pha-180-nogss", 180432524, 2.1147, 0.01 }, { "pha-180-noaux", 180717324, 2.1147, 0.01 },
        { "pha-180-noattn", 180471444, 2.1147, 0.01 }, { "pha-180-gssonly", 180463744, 2.1147, 0.01 },
        { "pha-180-uniform", 180724984, 2.1147, 0.01 }, { "pha-180-dynamic", 180748054, 2.1147, 0.01 },
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        char path[512];
        pha__config c, again;
        snprintf(path, sizeof path, PHA_SOURCE_DIR "/configs/%s.json", want[i].name);
        OK(pha__config_load(&c, path, &rules));
        if (formula_parameters(&c) != (uint64_t)want[i].parameters)
            fail_msg("%s has %lld parameters", want[i].name, (long long)formula_parameters(&c));
        assert_true(fabs(c.alpha - want[i].alpha) < 1e-4);
        assert_true(c.embed_std == want[i].embed_std);
        OK(pha__config_save(&c, file, &rules));
        OK(pha__config_load(&again, file, &rules));
        assert_memory_equal(&c, &again, sizeof c);
        json_t *least = pha__config_least(&c, &rules);
        assert_non_null(least);
        OK(pha__config_parse(&again, least, "least", &rules));
        assert_memory_equal(&c, &again, sizeof c);
        json_decref(least);
    }
}

#define BASE "\"arch\":\"pha\",\"vocab_size\":256,\"d_model\":64,\"n_layer\":3,\"d_ffn\":128"
#define TWO BASE ",\"n_head\":4,\"n_kv_head\":2,\"d_state\":160"
#define HYBRID(layers) "\"arch\":\"gss\",\"vocab_size\":8,\"d_model\":16,\"n_layer\":3,\"attn_layers\":" layers

static pha_status all_or_nothing(void *context)
{
    json_t *j = pha__config_least(context, &rules);
    if (!j) return pha__fail(PHA_NO_MEMORY, "no memory for the configuration");
    assert_int_equal(json_object_size(j), 11);
    json_decref(j);
    return PHA_OK;
}

/* What differs from the defaults, so that a key that comes later changes nothing of it. */
static void least(void **state)
{
    (void)state;
    pha__config c;
    OK(parse(&c, "{" TWO ", \"d_aux\": 64, \"gss_state\": \"real\", \"qk\": \"rms\", \"window\": 7}"));
    json_t *j = pha__config_least(&c, &rules);
    static const char *const kept[] = {"arch", "vocab_size", "d_model", "n_layer", "d_ffn", "n_head", "n_kv_head",
                                       "d_state", "d_aux", "qk", "window"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) assert_non_null(json_object_get(j, kept[i]));
    assert_int_equal(json_object_size(j), sizeof kept / sizeof *kept);
    json_decref(j);
    assert_true(fail_allocations(all_or_nothing, &c, 1000) > 100);
}
#define H3 "\"arch\":\"h3\",\"vocab_size\":8,\"d_model\":16,\"n_layer\":1,\"d_ffn\":8"
#define FULL TWO ",\"d_aux\":64"

/* As the hub has it: what changes nothing is passed over, what is said twice must agree. */
static void hub_keys(void **state)
{
    (void)state;
    pha__config c;
    OK(parse(&c, "{" FULL ",\"architectures\":[\"X\"],\"model_type\":\"pha\",\"torch_dtype\":\"float32\","
                 "\"transformers_version\":\"4.40.0\",\"bos_token_id\":1,\"eos_token_id\":[2,3],\"pad_token_id\":null,"
                 "\"use_cache\":true,\"initializer_range\":0.5,\"hidden_size\":64,\"num_hidden_layers\":3,"
                 "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"intermediate_size\":128,"
                 "\"hidden_act\":\"silu\","
                 "\"rms_norm_eps\":1e-06,\"rope_scaling\":null,\"attention_bias\":false,\"attention_dropout\":0.0,"
                 "\"tie_word_embeddings\":true,\"max_position_embeddings\":2048}"));
    assert_true(c.embed_std == 0.02);
}

/* Another value of such a key is another model. */
static void hub_values(void **state)
{
    (void)state;
    static const struct {
        const char *good, *bad, *message;
    } all[] = {
        {"\"tie_word_embeddings\":true", "\"tie_word_embeddings\":false", "must be true or absent"},
        {"\"attention_bias\":false", "\"attention_bias\":true", "must be false or absent"},
        {"\"mlp_bias\":false", "\"mlp_bias\":null", "must be false or absent"},
        {"\"resid_pdrop\":0", "\"resid_pdrop\":0.1", "must be 0 or absent"},
        {"\"attn_pdrop\":0.0", "\"attn_pdrop\":\"0\"", "must be 0 or absent"},
        {"\"rope_scaling\":null", "\"rope_scaling\":{\"factor\":2}", "must be null or absent"},
        {"\"hidden_act\":\"swish\"", "\"hidden_act\":\"gelu\"", "must be \"silu\" or absent"},
        {"\"rms_norm_eps\":1e-6", "\"rms_norm_eps\":1e-5", "must be 1e-6 or absent"},
        {"\"n_embd\":64", "\"n_embd\":63", "means d_model, which is 64"},
        {"\"num_key_value_heads\":2", "\"num_key_value_heads\":4", "means n_kv_head, which is 2"},
        {"\"n_inner\":null", "\"n_inner\":64", "means d_ffn, which is 128"},
        {"\"n_inner\":128", "\"n_inner\":\"128\"", "means d_ffn, which is 128"},
    };
    pha__config c;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char text[600];
        snprintf(text, sizeof text, "{" FULL ",%s}", all[i].good);
        OK(parse(&c, text));
        snprintf(text, sizeof text, "{" FULL ",%s}", all[i].bad);
        FAILS(BAD_INPUT, all[i].message, parse(&c, text));
    }
}

static void defaults(void **state)
{
    (void)state;
    pha__config c;
    OK(parse(&c, "{" FULL ",\"architectures\":[\"X\"],\"torch_dtype\":\"float32\",\"tie_word_embeddings\":true}"));
    assert_int_equal(c.residual, PHA__RES_POST);
    assert_true(c.main_residual && c.seq_norm && c.branch_gain);
    assert_int_equal(c.gate_bias, PHA__BIAS_ZERO);
    assert_int_equal(c.wb_scale, PHA__WB_INIT);
    assert_int_equal(c.mix, PHA__MIX_LEARNED);
    assert_int_equal(c.qk, PHA__QK_COSINE);
    assert_int_equal(c.rope, PHA__ROPE_HALF);
    assert_int_equal(c.gss_state, PHA__STATE_REAL);
    assert_int_equal(c.gss_filter, PHA__FILTER_SILU);
    assert_true(c.rope_theta == 10000 && c.embed_std == 0.02 && c.dropout == 0);
    assert_true(c.alpha == pow(6, 0.25));
    assert_int_equal(c.branches, 7);
    assert_int_equal(c.window[0], 0);
    assert_int_equal(c.local, 0);
    OK(parse(&c, "{\"arch\":\"seq\",\"vocab_size\":256,\"d_model\":64,\"n_layer\":3,\"d_ffn\":128,\"n_head\":4,\"d_"
                 "state\":32}"));
    assert_int_equal(c.branches, PHA__BRANCH_ATTN | PHA__BRANCH_GSS);
    assert_int_equal(c.n_kv_head, 4);
}

/* Windows of six layers. */
static void pattern(const char *window, const int32_t *want)
{
    char text[300];
    pha__config c;
    snprintf(text, sizeof text, "{\"arch\": \"pha\", \"vocab_size\": 256, \"d_model\": 64, \"n_layer\": 6, "
             "\"d_ffn\": 128, \"branches\": [\"attn\"], \"n_head\": 4, \"window\": %s}", window);
    OK(parse(&c, text));
    assert_memory_equal(c.window, want, 6 * sizeof *want);
}

static void switches(void **state)
{
    (void)state;
    pha__config c, again;
    OK(parse(&c,
             "{" TWO ",\"residual\":\"pre_inv\",\"main_residual\":false,\"alpha\":1.5,\"gate_bias\":\"matched\","
             "\"wb_scale\":\"fixed\",\"window\":[null,512,7],\"mix\":\"dynamic\",\"qk\":\"rms\",\"branch_gain\":0,"
             "\"rope\":\"interleaved\",\"rope_theta\":5e5,\"gss_filter\":\"norm\",\"gss_state\":\"complex\","
             "\"branches\":[\"gss\",\"attn\"]}"));
    assert_int_equal(c.residual, PHA__RES_PRE_INV);
    assert_false(c.main_residual || c.branch_gain);
    assert_true(c.alpha == 1.5 && c.rope_theta == 5e5);
    assert_int_equal(c.gate_bias, PHA__BIAS_MATCHED);
    assert_int_equal(c.wb_scale, PHA__WB_FIXED);
    assert_int_equal(c.window[0], 0);
    assert_int_equal(c.window[1], 512);
    assert_int_equal(c.window[2], 7);
    assert_int_equal(c.mix, PHA__MIX_DYNAMIC);
    assert_int_equal(c.qk, PHA__QK_RMS);
    assert_int_equal(c.rope, PHA__ROPE_INTERLEAVED);
    assert_int_equal(c.gss_filter, PHA__FILTER_NORM);
    assert_int_equal(c.gss_state, PHA__STATE_COMPLEX);
    assert_int_equal(c.branches, 3);
    OK(pha__config_save(&c, file, &rules));
    OK(pha__config_load(&again, file, &rules));
    assert_memory_equal(&c, &again, sizeof c);
    OK(parse(&c, "{" FULL ",\"gss_filter\":\"conv4\"}"));
    assert_int_equal(c.gss_filter, PHA__FILTER_CONV4);
    OK(parse(&c, "{" FULL ",\"local\":128,\"window\":null}"));
    assert_int_equal(c.local, 128);
    OK(pha__config_save(&c, file, &rules));
    OK(pha__config_load(&again, file, &rules));
    assert_memory_equal(&c, &again, sizeof c);
    OK(parse(&c, "{" FULL ",\"window\":128,\"alpha\":null}"));
    assert_int_equal(c.window[2], 128);
    assert_int_equal(c.window[3], 0);
    OK(parse(&c, "{" BASE ",\"branches\":[\"gss\"],\"d_state\":32}"));
    assert_int_equal(c.n_head, 0);
    pattern("[8, 8, null]", (int32_t[]){8, 8, 0, 8, 8, 0});
    pattern("[8, null]", (int32_t[]){8, 0, 8, 0, 8, 0});
    pattern("[9]", (int32_t[]){9, 9, 9, 9, 9, 9});
}

/* A written file names what the model reads and nothing else, so that it can be read again. */
static void written_keys(void **state)
{
    (void)state;
    static const struct { const char *text, *present, *absent; } cases[] = {
        { "{" BASE ",\"branches\":[\"attn\"],\"n_head\":4}", "n_kv_head window qk rope rope_theta branch_gain",
          "d_state d_aux gate_bias wb_scale gss_filter mix seq_norm" },
        { "{" BASE ",\"branches\":[\"gss\"],\"d_state\":32}", "d_state gate_bias wb_scale gss_state gss_filter",
          "n_head n_kv_head d_aux window qk rope rope_theta mix" },
        { "{" BASE ",\"branches\":[\"aux\"],\"d_aux\":32}", "d_aux main_residual alpha",
          "n_head d_state window qk gate_bias gss_filter mix" },
        { "{" TWO ",\"branches\":[\"attn\",\"gss\"]}", "n_head d_state window gss_filter mix", "d_aux" },
        { "{" FULL "}", "n_head d_state d_aux window gss_filter mix", "seq_norm" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pha__config c, again;
        OK(parse(&c, cases[i].text));
        json_t *j = pha__config_to_json(&c, &rules);
        char keys[200];
        snprintf(keys, sizeof keys, "%s", cases[i].present);
        for (char *key = strtok(keys, " "); key; key = strtok(NULL, " "))
            if (!json_object_get(j, key)) fail_msg("%s: %s is not written", cases[i].text, key);
        snprintf(keys, sizeof keys, "%s", cases[i].absent);
        for (char *key = strtok(keys, " "); key; key = strtok(NULL, " "))
            if (json_object_get(j, key)) fail_msg("%s: %s is written", cases[i].text, key);
        OK(pha__config_parse(&again, j, "again", &rules));
        assert_memory_equal(&c, &again, sizeof c);
        json_decref(j);
    }
}

/* What a file may have wrong, and what is said of it. */
static const struct {
    const char *message, *text;
} wrong[] = {
    { "not a JSON object", "[]" },
    { "'arch' is missing", "{}" },
    { "arch 'phb' is not one of pha, seq, gpt2, linear, hedgehog, gss, h3", "{\"arch\":\"phb\"}" },
    { "arch 'a-name-that-is-longer-than-sixteen' is not", "{\"arch\":\"a-name-that-is-longer-than-sixteen\"}" },
    { "x.json: 'd_model' is missing", "{\"arch\":\"pha\"}" },
    { "no such key 'd_modle'; did you mean d_model?", "{" FULL ",\"d_modle\":3}" },
    { "no such key 'learning_rate' for arch 'pha'", "{" FULL ",\"learning_rate\":3}" },
    { "seq_norm is not used by arch 'pha' but by seq; remove it, or change arch", "{" FULL ",\"seq_norm\":true}" },
    { "hedgehog_map is not used by arch 'pha' but by hedgehog;", "{" FULL ",\"hedgehog_map\":\"exp\"}" },
    { "x.json: branches is not used by arch 'gpt2' but by pha;",
      "{\"arch\":\"gpt2\",\"vocab_size\":8,\"d_model\":16,\"n_layer\":1,\"branches\":[\"attn\"]}" },
    { "x.json: d_aux is not used with branches = [attn, gss]; remove it",
      "{" FULL ",\"branches\":[\"attn\",\"gss\"]}" },
    { "x.json: d_state, gate_bias, mix are not used with branches = [attn]; remove them",
      "{" TWO ",\"branches\":[\"attn\"],\"gate_bias\":\"none\",\"mix\":\"dynamic\"}" },
    { "n_head, n_kv_head, window, qk are not used with branches = [gss]; remove them",
      "{" TWO ",\"branches\":[\"gss\"],\"window\":null,\"qk\":\"cosine\"}" },
    { "n_layer = 257 is out of range (1 to 256)",
      "{\"arch\":\"pha\",\"vocab_size\":1,\"d_model\":2,\"n_layer\":257}" },
    { "vocab_size = 16777217 is out of range", "{\"arch\":\"pha\",\"vocab_size\":16777217}" },
    { "vocab_size is not a whole number", "{\"arch\":\"pha\",\"vocab_size\":2.5}" },
    { "residual: 'psot' is not one of post, post_raw", "{" FULL ",\"residual\":\"psot\"}" },
    { "gss_filter: 'conv' is not one of silu, none, norm, conv4", "{" FULL ",\"gss_filter\":\"conv\"}" },
    { "gss_state: 'pairs' is not one of real, complex", "{" FULL ",\"gss_state\":\"pairs\"}" },
    { "d_state = 48 is not a multiple of 32, as pairs are with gss_state = complex (nearest: 32, 64)",
      "{" BASE ",\"branches\":[\"gss\"],\"d_state\":48,\"gss_state\":\"complex\"}" },
    { "mix: the value is not one of learned", "{" FULL ",\"mix\":1}" },
    { "branches names gss twice", "{" FULL ",\"branches\":[\"gss\",\"gss\"]}" },
    { "at least one", "{" FULL ",\"branches\":[]}" },
    { "branches: 'ffn' is not one of attn, gss, aux", "{" FULL ",\"branches\":[\"ffn\"]}" },
    { "attn_layers names layer 3, but n_layer = 3: there are 0 to 2 (nearest: 2)",
      "{" HYBRID("[1, 3]") ",\"n_head\":4}" },
    { "attn_layers names layer -1, but n_layer = 3: there are 0 to 2 (nearest: 0)", "{" HYBRID("[-1]") "}" },
    { "attn_layers names layer 1 twice", "{" HYBRID("[1, 1]") ",\"n_head\":4}" },
    { "attn_layers is not a list of layers, like [1, 8]", "{" HYBRID("1") "}" },
    { "attn_layers has an entry that is no whole number", "{" HYBRID("[0.5]") "}" },
    { "n_head is not used where no layer is attention; remove it, or name layers in attn_layers",
      "{" HYBRID("[]") ",\"n_head\":4}" },
    { "'n_head' is missing", "{" HYBRID("[0]") "}" },
    { "attn_layers is not used by arch 'pha' but by gss, h3;", "{" FULL ",\"attn_layers\":[1]}" },
    { "ssm: 's4d' is not one of gss, dss, s4d-lin, s4d-inv, s4d-real, s4d-legs",
      "{" HYBRID("[]") ",\"ssm\":\"s4d\"}" },
    { "n_mode = 0 is out of range (1 to 16384)", "{" HYBRID("[]") ",\"n_mode\":0}" },
    { "x.json: n_mode = 300, but ssm = dss has initial values for up to 256 modes (nearest: 256)",
      "{" HYBRID("[]") ",\"ssm\":\"dss\",\"n_mode\":300}" },
    { "x.json: n_mode = 257, but ssm = s4d-legs has", "{" HYBRID("[]") ",\"ssm\":\"s4d-legs\",\"n_mode\":257}" },
    { "x.json: ssm_state = 7 is odd, but its modes are pairs (nearest: 6, 8)", "{" H3 ",\"ssm_state\":7}" },
    { "x.json: ssm_state = 514, but ssm_init = legs has initial values for up to 512 (nearest: 512)",
      "{" H3 ",\"ssm_state\":514,\"ssm_init\":\"legs\"}" },
    { "window has 2 entries for n_layer = 3", "{" FULL ",\"window\":[1,2]}" },
    { "window has 6 entries for n_layer = 3", "{" FULL ",\"window\":[1,2,3,4,5,6]}" },
    { "window has 0 entries for n_layer = 3; a list is repeated", "{" FULL ",\"window\":[]}" },
    { "window = 0 is out of range", "{" FULL ",\"window\":0}" },
    { "local = 0 is out of range (1 to", "{" FULL ",\"local\":0}" },
    { "local is not a whole number", "{" FULL ",\"local\":[7]}" },
    { "layer 1 has a window of 5 and local = 7, two ways to cut attention short; remove one",
      "{" FULL ",\"local\":7,\"window\":[null,5,null]}" },
    { "local is not used where no layer is attention; remove it", "{" HYBRID("[]") ",\"local\":4}" },
    { "local is not used by arch 'linear' but by pha, seq, gpt2, gss, h3",
      "{\"arch\":\"linear\",\"vocab_size\":8,\"d_model\":16,\"n_layer\":1,\"local\":4}" },
    { "branch_gain is neither true nor false", "{" FULL ",\"branch_gain\":2}" },
    { "rope_theta = 0 is out of range", "{" FULL ",\"rope_theta\":0}" },
    { "embed_std is not a number", "{" FULL ",\"embed_std\":\"x\"}" },
    { "d_state = 40 is not a multiple of 16 (nearest: 32, 48)",
      "{" BASE ",\"n_head\":4,\"d_state\":40,\"d_aux\":1}" },
    { "d_state = 16 is out of range (32 to", "{" BASE ",\"n_head\":4,\"d_state\":16,\"d_aux\":1}" },
    { "'d_state' is missing", "{" BASE ",\"n_head\":4,\"d_aux\":1}" },
    { "'d_aux' is missing", "{" BASE ",\"n_head\":4,\"d_state\":32}" },
    { "'n_head' is missing", "{" BASE ",\"d_state\":32,\"d_aux\":1}" },
    { "d_model = 64 is not a multiple of n_head = 7 (nearest: 56, 70)",
      "{" BASE ",\"n_head\":7,\"d_state\":32,\"d_aux\":1}" },
    { "64 / 64 = 1 is odd (nearest d_model: 128)", "{" BASE ",\"n_head\":64,\"d_state\":32,\"d_aux\":1}" },
    { "n_head = 4 is not a multiple of n_kv_head = 3",
      "{" BASE ",\"n_head\":4,\"n_kv_head\":3,\"d_state\":32,\"d_aux\":1}" },
    { "n_head = 4 is not a multiple of n_kv_head = 8",
      "{" BASE ",\"n_head\":4,\"n_kv_head\":8,\"d_state\":32,\"d_aux\":1}" },
};

static void messages(void **state)
{
    (void)state;
    pha__config c;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        FAILS(BAD_INPUT, wrong[i].message, parse(&c, wrong[i].text));
    FAILS(IO, "/nowhere.json", pha__config_load(&c, "/nowhere.json", &rules));
    assert_int_equal(pha__mem_now(), 0);
}

/* What would be another model. */
static void contradictions(void **state)
{
    (void)state;
    static const struct { const char *message, *text; } cases[] = {
        { "tie_word_embeddings must be true", "{" FULL ",\"tie_word_embeddings\":false}" },
        { "hidden_size means d_model, which is 64", "{" FULL ",\"hidden_size\":128}" },
        { "num_key_value_heads means n_kv_head", "{" FULL ",\"num_key_value_heads\":\"2\"}" },
        { "hidden_act must be \"silu\"", "{" FULL ",\"hidden_act\":\"gelu\"}" },
        { "rms_norm_eps must be 1e-6", "{" FULL ",\"rms_norm_eps\":1e-5}" },
        { "rope_scaling must be null", "{" FULL ",\"rope_scaling\":{\"type\":\"linear\"}}" },
        { "attention_dropout must be 0", "{" FULL ",\"attention_dropout\":0.1}" },
        { "mlp_bias must be false", "{" FULL ",\"mlp_bias\":true}" },
        { "alpha = 0 is out of range", "{" FULL ",\"alpha\":0}" },
        { "vocab_size = 0 is out of range", "{\"arch\":\"pha\",\"vocab_size\":0}" },
    };
    pha__config c;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        FAILS(BAD_INPUT, cases[i].message, parse(&c, cases[i].text));
}

static int setup(void **state)
{
    root_setup(state);
    snprintf(file, sizeof file, "%s/config.json", root);
    return 0;
}

int main(void)
{
    rules = pha__rules();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(presets), cmocka_unit_test(least), cmocka_unit_test(defaults), cmocka_unit_test(hub_keys),
        cmocka_unit_test(hub_values),
        cmocka_unit_test(contradictions), cmocka_unit_test(switches),
        cmocka_unit_test(written_keys), cmocka_unit_test(messages),
    };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
