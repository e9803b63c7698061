/* lm.c -- the language model around the blocks of any architecture (pha.md 2)
 *
 *   x = drop(sqrt(D) E[c]);  x = block_l(x), l < L;  logits = E RMSNorm(x)
 */
#include <math.h>
#include <string.h>

#include "models/models.h"
#include "nn/nn.h"
#include "ops/embed/embed.h"

static const pha__model_row *const rows[] = {
#define PHA__MODEL(name) &pha__model_##name,
#include "models/models.def"
#undef PHA__MODEL
};

#define N_MODELS ((int)(sizeof rows / sizeof *rows))

const pha__model_row *pha__model_find(const char *arch)
{
    for (int i = 0; i < N_MODELS; i++)
        if (!strcmp(rows[i]->name, arch)) return rows[i];
    return NULL;
}

const char *const *pha__model_keys(const char *arch)
{
    const pha__model_row *row = pha__model_find(arch);
    return row ? row->keys : NULL;
}

#define PHA__MODEL(name) ", " #name
static const char list[] = ""
#include "models/models.def"
    ;
#undef PHA__MODEL

const char *pha__model_list(void) { return list + 2; }

pha_status pha__lm_record(pha__program *program, const pha__config *c, pha__head head)
{
    const pha__model_row *model = pha__model_find(c->arch);
    if (!model) FAIL(BAD_INPUT, "there is no architecture '%s'; there are %s", c->arch, pha__model_list());
    if (model->check) TRY(model->check(c));

    Params p = pha__root(program);
    Var E = pha__param(p, "embed", c->vocab_size, c->d_model, PHA__MATRIX, pha__init_normal(c->embed_std));
    pha__embed_attr attr = {(float)sqrt(c->d_model), (float)c->dropout, dropout_site(p, 0)};
    Var x = pha__apply(p, "embed", &pha__op_embed, &E, 1, &attr, sizeof attr);          /* (B, T, D) */

    for (int layer = 0; layer < c->n_layer; layer++) x = model->block(pha__at_layer(p, layer), x, c, layer);

    p.layer = c->n_layer;
    x = rmsnorm(p, "norm", x);                                                          /* (B, T, D) */
    if (head == PHA__HEAD_LOSS)
        pha__output(p, "loss", pha__apply(p, "loss", &pha__op_lm_loss, ((Var[]){x, E}), 2, NULL, 0)); /* (B, T, 2) */
    else if (head == PHA__HEAD_LOGITS) {
        Var logits = pha__apply(p, "logits", &pha__op_matmul, ((Var[]){x, E}), 2, NULL, 0);           /* (B, T, V) */
        logits->dtype = PHA__F32;
        pha__output(p, "logits", logits);
    } else
        pha__output(p, "hidden", x);
    return pha__program_finish(program);
}
