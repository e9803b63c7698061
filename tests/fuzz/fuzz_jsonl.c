/* Any bytes as a text file of each kind (the first byte chooses): an error, or documents. Text that is not compressed
 * comes back byte by byte. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "io/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KINDS = 3 };
static const char *const names[KINDS] = { "a.jsonl", "a.tokens", "a.txt" };
static char folder[] = "/tmp/pha-fuzz-XXXXXX", path[KINDS][64];

static void quiet(void *context, pha__log_level level, const char *text)
{
    (void)context, (void)level, (void)text;
}

static void clean_up(void)
{
    for (int i = 0; i < KINDS; i++) unlink(path[i]);
    rmdir(folder);
}

static void set_up(void)
{
    if (path[0][0]) return;
    if (!mkdtemp(folder)) abort();
    for (int i = 0; i < KINDS; i++) snprintf(path[i], sizeof path[i], "%s/%s", folder, names[i]);
    pha__log_to(quiet, NULL);
    atexit(clean_up);
}

static bool is_compressed(const uint8_t *p, size_t n)
{
    return (n >= 2 && p[0] == 0x1f && p[1] == 0x8b) || (n >= 4 && p[0] == 0x28 && p[1] == 0xb5) ||
           (n >= 4 && (p[0] & 0xf0) == 0x50 && p[1] == 0x2a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    set_up();
    int kind = data[0] % KINDS;
    bool skip = data[0] & 0x80, exact = kind > 0 && !is_compressed(data + 1, size - 1);
    pha__text_options options = { .piece = 1 + data[0] / KINDS % 8 * 5, .skip_bad = skip, .max_line = 4096 };
    data++, size--;
    FILE *f = fopen(path[kind], "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f) != 0) abort();
    pha__text *t;
    if (pha__text_open(&t, (const char *[]){ path[kind] }, 1, &options) != PHA_OK) abort();
    pha__piece piece;
    size_t at = 0, total = 0;
    bool open = false;
    pha_status status;
    while ((status = pha__text_next(t, &piece)) == PHA_OK && piece.data && total < 16 << 20) {
        if (piece.size == 0 || piece.begins == open) abort();
        open = !piece.ends;
        if (exact && (piece.size > size - at || memcmp(piece.data, data + at, piece.size) != 0)) abort();
        at += exact ? piece.size : 0;
        total += piece.size;
    }
    if (status != PHA_OK && !*pha_errmsg()) abort();
    if (status == PHA_OK && !piece.data && (open || (exact && at != size))) abort();
    pha__text_close(t);
    return 0;
}
