/* Any bytes as the data.json of a data folder: an error, or splits that come back when they are written again. An
 * object with a checksum is tried without it, too, or hardly any change would be read. */
#include <string.h>

#include "base/json.h"
#include "input.h"
#include "io/tokens.h"

/* The splits come back in the order of their names. */
static void check_split(const pha__data *d, const char *name, const pha__split_info *info)
{
    size_t i = 0;
    while (i < d->n && strcmp(d->split[i].name, name)) i++;
    if (i == d->n || memcmp(&d->split[i].info, info, sizeof *info) != 0) abort();
}

static void check(const char *folder, const char *path, const void *text, size_t size)
{
    static pha__data d, again;
    fuzz_write(path, text, size);
    if (pha__data_read(&d, folder) != PHA_OK) {
        if (!*pha_errmsg()) abort();
        return;
    }
    if (d.n > PHA__DATA_SPLITS || d.vocab_size < 1 || d.end_token < -1 || d.end_token >= d.vocab_size) abort();
    if (pha__data_write(folder, &d) != PHA_OK || pha__data_read(&again, folder) != PHA_OK) abort();
    if (again.n != d.n || again.seed != d.seed || again.tokenizer_hash != d.tokenizer_hash) abort();
    if (again.end_token != d.end_token || strcmp(again.joined, d.joined)) abort();
    for (size_t i = 0; i < d.n; i++) check_split(&again, d.split[i].name, &d.split[i].info);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *folder, *path;
    if (!folder) folder = fuzz_path(""), path = fuzz_path("data.json");
    check(folder, path, data, size);
    json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (json_object_get(json, "checksum")) {
        json_object_del(json, "checksum");
        char *text = json_dumps(json, JSON_REAL_PRECISION(17));
        if (!text) abort();
        check(folder, path, text, strlen(text));
        free(text);
    }
    json_decref(json);
    return 0;
}
