/* far.c -- a device whose memory the host cannot touch: the processor, or another device with memory of the host,
 * behind other addresses, for tests
 *
 * The host is given addresses in a range of pages without access; the memory lies at a fixed distance from them, and
 * only this file adds the distance. So code that reads or writes memory of a device on its own ends in a fault, as it
 * would with memory on a card. PHA_DEVICE=far, or far:cuda over an emulated card.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/backends.h"
#include "base/mem.h"

static const size_t SPACE = (size_t)1 << 40; /* addresses, not memory; they are not used twice */
enum { MOST_STATES = 4096 };

/* Devices share their memory, as handles of one card do. */
static char *closed, *memory; /* the same range as the host and as the device sees it */
static _Atomic size_t used;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pha__backend rows; /* the same over a device that reads matrices by rows; devices of a kind share their struct */

typedef struct far {
    pha__device device, *cpu;
    char *states[MOST_STATES];
} far;

static pha__device *behind(pha__device *d) { return ((far *)d)->cpu; }

static void *map(int access)
{
    void *p = mmap(NULL, SPACE, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* Where the device finds what the host knows under an address of the device; NULL stays NULL. */
static void *real(const void *p) { return p ? memory + ((const char *)p - closed) : NULL; }

/* Of cards. */
static pha_status far_link_id(pha__device *d, char *id)
{
    return behind(d)->backend->link_id(behind(d), id);
}

static pha_status far_link_open(pha__device *d, const char *id, int rank, int size, void **link)
{
    return behind(d)->backend->link_open(behind(d), id, rank, size, link);
}

static pha_status far_link_exchange(pha__device *d, void *link, int peer, const void *out, size_t n_out, void *in,
                                    size_t n_in)
{
    return behind(d)->backend->link_exchange(behind(d), link, peer, real(out), n_out, real(in), n_in);
}

static void far_link_close(pha__device *d, void *link) { behind(d)->backend->link_close(behind(d), link); }

static pha_status far_link_aside(pha__device *d, void *link, bool aside)
{
    return behind(d)->backend->link_aside(behind(d), link, aside);
}

static pha_status far_link_join(pha__device *d, void *link) { return behind(d)->backend->link_join(behind(d), link); }

static void reserve(void)
{
    rows = pha__far_backend;
    rows.matrices = PHA__F32, rows.by_sequence = false;
    rows.link_id = far_link_id, rows.link_open = far_link_open;
    rows.link_exchange = far_link_exchange, rows.link_close = far_link_close;
    rows.link_aside = far_link_aside, rows.link_join = far_link_join;
    closed = map(PROT_NONE);
    memory = map(PROT_READ | PROT_WRITE);
}

static void far_close(pha__device *d)
{
    pha__device_close(behind(d));
    pha__free(d);
}

static pha_status far_open(pha__device **out, const char *which, int threads)
{
    pthread_once(&once, reserve);
    if (!closed || !memory) FAIL(NO_DEVICE, "far: no addresses for it here");
    far *f = pha__alloc_zero(1, sizeof *f);
    if (!f) return PHA_NO_MEMORY;
    pha_status status = pha__device_open(&f->cpu, *which ? which : "cpu", threads);
    if (!status && !f->cpu->backend->host_memory) {
        pha__device_close(f->cpu);
        status = pha__fail(PHA_NO_DEVICE, "far:%.60s: its memory is far already", which);
    }
    if (status) {
        pha__free(f);
        return status;
    }
    f->device.backend = f->cpu->backend->matrices == PHA__F32 ? &rows : &pha__far_backend;
    *out = &f->device;
    return PHA_OK;
}

static void far_info(pha__device *d, pha__device_info *out)
{
    behind(d)->backend->info(behind(d), out);
    strcpy(out->name, "far");
}

static pha_status far_ceiling(pha__device *d, pha__ceiling *out)
{
    return behind(d)->backend->ceiling(behind(d), out);
}

/* In front of every block its size, in a page of its own. */
static size_t page(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static void *far_alloc(pha__device *d, size_t size)
{
    (void)d;
    size_t whole = size < SPACE ? (size / page() + 2) * page() : SPACE;
    size_t at = atomic_load(&used);
    do {
        if (whole > SPACE - at) {
            pha__fail(PHA_NO_MEMORY, "no memory for %zu bytes on the device", size);
            return NULL;
        }
    } while (!atomic_compare_exchange_weak(&used, &at, at + whole));
    memcpy(memory + at, &whole, sizeof whole);
    return closed + at + page();
}

static void far_free(pha__device *d, void *p)
{
    (void)d;
    if (!p) return;
    size_t whole;
    char *begin = (char *)real(p) - page();
    memcpy(&whole, begin, sizeof whole);
    madvise(begin, whole, MADV_DONTNEED);
}

static pha_status far_upload(pha__device *d, void *to, const void *from, size_t size)
{
    (void)d;
    if (size) memcpy(real(to), from, size);
    return PHA_OK;
}

static pha_status far_download(pha__device *d, void *to, const void *from, size_t size)
{
    (void)d;
    if (size) memcpy(to, real(from), size);
    return PHA_OK;
}

static pha_status far_copy(pha__device *d, void *to, const void *from, size_t size)
{
    (void)d;
    if (size) memcpy(real(to), real(from), size);
    return PHA_OK;
}

static pha_status far_fill(pha__device *d, void *to, int byte, size_t size)
{
    (void)d;
    if (size) memset(real(to), byte, size);
    return PHA_OK;
}

static const void *far_kernel(pha__device *d, const char *op) { return behind(d)->backend->kernel(behind(d), op); }

/* Sizes alone: the addresses stay closed, so a kernel that looks at data here is found out. */
static pha_status far_needs(pha__device *d, const void *kernel, const pha__args *a, pha__pass pass, pha__needs *out)
{
    return behind(d)->backend->needs(behind(d), kernel, a, pass, out);
}

static void open_view(pha__view *v) { v->data = real(v->data); }

static pha_status far_run(pha__device *d, const void *kernel, const pha__args *a, pha__pass pass, void *scratch)
{
    far *f = (far *)d;
    pha__args here = *a;
    pha__run run;
    for (int i = 0; i < a->n_in; i++) {
        open_view(&here.in[i]);
        open_view(&here.d_in[i]);
    }
    open_view(&here.out);
    open_view(&here.d_out);
    here.saved = real(a->saved), here.sums = real(a->sums), here.work = real(a->work);
    if (a->run) {
        memcpy(&run, real(a->run), sizeof run);
        run.tokens = real(run.tokens), run.targets = real(run.targets), run.order = real(run.order);
        here.run = &run;
    }
    if (a->state) {
        if (a->B > MOST_STATES) FAIL(NO_DEVICE, "far: %d sequences with a state, the most are %d", a->B, MOST_STATES);
        char *const *states = real(a->state);
        for (int b = 0; b < a->B; b++) f->states[b] = real(states[b]);
        here.state = f->states;
    }
    return behind(d)->backend->run(behind(d), kernel, &here, pass, real(scratch));
}

static pha_status far_mark(pha__device *d, int mark) { return behind(d)->backend->mark(behind(d), mark); }

static pha_status far_between(pha__device *d, int a, int b, double *seconds)
{
    return behind(d)->backend->between(behind(d), a, b, seconds);
}

const pha__backend pha__far_backend = {
    .name = "far",
    .host_memory = false,
    .by_sequence = true,
    .align = 256,
    .matrices = PHA__F32_PANEL,
    .open = far_open,
    .close = far_close,
    .info = far_info,
    .ceiling = far_ceiling,
    .alloc = far_alloc,
    .free = far_free,
    .upload = far_upload,
    .download = far_download,
    .copy = far_copy,
    .fill = far_fill,
    .kernel = far_kernel,
    .needs = far_needs,
    .run = far_run,
    .mark = far_mark,
    .between = far_between,
};
