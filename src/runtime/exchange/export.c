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
    return pha__safetensors_is_part(name) || pha__model_kind.part(name);
}

static const char *const needed[] = {"config.json", "model.safetensors", NULL},
                  *const needed_parts[] = {"config.json", "model.safetensors.index.json", NULL};
static const pha__kind kind = {"an exported model", needed, is_part},
                       kind_in_parts = {"an exported model in parts", needed_parts, is_part};

/* An earlier export may be in parts where the new one is whole, and the other way round. */
static pha_status claim_place(pha__claim *claim, const char *out)
{
    char *index = pha__path_join(out, needed_parts[1]);
    if (!index) return PHA_NO_MEMORY;
    bool parts = pha__exists(index);
    pha__free(index);
    return pha__model_claim_as(claim, out, parts ? &kind_in_parts : &kind);
}

/* ---- the formats ----------------------------------------------------------------------------------------- */

typedef pha_status write_fn(const char *folder, const pha_model *m, const pha__export_job *job);

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

static pha_status export(pha__claim *claim, const pha__export_job *job)
{
    const pha_export_options *o = job->o;
    pha_model *m;
    TRY(pha_model_open(&m, o->model));
    write_fn *write = writer_of(m, o->format);
    pha_status status = write ? write(claim->beside, m, job)
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

pha_status pha__export(const pha_export_options *o, uint64_t most)
{
    if (!o || !o->model || !o->out) FAIL(USAGE, "a model folder and a place to write are needed");
    if (o->format == PHA_EXPORT_GGUF) return export_file(o);
    if (o->weights) FAIL(USAGE, "weights is an option of GGUF files; of a folder `pha quantize` makes another one");
    if (pha__is_inside(o->model, o->out))
        FAIL(USAGE, "%s: is to be exported and would be replaced; choose another folder", o->model);
    pha__claim claim;
    TRY(claim_place(&claim, o->out));
    pha_status status = export(&claim, &(pha__export_job){o, most});
    pha__claim_close(&claim);
    return status;
}

pha_status pha_export(const pha_export_options *o) { return pha__export(o, 5000000000u); }
