/* template.c -- chats as prompts */
#include "serve/template.h"

#include <stdlib.h>
#include <string.h>

static const char plain_text[] =
    "{% for message in messages %}{{ message['content'] }}{% if not loop.last %}{{ '\\n\\n' }}{% endif %}{% endfor %}";
static const char chatml_text[] =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

typedef struct Ids {
    const pha_tokenizer *tokenizer;
    int32_t *ids;
    size_t n;
} Ids;

static bool add(Ids *out, const char *text, size_t size, bool special, Fault *fault)
{
    int32_t *more;
    size_t n;
    pha_status status = pha_tokenizer_encode(out->tokenizer, text, size, special, &more, &n);
    if (status) return fault_library(fault, status);
    int32_t *grown = realloc(out->ids, (out->n + n + 1) * sizeof *grown);
    if (grown) {
        if (n) memcpy(grown + out->n, more, n * sizeof *more);
        out->ids = grown, out->n += n;
    }
    pha_free(more);
    return grown || fault_set(fault, 503, NULL, "no memory for the request");
}

static bool plain(Ids *out, const Ask *a, Fault *fault)
{
    Text all = {0};
    for (size_t i = 0; i < a->n_messages; i++) {
        if (i) text_put(&all, "\n\n");
        text_add(&all, a->messages[i].content.text, a->messages[i].content.size);
    }
    bool good = all.failed ? fault_set(fault, 503, NULL, "no memory for the request")
                           : add(out, all.data, all.size, false, fault);
    text_free(&all);
    return good;
}

static bool chatml(Ids *out, const Ask *a, Fault *fault)
{
    static const char start[] = "<|im_start|>", end[] = "<|im_end|>", answer[] = "<|im_start|>assistant\n";
    for (size_t i = 0; i < a->n_messages; i++) {
        const Message *m = &a->messages[i];
        Text body = {0};
        text_add(&body, m->role.text, m->role.size);
        text_put(&body, "\n");
        text_add(&body, m->content.text, m->content.size);
        bool good = body.failed ? fault_set(fault, 503, NULL, "no memory for the request")
                                : add(out, start, strlen(start), true, fault) &&
                                      add(out, body.data, body.size, false, fault) &&
                                      add(out, end, strlen(end), true, fault) && add(out, "\n", 1, false, fault);
        text_free(&body);
        if (!good) return false;
    }
    return add(out, answer, strlen(answer), true, fault);
}

/* ---- a template of the language --------------------------------------------------------------------------- */

/* The longest special token that the text has at `at`; its bytes, or 0. */
static size_t special_at(const Template *t, const Text *text, size_t at)
{
    size_t longest = 0, n;
    if (!t->begins[(unsigned char)text->data[at]]) return 0;
    for (size_t i = 0; i < t->n_special; i++) {
        const char *bytes = tokens_bytes(t->tokens, t->special[i], &n);
        bool there = n > longest && n <= text->size - at && memcmp(text->data + at, bytes, n) == 0;
        if (there) longest = n;
    }
    return longest;
}

/* The text is encoded as a whole, and so as in training, but for special tokens that people wrote, or finished writing:
 * each of those is encoded alone, as text. */
static bool encode(const Template *t, Ids *out, const Text *text, const Text *theirs, Fault *fault)
{
    size_t done = 0;
    for (size_t at = 0; at < text->size;) {
        size_t n = special_at(t, text, at);
        bool wrote = n && memchr(theirs->data + at, 1, n);
        if (wrote && at > done && !add(out, text->data + done, at - done, true, fault)) return false;
        if (wrote && !add(out, text->data + at, n, false, fault)) return false;
        at += n ? n : 1;
        if (wrote) done = at;
    }
    return done == text->size || add(out, text->data + done, text->size - done, true, fault);
}

static bool jinja(const Template *t, Ids *out, const Ask *a, Fault *fault)
{
    char why[300];
    Text text, theirs;
    JinjaChat chat = {.messages = a->messages, .n = a->n_messages, .bos = t->bos, .eos = t->eos, .prompt = true};
    if (!jinja_render(t->jinja, &chat, &text, &theirs, why))
        return fault_set(fault, 400, "messages", "the chat template %.100s: %s", t->name, why);
    bool good = encode(t, out, &text, &theirs, fault);
    text_free(&text);
    text_free(&theirs);
    return good;
}

bool template_encode(const Template *t, const Ask *a, int32_t **ids, size_t *n, Fault *fault)
{
    Ids out = {.tokenizer = t->tokenizer};
    bool good = t->kind == TEMPLATE_JINJA    ? jinja(t, &out, a, fault)
                : t->kind == TEMPLATE_CHATML ? chatml(&out, a, fault)
                                             : plain(&out, a, fault);
    if (!good) free(out.ids), out = (Ids){0};
    *ids = out.ids, *n = out.n;
    return good;
}

/* ---- opening ---------------------------------------------------------------------------------------------- */

/* Those that are a token where they are looked for, and several where not. */
static bool find_special(Template *t)
{
    t->special = malloc(((size_t)t->tokens->n + 1) * sizeof *t->special);
    for (int32_t id = 0; t->special && id < t->tokens->n; id++) {
        size_t n, n_ids[2] = {0};
        const char *bytes = tokens_bytes(t->tokens, id, &n);
        int32_t *ids[2] = {NULL}, one = -1;
        for (int k = 0; k < 2 && n > 2; k++)
            if (pha_tokenizer_encode(t->tokenizer, bytes, n, k, &ids[k], &n_ids[k])) n_ids[k] = 0;
        if (n_ids[1] == 1) one = ids[1][0];
        if (one == id && !(n_ids[0] == 1 && ids[0][0] == id)) {
            t->special[t->n_special++] = id;
            t->begins[(unsigned char)*bytes] = true;
        }
        pha_free(ids[0]);
        pha_free(ids[1]);
    }
    return t->special != NULL;
}

/* One question, and a second one behind an answer. */
static bool try(const Template *t, char *why)
{
    static char user[] = "user", assistant[] = "assistant", text[] = "text";
    const Piece content = {.text = text, .size = 4};
    Message chat[] = {{{.text = user, .size = 4}, content}, {{.text = assistant, .size = 9}, content},
                      {{.text = user, .size = 4}, content}};
    for (size_t n = 1; n <= 3; n += 2) {
        char reason[300];
        Text out, theirs;
        JinjaChat c = {.messages = chat, .n = n, .bos = t->bos, .eos = t->eos, .prompt = true};
        if (!jinja_render(t->jinja, &c, &out, &theirs, reason)) {
            snprintf(why, 500, "%.100s: a chat of %zu messages: %.280s", t->name, n, reason);
            return false;
        }
        text_free(&out);
        text_free(&theirs);
    }
    return true;
}

static bool use(Template *t, int kind, const char *name, const char *text)
{
    t->kind = kind;
    snprintf(t->name, sizeof t->name, "%s", name);
    t->text = strdup(text);
    return t->text != NULL;
}

bool template_open(Template *t, const char *wanted, const char *folder, const Tokens *tokens,
                   const pha_tokenizer *tokenizer, char *why)
{
    char reason[300];
    *t = (Template){.tokens = tokens, .tokenizer = tokenizer};
    snprintf(why, 500, "no memory for it");
    if (wanted && strcmp(wanted, "plain") == 0) return use(t, TEMPLATE_PLAIN, "plain", plain_text);
    if (wanted && strcmp(wanted, "chatml") == 0) return use(t, TEMPLATE_CHATML, "chatml", chatml_text);
    if (!template_load(t, wanted, folder, why)) return false;
    if (!t->text) return use(t, TEMPLATE_PLAIN, "plain", plain_text);
    t->kind = TEMPLATE_JINJA;
    t->jinja = jinja_open(t->text, strlen(t->text), reason);
    if (!t->jinja) return snprintf(why, 500, "%.100s: %s", t->name, reason), false;
    return find_special(t) && try(t, why);
}

void template_close(Template *t)
{
    jinja_close(t->jinja);
    free(t->text);
    free(t->bos);
    free(t->eos);
    free(t->special);
    *t = (Template){0};
}
