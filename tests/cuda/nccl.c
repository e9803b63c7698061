/* nccl.c -- NCCL for tests: messages between threads or processes through a file that all map
 *
 * It ends the program over a call that the library might refuse, or where the two sides of a message do not agree on
 * its size. PHA_TEST_NCCL=none: it does not start; cards: it links no cards; odd: all but that of rank 1;
 * lost: no message arrives.
 */
#include "backend/cuda/nccl.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RANKS = 8, CHUNK = 1 << 16, MOST = 4 };

typedef struct box { /* from one rank to another */
    atomic_int full;
    size_t whole, n; /* of the message, of what lies here */
    char data[CHUNK];
} box;

typedef struct room {
    atomic_int joined, left;
    box box[RANKS][RANKS];
} room;

typedef struct member {
    room *room;
    int rank, size;
} member;

typedef struct message {
    member *member;
    int peer, sends;
    char *at;
    size_t whole, left;
} message;

static _Thread_local message waiting[MOST];
static _Thread_local int n_waiting, in_group;

static void need(int fine, const char *what)
{
    if (fine) return;
    fprintf(stderr, "NCCL for tests: %s\n", what);
    abort();
}

static int told(const char *what)
{
    const char *test = getenv("PHA_TEST_NCCL");
    return test && !strcmp(test, what);
}

#define EXPORT __attribute__((visibility("default")))
#define DECLARE(name, result, arguments) EXPORT result nccl##name arguments;
NCCL_FUNCTIONS(DECLARE)

const char *ncclGetErrorString(int e) { return e == 2 ? "unhandled system error" : "invalid usage"; }

int ncclGetUniqueId(nccl_id *out)
{
    if (told("none")) return 2;
    memset(out, 0, sizeof *out);
    const char *folder = getenv("TMPDIR");
    snprintf(out->internal, sizeof out->internal, "%.100s/nccl-XXXXXX", folder ? folder : "/tmp");
    int fd = mkstemp(out->internal);
    need(fd >= 0 && ftruncate(fd, sizeof(room)) == 0, "no file for the messages");
    close(fd);
    return NCCL_SUCCESS;
}

int ncclCommInitRank(nccl_comm *out, int size, nccl_id id, int rank)
{
    need(size > 1 && size <= RANKS && rank >= 0 && rank < size, "a rank that is none");
    int fd = open(id.internal, O_RDWR);
    member *l = calloc(1, sizeof *l);
    need(fd >= 0 && l, "the id is no room's");
    *l = (member){mmap(NULL, sizeof(room), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), rank, size};
    need(l->room != MAP_FAILED, "the room can't be mapped");
    close(fd);
    atomic_fetch_add(&l->room->joined, 1);
    while (atomic_load(&l->room->joined) % size) sched_yield(); /* all together */
    if (rank == 0) unlink(id.internal);
    if (!told("cards") && !(told("odd") && rank == 1)) return *out = l, NCCL_SUCCESS;
    munmap(l->room, sizeof(room));
    free(l);
    return 5;
}

static int leave(member *l)
{
    munmap(l->room, sizeof(room));
    free(l);
    return NCCL_SUCCESS;
}
int ncclCommDestroy(nccl_comm comm) { return leave(comm); }
int ncclCommAbort(nccl_comm comm) { return leave(comm); }

/* ---- messages -------------------------------------------------------------------------------------------- */

static int add(message m)
{
    need(in_group && n_waiting < MOST, "a message outside of a group");
    need(m.peer >= 0 && m.peer < m.member->size && m.peer != m.member->rank, "a message to no other rank");
    waiting[n_waiting++] = m;
    return NCCL_SUCCESS;
}

int ncclSend(const void *from, size_t n, int type, int peer, nccl_comm comm, nccl_stream stream)
{
    need(type == NCCL_INT8 && n > 0 && stream, "a message of another type, or without a stream");
    return add((message){comm, peer, 1, (char *)(uintptr_t)from, n, n});
}

int ncclRecv(void *to, size_t n, int type, int peer, nccl_comm comm, nccl_stream stream)
{
    need(type == NCCL_INT8 && n > 0 && stream, "a message of another type, or without a stream");
    return add((message){comm, peer, 0, to, n, n});
}

/* A chunk further, if the other side is ready. */
static void go_on(message *m)
{
    int rank = m->member->rank;
    box *b = m->sends ? &m->member->room->box[rank][m->peer] : &m->member->room->box[m->peer][rank];
    if (!m->left || atomic_load(&b->full) == m->sends) return;
    size_t n = m->left < CHUNK ? m->left : CHUNK;
    if (m->sends) b->whole = m->whole, b->n = n;
    need(b->whole == m->whole && b->n == n, "a message of another size");
    memcpy(m->sends ? b->data : m->at, m->sends ? m->at : b->data, n);
    m->at += n, m->left -= n;
    atomic_store(&b->full, m->sends);
}

int ncclGroupStart(void) { return need(!in_group, "a group in a group"), in_group = 1, NCCL_SUCCESS; }

int ncclGroupEnd(void)
{
    need(in_group, "no group");
    in_group = 0;
    for (int left = n_waiting && !told("lost"); left;) {
        left = 0;
        for (int i = 0; i < n_waiting; i++) go_on(&waiting[i]), left |= waiting[i].left > 0;
        if (left) sched_yield();
    }
    n_waiting = 0;
    return told("lost") ? 2 : NCCL_SUCCESS;
}
