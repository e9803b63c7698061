/* tasks.c -- the list of the tasks, opening one, and what several of them draw */
#include "runtime/lab/tasks.h"

#include <string.h>

#include "base/mem.h"
#include "base/print.h"
#include "base/str.h"

const pha__lab_row *const pha__lab_rows[] = {&pha__lab_mqar,    &pha__lab_induction, &pha__lab_copy,
                                             &pha__lab_selective, &pha__lab_passkey, &pha__lab_needle,
                                             &pha__lab_tracking, NULL};

enum { MOST_LENGTH = 1 << 20, MOST_VOCAB = 1 << 24 };

pha_status pha__lab_find(const pha__lab_row **out, const char *name)
{
    char all[160] = "";
    const char *near = NULL;
    int least = 4; /* at most three letters away */
    for (int i = 0; pha__lab_rows[i]; i++) {
        const char *known = pha__lab_rows[i]->name;
        int distance = strlen(name) < 40 ? pha__edit_distance(known, name) : 99;
        if (!distance) return *out = pha__lab_rows[i], PHA_OK;
        if (distance < least) least = distance, near = known;
        pha__print(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? ", " : "", known);
    }
    if (near) FAIL(USAGE, "there is no task '%.60s'; did you mean %s?", name, near);
    FAIL(USAGE, "there is no task '%.60s'; there are %s", name, all);
}

pha_status pha__lab_check(const pha__lab_row *row, pha__lab_sizes *s)
{
    if (!s->T) s->T = row->T;
    if (!s->V) s->V = row->V;
    if (!s->n) s->n = row->n;
    if (!s->chains) s->chains = 1;
    if (s->T < 1 || s->T > MOST_LENGTH)
        FAIL(USAGE, "%s: a length of %d tokens is out of range (1 to %d)", row->name, s->T, MOST_LENGTH);
    if (s->V < 2 || s->V > MOST_VOCAB)
        FAIL(USAGE, "%s: a vocabulary of %d tokens is out of range (2 to %d)", row->name, s->V, MOST_VOCAB);
    if (s->n < 1 || s->n > s->T)
        FAIL(USAGE, "%s: %d %s are out of range (1 to %d, the length)", row->name, s->n, row->things, s->T);
    if (s->chains < 1 || s->chains > s->T || (s->chains > 1 && !row->has_chains))
        FAIL(USAGE, "%s: %d chains are out of range (1%s)", row->name, s->chains,
             row->has_chains ? " to the length" : ", for it has none");
    if (s->depth != PHA__LAB_ANY_DEPTH && !row->has_depth)
        FAIL(USAGE, "%s: has no depth; passkey and needle do", row->name);
    if (s->depth < PHA__LAB_ANY_DEPTH || s->depth > 100)
        FAIL(USAGE, "%s: a depth of %d is out of range (0 to 100 percent)", row->name, s->depth);
    return row->check(s);
}

/* ---- opening --------------------------------------------------------------------------------------------- */

static pha_status take_memory(pha__lab_task *t)
{
    size_t T = (size_t)t->s.T, most = t->s.T > t->s.V ? T : (size_t)t->s.V;
    int32_t **scratch[] = {&t->undo, &t->a, &t->b, &t->c};
    if (!(t->pool = pha__alloc(most, sizeof *t->pool))) return PHA_NO_MEMORY;
    for (size_t i = 0; i < most; i++) t->pool[i] = (int32_t)i;
    for (int i = 0; i < 4; i++)
        if (!(*scratch[i] = pha__alloc(T + 1, sizeof **scratch[i]))) return PHA_NO_MEMORY;
    t->rates = pha__alloc_zero(T, sizeof *t->rates);
    t->times = pha__alloc_zero(T, sizeof *t->times);
    return t->rates && t->times ? PHA_OK : PHA_NO_MEMORY;
}

pha_status pha__lab_open(pha__lab_task *t, const pha__lab_row *row, const pha__lab_sizes *sizes, uint64_t seed)
{
    *t = (pha__lab_task){.row = row, .s = *sizes, .seed = seed};
    TRY(pha__lab_check(row, &t->s));
    pha_status status = take_memory(t);
    if (status) return pha__lab_close(t), status;
    for (int32_t i = 0; i < PHA__LAB_WORDS && i < pha__lab_words(&t->s); i++) t->word[i] = pha__lab_word(t, i);
    return PHA_OK;
}

void pha__lab_close(pha__lab_task *t)
{
    pha__free(t->pool);
    pha__free(t->undo);
    pha__free(t->a);
    pha__free(t->b);
    pha__free(t->c);
    pha__free(t->rates);
    pha__free(t->times);
    *t = (pha__lab_task){0};
}

static uint32_t kind_of(const pha__lab_row *row)
{
    uint32_t kind = 0;
    while (pha__lab_rows[kind] != row) kind++;
    return kind;
}

void pha__lab_make(pha__lab_task *t, bool test, uint64_t index, int32_t *inputs, int32_t *targets)
{
    pha__draws_begin(&t->draws, t->seed, kind_of(t->row), test, index);
    memset(inputs, 0, (size_t)t->s.T * sizeof *inputs);
    for (int32_t i = 0; i < t->s.T; i++) targets[i] = -1;
    t->row->make(t, inputs, targets);
}

/* ---- what several of them draw --------------------------------------------------------------------------- */

/* The first k steps of a shuffle of 0, 1, ..., taken back afterwards. */
void pha__lab_distinct(pha__lab_task *t, int32_t low, int32_t count, int32_t k, int32_t *out)
{
    int32_t *pool = t->pool;
    for (int32_t i = 0; i < k; i++) {
        int32_t other = t->undo[i] = i + pha__draw_below(&t->draws, count - i), kept = pool[i];
        pool[i] = pool[other], pool[other] = kept;
        out[i] = low + pool[i];
    }
    for (int32_t i = k; i-- > 0;) {
        int32_t other = t->undo[i], kept = pool[i];
        pool[i] = pool[other], pool[other] = kept;
    }
}

void pha__lab_places(pha__lab_task *t, int32_t count, int32_t k, int32_t *out)
{
    int32_t found = 0;
    for (int32_t place = 0; found < k; place++)
        if (pha__draw_below(&t->draws, count - place) < k - found) out[found++] = place;
}

int32_t pha__lab_words(const pha__lab_sizes *s) { return s->V - (s->avoid >= 0 && s->avoid < s->V); }

int32_t pha__lab_word(const pha__lab_task *t, int32_t number)
{
    static const uint32_t epoch = UINT32_MAX; /* no order of data has it (io/loader.h) */
    int32_t id = (int32_t)pha__permute((uint64_t)number, (uint64_t)pha__lab_words(&t->s), t->seed, epoch);
    return id + (t->s.avoid >= 0 && id >= t->s.avoid);
}

int32_t pha__lab_depth(pha__lab_task *t, int32_t count)
{
    if (t->s.depth == PHA__LAB_ANY_DEPTH) return pha__draw_below(&t->draws, count);
    return (int32_t)(((int64_t)(count - 1) * t->s.depth + 50) / 100);
}
