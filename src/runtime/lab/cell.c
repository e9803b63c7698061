/* cell.c -- one cell: a model is trained on examples of its task, and tested on others */
#include <math.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/print.h"
#include "runtime/lab/lab.h"
#include "runtime/train/trainer.h"

/* ---- examples as training data --------------------------------------------------------------------------- */

typedef struct lesson {
    pha__lab_task task;
    int64_t examples; /* again and again, each time in an order of its own */
} lesson;

static pha_status next_example(void *self, uint64_t index, int32_t *inputs, int32_t *targets)
{
    lesson *l = self;
    uint64_t n = (uint64_t)l->examples;
    uint64_t example = pha__permute(index % n, n, l->task.seed, (uint32_t)(index / n));
    pha__lab_make(&l->task, false, example, inputs, targets);
    return PHA_OK;
}

/* ---- progress -------------------------------------------------------------------------------------------- */

typedef struct telling {
    const pha__lab *l;
    const pha__lab_cell *cell;
    size_t number;
    double began, told;
} telling;

/* Not more than five times a second, and at the end. */
static void report(telling *to, const char *unit, int64_t done, int64_t total, double loss)
{
    char line[200], number[24], at[40] = "";
    const pha_lab_options *o = &to->l->o;
    double now = pha__seconds(), spent = now - to->began;
    if (!o->progress || (now - to->told < 0.2 && done < total)) return;
    to->told = now;
    pha_progress p = {.phase = "lab", .unit = unit, .line = line, .done = (double)done, .total = (double)total};
    p.rate = spent > 0 ? p.done / spent : 0;
    p.seconds_left = p.rate > 0 ? (p.total - p.done) / p.rate : -1;
    pha__print_number(number, sizeof number, loss, 4);
    if (isfinite(loss)) pha__print(at, sizeof at, "  loss %s", number);
    pha__print(line, sizeof line, "%s %zu of %zu: length %d, %d %s, %s %lld of %lld%s  %.0f s left", to->l->row->name,
               to->number + 1, to->l->n_cells, to->cell->s.T, to->cell->s.n, to->l->row->things, unit, (long long)done,
               (long long)total, at, p.seconds_left > 0 ? p.seconds_left : 0);
    o->progress(o->user, &p);
}

static void report_test(void *to, int64_t done) { report(to, "tests", done, ((telling *)to)->l->o.tests, NAN); }

/* ---- training -------------------------------------------------------------------------------------------- */

static pha_status train(pha_trainer **out, const pha__lab *l, const pha__lab_cell *cell, lesson *of, size_t number)
{
    pha_train_options o = {.context = cell->s.T, .batch = l->o.batch, .steps = l->o.steps, .lr = cell->lr,
                           .micro_batch = pha__lab_together(l->o.batch, cell->s.T), .warmup = l->o.steps / 10,
                           .weight_decay = l->o.weight_decay > 0 ? l->o.weight_decay : -1, .spike = -1,
                           .seed = l->o.seed, .threads = l->o.threads};
    pha__source source = {next_example, of};
    telling to = {l, cell, number, pha__seconds(), 0};
    TRY(pha__trainer_open_made(out, &o, &cell->config, &source));
    for (int64_t i = 0; i < o.steps; i++) {
        pha_step step;
        TRY(pha_trainer_step(*out, &step));
        report(&to, "steps", step.step, o.steps, step.loss);
    }
    return PHA_OK;
}

/* ---- testing --------------------------------------------------------------------------------------------- */

static void set_score(json_t **to, const pha__lab_score *s)
{
    pha__json_set(to, "accuracy", pha__json_decimal(s->scored > 0 ? s->hits / s->scored : NAN));
    pha__json_set(to, "whole", pha__json_decimal(s->examples > 0 ? s->whole / s->examples : NAN));
    pha__json_set(to, "loss", pha__json_decimal(s->scored > 0 ? s->nll / s->scored : NAN));
}

static pha_status test_at(pha__lab_score *out, const pha__lab *l, const pha__lab_cell *cell, const pha__weights *w,
                          int32_t depth, size_t number)
{
    telling to = {l, cell, number, pha__seconds(), pha__seconds()};
    pha__lab_task task;
    pha__lab_sizes sizes = cell->s;
    sizes.depth = depth;
    TRY(pha__lab_open(&task, l->row, &sizes, l->o.seed));
    pha_status status = pha__lab_test(out, w, &task, l->o.tests, report_test, &to);
    pha__lab_close(&task);
    return status;
}

/* At each depth that was asked for, and the mean of them; or anywhere. */
static pha_status test(json_t **result, const pha__lab *l, const pha__lab_cell *cell, const pha__weights *w,
                       size_t number)
{
    pha__lab_score all = {0}, one;
    json_t *depths = pha__json_list();
    pha_status status = l->o.n_depths ? PHA_OK : test_at(&all, l, cell, w, PHA__LAB_ANY_DEPTH, number);
    for (size_t i = 0; i < l->o.n_depths && !status; i++) {
        if ((status = test_at(&one, l, cell, w, l->o.depths[i], number))) break;
        json_t *at = pha__json_object();
        pha__json_set(&at, "depth", pha__json_number(l->o.depths[i]));
        set_score(&at, &one);
        pha__json_add(&depths, at);
        all.scored += one.scored, all.hits += one.hits, all.nll += one.nll;
        all.examples += one.examples, all.whole += one.whole;
    }
    if (!status) set_score(result, &all);
    if (!status && l->o.n_depths) pha__json_set(result, "depths", depths);
    else json_decref(depths);
    return status;
}

/* ---- a cell ---------------------------------------------------------------------------------------------- */

static pha_status run_new(json_t **result, const pha__lab *l, const pha__lab_cell *cell, size_t number)
{
    lesson of = {.examples = l->o.examples};
    pha_trainer *trainer = NULL;
    TRY(pha__lab_open(&of.task, l->row, &cell->s, l->o.seed));
    pha_status status = train(&trainer, l, cell, &of, number);
    if (!status) status = test(result, l, cell, &trainer->weights, number);
    if (trainer) pha__json_set(result, "parameters", pha__json_number((int64_t)trainer->program->parameters));
    pha_trainer_close(trainer);
    pha__lab_close(&of.task);
    return status;
}

static pha_status run_trained(json_t **result, const pha__lab *l, const pha__lab_cell *cell, size_t number)
{
    pha__device *device;
    pha__weights weights = {0};
    TRY(pha__device_open(&device, NULL, l->o.threads));
    pha_status status = pha__weights_place(&weights, &cell->config, cell->trained->store, device, PHA__F32,
                                           PHA_WEIGHTS_DEFAULT);
    if (!status) status = test(result, l, cell, &weights, number);
    pha__weights_close(&weights);
    pha__device_close(device);
    pha__json_set(result, "parameters", pha__json_number((int64_t)cell->trained->names->parameters));
    return status;
}

pha_status pha__lab_run(const pha__lab *l, pha__lab_cell *cell, size_t number)
{
    double begin = pha__seconds();
    json_t *result = pha__json_object();
    pha_status status = cell->trained ? run_trained(&result, l, cell, number) : run_new(&result, l, cell, number);
    bool diverged = status == PHA_NUMERIC && !cell->trained; /* which is what the cell has to say */
    if (diverged) pha__json_set(&result, "accuracy", json_null());
    if (diverged) status = PHA_OK;
    pha__json_set(&result, "seconds", pha__json_decimal(pha__seconds() - begin));
    if (!status && !result) status = pha__fail(PHA_NO_MEMORY, "no memory for the result of a cell");
    if (status) json_decref(result);
    else cell->result = result;
    return status;
}
