/* loss.c -- cross-entropy of the next token as one of a model's losses (pha.md 2) */
#include "nn/nn.h"
#include "ops/lm_loss/lm_loss.h"

void pha__cross_entropy_at(Params p, const char *name, Var x, Var E, double weight, const char *file, int line)
{
    pha__lm_loss_attr attr = {(float)weight};
    Var loss = pha__apply_at(p, name, &pha__op_lm_loss, (Var[]){x, E}, 2, &attr, sizeof attr, file, line);
    pha__loss(p, name, loss, weight);
}
