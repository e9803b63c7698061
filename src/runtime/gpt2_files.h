/* gpt2_files.h -- a folder of GPT-2 as the Hugging Face hub has it: other keys in config.json, other names of tensors
 *
 * Linear maps are stored as [in, out], those of q, k and v side by side in one; the names stand under `transformer.` or
 * not. Other folders are ours (docs/format.md).
 */
#ifndef PHA__GPT2_FILES_H
#define PHA__GPT2_FILES_H

#include "base/json.h"
#include "runtime/model.h"

/* Does this config.json describe such a folder? It has no `arch`, and model_type gpt2. */
bool pha__gpt2_is(const json_t *config);
/* The same configuration with our keys. A value that our gpt2 has no place for is an error. */
pha_status pha__gpt2_config(json_t **out, const json_t *config, const char *where);
/* A parameter of ours in such files; NULL: it is none of GPT-2. */
typedef struct pha__gpt2_name {
    const char *ours, *theirs; /* behind layerN. and h.N. for those of a layer */
    bool turned;               /* stored as [in, out] */
    int part, parts;           /* of what is stored side by side */
} pha__gpt2_name;
const pha__gpt2_name *pha__gpt2_name_of(const pha__config *c, const pha__node *v);
/* Its whole name, for one that has one. */
void pha__gpt2_path(char *out, size_t size, const char *prefix, const pha__config *c, const pha__node *v);

/* Points the store of a model at the tensors of its file, and at turned copies of what is stored the other way. */
pha_status pha__gpt2_bind(pha_model *m);

#endif
