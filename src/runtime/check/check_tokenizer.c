/* check_tokenizer.c -- bytes through the tokenizer and back */
#include <string.h>

#include "base/utf8.h"
#include "io/tokenizer/tokenizer_impl.h"
#include "runtime/check/check.h"

enum { TRIALS = 200, MOST = 600 };

static void random_bytes(pha__str *s, uint64_t *random)
{
    for (int n = (int)(MOST * pha__check_random(random)); n > 0; n--)
        pha__str_add(s, &(char){(char)(256 * pha__check_random(random))}, 1);
}

/* Characters of all lengths, and words with blanks and line ends between. */
static void random_text(pha__str *s, uint64_t *random)
{
    static const int32_t most[] = {0x80, 0x800, 0x3000, 0xD800, 0x10FFFF};
    for (int n = (int)(MOST / 3 * pha__check_random(random)); n > 0; n--) {
        unsigned char bytes[4];
        double kind = pha__check_random(random);
        int32_t letter = 'a' + (int32_t)(26 * pha__check_random(random));
        int32_t highest = most[(int)(5 * pha__check_random(random))];
        int32_t any = 1 + (int32_t)(0.99 * highest * pha__check_random(random));
        int32_t code = kind < 0.2 ? ' ' : kind < 0.23 ? '\n' : kind < 0.5 ? letter : any;
        if (code >= 0xD800 && code < 0xE000) code = 0xE000;
        pha__str_add(s, bytes, (size_t)pha__utf8_encode(code, bytes));
    }
}

/* Text -> ids -> text. Every id is one of the vocabulary, or decoding fails. */
static pha_status there_and_back(const pha_tokenizer *t, const pha__str *in, pha__str *out)
{
    int32_t *ids;
    size_t n, size;
    char *text;
    TRY(pha_tokenizer_encode(t, in->size ? in->data : "", in->size, false, &ids, &n));
    pha_status status = pha_tokenizer_decode(t, ids, n, &text, &size);
    pha_free(ids);
    TRY(status);
    pha__str_clear(out);
    pha__str_add(out, text, size);
    pha_free(text);
    return out->failed ? PHA_NO_MEMORY : PHA_OK;
}

static bool same(const pha__str *a, const pha__str *b)
{
    return a->size == b->size && (!a->size || memcmp(a->data, b->data, a->size) == 0);
}

/* A tokenizer.json may ask for a normal form, for a blank in front, or for text to be dropped: then what came back must
 * come back the same. */
static bool may_change(const pha__tokenizer *t)
{
    bool strips = false;
    for (int i = 0; i < t->n_added; i++) strips |= t->added[i].lstrip || t->added[i].rstrip;
    return t->forms.n > 0 || t->add_prefix_space || t->pipeline.n > 0 || strips;
}

static pha_status trials(const pha_tokenizer *public, pha__finding *f)
{
    const pha__tokenizer *t = (const pha__tokenizer *)public; /* tokenizer_api.c */
    pha__str in = {0}, out = {0}, again = {0};
    uint64_t random = 3;
    int changed = 0, bad = -1;
    pha_status status = PHA_OK;
    for (int i = 0; i < TRIALS && bad < 0 && !status; i++) {
        pha__str_clear(&in);
        if (i % 2) random_text(&in, &random);
        else random_bytes(&in, &random);
        status = in.failed ? PHA_NO_MEMORY : there_and_back(public, &in, &out);
        if (status || same(&in, &out)) continue;
        if (may_change(t)) status = there_and_back(public, &out, &again);
        if (!may_change(t) || !same(&out, &again)) bad = i;
        changed++;
    }
    pha__str_free(&in);
    pha__str_free(&out);
    pha__str_free(&again);
    TRY(status);
    const char *kind = bad % 2 ? "UTF-8" : "bytes";
    if (bad >= 0) pha__check_same(f, false, "text %d, of random %s, does not come back", bad, kind);
    else if (!changed) pha__check_same(f, true, "%d texts of random bytes and UTF-8 there and back", TRIALS);
    else pha__check_same(f, true, "%d texts there and back, %d of them in the form that it asks for", TRIALS, changed);
    return PHA_OK;
}

pha_status pha__try_tokenizer(pha__check *c, pha__finding *f)
{
    pha_tokenizer *bytes;
    if (pha_model_tokenizer(c->model)) return trials(pha_model_tokenizer(c->model), f);
    TRY(pha_tokenizer_open(&bytes, "bytes"));
    pha_status status = trials(bytes, f);
    pha_tokenizer_close(bytes);
    if (!status && f->passed) pha__print(f->text, sizeof f->text, "the model has none; %d texts through bytes", TRIALS);
    return status;
}
