/* Any bytes as a task file, the first one a bit set: with labels beside it (the bytes behind the last empty line, as
 * PIQA is published), read in part, in a small context. An error, or items that can be scored. */
#include <string.h>

#include "input.h"
#include "runtime/task/task.h"

static void check(const pha__exam *t, int32_t context)
{
    if (t->n == 0) abort();
    for (size_t i = 0; i < t->n; i++) {
        const pha__item *item = &t->items[i];
        if (item->n < 1 || item->gold < 0 || item->gold >= item->n || item->n_ids < 1) abort();
        if (item->dropped < 0 || (item->dropped && item->dropped > item->n_ids)) abort();
        for (int k = 0; k < item->n; k++) {
            const pha__choice *c = &item->choices[k];
            if (c->n < 1 || c->n > context || c->size < 1 || c->bytes > (double)c->size) abort();
            if (item->n_ids - item->dropped + c->n > context + 1) abort();
        }
    }
}

/* Where the labels begin: behind the last empty line. */
static size_t labels_of(const uint8_t *data, size_t size)
{
    while (size >= 2 && memcmp(data + size - 2, "\n\n", 2) != 0) size--;
    return size >= 2 ? size : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static pha__tokenizer *tokenizer;
    static const char *path, *labels;
    if (!tokenizer) {
        if (pha__tokenizer_open(&tokenizer, "bytes")) abort();
        path = fuzz_path("task.jsonl"), labels = fuzz_path("task-labels.lst");
    }
    if (size < 1) return 0;
    int32_t context = data[0] & 4 ? 12 : 4096;
    uint64_t most = data[0] & 2 ? 2 : 0;
    size_t cut = data[0] & 1 ? labels_of(data + 1, size - 1) : 0;
    remove(labels);
    if (cut) fuzz_write(labels, data + 1 + cut, size - 1 - cut);
    fuzz_write(path, data + 1, cut ? cut : size - 1);
    pha__exam t = {0};
    pha_status status = pha__task_read(&t, path, most);
    if (!status) status = pha__task_encode(&t, tokenizer, context);
    if (!status) check(&t, context);
    else if (status != PHA_BAD_INPUT || !*pha_errmsg()) abort();
    pha__task_free(&t);
    return 0;
}
