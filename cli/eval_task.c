/* eval_task.c -- pha eval --task: accuracies of a downstream task with their protocol */
#include <math.h>
#include <string.h>

#include "eval.h"

static bool of_words(const pha_task_result *r) { return r->form == PHA_TASK_TEXT || r->form == PHA_TASK_TARGET; }

/* What was asked of each item, in a sentence. */
static void form_of(char *text, size_t size, const pha_task_result *r)
{
    const char *choices = r->choices_key && strcmp(r->choices_key, "sol1") == 0 ? "sol1\" and \"sol2" : r->choices_key;
    if (r->form == PHA_TASK_TEXT)
        snprintf(text, size, "the last word of \"text\", with its blank, after the words before it");
    else if (r->form == PHA_TASK_TARGET)
        snprintf(text, size, "\"target\" after \"%s\"", r->context_key);
    else if (r->form == PHA_TASK_PIQA)
        snprintf(text, size, "PIQA: \" {sol1}\" and \" {sol2}\" after \"Question: {goal}\\nAnswer:\"");
    else if (r->form == PHA_TASK_HELLASWAG)
        snprintf(text, size, "HellaSwag: each ending after \"{activity_label}: {ctx_a} {Ctx_b}\", without [marks]");
    else
        snprintf(text, size, "each of \"%s\" after \"%s\", with a blank between; \"%s\" is right", choices,
                 r->context_key, r->gold_key);
}

static void protocol(char *text, size_t size, const pha_task_result *r)
{
    char truncated[32];
    size_t n = (size_t)snprintf(text, size, "no examples, at most %d tokens; ", (int)r->context);
    if (!r->truncated) snprintf(text + n, size - n, "no item was longer");
    else
        snprintf(text + n, size - n, "%s longer %s lost the beginning", talk_count(truncated, r->truncated),
                 r->truncated == 1 ? "item" : "items");
}

static int print_json(const EvalOptions *a, const pha_task_result *r)
{
    static const char *const forms[] = {"", "text", "target", "choice", "piqa", "hellaswag"};
    char form[256], text[256];
    json_t *all = json_object();
    form_of(form, sizeof form, r);
    protocol(text, sizeof text, r);
    talk_set(&all, "model", talk_string(a->o.model));
    talk_set(&all, "task", talk_string(a->task));
    talk_set(&all, "form", talk_string(forms[r->form]));
    talk_set(&all, "asked", talk_string(form));
    talk_set(&all, "protocol", talk_string(text));
    talk_set(&all, "context", json_integer(r->context));
    talk_set(&all, "tokenizer_hash", talk_hash(r->tokenizer_hash));
    talk_set(&all, "items", json_integer((json_int_t)r->items));
    talk_set(&all, "truncated", json_integer((json_int_t)r->truncated));
    talk_set(&all, "tokens", json_integer((json_int_t)r->tokens));
    talk_set(&all, "context_tokens", json_integer((json_int_t)r->context_tokens));
    talk_set(&all, "acc", talk_real(r->accuracy));
    talk_set(&all, "acc_stderr", talk_real(r->accuracy_error));
    if (of_words(r)) {
        talk_set(&all, "perplexity", talk_real(r->ppl));
        talk_set(&all, "perplexity_stderr", talk_real(r->ppl_error));
    } else {
        talk_set(&all, "acc_norm", talk_real(r->accuracy_norm));
        talk_set(&all, "acc_norm_stderr", talk_real(r->accuracy_norm_error));
        talk_set(&all, "acc_bytes", talk_real(r->accuracy_bytes));
        talk_set(&all, "acc_bytes_stderr", talk_real(r->accuracy_bytes_error));
    }
    talk_set(&all, "seconds", talk_real(r->seconds));
    talk_set(&all, "peak_bytes", json_integer((json_int_t)r->peak_bytes));
    return talk_json(all);
}

static void print_measure(const char *name, double value, double error, const char *what)
{
    char x[32], e[32];
    printf("%-18s %s", name, isinf(value) ? "above 1e308" : talk_number(x, value, 4));
    if (isfinite(error)) printf(" +- %s", talk_number(e, error, 4));
    printf("  (%s)\n", what);
}

static void print_text(const EvalOptions *a, const pha_task_result *r)
{
    char text[256], n[32], m[32], seconds[32], bytes[32];
    form_of(text, sizeof text, r);
    talk_print(stdout, "%-18s %s\n%-18s %s\n", "task", a->task, "asked", text);
    protocol(text, sizeof text, r);
    printf("%-18s %s\n%-18s %016llx\n", "protocol", text, "tokenizer", (unsigned long long)r->tokenizer_hash);
    printf("%-18s %s\n", "items", talk_count(n, r->items));
    printf("%-18s %s, behind %s of contexts\n", "tokens scored", talk_count(n, r->tokens),
           talk_count(m, r->context_tokens));
    if (of_words(r)) {
        print_measure("acc", r->accuracy, r->accuracy_error, "every token is the likeliest");
        print_measure("perplexity", r->ppl, r->ppl_error, "of a word");
    } else {
        print_measure("acc", r->accuracy, r->accuracy_error, "by likelihood");
        print_measure("acc_norm", r->accuracy_norm, r->accuracy_norm_error, "by likelihood per character");
        print_measure("acc_bytes", r->accuracy_bytes, r->accuracy_bytes_error, "by likelihood per byte");
    }
    talk_note("%s items in %s, peak memory %s", talk_count(n, r->items), talk_seconds(seconds, r->seconds),
              talk_bytes(bytes, (double)r->peak_bytes));
}

static int check(const Call *call, const EvalOptions *a)
{
    static const char *const others[] = {"data", "split", "mode", "stride", "batch", "max-tokens", "tokens", "logits",
                                         "by-position", "svg"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (option_given(call, others[i])) return usage_error(call, "--%s does not apply to --task", others[i]);
    if (a->o.precision == PHA_BF16) return usage_error(call, "--task is always computed in fp32");
    return PHA_OK;
}

int eval_task(Call *call, const EvalOptions *a)
{
    pha_task_result result;
    int bad = check(call, a);
    if (bad) return bad;
    pha_task_options o = {.model = a->o.model, .file = a->task, .max_items = a->max_items, .scores = a->scores,
                          .context = option_given(call, "context") ? a->o.context : 0, .threads = a->o.threads,
                          .weights = a->o.weights,
                          .progress = talk_progress_unless(a->quiet)};
    pha_status status = pha_task(&o, &result);
    talk_progress_end();
    if (status) return library_error(call, status);
    if (a->scores) talk_note("wrote %s", a->scores);
    if (a->json) return print_json(a, &result);
    print_text(a, &result);
    return PHA_OK;
}
