/* Any bytes as the file of an experiment: an error that names the file, or an experiment whose runs can be planned */
#include <string.h>

#include "input.h"
#include "runtime/repro/repro.h"

static void plan(pha__repro *r)
{
    r->results = json_object();
    if (pha__plan_runs(r) != PHA_OK) abort();
    for (size_t i = 0; i < r->n_runs; i++) {
        char key[PHA__REPRO_KEY];
        pha__trial_key(key, &r->runs[i]);
        if (r->runs[i].result || pha__trial_steps(&r->e, &r->runs[i]) < 1) abort();
    }
    json_decref(r->results);
    pha__free(r->runs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pha__repro *r = pha__alloc_zero(1, sizeof *r);
    if (!r) return 0;
    r->o.experiment = fuzz_file(data, size);
    pha_status status = pha__experiment_open(&r->e, &r->o);
    if (status == PHA_OK) plan(r);
    else if (!*pha_errmsg()) abort();
    pha__experiment_close(&r->e);
    pha__free(r);
    return 0;
}
