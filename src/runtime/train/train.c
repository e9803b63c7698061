/* train.c -- pha_train: steps, a log line per step, evaluations, checkpoints, and a clean end
 *
 *   run.json log.jsonl events.out.tfevents.* config.json   what was asked for and what happened
 *   checkpoint/ checkpoint.previous/                        resuming is bit-identical (generations.c)
 *   best/step-N/                                            models with the lowest validation loss
 *   model/                                                  the result
 */
#include "runtime/train/train.h"

#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/print.h"
#include "runtime/stop.h"
#include "runtime/train/run_folder.h"

/* ---- the folder ------------------------------------------------------------------------------------------ */

static pha_status write_config(const pha_trainer *t)
{
    char *path = pha__path_join(t->o.out, "config.json");
    if (!path) return PHA_NO_MEMORY;
    pha__config_rules rules = pha__rules();
    pha_status status = pha__config_save(&t->config, path, &rules);
    pha__free(path);
    return status;
}

/* ---- what is said on the way ----------------------------------------------------------------------------- */

/* Numbers of nested objects as TensorBoard scalars "layers/3/mix/gss". */
static pha_status events_of(pha__training *r, const char *tag, const json_t *value)
{
    if (json_is_number(value))
        return pha__events_scalar(r->events, tag, r->t->step, (double)time(NULL), json_number_value(value));
    char child[160];
    const char *key;
    json_t *item;
    size_t i;
    json_object_foreach((json_t *)value, key, item)
    {
        pha__print(child, sizeof child, "%s/%s", tag, key);
        TRY(events_of(r, child, item));
    }
    json_array_foreach(value, i, item)
    {
        pha__print(child, sizeof child, "%s/%zu", tag, i);
        TRY(events_of(r, child, item));
    }
    return PHA_OK;
}

/* Where several make up the loss: each by name. */
static json_t *losses_json(const pha_trainer *t)
{
    json_t *o = pha__json_object();
    for (int i = 0; i < t->program->n_outputs; i++)
        if (t->program->outputs[i].loss)
            pha__json_set(&o, t->program->outputs[i].name, pha__json_decimal(t->parts[i]));
    return o;
}

static pha_status log_step(pha__training *r, const pha_step *s)
{
    double rate = s->seconds > 0 ? (double)s->tokens / s->seconds : 0, now = (double)time(NULL);
    json_t *line = pha__json_object();
    pha__json_set(&line, "event", pha__json_text(s->skipped ? "skip" : "step"));
    pha__json_set(&line, "step", pha__json_number(s->step));
    pha__json_set(&line, "tokens", pha__json_number(s->step * s->tokens));
    pha__json_set(&line, "loss", pha__json_decimal(s->loss));
    if (r->t->program->n_outputs > 1) pha__json_set(&line, "losses", losses_json(r->t));
    pha_status status = events_of(r, "train/losses", json_object_get(line, "losses"));
    pha__json_set(&line, "lr", pha__json_decimal(s->lr));
    pha__json_set(&line, "gradient_norm", pha__json_decimal(s->gradient_norm));
    pha__json_set(&line, "tokens_per_second", pha__json_decimal(rate));
    pha__json_set(&line, "time", pha__json_number((int64_t)now));
    if (status) json_decref(line);
    TRY(status);
    TRY(pha__runlog_add(r->log, line));
    TRY(pha__events_scalar(r->events, "train/loss", s->step, now, s->loss));
    TRY(pha__events_scalar(r->events, "train/learning_rate", s->step, now, s->lr));
    TRY(pha__events_scalar(r->events, "train/gradient_norm", s->step, now, s->gradient_norm));
    return pha__events_scalar(r->events, "train/tokens_per_second", s->step, now, rate);
}

static pha_status log_detail(pha__training *r)
{
    json_t *line;
    TRY(pha__probe(r->t, &line));
    pha_status status = events_of(r, "layers", json_object_get(line, "layers"));
    if (!status) status = events_of(r, "gradient_norm", json_object_get(line, "gradient_norms"));
    if (status)
        json_decref(line);
    else
        status = pha__runlog_add(r->log, line);
    return status ? status : pha__events_flush(r->events);
}

static void clock_text(double s, char *out, size_t size)
{
    int64_t t = (int64_t)(s + 0.5);
    if (t >= 3600)
        pha__print(out, size, "%lld:%02lld:%02lld", (long long)t / 3600, (long long)t / 60 % 60, (long long)t % 60);
    else
        pha__print(out, size, "%lld:%02lld", (long long)t / 60, (long long)t % 60);
}

static void say_progress(pha__training *r, const pha_step *s)
{
    const pha_train_options *o = &r->t->o;
    if (!o->progress) return;
    int64_t done = s->step - r->first_step;
    double elapsed = pha__seconds() - r->began, left = elapsed / (double)done * (double)(o->steps - s->step);
    double rate = (double)done * (double)s->tokens / elapsed;
    char line[200], valid[40] = "", time_left[24], number[24], norm[24];
    if (isfinite(r->t->last_valid)) {
        pha__print_number(number, sizeof number, exp(r->t->last_valid), 2);
        pha__print(valid, sizeof valid, "  valid ppl %s", number);
    }
    pha__print_number(number, sizeof number, s->loss, 4);
    pha__print_number(norm, sizeof norm, s->gradient_norm, 2);
    clock_text(left, time_left, sizeof time_left);
    pha__print(line, sizeof line, "step %lld/%lld  loss %s%s  lr %.2e  norm %s  %.0f tokens/s  %s left%s",
               (long long)s->step, (long long)o->steps, number, valid, s->lr, norm, rate, time_left,
               s->skipped ? "  (skipped)" : "");
    pha_progress p = {"train", "steps", line, (double)s->step, (double)o->steps, rate, left};
    o->progress(o->user, &p);
}

/* ---- the loop -------------------------------------------------------------------------------------------- */

static bool due(int64_t step, int64_t every) { return every > 0 && step % every == 0; }

static pha_status tell_step(pha__training *r, const pha_step *s)
{
    const pha_trainer *t = r->t;
    TRY(log_step(r, s));
    if (s->skipped)
        pha__log(PHA__LOG_WARN, "step %lld was refused: loss %g, gradient norm %g", (long long)s->step, s->loss,
                 s->gradient_norm);
    say_progress(r, s);
    return due(t->step, t->o.detail_every) || t->step == t->o.steps || t->step == 1 ? log_detail(r) : PHA_OK;
}

/* Everything that follows a step: log, probe, evaluation, checkpoint. */
static pha_status after_step(pha__training *r, const pha_step *s)
{
    pha_trainer *t = r->t;
    bool last = t->step == t->o.steps, epoch = pha__at_epoch_end(t);
    t->eval_due = due(t->step, t->o.eval_every) || last || epoch; /* also if what comes first fails */
    TRY(pha__comm_agree(t->comm, pha__leads(t) ? tell_step(r, s) : PHA_OK));
    if (t->step == 1) TRY(pha__evaluate_now(r, 16 * (int64_t)t->o.context, true)); /* its faults should show early */
    if (t->eval_due) TRY(pha__evaluate_now(r, t->o.eval_tokens, false));
    if (t->eval_due && t->valid && pha__leads(t)) say_progress(r, s); /* again: with what the evaluation found */
    t->eval_due = false;
    return due(t->step, t->o.checkpoint_every) || last || epoch ? pha__checkpoint_save(t) : PHA_OK;
}

/* A run that was stopped in an evaluation makes it before it goes on: the plateau and the snapshots depend on it. */
static pha_status evaluate_what_was_due(pha__training *r)
{
    if (!r->t->eval_due) return PHA_OK;
    TRY(pha__evaluate_now(r, r->t->o.eval_tokens, false));
    r->t->eval_due = false;
    return pha__checkpoint_save(r->t);
}

/* What was interrupted, a step or an evaluation, is in the message so far. */
static pha_status stop_here(pha_trainer *t)
{
    pha__log(PHA__LOG_NOTE, "%s; writing the checkpoint of step %lld", pha_errmsg(), (long long)t->step);
    TRY(pha__checkpoint_save(t));
    return pha__fail(PHA_STOPPED, "%s: stopped after step %lld of %lld; go on with --resume", t->o.out,
                     (long long)t->step, (long long)t->o.steps);
}

/* What failed was beside the training: a full disk under the log, say. The steps made so far are worth a checkpoint. */
static pha_status rescue(pha_trainer *t, pha_status status)
{
    pha__message first = pha__message_keep();
    if (!pha__checkpoint_save(t))
        pha__log(PHA__LOG_NOTE, "%s: step %lld is in the checkpoint; --resume goes on from there", t->o.out,
                 (long long)t->step);
    pha__message_restore(&first);
    return status;
}

static pha_status stop_between(const pha_trainer *t)
{
    if (!pha__stop_requested()) return PHA_OK;
    FAIL(STOPPED, "asked to stop after step %lld", (long long)t->step);
}

static pha_status loop(pha__training *r)
{
    pha_trainer *t = r->t;
    pha_status status = evaluate_what_was_due(r);
    while (!status && t->step < t->o.steps) {
        pha_step s;
        status = pha_trainer_step(t, &s);
        if (status == PHA_STOPPED) break;
        TRY(status);
        if (!s.skipped) r->last_loss = s.loss;
        r->step_seconds += s.seconds;
        status = after_step(r, &s);
        if (!status && t->step < t->o.steps) status = pha__comm_agree(t->comm, stop_between(t));
    }
    if (status == PHA_STOPPED) return stop_here(t);
    return status ? rescue(t, status) : PHA_OK;
}

static void fill_result(pha__training *r)
{
    int64_t done = r->t->step - r->first_step, per_step = (int64_t)r->t->o.batch * r->t->o.context;
    r->result->steps = r->t->step;
    r->result->tokens = r->t->step * per_step;
    r->result->train_loss = r->last_loss;
    r->result->seconds = pha__seconds() - r->began;
    r->result->tokens_per_second = r->step_seconds > 0 ? (double)(done * per_step) / r->step_seconds : NAN;
    r->result->peak_bytes = pha__mem_peak();
    r->result->refused = r->t->skipped;
}

static pha_status log_end(pha__training *r)
{
    const pha_train_result *x = r->result;
    json_t *line = pha__json_object();
    pha__json_set(&line, "event", pha__json_text("end"));
    pha__json_set(&line, "step", pha__json_number(x->steps));
    pha__json_set(&line, "tokens", pha__json_number(x->tokens));
    pha__json_set(&line, "refused", pha__json_number(x->refused));
    pha__json_set(&line, "train_loss", pha__json_decimal(x->train_loss));
    pha__json_set(&line, "valid_loss", pha__json_decimal(x->valid_loss));
    pha__json_set(&line, "valid_ppl", pha__json_decimal(x->valid_ppl));
    pha__json_set(&line, "averaged_valid_ppl", pha__json_decimal(x->averaged_valid_ppl));
    pha__json_set(&line, "seconds", pha__json_decimal(x->seconds));
    pha__json_set(&line, "tokens_per_second", pha__json_decimal(x->tokens_per_second));
    pha__json_set(&line, "peak_bytes", pha__json_number((int64_t)x->peak_bytes));
    return pha__runlog_add(r->log, line);
}

/* A share above this means that the guard filters the data, or that the run is ill. */
static const double MANY_REFUSED = 0.02;

static void warn_of_refused(const pha_trainer *t)
{
    double share = t->step > 0 ? (double)t->skipped / (double)t->step : 0;
    if (share > MANY_REFUSED)
        pha__log(PHA__LOG_WARN,
                 "%lld of %lld steps were refused (%.1f %%), so that what they read was not learned; see the skip "
                 "lines of log.jsonl. A lower learning rate may help; --spike 0 lets everything pass that is finite",
                 (long long)t->skipped, (long long)t->step, 100 * share);
}

static double real_of(const json_t *line, const char *key)
{
    const json_t *value = json_object_get(line, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* Has this run come to its end before, so that the log's last line says so and model/ is there? Then its result. */
static pha_status is_complete(pha__training *r, bool *yes)
{
    pha_trainer *t = r->t;
    json_t *line;
    *yes = false;
    char *model = pha__path_join(t->o.out, "model");
    if (!model) return PHA_NO_MEMORY;
    bool done = t->step >= t->o.steps && !t->eval_due && pha__is_dir(model);
    pha__free(model);
    if (!done) return PHA_OK;
    TRY(pha__runlog_last(&line, t->o.out));
    const char *event = json_string_value(json_object_get(line, "event"));
    *yes = event && !strcmp(event, "end") && json_integer_value(json_object_get(line, "step")) == t->step;
    if (*yes) {
        r->last_loss = real_of(line, "train_loss");
        r->result->averaged_valid_ppl = real_of(line, "averaged_valid_ppl");
        pha__log(PHA__LOG_NOTE, "%s: the run is complete, with step %lld of %lld; --steps N goes on", t->o.out,
                 (long long)t->step, (long long)t->o.steps);
    }
    json_decref(line);
    return PHA_OK;
}

/* Before the first step of this call; by the leading rank. */
static pha_status open_records(pha__training *r)
{
    pha_trainer *t = r->t;
    if (t->step == 0) TRY(pha__advise(t));
    TRY(pha__run_json_write(t));
    return write_config(t);
}

static pha_status open_logs(pha__training *r)
{
    TRY(pha__runlog_open(&r->log, r->t->o.out));
    return pha__events_open(&r->events, r->t->o.out);
}

static pha_status end(pha__training *r)
{
    pha_trainer *t = r->t;
    pha_status status = pha__finish_model(r);
    fill_result(r);
    if (status == PHA_STOPPED)
        FAIL(STOPPED, "%s: stopped behind the last step, before model/ was written; go on with --resume", t->o.out);
    TRY(status);
    return pha__comm_agree(t->comm, pha__leads(t) ? log_end(r) : PHA_OK);
}

static pha_status run(pha__training *r)
{
    pha_trainer *t = r->t;
    bool loaded = false, complete = false, leads = pha__leads(t);
    if (t->o.resume) TRY(pha__checkpoint_load(t, &loaded));
    r->first_step = t->step, r->began = pha__seconds();
    r->result->valid_loss = t->last_valid, r->result->valid_ppl = exp(t->last_valid);
    if (t->o.resume) TRY(pha__from_leader(t, leads ? is_complete(r, &complete) : PHA_OK, &complete, sizeof complete));
    if (complete) fill_result(r);
    if (complete) return PHA_OK;
    TRY(pha__comm_agree(t->comm, leads ? open_records(r) : PHA_OK));
    if (!loaded) TRY(pha__checkpoint_save(t)); /* from here on there is one: a run without has lost it */
    TRY(pha__comm_agree(t->comm, leads ? open_logs(r) : PHA_OK));
    pha_status status = loop(r);
    fill_result(r);
    if (leads) warn_of_refused(t);
    return status ? status : end(r);
}

/* The first failure is the one that is told. */
static pha_status end_events(pha__training *r, pha_status status)
{
    pha__message first = pha__message_keep();
    pha_status last = pha__events_close(r->events);
    if (!status) return last;
    pha__message_restore(&first);
    return status;
}

/* The folder, which is the leading rank's. */
typedef struct place {
    bool made;
    pha__lock lock;
    char *config; /* of a run that goes on */
} place;

static pha_status open_place(place *p, pha_train_options *o)
{
    TRY(pha__run_check(o));
    p->made = !pha__exists(o->out);
    TRY(pha__mkdirs(o->out));
    TRY(pha__run_lock(&p->lock, o->out));
    pha__run_sweep(o->out);
    return PHA_OK;
}

static pha_status name_config(place *p, pha_train_options *o)
{
    if (!o->resume || o->config || o->init_from) return PHA_OK;
    o->config = p->config = pha__path_join(o->out, "config.json");
    return p->config ? PHA_OK : PHA_NO_MEMORY;
}

static void close_place(place *p, const pha_train_options *o, pha_status status)
{
    pha__free(p->config);
    if (p->lock.path) pha__run_sweep(o->out);
    pha__lock_close(&p->lock);
    if (status && p->made) rmdir(o->out); /* if nothing was written: a start that failed leaves nothing behind */
}

pha_status pha__train_rank(const pha_train_options *options, pha_train_result *result, pha__comm *comm)
{
    pha__training r = {.result = result, .last_loss = NAN};
    pha_train_options o = *options;
    place p = {0};
    pha_status status = pha__comm_agree(comm, comm->rank == 0 ? open_place(&p, &o) : PHA_OK);
    if (!status) status = pha__comm_agree(comm, name_config(&p, &o));
    if (!status) status = pha__trainer_open_rank(&r.t, &o, comm);
    if (!status) status = run(&r);
    status = pha__comm_end(comm, end_events(&r, status));
    pha__runlog_close(r.log);
    pha_trainer_close(r.t);
    close_place(&p, &o, status);
    return status;
}

pha_status pha_train(const pha_train_options *options, pha_train_result *result)
{
    pha_train_result unused;
    pha__comm *comm;
    if (!result) result = &unused;
    *result = (pha_train_result){.train_loss = NAN, .valid_loss = NAN, .valid_ppl = NAN, .averaged_valid_ppl = NAN};
    NEED(options, "options");
    TRY(pha__comm_world(&comm));
    return pha__train_rank(options, result, comm);
}
