/* serve.h -- the options of pha serve, and the server behind them */
#ifndef CLI_SERVE_SERVE_H
#define CLI_SERVE_SERVE_H

#include "command.h"

typedef struct ServeOptions {
    const char *model, *host, *name, *api_key_file, *cors, *tls_cert, *tls_key, *state_disk, *runs;
    const char *template; /* "plain", "chatml", a file; NULL: the model's */
    int port, slots;
    int64_t state_ram;         /* megabytes; -1: a quarter of what is free */
    int64_t state_disk_budget; /* megabytes */
    List limits;
    pha_engine_options engine;
    bool insecure, log_json, quiet;
} ServeOptions;

/* Serves until it is asked to stop; returns the exit code. */
int serve(Call *call, ServeOptions *o);

#endif
