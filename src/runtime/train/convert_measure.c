/* convert_measure.c -- how far a conversion has come */
#include <math.h>

#include "ops/distill/distill.h"
#include "runtime/infer/eval.h"
#include "runtime/stop.h"
#include "runtime/train/convert.h"

static const pha__tokens *text_of(const pha__conversion *c) { return c->t->valid ? c->t->valid : c->t->data; }

/* ---- the loss of the lesson ------------------------------------------------------------------------------ */

typedef struct measuring {
    const pha__conversion *c;
    pha__program *program;
    pha__exec *exec;
    pha__cursor cursor;
    int32_t *ids, *targets;
    float *rows; /* (T, 2) */
    double sums[PHA__DISTILL_WIDTH], tokens;
} measuring;

static pha_status open_measuring(measuring *m)
{
    const pha_trainer *t = m->c->t;
    size_t T = (size_t)t->o.context;
    pha__program_options options = {.B = 1, .T = t->o.context};
    TRY(pha__record_as(&m->program, t->lesson->row, &t->config, &options, PHA__HEAD_LOSS));
    TRY(pha__exec_open(&m->exec, m->program, t->store, t->device));
    TRY(pha__cursor_open(&m->cursor, text_of(m->c), t->o.context, 0));
    m->ids = pha__alloc(T, sizeof *m->ids);
    m->targets = pha__alloc(T, sizeof *m->targets);
    m->rows = pha__alloc(T * PHA__DISTILL_WIDTH, sizeof *m->rows);
    return m->ids && m->targets && m->rows ? PHA_OK : PHA_NO_MEMORY;
}

/* Of the layers the weighted sum, of n tokens the sum. */
static pha_status add_window(measuring *m, int32_t n)
{
    for (int k = 0; k < m->program->n_outputs; k++) {
        if (!m->program->outputs[k].loss) continue;
        TRY(pha__exec_output(m->exec, m->program->outputs[k].name, n, m->rows));
        for (int32_t i = 0; i < n * PHA__DISTILL_WIDTH; i++)
            m->sums[i % PHA__DISTILL_WIDTH] += m->program->outputs[k].weight * m->rows[i];
    }
    m->tokens += n;
    return PHA_OK;
}

static pha_status measure(measuring *m)
{
    TRY(open_measuring(m));
    for (uint64_t w = 0; w < pha__cursor_windows(&m->cursor) && m->tokens < (double)m->c->eval_tokens; w++) {
        int32_t n, scored;
        if (pha__stop_requested()) FAIL(STOPPED, "asked to stop");
        TRY(pha__cursor_get(&m->cursor, w, m->ids, m->targets, &n, &scored));
        TRY(pha__exec_run(m->exec, 1, n, &(pha__run){.tokens = m->ids}, NULL, false));
        TRY(add_window(m, n));
    }
    return PHA_OK;
}

pha_status pha__measure_lesson(const pha__conversion *c, double *loss, double *kl)
{
    measuring m = {.c = c};
    pha_status status = measure(&m);
    if (!status) {
        *loss = m.sums[PHA__DISTILL_NLL] / m.tokens;
        *kl = (m.sums[PHA__DISTILL_NLL] - m.sums[PHA__DISTILL_ENTROPY]) / m.tokens;
    }
    pha__exec_close(m.exec);
    pha__program_close(m.program);
    pha__free(m.ids);
    pha__free(m.targets);
    pha__free(m.rows);
    return status;
}

/* ---- perplexity ------------------------------------------------------------------------------------------ */

static pha_status perplexity(const pha__conversion *c, const pha__config *config, const pha__store *store, double *ppl)
{
    pha__weights weights = {0};
    pha_eval_result result = {0};
    pha__eval_run run = {.context = c->t->o.context, .max_tokens = c->eval_tokens, .progress = c->o->progress,
                         .user = c->o->user};
    pha_status status = pha__weights_place(&weights, config, store, c->t->device, PHA__F32, PHA_WEIGHTS_DEFAULT);
    if (!status) status = pha__eval_core(&weights, text_of(c), NULL, &run, &result);
    pha__weights_close(&weights);
    if (!status) *ppl = result.token_ppl;
    return status;
}

pha_status pha__measure_teacher(const pha__conversion *c, double *ppl)
{
    return perplexity(c, &c->teacher->config, c->teacher->store, ppl);
}

/* In the layout of the model itself, whose projections lie together. */
pha_status pha__measure_pupil(const pha__conversion *c, double *ppl)
{
    pha__program_options options = {.B = 1, .T = 1};
    pha__program *names = NULL;
    pha__store *store = NULL;
    pha_status status = pha__record(&names, &c->t->config, &options, PHA__HEAD_NONE);
    if (!status) status = pha__store_open(&store, names, c->t->device);
    if (!status) status = pha__store_add(store, PHA__WEIGHT, PHA__ALL_PARAMS, PHA__F32);
    if (!status) status = pha__store_copy_named(store, c->t->store);
    if (!status) status = perplexity(c, &c->t->config, store, ppl);
    pha__store_close(store);
    pha__program_close(names);
    return status;
}
