/* lm.c -- the language model around the blocks of any architecture (pha.md 2)
 *
 *   x = drop(sqrt(D) E[c]);  x = block_l(x), l < L;  logits = E RMSNorm(x)
 */
#include <math.h>
#include <string.h>

#include "models/models.h"
#include "nn/nn.h"
#include "ops/embed/embed.h"
#include "ops/matmul/matmul.h"

/* ---- the architectures ----------------------------------------------------------------------------------- */

#define MAX_ROWS 32
static const pha__model_row *rows[MAX_ROWS] = {
#define PHA__MODEL(name) &pha__model_##name,
#include "models/models.def"
#undef PHA__MODEL
};

#define PHA__MODEL(name) ", " #name
static char list[MAX_ROWS * 20] = ""
#include "models/models.def"
    ;
#undef PHA__MODEL

const char *pha__model_list(void) { return list + 2; }

const pha__model_row *pha__model_find(const char *arch)
{
    for (int i = 0; i < MAX_ROWS && rows[i]; i++)
        if (!strcmp(rows[i]->name, arch)) return rows[i];
    return NULL;
}

pha_status pha__model_add(const pha__model_row *row)
{
    int n = 0;
    while (n < MAX_ROWS && rows[n]) n++;
    if (pha__model_find(row->name)) FAIL(USAGE, "there is an architecture '%s' already", row->name);
    if (n == MAX_ROWS || strlen(row->name) >= sizeof((pha__config *)0)->arch)
        FAIL(USAGE, "no room for the architecture '%s'", row->name);
    rows[n] = row;
    strcat(list, ", ");
    strcat(list, row->name);
    return PHA_OK;
}

const char *const *pha__model_keys(const char *arch)
{
    const pha__model_row *row = pha__model_find(arch);
    return row ? row->keys : NULL;
}

const pha__config_key *pha__model_own(const char *arch)
{
    const pha__model_row *row = pha__model_find(arch);
    return row ? row->own : NULL;
}

pha_status pha__model_check(const pha__config *c, const char *where)
{
    const pha__model_row *row = pha__model_find(c->arch);
    return row && row->check ? row->check(c, where) : PHA_OK;
}

/* ---- the usual ends -------------------------------------------------------------------------------------- */

Var pha__lm_table(Params p, const pha__config *c)
{
    p = part(pha__root(p.program), PHA__PART_EMBEDDING);
    return pha__param(p, "embed", c->vocab_size, c->d_model, PHA__MATRIX, pha__init_normal(c->embed_std));
}

Var pha__lm_gather(Params p, const pha__config *c, double scale, double dropout)
{
    Var E = pha__lm_table(p, c);
    pha__embed_attr attr = {(float)scale, (float)dropout, dropout_site(p, 0)};
    return pha__apply(p, "embed", &pha__op_embed, &E, 1, &attr, sizeof attr);           /* (B, T, D) */
}

Var pha__lm_embed(Params p, const pha__config *c) { return pha__lm_gather(p, c, sqrt(c->d_model), c->dropout); }

void pha__lm_head(Params p, Var x, const pha__config *c, pha__head head)
{
    pha__lm_outputs(p, rmsnorm(p, "norm", x), c, head);
}

void pha__lm_outputs(Params p, Var x, const pha__config *c, pha__head head)
{
    static const pha__matmul_attr fp32 = {true};
    Var E = pha__lm_table(p, c);
    if (head == PHA__HEAD_NONE) pha__output(p, "hidden", x);
    if (head == PHA__HEAD_LOSS) cross_entropy(p, "loss", x, E, 1);                      /* (B, T, 2) */
    if (head == PHA__HEAD_LOGITS)
        pha__output(p, "logits", pha__apply(p, "logits", &pha__op_matmul, ((Var[]){x, E}), 2, &fp32, sizeof fp32));
}

/* ---- recording ------------------------------------------------------------------------------------------- */

/* Does the pattern fit the whole path? A * is any number of characters. */
static bool fits(const char *pattern, const char *path)
{
    if (*pattern == '*') return fits(pattern + 1, path) || (*path && fits(pattern, path + 1));
    return *pattern == *path && (!*pattern || fits(pattern + 1, path + 1));
}

/* A pattern that fits nothing is an error: it is a name that has changed. */
static pha_status freeze(pha__program *p, const pha__model_row *model)
{
    for (const char *const *pattern = model->frozen; pattern && *pattern; pattern++) {
        int found = 0;
        for (int i = 0; i < p->n_params; i++)
            if (fits(*pattern, p->params[i]->path)) p->params[i]->frozen = true, found++;
        if (!found && !p->status) FAIL(BAD_INPUT, "%s: no parameter is called '%s'", model->name, *pattern);
    }
    return PHA_OK;
}

pha_status pha__lm_record(pha__program *program, const pha__config *c, pha__head head)
{
    const pha__model_row *model = pha__model_find(c->arch);
    if (!model) FAIL(BAD_INPUT, "there is no architecture '%s'; there are %s", c->arch, pha__model_list());
    return pha__lm_record_as(program, model, c, head);
}

pha_status pha__lm_record_as(pha__program *program, const pha__model_row *model, const pha__config *c, pha__head head)
{
    if (model->check) TRY(model->check(c, c->arch));

    Params p = pha__root(program);
    Var x = model->embed ? model->embed(p, c) : pha__lm_embed(p, c);                    /* (B, T, D) */
    if (model->positions) x = model->positions(p, x, c);
    for (int layer = 0; layer < c->n_layer; layer++) x = model->block(pha__at_layer(p, layer), x, c, layer);

    p.layer = c->n_layer;
    (model->head ? model->head : pha__lm_head)(p, x, c, head);
    TRY(freeze(program, model));
    return pha__program_finish(program);
}
