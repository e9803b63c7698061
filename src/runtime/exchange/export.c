/* export.c -- pha_export: the place, the format, and a look at what was written */
#include <string.h>

#include "base/inside.h"
#include "runtime/exchange/exchange.h"

/* ---- the place ------------------------------------------------------------------------------------------- */

static bool is_part(const char *name)
{
    static const char *const others[] = {"generation_config.json"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strcmp(name, others[i])) return true;
    for (const pha__python_file *f = pha__python_files; f->name; f++)
        if (!strcmp(name, f->name)) return true;
    return pha__model_kind.part(name);
}

static const char *const needed[] = {"config.json", "model.safetensors", NULL};
static const pha__kind kind = {"an exported model", needed, is_part};

/* ---- the formats ----------------------------------------------------------------------------------------- */

typedef pha_status write_fn(const char *folder, const pha_model *m, const pha_export_options *o);

/* NULL: there is no such format. */
static write_fn *writer_of(const pha_model *m, pha_export_format format)
{
    bool gpt2 = !strcmp(m->config.arch, "gpt2");
    switch (format) {
    case PHA_EXPORT_HF: return gpt2 ? pha__gpt2_write : pha__hf_write;
    case PHA_EXPORT_GPT2: return pha__gpt2_write;
    case PHA_EXPORT_GGUF: break; /* a file, not a folder */
    }
    return NULL;
}

static pha_status export(pha__claim *claim, const pha_export_options *o)
{
    pha_model *m;
    TRY(pha_model_open(&m, o->model));
    write_fn *write = writer_of(m, o->format);
    pha_status status = write ? write(claim->beside, m, o)
                              : pha__fail(PHA_USAGE, "there is no format %d to write a model in", (int)o->format);
    pha_model_close(m);
    if (!status) status = pha__model_read_back(claim->beside);
    return status ? status : pha__claim_commit(claim);
}

static pha_status export_file(const pha_export_options *o)
{
    pha_model *m;
    TRY(pha_model_open(&m, o->model));
    pha_status status = pha__gguf_export(o->out, m, o);
    pha_model_close(m);
    return status;
}

pha_status pha_export(const pha_export_options *o)
{
    if (!o || !o->model || !o->out) FAIL(USAGE, "a model folder and a place to write are needed");
    if (o->format == PHA_EXPORT_GGUF) return export_file(o);
    if (o->weights) FAIL(USAGE, "weights is an option of GGUF files; of a folder `pha quantize` makes another one");
    if (pha__is_inside(o->model, o->out))
        FAIL(USAGE, "%s: is to be exported and would be replaced; choose another folder", o->model);
    pha__claim claim;
    TRY(pha__model_claim_as(&claim, o->out, &kind));
    pha_status status = export(&claim, o);
    pha__claim_close(&claim);
    return status;
}
