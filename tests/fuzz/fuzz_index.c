/* Any bytes as the index of a model in parts: an error, or the tensors of the parts that it names. Two parts lie beside
 * it, a third is damaged, and a fourth, in the folder above, must never be read. */
#include <string.h>

#include "base/fs.h"
#include "input.h"
#include "io/safetensors.h"

static const char *path;

static void write_part(const char *file, const char *const *names, size_t n)
{
    static const float numbers[2] = {1, 2};
    pha__tensor tensors[2];
    for (size_t i = 0; i < n; i++)
        tensors[i] = (pha__tensor){.name = names[i], .dtype = PHA__F32, .rank = 1, .shape = {2}, .data = numbers};
    if (pha__safetensors_write(fuzz_path(file), tensors, n, NULL)) abort();
}

static void set_up(void)
{
    static const char *const names[] = {"a", "b", "c", "above"};
    if (pha__mkdirs(fuzz_path("model"))) abort();
    write_part("model/1.safetensors", names, 2);
    write_part("model/2.safetensors", names + 2, 1);
    write_part("above.safetensors", names + 3, 1);
    fuzz_write(fuzz_path("model/bad.safetensors"), "bad", 3);
    path = fuzz_path("model/model.safetensors.index.json");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pha__safetensors *st;
    if (!path) set_up();
    fuzz_write(path, data, size);
    if (pha__safetensors_open_index(&st, path) != PHA_OK) {
        if (st || !*pha_errmsg()) abort();
        return 0;
    }
    size_t n = pha__safetensors_count(st);
    if (n < 1 || n > 3 || pha__safetensors_find(st, "above")) abort();
    for (size_t i = 0; i < n; i++) {
        const pha__tensor *t = pha__safetensors_at(st, i);
        float x;
        memcpy(&x, t->data, sizeof x);
        if (pha__safetensors_find(st, t->name) != t || t->size != 8 || x != 1) abort();
    }
    if (pha__safetensors_verify(st)) abort();
    pha__safetensors_close(st);
    return 0;
}
