/* bench_tokenizer.c -- speed of encoding, or the ids themselves for a comparison with another tokenizer
 *
 *     bench_tokenizer TOKENIZER FILE          encodes the file for about a second, prints MB/s
 *     bench_tokenizer TOKENIZER FILE --ids    writes the ids as little-endian int32 to stdout
 *     bench_tokenizer TOKENIZER FILE --lines  the same for each line by itself, -1 between lines
 *     bench_tokenizer SIZE FILE --train OUT   trains a vocabulary of SIZE tokens and writes OUT, a tokenizer.json
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "io/tokenizer/tokenizer.h"

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static pha_status train(const pha__map *map, int32_t size, const char *path)
{
    double begin = now();
    pha__bpe_trainer *b;
    pha__tokenizer *t = NULL;
    TRY(pha__bpe_trainer_open(&b, size, 0));
    pha_status status = pha__bpe_trainer_feed(b, map->data, map->size);
    double counted = now();
    if (!status) status = pha__bpe_trainer_finish(b, &t, NULL, NULL);
    double end = now();
    if (!status) status = pha__tokenizer_save(t, path);
    if (!status)
        printf("trained %d tokens on %.1f MB in %.2f s (counting %.2f s)\n", pha__tokenizer_size(t),
               (double)map->size / 1e6, end - begin, counted - begin);
    pha__tokenizer_close(t);
    pha__bpe_trainer_close(b);
    return status;
}

static pha_status dump(pha__encoder *e, const pha__map *map, bool lines)
{
    const unsigned char *s = map->data, *end = s + map->size;
    while (s < end) {
        const unsigned char *stop = lines ? memchr(s, '\n', (size_t)(end - s)) : NULL;
        if (!stop) stop = end;
        const int32_t *ids;
        size_t n;
        TRY(pha__encode(e, s, (size_t)(stop - s), true, &ids, &n));
        fwrite(ids, sizeof *ids, n, stdout);
        if (lines) fwrite(&(int32_t){-1}, sizeof(int32_t), 1, stdout);
        s = stop + (stop < end);
    }
    return PHA_OK;
}

static pha_status speed(pha__encoder *e, const pha__map *map)
{
    double total = 0, best = 1e9;
    size_t n = 0;
    for (int i = 0; i < 3 || total < 1; i++) {
        const int32_t *ids;
        double begin = now();
        TRY(pha__encode(e, map->data, map->size, true, &ids, &n));
        double time = now() - begin;
        total += time;
        if (time < best) best = time;
    }
    printf("%.3f MB, %zu tokens, %.1f MB/s\n", (double)map->size / 1e6, n, (double)map->size / 1e6 / best);
    return PHA_OK;
}

static pha_status run(const char *tokenizer, const char *file, const char *mode)
{
    pha__map map;
    pha__tokenizer *t = NULL;
    pha__encoder *e = NULL;
    TRY(pha__map_open(&map, file));
    pha_status status = pha__tokenizer_open(&t, tokenizer);
    if (!status) status = pha__encoder_open(&e, t);
    if (!status) status = mode ? dump(e, &map, strcmp(mode, "--lines") == 0) : speed(e, &map);
    pha__encoder_close(e);
    pha__tokenizer_close(t);
    pha__map_close(&map);
    return status;
}

int main(int argc, char **argv)
{
    pha_status status = PHA_USAGE;
    if (argc == 5 && strcmp(argv[3], "--train") == 0) {
        pha__map map;
        status = pha__map_open(&map, argv[2]);
        if (!status) status = train(&map, (int32_t)strtol(argv[1], NULL, 10), argv[4]);
    } else if (argc == 3 || argc == 4) {
        status = run(argv[1], argv[2], argv[3]);
    } else {
        fprintf(stderr, "usage: bench_tokenizer TOKENIZER FILE [--ids | --lines], or SIZE FILE --train OUT\n");
        return status;
    }
    if (status) fprintf(stderr, "bench_tokenizer: %s\n", pha_errmsg());
    return (int)status;
}
