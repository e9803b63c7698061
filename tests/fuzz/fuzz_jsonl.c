/* Any bytes as a text file of each kind (the first byte chooses): an error, or documents. Text that is not compressed
 * comes back byte by byte. And as a JSON object in memory of exactly its size: what is found lies inside, does not grow
 * when it is decoded, and every beginning of an object is seen as cut. */
#include <string.h>

#include "base/utf8.h"
#include "input.h"
#include "io/json_text.h"
#include "io/text_impl.h"

enum { KINDS = 4 };
static const char *const names[KINDS] = { "a.jsonl", "a.tokens", "a.txt", "a.json" };
static const char *path[KINDS];

static bool is_compressed(const uint8_t *p, size_t n)
{
    return (n >= 2 && p[0] == 0x1f && p[1] == 0x8b) || (n >= 4 && p[0] == 0x28 && p[1] == 0xb5) ||
           (n >= 4 && (p[0] & 0xf0) == 0x50 && p[1] == 0x2a) || (n >= 6 && p[0] == 0xfd && p[1] == '7') ||
           (n >= 3 && memcmp(p, "BZh", 3) == 0);
}

static void check_object(const uint8_t *data, size_t size)
{
    static const char *const keys[] = { "text", "a.b", "" };
    for (int k = 0; k < 3; k++) {
        char *copy = malloc(size + !size);
        if (!copy) abort();
        memcpy(copy, data, size);
        pha__json_text text, part;
        pha__json_found found = pha__json_text_find(&text, copy, size, keys[k]);
        if (text.end > size || text.from > text.to || text.to > size) abort();
        if (found == PHA__JSON_BAD && !text.why) abort();
        bool whole = found == PHA__JSON_TEXT || found == PHA__JSON_NO_KEY || found == PHA__JSON_NO_STRING;
        for (size_t n = 0; whole && n < text.end && n < 200; n++) {
            char *begin = malloc(n + !n);
            if (!begin) abort();
            memcpy(begin, data, n);
            if (pha__json_text_find(&part, begin, n, keys[k]) != PHA__JSON_CUT) abort();
            free(begin);
        }
        uint64_t replaced = 0;
        if (found == PHA__JSON_TEXT) {
            size_t n = pha__json_text_decode(copy + text.from, text.to - text.from, &replaced);
            if (n > text.to - text.from || (!text.escaped && n != text.to - text.from)) abort();
            for (size_t at = 0; at < n;) { /* what comes out is UTF-8 */
                int32_t code;
                at += (size_t)pha__utf8_decode((unsigned char *)copy + text.from + at, n - at, &code);
                if (code < 0) abort();
            }
        }
        free(copy);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    for (int i = 0; i < KINDS && !path[i]; i++) path[i] = fuzz_path(names[i]);
    int kind = data[0] % KINDS;
    bool skip = data[0] & 0x80, exact = (kind == 1 || kind == 2) && !is_compressed(data + 1, size - 1);
    exact = exact && !pha__text_is_arrow((const char *)data + 1, size - 1);
    pha__text_options options = { .cuts = PHA__CUT_BLANK, .piece = 1 + data[0] / KINDS % 8 * 5,
                                  .skip_bad = skip, .max_line = 4096 };
    data++, size--;
    check_object(data, size);
    fuzz_write(path[kind], data, size);
    pha__text *t;
    if (pha__text_open(&t, (const char *[]){ path[kind] }, 1, &options) != PHA_OK) abort();
    pha__piece piece;
    size_t at = 0, total = 0;
    bool open = false;
    pha_status status;
    while ((status = pha__text_next(t, &piece)) == PHA_OK && piece.data && total < 1 << 20) {
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
