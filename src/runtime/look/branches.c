/* branches.c -- what the branches of a trained model are worth to it (Table 9 has their weights alone): their share in
 * the norm of what a layer adds, and the perplexity without them. A branch is switched off by zeros in the place of its
 * gain, so the weights of the others stay as they are. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/print.h"
#include "nn/shown.h"
#include "ops/mix/mix.h"
#include "runtime/infer/eval.h"
#include "runtime/look/subject.h"

typedef struct branch {
    char name[40];
    int layer, param;               /* param: of its gain */
    double weight, scaled, share;   /* of the layer's: w, w rms(gain), of the norm on the text */
    double ppl;                     /* without it */
} branch;

typedef struct study {
    pha__eval_subject s;
    pha__eval_run run;
    branch *branches;
    int n, n_layers;
    float *zeros;
    double ppl;                     /* of the whole */
    uint64_t tokens;                /* scored */
    double without[PHA__MIX_MAX];   /* without the k-th branch of layer 0, and those of its name in all layers */
} study;

/* ---- finding ---------------------------------------------------------------------------------------------- */

static int param_of(const pha__program *names, const pha__node *gain)
{
    for (int i = 0; i < names->n_params; i++)
        if (names->params[i] == gain) return i;
    return -1;
}

/* "layer3.attn_norm" is the gain of "attn". */
static void name_of(branch *b, const char *path)
{
    const char *dot = strrchr(path, '.');
    pha__print(b->name, sizeof b->name, "%s", dot ? dot + 1 : path);
    char *end = strstr(b->name, "_norm");
    if (end) *end = 0;
}

static pha_status add_branches(study *st, const pha__node *mix, const char *folder)
{
    const pha__program *names = st->s.weights.store->names;
    int n = ((const pha__mix_attr *)mix->attr)->n;
    for (int k = 0; k < n; k++) {
        const pha__node *gain = mix->in[PHA__MIX_GAIN + k];
        int param = gain ? param_of(names, gain) : -1;
        if (param < 0)
            FAIL(BAD_INPUT, "%s: has no gain for each branch (branch_gain), so none can be switched off", folder);
        branch *b = &st->branches[st->n++];
        *b = (branch){.layer = st->n_layers, .param = param};
        name_of(b, gain->path);
    }
    st->n_layers++;
    return PHA_OK;
}

static bool is_mix(const pha__node *n)
{
    return n->op == &pha__op_mix && ((const pha__mix_attr *)n->attr)->n > 1;
}

static pha_status find(study *st, const char *folder)
{
    const pha__program *names = st->s.weights.store->names;
    int mixes = 0, width = 1;
    for (int i = 0; i < names->n_nodes; i++) mixes += is_mix(names->nodes[i]);
    if (!mixes) FAIL(BAD_INPUT, "%s: mixes no branches; arch pha does", folder);
    st->branches = pha__alloc_zero((size_t)mixes * PHA__MIX_MAX, sizeof *st->branches);
    if (!st->branches) return PHA_NO_MEMORY;
    for (int i = 0; i < names->n_nodes; i++)
        if (is_mix(names->nodes[i])) TRY(add_branches(st, names->nodes[i], folder));
    for (int i = 0; i < st->n; i++) {
        int32_t w = names->params[st->branches[i].param]->width;
        width = w > width ? w : width;
    }
    st->zeros = pha__alloc_zero((size_t)width, sizeof *st->zeros);
    return st->zeros ? PHA_OK : PHA_NO_MEMORY;
}

/* ---- what the layers show ----------------------------------------------------------------------------------- */

static void keep_number(study *st, const pha__watching *w, int i, double x)
{
    for (int k = 0; k < st->n; k++) {
        branch *b = &st->branches[k];
        if (b->layer != w->layer || strcmp(b->name, w->labels[i])) continue;
        if (w->row == &pha__shown[PHA__SHOW_MIX]) b->weight = x;
        if (w->row == &pha__shown[PHA__SHOW_MIX_SCALED]) b->scaled = x;
        if (w->row == &pha__shown[PHA__SHOW_MIX_SHARE]) b->share = x;
    }
}

static pha_status read_watches(study *st, pha__exec *exec, const pha__program *p)
{
    for (int i = 0; i < p->n_watches; i++) {
        const pha__watching *w = &p->watches[i];
        double x[PHA__MIX_MAX];
        bool ours = w->row == &pha__shown[PHA__SHOW_MIX] || w->row == &pha__shown[PHA__SHOW_MIX_SCALED] ||
                    w->row == &pha__shown[PHA__SHOW_MIX_SHARE];
        if (!ours || w->n > PHA__MIX_MAX) continue;
        TRY(pha__watch_read(w, exec, st->s.model->store, p->options.T, x));
        for (int k = 0; k < w->n; k++) keep_number(st, w, k, x[k]);
    }
    return PHA_OK;
}

/* On the first window of the split. */
static pha_status look(study *st)
{
    const pha__weights *w = &st->s.weights;
    uint64_t most = pha__tokens_count(st->s.tokens);
    int32_t T = (uint64_t)st->run.context < most ? st->run.context : (int32_t)most;
    pha__program_options options = {.B = 1, .T = T, .keep_watched = true};
    pha__program *p;
    pha__exec *exec = NULL;
    int32_t *ids = pha__alloc((size_t)T, sizeof *ids);
    pha_status status = ids ? pha__record(&p, &w->config, &options, PHA__HEAD_NONE) : PHA_NO_MEMORY;
    if (status) return pha__free(ids), status;
    status = pha__exec_open(&exec, p, w->store, w->device);
    if (!status) status = pha__tokens_read(st->s.tokens, 0, (size_t)T, ids);
    if (!status) status = pha__exec_run(exec, 1, T, &(pha__run){.tokens = ids}, NULL, false);
    if (!status) status = read_watches(st, exec, p);
    pha__exec_close(exec);
    pha__program_close(p);
    pha__free(ids);
    return status;
}

/* ---- switching off ------------------------------------------------------------------------------------------ */

static pha_status score(study *st, double *ppl)
{
    pha_eval_result r;
    TRY(pha__eval_core(&st->s.weights, st->s.tokens, NULL, &st->run, &r));
    *ppl = r.token_ppl, st->tokens = r.tokens;
    return PHA_OK;
}

/* Without the branches that are marked. */
static pha_status score_without(study *st, const bool *off, double *ppl)
{
    pha__store *store = st->s.weights.store;
    pha__place was[PHA__MAX_LAYER * PHA__MIX_MAX];
    pha__role role[PHA__MAX_LAYER * PHA__MIX_MAX];
    pha_status status = PHA_OK;
    int done = 0;
    for (; done < st->n && !status; done++) {
        int i = st->branches[done].param;
        role[done] = pha__store_at(store, PHA__WORKING, i).data ? PHA__WORKING : PHA__WEIGHT;
        was[done] = pha__store_at(store, role[done], i);
        if (off[done]) status = pha__store_set(store, role[done], i, st->zeros, PHA__F32);
    }
    if (!status) status = score(st, ppl);
    for (int k = 0; k < done; k++) store->place[role[k]][st->branches[k].param] = was[k];
    return status;
}

static pha_status score_all(study *st)
{
    bool off[PHA__MAX_LAYER * PHA__MIX_MAX] = {false};
    TRY(score(st, &st->ppl));
    for (int i = 0; i < st->n; i++) {
        off[i] = true;
        TRY(score_without(st, off, &st->branches[i].ppl));
        off[i] = false;
    }
    for (int k = 0; k < st->n && st->branches[k].layer == 0; k++) {
        for (int i = 0; i < st->n; i++) off[i] = !strcmp(st->branches[i].name, st->branches[k].name);
        TRY(score_without(st, off, &st->without[k]));
    }
    return PHA_OK;
}

/* ---- telling ------------------------------------------------------------------------------------------------ */

static void tell_text(pha__str *out, const study *st, const char *split)
{
    pha__str_printf(out, "split %s, %s tokens scored in windows of %d; token perplexity of the whole model: %.4f\n\n",
                    split, pha__digits(st->tokens).text, st->run.context, st->ppl);
    pha__str_printf(out, "%-5s %-10s %8s %8s %8s | %14s %9s\n", "layer", "branch", "weight", "scaled", "of norm",
                    "ppl without", "change");
    for (int i = 0; i < st->n; i++) {
        const branch *b = &st->branches[i];
        pha__str_printf(out, "%-5d %-10s %7.1f%% %7.1f%% %7.1f%% | %14.4f %+8.2f%%\n", b->layer, b->name,
                        100 * b->weight, 100 * b->scaled, 100 * b->share, b->ppl, 100 * (b->ppl / st->ppl - 1));
    }
    for (int k = 0; k < st->n && st->branches[k].layer == 0; k++)
        pha__str_printf(out, "%-5s %-10s %8s %8s %8s | %14.4f %+8.2f%%\n", "all", st->branches[k].name, "", "", "",
                        st->without[k], 100 * (st->without[k] / st->ppl - 1));
}

static json_t *to_json(const study *st, const char *split)
{
    json_t *j = pha__json_object(), *list = pha__json_list(), *all = pha__json_object();
    for (int i = 0; i < st->n; i++) {
        const branch *b = &st->branches[i];
        json_t *one = pha__json_object();
        pha__json_set(&one, "layer", pha__json_number(b->layer));
        pha__json_set(&one, "branch", pha__json_text(b->name));
        pha__json_set(&one, "weight", pha__json_decimal(b->weight));
        pha__json_set(&one, "weight_scaled", pha__json_decimal(b->scaled));
        pha__json_set(&one, "share_of_norm", pha__json_decimal(b->share));
        pha__json_set(&one, "token_ppl_without", pha__json_decimal(b->ppl));
        pha__json_add(&list, one);
    }
    for (int k = 0; k < st->n && st->branches[k].layer == 0; k++)
        pha__json_set(&all, st->branches[k].name, pha__json_decimal(st->without[k]));
    pha__json_set(&j, "split", pha__json_text(split));
    pha__json_set(&j, "window", pha__json_number(st->run.context));
    pha__json_set(&j, "tokens", pha__json_number((int64_t)st->tokens));
    pha__json_set(&j, "token_ppl", pha__json_decimal(st->ppl));
    pha__json_set(&j, "branches", list);
    pha__json_set(&j, "token_ppl_without_in_all_layers", all);
    return j;
}

static pha_status tell(char **text, const study *st, const char *split, bool json)
{
    pha__str out = {0};
    pha_status status = PHA_OK;
    if (json) status = pha__add_json(&out, to_json(st, split));
    else tell_text(&out, st, split);
    if (!status && out.failed) status = pha__fail(PHA_NO_MEMORY, "no memory for a table");
    if (status) pha__str_free(&out);
    else *text = out.data;
    return status;
}

pha_status pha_eval_branches(const pha_eval_options *o, bool json, char **text)
{
    NEED(text, "a place for its text");
    *text = NULL;
    NEED(o, "options");
    study *st = pha__alloc_zero(1, sizeof *st);
    if (!st) return PHA_NO_MEMORY;
    st->run = (pha__eval_run){.context = o->context ? o->context : 1024, .batch = o->batch, .mode = o->mode,
                              .stride = o->stride, .max_tokens = o->max_tokens, .progress = o->progress,
                              .user = o->user};
    pha_status status = pha__eval_open(&st->s, o);
    if (!status) status = find(st, o->model);
    if (!status) status = look(st);
    if (!status) status = score_all(st);
    if (!status) status = tell(text, st, o->split ? o->split : "valid", json);
    pha__eval_close(&st->s);
    pha__free(st->branches);
    pha__free(st->zeros);
    pha__free(st);
    return status;
}
