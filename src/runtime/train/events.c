/* events.c -- TensorBoard event files
 *
 *   record   u64 length, u32 masked crc of the length, bytes, u32 masked crc of the bytes      (little-endian)
 *   Event    1: double wall_time   2: int64 step   3: string file_version   5: Summary
 *   Summary  1: repeated Value     Value  1: string tag   2: float simple_value
 */
#include "runtime/train/events.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/print.h"

#define BUFFER 65536
#define TAG_MAX 200
#define RECORD_MAX (TAG_MAX + 96)

struct pha__events {
    char *path;
    size_t size;
    unsigned char buffer[BUFFER];
};

/* ---- CRC-32C -------------------------------------------------------------------------------------------- */

uint32_t pha__crc32c(const void *data, size_t size)
{
    const unsigned char *s = data;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < size; i++) {
        crc ^= s[i];
        for (int k = 0; k < 8; k++) crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return ~crc;
}

uint32_t pha__crc32c_masked(const void *data, size_t size)
{
    uint32_t crc = pha__crc32c(data, size);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/* ---- protobuf: each function returns the end of what it wrote ------------------------------------------- */

static unsigned char *put_bytes(unsigned char *to, uint64_t value, int n)
{
    for (int i = 0; i < n; i++) *to++ = (unsigned char)(value >> (8 * i));
    return to;
}

static unsigned char *put_varint(unsigned char *to, uint64_t value)
{
    for (; value >= 128; value >>= 7) *to++ = (unsigned char)(value | 128);
    *to++ = (unsigned char)value;
    return to;
}

static unsigned char *put_field(unsigned char *to, int number, const void *data, size_t size)
{
    *to++ = (unsigned char)(number << 3 | 2);
    to = put_varint(to, size);
    memcpy(to, data, size);
    return to + size;
}

static unsigned char *put_double(unsigned char *to, int number, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    *to++ = (unsigned char)(number << 3 | 1);
    return put_bytes(to, bits, 8);
}

static unsigned char *put_float(unsigned char *to, int number, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    *to++ = (unsigned char)(number << 3 | 5);
    return put_bytes(to, bits, 4);
}

/* ---- records -------------------------------------------------------------------------------------------- */

static pha_status put_record(pha__events *e, const unsigned char *data, size_t size)
{
    if (e->size + size + 16 > BUFFER) TRY(pha__events_flush(e));
    unsigned char *start = e->buffer + e->size, *to = put_bytes(start, size, 8);
    to = put_bytes(to, pha__crc32c_masked(start, 8), 4);
    memcpy(to, data, size);
    to = put_bytes(to + size, pha__crc32c_masked(data, size), 4);
    e->size += (size_t)(to - start);
    return PHA_OK;
}

pha_status pha__events_scalar(pha__events *e, const char *tag, int64_t step, double wall_time, double value)
{
    unsigned char one[RECORD_MAX], summary[RECORD_MAX], event[RECORD_MAX];
    unsigned char *to = put_field(one, 1, tag, strnlen(tag, TAG_MAX));
    to = put_float(to, 2, (float)value);
    unsigned char *end = put_field(summary, 1, one, (size_t)(to - one));
    to = put_double(event, 1, wall_time);
    *to++ = 2 << 3;
    to = put_varint(to, (uint64_t)step);
    to = put_field(to, 5, summary, (size_t)(end - summary));
    return put_record(e, event, (size_t)(to - event));
}

pha_status pha__events_flush(pha__events *e)
{
    size_t size = e->size;
    e->size = 0;
    return size ? pha__append_file(e->path, e->buffer, size) : PHA_OK;
}

pha_status pha__events_open(pha__events **out, const char *folder)
{
    static int opened; /* two files of one process and second differ in this */
    char host[128] = "", name[256];
    unsigned char event[64], *to;
    *out = NULL;
    if (gethostname(host, sizeof host - 1) != 0 || !host[0]) memcpy(host, "host", 5);
    time_t now = time(NULL);
    pha__print(name, sizeof name, "events.out.tfevents.%lld.%s.%ld.%d", (long long)now, host, (long)getpid(),
               __atomic_fetch_add(&opened, 1, __ATOMIC_RELAXED));
    pha__events *e = pha__alloc_zero(1, sizeof *e);
    if (!e) return PHA_NO_MEMORY;
    e->path = pha__path_join(folder, name);
    to = put_double(event, 1, (double)now);
    to = put_field(to, 3, "brain.Event:2", 13);
    pha_status status = e->path ? put_record(e, event, (size_t)(to - event)) : PHA_NO_MEMORY;
    if (!status) status = pha__events_flush(e);
    if (status) {
        pha__free(e->path);
        pha__free(e);
        return status;
    }
    *out = e;
    return PHA_OK;
}

pha_status pha__events_close(pha__events *e)
{
    if (!e) return PHA_OK;
    pha_status status = pha__events_flush(e);
    pha__free(e->path);
    pha__free(e);
    return status;
}
