/* mpi.c -- ranks that MPI has started: the plugin libpha-mpi.so
 *
 * Messages are exchanged by the thread that computes, which waits by looking, so that it can give way where there are
 * more ranks than processors, or by one beside it, which rests between looks. Another thread watches: it sends a sign
 * of life to the next rank every second and expects them from the one before. A rank that is gone, stopped or cut off
 * gives none, and whoever misses it says so and ends all ranks (the time in which it was stopped itself does not
 * count); of what MPI itself notices (a process that was killed) its starter tells. A rank that computes for hours goes
 * on giving signs.
 */
#include <mpi.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dist/transport.h"

enum { NAME = 96 };

typedef struct ranks {
    MPI_Comm messages, signs;
    int rank, size;
    double patience;
    char (*name)[NAME]; /* of each rank: host and process */
    pthread_t joined, watcher;
    bool watched;
    volatile bool over;
    const pha__transport_host *host;
} ranks;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void rest(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)(1e9 * (seconds - (double)(time_t)seconds))};
    nanosleep(&t, NULL);
}

/* ---- messages -------------------------------------------------------------------------------------------- */

static pha_status wait_for(ranks *r, MPI_Request *request, int n, int peer)
{
    int done = 0;
    bool beside = !pthread_equal(r->joined, pthread_self());
    for (int looks = 0; !done; looks++) {
        if (MPI_Testall(n, request, &done, MPI_STATUSES_IGNORE) != MPI_SUCCESS)
            return r->host->fail(PHA_IO, "rank %d (%s) is lost", peer, r->name[peer]);
        if (looks > (beside ? 20 : 100000)) rest(beside ? 2e-5 : 1e-4);
        else if (looks > 200) sched_yield();
    }
    return PHA_OK;
}

static pha_status exchange(void *self, int peer, const void *out, size_t n_out, void *in, size_t n_in)
{
    ranks *r = self;
    enum { MOST = 1 << 30 };
    const char *from = out;
    char *to = in;
    while (n_out || n_in) {
        MPI_Request request[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
        int sends = n_out < MOST ? (int)n_out : MOST, receives = n_in < MOST ? (int)n_in : MOST, bad = MPI_SUCCESS;
        if (receives) bad = MPI_Irecv(to, receives, MPI_BYTE, peer, 0, r->messages, &request[0]);
        if (sends && !bad) bad = MPI_Isend(from, sends, MPI_BYTE, peer, 0, r->messages, &request[1]);
        if (bad) return r->host->fail(PHA_IO, "rank %d (%s) is lost", peer, r->name[peer]);
        pha_status status = wait_for(r, request, 2, peer);
        if (status) return status;
        from += sends, n_out -= (size_t)sends;
        to += receives, n_in -= (size_t)receives;
    }
    return PHA_OK;
}

/* ---- signs of life --------------------------------------------------------------------------------------- */

/* Where the ranks can't be told (no network), this one ends by itself. */
static void abandon(void *self, int code)
{
    (void)self;
    alarm(5);
    MPI_Abort(MPI_COMM_WORLD, code);
    _exit(code);
}

static void end_all(ranks *r, int lost)
{
    char text[400];
    r->host->print(text, sizeof text,
                   "pha: rank %d (%s) has given no sign of life for %d seconds; all ranks end, and --resume goes on "
                   "from the last checkpoint",
                   lost, r->name[lost], (int)r->patience);
    fprintf(stderr, "%s\n", text);
    abandon(r, PHA_IO);
}

static void *watch(void *self)
{
    ranks *r = self;
    int next = (r->rank + 1) % r->size, before = (r->rank + r->size - 1) % r->size, came;
    char out = 1, in;
    MPI_Request send = MPI_REQUEST_NULL, receive;
    double last = now(), sent = 0, woke = last;
    MPI_Irecv(&in, 1, MPI_BYTE, before, 0, r->signs, &receive);
    while (!r->over) {
        if (MPI_Test(&receive, &came, MPI_STATUS_IGNORE) == MPI_SUCCESS && came) {
            last = now();
            MPI_Irecv(&in, 1, MPI_BYTE, before, 0, r->signs, &receive);
        }
        if (MPI_Test(&send, &came, MPI_STATUS_IGNORE) == MPI_SUCCESS && came && now() - sent > 1) {
            MPI_Isend(&out, 1, MPI_BYTE, next, 0, r->signs, &send);
            sent = now();
        }
        double slept = now() - woke; /* long: this rank was stopped itself, as a suspended job or laptop is */
        if (slept > 2) last += slept;
        if (now() - last > r->patience) end_all(r, before);
        woke = now();
        rest(0.1);
    }
    MPI_Cancel(&receive);
    MPI_Request_free(&receive);
    if (send != MPI_REQUEST_NULL) MPI_Request_free(&send);
    return NULL;
}

/* ---- joining and leaving --------------------------------------------------------------------------------- */

static void leave(void *self)
{
    ranks *r = self;
    int ended;
    MPI_Request all = MPI_REQUEST_NULL;
    if (MPI_Ibarrier(r->messages, &all) == MPI_SUCCESS) wait_for(r, &all, 1, 0);
    r->over = true;
    if (r->watched) pthread_join(r->watcher, NULL);
    if (MPI_Finalized(&ended) == MPI_SUCCESS && !ended) MPI_Finalize();
    free(r->name);
    free(r);
}

static const char *name(void *self, int rank) { return ((const ranks *)self)->name[rank]; }

static const pha__transport transport = {exchange, name, leave, abandon};

static void count_locals(pha__comm *out)
{
    MPI_Comm local;
    out->local = 0, out->locals = 1;
    if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local)) return;
    MPI_Comm_rank(local, &out->local);
    MPI_Comm_size(local, &out->locals);
    MPI_Comm_free(&local);
}

static void share_names(ranks *r)
{
    char host[MPI_MAX_PROCESSOR_NAME] = "", mine[NAME];
    int n;
    MPI_Get_processor_name(host, &n);
    r->host->print(mine, sizeof mine, "%.70s, process %ld", host, (long)getpid());
    MPI_Allgather(mine, NAME, MPI_BYTE, r->name, NAME, MPI_BYTE, r->messages);
}

static pha_status start(ranks *r, int threads)
{
    MPI_Comm_rank(MPI_COMM_WORLD, &r->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &r->size);
    r->name = calloc((size_t)r->size, NAME);
    if (!r->name) return PHA_NO_MEMORY;
    if (MPI_Comm_dup(MPI_COMM_WORLD, &r->messages) || MPI_Comm_dup(MPI_COMM_WORLD, &r->signs))
        return r->host->fail(PHA_NO_DEVICE, "MPI gives no communicator");
    MPI_Comm_set_errhandler(r->messages, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(r->signs, MPI_ERRORS_RETURN);
    share_names(r);
    if (r->size > 1 && threads == MPI_THREAD_MULTIPLE)
        r->watched = pthread_create(&r->watcher, NULL, watch, r) == 0;
    return PHA_OK;
}

/* Open MPI ends the process where it finds no way to the others; what it says of srun then helps whoever builds it. */
static void warn_of_srun(void)
{
#ifdef OPEN_MPI
    const char *rank = getenv("SLURM_PROCID");
    bool by_srun = rank && getenv("SLURM_STEP_NUM_TASKS") && !getenv("OMPI_COMM_WORLD_SIZE");
    if (by_srun && !atoi(rank) && !getenv("PMIX_RANK"))
        fputs("pha: srun offers no PMIx, by which Open MPI finds the other ranks; if it cannot start now, call srun "
              "--mpi=pmix (srun --mpi=list shows what this SLURM has), or mpirun in the job\n", stderr);
#endif
}

__attribute__((visibility("default"))) pha_status pha_mpi_join(const pha__transport_host *host, pha__comm *out)
{
    static pha__transport_host kept;
    int there = 0, threads = MPI_THREAD_SINGLE;
    if (host->abi != PHA__TRANSPORT_ABI || host->comm_size != sizeof *out) return PHA_FAILED;
    kept = *host;
    MPI_Initialized(&there);
    if (!there) warn_of_srun();
    if (there) MPI_Query_thread(&threads);
    else if (MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &threads))
        return host->fail(PHA_NO_DEVICE, "MPI cannot be started");
    ranks *r = calloc(1, sizeof *r);
    if (!r) return PHA_NO_MEMORY;
    r->host = &kept, r->patience = host->patience, r->joined = pthread_self();
    pha_status status = start(r, threads);
    *out = (pha__comm){.rank = r->rank, .size = r->size, .transport = &transport, .self = r};
    out->any_thread = threads >= MPI_THREAD_SERIALIZED;
    count_locals(out);
    return status;
}
