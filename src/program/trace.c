/* trace.c -- PHA_TRACE=1: the range of every value and gradient, and the first one that is not finite
 *
 * A slice of a merged product is a value of the model, so it is shown under its own path and source line.
 */
#include <math.h>

#include "backend/backend.h"
#include "base/dtype.h"
#include "base/log.h"
#include "base/print.h"
#include "program/program.h"

static float element(const pha__view *v, int64_t row, int64_t column)
{
    int64_t i = row * v->ld + column;
    return v->dtype == PHA__F32 ? ((const float *)v->data)[i] : bf16_to_f32(((const uint16_t *)v->data)[i]);
}

/* Prints the range of one view of node n; fails at a value that is not finite. */
static pha_status show(const pha__node *n, const char *what, const pha__view *v, int64_t rows)
{
    float low = INFINITY, high = -INFINITY;
    double squares = 0;
    for (int64_t r = 0; r < rows; r++)
        for (int32_t c = 0; c < v->width; c++) {
            float x = element(v, r, c);
            if (!isfinite(x))
                FAIL(NUMERIC, "%s (%s:%d): %s of %s is %g at row %lld, column %d", n->path, n->file, n->line, what,
                     n->op->name, (double)x, (long long)r, c);
            low = x < low ? x : low, high = x > high ? x : high;
            squares += (double)x * x;
        }
    pha__log(PHA__LOG_TRACE, "%-36s %-16s %-9s [%11.4g, %11.4g] rms %.4g", n->path, n->op->name, what, (double)low,
             (double)high, sqrt(squares / ((double)rows * v->width)));
    return PHA_OK;
}

static pha_status trace_view(const pha__node *n, const char *what, const pha__view *v, int64_t rows,
                             pha__device *device)
{
    if (rows < 1) return PHA_OK;
    pha__view here = *v;
    size_t size = (size_t)((rows - 1) * v->ld + v->width) * pha__dtype_size(v->dtype);
    here.data = pha__alloc(size, 1);
    if (!here.data) return PHA_NO_MEMORY;
    pha_status status = pha__download(device, here.data, v->data, size);
    if (!status) status = show(n, what, &here, rows);
    pha__free(here.data);
    return status;
}

/* A view of a node, or, of a merged product, the part of each member: columns of a value, rows of the weights. */
static pha_status trace_members(const pha__program *p, const pha__node *n, const char *what, const pha__view *v,
                                int64_t rows, bool of_weights, pha__device *device)
{
    if (!v->data) return PHA_OK;
    if (!n->stack_rows) return trace_view(n, what, v, rows, device);
    for (int i = 0; i < p->n_nodes; i++) {
        const pha__node *m = p->nodes[i];
        if (m->merged != n) continue;
        pha__view part = *v;
        part.data = (char *)v->data + (size_t)(of_weights ? m->column * v->ld : m->column) * pha__dtype_size(v->dtype);
        part.width = of_weights ? v->width : m->width;
        TRY(trace_view(m, what, &part, of_weights ? m->width : rows, device));
    }
    return PHA_OK;
}

pha_status pha__trace_step(const pha__program *p, const pha__plan_step *s, const pha__args *a, pha__device *device)
{
    const pha__node *n = s->node;
    int64_t rows = (int64_t)a->B * a->T;
    if (s->pass == PHA__FORWARD || n->op->is_loss) TRY(trace_members(p, n, "out", &a->out, rows, false, device));
    for (int k = 0; s->pass == PHA__BACKWARD && k < a->n_in; k++) {
        char name[16];
        pha__print(name, sizeof name, "d_in%d", k);
        if (s->d_in[k].kind == PHA__REF_GRAD && k == n->stack_in)
            TRY(trace_members(p, n, name, &a->d_in[k], a->d_in[k].rows, true, device));
        else if (a->d_in[k].data)
            TRY(trace_view(n, name, &a->d_in[k], a->d_in[k].rows ? a->d_in[k].rows : rows, device));
    }
    return PHA_OK;
}
