/* lm_loss_cpu.c -- blocks of tokens; for each the phases logits, softmax (loss, and the gradient of the logits in their
 * place), and in backward dh = dlogits E together with dE (+)= dlogits^T h
 *
 * A block is some sequences or, of long ones, a piece of one, cut by T and V alone, so that dE is the same sum however
 * the sequences come. Where at most half of the tokens are scored, blocks are of those alone: their h is gathered
 * before, their dh is scattered after, and dE adds them up in the same pieces. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "backend/cpu/gemm.h"
#include "backend/cpu/rows.h"
#include "ops/lm_loss/lm_loss.h"

enum { BLOCK = 1024, BLOCK_BYTES = 64 << 20, SOFTMAX_ROWS = 4, CHUNK = 64, LEAST_GATHERED = 64 };

static int64_t n_rows(const pha__args *a)
{
    return (int64_t)a->B * a->T;
}

static int64_t logits_ld(const pha__args *a)
{
    return ((int64_t)a->in[1].rows + 15) / 16 * 16;
}

static int64_t most_tokens(const pha__args *a)
{
    int64_t n = BLOCK_BYTES / (logits_ld(a) * 4);
    return n < 8 ? 8 : n > BLOCK ? BLOCK : n;
}

static int64_t tokens_of_block(const pha__args *a)
{
    int64_t rows = n_rows(a), most = most_tokens(a);
    return rows < most ? rows : most;
}

static bool is_scored(const pha__args *a, int64_t row) { return a->run->targets && a->run->targets[row] >= 0; }

/* Columns of a row of gathered h or dh, a whole number of cache lines in any format. */
static int64_t gathered_ld(const pha__args *a) { return ((int64_t)a->in[0].width + 31) / 32 * 32; }

/* Tokens for whose logits, dh, h and end of a piece there is room where those of a block of all tokens have it. */
static int64_t most_gathered(const pha__args *a)
{
    int64_t row = logits_ld(a) * 4 + gathered_ld(a) * (4 + (int64_t)pha__dtype_size(a->in[0].dtype)) + 4;
    return tokens_of_block(a) * logits_ld(a) * 4 / row;
}

typedef struct part { /* the tokens of one block */
    int64_t first, n; /* by their number among all, or, if gathered, among those that are scored */
    bool earlier;     /* an earlier block has written dE */
    bool gathered;
    pha__view h, dh;  /* of the block, which begins at row 0 */
    int64_t sequence; /* not gathered: dE is a sum over sequences of so many tokens */
    int32_t *ends;    /* gathered: where each piece ends */
    int64_t row;      /* gathered: the pieces begin with this one */
} part;

static pha__view from_row(pha__view v, int64_t row)
{
    if (v.data) v.data = pha__at(&v, row, 0);
    return v;
}

/* Equal parts of n, none larger than most. */
static int64_t part_size(int64_t n, int64_t most)
{
    int64_t parts = (n + most - 1) / most;
    return (n + parts - 1) / parts;
}

/* Tokens of a sequence that are in one block. */
static int64_t block_piece(const pha__args *a) { return part_size(a->T, most_tokens(a)); }

/* Where the piece of dE's sum ends that begins at a row, and the tokens of it that are scored. */
static int64_t piece_end(const pha__args *a, int64_t row)
{
    int64_t t = row % a->T, piece = block_piece(a), begin = t / piece * piece;
    int64_t n = a->T - begin < piece ? a->T - begin : piece, left = begin + n - t, size = pha__gemm_piece(n);
    return row + (left < size ? left : size);
}
static int64_t scored_until(const pha__args *a, int64_t row, int64_t end)
{
    int64_t n = 0;
    for (; row < end; row++) n += is_scored(a, row);
    return n;
}

/* Are half of the tokens not scored, and is there room for enough of the others, whole pieces of them? */
static bool gathers(const pha__args *a)
{
    int64_t rows = n_rows(a), scored = scored_until(a, 0, rows), room = most_gathered(a);
    bool yes = scored > 0 && 2 * scored <= rows && room >= (scored < LEAST_GATHERED ? scored : LEAST_GATHERED);
    for (int64_t row = 0, end; yes && row < rows; row = end) {
        end = piece_end(a, row);
        yes = scored_until(a, row, end) <= room;
    }
    return yes;
}

/* Block b of the scored tokens: as many pieces as there is room for. */
static bool gathered_part(const pha__args *a, int64_t b, part *p)
{
    int64_t room = most_gathered(a), most = room < BLOCK ? room : BLOCK;
    p->first = p->n = p->row = 0;
    for (int64_t row = 0, end; row < n_rows(a); row = end) {
        end = piece_end(a, row);
        int64_t scored = scored_until(a, row, end);
        if (p->n + scored > most) {
            if (b-- == 0) return true;
            p->first += p->n, p->n = 0, p->row = row;
        }
        p->n += scored;
    }
    return b == 0 && p->n > 0;
}

static bool whole_part(const pha__args *a, int64_t b, part *p)
{
    int64_t rows = n_rows(a), piece = block_piece(a), each = a->T > piece ? (a->T + piece - 1) / piece : 1;
    p->first = b / each * a->T + b % each * piece;
    p->n = a->T - b % each * piece < piece ? a->T - b % each * piece : piece;
    if (each == 1) {
        int64_t size = a->B ? part_size(a->B, most_tokens(a) / a->T) * a->T : 0;
        p->first = b * size, p->n = rows - p->first < size ? rows - p->first : size;
    }
    p->sequence = each == 1 ? a->T : p->n;
    return p->first < rows;
}

/* Returns false if there is no block b. */
static bool part_of(const pha__args *a, int64_t b, part *p)
{
    int64_t ld = gathered_ld(a);
    *p = (part){.earlier = b > 0, .gathered = gathers(a)};
    if (!(p->gathered ? gathered_part : whole_part)(a, b, p)) return false;
    if (p->gathered) { /* behind the logits */
        char *dh = (char *)a->work + p->n * logits_ld(a) * 4;
        p->dh = (pha__view){a->d_in[0].data ? dh : NULL, ld, 0, a->in[0].width, PHA__F32};
        p->h = (pha__view){dh + p->n * ld * 4, ld, 0, a->in[0].width, a->in[0].dtype};
        p->ends = pha__at(&p->h, p->n, 0);
    } else {
        p->h = from_row(a->in[0], p->first);
        p->dh = from_row(a->d_in[0], p->first);
    }
    return true;
}

static pha__gemm product_logits(const pha__args *a, const part *p) /* (n, V) = (n, D) (D, V) */
{
    const pha__view *h = &p->h, *e = &a->in[1];
    return (pha__gemm){.m = p->n, .n = e->rows, .k = e->width, .a = h->data, .a_row = h->ld, .a_col = 1,
                       .a_type = h->dtype, .b = e->data, .b_row = 1, .b_col = e->ld, .b_type = e->dtype,
                       .c = a->work, .c_row = logits_ld(a), .c_type = PHA__F32};
}

static pha__gemm product_dh(const pha__args *a, const part *p) /* (n, D) = (n, V) (V, D) */
{
    const pha__view *e = &a->in[1], *dh = &p->dh;
    return (pha__gemm){.m = p->n, .n = e->width, .k = e->rows, .a = a->work, .a_row = logits_ld(a), .a_col = 1,
                       .a_type = PHA__F32, .b = e->data, .b_row = e->ld, .b_col = 1, .b_type = e->dtype,
                       .c = dh->data, .c_row = dh->ld, .c_type = dh->dtype,
                       .add = !p->gathered && (a->add & PHA__IN(0))};
}

static pha__gemm product_de(const pha__args *a, const part *p) /* (V, D) = (V, n) (n, D) */
{
    const pha__view *h = &p->h, *e = &a->in[1], *de = &a->d_in[1];
    return (pha__gemm){.m = e->rows, .n = e->width, .k = p->n, .a = a->work, .a_row = 1, .a_col = logits_ld(a),
                       .a_type = PHA__F32, .b = h->data, .b_row = h->ld, .b_col = 1,
                       .b_type = h->dtype, .c = de->data, .c_row = de->ld, .c_type = de->dtype,
                       .add = p->earlier || (a->add & PHA__IN(1)), .sequence = p->sequence, .ends = p->ends};
}

typedef enum stage { GATHER, LOGITS, SOFTMAX, GRADIENTS, SCATTER } stage;

/* What a phase is, and of which block; false: there is no such phase. */
static bool stage_of(const pha__args *a, pha__pass pass, int phase, stage *what, part *p)
{
    bool gradient = pass == PHA__BACKWARD && (a->d_in[0].data || a->d_in[1].data);
    part_of(a, 0, p);
    int first = p->gathered ? GATHER : LOGITS, last = !gradient ? SOFTMAX : p->gathered ? SCATTER : GRADIENTS;
    int n = last - first + 1;
    *what = (stage)(first + phase % n);
    return part_of(a, phase / n, p);
}

static int64_t tasks(const pha__args *a, pha__pass pass, int phase)
{
    part p;
    stage what;
    if (!stage_of(a, pass, phase, &what, &p)) return 0;
    pha__gemm y = product_logits(a, &p), dh = product_dh(a, &p), de = product_de(a, &p);
    switch (what) {
    case LOGITS: return pha__gemm_tasks(&y);
    case SOFTMAX: return (p.n + SOFTMAX_ROWS - 1) / SOFTMAX_ROWS;
    case GRADIENTS: return (dh.c ? pha__gemm_tasks(&dh) : 0) + (de.c ? pha__gemm_tasks(&de) : 0);
    default: return 1;
    }
}

static float row_max(const float *x, int64_t n)
{
    vf m = vf_set1(-INFINITY), k = m;
    int64_t i = 0;
    for (; i + 2 * VF <= n; i += 2 * VF) {
        m = vf_max(m, vf_load(x + i));
        k = vf_max(k, vf_load(x + i + VF));
    }
    float top = vf_hmax(vf_max(m, k));
    for (; i < n; i++) top = x[i] > top ? x[i] : top;
    return top;
}

/* x = e^(x - top) if keep; returns the sum: fp32 lanes over a chunk, chunks in double. */
PHA__INLINE double row_exp(float *x, int64_t n, float top, bool keep)
{
    const vf t = vf_set1(top);
    double sum = 0;
    int64_t i = 0;
    while (i + VF <= n) {
        int64_t end = i + CHUNK * VF < n ? i + CHUNK * VF : n;
        vf s = vf_zero();
        for (; i + VF <= end; i += VF) {
            vf e = vf_exp(vf_load(x + i) - t);
            if (keep) vf_store(x + i, e);
            s += e;
        }
        sum += (double)vf_sum(s);
    }
    if (i < n) {
        float e[VF];
        vf_store(e, vf_exp(vf_load_n(x + i, (int)(n - i)) - t));
        for (int j = 0; j < n - i; j++) {
            sum += (double)e[j];
            if (keep) x[i + j] = e[j];
        }
    }
    return sum;
}

static void row_scale(float *x, int64_t n, float factor)
{
    int64_t i = 0;
    for (; i + VF <= n; i += VF) vf_store(x + i, vf_load(x + i) * vf_set1(factor));
    for (; i < n; i++) x[i] *= factor;
}

/* One token: out, and in place of the logits their gradient. */
static void softmax_row(const pha__args *a, int64_t row, float *x, bool gradient)
{
    const int64_t n = a->in[1].rows;
    float *out = pha__at(&a->out, row, 0);
    int32_t c = a->run->targets ? a->run->targets[row] : -1;
    assert(c < n);
    if (c < 0) {
        out[PHA__NLL] = out[PHA__HIT] = 0;
        if (gradient) memset(x, 0, (size_t)n * sizeof *x);
        return;
    }
    float top = row_max(x, n), target = x[c];
    bool first = target == top;
    for (int64_t j = 0; first && j < c; j++) first = x[j] != top;
    double sum = gradient ? row_exp(x, n, top, true) : row_exp(x, n, top, false);
    out[PHA__NLL] = (float)(log(sum) + ((double)top - (double)target));
    out[PHA__HIT] = first ? 1.0f : 0.0f;
    if (!gradient) return;
    const pha__lm_loss_attr *attr = a->attr;
    float scale = a->run->loss_scale * (attr ? attr->weight : 1);
    row_scale(x, n, (float)((double)scale / sum));
    x[c] -= scale;
}

/* The row of the k-th scored token, or the k-th row. */
static int64_t row_of(const pha__args *a, const part *p, int64_t k)
{
    int64_t row = 0;
    if (!p->gathered) return k;
    for (;; row++)
        if (is_scored(a, row) && k-- == 0) return row;
}

static int64_t next_row(const part *p, const pha__args *a, int64_t row)
{
    do row++;
    while (p->gathered && row < n_rows(a) && !is_scored(a, row));
    return row;
}

/* Before the first block, all rows are what those that are not scored are. */
static void gather(const pha__args *a, const part *p, bool gradient)
{
    for (int64_t row = 0; row < n_rows(a) && p->first == 0; row++) {
        float *out = pha__at(&a->out, row, 0);
        out[PHA__NLL] = out[PHA__HIT] = 0;
        if (gradient && a->d_in[0].data && !(a->add & PHA__IN(0)))
            memset(pha__at(&a->d_in[0], row, 0), 0, (size_t)a->in[0].width * pha__dtype_size(a->d_in[0].dtype));
    }
    int64_t row = row_of(a, p, p->first);
    for (int64_t k = 0; k < p->n; k++, row = next_row(p, a, row))
        memcpy(pha__at(&p->h, k, 0), pha__at(&a->in[0], row, 0),
               (size_t)a->in[0].width * pha__dtype_size(a->in[0].dtype));
    int32_t *end = p->ends;
    for (int64_t n = 0, piece = p->row, next; n < p->n; piece = next) {
        int64_t scored = scored_until(a, piece, next = piece_end(a, piece));
        n += scored;
        if (scored) *end++ = (int32_t)n;
    }
}

static void scatter(const pha__args *a, const part *p)
{
    int64_t row = row_of(a, p, p->first);
    for (int64_t k = 0; k < p->n && p->dh.data; k++, row = next_row(p, a, row))
        pha__row_grad(&a->d_in[0], row, 0, a->in[0].width, pha__at(&p->dh, k, 0), a->add & PHA__IN(0));
}

static void softmax(const pha__args *a, const part *p, int64_t begin, int64_t end, bool gradient)
{
    int64_t first = begin * SOFTMAX_ROWS, last = end * SOFTMAX_ROWS < p->n ? end * SOFTMAX_ROWS : p->n;
    int64_t row = row_of(a, p, p->first + first);
    for (int64_t i = first; i < last; i++, row = next_row(p, a, row))
        softmax_row(a, row, (float *)a->work + i * logits_ld(a), gradient);
}

static void run(const pha__args *a, pha__pass pass, int phase, int64_t begin, int64_t end, void *scratch)
{
    part p;
    stage what;
    if (!stage_of(a, pass, phase, &what, &p)) return;
    bool gradient = pass == PHA__BACKWARD && (a->d_in[0].data || a->d_in[1].data);
    pha__gemm y = product_logits(a, &p), dh = product_dh(a, &p), de = product_de(a, &p);
    if (what == GATHER) gather(a, &p, gradient);
    if (what == LOGITS) pha__gemm_run(&y, begin, end, scratch);
    if (what == SOFTMAX) softmax(a, &p, begin, end, gradient);
    if (what == SCATTER) scatter(a, &p);
    if (what != GRADIENTS) return;
    int64_t split = dh.c ? pha__gemm_tasks(&dh) : 0; /* tasks of dh, then those of dE */
    if (begin < split) pha__gemm_run(&dh, begin, end < split ? end : split, scratch);
    if (end > split) pha__gemm_run(&de, begin > split ? begin - split : 0, end - split, scratch);
}

static void forward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    run(a, PHA__FORWARD, phase, begin, end, scratch);
}

static void backward(const pha__args *a, int phase, int64_t begin, int64_t end, void *scratch)
{
    run(a, PHA__BACKWARD, phase, begin, end, scratch);
}

static size_t work(const pha__args *a, pha__pass pass)
{
    (void)pass;
    return (size_t)(tokens_of_block(a) * logits_ld(a)) * sizeof(float);
}

static size_t scratch_size(const pha__args *a, pha__pass pass)
{
    int64_t m = tokens_of_block(a), n = a->in[1].rows, k = a->in[1].width;
    size_t y = pha__gemm_scratch(m, n, k), dh = pha__gemm_scratch(m, k, n), de = pha__gemm_scratch(n, k, m);
    if (pass == PHA__FORWARD) return y;
    size_t most = y > dh ? y : dh;
    return most > de ? most : de;
}

PHA__KERNEL(lm_loss) = {
    .tasks = tasks,
    .forward = forward,
    .backward = backward,
    .work = work,
    .scratch = scratch_size,
};
