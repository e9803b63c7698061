/* test_exchange.c -- models out to other programs and back in, tokens of other programs: what is written, what is
 * refused. What transformers makes of it: tests/exchange/test_hf.py.
 *
 * long file: every way out and in, over one model */
#include "base/json.h"
#include "io/safetensors.h"
#include "io/tokens.h"
#include "runtime/exchange/exchange.h"
#include "tiny.h"

enum { V = 300, N = 24 };

static char ours[400], hub[400], back[400];

static pha_status export_to(const char *out) { return pha_export(&(pha_export_options){.model = ours, .out = out}); }

static pha_status import_from(const char *from, const char *out)
{
    return pha_import(&(pha_import_options){.from = &from, .n_from = 1, .out = out}, NULL);
}

static void logits_of(const char *folder, float *out)
{
    pha_model *m;
    pha_session *s;
    int32_t ids[N];
    const float *logits;
    lab_tokens(ids, NULL, N, V, 0, 9);
    OK(pha_model_open(&m, folder));
    OK(pha_session_open(&s, m, NULL));
    for (int i = 0; i < N; i++) {
        OK(pha_session_feed(s, ids + i, 1, &logits));
        memcpy(out + i * V, logits, V * sizeof *out);
    }
    pha_session_close(s);
    pha_model_close(m);
}

static void same_logits(const char *folder)
{
    static float want[N * V], got[N * V];
    logits_of(ours, want);
    logits_of(folder, got);
    assert_memory_equal(want, got, sizeof want);
}

static const char *in(const char *folder, const char *name)
{
    static char path[4][500];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static bool has_text(const char *path, const char *text)
{
    char *all;
    size_t n;
    OK(pha__read_file(&all, &n, path, 1 << 20));
    bool found = strstr(all, text) != NULL;
    if (!found) print_message("%s: no '%s' in\n%s\n", path, text, all);
    pha__free(all);
    return found;
}

/* ---- out ------------------------------------------------------------------------------------------------- */

static void exported(void **state)
{
    (void)state;
    json_t *j;
    pha__safetensors *st;
    OK(export_to(hub));
    same_logits(hub);
    OK(pha__json_load(&j, in(hub, "config.json"), 1 << 16));
    assert_string_equal(json_string_value(json_object_get(j, "arch")), "pha");
    assert_string_equal(json_string_value(json_object_get(j, "model_type")), "pha");
    assert_string_equal(json_string_value(json_array_get(json_object_get(j, "architectures"), 0)), "PHAForCausalLM");
    assert_string_equal(json_string_value(json_object_get(json_object_get(j, "auto_map"), "AutoModelForCausalLM")),
                        "modeling_pha.PHAForCausalLM");
    assert_int_equal(json_integer_value(json_object_get(j, "eos_token_id")), 256);
    json_decref(j);
    OK(pha__json_load(&j, in(hub, "tokenizer_config.json"), 1 << 16));
    assert_string_equal(json_string_value(json_object_get(j, "eos_token")), "<|endoftext|>");
    json_decref(j);
    OK(pha__safetensors_open(&st, in(hub, "model.safetensors")));
    assert_string_equal(pha__safetensors_metadata(st, "format"), "pt"); /* transformers refuses others */
    assert_non_null(pha__safetensors_find(st, "layer1.gss.theta"));
    pha__safetensors_close(st);
    static const char *const files[] = {"modeling_pha.py", "configuration_pha.py"};
    for (int i = 0; i < 2; i++) { /* whole, byte for byte */
        char source[500], *text;
        size_t n;
        snprintf(source, sizeof source, "%s/src/runtime/exchange/hf/%s", PHA_SOURCE_DIR, files[i]);
        OK(pha__read_file(&text, &n, source, 1 << 20));
        expect_file(in(hub, files[i]), text, n);
        pha__free(text);
    }
    assert_true(has_text(in(hub, "README.md"), "library_name: transformers"));
    assert_true(has_text(in(hub, "README.md"), "Mixing weights"));
    OK(export_to(hub)); /* over itself */
    OK(pha__remove_tree(hub));
}

/* Files of a folder: how many are parts, what they hold together. Each tensor is where the index says. */
static size_t parts_of(const char *folder, uint64_t most, uint64_t *bytes)
{
    json_t *index, *map, *file;
    const char *tensor;
    char name[64];
    size_t n = 0, seen = 0;
    OK(pha__json_load(&index, in(folder, "model.safetensors.index.json"), 1 << 20));
    *bytes = (uint64_t)json_integer_value(json_object_get(json_object_get(index, "metadata"), "total_size"));
    map = json_object_get(index, "weight_map");
    for (size_t i = 0; i < json_object_size(map); i++) { /* at most as many as tensors */
        pha__safetensors *st;
        uint64_t here = 0;
        for (size_t of = 1; of <= json_object_size(map); of++) {
            snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", n + 1, of);
            if (pha__exists(in(folder, name))) break;
        }
        if (!pha__exists(in(folder, name))) break;
        OK(pha__safetensors_open(&st, in(folder, name)));
        assert_string_equal(pha__safetensors_metadata(st, "format"), "pt");
        for (size_t k = 0; k < pha__safetensors_count(st); k++) {
            const pha__tensor *t = pha__safetensors_at(st, k);
            assert_string_equal(json_string_value(json_object_get(map, t->name)), name);
            here += t->size, seen++;
        }
        assert_true(here <= most || pha__safetensors_count(st) == 1);
        pha__safetensors_close(st);
        n++;
    }
    json_object_foreach(map, tensor, file) assert_true(pha__exists(in(folder, json_string_value(file))));
    assert_int_equal(seen, json_object_size(map));
    snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", n, n);
    assert_true(pha__exists(in(folder, name)));
    json_decref(index);
    return n;
}

/* As transformers has them above 5 GB; here above 20 KB. */
static void in_parts(void **state)
{
    (void)state;
    pha_export_options o = {.model = ours, .out = hub};
    uint64_t bytes, again;
    enum { MOST = 20000 };
    OK(pha__export(&o, MOST));
    assert_false(pha__exists(in(hub, "model.safetensors")));
    size_t n = parts_of(hub, MOST, &bytes);
    assert_true(n > 2 && bytes > MOST * (n - 2));
    same_logits(hub);
    OK(pha__export(&o, MOST / 2)); /* parts over parts: none of the old ones is left */
    assert_true(parts_of(hub, MOST / 2, &again) > n && again == bytes);
    same_logits(hub);
    OK(import_from(hub, back));
    same_logits(back);
    OK(pha__export(&o, bytes)); /* the whole just fits, and takes their place */
    assert_true(pha__exists(in(hub, "model.safetensors")));
    assert_false(pha__exists(in(hub, "model.safetensors.index.json")));
    OK(pha__export(&o, bytes - 1));
    assert_int_equal(parts_of(hub, bytes - 1, &again), 2);
    /* what is not ours stays */
    OK(pha__write_file(in(hub, "notes.txt"), "mine", 4));
    FAILS(USAGE, "holds 'notes.txt'", export_to(hub));
    remove(in(hub, "notes.txt"));
    remove(in(hub, "model-00002-of-00002.safetensors"));
    FAILS(BAD_INPUT, "model-00002-of-00002.safetensors", import_from(hub, back));
    OK(pha__remove_tree(hub));
    OK(pha__remove_tree(back));
    assert_true(pha__safetensors_is_part("model-00001-of-00002.safetensors"));
    assert_false(pha__safetensors_is_part("model-0001-of-00002.safetensors") ||
                 pha__safetensors_is_part("model-00001-of-00002.safetensors.old") ||
                 pha__safetensors_is_part("model.safetensors"));
}

/* What stands in the place and isn't ours stays, whatever it looks like. */
static void not_over(void **state)
{
    (void)state;
    static const char llama[] = "{\"model_type\": \"llama\", \"hidden_size\": 4096}";
    OK(pha__mkdirs(hub));
    OK(pha__write_file(in(hub, "config.json"), llama, sizeof llama - 1));
    OK(pha__write_file(in(hub, "model.safetensors"), "weights", 7));
    FAILS(USAGE, "a model of another program (model_type llama)", export_to(hub));
    FAILS(USAGE, "a model of another program (model_type llama)", import_from(ours, hub));
    FAILS(USAGE, "a model of another program",
          pha_model_init(in_root("ours.json"), 1, "bytes", hub));
    expect_file(in(hub, "model.safetensors"), "weights", 7);
    OK(pha__remove_tree(hub));
    OK(export_to(hub));
    OK(pha__write_file(in(hub, "notes.txt"), "mine", 4));
    FAILS(USAGE, "holds 'notes.txt'", export_to(hub));
    expect_file(in(hub, "notes.txt"), "mine", 4);
    OK(pha__remove_tree(hub));
    FAILS(USAGE, "would be replaced", export_to(ours));
    FAILS(USAGE, "would be replaced", import_from(ours, ours));
}

static void not_exported(void **state)
{
    (void)state;
    const char *model = in_root("linear");
    pha_model_close(tiny_model("linear", &(lab_variant){"linear", "linear", ""}, V, NULL));
    FAILS(BAD_INPUT, "is of arch 'linear'", pha_export(&(pha_export_options){.model = model, .out = hub}));
    assert_false(pha__exists(hub));
}

/* 16 bits stay, blocks are unpacked: both are the same numbers. */
static void fewer_bits(void **state)
{
    (void)state;
    static const struct { pha_weights weights; pha__dtype want; } cases[] = {{PHA_WEIGHTS_BF16, PHA__BF16},
                                                                             {PHA_WEIGHTS_Q8, PHA__F32}};
    for (int i = 0; i < 2; i++) {
        pha__safetensors *st;
        pha_model *a, *b;
        OK(pha_quantize(&(pha_quantize_options){.model = ours, .out = back, .to = cases[i].weights}, NULL));
        OK(pha_export(&(pha_export_options){.model = back, .out = hub}));
        OK(pha__safetensors_open(&st, in(hub, "model.safetensors")));
        assert_int_equal(pha__safetensors_find(st, "layer0.attn.q")->dtype, cases[i].want);
        pha__safetensors_close(st);
        OK(pha_model_open(&a, back));
        OK(pha_model_open(&b, hub));
        for (int k = 0; k < a->names->n_params; k++) {
            size_t n = (size_t)pha__param_size(a->names, k);
            float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
            OK(pha__store_copy_out(a->store, PHA__WEIGHT, k, x));
            OK(pha__store_copy_out(b->store, PHA__WEIGHT, k, y));
            assert_memory_equal(x, y, n * sizeof *x);
            free(x), free(y);
        }
        pha_model_close(a), pha_model_close(b);
        OK(pha__remove_tree(hub));
        OK(pha__remove_tree(back));
    }
}

/* ---- the card -------------------------------------------------------------------------------------------- */

static void put_text(const char *path, const char *text) { OK(pha__write_file(path, text, strlen(text))); }

static void card(void **state)
{
    (void)state;
    char model[450];
    snprintf(model, sizeof model, "%s/model", in_root("run"));
    OK(pha_model_init(in_root("ours.json"), 7, "bytes", model));
    put_text(in_root("run/run.json"),
             "{\"data\": {\"folder\": \"/home/me/text|`x`\", \"train_tokens\": 1000}, \"options\": {\"context\": 64, "
             "\"batch\": 2, \"lr\": 0.001, \"schedule\": \"cosine\", \"optimizer\": \"adamw\", \"eval_tokens\": 500}}");
    put_text(in_root("run/log.jsonl"),
             "{\"event\":\"step\",\"step\":20,\"loss\":5.1,\"tokens\":2560}\n"
             "{\"event\":\"end\",\"step\":20,\"tokens\":2560,\"valid_loss\":2.0,\"averaged_valid_ppl\":7.25}\n");
    put_text(in_root("eval.json"), "{\"protocol\": \"windows of 64 tokens\", \"token_ppl\": 7.5, \"word_ppl\": 30.25, "
                                   "\"bits_per_byte\": 1.5, \"accuracy\": 0.25, \"split\": \"test\", "
                                   "\"tokens\": 4321}");
    OK(pha_export(&(pha_export_options){.model = model, .out = hub, .eval = in_root("eval.json")}));
    static const char *const said[] = {"| data | text  x  |", "| tokens of the data | 1,000 |",
                                       "| tokens seen | 2,560 |", "| passes over the data | 2.56 |",
                                       "| schedule | cosine |",
                                       "| perplexity per token | 7.389 |", "| of the averaged weights | 7.250 |",
                                       "windows of 64 tokens without overlap", "the first 500 tokens",
                                       "| tokens scored | 4,321 |", "| perplexity per word | 30.250 |",
                                       "| accuracy, percent | 25.00 |", "Protocol: windows of 64 tokens."};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) assert_true(has_text(in(hub, "README.md"), said[i]));
    assert_true(has_text(in(hub, "tokenizer_config.json"), "\"model_max_length\": 64"));
    put_text(in_root("eval.json"), "{\"loss\": 3}");
    FAILS(BAD_INPUT, "not what `pha eval --json` prints",
          pha_export(&(pha_export_options){.model = model, .out = hub, .eval = in_root("eval.json")}));
    same_logits(hub); /* the earlier one stays */
    OK(pha__remove_tree(hub));
    OK(pha__remove_tree(in_root("run")));
}

/* ---- models in ------------------------------------------------------------------------------------------- */

/* The exported model once more, its tensors changed by a function, as another program may save them. */
static void saved_again(void (*change)(pha__tensor *t, size_t *n))
{
    pha__safetensors *st;
    pha__tensor list[128];
    size_t n;
    OK(export_to(hub));
    OK(pha__safetensors_open(&st, in(hub, "model.safetensors")));
    n = pha__safetensors_count(st);
    assert_true(n < 127);
    for (size_t i = 0; i < n; i++) list[i] = *pha__safetensors_at(st, i);
    if (change) change(list, &n);
    OK(pha__safetensors_write(in(hub, "model.safetensors"), list, n, (const char *const[]){"format", "pt", NULL}));
    pha__safetensors_close(st);
}

static pha__tensor *tensor(pha__tensor *t, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(t[i].name, name)) return &t[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static void missing(pha__tensor *t, size_t *n) { *tensor(t, *n, "layer1.gss.out") = t[*n - 1], --*n; }
static void turned(pha__tensor *t, size_t *n)
{
    pha__tensor *x = tensor(t, *n, "layer0.gss.in");
    int64_t rows = x->shape[0];
    x->shape[0] = x->shape[1], x->shape[1] = rows;
}
static void extra(pha__tensor *t, size_t *n)
{
    t[*n] = *tensor(t, *n, "embed");
    t[(*n)++].name = "lm_head.weight";
}

static void imported(void **state)
{
    (void)state;
    static const struct { const char *message; void (*change)(pha__tensor *t, size_t *n); } cases[] = {
        {"'layer1.gss.out'", missing}, {"'layer0.gss.in' is", turned}, {"'lm_head.weight'", extra}};
    pha_import_result r;
    const char *from = hub;
    saved_again(NULL);
    OK(pha_import(&(pha_import_options){.from = &from, .n_from = 1, .out = back}, &r));
    assert_int_equal(r.kind, PHA_IMPORT_MODEL);
    assert_string_equal(r.arch, "pha");
    assert_int_equal(r.vocab_size, V);
    same_logits(back);
    assert_false(pha__exists(in(back, "modeling_pha.py")));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        saved_again(cases[i].change);
        FAILS(BAD_INPUT, cases[i].message, import_from(hub, back));
        same_logits(back); /* what was there stays */
    }
    saved_again(NULL); /* weights of another architecture */
    put_text(in(hub, "config.json"), "{\"model_type\": \"llama\", \"hidden_size\": 64}");
    FAILS(BAD_INPUT, "model_type 'llama' is none that pha reads", import_from(hub, back));
    OK(pha__remove_tree(in(hub, "model.safetensors")));
    put_text(in(hub, "pytorch_model.bin"), "pickled");
    FAILS(BAD_INPUT, "holds pytorch_model.bin", import_from(hub, back));
    OK(pha__remove_tree(in(hub, "pytorch_model.bin")));
    put_text(in_root("x.gguf"), "GGUF");
    FAILS(BAD_INPUT, "GGUF is written", import_from(in_root("x.gguf"), back));
    put_text(in(hub, "config.json"), "{\"hidden_size\": 64}");
    FAILS(BAD_INPUT, "'arch' is missing", import_from(hub, back));
    same_logits(back);
    OK(pha__remove_tree(hub));
    OK(pha__remove_tree(back));
}

static void tokenizers(void **state)
{
    (void)state;
    pha_import_result r;
    const char *from = in_root("spellings");
    OK(pha__mkdirs(from));
    put_text(in_root("spellings/merges.txt"), "#version: 0.2\na b\n");
    put_text(in_root("spellings/vocab.json"), "{\"a\": 0, \"b\": 1, \"ab\": 2, \"<|endoftext|>\": 3}");
    FAILS(BAD_INPUT, "vocab.json: 4 tokens", import_from(from, back));
    assert_false(pha__exists(back));
    OK(pha__remove_tree(in_root("spellings")));
    OK(export_to(hub));
    OK(pha__remove_tree(in(hub, "config.json")));
    from = hub;
    OK(pha_import(&(pha_import_options){.from = &from, .n_from = 1, .out = back}, &r));
    assert_int_equal(r.kind, PHA_IMPORT_TOKENIZER);
    assert_int_equal(r.vocab_size, 257);
    pha_tokenizer *t;
    OK(pha_tokenizer_open(&t, back));
    pha_tokenizer_close(t);
    OK(import_from(hub, back)); /* over it */
    FAILS(USAGE, "is no part of a tokenizer folder", import_from(hub, ours));
    OK(pha__remove_tree(back));
    OK(pha__remove_tree(in(hub, "tokenizer.json")));
    FAILS(BAD_INPUT, "has neither config.json", import_from(hub, back));
    FAILS(IO, "there is no such file", import_from(in_root("nowhere"), back));
    OK(pha__remove_tree(hub));
}

/* ---- tokens in ------------------------------------------------------------------------------------------- */

/* Text with blanks, empty lines and words cut by tokens in two documents, prepared by us. */
static const char text[] = "{\"text\": \"In  the beginning\\nwas\\n\\n a word, \\tand\"}\n"
                           "{\"text\": \" another\\n\"}\n";

static void prepare(const char *out)
{
    const char *in_file = in_root("text.jsonl");
    put_text(in_file, text);
    OK(pha_prepare(&(pha_prepare_options){.inputs = &in_file, .n_inputs = 1, .out = out, .tokenizer = "bytes",
                                          .valid_fraction = -1, .test_fraction = -1, .threads = 1}, NULL));
}

static size_t ids_of(const char *folder, const char *split, uint16_t *out, size_t room)
{
    pha__tokens *t;
    int32_t ids[200];
    OK(pha__tokens_open(&t, folder, split, true));
    size_t n = pha__tokens_count(t);
    assert_true(n <= room && n <= 200);
    OK(pha__tokens_read(t, 0, n, ids));
    for (size_t i = 0; i < n; i++) out[i] = (uint16_t)ids[i];
    pha__tokens_close(t);
    return n;
}

/* The ids that prepare made of a text, through a file of another program: what is said of that text is the same. */
static void tokens(void **state)
{
    (void)state;
    char data[400], from[400];
    uint16_t ids[200], got[200];
    pha__split_info want, have;
    pha_import_result r;
    snprintf(data, sizeof data, "%s", in_root("data"));
    snprintf(from, sizeof from, "%s", in_root("nano"));
    prepare(data);
    size_t n = ids_of(data, "train", ids, 200);
    OK(pha__data_info(&want, data, "train"));
    OK(pha__mkdirs(from));
    OK(pha__write_file(in(from, "train_000001.bin"), ids, 10));
    OK(pha__write_file(in(from, "train_000002.bin"), ids + 5, (n - 5) * 2));
    OK(pha__write_file(in(from, "val.bin"), ids, n * 2));
    const char *path = from;
    pha_import_options o = {.from = &path, .n_from = 1, .tokenizer = "bytes", .out = back};
    OK(pha_import(&o, &r));
    assert_int_equal(r.kind, PHA_IMPORT_TOKENS);
    assert_int_equal(r.train, n);
    assert_int_equal(r.valid, n);
    assert_int_equal(r.test, 0);
    static const char *const splits[] = {"train", "valid"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ids_of(back, splits[i], got, 200), n);
        assert_memory_equal(got, ids, n * 2);
        OK(pha__data_info(&have, back, splits[i]));
        assert_memory_equal(&have, &want, sizeof want);
    }
    pha__data a, b;
    OK(pha__data_read(&a, data));
    OK(pha__data_read(&b, back));
    assert_string_equal(a.joined, b.joined);
    assert_int_equal(a.end_token, b.end_token);
    assert_int_equal(a.tokenizer_hash, b.tokenizer_hash);

    o.tokenizer = NULL;
    FAILS(USAGE, "need the tokenizer that made them", pha_import(&o, NULL));
    o.tokenizer = "bytes";
    ids[3] = 1000;
    OK(pha__write_file(in(from, "train_000002.bin"), ids, n * 2));
    FAILS(BAD_INPUT, "id 1000 at place 3", pha_import(&o, NULL));
    OK(pha__data_info(&have, back, "train")); /* the earlier one stays */
    put_text(in(from, "meta.pkl"), "x");
    FAILS(BAD_INPUT, "a vocabulary of its own in meta.pkl", pha_import(&o, NULL));
    FAILS(USAGE, "which comes alone",
          pha_import(&(pha_import_options){.from = &(const char *){ours}, .n_from = 1, .valid = &path, .n_valid = 1,
                                           .out = in_root("x")}, NULL));
    OK(pha__remove_tree(from));
    OK(pha__remove_tree(back));
}

/* Where the first token ends within a word, at its end, and in front of a document: what is never a target. */
static void first_tokens(void **state)
{
    (void)state;
    static const struct { const char *text; uint64_t first_bytes, first_words, words; } cases[] = {
        {"ab c", 1, 0, 2}, {"a bc", 1, 1, 2}, {"\nab", 1, 1, 2}, {" ab", 1, 0, 1}, {"a", 1, 1, 1}, {"a|b", 1, 1, 2},
        {"|a b", 0, 0, 2}};
    pha_tokenizer *t;
    OK(pha_tokenizer_open(&t, "bytes"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint16_t ids[16];
        pha__split_info info;
        size_t n = 0, m;
        for (const char *c = cases[i].text; *c; c++) {
            int32_t *one;
            if (*c == '|') ids[n++] = 256;
            else {
                OK(pha_tokenizer_encode(t, c, 1, false, &one, &m));
                ids[n++] = (uint16_t)one[0];
                pha_free(one);
            }
        }
        OK(pha__write_file(in_root("one.bin"), ids, n * 2));
        const char *from = in_root("one.bin");
        OK(pha_import(&(pha_import_options){.from = &from, .n_from = 1, .tokenizer = "bytes", .out = back}, NULL));
        OK(pha__data_info(&info, back, "train"));
        assert_int_equal(info.first_bytes, cases[i].first_bytes);
        assert_int_equal(info.first_words, cases[i].first_words);
        assert_int_equal(info.words, cases[i].words);
    }
    pha_tokenizer_close(t);
    OK(pha__remove_tree(back));
}

static int set_up(void **state)
{
    root_setup(state);
    snprintf(ours, sizeof ours, "%s/ours", root);
    snprintf(hub, sizeof hub, "%s/hub", root);
    snprintf(back, sizeof back, "%s/back", root);
    pha_model_close(tiny_model("ours", lab_find("default"), V, "bytes"));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exported),   cmocka_unit_test(in_parts), cmocka_unit_test(not_over),
        cmocka_unit_test(not_exported),
        cmocka_unit_test(fewer_bits), cmocka_unit_test(card),     cmocka_unit_test(imported),
        cmocka_unit_test(tokenizers), cmocka_unit_test(tokens),   cmocka_unit_test(first_tokens),
    };
    return cmocka_run_group_tests(tests, set_up, root_teardown);
}
