// link.h -- messages between cards of several processes, by NCCL
#ifndef PHA__CUDA_LINK_H
#define PHA__CUDA_LINK_H

#include "backend/backend.h"

typedef struct pha__link pha__link;

// As the backend's functions of these names; the card is the one that the calling thread has chosen.
pha_status pha__link_id(char *id);
pha_status pha__link_open(pha__link **out, const char *id, int rank, int size);
pha_status pha__link_exchange(pha__link *l, int peer, const void *out, size_t n_out, void *in, size_t n_in,
                              void *stream);
void pha__link_close(pha__link *l);

#endif
