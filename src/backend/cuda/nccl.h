/* nccl.h -- as much of the interface of NCCL as link.cu calls (2.7 and later); the library is looked for at run time */
#ifndef PHA__NCCL_H
#define PHA__NCCL_H

#include <stddef.h>

enum { NCCL_SUCCESS = 0, NCCL_IN_PROGRESS = 7 }; /* ncclResult_t */
enum { NCCL_INT8 = 0 };                          /* ncclDataType_t */

typedef struct nccl_id { /* ncclUniqueId */
    char internal[128];
} nccl_id;

typedef void *nccl_comm, *nccl_stream;

#define NCCL_FUNCTIONS(X)                                                                                             \
    X(GetErrorString, const char *, (int))                                                                             \
    X(GetUniqueId, int, (nccl_id *))                                                                                   \
    X(CommInitRank, int, (nccl_comm *, int size, nccl_id, int rank))                                                   \
    X(CommDestroy, int, (nccl_comm))                                                                                   \
    X(CommAbort, int, (nccl_comm))                                                                                     \
    X(GroupStart, int, (void))                                                                                         \
    X(GroupEnd, int, (void))                                                                                           \
    X(Send, int, (const void *, size_t count, int type, int peer, nccl_comm, nccl_stream))                             \
    X(Recv, int, (void *, size_t count, int type, int peer, nccl_comm, nccl_stream))

#endif
