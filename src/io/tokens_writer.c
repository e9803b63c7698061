/* tokens_writer.c -- one split of tokens into shards, each written beside its name, synced and renamed */
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/print.h"
#include "io/tokens.h"

enum { STAGE = 32768 }; /* ids converted at a time */

struct pha__tokens_writer {
    char *folder;
    char split[16];
    pha__shard_header header; /* of the open shard, or of the next one */
    uint64_t limit;
    pha__writer *file;        /* NULL: no shard is open */
    pha__hasher *hasher;
    pha_status status;        /* of the first failure */
    unsigned char stage[STAGE * 4];
};

pha_status pha__tokens_writer_open(pha__tokens_writer **out, const char *folder, const char *split, int32_t vocab_size,
                                   uint64_t tokenizer_hash)
{
    *out = NULL;
    if (vocab_size < 1) FAIL(USAGE, "%s: a vocabulary of %d", folder, vocab_size);
    pha__tokens_writer *w = pha__alloc(1, sizeof *w);
    if (!w) FAIL(NO_MEMORY, "%s: out of memory for writing tokens", folder);
    memset(w, 0, offsetof(pha__tokens_writer, stage));
    w->header = (pha__shard_header){ .width = vocab_size <= 65536 ? 2 : 4,
                                     .vocab_size = vocab_size,
                                     .tokenizer_hash = tokenizer_hash };
    w->limit = (uint64_t)1 << 28;
    w->folder = pha__strdup(folder);
    if (!w->folder || (size_t)pha__print(w->split, sizeof w->split, "%s", split) >= sizeof w->split) {
        pha_status status = w->folder ? PHA_USAGE : PHA_NO_MEMORY;
        pha__tokens_writer_abort(w);
        return pha__fail(status, "%s: cannot write the split '%s' (out of memory, or too long a name)", folder, split);
    }
    *out = w;
    return PHA_OK;
}

void pha__tokens_writer_limit(pha__tokens_writer *w, uint64_t n) { w->limit = n; }

static pha_status begin_shard(pha__tokens_writer *w)
{
    char name[64];
    pha__print(name, sizeof name, "%s-%05u.tok", w->split, w->header.index);
    char *path = pha__path_join(w->folder, name);
    if (!path) FAIL(NO_MEMORY, "%s: out of memory", w->folder);
    pha_status status = pha__writer_open(&w->file, path);
    pha__free(path);
    TRY(status);
    w->hasher = pha__hasher_open();
    if (!w->hasher) FAIL(NO_MEMORY, "%s: out of memory", w->folder);
    unsigned char header[PHA__SHARD_HEADER] = { 0 }; /* no magic until the shard is complete */
    return pha__writer_write(w->file, header, sizeof header);
}

static pha_status end_shard(pha__tokens_writer *w)
{
    unsigned char header[PHA__SHARD_HEADER];
    w->header.checksum = pha__hasher_value(w->hasher);
    pha__hasher_close(w->hasher);
    w->hasher = NULL;
    pha__shard_header_put(&w->header, header);
    TRY(pha__writer_patch(w->file, 0, header, sizeof header));
    pha_status status = pha__writer_commit(w->file); /* frees it in any case */
    w->file = NULL;
    w->header.index++;
    w->header.first += w->header.count;
    w->header.count = 0;
    return status;
}

/* n <= STAGE ids into the open shard */
static pha_status add_some(pha__tokens_writer *w, const int32_t *ids, size_t n)
{
    unsigned char *to = w->stage;
    uint32_t vocab = (uint32_t)w->header.vocab_size, width = w->header.width;
    for (size_t i = 0; i < n; i++) {
        uint32_t id = (uint32_t)ids[i];
        if (id >= vocab) FAIL(FAILED, "%s: token id %d outside of the vocabulary of %u", w->folder, ids[i], vocab);
        to[0] = (unsigned char)id, to[1] = (unsigned char)(id >> 8);
        if (width == 4) to[2] = (unsigned char)(id >> 16), to[3] = (unsigned char)(id >> 24);
        to += width;
    }
    pha__hasher_add(w->hasher, w->stage, n * width);
    w->header.count += n;
    return pha__writer_write(w->file, w->stage, n * width);
}

static pha_status add(pha__tokens_writer *w, const int32_t *ids, size_t n)
{
    while (n > 0) {
        if (w->file && w->header.count == w->limit) TRY(end_shard(w));
        if (!w->file) TRY(begin_shard(w));
        size_t some = n < STAGE ? n : STAGE;
        if (some > w->limit - w->header.count) some = (size_t)(w->limit - w->header.count);
        TRY(add_some(w, ids, some));
        ids += some, n -= some;
    }
    return PHA_OK;
}

pha_status pha__tokens_writer_add(pha__tokens_writer *w, const int32_t *ids, size_t n)
{
    if (w->status == PHA_OK) w->status = add(w, ids, n);
    return w->status;
}

static pha_status finish(pha__tokens_writer *w)
{
    TRY(w->status);
    if (!w->file && w->header.index == 0) TRY(begin_shard(w)); /* an empty split is one empty shard */
    return w->file ? end_shard(w) : PHA_OK;
}

pha_status pha__tokens_writer_finish(pha__tokens_writer *w, uint64_t *n_tokens)
{
    pha_status status = finish(w);
    if (n_tokens) *n_tokens = status == PHA_OK ? w->header.first : 0;
    pha__tokens_writer_abort(w);
    return status;
}

void pha__tokens_writer_abort(pha__tokens_writer *w)
{
    if (!w) return;
    pha__writer_abort(w->file);
    pha__hasher_close(w->hasher);
    pha__free(w->folder);
    pha__free(w);
}
