/* test_inspect.c -- what inspection says of a model against the specification's tables */
#include "inspecting.h"
#include "support/allocations.h"

static const struct {
    const char *name;
    double linear, head, core[5], forward[5], training[5];
} table[] = {
    {"pha-90m", 131.4, 48.2, {13.8, 27.5, 55.1, 110.1, 220.2}, {193, 207, 235, 290, 400}, {587, 635, 732, 924, 1310}},
    {"pha-125m", 188.9, 61.1, {14.9, 29.9, 59.8, 119.5, 239.1}, {265, 280, 310, 370, 489}, {802, 855, 959, 1168, 1587}},
    {"pha-180m",
     284.1,
     77.2,
     {15.7, 31.5, 62.9, 125.8, 251.7},
     {377, 393, 424, 487, 613},
     {1139, 1194, 1304, 1524, 1965}},
    {"attn-180",
     283.9,
     77.2,
     {25.2, 50.3, 100.7, 201.3, 402.7},
     {386, 411, 462, 562, 764},
     {1171, 1259, 1436, 1788, 2493}},
    {"attn-180-l10",
     283.6,
     77.2,
     {15.7, 31.5, 62.9, 125.8, 251.7},
     {377, 392, 424, 487, 612},
     {1137, 1193, 1303, 1523, 1963}},
};

static void operations(void **state)
{
    (void)state;
    for (size_t m = 0; m < sizeof table / sizeof *table; m++) {
        pha_inspect_options o = {.model = preset(table[m].name)};
        json_t *j = inspect(&o);
        for (int i = 0; i < 5; i++) {
            char path[128];
#define AT(key) (snprintf(path, sizeof path, "contexts.%d." key, i), at(j, path))
            near(AT("context"), 1024 << i, 0, "context");
            near(AT("forward_flops_per_token.products") / 1e6, table[m].linear, 0.06, "products");
            near(AT("forward_flops_per_token.head") / 1e6, table[m].head, 0.06, "head");
            near(AT("forward_flops_per_token.attention") / 1e6, table[m].core[i], 0.08, "attention");
            near(AT("forward_flops_per_token.total") / 1e6, table[m].forward[i], 0.65, "forward");
            near(AT("training_flops_per_token.total") / 1e6, table[m].training[i], 1.0, "training");
            double small_work = AT("forward_flops_per_token.elementwise");
            assert_true(small_work > 0 && small_work < 0.01e6 * table[m].forward[i]);
#undef AT
        }
        json_decref(j);
    }
}

/* The classes of the cost model are all that a program does. */
static void classes_sum_to_program(void **state)
{
    (void)state;
    pha__config c;
    pha__config_rules r = pha__rules();
    assert_int_equal(pha__config_load(&c, preset("tiny"), &r), PHA_OK);
    for (int recompute = 0; recompute < 2; recompute++) {
        pha__program *p;
        pha__program_options options = {.B = 2, .T = 64, .gradients = true, .recompute = recompute};
        assert_int_equal(pha__record(&p, &c, &options, PHA__HEAD_LOSS), PHA_OK);
        for (int pass = 0; pass < 2; pass++) {
            pha__cost cost = pha__cost_of(p, pass ? PHA__BACKWARD : PHA__FORWARD, 0);
            double sum = pha__cost_total(&cost) + cost.other, all = 0;
            for (int i = 0; i < p->n_steps; i++) {
                const pha__plan_step *s = &p->steps[i];
                pha__shape shape;
                pha__shape_of(p, s->node, &shape);
                if ((s->pass == PHA__BACKWARD) == pass && !s->repeat && s->node->op->flops)
                    all += s->node->op->flops(&shape, s->pass, 0);
            }
            assert_true(all > 1e6 && fabs(sum - all) < 1e-9 * all);
        }
        pha__program_close(p);
    }
}

/* ---- parameters and state (pha.md 3, algorithms.md 11) ------------------------------------------------ */

static void components(void **state)
{
    (void)state;
    static const struct { const char *name; int layers; double attention, gss, aux, ffn, total; } models[] = {
        {"pha-90m", 14, 576008, 2275648, 460800, 1382400, 89885466},
        {"pha-125m", 12, 924168, 3972288, 758784, 2217984, 125072068},
        {"pha-180m", 10, 1572876, 6000448, 2211840, 4423680, 180725014},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        pha_inspect_options o = {.model = preset(models[i].name)};
        json_t *j = inspect(&o);
        assert_true(at(j, "parameters.attention") == models[i].layers * models[i].attention);
        assert_true(at(j, "parameters.gss") == models[i].layers * models[i].gss);
        assert_true(at(j, "parameters.aux") == models[i].layers * models[i].aux);
        assert_true(at(j, "parameters.ffn") == models[i].layers * models[i].ffn);
        assert_true(at(j, "parameters.mixing") == models[i].layers * 3);
        assert_true(at(j, "parameters.total") == models[i].total);
        json_decref(j);
    }
}

/* Nothing is left over and nothing counted twice, in every preset. */
static void components_sum_up(void **state)
{
    (void)state;
    static const char *const presets[] = {"pha-90m",      "pha-125m", "pha-125m-s25", "pha-180m",
                                          "tiny",         "attn-180", "attn-180-l10", "attn-180-l18",
                                          "attn-180-l24", "attn-125", "seq-186",      "seq-125"};
    static const char *const parts[] = {"embedding", "attention", "gss", "aux", "ffn", "norms", "mixing"};
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        pha_inspect_options o = {.model = preset(presets[i])};
        json_t *j = inspect(&o), *p = json_object_get(j, "parameters");
        double sum = 0;
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) sum += at(p, parts[k]);
        assert_true(at(p, "other") == 0);
        assert_true(sum == at(p, "total"));
        assert_true(at(p, "embedding") > 0 && at(p, "attention") > 0 && at(p, "norms") > 0);
        json_decref(j);
    }
}

static void state_sizes(void **state)
{
    (void)state;
    static const struct { const char *name; double per_token_bf16, constant; } models[] = {
        {"pha-90m", 6720, 66304}, {"pha-125m", 7296, 78336}, {"pha-180m", 10240, 78080},
        {"seq-186", 12288, 93696}, {"attn-180", 16384, 0},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        pha_inspect_options o = {.model = preset(models[i].name)};
        json_t *j = inspect(&o);
        double one = at(j, "contexts.0.state_bytes.cache"), two = at(j, "contexts.1.state_bytes.cache");
        assert_true(two - one == 1024 * 2 * models[i].per_token_bf16);
        assert_true(one - 1024 * 2 * models[i].per_token_bf16 <= 64 * 16); /* counters */
        assert_true(at(j, "contexts.4.state_bytes.recurrent") == models[i].constant);
        assert_true(at(j, "contexts.4.state_bytes.other") <= 64 * 40);
        json_decref(j);
    }
    static const char *const constant[] = {"window", "local"}; /* of 512: the same at every context */
    for (int i = 0; i < 2; i++) {
        char text[300];
        snprintf(text, sizeof text,
                 "{\"arch\":\"pha\",\"vocab_size\":256,\"d_model\":64,\"n_layer\":2,\"n_head\":4,\"n_kv_head\":2,"
                 "\"d_ffn\":128,\"d_state\":160,\"d_aux\":64,\"%s\":512}",
                 constant[i]);
        pha_inspect_options o = {.model = write_config("window.json", text)};
        json_t *j = inspect(&o);
        assert_true(at(j, "contexts.0.state_bytes.cache") == at(j, "contexts.4.state_bytes.cache"));
        assert_true(at(j, "contexts.0.state_bytes.cache") >= 512 * 2 * 2 * 32 * 4);
        json_decref(j);
    }
}

/* ---- memory and program ------------------------------------------------------------------------------- */

static void memory(void **state)
{
    (void)state;
    pha_inspect_options o = {.model = preset("tiny"), .what = PHA_INSPECT_MEMORY, .context = 256, .batch = 2};
    json_t *full = inspect(&o);
    o.recompute = true;
    json_t *less = inspect(&o);
    o.recompute = false, o.inference = true;
    json_t *session = inspect(&o);
    assert_true(at(full, "weights") >= 197966 * 4 && at(full, "weights") < 197966 * 4.02);
    assert_true(at(full, "gradients") >= 197966 * 4 && at(full, "moments") == 2 * at(full, "gradients"));
    assert_true(at(full, "state") == 0 && at(full, "logits") >= 256 * 256 * 4);
    assert_true(at(full, "block") < at(full, "naive"));
    assert_true(at(full, "saved") == at(full, "naive") - at(full, "block"));
    assert_true(at(full, "total") ==
                at(full, "weights") + at(full, "gradients") + at(full, "moments") + at(full, "scratch") +
                    at(full, "block"));
    static const char *const parts[] = {"activations", "activation_gradients", "statistics",
                                        "logits",      "workspaces",           "scratch"};
    double sum = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        assert_true(at(full, parts[i]) > 0 && at(full, parts[i]) < at(full, "block"));
        sum += at(full, parts[i]);
    }
    assert_true(sum > 0.9 * at(full, "block")); /* nothing of the block is without a name */
    /* the sum of the matrix that embeds and is the head, which waits for the last microbatch */
    assert_true(at(full, "microbatches") >= 256 * 64 * 4 && at(full, "microbatches") < 256 * 64 * 4 + 4096);
    assert_true(json_object_get(session, "microbatches") == NULL);
    assert_true(at(less, "activations") < at(full, "activations"));
    assert_true(at(session, "gradients") == 0 && at(session, "moments") == 0 &&
                at(session, "activation_gradients") == 0);
    assert_true(at(session, "state") >= 2 * (256 * 2 * 2 * 2 * 16 * 4 + 2 * 160 * 4)); /* 2 sequences, 2 layers */
    json_decref(full);
    json_decref(less);
    json_decref(session);
    char *text;
    o.inference = false;
    assert_int_equal(pha_inspect(&o, &text), PHA_OK);
    assert_non_null(strstr(text, "logits workspace"));
    assert_non_null(strstr(text, "saved by the plan"));
    pha_free(text);
}

/* The column before the source of line i of the table: megabytes that a step moves. */
static double megabytes(const char *text, size_t i)
{
    for (; i > 0; i--) text = strchr(text, '\n') + 1;
    const char *at = strchr(text, '\n');
    while (strncmp(at, "  ", 2)) at--;
    while (at[-1] != ' ') at--;
    return strtod(at, NULL);
}

static void program(void **state)
{
    (void)state;
    char *text;
    pha_inspect_options o = {.model = preset("tiny"), .what = PHA_INSPECT_PROGRAM, .context = 128};
    json_t *j = inspect(&o), *steps = json_object_get(j, "steps");
    size_t n = json_array_size(steps), lines = 0;
    assert_true(n > 40);
    assert_int_equal(pha_inspect(&o, &text), PHA_OK);
    for (size_t i = 0; i < n; i++) {
        json_t *step = json_array_get(steps, i);
        near(megabytes(text, i + 1), at(step, "bytes") / 1e6, 0.0051, json_string_value(json_object_get(step, "path")));
    }
    json_decref(j);
    for (const char *p = text; (p = strchr(p, '\n')); p++) lines++;
    assert_int_equal(lines, n + 2); /* head and sum */
    assert_non_null(strstr(text, "backward"));
    assert_non_null(strstr(text, "layer1.gss.h"));
    pha_free(text);
    o.no_fuse = true;
    j = inspect(&o);
    assert_true(json_array_size(json_object_get(j, "steps")) > n);
    json_decref(j);
    o.inference = true;
    assert_int_equal(pha_inspect(&o, &text), PHA_OK);
    assert_null(strstr(text, " backward  "));
    pha_free(text);
}

/* ---- mixing ------------------------------------------------------------------------------------------- */

static void wrong_input(void **state)
{
    (void)state;
    char *text = (char *)1;
    pha_inspect_options o = {.model = NULL};
    assert_int_equal(pha_inspect(&o, &text), PHA_USAGE);
    assert_null(text);
    o.model = in_root("nothing");
    assert_int_equal(pha_inspect(&o, &text), PHA_IO);
    o.model = write_config("broken.json", "{\"arch\":\"pha\",");
    assert_int_equal(pha_inspect(&o, &text), PHA_BAD_INPUT);
    o = (pha_inspect_options){.model = preset("tiny"), .context = -1};
    assert_int_equal(pha_inspect(&o, &text), PHA_USAGE);
    o = (pha_inspect_options){.model = preset("tiny"), .context = 1 << 20, .batch = 65536};
    assert_int_equal(pha_inspect(&o, &text), PHA_USAGE);
    o = (pha_inspect_options){
        .model = preset("tiny"), .what = PHA_INSPECT_MIXING, .svg = in_root("no/such/folder.svg")};
    assert_int_equal(pha_inspect(&o, &text), PHA_IO);
    assert_null(text);
}

static pha_status inspect_once(void *options)
{
    char *text = NULL;
    pha_status status = pha_inspect(options, &text);
    if (status) assert_null(text);
    pha_free(text);
    return status;
}

static void out_of_memory(void **state)
{
    (void)state;
    for (int what = 0; what < 4; what++) {
        pha_inspect_options o = {.model = preset("tiny"), .what = (pha_inspect_what)what, .context = 32};
        fail_allocations(inspect_once, &o, 40);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations),
        cmocka_unit_test(classes_sum_to_program),
        cmocka_unit_test(components),
        cmocka_unit_test(components_sum_up),
        cmocka_unit_test(state_sizes),
        cmocka_unit_test(memory),
        cmocka_unit_test(program),
        cmocka_unit_test(wrong_input),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
