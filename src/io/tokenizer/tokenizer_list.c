/* tokenizer_list.c -- a vocabulary as the files of other programs have it */
#include "io/tokenizer/tokenizer_impl.h"

/* In byte characters. */
static void put_chars(pha__str *out, const pha__tokenizer *t, int32_t id)
{
    size_t size;
    const unsigned char *bytes = pha__tokenizer_bytes(t, id, &size);
    for (size_t i = 0; i < size; i++) {
        char c[2] = {0};
        int n = pha__byte_char(bytes[i], c);
        pha__str_add(out, c, (size_t)n);
    }
}

static bool is_added(const pha__tokenizer *t, int32_t id)
{
    for (int32_t i = 0; i < t->n_added; i++)
        if (t->added[i].id == id) return true;
    return false;
}

pha__token_listed pha__tokenizer_list(const pha__tokenizer *t, int32_t id, pha__str *text)
{
    size_t size = 0;
    const unsigned char *bytes = pha__tokenizer_bytes(t, id, &size);
    if (!bytes || !size) return PHA__LISTED_NONE;
    bool added = is_added(t, id);
    if (text && added) pha__str_add(text, bytes, size);
    if (text && !added) put_chars(text, t, id);
    return !added ? PHA__LISTED_NORMAL : t->flags[id] & PHA__IS_SPECIAL ? PHA__LISTED_SPECIAL : PHA__LISTED_ADDED;
}

uint32_t pha__tokenizer_merges(const pha__tokenizer *t) { return t->n_merges; }

void pha__tokenizer_list_merge(const pha__tokenizer *t, uint32_t rank, pha__str *text)
{
    put_chars(text, t, t->merges[rank].left);
    pha__str_add(text, " ", 1);
    put_chars(text, t, t->merges[rank].right);
}

const char *pha__tokenizer_plain(const pha__tokenizer *t)
{
    if (t->pipeline.n || t->forms.n || t->add_prefix_space) return NULL;
    switch (t->split) {
    case PHA__SPLIT_GPT2: return "gpt2";
    case PHA__SPLIT_LLAMA3: return "llama3";
    case PHA__SPLIT_QWEN2: return "qwen2";
    default: return NULL;
    }
}
