/* A good Arrow stream in which the input replaces bytes, three of it each: place and value; the last one cuts the file.
 * An error, or texts, and never one longer than the file. */
#include "input.h"
#include "io/text.h"
#include "support/arrow.h"

static const char *path;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const texts[] = {"a text", "", NULL, "the fourth one is longer than the others", "b"};
    static arrow a;
    if (size < 1) return 0;
    if (!path) path = fuzz_path("a.arrow");
    memset(&a, 0, sizeof a);
    a.wide = data[0] & 1;
    arrow_schema(&a);
    arrow_batch(&a, texts, 5);
    arrow_batch(&a, texts + 3, 2);
    size_t i = 1, n = a.n;
    for (; i + 3 <= size; i += 3) a.data[(size_t)(data[i] << 8 | data[i + 1]) % n] = (char)data[i + 2];
    if (i < size) n = (size_t)data[i] * n / 255;
    fuzz_write(path, (const uint8_t *)a.data, n);
    pha__text *t;
    pha__piece piece;
    size_t total = 0;
    pha_status status;
    pha__text_options options = {.piece = 7, .max_line = 4096, .check = true};
    if (pha__text_open(&t, &path, 1, &options) != PHA_OK) abort();
    while ((status = pha__text_next(t, &piece)) == PHA_OK && piece.data && total < 1 << 20) {
        if (piece.size == 0 || piece.size > n) abort();
        total += piece.size;
    }
    if (status != PHA_OK && !*pha_errmsg()) abort();
    pha__text_close(t);
    return 0;
}
