/* Any bytes as a safetensors file: an error, or tensors that lie in the file and can be found by name */
#include <string.h>

#include "input.h"
#include "io/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pha__safetensors *st;
    if (pha__safetensors_open(&st, fuzz_file(data, size)) != PHA_OK) {
        if (st || !*pha_errmsg()) abort();
        return 0;
    }
    size_t total = 0;
    volatile unsigned char sum = 0;
    for (size_t i = 0; i < pha__safetensors_count(st); i++) {
        const pha__tensor *t = pha__safetensors_at(st, i);
        uint64_t n = pha__dtype_size(t->dtype);
        for (int k = 0; k < t->rank; k++) n *= (uint64_t)t->shape[k];
        if (n != t->size || t->size > size) abort();
        for (size_t k = 0; k < t->size; k++) sum ^= ((const unsigned char *)t->data)[k];
        if (pha__safetensors_find(st, t->name) != t) abort();
        total += t->size;
    }
    if (total + 8 > size) abort();
    (void)sum;
    pha__safetensors_metadata(st, "arch");
    pha__safetensors_close(st);
    return 0;
}
