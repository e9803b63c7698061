/* speed.c -- what a model costs here: its steps are made, with random tokens, and timed */
#include <math.h>

#include "base/clock.h"
#include "base/rng.h"
#include "runtime/look/cost.h"
#include "runtime/new/new.h"
#include "runtime/stop.h"
#include "runtime/train/trainer.h"

/* The mean, not the least: what slows a step now and then does so in a long run, too. */
static const double LONG_ENOUGH = 1.5;
enum { STEPS_LEAST = 3, STEPS_MOST = 200, TOGETHER = 8 };

int32_t pha__together(int32_t batch) { return batch < TOGETHER ? batch : TOGETHER; }

typedef struct noise {
    uint64_t seed;
    int32_t T, V;
} noise;

/* Small ids are common, as in text: the embedding's gradient is summed by id. */
static pha_status random_tokens(void *self, uint64_t index, int32_t *inputs, int32_t *targets)
{
    const noise *n = self;
    for (int32_t i = 0; i < n->T; i++) {
        uint32_t at[4] = {(uint32_t)i, (uint32_t)index, (uint32_t)(index >> 32), PHA__STREAM_TASK}, x[4];
        pha__philox(n->seed, at, x);
        float u = pha__uniform(x[0]);
        inputs[i] = (int32_t)(u * u * u * (float)(n->V - 1));
        targets[i] = (int32_t)(pha__uniform(x[1]) * (float)(n->V - 1));
    }
    return PHA_OK;
}

static pha_status time_steps(double *seconds, pha_trainer *t)
{
    pha_step step;
    int n = 0;
    TRY(pha_trainer_step(t, &step)); /* in the first the system hands out the memory */
    double begin = pha__seconds(), now = begin;
    for (; n < STEPS_LEAST || (n < STEPS_MOST && now - begin < LONG_ENOUGH); n++) {
        TRY(pha_trainer_step(t, &step));
        now = pha__seconds();
    }
    *seconds = (now - begin) / ((double)n * (double)step.tokens);
    return PHA_OK;
}

pha_status pha__demand(uint64_t *bytes, double *flops, uint64_t *parameters, const pha__config *c, const pha_plan *p)
{
    pha__program_options options = {.B = pha__together(p->batch), .T = p->context, .gradients = true};
    pha__program *program;
    pha__device *device;
    pha__memory memory;
    TRY(pha__device_open(&device, NULL, p->threads));
    pha_status status = pha__record(&program, c, &options, PHA__HEAD_LOSS);
    if (!status) {
        status = pha__memory_of(&memory, program, device);
        pha__cost forward = pha__cost_of(program, PHA__FORWARD, 0), backward = pha__cost_of(program, PHA__BACKWARD, 0);
        double all = pha__cost_total(&forward) + pha__cost_total(&backward);
        *flops = all / ((double)options.B * options.T), *parameters = (uint64_t)program->parameters;
        *bytes = status ? 0 : memory.total;
        pha__program_close(program);
    }
    pha__device_close(device);
    return status;
}

pha_status pha__speed(double *seconds, const pha__config *c, const pha_plan *p, uint64_t seed)
{
    noise random = {seed, p->context, c->vocab_size};
    pha__source source = {random_tokens, &random};
    pha_train_options o = {.context = p->context, .batch = p->batch, .micro_batch = pha__together(p->batch),
                           .steps = 1000000, .lr = 1e-6, .dropout = p->dropout, .threads = p->threads, .spike = -1,
                           .seed = seed};
    pha_trainer *t;
    TRY(pha__trainer_open_made(&t, &o, c, &source));
    pha_status status = time_steps(seconds, t);
    pha_trainer_close(t);
    return status;
}
