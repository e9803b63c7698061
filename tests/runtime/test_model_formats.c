/* test_model_formats.c -- folders whose weights are not one file of fp32: other formats, several files with an index
 *
 * The files are made here from those of a small model: a format's numbers by its own rounding, and, beside them, what
 * they stand for as fp32. Both must be the same model to the bit.
 */
#include "base/format.h"
#include "io/safetensors.h"
#include "tiny.h"

enum { V = 70, N = 9, MOST = 200 };

static const int32_t ids[N] = {3, 60, 0, 69, 17, 17, 4, 31, 8};

static const char *in_model(const char *folder, const char *name)
{
    static char path[2][700];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s/%s", root, folder, name);
    return path[turn];
}

/* A folder with the configuration of the model `from`, without weights. */
static void copy_config(const char *folder, const char *from)
{
    char *text;
    size_t size;
    OK(pha__mkdirs(in_root(folder)));
    OK(pha__read_file(&text, &size, in_model(from, "config.json"), 1 << 20));
    OK(pha__write_file(in_model(folder, "config.json"), text, size));
    pha__free(text);
}

static pha__safetensors *weights_of(const char *folder)
{
    pha__safetensors *st;
    OK(pha__safetensors_open(&st, in_model(folder, "model.safetensors")));
    return st;
}

/* The numbers of a tensor of fp32 in a format, and as fp32 again. */
static void store(pha__tensor *as, pha__tensor *back, const pha__tensor *t, pha__dtype format)
{
    int64_t n = (int64_t)(t->size / sizeof(float));
    void *stored = pha__alloc_zero((size_t)n, pha__dtype_size(format));
    float *floats = pha__alloc_zero((size_t)n, sizeof *floats);
    pha__format_pack(format, stored, 1, n, 0, 1, t->data, n);
    pha__format_unpack(format, stored, n, 0, 0, n, floats);
    *as = *back = *t;
    as->dtype = format, as->data = stored;
    back->data = floats;
}

/* The weights of the model "plain" in the format in folder `as`, in fp32 after that rounding in folder `back`. `every`:
 * the format of each such tensor, the others stay fp32. */
static void write_format(const char *as, const char *back, pha__dtype format, size_t every)
{
    pha__tensor a[MOST], b[MOST];
    pha__safetensors *st = weights_of("plain");
    size_t n = pha__safetensors_count(st);
    assert_in_range(n, 10, MOST);
    for (size_t i = 0; i < n; i++) store(&a[i], &b[i], pha__safetensors_at(st, i), i % every ? PHA__F32 : format);
    copy_config(as, "plain");
    copy_config(back, "plain");
    OK(pha__safetensors_write(in_model(as, "model.safetensors"), a, n, NULL));
    OK(pha__safetensors_write(in_model(back, "model.safetensors"), b, n, NULL));
    for (size_t i = 0; i < n; i++) pha__free((void *)(uintptr_t)a[i].data), pha__free((void *)(uintptr_t)b[i].data);
    pha__safetensors_close(st);
}

/* Logits of the model in a folder: through a session, as users get them. */
static float *logits_of(const char *folder)
{
    pha_model *m;
    pha_session *s;
    float *out = pha__alloc(N * V, sizeof *out);
    OK(pha_model_open(&m, in_root(folder)));
    OK(pha_session_open(&s, m, &(pha_session_options){.max_context = 32, .chunk = 4, .threads = 2}));
    OK(pha_session_score(s, ids, N, out));
    pha_session_close(s);
    float *rows = tiny_logits(m, ids, N);
    assert_true(lab_e2(out, rows, N * V) < 1e-5);
    pha__free(rows);
    pha_model_close(m);
    return out;
}

static double distance(const char *a, const char *b, bool *same)
{
    float *x = logits_of(a), *y = logits_of(b);
    double e = lab_e2(x, y, N * V);
    *same = lab_same(x, y, N * V * sizeof *x);
    pha__free(x);
    pha__free(y);
    return e;
}

static void formats(void **state)
{
    (void)state;
    static const struct {
        pha__dtype format;
        const char *name;
        double least, most; /* from the logits of the fp32 model */
    } all[] = {{PHA__F32, "f32", 0, 0},
               {PHA__F64, "f64", 0, 0},
               {PHA__F16, "f16", 1e-6, 3e-3},
               {PHA__BF16, "bf16", 1e-5, 3e-2}};
    bool same;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (size_t every = 1; every < 3; every++) { /* all tensors; formats mixed in a file */
            char as[40], back[40];
            snprintf(as, sizeof as, "%s-%zu", all[i].name, every);
            snprintf(back, sizeof back, "%s-%zu-back", all[i].name, every);
            write_format(as, back, all[i].format, every);
            double e = distance(as, "plain", &same);
            if (e < all[i].least || e > all[i].most) fail_msg("%s: the logits are %g from those of fp32", as, e);
            assert_int_equal(same, all[i].most == 0);
            distance(as, back, &same);
            if (!same) fail_msg("%s: not the model that its numbers are", as);
        }
}

/* ---- several files --------------------------------------------------------------------------------------- */

/* Half of the tensors of "plain" in one file, the others in another; `twice` tensors of the first in both. */
static void write_parts(const char *folder, size_t twice)
{
    pha__tensor t[MOST];
    pha__safetensors *st = weights_of("plain");
    size_t n = pha__safetensors_count(st), half = n / 2;
    for (size_t i = 0; i < n; i++) t[i] = *pha__safetensors_at(st, i);
    copy_config(folder, "plain");
    OK(pha__safetensors_write(in_model(folder, "a.safetensors"), t, half, NULL));
    OK(pha__safetensors_write(in_model(folder, "b.safetensors"), t + half - twice, n - half + twice, NULL));
    pha__safetensors_close(st);
}

/* The index of such a folder. The tensor `odd` (its place) is said to be in the file `name`. */
static void write_index(const char *folder, size_t odd, const char *name)
{
    pha__safetensors *st = weights_of("plain");
    size_t n = pha__safetensors_count(st);
    pha__str s = {0};
    pha__str_printf(&s, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {");
    for (size_t i = 0; i < n; i++)
        pha__str_printf(&s, "%s\"%s\": \"%s\"", i ? ", " : "", pha__safetensors_at(st, i)->name,
                        i == odd ? name : i < n / 2 ? "a.safetensors" : "b.safetensors");
    pha__str_puts(&s, "}}");
    OK(pha__write_file(in_model(folder, "model.safetensors.index.json"), s.data, s.size));
    pha__str_free(&s);
    pha__safetensors_close(st);
}

static void several_files(void **state)
{
    (void)state;
    bool same;
    write_parts("parts", 0);
    write_index("parts", SIZE_MAX, NULL);
    distance("parts", "plain", &same);
    assert_true(same);
    pha_model *m; /* of the same fingerprint, so that a session's file goes from one to the other */
    uint64_t one, other;
    OK(pha_model_open(&m, in_root("parts")));
    OK(pha__model_fingerprint(&one, m));
    pha_model_close(m);
    OK(pha_model_open(&m, in_root("plain")));
    OK(pha__model_fingerprint(&other, m));
    pha_model_close(m);
    assert_true(one == other);
    OK(pha__write_file(in_model("parts", "run.json"), "{}", 2)); /* it is a model all the same */
    OK(pha_model_open(&m, in_root("parts")));
    pha_model_close(m);
}

static void bad_parts(void **state)
{
    (void)state;
    pha_model *m;
    write_parts("bad", 0);
    static const struct {
        const char *name, *message;
    } wrong[] = {
        {"gone.safetensors", "the file 'gone.safetensors' that it names is missing; put it into the same folder"},
        {"b.safetensors", "is missing in b.safetensors"},
        {"../parts/a.safetensors", "must be a plain name in the same folder"},
        {"/etc/passwd", "must be a plain name in the same folder"},
        {"..", "must be a plain name in the same folder"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_index("bad", 0, wrong[i].name);
        FAILS(BAD_INPUT, wrong[i].message, pha_model_open(&m, in_root("bad")));
        assert_non_null(strstr(pha_errmsg(), "bad/model.safetensors.index.json"));
        assert_null(m);
    }
    write_index("bad", SIZE_MAX, NULL);
    OK(pha_model_open(&m, in_root("bad")));
    pha_model_close(m);
    char *text;
    size_t size;
    OK(pha__read_file(&text, &size, in_model("bad", "b.safetensors"), 1 << 28));
    OK(pha__write_file(in_model("bad", "b.safetensors"), text, size - 8)); /* a download that broke off */
    FAILS(BAD_INPUT, "bad/b.safetensors", pha_model_open(&m, in_root("bad")));
    pha__free(text);
    assert_int_equal(unlink(in_model("bad", "b.safetensors")), 0);
    FAILS(BAD_INPUT, "'b.safetensors' that it names is missing", pha_model_open(&m, in_root("bad")));
    write_parts("bad", 1);
    FAILS(BAD_INPUT, "is in two parts", pha_model_open(&m, in_root("bad")));
}

/* One number of one part is another than was written: told when something is to be computed. */
static void damaged_part(void **state)
{
    (void)state;
    char *text;
    size_t size;
    pha_model *m;
    pha_session *s;
    write_parts("damaged", 0);
    write_index("damaged", SIZE_MAX, NULL);
    OK(pha__read_file(&text, &size, in_model("damaged", "b.safetensors"), 1 << 28));
    text[size - 1] ^= 1;
    OK(pha__write_file(in_model("damaged", "b.safetensors"), text, size));
    pha__free(text);
    OK(pha_model_open(&m, in_root("damaged")));
    FAILS(BAD_INPUT, "damaged/b.safetensors", pha_session_open(&s, m, NULL));
    pha_model_close(m);
}

static int setup(void **state)
{
    root_setup(state);
    pha_model_close(tiny_model("plain", lab_find("default"), V, NULL));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats),
        cmocka_unit_test(several_files),
        cmocka_unit_test(bad_parts),
        cmocka_unit_test(damaged_part),
    };
    return cmocka_run_group_tests(tests, setup, root_teardown);
}
