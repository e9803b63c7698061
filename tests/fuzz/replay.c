/* replay.c -- runs a fuzz target on every file of the folders it is given, for machines without a fuzzer
 *
 *   replay_NAME FOLDER|FILE...
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count;

/* The data lies at the end of its allocation, so that the sanitizers see a read beyond it. */
static int replay_file(const char *path, size_t size)
{
    uint8_t *data = malloc(size ? size : 1);
    FILE *f = fopen(path, "rb");
    if (!data || !f || fread(data, 1, size, f) != size) {
        perror(path);
        if (f) fclose(f);
        free(data);
        return 1;
    }
    fclose(f);
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    count++;
    return 0;
}

static int replay(const char *path)
{
    struct stat st;
    if (stat(path, &st)) return perror(path), 1;
    if (!S_ISDIR(st.st_mode)) return replay_file(path, (size_t)st.st_size);
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort), failed = n < 0;
    for (int i = 0; i < n; i++) {
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.') failed |= replay(inner);
        free(names[i]);
    }
    if (n >= 0) free(names);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++) failed |= replay(argv[i]);
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    printf("%d files\n", count);
    return failed || count == 0;
}
