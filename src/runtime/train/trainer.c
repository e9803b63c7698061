/* trainer.c -- one training step, and where a run stands
 *
 * A step: micro-batches through the program (forward and backward), the gradient norm, the guard, AdamW. Which
 * sequences it reads and which dropout masks it draws are functions of (seed, step) alone. A step allocates nothing.
 */
#include "runtime/train/trainer.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "ops/lm_loss/lm_loss.h"
#include "runtime/stop.h"

/* ---- where it stands -------------------------------------------------------------------------------------- */

bool pha__at_epoch_end(const pha_trainer *t)
{
    uint64_t windows = pha__loader_windows(&t->loader), batch = (uint64_t)t->o.batch, step = (uint64_t)t->step;
    return step > 0 && step * batch / windows != (step - 1) * batch / windows;
}

uint64_t pha__sequences(const pha_train_options *o)
{
    uint64_t n;
    return __builtin_mul_overflow((uint64_t)o->steps, (uint64_t)o->batch, &n) ? UINT64_MAX : n;
}

int64_t pha__carried_tokens(const pha_trainer *t, int64_t step)
{
    return step % (int64_t)(pha__loader_windows(&t->loader) / (uint64_t)t->o.batch) * t->o.context;
}

bool pha__many_epochs(const pha_trainer *t) { return pha__sequences(&t->o) > pha__loader_windows(&t->loader); }

/* ---- a step ---------------------------------------------------------------------------------------------- */

static pha_status load_batch(pha_trainer *t)
{
    t->scored = 0;
    uint64_t first = (uint64_t)t->step * (uint64_t)t->o.batch + (uint64_t)pha__lanes_begin(&t->lanes);
    for (int32_t i = 0; i < pha__lanes_sequences(&t->lanes); i++) {
        size_t at = (size_t)i * (size_t)t->o.context;
        TRY(t->source.get(t->source.self, first + (uint64_t)i, t->ids + at, t->targets + at));
        for (int32_t k = 0; k < t->o.context; k++) t->scored += t->targets[at + (size_t)k] >= 0;
    }
    return PHA_OK;
}

/* Adds the losses of a run of n tokens to those of a lane. */
static pha_status add_losses(pha_trainer *t, double *lane, int64_t n)
{
    for (int k = 0; k < t->program->n_outputs; k++) {
        if (!t->program->outputs[k].loss) continue;
        TRY(pha__exec_output(t->exec, t->program->outputs[k].name, n, t->losses));
        for (int64_t r = 0; r < n; r++) lane[k] += t->losses[PHA__LOSS_WIDTH * r + PHA__NLL];
    }
    return PHA_OK;
}

/* Their means over n tokens; the weighted sum, which is what is minimised. */
static double mean_losses(pha_trainer *t, double n)
{
    double sum = 0;
    for (int k = 0; k < t->program->n_outputs; k++) {
        t->parts[k] /= n;
        sum += t->program->outputs[k].weight * t->parts[k];
    }
    return sum;
}

/* Forward and backward of a microbatch, whose first sequence is number i of this rank's. */
static pha_status run_micro(pha_trainer *t, int32_t i, double *lane)
{
    int32_t micro = t->o.micro_batch, T = t->o.context;
    size_t at = (size_t)i * (size_t)T;
    if (pha__stop_requested())
        FAIL(STOPPED, "asked to stop in step %lld, after %d of its %d sequences; the step is left undone",
             (long long)t->step + 1, i, pha__lanes_sequences(&t->lanes));
    pha__run run = {.tokens = t->ids + at,
                    .targets = t->targets + at,
                    .dropout = t->o.dropout > 0 || t->o.attn_dropout > 0,
                    .seed = t->o.seed,
                    .loss_scale = (float)(1.0 / (double)t->scored),
                    .step = (uint64_t)t->step,
                    .row0 = (pha__lanes_begin(&t->lanes) + i) * T};
    pha__states states = {0};
    if (t->o.carry) TRY(pha__carry_begin(&t->carry, i, &states));
    int32_t of_lane = i % t->lanes.sequences;
    pha__sections_watch(&t->sections, t->exec, i + micro == pha__lanes_sequences(&t->lanes));
    TRY(pha__exec_run_from(t->exec, micro, T, &run, &states, of_lane > 0, of_lane + micro == t->lanes.sequences));
    return add_losses(t, lane, (int64_t)micro * T);
}

/* All microbatches of this rank: lane by lane. What a stop leaves of it (gradients, sums) the next step writes over. */
static pha_status run_lanes(pha_trainer *t)
{
    int n = t->program->n_outputs;
    memset(t->lane_losses, 0, (size_t)t->lanes.here * (size_t)n * sizeof *t->lane_losses);
    if (t->o.carry && pha__carried_tokens(t, t->step) == 0) TRY(pha__carry_clear(&t->carry));
    for (int k = 0; k < t->lanes.here; k++) {
        for (int32_t i = 0; i < t->lanes.sequences; i += t->o.micro_batch)
            TRY(run_micro(t, k * t->lanes.sequences + i, t->lane_losses + (size_t)k * (size_t)n));
        if (k + 1 < t->lanes.here) TRY(pha__lanes_add(&t->lanes, k, 0, t->program->trainable));
    }
    return PHA_OK; /* the last lane is added by sections */
}

/* The loss of the batch, in double, and its gradients. */
static pha_status run_batch(pha_trainer *t, double *loss)
{
    TRY(pha__lanes_count(&t->lanes, load_batch(t), &t->scored));
    pha_status ran = run_lanes(t);
    TRY(pha__sections_end(&t->sections));
    TRY(pha__lanes_total(&t->lanes, ran, t->lane_losses, t->parts));
    *loss = mean_losses(t, (double)t->scored);
    return pha__gradient_gather(&t->optimizer);
}

enum { MAX_SKIPS = 20 };

static pha_status too_many(double loss, double norm)
{
    FAIL(NUMERIC,
         "%d steps in a row were refused (last loss %g, gradient norm %g); a lower learning rate, a warm-up, or fp32 "
         "may help; PHA_TRACE=1 finds the first value that is not finite",
         MAX_SKIPS, loss, norm);
}

pha_status pha_trainer_step(pha_trainer *t, pha_step *out)
{
    NEED(t, "a trainer");
    double begin = pha__seconds(), loss = NAN, norm, lr = pha__schedule_lr(&t->schedule, t->step);
    TRY(run_batch(t, &loss));
    TRY(pha__gradient_norm(&t->optimizer, &norm));
    bool skip = pha__guard_refuses(&t->guard, t->o.spike, loss, norm); /* it would spoil the weights */
    if (!skip) {
        double scale = t->o.clip > 0 ? fmin(1.0, t->o.clip / (norm + 1e-6)) : 1.0;
        pha__adam adam = {lr, t->o.beta1, t->o.beta2, t->o.eps, t->o.weight_decay, t->o.decay_all};
        TRY(pha__adam_step(&t->optimizer, &adam, scale));
    }
    pha__guard_see(&t->guard, t->o.spike, loss, norm);
    if (t->o.carry) pha__carry_end(&t->carry, t->o.context); /* also of a step that is refused: its text was read */
    t->step++;
    t->skipped += skip;
    t->skipped_in_row = skip ? t->skipped_in_row + 1 : 0;
    int64_t tokens = (int64_t)t->o.batch * t->o.context;
    if (out) *out = (pha_step){t->step, loss, norm, lr, pha__seconds() - begin, tokens, skip};
    return t->skipped_in_row >= MAX_SKIPS ? pha__comm_agree(t->comm, too_many(loss, norm)) : PHA_OK;
}

pha_status pha__trainer_write_model(pha_trainer *t, const char *folder, const char *card)
{
    pha__role whole;
    TRY(pha__optimizer_collect(&t->optimizer, PHA__WEIGHT, &whole));
    bool leads = pha__leads(t);
    return pha__comm_agree(
        t->comm, leads ? pha__model_write(folder, &t->weights.config, t->store, t->tokenizer, card) : PHA_OK);
}

pha_status pha_trainer_save_model(pha_trainer *t, const char *folder)
{
    NEED(t, "a trainer");
    NEED(folder, "a folder");
    return pha__trainer_write_model(t, folder, NULL);
}
