/* lt.h -- as much of the interface of cuBLASLt as products.cu calls
 *
 * The library is looked for at run time, and its header need not be there when pha is built. Where it is, products.cu
 * compares.
 */
#ifndef PHA__LT_H
#define PHA__LT_H

#include <stddef.h>
#include <stdint.h>

enum { LT_SUCCESS = 0 };                                /* cublasStatus_t */
enum { LT_R_32F = 0, LT_R_16BF = 14 };                  /* cudaDataType */
enum { LT_COMPUTE_32F = 68 };                           /* cublasComputeType_t */
enum { LT_OP_N = 0, LT_OP_T = 1 };                      /* cublasOperation_t */
enum { LT_DESC_TRANSA = 3, LT_DESC_TRANSB = 4 };        /* cublasLtMatmulDescAttributes_t */
enum {                                                  /* cublasLtMatmulPreferenceAttributes_t */
    LT_PREF_MAX_WORKSPACE_BYTES = 1,
    LT_PREF_MIN_ALIGNMENT_A = 5, /* of A, B, C, D */
};

typedef struct lt_algo { /* may be written down and given back to the same version of the library */
    uint64_t word[8];
} lt_algo;

typedef struct lt_offer {
    lt_algo algo;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
} lt_offer;

typedef void *lt_handle, *lt_desc, *lt_layout, *lt_preference, *lt_stream;

#define LT_FUNCTIONS(X)                                                                                               \
    X(Create, int, (lt_handle *))                                                                                      \
    X(Destroy, int, (lt_handle))                                                                                       \
    X(GetVersion, size_t, (void))                                                                                      \
    X(MatmulDescCreate, int, (lt_desc *, int compute, int scale))                                                      \
    X(MatmulDescDestroy, int, (lt_desc))                                                                               \
    X(MatmulDescSetAttribute, int, (lt_desc, int, const void *, size_t))                                               \
    X(MatrixLayoutCreate, int, (lt_layout *, int type, uint64_t rows, uint64_t columns, int64_t ld))                   \
    X(MatrixLayoutDestroy, int, (lt_layout))                                                                           \
    X(MatmulPreferenceCreate, int, (lt_preference *))                                                                  \
    X(MatmulPreferenceDestroy, int, (lt_preference))                                                                   \
    X(MatmulPreferenceSetAttribute, int, (lt_preference, int, const void *, size_t))                                   \
    X(MatmulAlgoGetHeuristic, int,                                                                                     \
      (lt_handle, lt_desc, lt_layout, lt_layout, lt_layout, lt_layout, lt_preference, int, lt_offer *, int *))         \
    X(MatmulAlgoCheck, int,                                                                                            \
      (lt_handle, lt_desc, lt_layout, lt_layout, lt_layout, lt_layout, const lt_algo *, lt_offer *))                   \
    X(Matmul, int,                                                                                                     \
      (lt_handle, lt_desc, const void *alpha, const void *A, lt_layout, const void *B, lt_layout, const void *beta,    \
       const void *C, lt_layout, void *D, lt_layout, const lt_algo *, void *workspace, size_t, lt_stream))

#endif
