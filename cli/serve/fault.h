/* fault.h -- what is wrong with a request, as clients are told: a status and an object of a fixed shape */
#ifndef CLI_SERVE_FAULT_H
#define CLI_SERVE_FAULT_H

#include <stdbool.h>

#include "pha.h"
#include "serve/text.h"

typedef struct Fault {
    int status;       /* HTTP; 0: nothing is wrong */
    const char *code; /* constant text for programs; NULL: none */
    char param[64];   /* the field that it is about; "": none */
    char message[512];
    int retry;        /* seconds for Retry-After; 0: none */
} Fault;

/* Fills it in and returns false. `param` may be NULL. */
bool fault_set(Fault *f, int status, const char *param, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Of a failed call of the library, in this thread. */
bool fault_library(Fault *f, pha_status status);
/* {"error":{"message","type","param","code"}} */
void fault_print(Text *t, const Fault *f);

#endif
