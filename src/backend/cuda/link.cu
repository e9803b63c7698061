// link.cu -- NCCL, loaded when several ranks have cards
#include "backend/cuda/link.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/library.h"
#include "backend/cuda/nccl.h"
#ifdef PHA__EMULATE
#include "cuda/stream.h"
#endif

namespace {

struct functions {
#define DECLARE(name, result, arguments) result(*name) arguments;
    NCCL_FUNCTIONS(DECLARE)
#undef DECLARE
};

const char *const names[] = {"libnccl.so.2", "libnccl.so", NULL};
const char *const places[] = {"/usr/lib/python3*/*-packages/nvidia/nccl/lib/libnccl.so.2",
                              "/usr/local/lib/python3*/*-packages/nvidia/nccl/lib/libnccl.so.2",
                              "/opt/*/lib/python3*/*-packages/nvidia/nccl/lib/libnccl.so.2",
                              "/usr/local/nccl*/lib/libnccl.so.2", NULL};

// Once for all links: the library keeps threads of its own, and is never closed.
pha_status load(functions *f) {
    char why[200];
    static void *library;
    if (!library) library = pha__cuda_library("PHA_NCCL", names, places, why, sizeof why);
    if (!library) FAIL(NO_DEVICE, "cuda: without NCCL (%s); PHA_NCCL names its file", why);
#define FIND(name, result, arguments)                                                                                  \
    f->name = (result(*) arguments)dlsym(library, "nccl" #name);                                                       \
    if (!f->name) FAIL(NO_DEVICE, "cuda: the library of NCCL has no nccl%s; 2.7 or later is needed", #name);
    NCCL_FUNCTIONS(FIND)
#undef FIND
    return PHA_OK;
}

} // namespace

struct pha__link {
    functions f;
    nccl_comm comm;
    bool failed;
};

pha_status pha__link_id(char *id) {
    functions f;
    nccl_id made;
    static_assert(sizeof made == PHA__LINK_ID, "an id of another size");
    TRY(load(&f));
    if (!id) return PHA_OK;
    int e = f.GetUniqueId(&made);
    if (e) FAIL(NO_DEVICE, "cuda: NCCL does not start: %s", f.GetErrorString(e));
    memcpy(id, &made, sizeof made);
    return PHA_OK;
}

pha_status pha__link_open(pha__link **out, const char *id, int rank, int size) {
    nccl_id made;
    pha__link *l = (pha__link *)calloc(1, sizeof *l);
    *out = NULL;
    if (!l) FAIL(NO_MEMORY, "no memory for a link between cards");
    memcpy(&made, id, sizeof made);
    pha_status status = load(&l->f);
    int e = status ? 0 : l->f.CommInitRank(&l->comm, size, made, rank);
    if (e) status = pha__fail(PHA_NO_DEVICE, "cuda: NCCL can't link the cards: %s", l->f.GetErrorString(e));
    if (status) free(l);
    else *out = l;
    return status;
}

pha_status pha__link_exchange(pha__link *l, int peer, const void *out, size_t n_out, void *in, size_t n_in,
                              void *stream) {
#ifdef PHA__EMULATE
    emulated_wait(stream); // the library of tests knows no streams
#endif
    int e = l->f.GroupStart();
    if (!e && n_out) e = l->f.Send(out, n_out, NCCL_INT8, peer, l->comm, stream);
    if (!e && n_in) e = l->f.Recv(in, n_in, NCCL_INT8, peer, l->comm, stream);
    int ended = l->f.GroupEnd();
    e = e ? e : ended;
    if (!e) return PHA_OK;
    l->failed = true;
    FAIL(IO, "cuda: a message between the cards and rank %d failed: %s", peer, l->f.GetErrorString(e));
}

void pha__link_close(pha__link *l) {
    if (!l) return;
    if (l->failed) l->f.CommAbort(l->comm); // waits for nobody
    else l->f.CommDestroy(l->comm);
    free(l);
}
