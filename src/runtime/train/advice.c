/* advice.c -- what is odd about a run, told before its first step: nothing here changes or refuses anything */
#include <math.h>

#include "base/log.h"
#include "runtime/train/train.h"

static double sequences(const pha_trainer *t) { return (double)t->o.steps * (double)t->o.batch; }

/* ---- the data -------------------------------------------------------------------------------------------- */

static void about_step(const pha_trainer *t)
{
    uint64_t windows = pha__loader_windows(&t->loader);
    if ((uint64_t)t->o.batch > windows)
        pha__log(PHA__LOG_WARN,
                 "a step of %d sequences is more than the data has: its %llu windows of %d tokens are read %.3g times "
                 "in every step",
                 t->o.batch, (unsigned long long)windows, t->o.context, t->o.batch / (double)windows);
}

/* Told from a hundredth of the data on. */
static void about_unseen(const pha_trainer *t)
{
    uint64_t windows = pha__loader_windows(&t->loader), targets = pha__tokens_count(t->data) - 1;
    uint64_t n = sequences(t) < 2 * (double)windows ? (uint64_t)t->o.steps * (uint64_t)t->o.batch : 2 * windows;
    uint64_t unseen = pha__loader_unseen(&t->loader, n);
    if ((double)unseen >= 0.01 * (double)targets)
        pha__log(PHA__LOG_NOTE, "%llu of the %llu training tokens (%.1f %%) are in no step of this run%s",
                 (unsigned long long)unseen, (unsigned long long)targets, 100 * (double)unseen / (double)targets,
                 n < windows ? "" : "; two epochs read all of them");
}

static pha_status about_documents(const pha_trainer *t)
{
    pha__split_info info;
    TRY(pha__data_info(&info, t->o.data, "train"));
    double length = info.documents ? (double)info.tokens / (double)info.documents : 0;
    if (info.documents > 1 && 4 * length <= t->o.context)
        pha__log(PHA__LOG_NOTE,
                 "documents have %.0f tokens on average: a context of %d holds some %.0f that have nothing to do with "
                 "each other; a shorter one (--context) costs less",
                 length, t->o.context, t->o.context / length);
    if (t->valid && pha__tokens_count(t->valid) <= (uint64_t)t->o.context)
        pha__log(PHA__LOG_NOTE,
                 "the validation split has %llu tokens, less than one context of %d: its loss is that of a shorter one",
                 (unsigned long long)pha__tokens_count(t->valid), t->o.context);
    return PHA_OK;
}

/* ---- the course ------------------------------------------------------------------------------------------ */

static void about_warmup(const pha_trainer *t)
{
    const pha_train_options *o = &t->o;
    if (o->warmup < o->steps || o->steps == 1) return;
    pha__log(PHA__LOG_WARN,
             "a warm-up of %lld steps leaves nothing of the run's %lld: the rate ends at %.3g, %.0f %% of its peak",
             (long long)o->warmup, (long long)o->steps, pha__schedule_lr(&t->schedule, o->steps - 1),
             100 * (double)o->steps / (double)o->warmup);
}

/* The losses that a plateau is told (pha__evaluate_now). */
static double told(const pha_trainer *t)
{
    if (!t->valid) return 0;
    if (pha__many_epochs(t)) return floor(sequences(t) / (double)pha__loader_windows(&t->loader));
    return ceil((double)t->o.steps / (double)t->o.eval_every);
}

static void about_plateau(const pha_trainer *t)
{
    if (t->o.schedule != PHA_SCHEDULE_PLATEAU || told(t) > t->o.plateau_patience + 1) return;
    pha__log(PHA__LOG_WARN,
             "the plateau will see %.0f losses of the validation split and cuts the rate after %d at the earliest: it "
             "stays what it is",
             told(t), t->o.plateau_patience + 2);
}

static void about_cadence(const char *name, int64_t every, int64_t steps, const char *what)
{
    if (every > steps)
        pha__log(PHA__LOG_NOTE, "%s = %lld is beyond the run's %lld steps: %s", name, (long long)every,
                 (long long)steps, what);
}

static void about_keeping(const pha_trainer *t)
{
    const pha_train_options *o = &t->o;
    if (t->valid && o->average_best > o->keep_best)
        pha__log(PHA__LOG_NOTE, "average_best = %d, but no more than keep_best = %d snapshots are kept%s",
                 o->average_best, o->keep_best, o->keep_best < 2 ? "; nothing is averaged" : " and averaged");
}

static void about_guard(const pha_trainer *t)
{
    if (t->o.spike > 0 || t->o.batch >= PHA__GUARD_BATCH) return;
    pha__log(PHA__LOG_NOTE,
             "steps of less than %d sequences are not judged by their loss, which is that of the text they hold; "
             "refused is only what is not finite",
             PHA__GUARD_BATCH);
}

static void about_attn_dropout(const pha_trainer *t)
{
    if (t->o.attn_dropout <= 0) return;
    for (int i = 0; i < t->program->n_nodes; i++)
        if (t->program->nodes[i]->op == &pha__op_attention) return;
    pha__log(PHA__LOG_WARN, "attn_dropout = %g does nothing: no layer of this model has softmax attention",
             t->o.attn_dropout);
}

pha_status pha__advise(const pha_trainer *t)
{
    about_step(t);
    about_unseen(t);
    about_warmup(t);
    about_plateau(t);
    about_cadence("eval_every", t->o.eval_every, t->o.steps, "only its end and those of epochs are evaluated");
    about_cadence("checkpoint_every", t->o.checkpoint_every, t->o.steps,
                  "only its end and those of epochs have a checkpoint");
    about_keeping(t);
    about_guard(t);
    about_attn_dropout(t);
    return about_documents(t);
}
