/* template.c -- chats as prompts */
#include "serve/template.h"

#include <stdlib.h>
#include <string.h>

const char *template_name(Template t) { return t == TEMPLATE_CHATML ? "chatml" : "plain"; }

const char *template_text(Template t)
{
    if (t == TEMPLATE_CHATML)
        return "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
               "'<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
               "{% endif %}";
    return "{% for message in messages %}{{ message['content'] }}{% if not loop.last %}{{ '\\n\\n' }}{% endif %}"
           "{% endfor %}";
}

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

bool template_encode(Template t, const pha_tokenizer *tokenizer, const Ask *a, int32_t **ids, size_t *n, Fault *fault)
{
    Ids out = {.tokenizer = tokenizer};
    bool good = t == TEMPLATE_CHATML ? chatml(&out, a, fault) : plain(&out, a, fault);
    if (!good) free(out.ids), out = (Ids){0};
    *ids = out.ids, *n = out.n;
    return good;
}
