/* task_forms.c -- what an object asks: the forms in which tasks are published */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "runtime/task/task.h"

enum { MOST_CHOICES = 1024 };

/* In the order in which they are looked for, where an object has several. */
static const char *const context_keys[] = {"context", "query", "ctx", "goal", NULL};
static const char *const choices_keys[] = {"choices", "endings", NULL};
static const char *const gold_keys[] = {"label", "gold", "answer", NULL};

static bool has(const json_t *o, const char *key) { return json_object_get(o, key) != NULL; }

static const char *first_of(const json_t *o, const char *const *keys)
{
    while (*keys && !has(o, *keys)) keys++;
    return *keys;
}

/* ---- which form? ---------------------------------------------------------------------------------------- */

static pha_status unknown(const json_t *o)
{
    pha__str keys = {0};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)o, key, value) {
        if (keys.size > 200) break;
        pha__str_printf(&keys, "%s\"%.40s\"", keys.size ? ", " : "", key);
    }
    pha_status status = pha__fail(
        PHA_BAD_INPUT,
        "none of the known forms: \"text\"; \"context\" and \"target\"; or one of \"context\", \"query\", \"ctx\", "
        "\"goal\" with \"choices\", \"endings\" or \"sol1\" and \"sol2\", and one of \"label\", \"gold\", \"answer\"; "
        "this object has %s", keys.size ? keys.data : "no key");
    pha__str_free(&keys);
    return status;
}

static pha_status choose_choice(pha__exam *t, const json_t *o)
{
    bool two = has(o, "sol1") || has(o, "sol2");
    t->context_key = first_of(o, context_keys);
    t->choices_key = first_of(o, choices_keys);
    t->gold_key = first_of(o, gold_keys);
    if (!t->choices_key && two) t->choices_key = "sol1";
    if (!t->context_key && !t->choices_key) return unknown(o);
    if (!t->context_key)
        FAIL(BAD_INPUT, "has \"%s\" but none of \"context\", \"query\", \"ctx\", \"goal\"", t->choices_key);
    if (!t->choices_key)
        FAIL(BAD_INPUT, "has \"%s\" but none of \"choices\", \"endings\", \"sol1\" and \"sol2\", \"target\"",
             t->context_key);
    bool piqa = two && strcmp(t->context_key, "goal") == 0 && strcmp(t->choices_key, "sol1") == 0;
    t->form = piqa ? PHA_TASK_PIQA : PHA_TASK_CHOICE;
    if (!t->gold_key && !piqa) /* those of PIQA may lie in a file of their own */
        FAIL(BAD_INPUT, "has \"%s\" and \"%s\" but none of \"label\", \"gold\", \"answer\"", t->context_key,
             t->choices_key);
    return PHA_OK;
}

static pha_status choose(pha__exam *t, const json_t *o)
{
    bool choices = first_of(o, choices_keys) || has(o, "sol1") || has(o, "sol2");
    if (has(o, "activity_label") && has(o, "ctx_a") && has(o, "endings")) {
        t->form = PHA_TASK_HELLASWAG;
        t->context_key = "ctx_a", t->choices_key = "endings", t->gold_key = "label";
        return PHA_OK;
    }
    if (!choices && has(o, "text")) {
        t->form = PHA_TASK_TEXT;
        t->context_key = "text";
        return PHA_OK;
    }
    if (choices || !has(o, "target")) return choose_choice(t, o);
    t->form = PHA_TASK_TARGET;
    t->context_key = first_of(o, context_keys);
    if (!t->context_key) FAIL(BAD_INPUT, "has \"target\" but none of \"context\", \"query\", \"ctx\", \"goal\"");
    return PHA_OK;
}

/* ---- texts ---------------------------------------------------------------------------------------------- */

static pha_status text_of(const char **out, size_t *size, const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);
    *out = "", *size = 0;
    if (!value) FAIL(BAD_INPUT, "\"%s\" is missing, which the first line has", key);
    if (!json_is_string(value)) FAIL(BAD_INPUT, "\"%s\" is not a text", key);
    *out = json_string_value(value), *size = json_string_length(value);
    return PHA_OK;
}

/* Keeps a text with the task; `a` in front of it. */
static pha_status keep(pha__exam *t, const char **out, size_t *out_size, const char *a, const char *text, size_t size)
{
    size_t n = strlen(a);
    char *copy = pha__arena_alloc(&t->arena, n + size + 1, 1);
    if (!copy) return PHA_NO_MEMORY;
    memcpy(copy, a, n);
    memcpy(copy + n, text, size);
    *out = copy, *out_size = n + size;
    return PHA_OK;
}

static pha_status keep_str(pha__exam *t, const char **out, size_t *size, const char *a, pha__str *s)
{
    pha_status status = s->failed ? PHA_NO_MEMORY : keep(t, out, size, a, s->size ? s->data : "", s->size);
    pha__str_free(s);
    return status;
}

static double characters(const char *s, size_t n)
{
    double count = 0;
    for (size_t i = 0; i < n; i++) count += (s[i] & 0xC0) != 0x80;
    return count;
}

static pha_status room_for(pha__exam *t, pha__item *item, size_t n)
{
    item->n = (int)n;
    item->choices = pha__arena_alloc(&t->arena, n, sizeof *item->choices);
    return item->choices ? PHA_OK : PHA_NO_MEMORY;
}

/* ---- the last word --------------------------------------------------------------------------------------- */

static bool white(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

static pha_status word_of_text(pha__exam *t, pha__item *item, const json_t *o)
{
    const char *text;
    size_t size, at;
    TRY(text_of(&text, &size, o, t->context_key));
    for (at = size; at > 0 && text[at - 1] != ' ';) at--;
    if (at == size) FAIL(BAD_INPUT, "\"%s\" has no last word: it is empty or ends with a blank", t->context_key);
    TRY(room_for(t, item, 1));
    item->gold = 0;
    TRY(keep(t, &item->context, &item->size, "", text, at ? at - 1 : 0));
    return keep(t, &item->choices->text, &item->choices->size, " ", text + at, size - at);
}

static pha_status word_of_target(pha__exam *t, pha__item *item, const json_t *o)
{
    const char *context, *target;
    size_t n, m;
    TRY(text_of(&context, &n, o, t->context_key));
    TRY(text_of(&target, &m, o, "target"));
    if (pha__task_strip(target, m) == 0) FAIL(BAD_INPUT, "\"target\" is empty");
    TRY(room_for(t, item, 1));
    item->gold = 0;
    bool apart = white(target[0]) || n == 0 || white(context[n - 1]);
    TRY(keep(t, &item->context, &item->size, "", context, n));
    return keep(t, &item->choices->text, &item->choices->size, apart ? "" : " ", target, m);
}

/* ---- choices -------------------------------------------------------------------------------------------- */

static pha_status add_choice(pha__exam *t, pha__choice *c, const json_t *value, const char *key, size_t i)
{
    pha__str text = {0};
    if (!json_is_string(value)) FAIL(BAD_INPUT, "\"%s\": choice %zu is not a text", key, i);
    if (t->form == PHA_TASK_HELLASWAG) pha__hellaswag_text(&text, json_string_value(value));
    else pha__str_add(&text, json_string_value(value), json_string_length(value));
    TRY(keep_str(t, &c->text, &c->size, " ", &text));
    c->bytes = (double)(c->size - 1);
    c->chars = characters(c->text + 1, c->size - 1);
    return PHA_OK;
}

static pha_status take_choices(pha__exam *t, pha__item *item, const json_t *o)
{
    const char *key = t->choices_key;
    if (strcmp(key, "sol1") == 0) {
        TRY(room_for(t, item, 2));
        for (size_t i = 0; i < 2; i++) {
            const char *name = i ? "sol2" : "sol1";
            if (!has(o, name)) FAIL(BAD_INPUT, "\"%s\" is missing", name);
            TRY(add_choice(t, &item->choices[i], json_object_get(o, name), name, i));
        }
        return PHA_OK;
    }
    const json_t *list = json_object_get(o, key);
    if (!list) FAIL(BAD_INPUT, "\"%s\" is missing, which the first line has", key);
    if (!json_is_array(list)) FAIL(BAD_INPUT, "\"%s\" is not a list of texts", key);
    size_t n = json_array_size(list);
    if (n < 2 || n > MOST_CHOICES) FAIL(BAD_INPUT, "\"%s\" has %zu choices, not 2 to %d", key, n, MOST_CHOICES);
    TRY(room_for(t, item, n));
    for (size_t i = 0; i < n; i++) TRY(add_choice(t, &item->choices[i], json_array_get(list, i), key, i));
    return PHA_OK;
}

/* The number that a text is, -1: none. */
static long number(const char *s)
{
    char *end;
    if (*s < '0' || *s > '9' || strlen(s) > 6) return -1;
    long n = strtol(s, &end, 10);
    return *end ? -1 : n;
}

/* A number from 0, as a number or a text, or the text of a choice. */
static pha_status take_gold(const pha__exam *t, pha__item *item, const json_t *o)
{
    const char *key = t->gold_key;
    const json_t *value = json_object_get(o, key);
    if (!value) FAIL(BAD_INPUT, "\"%s\" is missing", key);
    json_int_t gold = json_is_integer(value) ? json_integer_value(value) : -1;
    if (json_is_string(value)) {
        const char *s = json_string_value(value);
        int same = -1;
        for (int i = item->n; i-- > 0;)
            if (strcmp(item->choices[i].text + 1, s) == 0) same = i;
        gold = number(s);
        if (same >= 0 && gold >= 0 && gold < item->n && gold != same)
            FAIL(BAD_INPUT, "\"%s\": '%.20s' is the text of choice %d, and the number of another; write a number", key,
                 s, same);
        if (same >= 0) gold = same;
        if (gold < 0)
            FAIL(BAD_INPUT, "\"%s\": '%.40s' is neither the number of a choice nor the text of one%s", key, s,
                 *s ? "" : " (a split without labels?)");
    } else if (!json_is_integer(value)) {
        FAIL(BAD_INPUT, "\"%s\" is neither a number nor a text", key);
    }
    if (gold < 0 || gold >= item->n)
        FAIL(BAD_INPUT, "\"%s\" is %lld, but the %d choices are numbered 0 to %d", key, (long long)gold, item->n,
             item->n - 1);
    item->gold = (int)gold;
    return PHA_OK;
}

static pha_status take_context(pha__exam *t, pha__item *item, const json_t *o)
{
    const char *text, *activity, *b;
    size_t size;
    pha__str s = {0};
    TRY(text_of(&text, &size, o, t->context_key));
    if (t->form == PHA_TASK_HELLASWAG) {
        TRY(text_of(&activity, &size, o, "activity_label"));
        TRY(text_of(&b, &size, o, "ctx_b"));
        pha__hellaswag_context(&s, activity, text, b);
    } else if (t->form == PHA_TASK_PIQA) {
        pha__str_puts(&s, "Question: ");
        pha__str_add(&s, text, size);
        pha__str_puts(&s, "\nAnswer:");
    } else {
        pha__str_add(&s, text, size);
    }
    return keep_str(t, &item->context, &item->size, "", &s);
}

pha_status pha__task_item(pha__exam *t, pha__item *item, json_t *o)
{
    if (!t->form) TRY(choose(t, o));
    if (t->form == PHA_TASK_TEXT) return word_of_text(t, item, o);
    if (t->form == PHA_TASK_TARGET) return word_of_target(t, item, o);
    TRY(take_context(t, item, o));
    TRY(take_choices(t, item, o));
    return t->gold_key ? take_gold(t, item, o) : PHA_OK;
}
