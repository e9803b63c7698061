/* tokens.c -- the shards of one split, mapped and checked, as one stream of token ids */
#include "io/tokens.h"

#include <inttypes.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/print.h"

typedef struct shard {
    pha__map map;
    pha__shard_header header;
} shard;

struct pha__tokens {
    shard *shards;
    size_t n;
    uint64_t count;
};

/* How many files in the folder are named as shards of this split. */
static pha_status count_shards(const char *folder, const char *split, size_t *n)
{
    char **names;
    size_t n_names, length = strlen(split);
    *n = 0;
    TRY(pha__list_dir(&names, &n_names, folder));
    for (size_t i = 0; i < n_names; i++) {
        const char *s = names[i];
        *n += strlen(s) == length + 10 && memcmp(s, split, length) == 0 && s[length] == '-' &&
              strspn(s + length + 1, "0123456789") == 5 && strcmp(s + length + 6, ".tok") == 0;
    }
    pha__free_list(names, n_names);
    return PHA_OK;
}

static pha_status check_shard(const pha__tokens *t, size_t i, bool verify)
{
    const shard *s = &t->shards[i];
    const pha__shard_header *h = &s->header, *zero = &t->shards[0].header;
    const char *path = s->map.path;
    if (h->index != i || h->first != t->count)
        FAIL(BAD_INPUT,
             "%s: it is shard %u beginning at token %" PRIu64 ", expected was shard %zu at %" PRIu64 " (renamed?)",
             path, h->index, h->first, i, t->count);
    if (h->vocab_size != zero->vocab_size || h->tokenizer_hash != zero->tokenizer_hash)
        FAIL(BAD_INPUT, "%s: made with another tokenizer than shard 0 (V %d and %d); run pha prepare again", path,
             h->vocab_size, zero->vocab_size);
    size_t bytes = (size_t)h->count * h->width;
    if (verify && pha__hash(s->map.data + PHA__SHARD_HEADER, bytes, 0) != h->checksum)
        FAIL(BAD_INPUT, "%s: the checksum is wrong: the file is damaged; run pha prepare again", path);
    return PHA_OK;
}

static pha_status open_shard(pha__tokens *t, size_t i, const char *folder, const char *split, bool verify)
{
    char name[64];
    pha__print(name, sizeof name, "%s-%05zu.tok", split, i);
    char *path = pha__path_join(folder, name);
    if (!path) FAIL(NO_MEMORY, "%s: out of memory", folder);
    shard *s = &t->shards[i];
    pha_status status = PHA_OK;
    if (!pha__exists(path))
        status = pha__fail(PHA_BAD_INPUT,
                           "%s: missing, though there are %zu shards of this split; run pha prepare again", path, t->n);
    if (status == PHA_OK) status = pha__map_open(&s->map, path);
    if (status == PHA_OK) status = pha__shard_header_get(&s->header, s->map.data, s->map.size, path);
    if (status == PHA_OK) status = check_shard(t, i, verify);
    if (status == PHA_OK) t->count += s->header.count;
    pha__free(path);
    return status;
}

/* A last shard that is missing leaves no gap; data.json knows better, where there is one. */
static pha_status check_data(const pha__tokens *t, const char *folder, const char *split)
{
    char *path = pha__path_join(folder, "data.json");
    if (!path) FAIL(NO_MEMORY, "%s: out of memory", folder);
    bool have = pha__exists(path);
    pha__free(path);
    if (!have) return PHA_OK;
    pha__split_info info;
    TRY(pha__data_info(&info, folder, split));
    if (info.tokens != t->count)
        FAIL(BAD_INPUT,
             "%s: data.json says %" PRIu64 " tokens in '%s', the shards hold %" PRIu64 "; run pha prepare again",
             folder, info.tokens, split, t->count);
    return PHA_OK;
}

static pha_status open_all(pha__tokens *t, const char *folder, const char *split, bool verify)
{
    size_t n;
    if (strlen(split) > 15) FAIL(USAGE, "%s: no split '%s'", folder, split);
    TRY(pha__settle(folder, false));
    TRY(pha__need_dir(folder, "make a data folder with pha prepare"));
    TRY(count_shards(folder, split, &n));
    if (n == 0)
        FAIL(BAD_INPUT, "%s: no split '%s' (no file %s-00000.tok); make a data folder with pha prepare", folder, split,
             split);
    t->shards = pha__alloc_zero(n, sizeof *t->shards);
    if (!t->shards) FAIL(NO_MEMORY, "%s: out of memory", folder);
    t->n = n;
    for (size_t i = 0; i < n; i++) TRY(open_shard(t, i, folder, split, verify));
    return check_data(t, folder, split);
}

pha_status pha__tokens_open(pha__tokens **out, const char *folder, const char *split, bool verify)
{
    *out = NULL;
    pha__tokens *t = pha__alloc_zero(1, sizeof *t);
    if (!t) FAIL(NO_MEMORY, "%s: out of memory", folder);
    pha_status status = open_all(t, folder, split, verify);
    if (status != PHA_OK) {
        pha__tokens_close(t);
        return status;
    }
    *out = t;
    return PHA_OK;
}

void pha__tokens_close(pha__tokens *t)
{
    if (!t) return;
    for (size_t i = 0; i < t->n; i++) pha__map_close(&t->shards[i].map);
    pha__free(t->shards);
    pha__free(t);
}

uint64_t pha__tokens_count(const pha__tokens *t) { return t->count; }
int32_t pha__tokens_vocab(const pha__tokens *t) { return t->shards[0].header.vocab_size; }
uint64_t pha__tokens_tokenizer_hash(const pha__tokens *t) { return t->shards[0].header.tokenizer_hash; }

uint64_t pha__tokens_identity(const pha__tokens *t)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < t->n; i++) { /* a header has all of that, and its place among the others */
        unsigned char header[PHA__SHARD_HEADER];
        pha__shard_header_put(&t->shards[i].header, header);
        hash = pha__hash(header, sizeof header, hash);
    }
    return hash;
}

/* The shard that holds token i < count. */
static const shard *find_shard(const pha__tokens *t, uint64_t i)
{
    size_t low = 0, high = t->n - 1;
    while (low < high) {
        size_t middle = (low + high + 1) / 2;
        if (t->shards[middle].header.first <= i) low = middle;
        else high = middle - 1;
    }
    return &t->shards[low];
}

/* The largest of n ids that were copied, as an unsigned number. */
static uint32_t copy_ids(int32_t *out, const unsigned char *from, size_t n, uint32_t width)
{
    uint32_t largest = 0;
    if (width == 2) {
        for (size_t i = 0; i < n; i++) {
            uint32_t id = (uint32_t)(from[2 * i] | from[2 * i + 1] << 8);
            out[i] = (int32_t)id;
            largest = id > largest ? id : largest;
        }
    } else {
        for (size_t i = 0; i < n; i++) {
            const unsigned char *p = from + 4 * i;
            uint32_t id = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
            out[i] = (int32_t)id;
            largest = id > largest ? id : largest;
        }
    }
    return largest;
}

pha_status pha__tokens_read(const pha__tokens *t, uint64_t begin, size_t n, int32_t *out)
{
    if (begin > t->count || n > t->count - begin)
        FAIL(FAILED, "tokens %" PRIu64 " to %" PRIu64 " of %" PRIu64 " were asked for", begin, begin + n, t->count);
    while (n > 0) {
        const shard *s = find_shard(t, begin);
        uint64_t offset = begin - s->header.first, left = s->header.count - offset;
        size_t some = n < left ? n : (size_t)left;
        uint32_t width = s->header.width;
        uint32_t largest = copy_ids(out, s->map.data + PHA__SHARD_HEADER + offset * width, some, width);
        if (largest >= (uint32_t)s->header.vocab_size)
            FAIL(BAD_INPUT,
                 "%s: token id %u near token %" PRIu64
                 ", but the vocabulary has %d; the file is damaged, run pha prepare again",
                 s->map.path, largest, begin, s->header.vocab_size);
        out += some, begin += some, n -= some;
    }
    return PHA_OK;
}
