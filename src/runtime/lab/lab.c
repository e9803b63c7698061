/* lab.c -- pha_lab: every cell in turn, and what came of them */
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "runtime/lab/lab.h"
#include "runtime/look/subject.h"
#include "runtime/stop.h"

static pha_status run_cells(pha__lab *l)
{
    for (size_t i = 0; i < l->n_cells; i++) {
        if (l->cells[i].result) continue;
        if (pha__stop_requested()) FAIL(STOPPED, "asked to stop before cell %zu of %zu", i + 1, l->n_cells);
        TRY(pha__lab_run(l, &l->cells[i], i));
        if (l->o.out) TRY(pha__lab_save(l));
    }
    return l->o.out ? pha__lab_save(l) : PHA_OK; /* the figure may be of other cells than the last one */
}

/* One process at a time has the folder. */
static pha_status run_in_folder(pha__lab *l)
{
    pha__lock lock;
    if (!l->o.out) return run_cells(l);
    TRY(pha__mkdirs(l->o.out));
    TRY(pha__lock_folder(&lock, l->o.out, "at work in"));
    pha_status status = pha__lab_load(l);
    if (!status) status = run_cells(l);
    pha__lock_close(&lock);
    return status;
}

static pha_status tell(char **text, const pha__lab *l)
{
    pha__str out = {0};
    pha_status status = PHA_OK;
    if (l->o.json) status = pha__add_json(&out, pha__lab_cells_json(l, false));
    else pha__lab_table(&out, l);
    if (!status && (out.failed || !out.data)) status = PHA_NO_MEMORY;
    if (status) pha__str_free(&out);
    else *text = out.data;
    return status;
}

pha_status pha_lab(const pha_lab_options *options, char **text)
{
    NEED(text, "a place for its result");
    *text = NULL;
    NEED(options, "options");
    pha__lab l = {0};
    pha_status status = pha__lab_plan(&l, options);
    if (!status) status = run_in_folder(&l);
    if (!status || status == PHA_STOPPED) {
        pha__message why = pha__message_keep();
        pha_status told = tell(text, &l);
        if (status && !told) pha__message_restore(&why);
        if (!status) status = told;
    }
    pha__lab_unplan(&l);
    return status;
}

pha_status pha_lab_examples(const pha_lab_options *o, bool test, uint64_t first, size_t n, int32_t *inputs,
                            int32_t *targets, int32_t *length, int32_t *vocab_size)
{
    NEED(o, "options");
    if (!o->task) FAIL(USAGE, "no task was named");
    if (n && (!inputs || !targets)) FAIL(USAGE, "pha_lab_examples needs places for its examples");
    if (first >> 63 || n > ((uint64_t)1 << 63) - first) FAIL(USAGE, "there is no example beyond number 2^63");
    const pha__lab_row *row;
    pha__lab_task task;
    if ((o->n_lengths && !o->lengths) || (o->n_pairs && !o->pairs)) FAIL(USAGE, "a list of the task is NULL");
    pha__lab_sizes sizes = pha__lab_first(o, o->vocab_size, -1);
    if (o->n_depths && o->depths) sizes.depth = o->depths[0];
    TRY(pha__lab_find(&row, o->task));
    TRY(pha__lab_open(&task, row, &sizes, o->seed));
    for (size_t i = 0; i < n; i++)
        pha__lab_make(&task, test, first + i, inputs + i * (size_t)task.s.T, targets + i * (size_t)task.s.T);
    if (length) *length = task.s.T;
    if (vocab_size) *vocab_size = task.s.V;
    pha__lab_close(&task);
    return PHA_OK;
}
