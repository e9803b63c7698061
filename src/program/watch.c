/* watch.c -- recording and reading what pieces show; see watch.h */
#include "program/watch.h"

#include <stdlib.h>
#include <string.h>

#include "program/store.h"

/* ---- recording ------------------------------------------------------------------------------------------- */

static pha__watching *new_watch(pha__program *p)
{
    if (p->n_watches == p->watches_capacity) {
        int more = p->watches_capacity ? 2 * p->watches_capacity : 32;
        pha__watching *grown = pha__realloc(p->watches, (size_t)more, sizeof *grown);
        if (!grown) return NULL;
        p->watches = grown, p->watches_capacity = more;
    }
    return &p->watches[p->n_watches++];
}

void pha__watch(Params p, const pha__watch_row *row, pha__watch_fn *reduce, const char *const *labels, int n,
                const Var *in, int n_in, const void *attr, size_t attr_size)
{
    pha__program *g = p.program;
    if (g->status || g->options.gradients) return;
    if (p.layer < 0 || n < 1 || n_in > PHA__MAX_IN || (row->form == PHA__WATCH_NAMED) != (labels != NULL)) {
        pha__reject(p, "'%s' of '%s' can't be shown: a watch belongs to a layer and names its numbers if its form does",
                    row->name, p.path);
        return;
    }
    pha__watching w = {.row = row, .path = p.path, .layer = p.layer, .part = p.part, .reduce = reduce, .n = n,
                       .n_in = n_in};
    memcpy(w.in, in, (size_t)n_in * sizeof *in);
    void *copy = attr_size ? pha__arena_alloc(&g->arena, 1, attr_size) : NULL;
    if (copy) memcpy(copy, attr, attr_size);
    w.attr = copy;
    w.labels = labels ? pha__arena_alloc(&g->arena, (size_t)n, sizeof *w.labels) : NULL;
    for (int i = 0; w.labels && i < n; i++) w.labels[i] = pha__arena_strdup(&g->arena, labels[i]);
    pha__watching *at = g->arena.failed ? NULL : new_watch(g);
    if (at) *at = w;
    else g->arena.failed = true; /* reported when the recording ends */
}

static int by_place(const void *a, const void *b)
{
    const pha__watching *x = a, *y = b;
    int order[2] = {x->part ? x->part->order : INT32_MAX, y->part ? y->part->order : INT32_MAX};
    if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
    if (x->row->order != y->row->order) return x->row->order < y->row->order ? -1 : 1;
    int names = strcmp(x->row->name, y->row->name);
    if (names) return names;
    if (order[0] != order[1]) return order[0] < order[1] ? -1 : 1;
    return strcmp(x->path, y->path);
}

void pha__order_watches(pha__program *p)
{
    if (p->n_watches) qsort(p->watches, (size_t)p->n_watches, sizeof *p->watches, by_place);
}

/* ---- reading --------------------------------------------------------------------------------------------- */

/* The numbers of one input, in memory that the caller frees. */
static pha_status see(pha__seen *s, const pha__node *v, pha__exec *e, const pha__store *store, int64_t rows)
{
    *s = (pha__seen){NULL, v->op ? rows : v->rows, v->width};
    if (v->op && !e) FAIL(FAILED, "%s: can't be shown: there was no run", v->path);
    float *numbers = pha__alloc((size_t)s->rows * (size_t)s->width, sizeof *numbers);
    if (!numbers) return PHA_NO_MEMORY;
    s->data = numbers;
    if (v->op) return pha__exec_value(e, v->path, false, rows, numbers);
    if (store) return pha__store_copy_out(store, PHA__WEIGHT, v->index, numbers);
    v->init.fill(numbers, v->rows, v->width, v->init.arg, 0, v->path);
    return PHA_OK;
}

pha_status pha__watch_read(const pha__watching *w, pha__exec *e, const pha__store *store, int64_t rows, double *out)
{
    pha__seen in[PHA__MAX_IN] = {{0}};
    pha_status status = PHA_OK;
    for (int i = 0; i < w->n_in && !status; i++)
        if (w->in[i]) status = see(&in[i], w->in[i], e, store, rows);
    if (!status && !w->reduce(out, w->n, in, w->attr))
        status = pha__fail(PHA_NO_MEMORY, "no memory to show the %s of %s", w->row->name, w->path);
    for (int i = 0; i < w->n_in; i++) pha__free((float *)(uintptr_t)in[i].data);
    return status;
}
