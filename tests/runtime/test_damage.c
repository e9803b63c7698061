/* test_damage.c -- what pha wrote is verified when it matters: a changed byte is noticed, or changes nothing; what a
 * person may change; work that would replace what it reads is refused */
#include <sys/stat.h>

#include "base/fault.h"
#include "damage.h"
#include "runtime/infer/session.h"
#include "training.h"

static char folder[300];
static const char *at_root(const char *name) { return snprintf(folder, sizeof folder, "%s", in_root(name)), folder; }

static void make_model(const char *place, uint64_t seed)
{
    lab_write_config(in_root("small.json"), lab_find("default"), 0);
    OK(pha_model_init(in_root("small.json"), seed, "bytes", place));
}

/* Opens a model for real use and tells its fingerprint. */
static pha_status use_model(const char *place, uint64_t *fingerprint)
{
    pha_model *m;
    pha_session *s;
    TRY(pha_model_open(&m, place));
    pha_status status = pha_session_open(&s, m, &(pha_session_options){.max_context = 16, .threads = 1});
    if (!status) status = pha__model_fingerprint(fingerprint, m);
    if (!status) pha_session_close(s);
    pha_model_close(m);
    return status;
}

/* A byte in `steps` of the file is changed, one after the other. Returns how many went unnoticed, being harmless. */
static int flip_all(const char *place, const char *name, int steps)
{
    whole_file f = read_whole(place, name);
    uint64_t want, found;
    int harmless = 0;
    OK(use_model(place, &want));
    for (int i = 0; i < steps; i++) {
        size_t at = f.size * (size_t)i / (size_t)steps;
        put_flipped(&f, at, 1 << i % 8);
        pha_status status = use_model(place, &found);
        if (status && (status != PHA_BAD_INPUT || !strstr(pha_errmsg(), place)))
            fail_msg("%s, byte %zu: status %d: %s", name, at, status, pha_errmsg());
        if (!status && found != want) fail_msg("%s, byte %zu: another model, and not noticed", name, at);
        harmless += !status;
    }
    put_back(&f);
    OK(use_model(place, &found));
    return harmless;
}

static void a_model(void **state)
{
    (void)state;
    const char *place = at_root("model");
    make_model(place, 1);
    assert_int_equal(flip_all(place, "model.safetensors", 300), 0);
    assert_true(flip_all(place, "config.json", 300) < 60); /* white space, and what no model of this kind uses */
    assert_true(flip_all(place, "tokenizer.json", 100) < 40);
    assert_true(flip_all(place, "README.md", 10) == 10);
}

/* A look at a model reads no weights; nobody computes with damaged ones. */
static void who_looks(void **state)
{
    (void)state;
    char *text;
    const char *place = at_root("looked-at");
    make_model(place, 1);
    whole_file f = read_whole(place, "model.safetensors");
    put_flipped(&f, f.size - 5, 4);
    OK(pha_inspect(&(pha_inspect_options){.model = place}, &text));
    pha_free(text);
    pha_model *m;
    pha_engine *e;
    pha_eval_result score;
    OK(pha_model_open(&m, place));
    FAILS(BAD_INPUT, "model.safetensors: its numbers are not", pha_engine_open(&e, m, NULL));
    pha_model_close(m);
    FAILS(BAD_INPUT, "not those that were written",
          pha_eval(&(pha_eval_options){.model = place, .data = data, .context = 33}, &score));
    FAILS(BAD_INPUT, "not those that were written", pha_model_average((const char *[]){place}, 1, in_root("mean")));
    pha_train_options o = options();
    pha_trainer *t;
    o.config = NULL, o.init_from = place, o.dropout = -1;
    FAILS(BAD_INPUT, "not those that were written", pha_trainer_open(&t, &o));
    put_back(&f);
}

/* Weights from elsewhere have no checksum and no configuration: they are taken as they are. */
static void from_elsewhere(void **state)
{
    (void)state;
    uint64_t print;
    const char *place = at_root("elsewhere");
    make_model(place, 1);
    char path[400];
    snprintf(path, sizeof path, "%s/model.safetensors", place);
    whole_file f = read_whole(place, "model.safetensors");
    char *sum = memmem(f.data, data_begin(&f), PHA__TENSORS_SUM, strlen(PHA__TENSORS_SUM));
    char *written = memmem(f.data, data_begin(&f), "\"config\"", 8);
    assert_true(sum && written);
    sum[0] = 'x', written[1] = 'x';
    put_flipped(&f, f.size - 5, 4);
    OK(use_model(place, &print));
    pha__free(f.data);
}

/* ---- a person's hand ---- */

static void put_text(const char *place, const char *text, const char *more)
{
    char path[400], all[4000];
    snprintf(path, sizeof path, "%s/config.json", place);
    snprintf(all, sizeof all, "{%s\n%s", more, strchr(text, '{') + 1);
    OK(pha__write_file(path, all, strlen(all)));
}

/* Layout and a hub's keys are free; what the model is, only on purpose. */
static void edited_configurations(void **state)
{
    (void)state;
    const char *place = at_root("edited");
    uint64_t want, print;
    make_model(place, 1);
    OK(use_model(place, &want));
    whole_file f = read_whole(place, "config.json");
    put_text(place, f.data, "\"model_type\": \"pha\", ");
    OK(use_model(place, &print));
    assert_true(print == want);
    char *base = strstr(f.data, "\"rope_theta\": ");
    assert_non_null(base);
    base += strlen("\"rope_theta\": ");
    *base = *base == '1' ? '2' : '1';
    put_text(place, f.data, "");
    FAILS(BAD_INPUT, "config.json: 'rope_theta' is not as it was", use_model(place, &print));
    put_text(place, f.data, "\"edited\": false,");
    FAILS(BAD_INPUT, "add \"edited\": true", use_model(place, &print));
    put_text(place, f.data, "\"edited\": true,");
    OK(use_model(place, &print));
    assert_true(print != want);
    pha__free(f.data);
}

/* ---- a checkpoint and its data ---- */

/* Every byte of trainer.json: an error, or the same state. */
static void a_checkpoint(void **state)
{
    (void)state;
    const char *place = at_root("state");
    pha_train_options o = options();
    o.threads = 1, o.schedule = PHA_SCHEDULE_PLATEAU;
    pha_trainer *t = open_trainer(&o);
    steps(t, 2);
    OK(pha_trainer_save(t, place));
    whole_file f = read_whole(place, "trainer.json");
    int step = f.size > 2000 ? (int)f.size / 1000 : 1, harmless = 0;
    for (size_t at = 0; at < f.size; at += (size_t)step) {
        put_flipped(&f, at, 1 << at % 7);
        pha_status status = pha_trainer_load(t, place);
        if (status && (status != PHA_BAD_INPUT || !strstr(pha_errmsg(), "trainer.json")))
            fail_msg("byte %zu: status %d: %s", at, status, pha_errmsg());
        if (status) continue;
        harmless++;
        OK(pha_trainer_save(t, in_root("again")));
        whole_file g = read_whole(in_root("again"), "trainer.json");
        if (g.size != f.size || memcmp(g.data, f.data, g.size)) fail_msg("byte %zu: another state, not noticed", at);
        pha__free(g.data);
    }
    assert_true(harmless < 60);
    put_back(&f);
    static const char *const parts[] = {"weights.safetensors", "m.safetensors", "v.safetensors"};
    for (int i = 0; i < 3; i++) {
        f = read_whole(place, parts[i]);
        for (size_t at = 0; at < f.size; at += f.size / 7) {
            put_flipped(&f, at, 8);
            FAILS(BAD_INPUT, parts[i], pha_trainer_load(t, place));
        }
        put_back(&f);
    }
    OK(pha_trainer_load(t, place));
    pha_trainer_close(t);
}

/* A training reads all its tokens before the first step. */
static void tokens(void **state)
{
    (void)state;
    pha_train_options o = options();
    pha_trainer *t;
    static const char *const shards[] = {"train-00000.tok", "valid-00000.tok"};
    for (int k = 0; k < 2; k++) {
        whole_file f = read_whole(data, shards[k]);
        for (size_t at = 0; at < f.size; at += f.size / 9) {
            put_flipped(&f, at, 1);
            FAILS(BAD_INPUT, shards[k], pha_trainer_open(&t, &o));
            assert_null(t);
        }
        put_back(&f);
    }
    whole_file f = read_whole(data, "data.json");
    pha__data want, found;
    OK(pha__data_read(&want, data));
    for (size_t at = 0; at < f.size; at++) {
        put_flipped(&f, at, 1 << at % 7);
        pha_status status = pha__data_read(&found, data);
        if (!status) assert_memory_equal(&want, &found, sizeof want);
        else if (status != PHA_BAD_INPUT) fail_msg("byte %zu: status %d: %s", at, status, pha_errmsg());
    }
    put_back(&f);
}

/* ---- a disk that does not keep what it was given ---- */

static char victim[500];
static bool hit;

/* Before any call: the victim, as soon as it has its name, gets another byte. */
static int spoil(pha__call call, size_t *size)
{
    (void)call, (void)size;
    FILE *f = hit ? NULL : fopen(victim, "r+b");
    if (!f) return 0;
    bool tensors = strstr(victim, ".safetensors");
    assert_int_equal(fseek(f, tensors ? -3 : 0, tensors ? SEEK_END : SEEK_SET), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
    fputc(c ^ 0x10, f);
    assert_int_equal(fclose(f), 0);
    hit = true;
    return 0;
}

static void nothing(void) {}

static pha_status save_again(void *trainer) { return pha_trainer_save(trainer, folder); }

static pha_status init_again(void *unused)
{
    (void)unused;
    return pha_model_init(in_root("small.json"), 2, "bytes", folder);
}

static void write_wrongly(pha_status (*attempt)(void *), void *context, const char *const *parts)
{
    static const pha__faults faults = {spoil, nothing};
    const pha__faults *usual = pha__faulty;
    for (; *parts; parts++) {
        whole_file before = read_whole(folder, *parts);
        snprintf(victim, sizeof victim, "%s.writing/%s", folder, *parts);
        hit = false;
        pha__faulty = &faults;
        pha_status status = attempt(context);
        pha__faulty = usual;
        assert_true(hit);
        if (status != PHA_IO || !strstr(pha_errmsg(), "read back otherwise"))
            fail_msg("%s: status %d: %s", *parts, status, pha_errmsg());
        whole_file now = read_whole(folder, *parts);
        assert_true(now.size == before.size && !memcmp(now.data, before.data, now.size));
        pha__free(now.data);
        pha__free(before.data);
    }
    OK(attempt(context));
}

/* What is read back is not what was written: the old one stays. */
static void written_wrongly(void **state)
{
    (void)state;
    pha_train_options o = options();
    o.threads = 1;
    pha_trainer *t = open_trainer(&o);
    steps(t, 1);
    OK(pha_trainer_save(t, at_root("kept")));
    steps(t, 1);
    write_wrongly(save_again, t, (const char *const[]){"weights.safetensors", "m.safetensors", "v.safetensors",
                                                       "trainer.json", NULL});
    pha_trainer_close(t);
    make_model(at_root("kept-model"), 1);
    write_wrongly(init_again, NULL, (const char *const[]){"model.safetensors", "config.json", "tokenizer.json", NULL});
}

/* ---- means, and places that hold what is read ---- */

static void spoilt_means(void **state)
{
    (void)state;
    const char *place = at_root("good");
    make_model(place, 1);
    make_model(in_root("bad"), 2);
    static const uint32_t values[] = {0x7fc00000, 0x7f800000, 0xff800000, 0xffc00001};
    whole_file f = read_whole(in_root("bad"), "model.safetensors");
    for (int i = 0; i < 4; i++) {
        memcpy(f.data + f.size - 4 * (size_t)(1 + i), &values[i], 4);
        reseal(&f);
        put_bytes(&f);
        FAILS(BAD_INPUT, "spoils every mean",
              pha_model_average((const char *[]){place, in_root("bad")}, 2, in_root("mean")));
        memcpy(f.data + f.size - 4 * (size_t)(1 + i), (float[]){0.5f}, 4);
        assert_false(pha__exists(in_root("mean")));
    }
    pha__free(f.data);
}

static void over_their_own(void **state)
{
    (void)state;
    char again[400], dotted[420];
    const char *place = at_root("own");
    make_model(place, 1);
    make_model(in_root("second"), 2);
    uint64_t want, print;
    OK(use_model(place, &want));
    snprintf(again, sizeof again, "%s", in_root("alias"));
    assert_int_equal(symlink(place, again), 0);
    snprintf(dotted, sizeof dotted, "%s/../own/", in_root("second"));
    const char *const spelt[] = {place, again, dotted};
    for (int i = 0; i < 3; i++) {
        const char *const folders[] = {in_root("second"), place};
        FAILS(USAGE, "is to be averaged", pha_model_average(folders, 2, spelt[i]));
        FAILS(USAGE, "is to be averaged", pha_model_average((const char *[]){folders[0], spelt[i]}, 2, place));
        char inner[500];
        snprintf(inner, sizeof inner, "%s/config.json", spelt[i]);
        FAILS(USAGE, "would be replaced", pha_model_init(inner, 3, NULL, place));
        FAILS(USAGE, "would be replaced", pha_model_init(in_root("small.json"), 3, spelt[i], place));
    }
    OK(use_model(place, &print));
    assert_true(print == want);

    pha_train_options o = options();
    pha_train_result result;
    char run[300], model[400];
    snprintf(run, sizeof run, "%s", in_root("run"));
    snprintf(model, sizeof model, "%s/./model/", run);
    o.out = run, o.steps = 2, o.warmup = 1;
    OK(pha_train(&o, &result));
    o.resume = true, o.config = NULL, o.init_from = model;
    FAILS(USAGE, "is a part of the run", pha_train(&o, &result));
}

static void silent(void *context, pha__log_level level, const char *text) { (void)context, (void)level, (void)text; }

static int quietly(void **state)
{
    pha__log_to(silent, NULL);
    return set_up(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model),      cmocka_unit_test(who_looks),    cmocka_unit_test(from_elsewhere),
        cmocka_unit_test(a_checkpoint), cmocka_unit_test(tokens),       cmocka_unit_test(edited_configurations),
        cmocka_unit_test(spoilt_means), cmocka_unit_test(over_their_own), cmocka_unit_test(written_wrongly),
    };
    return cmocka_run_group_tests(tests, quietly, root_teardown);
}
