/* snapshots.c -- validation in a training run, the best models so far, and the model at the end */
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/print.h"
#include "base/str.h"
#include "runtime/infer/eval.h"
#include "runtime/train/train.h"

/* By all ranks together. */
static pha_status evaluate(const pha_trainer *t, const pha__weights *w, int64_t max_tokens, pha_eval_result *out)
{
    pha__eval_run run = {.context = t->o.context, .batch = t->o.micro_batch, .max_tokens = max_tokens,
                         .comm = t->comm};
    return pha__eval_core(w, t->valid, NULL, &run, out);
}

static pha_status snapshot_path(const pha_trainer *t, int64_t step, pha__str *out)
{
    pha__str_printf(out, "%s/best/step-%lld", t->o.out, (long long)step);
    return out->failed ? PHA_NO_MEMORY : PHA_OK;
}

/* Keeps `best` sorted by loss, and the new model on disk if it is among them. */
static pha_status keep(pha_trainer *t, double loss)
{
    int limit = t->o.keep_best, at = t->n_best;
    if (!isfinite(loss)) return PHA_OK;
    while (at > 0 && t->best[at - 1].loss > loss) at--;
    if (at >= limit) return PHA_OK;
    char card[96];
    pha__str path = {0};
    pha__print(card, sizeof card, "Snapshot at step %lld, validation loss %.8g.\n", (long long)t->step, loss);
    pha_status status = pha__comm_agree(t->comm, snapshot_path(t, t->step, &path));
    if (!status) status = pha__trainer_write_model(t, path.data, card);
    pha__str_free(&path);
    TRY(status);
    if (t->n_best == limit) t->n_best--;
    memmove(t->best + at + 1, t->best + at, (size_t)(t->n_best - at) * sizeof *t->best);
    t->best[at] = (pha__best){t->step, loss};
    t->n_best++;
    return PHA_OK;
}

static pha_status log_eval(pha__training *r, const pha_eval_result *e, const char *event)
{
    json_t *line = pha__json_object();
    double loss = e->nll / (double)e->tokens;
    pha__json_set(&line, "event", pha__json_text(event));
    pha__json_set(&line, "step", pha__json_number(r->t->step));
    pha__json_set(&line, "valid_loss", pha__json_decimal(loss));
    pha__json_set(&line, "valid_ppl", pha__json_decimal(e->token_ppl));
    pha__json_set(&line, "accuracy", pha__json_decimal(e->accuracy));
    pha__json_set(&line, "tokens_scored", pha__json_number((int64_t)e->tokens));
    pha__json_set(&line, "time", pha__json_number((int64_t)time(NULL)));
    TRY(pha__runlog_add(r->log, line));
    if (strcmp(event, "eval") != 0) return PHA_OK; /* a curve has points of one kind */
    double now = (double)time(NULL);
    TRY(pha__events_scalar(r->events, "valid/loss", r->t->step, now, loss));
    TRY(pha__events_scalar(r->events, "valid/perplexity", r->t->step, now, e->token_ppl));
    TRY(pha__events_scalar(r->events, "valid/accuracy", r->t->step, now, e->accuracy));
    return pha__events_flush(r->events);
}

pha_status pha__evaluate_now(pha__training *r, int64_t max_tokens, bool early)
{
    pha_trainer *t = r->t;
    if (!t->valid) return PHA_OK;
    pha_eval_result e;
    TRY(evaluate(t, &t->weights, max_tokens, &e));
    double loss = e.nll / (double)e.tokens;
    TRY(pha__comm_agree(t->comm, pha__leads(t) ? log_eval(r, &e, early ? "early_eval" : "eval") : PHA_OK));
    if (early) return PHA_OK;
    t->last_valid = loss;
    if (pha__at_epoch_end(t) || !pha__many_epochs(t)) pha__schedule_observe(&t->schedule, loss);
    r->result->valid_loss = loss, r->result->valid_ppl = e.token_ppl;
    return t->o.keep_best > 0 ? keep(t, loss) : PHA_OK;
}

/* Somebody removed it, or a part of it. */
static pha_status check_there(const char *snapshot)
{
    static const char *const parts[] = {"config.json", "model.safetensors"};
    for (int i = 0; i < 2; i++) {
        char *path = pha__path_join(snapshot, parts[i]);
        if (!path) return PHA_NO_MEMORY;
        bool there = pha__exists(path);
        pha__free(path);
        if (!there) FAIL(BAD_INPUT, "%s: this snapshot is not whole: it has no %s", snapshot, parts[i]);
    }
    return PHA_OK;
}

/* Mean of the best snapshots as a model folder. */
static pha_status write_average(const pha_trainer *t, int n, const char *folder)
{
    pha__str paths[PHA__MAX_BEST] = {{0}};
    const char *names[PHA__MAX_BEST] = {0};
    pha_status status = PHA_OK;
    for (int i = 0; i < n && !status; i++) {
        status = snapshot_path(t, t->best[i].step, &paths[i]);
        names[i] = paths[i].data;
        if (!status) status = check_there(names[i]);
    }
    if (!status) status = pha_model_average(names, (size_t)n, folder);
    for (int i = 0; i < n; i++) pha__str_free(&paths[i]);
    return status;
}

/* The averaged model in memory. The leading rank has its folder, the others get its numbers. */
typedef struct average {
    pha_model *model;
    pha__config config;
    pha__device *host; /* of the others, as what follows */
    pha__program *names;
    pha__store *store;
    pha__weights weights; /* of all */
} average;

static void close_average(average *a)
{
    pha__weights_close(&a->weights);
    pha__store_close(a->store);
    pha__program_close(a->names);
    pha__device_close(a->host);
    pha_model_close(a->model);
}

static pha_status open_folder(average *a, const char *folder)
{
    TRY(pha_model_open(&a->model, folder));
    a->config = a->model->config;
    return PHA_OK;
}

static pha_status open_room(average *a)
{
    TRY(pha__device_open(&a->host, "cpu", 1));
    TRY(pha__record(&a->names, &a->config, &(pha__program_options){.B = 1, .T = 1}, PHA__HEAD_NONE));
    TRY(pha__store_open(&a->store, a->names, a->host));
    return pha__store_add(a->store, PHA__WEIGHT, PHA__ALL_PARAMS, PHA__F32);
}

/* All numbers of a store of the leading rank (fp32, on the host), in one of the others. */
static pha_status share_numbers(const pha_trainer *t, const pha__store *s)
{
    for (int i = 0; i < s->names->n_params && t->comm->size > 1; i++)
        TRY(pha__comm_broadcast(t->comm, 0, NULL, pha__store_at(s, PHA__WEIGHT, i).data,
                                (size_t)pha__param_size(s->names, i) * sizeof(float)));
    return PHA_OK;
}

static pha_status open_average(average *a, const pha_trainer *t, const char *folder)
{
    bool leads = pha__leads(t);
    TRY(pha__from_leader(t, leads ? open_folder(a, folder) : PHA_OK, &a->config, sizeof a->config));
    TRY(pha__comm_agree(t->comm, leads ? PHA_OK : open_room(a)));
    const pha__store *from = leads ? a->model->store : a->store;
    TRY(share_numbers(t, from));
    return pha__comm_agree(t->comm, pha__weights_place(&a->weights, &a->config, from, t->device, PHA__F32,
                                                       PHA_WEIGHTS_DEFAULT));
}

static pha_status average_loss(pha__training *r, const char *folder, double *loss)
{
    pha_eval_result e;
    average a = {0};
    pha_status status = open_average(&a, r->t, folder);
    if (!status) status = evaluate(r->t, &a.weights, r->t->o.eval_tokens, &e);
    close_average(&a);
    TRY(status);
    *loss = e.nll / (double)e.tokens;
    r->result->averaged_valid_ppl = e.token_ppl;
    return pha__comm_agree(r->t->comm, pha__leads(r->t) ? log_eval(r, &e, "averaged_eval") : PHA_OK);
}

static pha_status write_last(const pha_trainer *t, const char *folder)
{
    char card[128];
    int n = pha__print(card, sizeof card, "The weights after step %lld", (long long)t->step);
    if (isfinite(t->last_valid)) pha__print(card + n, sizeof card - (size_t)n, ", validation loss %.8g", t->last_valid);
    return pha__model_write(folder, &t->weights.config, t->store, t->tokenizer, strcat(card, ".\n"));
}

static pha_status take_place(const char *beside, const char *model)
{
    pha__claim claim;
    TRY(pha__model_claim(&claim, model));
    pha_status status = pha__replace_dir(beside, claim.to);
    pha__claim_close(&claim);
    return status;
}

static pha_status make_average(const pha_trainer *t, int n, const char *folder)
{
    TRY(pha__remove_tree(folder));
    return write_average(t, n, folder);
}

/* model/ gets the last weights, whatever the mean has left. */
static pha_status take_last(const pha_trainer *t, const char *model, const char *beside)
{
    TRY(write_last(t, model));
    return pha__remove_tree(beside);
}

/* The mean is written beside model/ and takes its place only if it is better, so model/ is never the worse one. Folders
 * are the leading rank's, what is decided is all ranks'. */
static pha_status choose(pha__training *r, const char *model, const char *beside)
{
    pha_trainer *t = r->t;
    bool leads = pha__leads(t);
    int n = t->n_best < t->o.average_best ? t->n_best : t->o.average_best;
    double averaged = INFINITY;
    if (n < 2) return pha__comm_agree(t->comm, leads ? write_last(t, model) : PHA_OK);
    pha_status status = pha__comm_agree(t->comm, leads ? make_average(t, n, beside) : PHA_OK);
    if (!status) status = average_loss(r, beside, &averaged);
    if (!status && averaged < t->last_valid)
        return pha__comm_agree(t->comm, leads ? take_place(beside, model) : PHA_OK);
    if (status && status != PHA_BAD_INPUT) return status; /* the model stays as it was, and --resume tries again */
    if (status && leads) pha__log(PHA__LOG_WARN, "%s; model/ gets the last weights", pha_errmsg());
    return pha__comm_agree(t->comm, leads ? take_last(t, model, beside) : PHA_OK);
}

/* The mean lies as .model.average where the model goes, which may be behind a link. */
static pha_status open_names(const pha_trainer *t, char **model, char **beside)
{
    char *inside = pha__path_join(t->o.out, "model");
    pha_status status = inside ? pha__resolve(model, inside) : PHA_NO_MEMORY;
    pha__free(inside);
    return status ? status : pha__beside(beside, *model, "average");
}

pha_status pha__finish_model(pha__training *r)
{
    pha_trainer *t = r->t;
    pha__role whole;
    char *model = NULL, *beside = NULL;
    TRY(pha__optimizer_collect(&t->optimizer, PHA__WEIGHT, &whole));
    pha_status status = pha__comm_agree(t->comm, pha__leads(t) ? open_names(t, &model, &beside) : PHA_OK);
    if (!status) status = choose(r, model, beside);
    pha__free(model);
    pha__free(beside);
    return status;
}
