/* Any bytes as config.json: an error, or a configuration that survives being written and read again */
#include <string.h>

#include "base/json.h"
#include "input.h"
#include "io/config.h"

static const char *const pha_keys[] = {"n_head",      "n_kv_head",  "d_state",       "d_ffn",      "d_aux",
                                       "branches",    "residual",   "main_residual", "alpha",      "embed_std",
                                       "gate_bias",   "wb_scale",   "window",        "mix",        "qk",
                                       "branch_gain", "rope_theta", "rope",          "gss_filter", NULL};
static const char *const seq_keys[] = {"n_head", "n_kv_head", "d_state", "d_ffn", "residual", "alpha", "embed_std",
                                       "gate_bias", "wb_scale", "seq_norm", "window", "qk", "rope_theta", "rope",
                                       "gss_filter", NULL};

static const char *const *keys_of(const char *arch)
{
    return strcmp(arch, "pha") == 0 ? pha_keys : strcmp(arch, "seq") == 0 ? seq_keys : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const pha__config_rules rules = {keys_of, "pha, seq"};
    static pha__config c, again;
    json_t *json;
    if (pha__json_parse(&json, (const char *)data, size, "fuzz") != PHA_OK) {
        if (!*pha_errmsg()) abort();
        return 0;
    }
    pha_status status = pha__config_parse(&c, json, "fuzz", &rules);
    json_decref(json);
    if (status != PHA_OK) {
        if (status != PHA_BAD_INPUT || !*pha_errmsg()) abort();
        return 0;
    }
    if (c.n_layer < 1 || c.n_layer > PHA__MAX_LAYER || c.d_model < 1 || c.vocab_size < 0) abort();
    if (!(json = pha__config_to_json(&c, &rules))) abort();
    if (pha__config_parse(&again, json, "again", &rules) != PHA_OK) {
        fprintf(stderr, "%s\n", pha_errmsg());
        abort();
    }
    if (memcmp(&c, &again, sizeof c) != 0) abort();
    json_decref(json);
    return 0;
}
