/* launch.c -- the ranks that this process was started among
 *
 * mpirun, mpiexec and srun say so in the environment. The library of messages is a plugin, since MPI is another one on
 * every cluster.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/library.h"
#include "base/print.h"
#include "dist/transport.h"

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

static pha_status join(pha__comm *out, const char *variable, int n)
{
    pha__transport_host host = {PHA__TRANSPORT_ABI, sizeof *out, pha__fail, pha__print, 0};
    pha_status (*function)(const pha__transport_host *, pha__comm *);
    char what[160];
    TRY(patience(&host.patience));
    pha__print(what, sizeof what, "this process was started as one of %d ranks (%s), but the plugin for MPI", n,
               variable);
    TRY(pha__library_function(&function, sizeof function, "libpha-mpi.so", "PHA_MPI_PLUGIN", "pha_mpi_join", what,
                              "build pha where MPI is (Debian: libopenmpi-dev), set PHA_MPI_PLUGIN, or set PHA_RANKS=1 "
                              "to work alone"));
    pha_status status = function(&host, out);
    if (status == PHA_FAILED) FAIL(NO_DEVICE, "the plugin for MPI that was found is no plugin of this build of pha");
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
    if (!variable) return refuse_torchrun();
    TRY(join(&world, variable, n));
    atexit(leave);
    return pha__comm_make(&world);
}

static pha__comm alone = {.size = 1};
static bool apart;

void pha__comm_apart(bool yes)
{
    alone.local = world.local, alone.locals = world.locals;
    apart = yes;
}

pha_status pha__comm_world(pha__comm **out)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static bool open;
    pthread_mutex_lock(&mutex);
    pha_status status = open ? PHA_OK : open_world();
    open = open || !status;
    pthread_mutex_unlock(&mutex);
    *out = apart ? &alone : &world;
    return status;
}
