/* damage.h -- files with a changed byte, and weights changed as only a writer can */
#ifndef DAMAGE_H
#define DAMAGE_H

#include "base/hash.h"
#include "io/safetensors.h"
#include "support/root.h"

/* A file in memory, which is put back, changed, on disk. */
typedef struct whole_file {
    char path[1000], *data;
    size_t size;
} whole_file;

static inline whole_file read_whole(const char *folder, const char *name)
{
    whole_file f;
    snprintf(f.path, sizeof f.path, "%s/%s", folder, name);
    OK(pha__read_file(&f.data, &f.size, f.path, (size_t)1 << 28));
    return f;
}

static inline void put_bytes(const whole_file *f)
{
    FILE *out = fopen(f->path, "wb"); /* without syncs: it is done often */
    assert_true(out && fwrite(f->data, 1, f->size, out) == f->size && fclose(out) == 0);
}

/* With some bits of a byte turned over, which memory does not keep. */
static inline void put_flipped(const whole_file *f, size_t at, int bits)
{
    f->data[at] = (char)(f->data[at] ^ bits);
    put_bytes(f);
    f->data[at] = (char)(f->data[at] ^ bits);
}

static inline void put_back(whole_file *f)
{
    put_bytes(f);
    pha__free(f->data);
}

/* Where the data of a safetensors file begins. */
static inline size_t data_begin(const whole_file *f)
{
    size_t header = 0;
    for (int i = 7; i >= 0; i--) header = header << 8 | (unsigned char)f->data[i];
    return 8 + header;
}

/* Other weights, written rightly: their checksum is that of what is there. */
static inline void reseal(const whole_file *f)
{
    size_t begin = data_begin(f);
    char key[] = "\"" PHA__TENSORS_SUM "\":\"", sum[20];
    char *at = memmem(f->data, begin, key, strlen(key));
    assert_non_null(at);
    snprintf(sum, sizeof sum, "%016llx", (unsigned long long)pha__hash(f->data + begin, f->size - begin, 0));
    memcpy(at + strlen(key), sum, 16);
}

#endif
