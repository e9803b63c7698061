/* exchange.h -- models as other programs read them, and back (pha/exchange.h) */
#ifndef PHA__EXCHANGE_H
#define PHA__EXCHANGE_H

#include <stddef.h>

#include "base/json.h"
#include "base/str.h"
#include "pha.h"
#include "runtime/model.h"

/* BAD_INPUT: what GPT-2's files (`where`) have no place for. */
pha_status pha__gpt2_check_fits(const pha_model *m, const char *where);
pha_status pha__gguf_export(const char *path, const pha_model *m, const pha_export_options *o);

/* Writers of the files of a format into a folder, which they make; first they see whether the model fits. */
typedef struct pha__export_job {
    const pha_export_options *o;
    uint64_t most; /* bytes of tensors in a file */
} pha__export_job;
pha_status pha__gpt2_write(const char *folder, const pha_model *m, const pha__export_job *job);
pha_status pha__hf_write(const char *folder, const pha_model *m, const pha__export_job *job);
/* pha_export with files of other sizes than transformers' 5 GB: for tests. */
pha_status pha__export(const pha_export_options *o, uint64_t most);

/* The run that a model folder lies in: RUN/model, RUN/best/step-N. */
typedef struct pha__origin_run {
    char *folder;  /* NULL: none was found */
    json_t *json;  /* run.json */
} pha__origin_run;
pha_status pha__run_of_model(pha__origin_run *run, const char *model);
void pha__run_of_model_free(pha__origin_run *run);

/* The model card of an HF folder (card.c). */
pha_status pha__card(pha__str *out, const pha_model *m, const pha__origin_run *run, const pha_export_options *o);

/* The token files of a call into a data folder (import_tokens.c). */
pha_status pha__import_tokens(const pha_import_options *o, pha_import_result *r);
pha_status pha__is_token_path(bool *yes, const char *path); /* a .bin file, or a folder that has some */

/* The Python files of an HF folder, laid into the library when it is built (cmake/embed.cmake). */
typedef struct pha__python_file {
    const char *name; /* NULL ends the list */
    const unsigned char *data;
    size_t size;
} pha__python_file;
extern const pha__python_file pha__python_files[];

#endif
