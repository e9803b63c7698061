/* Any bytes as the trainer.json of a checkpoint whose weights are good: an error, or a trainer that can be saved and
 * loaded again. An object without "identity" or "checksums" gets the right ones, or hardly anything would be read. */
#include <string.h>

#include "base/hash.h"
#include "base/json.h"
#include "input.h"
#include "pha.h"

static pha_trainer *trainer;
static const char *checkpoint, *state, *again;

static const char *const parts[] = {"identity", "checksums"};
static char *part[2]; /* "identity": {...} of the good one */

static void ok(pha_status status)
{
    if (!status) return;
    fprintf(stderr, "%s\n", pha_errmsg());
    abort();
}

static void clean_up(void)
{
    pha_trainer_close(trainer);
    for (int i = 0; i < 2; i++) free(part[i]);
}

static void set_up(void)
{
    static const char config[] = "{\"arch\":\"pha\",\"d_model\":8,\"n_layer\":1,\"n_head\":2,\"n_kv_head\":1,"
                                 "\"d_ffn\":8,\"branches\":[\"attn\"]}";
    static const char text[] = "a text of some words\nand of two lines\n";
    const char *model = fuzz_path("config.json"), *inputs[] = {fuzz_path("text.txt")}, *data = fuzz_path("data");
    checkpoint = fuzz_path("checkpoint"), state = fuzz_path("checkpoint/trainer.json"), again = fuzz_path("again");
    atexit(clean_up);
    fuzz_write(model, config, strlen(config));
    fuzz_write(inputs[0], text, strlen(text));
    pha_prepare_result result;
    ok(pha_prepare(&(pha_prepare_options){.inputs = inputs, .n_inputs = 1, .out = data, .tokenizer = "bytes",
                                          .valid_fraction = -1, .test_fraction = -1, .threads = 1}, &result));
    pha_train_options o = {.config = model, .data = data, .out = fuzz_path("run"), .context = 4,
                           .batch = 1, .micro_batch = 1, .steps = 10, .threads = 1};
    ok(pha_trainer_open(&trainer, &o));
    ok(pha_trainer_save(trainer, checkpoint));
    json_t *good;
    ok(pha__json_load(&good, state, 1 << 20));
    for (int i = 0; i < 2; i++) {
        pha__str s = {0};
        pha__str_printf(&s, "\"%s\":", parts[i]);
        pha__json_print(&s, json_object_get(good, parts[i]), JSON_COMPACT | JSON_REAL_PRECISION(17));
        part[i] = strdup(s.data);
        pha__str_free(&s);
    }
    json_decref(good);
}

/* Its checksum, which would be wrong, goes; that takes another reading. */
static char *unsealed(const uint8_t *data, size_t size)
{
    json_t *json = json_loadb((const char *)data, size, 0, NULL);
    if (json_is_object(json)) json_object_del(json, "checksum");
    char *text = json_is_object(json) ? json_dumps(json, JSON_REAL_PRECISION(17)) : NULL;
    json_decref(json);
    return text;
}

/* What begins as an object, with the parts that it lacks in front, to be freed; NULL: no object. */
static char *complete(const uint8_t *data, size_t size)
{
    char *plain = memmem(data, size, "checksum\"", 9) ? unsealed(data, size) : strndup((const char *)data, size);
    size_t at = plain ? strspn(plain, " \t\r\n") : 0;
    char *text = NULL;
    if (plain && plain[at] == '{' && (text = malloc(strlen(plain) + strlen(part[0]) + strlen(part[1]) + 4))) {
        const char *rest = plain + at + 1;
        char *end = stpcpy(text, "{");
        for (int i = 0; i < 2; i++)
            if (!strstr(plain, parts[i])) end = stpcpy(stpcpy(end, end[-1] == '{' ? "" : ","), part[i]);
        if (end[-1] != '{' && rest[strspn(rest, " \t\r\n")] != '}') *end++ = ',';
        strcpy(end, rest);
    }
    free(plain);
    return text;
}

static void try_state(const void *text, size_t size)
{
    fuzz_write(state, text, size);
    if (pha_trainer_load(trainer, checkpoint) != PHA_OK) {
        if (!*pha_errmsg()) abort();
        return;
    }
    if (pha__hash(text, size, 0) % 4) return; /* which takes most of the time */
    ok(pha_trainer_save(trainer, again));
    ok(pha_trainer_load(trainer, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!trainer) set_up();
    char *text = complete(data, size);
    if (!text || size < 64 || memmem(data, size, "checksum\"", 9)) try_state(data, size);
    if (text) try_state(text, strlen(text));
    free(text);
    return 0;
}
