/* Any bytes as config.json: an error, or a configuration that survives being written and read again */
#include <string.h>

#include "base/json.h"
#include "input.h"
#include "runtime/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const pha__config_rules rules = pha__rules();
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
