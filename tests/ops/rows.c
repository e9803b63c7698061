/* rows.c -- a row's bits are its own: whatever is computed beside it and wherever a text is cut, they are the same */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trial.h"

enum { MANY = 40, TOKENS = 48 };
static const int sizes[] = {1, 2, 3, 15, 16, 17, 18, 33, MANY};
enum { N_SIZE = sizeof sizes / sizeof *sizes };

static float *forward(const pha__problem *p, const pha__kernel *kernel, const pha__problem *plan, char **state)
{
    pha__trial t = {.problem = p, .kernel = kernel, .plan = plan, .state = state, .gaps = true};
    pha__trial_open(&t);
    pha__trial_forward(&t);
    float *out = pha__trial_out(&t);
    pha__trial_close(&t);
    return out;
}

/* The case in another size, without dropout, whose masks are a matter of position. */
static void resize(pha__problem *p, pha__op_case *c, const pha__problem *of, int B, int T)
{
    *c = *of->c;
    c->B = B, c->T = T, c->dropout = false;
    if (c->max_context < T) c->max_context = 0;
    pha__problem_open(p, of->test, c, of->dtype);
}

/* Of the sizes, fewer where they cost more: on an emulated card's fast kernels. */
static int stride(void) { return pha__gap % 8 ? 1 : 3; }

/* ---- beside others ---- */

/* Sequences [b, b+B) and tokens [t, t+T) by themselves give what they give in the whole. */
static void check_part(const pha__problem *p, const pha__kernel *kernel, const float *whole, int b, int B, int t, int T)
{
    size_t W = (size_t)p->ref.out_width, n = (size_t)T * W;
    pha__problem part;
    pha__problem_slice(&part, p, b, B, t, T);
    float *out = forward(&part, kernel, p, NULL);
    bool same = true;
    for (int i = 0; i < B; i++)
        same &= pha__same_rows(p, out + (size_t)i * n, whole + ((size_t)(b + i) * (size_t)p->ref.T + (size_t)t) * W,
                               (int64_t)n, 0);
    pha__check(same, "%d x %d of %d x %d rows, from sequence %d and token %d, have other bits", B, T, p->ref.B,
               p->ref.T, b, t);
    free(out);
    pha__problem_close(&part);
}

static void check_sequences(const pha__problem *of, const pha__kernel *kernel, int T)
{
    pha__problem p;
    pha__op_case c;
    resize(&p, &c, of, MANY, T);
    float *whole = forward(&p, kernel, NULL, NULL);
    for (int i = 0; i < N_SIZE; i += stride()) check_part(&p, kernel, whole, (MANY - sizes[i]) * 2 / 3, sizes[i], 0, T);
    free(whole);
    pha__problem_close(&p);
}

/* Tokens of an op without memory. */
static void check_tokens(const pha__problem *of, const pha__kernel *kernel)
{
    pha__problem p;
    pha__op_case c;
    resize(&p, &c, of, 1, MANY);
    float *whole = forward(&p, kernel, NULL, NULL);
    for (int i = 0; i < N_SIZE; i += stride()) check_part(&p, kernel, whole, 0, 1, (MANY - sizes[i]) * 2 / 3, sizes[i]);
    free(whole);
    pha__problem_close(&p);
}

/* ---- sessions that stand at different places ---- */

static int position_of(int b) { return b * 7 % (TOKENS - 1); }

/* Of the first B sequences the one token that each has come to. */
static void one_token(pha__problem *to, const pha__problem *p, int B)
{
    pha__problem_slice(to, p, 0, B, 0, 1);
    for (int b = 0; b < B; b++) {
        size_t row = (size_t)b * (size_t)p->ref.T + (size_t)position_of(b);
        for (int i = 0; i < PHA__MAX_IN; i++) {
            size_t w = (size_t)p->ref.width[i];
            if (p->ref.in[i] && !p->ref.rows[i])
                memcpy((double *)to->ref.in[i] + (size_t)b * w, p->ref.in[i] + row * w, w * sizeof(double));
        }
        ((int32_t *)to->run.tokens)[b] = p->run.tokens[row];
        ((int32_t *)to->run.targets)[b] = p->run.targets[row];
    }
}

/* Each sequence is read alone up to its place; then some take a step together. */
static void check_step(const pha__problem *p, const pha__kernel *kernel, const float *whole, int B)
{
    size_t W = (size_t)p->ref.out_width, n = (size_t)p->ref.B * (size_t)p->ref.T * W;
    char **state = pha__state_open(p);
    pha__problem part;
    double size = 0; /* one number may be small by chance */
    for (size_t k = 0; k < n; k++) size += (double)whole[k] * whole[k] / (double)n;
    size = sqrt(size);
    for (int b = 0; b < B; b++) {
        if (position_of(b) == 0) continue;
        pha__problem_slice(&part, p, b, 1, 0, position_of(b));
        free(forward(&part, kernel, p, state + b));
        pha__problem_close(&part);
    }
    bool fast = pha__gap % 8 == 0; /* of a card, whose sessions have kernels of their own */
    one_token(&part, p, B);
    float *out = forward(&part, kernel, p, state);
    for (int b = 0; b < B; b++) {
        const float *want = whole + ((size_t)b * (size_t)p->ref.T + (size_t)position_of(b)) * W;
        bool same = (fast ? pha__close_rows : pha__same_rows)(p, out + (size_t)b * W, want, (int64_t)W, size);
        pha__check(same, "session %d, at token %d, has other bits among %d", b, position_of(b), B);
    }
    free(out);
    pha__problem_close(&part);
    pha__state_close(p, state);
}

static void check_sessions(const pha__problem *of, const pha__kernel *kernel)
{
    pha__problem p;
    pha__op_case c;
    resize(&p, &c, of, MANY, TOKENS);
    float *whole = forward(&p, kernel, NULL, NULL);
    for (int i = 0; i < N_SIZE; i += stride()) check_step(&p, kernel, whole, sizes[i]);
    free(whole);
    pha__problem_close(&p);
}

void pha__check_rows(const pha__problem *p, const pha__kernel *kernel)
{
    pha__now("rows");
    check_sequences(p, kernel, 1);
    if (!p->test->op->state && !p->test->op->windows) {
        check_tokens(p, kernel);
        return;
    }
    check_sequences(p, kernel, 5);
    if (p->test->op->state) check_sessions(p, kernel);
}

/* ---- cuts in time ---- */

/* Runs the pieces of a cut one after the other with state and puts their outputs together. */
static float *in_pieces(const pha__problem *p, const pha__kernel *kernel, const int *pieces)
{
    int B = p->ref.B, T = p->ref.T, W = p->ref.out_width;
    float *out = malloc((size_t)B * (size_t)T * (size_t)W * sizeof *out);
    char **state = pha__state_open(p);
    for (int done = 0, k = 0; done < T; done += pieces[k++]) {
        pha__problem piece;
        pha__problem_slice(&piece, p, 0, B, done, pieces[k]);
        float *x = forward(&piece, kernel, p, state);
        for (int b = 0; b < B; b++)
            memcpy(out + ((size_t)b * T + done) * W, x + (size_t)b * pieces[k] * W, (size_t)pieces[k] * W * sizeof *x);
        free(x);
        pha__problem_close(&piece);
    }
    pha__state_close(p, state);
    return out;
}

/* A piece of `first` tokens (0: none), then pieces of `size`; size 0: of random sizes. */
static void cut(int *pieces, int T, int first, int size, pha__random *r)
{
    for (int done = 0, k = 0; done < T; done += pieces[k++]) {
        pieces[k] = k == 0 && first ? first : size ? size : 1 + pha__random_below(r, 1 + T / 3);
        if (pieces[k] > T - done) pieces[k] = T - done;
    }
}

static void check_cut(const pha__problem *p, const pha__kernel *kernel, const float *whole, const int *pieces)
{
    float *x = in_pieces(p, kernel, pieces);
    int64_t n = (int64_t)p->ref.B * p->ref.T * p->ref.out_width, k = 0;
    while (k < n && !memcmp(x + k, whole + k, sizeof *x)) k++;
    pha__check(pha__same_rows(p, x, whole, n, 0),
               "cut into %d, %d and so on: row %lld of %d x %d is the first with other bits", pieces[0], pieces[1],
               (long long)(k / p->ref.out_width), p->ref.B, p->ref.T);
    free(x);
}

void pha__check_cuts(const pha__problem *of, const pha__kernel *kernel)
{
    pha__problem undropped = *of, *p = &undropped; /* masks are a matter of the place among the rows of a run */
    undropped.run.dropout = false;
    enum { ALL = 1 << 20, LONG = 150, END = -4 }; /* the end of a long text is enough for pieces of few tokens */
    static const int how[][2] = {{0, 1}, {0, 2}, {0, 7}, {END, 1}, {2 * END, 2}, {0, 16}, {0, 17}, {0, 64}, {0, 100},
                                 {0, 256}, {1, ALL}, {16, ALL}, {17, ALL}, {63, ALL}, {64, ALL}, {300, ALL}, {3, 64},
                                 {0, 0}, {0, 0}};
    int T = p->ref.T;
    pha__now("cuts in time");
    float *whole = forward(p, kernel, NULL, NULL);
    int *pieces = calloc((size_t)T + 1, sizeof *pieces);
    pha__random r = 99;
    cut(pieces, T, 0, T, &r); /* with a state, but whole */
    check_cut(p, kernel, whole, pieces);
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        int first = how[i][0] < 0 ? T + how[i][0] : how[i][0], size = how[i][1];
        if (first < 0 || first >= T || (first == 0 && (size >= T || (T > LONG && size && size < 16)))) continue;
        cut(pieces, T, first, size, &r);
        check_cut(p, kernel, whole, pieces);
    }
    free(pieces);
    free(whole);
}
