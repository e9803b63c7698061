/* launch.c -- the ranks that this process was started among
 *
 * mpirun, mpiexec and srun say so in the environment. The library of messages is a plugin, since MPI is another one on
 * every cluster: the file that PHA_MPI_PLUGIN names, or else libpha-mpi.so beside the executable, then where the loader
 * looks.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/print.h"
#include "dist/transport.h"

static const char library_name[] = "libpha-mpi.so";

/* Where each starter leaves the number of ranks, and that of this one. */
static const char *const starters[][2] = {{"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
                                          {"PMI_SIZE", "PMI_RANK"},
                                          {"SLURM_STEP_NUM_TASKS", "SLURM_PROCID"}};

static int number_of(const char *name)
{
    const char *value = getenv(name);
    return value ? atoi(value) : 0;
}

/* The variable that says that there are several; NULL: none does. */
static const char *started_by(int *n, int *rank)
{
    const char *forced = getenv("PHA_RANKS");
    *n = 1, *rank = 0;
    if (forced && !strcmp(forced, "1")) return NULL;
    for (size_t i = 0; i < sizeof starters / sizeof *starters; i++) {
        int size = number_of(starters[i][0]);
        if (size < 2) continue;
        *n = size, *rank = number_of(starters[i][1]);
        return starters[i][0];
    }
    return NULL;
}

int pha__started_ranks(int *rank)
{
    int n;
    started_by(&n, rank);
    return n;
}

/* DIR/libpha-mpi.so beside the executable; false: it is not there. */
static bool beside(char *out, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", out, size - sizeof library_name);
    if (n <= 0 || (size_t)n >= size - sizeof library_name) return false;
    out[n] = 0;
    char *slash = strrchr(out, '/');
    if (!slash) return false;
    memcpy(slash + 1, library_name, sizeof library_name);
    return access(out, R_OK) == 0;
}

static pha_status patience(double *seconds)
{
    const char *text = getenv("PHA_RANK_TIMEOUT");
    *seconds = 20;
    if (!text || !*text) return PHA_OK;
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || value < 2 || value > 86400) FAIL(USAGE, "PHA_RANK_TIMEOUT is %s: 2 to 86400 seconds", text);
    *seconds = (double)value;
    return PHA_OK;
}

static pha_status join(pha__joined *out, const char *variable, int n)
{
    char path[4096];
    pha__transport_host host = {PHA__TRANSPORT_ABI, pha__fail, pha__print, 0};
    TRY(patience(&host.patience));
    const char *name = getenv("PHA_MPI_PLUGIN");
    if (!name || !*name) name = beside(path, sizeof path) ? path : library_name;
    void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        FAIL(NO_DEVICE,
             "this process was started as one of %d ranks (%s), but the plugin for MPI can't be loaded: %s; build pha "
             "where MPI is (Debian: libopenmpi-dev), set PHA_MPI_PLUGIN, or set PHA_RANKS=1 to work alone",
             n, variable, dlerror());
    void *symbol = dlsym(library, "pha_mpi_join");
    pha_status (*function)(const pha__transport_host *, pha__joined *);
    memcpy(&function, &symbol, sizeof function); /* a pointer to a function by way of one to data */
    pha_status status = symbol ? function(&host, out) : PHA_FAILED;
    if (status == PHA_FAILED) FAIL(NO_DEVICE, "%s is no plugin of this build of pha", name);
    if (!status && out->size != n)
        FAIL(NO_DEVICE,
             "%d ranks were started (%s), but MPI finds %d: its starter is another one; use its own mpirun, or srun "
             "--mpi=pmix",
             n, variable, out->size);
    return status;
}

/* torchrun starts processes that find each other without MPI. */
static pha_status refuse_torchrun(void)
{
    const char *n = getenv("WORLD_SIZE");
    if (!getenv("TORCHELASTIC_RUN_ID") || !n || atoi(n) < 2) return PHA_OK;
    FAIL(NO_DEVICE, "torchrun started %s ranks, which have no MPI to talk by; use mpirun -n %s or srun", n, n);
}

static pha__comm world = {.size = 1};

static void leave(void) { pha__comm_free(&world); }

static pha_status open_world(void)
{
    int n, rank;
    const char *variable = started_by(&n, &rank);
    pha__joined joined;
    if (!variable) return refuse_torchrun();
    TRY(join(&joined, variable, n));
    world = (pha__comm){joined.rank, joined.size,      joined.local, joined.locals, joined.transport,
                        joined.self, {NULL, NULL}, PHA_OK};
    atexit(leave);
    return pha__comm_make(&world);
}

pha_status pha__comm_world(pha__comm **out)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static bool open;
    *out = &world;
    pthread_mutex_lock(&mutex);
    pha_status status = open ? PHA_OK : open_world();
    open = open || !status;
    pthread_mutex_unlock(&mutex);
    return status;
}
