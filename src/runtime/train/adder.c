/* adder.c -- a sum of two terms is what the residual op does */
#include "runtime/train/adder.h"

#include "ops/residual/residual.h"

static pha__args sum_of(void *to, const void *from, int64_t n)
{
    static const pha__residual_attr plain = {.alpha = 1, .beta = 1};
    int32_t rows = (int32_t)(n / PHA__ADDER_UNIT);
    pha__view a = {to, PHA__ADDER_UNIT, rows, PHA__ADDER_UNIT, PHA__F32}, b = a;
    b.data = (void *)(uintptr_t)from;
    return (pha__args){.B = 1, .T = rows, .n_in = 3, .in = {a, b}, .out = a, .attr = &plain};
}

pha_status pha__adder_open(pha__adder *s, pha__device *device, int64_t most)
{
    pha__needs needs;
    pha__args a = sum_of(NULL, NULL, most);
    *s = (pha__adder){.device = device};
    pha_status status =
        device->backend->needs(device, device->backend->kernel(device, "residual"), &a, PHA__FORWARD, &needs);
    if (!status && !(s->scratch = pha__device_alloc(device, needs.scratch))) status = PHA_NO_MEMORY;
    if (!status) status = pha__run_block_open(&s->run, device, 1, 1, false);
    if (status) pha__adder_close(s);
    return status;
}

void pha__adder_close(pha__adder *s)
{
    if (s->scratch) pha__device_free(s->device, s->scratch);
    pha__run_block_close(&s->run);
    *s = (pha__adder){0};
}

pha_status pha__adder_add(pha__adder *s, void *to, const void *from, int64_t n)
{
    pha__device *d = s->device;
    pha__args a = sum_of(to, from, n);
    pha__run none = {0};
    pha__states no_states;
    TRY(pha__run_block_fill(&s->run, 1, 1, &none, NULL, &a.run, &no_states));
    return d->backend->run(d, d->backend->kernel(d, "residual"), &a, PHA__FORWARD, s->scratch);
}
