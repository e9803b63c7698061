/* pha_check: passes for every architecture, and sees faults: a wrong model, kernel, state, tokenizer */
#include "runtime/check/check.h"

#include <math.h>

#include "nn/nn.h"
#include "ops/lm_loss/lm_loss.h"
#include "tiny.h"

static int verdicts;

static void on_verdict(void *user, const pha_verdict *v)
{
    assert_ptr_equal(user, &verdicts);
    verdicts++;
    if (!v->passed || getenv("PHA_TEST_VERBOSE"))
        print_message("%s %-17s %.2e of %.2e, %.2f s: %s\n", v->passed ? "ok" : "FAILED", v->what, v->error, v->limit,
                      v->seconds, v->text);
}

static void variant(const lab_variant *v, const char *tokenizer)
{
    char folder[400];
    pha_check_result r;
    snprintf(folder, sizeof folder, "%s", in_root("model"));
    pha_model_close(tiny_model("model", v, 300, tokenizer));
    pha_check_options o = {.model = folder, .threads = 2, .verdict = on_verdict, .user = &verdicts};
    verdicts = 0;
    pha_status status = pha_check(&o, &r);
    if (status || getenv("PHA_TEST_VERBOSE")) print_message("of %s: %s\n", v->name, status ? pha_errmsg() : "good");
    assert_int_equal(status, PHA_OK);
    assert_true(r.n == verdicts && r.n > 10 && r.failed == 0 && r.seconds > 0);
    OK(pha__remove_tree(folder));
}

static void models(void **state)
{
    (void)state;
    static const char *const names[] = {"default", "window per layer", "pre_inv, no main residual",
                                        "sequential, filter conv4", "gpt2", "linear attention", "hedgehog",
                                        "gss, hybrid", "gss, dss", "h3, hybrid"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) variant(lab_find(names[i]), i ? NULL : "bytes");
}

/* A narrow copy of every variant of the lab, and of each preset, is a model of the same architecture. */
static void narrow(void **state)
{
    (void)state;
    for (int i = 0; i < lab_n_variants; i++) {
        pha__config c, n;
        pha__program *p;
        pha__config_rules rules = pha__rules();
        pha__program_options o = {.B = 1, .T = 1};
        lab_config(&c, &lab_variants[i]);
        c.n_layer = 12;
        pha__check_narrow(&n, &c);
        OK(pha__config_save(&n, in_root("narrow.json"), &rules));
        OK(pha__config_load(&c, in_root("narrow.json"), &rules));
        assert_true(c.n_layer == 2 && c.d_model == 64 && !strcmp(c.arch, n.arch));
        OK(pha__record(&p, &c, &o, PHA__HEAD_LOSS));
        pha__program_close(p);
    }
    /* a hybrid whose attention comes late keeps a layer of each kind */
    pha__config c, n;
    lab_config(&c, lab_find("h3, hybrid"));
    c.n_layer = 12, c.attn_layers[0] = 1 << 7;
    pha__check_narrow(&n, &c);
    assert_true(!pha__is_attn_layer(&n, 0) && pha__is_attn_layer(&n, 1));
}

/* What is no fault of this machine is an error, not a verdict. */
static void refusals(void **state)
{
    (void)state;
    pha_check_result r;
    char path[400];
    snprintf(path, sizeof path, "%s", in_root("c.json"));
    FAILS(USAGE, "options", pha_check(NULL, &r));
    FAILS(USAGE, "model folder", pha_check(&(pha_check_options){0}, &r));
    FAILS(IO, "absent", pha_check(&(pha_check_options){.model = "/absent/absent"}, &r));
    lab_write_config(path, lab_find("default"), 300);
    pha_request_stop();
    FAILS(STOPPED, "0 of", pha_check(&(pha_check_options){.model = path}, &r));
    pha_clear_stop();
    setenv("TMPDIR", "/absent/absent", 1);
    FAILS(IO, "TMPDIR", pha_check(&(pha_check_options){.model = path}, &r));
    setenv("TMPDIR", root, 1);
    OK(pha_check(&(pha_check_options){.model = path}, NULL)); /* a configuration */
    char **left;
    size_t n;
    OK(pha__list_dir(&left, &n, root));
    for (size_t i = 0; i < n; i++) assert_null(strstr(left[i], "pha-check"));
    pha__free_list(left, n);
    unsetenv("TMPDIR");
}

/* Is this the only check that fails, or, with `also`, one of those that fail? */
static void fails_in(const char *arch, const char *what, bool also)
{
    char path[400];
    pha_check_result r;
    bool seen = false;
    lab_variant v = {arch, arch, ""};
    snprintf(path, sizeof path, "%s", in_root("planted.json"));
    lab_write_config(path, &v, 300);
    FAILS(FAILED, "checks failed", pha_check(&(pha_check_options){.model = path, .threads = 2}, &r));
    for (int i = 0; i < r.n; i++) {
        bool here = strcmp(r.verdict[i].what, what) == 0;
        seen |= here && !r.verdict[i].passed;
        if (!r.verdict[i].passed && !here && !also) fail_msg("%s: %s", r.verdict[i].what, r.verdict[i].text);
    }
    assert_true(seen);
}

/* The gradient is that of half of the loss. */
static void half_head(Params p, Var x, const pha__config *c, pha__head head)
{
    static const pha__lm_loss_attr half = {0.5f};
    Var E = pha__lm_table(p, c);
    if (head != PHA__HEAD_LOSS) pha__lm_head(p, x, c, head);
    else pha__loss(p, "loss", pha__apply(p, "loss", &pha__op_lm_loss, ((Var[]){rmsnorm(p, "norm", x), E}), 2, &half,
                                         sizeof half), 1);
}

/* A single token goes through one layer more than the same token in a longer piece. */
static void longer_head(Params p, Var x, const pha__config *c, pha__head head)
{
    Var y = product(p, "more", x, x);
    pha__lm_head(p, p.program->options.T == 1 && p.program->options.max_context ? y : x, c, head);
}

static void planted(void **state)
{
    (void)state;
    static pha__model_row half, longer; /* they stay with the library */
    half = longer = pha__model_pha;
    half.name = "half", half.head = half_head;
    longer.name = "longer", longer.head = longer_head;
    OK(pha__model_add(&half));
    OK(pha__model_add(&longer));
    fails_in("half", "gradients", false);
    fails_in("longer", "streaming", true);
    fails_in("longer", "saved state", true);
}

/* Weights that became NaN in training: no logits are equal, and the command says so. */
static void broken_model(void **state)
{
    (void)state;
    char folder[400];
    pha_check_result r;
    pha_model *m = tiny_model("good", lab_find("default"), 300, NULL);
    pha__store *s;
    pha__device *device;
    OK(pha__device_open(&device, "cpu", 1));
    OK(pha__store_open(&s, m->names, device));
    OK(pha__store_add(s, PHA__WEIGHT, PHA__ALL_PARAMS, PHA__F32));
    OK(pha__store_convert(s, PHA__WEIGHT, m->store, PHA__WEIGHT));
    ((float *)pha__store_at(s, PHA__WEIGHT, pha__find_param(m->names, "norm")->index).data)[3] = NAN;
    snprintf(folder, sizeof folder, "%s", in_root("broken"));
    OK(pha__model_write(folder, &m->config, s, NULL, NULL));
    pha__store_close(s);
    pha__device_close(device);
    pha_model_close(m);
    FAILS(FAILED, "checks failed", pha_check(&(pha_check_options){.model = folder}, &r));
    assert_true(r.failed > 0 && r.n > 10);
    bool isas = true;
    for (int i = 0; i < r.n; i++)
        if (!strcmp(r.verdict[i].what, "instruction sets")) isas = r.verdict[i].passed;
    assert_false(isas);
}

/* The processor with the kernels of one set. */
static void devices(void **state)
{
    (void)state;
    pha_model *m = tiny_model("named", lab_find("default"), 300, NULL);
    pha_engine *e;
    const char *isa;
    size_t n = 0;
    for (; (isa = pha__host_isa_at(n)); n++) {
        char name[40];
        pha__device_info info;
        snprintf(name, sizeof name, "cpu:%s", isa);
        OK(pha_engine_open(&e, m, &(pha_engine_options){.device = name, .threads = 1}));
        e->device->backend->info(e->device, &info);
        assert_string_equal(info.version, isa);
        pha_engine_close(e);
    }
    assert_true(n >= 1);
    FAILS(NO_DEVICE, "instruction set", pha_engine_open(&e, m, &(pha_engine_options){.device = "cpu:none"}));
    pha_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models),
        cmocka_unit_test(narrow),
        cmocka_unit_test(refusals),
        cmocka_unit_test(planted),
        cmocka_unit_test(devices),
        cmocka_unit_test(broken_model),
    };
    return cmocka_run_group_tests(tests, root_setup, root_teardown);
}
