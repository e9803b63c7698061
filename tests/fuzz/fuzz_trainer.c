/* Any bytes as the trainer.json of a checkpoint whose weights are good: an error, or a trainer that can be saved and
 * loaded again. An object without "identity" or "checksums" gets the right ones, or hardly anything would be read. */
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "input.h"

static char folder[] = "/tmp/pha-fuzz-XXXXXX";
static pha_trainer *trainer;
static json_t *good;

static const char *in_folder(const char *name)
{
    static char path[4][128];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", folder, name);
    return out;
}

static void ok(pha_status status)
{
    if (!status) return;
    fprintf(stderr, "%s\n", pha_errmsg());
    abort();
}

static void clean_up(void)
{
    pha_trainer_close(trainer);
    json_decref(good);
    pha__remove_tree(folder);
}

static void set_up(void)
{
    static const char config[] = "{\"arch\":\"pha\",\"d_model\":8,\"n_layer\":1,\"n_head\":2,\"n_kv_head\":1,"
                                 "\"d_ffn\":8,\"branches\":[\"attn\"]}";
    static const char text[] = "a text of some words\nand of two lines\n";
    if (!mkdtemp(folder)) abort();
    atexit(clean_up);
    pha__log_to(fuzz_ignore, NULL);
    ok(pha__write_file(in_folder("config.json"), config, strlen(config)));
    ok(pha__write_file(in_folder("text.txt"), text, strlen(text)));
    const char *inputs[] = {in_folder("text.txt")}, *data = in_folder("data");
    pha_prepare_result result;
    ok(pha_prepare(&(pha_prepare_options){.inputs = inputs, .n_inputs = 1, .out = data, .tokenizer = "bytes",
                                          .valid_fraction = -1, .test_fraction = -1, .threads = 1}, &result));
    pha_train_options o = {.config = in_folder("config.json"), .data = data, .out = in_folder("run"), .context = 4,
                           .batch = 1, .micro_batch = 1, .steps = 10, .threads = 1};
    ok(pha_trainer_open(&trainer, &o));
    ok(pha_trainer_save(trainer, in_folder("checkpoint")));
    ok(pha__json_load(&good, in_folder("checkpoint/trainer.json"), 1 << 20));
}

/* The input, or what it becomes with the missing parts. */
static char *complete(const uint8_t *data, size_t size, size_t *n)
{
    static const char *const parts[] = {"identity", "checksums"};
    json_t *json = json_loadb((const char *)data, size, 0, NULL);
    for (int i = 0; i < 2 && json_is_object(json); i++)
        if (!json_object_get(json, parts[i])) json_object_set(json, parts[i], json_object_get(good, parts[i]));
    char *text = json_is_object(json) ? json_dumps(json, JSON_REAL_PRECISION(17)) : NULL;
    json_decref(json);
    if (text) return *n = strlen(text), text;
    if (!(text = malloc(size + 1))) abort();
    if (size) memcpy(text, data, size);
    return *n = size, text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!trainer) set_up();
    size_t n;
    char *text = complete(data, size, &n);
    FILE *f = fopen(in_folder("checkpoint/trainer.json"), "wb"); /* without the syncs of pha__write_file */
    if (!f || fwrite(text, 1, n, f) != n || fclose(f)) abort();
    free(text);
    if (pha_trainer_load(trainer, in_folder("checkpoint")) != PHA_OK) {
        if (!*pha_errmsg()) abort();
        return 0;
    }
    ok(pha_trainer_save(trainer, in_folder("again")));
    ok(pha_trainer_load(trainer, in_folder("again")));
    return 0;
}
