/* input.c -- see input.h
 *
 * Under the sanitizers it takes long to get a large block and to give it back, so those are kept for the next input;
 * while nobody has one it may not be touched. More than MOST at once is refused: a few bytes may ask for gigabytes.
 */
#include "input.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
#include <sanitizer/asan_interface.h>
#else
#define __asan_poison_memory_region(p, size) ((void)(p), (void)(size))
#define __asan_unpoison_memory_region(p, size) ((void)(p), (void)(size))
#endif

/* What is freed comes back after one or a few inputs, while it is still in the cache, not after 256 MiB. Where it
 * was allocated is told by replaying the input with ASAN_OPTIONS=malloc_context_size=30. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "quarantine_size_mb=4:malloc_context_size=1";
}

enum { LARGE = 16 << 10, MOST = 32 << 20, BLOCKS = 64 };

static struct block {
    char *free;      /* kept */
    uintptr_t taken; /* inverted, so that the leak checker sees who else knows it */
    size_t size;
} blocks[BLOCKS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *take_kept(size_t size)
{
    for (struct block *b = blocks; b < blocks + BLOCKS; b++) {
        if (!b->free || b->size < size || b->size / 4 > size) continue;
        char *p = b->free;
        b->free = NULL, b->taken = ~(uintptr_t)p;
        __asan_unpoison_memory_region(p, size);
        return p;
    }
    return NULL;
}

static void *take_new(size_t size)
{
    char *p = malloc(size);
    struct block *b = blocks;
    while (b < blocks + BLOCKS && (b->free || b->taken)) b++;
    if (p && b < blocks + BLOCKS) *b = (struct block){.taken = ~(uintptr_t)p, .size = size};
    return p;
}

static void *take(void *context, size_t size)
{
    (void)context;
    if (size > MOST) return NULL;
    if (size < LARGE) return malloc(size);
    pthread_mutex_lock(&lock);
    void *p = take_kept(size);
    if (!p) p = take_new(size);
    pthread_mutex_unlock(&lock);
    return p;
}

static void give(void *context, void *p)
{
    (void)context;
    if (malloc_usable_size(p) < LARGE) {
        free(p);
        return;
    }
    pthread_mutex_lock(&lock);
    struct block *b = blocks;
    while (b < blocks + BLOCKS && b->taken != ~(uintptr_t)p) b++;
    if (b < blocks + BLOCKS) {
        __asan_poison_memory_region(p, b->size);
        b->free = p, b->taken = 0;
        p = NULL;
    }
    pthread_mutex_unlock(&lock);
    free(p);
}

static void ignore(void *context, pha__log_level level, const char *message)
{
    (void)context, (void)level, (void)message;
}

__attribute__((constructor)) static void start(void)
{
    if (pha__set_allocator(take, give, NULL)) abort();
    pha__log_to(ignore, NULL);
}

static void write_all(int fd, const void *data, size_t size)
{
    if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size) abort();
}

const char *fuzz_file(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("input", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    write_all(fd, data, size);
    return path;
}

static char folder[64];

static void clean_up(void) { pha__remove_tree(folder); }

const char *fuzz_path(const char *name)
{
    static char paths[16][128];
    static int n;
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "%s/pha-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        if (!mkdtemp(folder)) abort();
        atexit(clean_up);
    }
    if (n == 16) abort(); /* each is asked for once */
    snprintf(paths[n], sizeof paths[n], "%s%s%s", folder, *name ? "/" : "", name);
    return paths[n++];
}

void fuzz_write(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    write_all(fd, data, size);
    close(fd);
}
