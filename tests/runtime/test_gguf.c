/* test_gguf.c -- models of arch gpt2 as GGUF files: members and numbers of the file, read here without the writer */
#include <math.h>

#include "tiny.h"

enum { D = 32, F = 80, L = 2, HEADS = 4, V = 300 };

static char ours[400], out[400];

/* ---- a reader of such files ------------------------------------------------------------------------------ */

static unsigned char *at;

static uint64_t number(int bytes)
{
    uint64_t x = 0;
    for (int i = 0; i < bytes; i++) x |= (uint64_t)*at++ << 8 * i;
    return x;
}

static void word(char *to, size_t room)
{
    uint64_t n = number(8);
    assert_true(n < room);
    memcpy(to, at, n), to[n] = 0, at += n;
}

typedef struct tensor {
    char name[64];
    uint64_t rank, size[4], type, offset;
} tensor;

static struct {
    unsigned char *bytes, *data;
    size_t size;
    uint64_t members, n;
    tensor tensors[64];
    char keys[64][64], texts[64][64]; /* of texts: as they are, of lists: the first five, else the number */
} file;

/* The value of a member as text. */
static void value(char *to, size_t room)
{
    char one[80];
    uint32_t type = (uint32_t)number(4), bits;
    float real;
    if (type == 4) snprintf(to, room, "%u", (unsigned)number(4));
    else if (type == 6) bits = (uint32_t)number(4), memcpy(&real, &bits, 4), snprintf(to, room, "%.9g", (double)real);
    else if (type == 7) snprintf(to, room, "%s", number(1) ? "true" : "false");
    else if (type == 8) word(to, room);
    else if (type == 9) {
        uint32_t kind = (uint32_t)number(4);
        uint64_t n = number(8);
        int used = snprintf(to, room, "%u:", (unsigned)n);
        assert_true(kind == 8 || kind == 5);
        for (uint64_t i = 0; i < n; i++) {
            if (kind == 8) word(one, sizeof one);
            else snprintf(one, sizeof one, "%d", (int)(int32_t)number(4));
            if (i < 3 || i + 2 >= n) used += snprintf(to + used, room - (size_t)used, "%s|", one);
        }
    } else fail_msg("a member of type %u", type);
}

static void open_file(void)
{
    char *text;
    OK(pha__read_file(&text, &file.size, out, 1 << 28));
    at = file.bytes = (unsigned char *)text;
    assert_memory_equal(at, "GGUF", 4);
    at += 4;
    assert_int_equal(number(4), 3);
    file.n = number(8), file.members = number(8);
    assert_true(file.n <= 64 && file.members <= 64);
    for (uint64_t i = 0; i < file.members; i++) word(file.keys[i], 64), value(file.texts[i], 64);
    for (uint64_t i = 0; i < file.n; i++) {
        tensor *t = &file.tensors[i];
        *t = (tensor){.size = {1, 1, 1, 1}};
        word(t->name, 64);
        t->rank = number(4);
        for (uint64_t k = 0; k < t->rank; k++) t->size[k] = number(8);
        t->type = number(4), t->offset = number(8);
        assert_int_equal(t->offset % 32, 0);
    }
    while ((at - file.bytes) % 32) assert_int_equal(*at++, 0);
    file.data = at;
}

static void expect(const char *key, const char *want)
{
    for (uint64_t i = 0; i < file.members; i++)
        if (!strcmp(file.keys[i], key)) {
            assert_string_equal(file.texts[i], want);
            return;
        }
    fail_msg("no member %s", key);
}

static double half(const unsigned char *p)
{
    int bits = p[0] | p[1] << 8, e = bits >> 10 & 31, m = bits & 1023;
    double x = e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return bits & 0x8000 ? -x : x;
}

/* Number i of a tensor, and how far the format may have moved it. */
static double get(const tensor *t, uint64_t i, double *loss)
{
    const unsigned char *p = file.data + t->offset;
    float real;
    *loss = 0;
    if (t->type == 0) return memcpy(&real, p + 4 * i, 4), (double)real;
    if (t->type == 1) {
        double x = half(p + 2 * i);
        return *loss = fabs(x) / 2048 + 1e-7, x;
    }
    assert_int_equal(t->type, 8);
    const unsigned char *block = p + i / 32 * 34;
    double step = half(block);
    *loss = step * 0.51 + fabs(step) * 127 / 2048;
    return step * (signed char)block[2 + i % 32];
}

/* A tensor of the file has the numbers of parameters one behind the other. */
static void same(const pha_model *m, const char *name, uint64_t type, int n, const char *const *paths)
{
    const tensor *t = NULL;
    for (uint64_t i = 0; i < file.n; i++)
        if (!strcmp(file.tensors[i].name, name)) t = &file.tensors[i];
    if (!t) fail_msg("no tensor %s", name);
    assert_int_equal(t->type, type);
    uint64_t place = 0;
    for (int k = 0; k < n; k++) {
        const pha__node *v = pha__find_param(m->names, paths[k]);
        uint64_t all = (uint64_t)v->rows * (uint64_t)v->width;
        float *x = malloc(all * sizeof *x);
        OK(pha__store_copy_out(m->store, PHA__WEIGHT, v->index, x));
        if (t->rank == 2) assert_int_equal(t->size[0], v->width);
        for (uint64_t i = 0; i < all; i++) {
            double loss, got = get(t, place + i, &loss);
            if (!(fabs(got - (double)x[i]) <= loss)) fail_msg("%s: %g, not %g", name, got, (double)x[i]);
        }
        place += all;
        free(x);
    }
    assert_int_equal(place, t->size[0] * t->size[1]);
}

/* ---- the tests ------------------------------------------------------------------------------------------- */

static void numbers(void **state)
{
    (void)state;
    static const struct { pha_weights weights; uint64_t type, down; const char *kind; } cases[] = {
        {PHA_WEIGHTS_FP32, 0, 0, "0"}, {PHA_WEIGHTS_DEFAULT, 1, 1, "1"}, {PHA_WEIGHTS_Q8, 8, 1, "7"}};
    pha_model *m;
    OK(pha_model_open(&m, ours));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t type = cases[i].type;
        OK(pha_export(&(pha_export_options){.model = ours, .out = out, .format = PHA_EXPORT_GGUF,
                                            .weights = cases[i].weights}));
        open_file();
        assert_int_equal(file.n, 4 + 12 * L);
        expect("general.file_type", cases[i].kind);
        same(m, "token_embd.weight", type, 1, (const char *[]){"embed"});
        same(m, "position_embd.weight", 0, 1, (const char *[]){"pos"});
        same(m, "output_norm.bias", 0, 1, (const char *[]){"norm.bias"});
        same(m, "blk.1.attn_qkv.weight", type, 3, (const char *[]){"layer1.attn.q", "layer1.attn.k", "layer1.attn.v"});
        same(m, "blk.0.attn_qkv.bias", 0, 3,
             (const char *[]){"layer0.attn.q_bias", "layer0.attn.k_bias", "layer0.attn.v_bias"});
        same(m, "blk.1.attn_output.weight", type, 1, (const char *[]){"layer1.attn.out"});
        same(m, "blk.0.attn_norm.weight", 0, 1, (const char *[]){"layer0.norm.gain"});
        same(m, "blk.0.ffn_up.weight", type, 1, (const char *[]){"layer0.mlp.up"});
        same(m, "blk.1.ffn_down.weight", cases[i].down, 1, (const char *[]){"layer1.mlp.down"}); /* 80: no multiple */
        same(m, "blk.1.ffn_norm.bias", 0, 1, (const char *[]){"layer1.mlp_norm.bias"});
        assert_true((size_t)(file.bytes + file.size - file.data) % 32 == 0);
        pha__free(file.bytes);
    }
    pha_model_close(m);
}

static void members(void **state)
{
    (void)state;
    OK(pha_export(&(pha_export_options){.model = ours, .out = out, .format = PHA_EXPORT_GGUF}));
    open_file();
    expect("general.architecture", "gpt2");
    expect("gpt2.context_length", "40");
    expect("gpt2.embedding_length", "32");
    expect("gpt2.block_count", "2");
    expect("gpt2.feed_forward_length", "80");
    expect("gpt2.attention.head_count", "4");
    expect("gpt2.attention.layer_norm_epsilon", "9.99999975e-06");
    expect("tokenizer.ggml.model", "gpt2");
    expect("tokenizer.ggml.pre", "gpt-2");
    expect("tokenizer.ggml.tokens", "300:\xc4\x80|\xc4\x81|\xc4\x82|[PAD298]|[PAD299]|");
    expect("tokenizer.ggml.token_type", "300:1|1|1|5|5|");
    expect("tokenizer.ggml.merges", "0:");
    expect("tokenizer.ggml.eos_token_id", "256");
    pha__free(file.bytes);
}

/* A vocabulary with merges, as text that was learned from. */
static void merges(void **state)
{
    (void)state;
    char data[400], model[400];
    snprintf(data, sizeof data, "%s", in_root("data"));
    snprintf(model, sizeof model, "%s", in_root("merged"));
    const char *in = in_root("text.txt");
    OK(pha__write_file(in, "aaa aaa aaa aaa bbb", 19));
    OK(pha_prepare(&(pha_prepare_options){.inputs = &in, .n_inputs = 1, .out = data, .vocab_size = 259,
                                          .valid_fraction = -1, .test_fraction = -1, .threads = 1}, NULL));
    OK(pha_model_init(in_root("ours.json"), 1, data, model));
    OK(pha_export(&(pha_export_options){.model = model, .out = out, .format = PHA_EXPORT_GGUF}));
    open_file();
    expect("tokenizer.ggml.merges", "2:a a|aa a|");
    pha__free(file.bytes);
}

static pha_status to_file(const char *model, const char *place)
{
    return pha_export(&(pha_export_options){.model = model, .out = place, .format = PHA_EXPORT_GGUF});
}

static void refused(void **state)
{
    (void)state;
    char place[400];
    snprintf(place, sizeof place, "%s", in_root("mine.gguf"));
    OK(pha__write_file(place, "GGUF of somebody", 16));
    FAILS(USAGE, "no GGUF file of pha", to_file(ours, place));
    expect_file(place, "GGUF of somebody", 16);
    FAILS(USAGE, "is a folder", to_file(ours, ours));
    OK(to_file(ours, out)); /* ours may go */
    pha_model_close(tiny_model("other", lab_find("default"), V, "bytes"));
    FAILS(BAD_INPUT, "a GGUF file has a place for arch gpt2 only", to_file(in_root("other"), in_root("none.gguf")));
    assert_false(pha__exists(in_root("none.gguf")));
    FAILS(USAGE, "fp32, fp16 or q8", pha_export(&(pha_export_options){.model = ours, .out = out,
          .format = PHA_EXPORT_GGUF, .weights = PHA_WEIGHTS_Q4}));
    FAILS(USAGE, "an option of GGUF files", pha_export(&(pha_export_options){.model = ours, .out = in_root("folder"),
          .weights = PHA_WEIGHTS_Q8}));
}

/* Where 16 bits end. */
static void too_large(void **state)
{
    (void)state;
    pha_model *m;
    OK(pha_model_open(&m, ours));
    pha__store *s;
    pha__device *device;
    OK(pha__device_open(&device, "cpu", 1));
    OK(pha__store_open(&s, m->names, device));
    OK(pha__store_add(s, PHA__WEIGHT, PHA__ALL_PARAMS, PHA__F32));
    OK(pha__store_convert(s, PHA__WEIGHT, m->store, PHA__WEIGHT));
    float *x = pha__store_at(s, PHA__WEIGHT, pha__find_param(m->names, "layer1.mlp.up")->index).data;
    x[3 * D + 1] = 70000;
    OK(pha__model_write(in_root("large"), &m->config, s, NULL, NULL));
    pha__store_close(s);
    pha__device_close(device);
    pha_model_close(m);
    FAILS(NUMERIC, "'blk.1.ffn_up.weight' has a number in row 3", to_file(in_root("large"), in_root("large.gguf")));
    assert_false(pha__exists(in_root("large.gguf")));
    OK(pha_export(&(pha_export_options){.model = in_root("large"), .out = in_root("large.gguf"),
                                        .format = PHA_EXPORT_GGUF, .weights = PHA_WEIGHTS_FP32}));
}

static int set_up(void **state)
{
    root_setup(state);
    snprintf(ours, sizeof ours, "%s/ours", root);
    snprintf(out, sizeof out, "%s/model.gguf", root);
    static const lab_variant v = {"ours", "gpt2", "\"d_model\": 32, \"n_head\": 4, \"n_kv_head\": 4, \"d_ffn\": 80, "
                                                  "\"n_positions\": 40"};
    pha_model_close(tiny_model("ours", &v, V, "bytes"));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers), cmocka_unit_test(members), cmocka_unit_test(merges),
                                       cmocka_unit_test(refused), cmocka_unit_test(too_large)};
    return cmocka_run_group_tests(tests, set_up, root_teardown);
}
