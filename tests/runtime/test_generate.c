/* Text from a model of bytes: the same again, whole characters, stop strings, every way to end */
#include "runtime/infer/session.h"
#include "runtime/stop.h"
#include "tiny.h"

enum { V = 257, END = 256 };

typedef struct text {
    char data[4096];
    size_t size, calls, most; /* most: the callback returns false at this call, 0: never */
    bool whole;               /* every piece began and ended at a character */
    char tokens[64];          /* of the tokenizer of bytes */
    int n_tokens;
} text;

static void receive_token(void *user, int32_t id)
{
    text *t = user;
    assert_true(t->n_tokens < 63);
    t->tokens[t->n_tokens++] = (char)id;
}

static bool receive(void *user, const char *piece, size_t size)
{
    text *t = user;
    if (t->size + size < sizeof t->data) memcpy(t->data + t->size, piece, size), t->size += size;
    if (size == 0 || ((unsigned char)piece[0] & 0xC0) == 0x80) t->whole = false;
    t->calls++;
    return t->most == 0 || t->calls < t->most;
}

static pha_session *open_session(const pha_model *m, int64_t max_context, int chunk)
{
    pha_session *s;
    OK(pha_session_open(&s, m, &(pha_session_options){.max_context = max_context, .chunk = chunk, .threads = 2}));
    return s;
}

static pha_generate_result run(pha_session *s, const char *prompt, pha_generate_options o, text *t)
{
    pha_generate_result r;
    *t = (text){.whole = true, .most = t->most};
    o.text = receive, o.user = t;
    OK(pha_generate(s, prompt, strlen(prompt), &o, &r));
    return r;
}

static void same_again(void **state)
{
    (void)state;
    pha_model *m = tiny_model("same", lab_find("default"), V, "bytes");
    text a = {.most = 0}, b = {.most = 0};
    pha_session *s = open_session(m, 512, 16), *t = open_session(m, 512, 16);
    pha_generate_options o = {.max_tokens = 60, .ignore_end = true};
    pha_generate_result r = run(s, "The history of", o, &a);
    assert_int_equal(r.prompt_tokens, 14);
    assert_int_equal(r.new_tokens, 60);
    assert_int_equal(r.end, 0);
    assert_int_equal(pha_session_position(s), 74);
    assert_true(r.prompt_seconds > 0 && r.new_seconds > 0);
    run(t, "The history of", o, &b);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);

    for (int k = 0; k < 3; k++) { /* seeds 5, 5, 6 */
        o.sample =
            (pha_sample_options){.temperature = 1, .top_p = 0.95, .seed = k < 2 ? 5 : 6, .repetition_penalty = 1.1};
        pha_session_reset(s);
        run(s, "The history of", o, k == 0 ? &a : &b);
        bool same = a.size == b.size && !memcmp(a.data, b.data, a.size);
        if (k) assert_int_equal(same, k == 1);
    }
    pha_session_close(s), pha_session_close(t);
    pha_model_close(m);
}

/* The text in two calls, with a file between them, is the text in one. */
static void continued(void **state)
{
    (void)state;
    pha_model *m = tiny_model("continued", lab_find("default"), V, "bytes");
    text all = {.most = 0};
    char path[400];
    pha_session *one = open_session(m, 512, 16), *two = open_session(m, 512, 16), *s = open_session(m, 512, 16);
    pha_generate_options o = {.max_tokens = 40, .ignore_end = true, .sample.repetition_penalty = 1.3};
    run(one, "", o, &all);
    assert_int_equal(pha_session_position(one), 41);
    assert_int_equal(one->ids[0], END); /* an empty prompt begins with <|endoftext|> */
    o.max_tokens = 20;
    run(s, "", o, &all);
    snprintf(path, sizeof path, "%s/saved", root);
    OK(pha_session_save(s, path));
    OK(pha_session_load(two, path));
    pha_generate_result r = run(two, "", o, &all);
    assert_int_equal(r.prompt_tokens, 0);
    assert_int_equal(pha_session_position(two), 41);
    assert_memory_equal(one->ids, two->ids, 41 * sizeof *one->ids);
    char *x = tiny_state(one), *y = tiny_state(two);
    assert_memory_equal(x, y, tiny_used(one));
    pha__free(x), pha__free(y);
    pha_session_close(one), pha_session_close(two), pha_session_close(s);
    pha_model_close(m);
}

/* ---- a model that says a given text --------------------------------------------------------------------- */

/* All that mixes or remembers is silenced, so the logits are E norm(E[c]). Token k of a text without repeated bytes has
 * the embedding 1_k + 1_(k+1): it shares one number with the token before and one with the token behind it, and the
 * repetition penalty rules out what has been. */
typedef struct scripted {
    pha_model *model;
    float *embed, *zeros;
} scripted;

static void silence(scripted *x, const char *path)
{
    Var v = pha__find_param(x->model->names, path);
    assert_non_null(v);
    assert_in_range((int64_t)v->rows * v->width, 1, 64 * 128);
    OK(pha__store_set(x->model->store, PHA__WEIGHT, v->index, x->zeros, PHA__F32));
}

/* The script ends with <|endoftext|>. */
static void open_script(scripted *x, const char *name, const char *say)
{
    static const char *const silent[] = {"layer%d.attn_norm", "layer%d.gss_norm", "layer%d.aux_norm",
                                         "layer%d.ffn.down"};
    x->model = tiny_model(name, lab_find("default"), V, "bytes");
    x->embed = pha__alloc_zero(V * 64, sizeof *x->embed);
    x->zeros = pha__alloc_zero(64 * 128, sizeof *x->zeros);
    for (int layer = 0; layer < 2; layer++)
        for (int i = 0; i < 4; i++) {
            char path[64];
            snprintf(path, sizeof path, silent[i], layer);
            silence(x, path);
        }
    size_t n = strlen(say);
    assert_in_range(n, 1, 62);
    for (size_t k = 0; k <= n; k++) {
        float *row = x->embed + (k < n ? (unsigned char)say[k] : END) * 64;
        assert_true(row[0] == 0 && row[k] == 0);
        row[k] = row[k + 1] = 1;
    }
    Var E = pha__find_param(x->model->names, "embed");
    OK(pha__store_set(x->model->store, PHA__WEIGHT, E->index, x->embed, PHA__F32));
}

static void close_script(scripted *x)
{
    pha_model_close(x->model);
    pha__free(x->embed);
    pha__free(x->zeros);
}

/* Generates after the script's first byte; checks the text delivered and how it ended. */
static pha_generate_result expect(scripted *x, const char *prompt, pha_generate_options o, const char *say, int end,
                                  text *t)
{
    pha_session *s = open_session(x->model, 100, 16);
    o.sample.repetition_penalty = 1e6;
    pha_generate_result r = run(s, prompt, o, t);
    t->data[t->size] = 0;
    assert_string_equal(t->data, say);
    assert_int_equal(r.end, end);
    assert_true(t->whole);
    pha_session_close(s);
    return r;
}

#define STOPS(...)                                                                                                     \
    .stop = (const char *const[]){__VA_ARGS__}, .n_stop = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

static void ends(void **state)
{
    (void)state;
    scripted x;
    text t = {.most = 0};
    open_script(&x, "ends", "abcdefghij");
    pha_generate_result r = expect(&x, "a", (pha_generate_options){.max_tokens = 5}, "bcdef", 0, &t);
    assert_int_equal(r.new_tokens, 5);
    r = expect(&x, "a", (pha_generate_options){0}, "bcdefghij", 1, &t);
    assert_int_equal(r.new_tokens, 9);
    expect(&x, "a", (pha_generate_options){.max_tokens = 10, .ignore_end = true}, "bcdefghij<|endoftext|>", 0, &t);
    expect(&x, "a", (pha_generate_options){STOPS("de")}, "bc", 2, &t);
    expect(&x, "a", (pha_generate_options){STOPS("zz", "fgh", "efgh")}, "bcd", 2, &t);
    expect(&x, "a", (pha_generate_options){STOPS("b")}, "", 2, &t);
    expect(&x, "a", (pha_generate_options){STOPS("ab")}, "bcdefghij", 1, &t); /* the prompt is no output */
    expect(&x, "a", (pha_generate_options){STOPS("cdx", "ghijk")}, "bcdefghij", 1, &t);
    expect(&x, "a", (pha_generate_options){.max_tokens = 3, STOPS("cdefg")}, "bcd", 0,
           &t); /* held back, then delivered */
    t.most = 3;
    r = expect(&x, "a", (pha_generate_options){0}, "bcd", 3, &t);
    assert_int_equal(r.new_tokens, 3);
    close_script(&x);
}

static void characters(void **state)
{
    (void)state;
    scripted x;
    text t = {.most = 0};
    open_script(&x, "characters", "a\u00e9\u20ac\U0001f600z");
    expect(&x, "a", (pha_generate_options){0}, "\u00e9\u20ac\U0001f600z", 1, &t);
    assert_int_equal(t.calls, 4);
    expect(&x, "a", (pha_generate_options){.max_tokens = 4}, "\u00e9", 0, &t); /* half a character is dropped */
    expect(&x, "a", (pha_generate_options){STOPS("\U0001f600")}, "\u00e9\u20ac", 2, &t);
    expect(&x, "a", (pha_generate_options){STOPS("\x98")}, "\u00e9\u20ac", 2, &t); /* inside a character */
    expect(&x, "a\u00e9", (pha_generate_options){STOPS("\u20acz")}, "\u20ac\U0001f600z", 1, &t);
    assert_int_equal(t.calls, 3);
    close_script(&x);
}

/* Every new token is told, as many as are counted: what a stop string swallows, and half a character, too. */
static void tokens(void **state)
{
    (void)state;
    scripted x;
    text t = {.most = 0};
    open_script(&x, "tokens", "abc\u00e9\xff");
    pha_generate_options o = {.token = receive_token, .max_tokens = 3};
    pha_generate_result r = expect(&x, "a", o, "bc", 0, &t);
    assert_int_equal(r.new_tokens, t.n_tokens);
    assert_string_equal(t.tokens, "bc\xc3");
    o.max_tokens = 0;
    r = expect(&x, "a", o, "bc\u00e9\xff", 1, &t);
    assert_string_equal(t.tokens, "bc\u00e9\xff");
    o.stop = (const char *const[]){"c"}, o.n_stop = 1;
    r = expect(&x, "a", o, "b", 2, &t);
    assert_string_equal(t.tokens, "bc");
    assert_int_equal(r.new_tokens, 2);
    close_script(&x);
}

/* The text of a special token in a prompt is that token, or, on request, text like any other. */
static void special_tokens(void **state)
{
    (void)state;
    static const char prompt[] = "a<|endoftext|>b";
    const int n = sizeof prompt - 1;
    pha_model *m = tiny_model("special", lab_find("default"), V, "bytes");
    text t = {.most = 0};
    pha_session *s = open_session(m, 64, 16);
    pha_generate_result r = run(s, prompt, (pha_generate_options){.max_tokens = 1}, &t);
    assert_int_equal(r.prompt_tokens, 3);
    assert_int_equal(s->ids[0], 'a');
    assert_int_equal(s->ids[1], END);
    assert_int_equal(s->ids[2], 'b');
    pha_session_reset(s);
    r = run(s, prompt, (pha_generate_options){.max_tokens = 1, .plain_prompt = true}, &t);
    assert_int_equal(r.prompt_tokens, n);
    for (int i = 0; i < n; i++) assert_int_equal(s->ids[i], prompt[i]);
    pha_session_close(s);
    pha_model_close(m);
}

static bool ask_to_stop(void *user, const char *piece, size_t size)
{
    (void)piece, (void)size;
    if (++*(int *)user == 2) pha_request_stop();
    return true;
}

static void limits(void **state)
{
    (void)state;
    scripted x;
    text t = {.most = 0};
    pha_generate_result r;
    int calls = 0;
    open_script(&x, "limits", "abcdefghij");
    pha_session *s = open_session(x.model, 4, 16);
    pha_generate_options o = {.sample.repetition_penalty = 1e6};
    r = run(s, "a", o, &t);
    assert_int_equal(r.end, 4);
    assert_int_equal(r.new_tokens, 3);
    assert_memory_equal(t.data, "bcd", 3);
    r = run(s, "", o, &t);
    assert_int_equal(r.end, 4);
    assert_int_equal(r.new_tokens, 0);
    pha_session_reset(s);
    FAILS(USAGE, "context of 4", pha_generate(s, "abcde", 5, &o, &r));
    assert_int_equal(pha_session_position(s), 0);
    o.text = ask_to_stop, o.user = &calls;
    FAILS(STOPPED, "stop", pha_generate(s, "a", 1, &o, &r));
    assert_int_equal(r.end, 5);
    assert_int_equal(r.new_tokens, 2);
    pha_session_reset(s);
    FAILS(STOPPED, "stop", pha_generate(s, "ab", 2, &o, &r));
    assert_int_equal(r.end, 5);
    pha_clear_stop();
    pha_session_close(s);
    s = open_session(x.model, 4, 1);
    pha_request_stop();
    FAILS(STOPPED, "stop", pha_generate(s, "abc", 3, &o, &r));
    pha_clear_stop();
    close_script(&x);
    pha_session_close(s);
}

static void refusals(void **state)
{
    (void)state;
    pha_model *m = tiny_model("refusals", lab_find("default"), V, "bytes"),
              *mute = tiny_model("mute", lab_find("default"), V, NULL);
    pha_session *s = open_session(m, 64, 16), *t = open_session(mute, 64, 16);
    pha_generate_result r;
    FAILS(USAGE, "tokenizer", pha_generate(t, "a", 1, NULL, &r));
    FAILS(USAGE, "stop string 2", pha_generate(s, "a", 1, &(pha_generate_options){STOPS("x", "")}, &r));
    FAILS(USAGE, "max_tokens", pha_generate(s, "a", 1, &(pha_generate_options){.max_tokens = -1}, &r));
    FAILS(USAGE, "top_p", pha_generate(s, "a", 1, &(pha_generate_options){.sample.top_p = 2}, &r));
    FAILS(USAGE, "prompt", pha_generate(s, NULL, 1, NULL, &r));
    assert_int_equal(pha_session_position(s), 0);
    OK(pha_generate(s, "a", 1, &(pha_generate_options){.max_tokens = 1}, NULL));
    pha_session_close(s), pha_session_close(t);
    pha_model_close(m), pha_model_close(mute);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_again), cmocka_unit_test(continued), cmocka_unit_test(ends),
        cmocka_unit_test(characters), cmocka_unit_test(limits),    cmocka_unit_test(refusals),
        cmocka_unit_test(tokens),     cmocka_unit_test(special_tokens),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
