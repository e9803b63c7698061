/* transport.h -- a transport in a shared library of its own, loaded when ranks were started with it (launch.c) */
#ifndef PHA__TRANSPORT_H
#define PHA__TRANSPORT_H

#include "dist/comm.h"

#define PHA__TRANSPORT_ABI 2 /* raised with every change of this header or of pha__transport */

typedef struct pha__transport_host { /* what it may ask of the library */
    uint32_t abi, comm_size; /* comm_size: of the struct that both know */
    pha_status (*fail)(pha_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));
    int (*print)(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
    double patience; /* seconds without a sign of life after which a rank counts as lost */
} pha__transport_host;

/* The one function of libpha-mpi.so: joins the ranks that this process was started among, and fills in all of *out but
 * the pieces. FAILED: made for another build of the library. */
pha_status pha_mpi_join(const pha__transport_host *host, pha__comm *out);

#endif
