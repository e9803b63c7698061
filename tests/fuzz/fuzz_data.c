/* Any bytes as the data.json of a data folder: an error, or splits that come back when they are written again */
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "input.h"
#include "io/tokens.h"

static char folder[] = "/tmp/pha-fuzz-XXXXXX", path[64];

static void clean_up(void)
{
    unlink(path);
    rmdir(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static pha__data d, again;
    if (!path[0]) {
        if (!mkdtemp(folder)) abort();
        snprintf(path, sizeof path, "%s/data.json", folder);
        atexit(clean_up);
    }
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) abort();
    if (pha__data_read(&d, folder) != PHA_OK) {
        if (!*pha_errmsg()) abort();
        return 0;
    }
    if (d.n > PHA__DATA_SPLITS || d.vocab_size < 1) abort();
    if (pha__data_write(folder, &d) != PHA_OK || pha__data_read(&again, folder) != PHA_OK) abort();
    if (again.n != d.n || again.seed != d.seed || again.tokenizer_hash != d.tokenizer_hash) abort();
    if (again.end_token != d.end_token || memcmp(again.split, d.split, sizeof d.split) != 0) abort();
    return 0;
}
