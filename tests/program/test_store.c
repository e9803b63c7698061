/* test_store.c -- places of parameters: layout, roles, formats, and a format that only this test knows */
#include <math.h>

#include "base/format.h"
#include "models/lab.h"
#include "runtime/model.h"

enum { T = 40, V = 256 };

static int32_t tokens[T];

/* ---- a format of the test: 16-bit integers with a scale per row ------------------------------------------- */

static size_t row_bytes(int64_t width) { return sizeof(float) + (size_t)width * sizeof(int16_t); }

static void pack(void *matrix, int64_t rows, int64_t width, int64_t row, int64_t n, const float *from, int64_t ld)
{
    (void)rows;
    for (int64_t i = 0; i < n; i++, from += ld) {
        char *at = (char *)matrix + (size_t)(row + i) * row_bytes(width);
        float most = 0;
        for (int64_t k = 0; k < width; k++) most = fmaxf(most, fabsf(from[k]));
        float scale = most / 32767;
        memcpy(at, &scale, sizeof scale);
        for (int64_t k = 0; k < width; k++) {
            int16_t q = (int16_t)(scale > 0 ? lrintf(from[k] / scale) : 0);
            memcpy(at + sizeof scale + (size_t)k * sizeof q, &q, sizeof q);
        }
    }
}

static void unpack(const void *matrix, int64_t width, int64_t row, int64_t column, int64_t n, float *to)
{
    const char *at = (const char *)matrix + (size_t)row * row_bytes(width);
    float scale;
    memcpy(&scale, at, sizeof scale);
    for (int64_t k = 0; k < n; k++) {
        int16_t q;
        memcpy(&q, at + sizeof scale + (size_t)(column + k) * sizeof q, sizeof q);
        to[k] = scale * q;
    }
}

static const pha__format scaled16 = {
    .name = "scaled 16", .bits = 16, .block = 0, .scale = sizeof(float), .panel = 1, .pack = pack, .unpack = unpack};

static pha__dtype scaled_id(void)
{
    static pha__dtype id;
    if (!id) id = pha__format_add(&scaled16);
    return id;
}

/* ---- inference over any format ----------------------------------------------------------------------------- */

static void logits_over(float *out, const pha__config *c, const pha__store *store)
{
    pha__program *p;
    pha__exec *e;
    OK(pha__record(&p, c, &(pha__program_options){.B = 1, .T = T}, PHA__HEAD_LOGITS));
    OK(pha__exec_open(&e, p, store, store->device));
    OK(pha__exec_run(e, 1, T, &(pha__run){.tokens = tokens}, NULL, false));
    OK(pha__exec_output(e, "logits", T, out));
    pha__exec_close(e);
    pha__program_close(p);
}

static pha__store *working(const pha__store *from, pha__role role, pha__dtype format)
{
    pha__store *s;
    OK(pha__store_open(&s, from->names, from->device));
    OK(pha__store_add(s, PHA__WORKING, PHA__ALL_PARAMS, format));
    OK(pha__store_convert(s, PHA__WORKING, from, role));
    return s;
}

/* What a format holds of the weights, as rows of floats; each matrix by itself. */
static pha__store *plain_of(const lab *l, pha__dtype id)
{
    pha__store *s;
    OK(pha__store_open(&s, l->store->names, l->store->device));
    OK(pha__store_add(s, PHA__WEIGHT, PHA__ALL_PARAMS, PHA__F32));
    OK(pha__store_convert(s, PHA__WEIGHT, l->store, PHA__WEIGHT));
    for (int i = 0; i < s->names->n_params; i++) {
        const pha__node *v = s->names->params[i];
        if (v->kind != PHA__MATRIX) continue;
        float *x = pha__store_at(s, PHA__WEIGHT, i).data;
        void *packed = malloc(pha__format_bytes(id, v->rows, v->width));
        pha__format_pack(id, packed, v->rows, v->width, 0, v->rows, x, v->width);
        for (int64_t r = 0; r < v->rows; r++)
            pha__format_unpack(id, packed, v->width, r, 0, v->width, x + r * v->width);
        free(packed);
    }
    return s;
}

/* The numbers of a format in panels as they are in rows: the same bits; of blocks, whose products are of integers, what
 * the rounding of the rows to 16 bits leaves: 2e-5 to 2e-4, by how the variant damps it, a tenth of fp16's limit. */
static void check_panels(const lab *l, const pha__config *c, const char *name)
{
    static const pha__dtype ids[] = {PHA__BF16_PANEL, PHA__F16_PANEL, PHA__Q8_PANEL, PHA__Q4_PANEL};
    static float got[T * V], rounded[T * V], exact[T * V];
    const double most[] = {5e-2, 5e-3, 5e-2, 1};
    logits_over(exact, c, l->store);
    for (int k = 0; k < 4; k++) {
        pha__store *held = plain_of(l, ids[k]), *panels = working(l->store, PHA__WEIGHT, ids[k]);
        logits_over(rounded, c, held);
        logits_over(got, c, panels);
        double e2 = lab_e2(got, rounded, T * V);
        if (!(e2 <= (k < 2 ? 0 : 5e-4)))
            fail_msg("%s: other numbers over %s: E2 %.2e", name, pha__format_of(ids[k])->name, e2);
        e2 = lab_e2(got, exact, T * V);
        if (!(e2 <= most[k])) fail_msg("%s: %s: E2 %.2e", name, pha__format_of(ids[k])->name, e2);
        pha__store_close(held), pha__store_close(panels);
    }
}

static void test_formats(void **state)
{
    (void)state;
    static float exact[T * V], got[T * V], rounded[T * V];
    for (int i = 0; i < lab_n_variants; i++) {
        pha__config c;
        lab l;
        lab_config(&c, &lab_variants[i]);
        lab_tokens(tokens, NULL, T, V, 0, 9);
        lab_open(&l, &c, &(pha__program_options){.B = 1, .T = T}, PHA__HEAD_LOGITS, lab_device());
        pha__store *panels = working(l.store, PHA__WEIGHT, PHA__F32_PANEL);
        pha__store *scaled = working(l.store, PHA__WEIGHT, scaled_id());
        pha__store *plain = working(scaled, PHA__WORKING, PHA__F32); /* the numbers that the format can hold */
        logits_over(exact, &c, l.store);
        logits_over(got, &c, panels);
        if (memcmp(exact, got, sizeof got)) fail_msg("%s: other bits over panels", lab_variants[i].name);
        logits_over(got, &c, scaled);
        logits_over(rounded, &c, plain);
        if (memcmp(rounded, got, sizeof got)) fail_msg("%s: other bits over scaled rows", lab_variants[i].name);
        double e2 = lab_e2(got, exact, T * V);
        if (!(e2 > 1e-7 && e2 < 2e-3)) fail_msg("%s: scaled rows: E2 %.2e", lab_variants[i].name, e2);
        pha__store_close(panels), pha__store_close(scaled), pha__store_close(plain);
        check_panels(&l, &c, lab_variants[i].name);
        lab_close(&l);
    }
}

/* ---- places -------------------------------------------------------------------------------------------------- */

static void test_places(void **state)
{
    (void)state;
    pha__config c;
    lab l;
    lab_config(&c, lab_find("wb_scale fixed"));
    lab_open(&l, &c, &(pha__program_options){.B = 1, .T = 8, .dtype = PHA__BF16, .gradients = true}, PHA__HEAD_LOSS,
             lab_device());
    const pha__program *p = l.program;
    for (int i = 0; i < p->n_params; i++) {
        const pha__node *w = p->params[i];
        pha__place weight = pha__store_at(l.store, PHA__WEIGHT, i), copy = pha__store_at(l.store, PHA__WORKING, i);
        pha__place gradient = pha__store_at(l.store, PHA__GRADIENT, i), read = pha__store_read(l.store, i);
        size_t from = (size_t)((char *)weight.data - (char *)l.store->block[PHA__WEIGHT]);
        assert_int_equal(from, (size_t)w->offset * 4);
        assert_int_equal(gradient.data != NULL, w->kind != PHA__CONSTANT);
        assert_int_equal(copy.data != NULL, w->kind == PHA__MATRIX);
        assert_ptr_equal(read.data, copy.data ? copy.data : weight.data);
        const int64_t from_[] = {0, p->matrices, p->steady, p->trainable}, to[] = {p->matrices, p->steady, p->trainable,
                                                                                   p->weights};
        int64_t begin = from_[w->kind], end = to[w->kind];
        assert_in_range(w->offset, begin, end - 1); /* each kind is a range */
        size_t n = (size_t)pha__param_size(p, i);
        float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
        for (size_t k = 0; k < n; k++) x[k] = (float)k * 0.37f - 3;
        OK(pha__store_copy_in(l.store, PHA__WEIGHT, i, x));
        OK(pha__store_copy_out(l.store, PHA__WEIGHT, i, y));
        assert_memory_equal(x, y, n * sizeof *x);
        if (copy.data) {
            OK(pha__store_copy_in(l.store, PHA__WORKING, i, x));
            OK(pha__store_copy_out(l.store, PHA__WORKING, i, y));
            for (size_t k = 0; k < n; k++) assert_true(y[k] == bf16_to_f32(f32_to_bf16(x[k])));
        }
        free(x), free(y);
    }
    lab_close(&l);
}

/* What is not there is said by name. */
static void test_missing(void **state)
{
    (void)state;
    pha__config c;
    pha__store *s, *panels;
    pha__exec *e;
    lab l;
    float x[64 * 256];
    lab_config(&c, lab_find("default"));
    lab_open(&l, &c, &(pha__program_options){.B = 1, .T = 8, .gradients = true}, PHA__HEAD_LOSS, lab_device());
    OK(pha__store_open(&s, l.program, lab_device()));
    FAILS(FAILED, "no numbers of it", pha__exec_open(&e, l.program, s, lab_device()));
    OK(pha__store_add(s, PHA__WEIGHT, PHA__ALL_PARAMS, PHA__F32));
    FAILS(FAILED, "no gradient of it", pha__exec_open(&e, l.program, s, lab_device()));
    assert_null(e);
    FAILS(FAILED, "no place of its own", pha__store_copy_out(s, PHA__MOMENT_1, 0, x));
    int v = pha__find_param(l.program, "layer0.attn.v")->index; /* in the place of those beside it */
    panels = working(l.store, PHA__WEIGHT, PHA__F32_PANEL);
    FAILS(FAILED, "layer0.attn.v: has no place of its own", pha__store_copy_out(panels, PHA__WORKING, v, x));
    pha__store_close(s), pha__store_close(panels);
    lab_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_formats), cmocka_unit_test(test_places),
                                       cmocka_unit_test(test_missing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
