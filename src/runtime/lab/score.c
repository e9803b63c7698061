/* score.c -- what a model recalls of the test examples of a task */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "ops/lm_loss/lm_loss.h"
#include "runtime/lab/lab.h"
#include "runtime/stop.h"

enum { TOKENS = 2048 }; /* that run at once, if an example has no more */

typedef struct testing {
    const pha__weights *weights;
    pha__lab_task *task;
    pha__program *program;
    pha__exec *exec;
    int32_t *inputs, *targets; /* (B, T) */
    float *loss;               /* (B T, 2) */
    int32_t B;
} testing;

int32_t pha__lab_together(int32_t batch, int32_t T)
{
    int32_t n = TOKENS / T < 1 ? 1 : TOKENS / T < batch ? TOKENS / T : batch;
    while (batch % n) n--;
    return n;
}

static pha_status open_testing(testing *t, int64_t tests)
{
    size_t T = (size_t)t->task->s.T;
    t->B = pha__lab_together(TOKENS, t->task->s.T);
    if (t->B > tests) t->B = (int32_t)tests;
    pha__program_options o = {.B = t->B, .T = t->task->s.T, .dtype = t->weights->dtype};
    TRY(pha__record(&t->program, &t->weights->config, &o, PHA__HEAD_LOSS));
    TRY(pha__exec_open(&t->exec, t->program, t->weights->store, t->weights->device));
    t->inputs = pha__alloc((size_t)t->B * T, sizeof *t->inputs);
    t->targets = pha__alloc((size_t)t->B * T, sizeof *t->targets);
    t->loss = pha__alloc(PHA__LOSS_WIDTH * (size_t)t->B * T, sizeof *t->loss);
    return t->inputs && t->targets && t->loss ? PHA_OK : PHA_NO_MEMORY;
}

static void close_testing(testing *t)
{
    pha__exec_close(t->exec);
    pha__program_close(t->program);
    pha__free(t->inputs);
    pha__free(t->targets);
    pha__free(t->loss);
}

/* Example i of a run. */
static pha_status count(pha__lab_score *out, const testing *t, int32_t i)
{
    int32_t T = t->task->s.T, scored = 0, hits = 0;
    for (int64_t k = (int64_t)i * T; k < ((int64_t)i + 1) * T; k++) {
        if (t->targets[k] < 0) continue;
        const float *row = t->loss + PHA__LOSS_WIDTH * k;
        if (!isfinite(row[PHA__NLL])) FAIL(NUMERIC, "%s: the loss is not finite", t->task->row->name);
        out->nll += row[PHA__NLL];
        hits += row[PHA__HIT] > 0;
        scored++;
    }
    out->scored += scored, out->hits += hits;
    out->examples++, out->whole += hits == scored;
    return PHA_OK;
}

static pha_status test(pha__lab_score *out, testing *t, int64_t tests, pha__lab_tell *tell, void *to)
{
    size_t T = (size_t)t->task->s.T;
    for (int64_t first = 0; first < tests; first += t->B) {
        int32_t n = tests - first < t->B ? (int32_t)(tests - first) : t->B;
        if (pha__stop_requested())
            FAIL(STOPPED, "asked to stop with %lld of %lld examples tested", (long long)first, (long long)tests);
        for (int32_t i = 0; i < n; i++)
            pha__lab_make(t->task, true, (uint64_t)(first + i), t->inputs + (size_t)i * T, t->targets + (size_t)i * T);
        pha__run run = {.tokens = t->inputs, .targets = t->targets, .loss_scale = 1};
        TRY(pha__exec_run(t->exec, n, (int)T, &run, NULL, false));
        TRY(pha__exec_output(t->exec, "loss", (int64_t)n * (int64_t)T, t->loss));
        for (int32_t i = 0; i < n; i++) TRY(count(out, t, i));
        if (tell) tell(to, first + n);
    }
    return PHA_OK;
}

pha_status pha__lab_test(pha__lab_score *out, const pha__weights *weights, pha__lab_task *task, int64_t tests,
                         pha__lab_tell *tell, void *to)
{
    testing t = {.weights = weights, .task = task};
    *out = (pha__lab_score){0};
    pha_status status = open_testing(&t, tests);
    if (!status) status = test(out, &t, tests, tell, to);
    close_testing(&t);
    return status;
}
