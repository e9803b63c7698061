/* test_formulas.c -- the models against their equations, written down once more (formulas.c)
 *
 * The reference of test_gradients.c interprets the program that a model recorded, so it can't see that a model recorded
 * something else than pha.md says. Here one sequence goes through the equations in double; its logits are compared with
 * those of the program, in every variant of lab.c.
 */
#include <math.h>

#include "models/formulas.h"

enum { T = FORMULA_T, V = 256, L = 2 };

static void test_forward(void **state)
{
    (void)state;
    char bad[2048] = "";
    for (int i = 0; i < lab_n_variants; i++) {
        pha__config c;
        lab_config(&c, &lab_variants[i]);
        const char *name = lab_variants[i].name, *options = lab_variants[i].options;
        if (!strstr(options, "alpha\":") && c.alpha != pow(2 * L, 0.25)) fail_msg("%s: alpha is %g", name, c.alpha);
        if (!strstr(options, "rope_theta") && c.rope_theta != 10000)
            fail_msg("%s: rope_theta is %g", name, c.rope_theta);
        lab l;
        lab_open(&l, &c, &(pha__program_options){.B = 1, .T = T}, PHA__HEAD_LOGITS, lab_device());
        int32_t tokens[T];
        static float want[T * V];
        lab_tokens(tokens, NULL, T, V, 0, 21);
        formula_logits(want, &l, &c, tokens);
        OK(pha__exec_run(l.exec, 1, T, &(pha__run){.tokens = tokens}, NULL, false));
        double e2 = lab_e2(lab_output(&l, "logits", T), want, T * V);
        print_message("%-28s %.1e\n", name, e2);
        if (!(e2 <= 1e-5)) snprintf(bad + strlen(bad), sizeof bad - strlen(bad), "%s%s", *bad ? ", " : "", name);
        lab_close(&l);
    }
    if (*bad) fail_msg("other logits than the formulas: %s", bad);
}

/* Without the main residual no step reads the base of the second sub-layer or writes a gradient for it: multiplied by 0
 * it would still turn an infinity into NaN. */
static void test_no_base(void **state)
{
    (void)state;
    pha__config c;
    lab_config(&c, lab_find("pre_inv, no main residual"));
    lab l;
    lab_open(&l, &c, &(pha__program_options){.B = 1, .T = T, .gradients = true}, PHA__HEAD_LOSS, lab_device());
    int found = 0;
    for (int i = 0; i < l.program->n_steps; i++) {
        const pha__plan_step *s = &l.program->steps[i];
        if (strncmp(s->node->path, "layer1.out", 10) != 0) continue; /* with the norm that is fused to it */
        assert_int_equal(s->in[0].kind, PHA__REF_NONE);
        assert_int_equal(s->d_in[0].kind, PHA__REF_NONE);
        found++;
    }
    assert_int_equal(found, 2); /* forward and backward */
    lab_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forward), cmocka_unit_test(test_no_base)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
