/* convert.c -- Hedgehog from a softmax model (baselines.md 8 (b), stage 1): its maps learn to weigh as softmax does,
 * all else stays what it was, to the bit. Stage 2 is an ordinary training from the folder that is written.
 *
 * A conversion is a training of its own kind: the trainer with a lesson. Until the model is written OUT.converting is
 * its checkpoint, from which the same call goes on.
 */
#include "runtime/train/convert.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/inside.h"
#include "base/json.h"
#include "base/log.h"
#include "base/print.h"
#include "runtime/stop.h"
#include "runtime/train/run_folder.h"

enum { CONTEXT = 512, BATCH = 8, MOST_STEPS = 2000, EPOCHS = 2, EVAL_TOKENS = 1 << 16, KEEP_EVERY = 250 };
static const double RATE = 1e-2;

/* ---- what fits ------------------------------------------------------------------------------------------- */

static pha_status check_options(const pha_convert_options *o)
{
    if (!o->model) FAIL(USAGE, "a conversion needs the folder of a trained model");
    if (!o->data) FAIL(USAGE, "a conversion needs a data folder (written by pha prepare)");
    if (!o->out) FAIL(USAGE, "a conversion needs a model folder to write");
    if (o->to && strcmp(o->to, "hedgehog"))
        FAIL(USAGE, "models are converted to hedgehog, not to '%.40s'", o->to);
    if (o->eval_tokens < 0) FAIL(USAGE, "eval_tokens is %lld, below 0", (long long)o->eval_tokens);
    const char *const read[] = {o->model, o->data, o->config};
    for (int i = 0; i < 3; i++)
        if (read[i] && pha__is_inside(read[i], o->out))
            FAIL(USAGE, "%s: is read and would be replaced by the model; choose another folder", read[i]);
    return PHA_OK;
}

static pha_status check_teacher(const pha_model *m)
{
    const pha__config *c = &m->config;
    if (strcmp(c->arch, "gpt2"))
        FAIL(BAD_INPUT, "%s: is of arch '%s'; hedgehog can be made of a model of arch gpt2, or a folder of GPT-2 from "
             "the hub", m->folder, c->arch);
    if (c->n_kv_head != c->n_head)
        FAIL(BAD_INPUT, "%s: n_kv_head = %d is not its n_head = %d; hedgehog has keys and values for every head",
             m->folder, c->n_kv_head, c->n_head);
    return PHA_OK;
}

/* The teacher's keys under another name. */
static pha_status derived_config(pha__config *out, const pha_model *teacher)
{
    pha__config_rules rules = pha__rules();
    json_t *json = pha__config_to_json(&teacher->config, &rules);
    if (json) json_object_del(json, "n_kv_head");
    pha__json_set(&json, "arch", pha__json_text("hedgehog"));
    pha_status status = json ? pha__config_parse(out, json, teacher->folder, &rules) : PHA_NO_MEMORY;
    json_decref(json);
    return status;
}

static pha_status check_shape(const pha__config *c, const char *path, const pha_model *teacher)
{
    const pha__config *of = &teacher->config;
    const struct { const char *key; int32_t is, must; } sizes[] = {
        {"vocab_size", c->vocab_size, of->vocab_size}, {"d_model", c->d_model, of->d_model},
        {"n_layer", c->n_layer, of->n_layer},          {"n_head", c->n_head, of->n_head},
        {"d_ffn", c->d_ffn, of->d_ffn},                {"n_positions", c->n_positions, of->n_positions}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i].is != sizes[i].must)
            FAIL(BAD_INPUT, "%s: %s = %d, but it is %d in %s, and a conversion keeps the shape; put that there, or "
                 "leave the configuration out", path, sizes[i].key, sizes[i].is, sizes[i].must, teacher->folder);
    return PHA_OK;
}

static pha_status choose_config(pha__config *out, const pha_convert_options *o, const pha_model *teacher)
{
    pha__config_rules rules = pha__rules();
    if (!o->config) return derived_config(out, teacher);
    TRY(pha__config_load(out, o->config, &rules));
    if (strcmp(out->arch, "hedgehog"))
        FAIL(BAD_INPUT, "%s: is of arch '%s', not hedgehog", o->config, out->arch);
    if (!out->vocab_size) out->vocab_size = teacher->config.vocab_size;
    return check_shape(out, o->config, teacher);
}

/* The context; and do the ids of the data mean the teacher's tokens? */
static pha_status check_data(int32_t *context, const pha_convert_options *o, const pha_model *teacher)
{
    pha__data data;
    pha__split_info train;
    int32_t most = teacher->config.n_positions;
    TRY(pha__data_read(&data, o->data));
    TRY(pha__data_info(&train, o->data, "train"));
    if (data.vocab_size > teacher->config.vocab_size)
        FAIL(BAD_INPUT, "%s: has a vocabulary of %d tokens, but %s one of %d; prepare the text with its tokenizer",
             o->data, data.vocab_size, teacher->folder, teacher->config.vocab_size);
    if (teacher->tokenizer && pha__tokenizer_hash(teacher->tokenizer) != data.tokenizer_hash)
        FAIL(BAD_INPUT, "%s: was prepared with another tokenizer than that of %s; prepare the text with --tokenizer %s",
             o->data, teacher->folder, teacher->folder);
    if (o->context > most)
        FAIL(USAGE, "a context of %d tokens exceeds the n_positions = %d of %s; take %d or less", o->context, most,
             teacher->folder, most);
    *context = o->context ? o->context : CONTEXT < most ? CONTEXT : most;
    if (!o->context && train.tokens > 1 && train.tokens - 1 < (uint64_t)*context) *context = (int32_t)train.tokens - 1;
    return PHA_OK;
}

/* ---- the trainer ----------------------------------------------------------------------------------------- */

/* 2,000 steps or two passes, whatever is less. */
static int64_t steps_of(const pha_convert_options *o, int32_t context, int32_t batch)
{
    pha__split_info train;
    if (o->steps) return o->steps;
    if (pha__data_info(&train, o->data, "train")) return MOST_STEPS; /* the trainer will say what it is */
    uint64_t steps = EPOCHS * (train.tokens / (uint64_t)context) / (uint64_t)batch;
    return steps < 1 ? 1 : steps < MOST_STEPS ? (int64_t)steps : MOST_STEPS;
}

static pha_status open_trainer(pha__conversion *c)
{
    const pha_convert_options *o = c->o;
    int32_t batch = o->batch ? o->batch : BATCH, context = 0;
    TRY(check_data(&context, o, c->teacher));
    pha_train_options options = {.init_from = o->model,
                                 .data = o->data,
                                 .seed = o->seed,
                                 .context = context,
                                 .batch = batch,
                                 .steps = steps_of(o, context, batch),
                                 .lr = o->lr != 0 ? o->lr : RATE,
                                 .weight_decay = -1,
                                 .spike = -1,
                                 .threads = o->threads};
    c->lesson.row = &pha__model_taught_hedgehog, c->lesson.from = c->teacher;
    return pha__trainer_open_lesson(&c->t, &options, &c->lesson);
}

/* Everything but what is learned is the teacher's; a checkpoint of another teacher is not gone on from. */
static pha_status check_frozen(const pha__conversion *c)
{
    const pha__program *names = c->t->store->names;
    for (int i = 0; i < names->n_params; i++) {
        const pha__node *v = names->params[i], *w = pha__find_param(c->teacher->names, v->path);
        if (!w) continue;
        size_t n = (size_t)v->rows * (size_t)v->width;
        float *is = pha__alloc(n, sizeof *is), *must = pha__alloc(n, sizeof *must);
        pha_status status = is && must ? PHA_OK : PHA_NO_MEMORY;
        if (!status) status = pha__store_copy_out(c->t->store, PHA__WEIGHT, i, is);
        if (!status) status = pha__store_copy_out(c->teacher->store, PHA__WEIGHT, w->index, must);
        if (!status && memcmp(is, must, n * sizeof *is))
            status = pha__fail(PHA_BAD_INPUT, "%s: is of a conversion of another model than %s (%s); remove it to "
                               "begin anew", c->checkpoint, c->teacher->folder, v->path);
        pha__free(is);
        pha__free(must);
        TRY(status);
    }
    return PHA_OK;
}

static pha_status go_on(pha__conversion *c)
{
    if (!pha__exists(c->checkpoint)) return PHA_OK;
    pha_status status = pha_trainer_load(c->t, c->checkpoint);
    if (status == PHA_BAD_INPUT) FAIL(BAD_INPUT, "%s; or remove %s to begin anew", pha_errmsg(), c->checkpoint);
    TRY(status);
    TRY(check_frozen(c));
    c->kept = true;
    pha__log(PHA__LOG_NOTE, "%s: going on from step %lld of %lld", c->checkpoint, (long long)c->t->step,
             (long long)c->t->o.steps);
    return PHA_OK;
}

/* ---- teaching -------------------------------------------------------------------------------------------- */

static void report(const pha__conversion *c, const pha_step *s, int64_t first, double began)
{
    if (!c->o->progress) return;
    int64_t done = s->step - first, all = c->t->o.steps;
    double elapsed = pha__seconds() - began, left = elapsed / (double)done * (double)(all - s->step);
    char line[160], loss[24];
    pha__print_number(loss, sizeof loss, s->loss, 4);
    pha__print(line, sizeof line, "step %lld/%lld  distillation loss %s  lr %.2e  %.0f tokens/s  %.0f s left",
               (long long)s->step, (long long)all, loss, s->lr, (double)done * (double)s->tokens / elapsed, left);
    pha_progress p = {"convert", "steps", line, (double)s->step, (double)all, (double)done / elapsed, left};
    c->o->progress(c->o->user, &p);
}

static pha_status keep(pha__conversion *c)
{
    TRY(pha_trainer_save(c->t, c->checkpoint));
    c->kept = true;
    return PHA_OK;
}

static pha_status teach(pha__conversion *c)
{
    int64_t first = c->t->step;
    double began = pha__seconds();
    while (c->t->step < c->t->o.steps) {
        pha_step s;
        if (pha__stop_requested()) FAIL(STOPPED, "asked to stop");
        TRY(pha_trainer_step(c->t, &s));
        c->kept = false;
        report(c, &s, first, began);
        if (s.step % KEEP_EVERY == 0 && s.step < c->t->o.steps) TRY(keep(c));
    }
    return PHA_OK;
}

static pha_status write_model(pha__conversion *c)
{
    const pha_convert_result *r = c->result;
    const pha__tokenizer *tokenizer = c->teacher->tokenizer ? c->teacher->tokenizer : c->t->tokenizer;
    char card[600], number[4][24];
    const double numbers[] = {r->kl_before, r->kl, r->teacher_ppl, r->ppl};
    for (int i = 0; i < 4; i++) pha__print_number(number[i], sizeof number[i], numbers[i], 3);
    pha__print(card, sizeof card,
               "Converted from a softmax model: its weights, and feature maps that %lld steps of distillation taught "
               "to weigh as softmax does (KL divergence %s before, %s after; perplexity of the softmax model %s, of "
               "this one %s). Meant to be trained further: `pha train --init-from DIR`.\n",
               (long long)c->t->step, number[0], number[1], number[2], number[3]);
    return pha__model_write_to(&c->claim, &c->t->config, c->t->store, tokenizer, card);
}

static pha_status convert(pha__conversion *c)
{
    pha_convert_result *r = c->result;
    TRY(pha__measure_lesson(c, &r->loss_before, &r->kl_before));
    TRY(pha__measure_teacher(c, &r->teacher_ppl));
    TRY(pha__measure_pupil(c, &r->ppl_before));
    TRY(go_on(c));
    pha_status status = teach(c);
    if (!status) status = pha__measure_lesson(c, &r->loss, &r->kl);
    if (!status) status = pha__measure_pupil(c, &r->ppl);
    if (!status) status = write_model(c);
    r->steps = c->t->step;
    if (!status || c->t->step == 0) return status;
    pha__message first = pha__message_keep(); /* the steps made so far are not lost, whatever came in the way */
    bool kept = c->kept || !keep(c);
    pha__message_restore(&first);
    if (status == PHA_STOPPED && kept)
        FAIL(STOPPED, "stopped after step %lld of %lld; the same command goes on from %s", (long long)c->t->step,
             (long long)c->t->o.steps, c->checkpoint);
    return status;
}

/* ---- pha_convert ----------------------------------------------------------------------------------------- */

static pha_status checkpoint_path(pha__conversion *c)
{
    size_t n = strlen(c->claim.to) + 16;
    c->checkpoint = pha__alloc(n, 1);
    if (!c->checkpoint) return PHA_NO_MEMORY;
    pha__print(c->checkpoint, n, "%s.converting", c->claim.to);
    return PHA_OK;
}

static pha_status run(pha__conversion *c)
{
    TRY(pha_model_open(&c->teacher, c->o->model));
    TRY(check_teacher(c->teacher));
    TRY(choose_config(&c->lesson.config, c->o, c->teacher));
    TRY(pha__model_claim(&c->claim, c->o->out)); /* before the work */
    TRY(checkpoint_path(c));
    TRY(pha__model_verify(c->teacher));
    TRY(open_trainer(c));
    TRY(convert(c));
    pha__sweep(c->checkpoint, &pha__checkpoint_kind);
    return PHA_OK;
}

pha_status pha_convert(const pha_convert_options *options, pha_convert_result *result)
{
    pha_convert_result unused;
    if (!result) result = &unused;
    *result = (pha_convert_result){.loss_before = NAN, .loss = NAN, .kl_before = NAN, .kl = NAN, .teacher_ppl = NAN,
                                   .ppl_before = NAN, .ppl = NAN};
    NEED(options, "options");
    TRY(check_options(options));
    double began = pha__seconds();
    pha__conversion c = {.o = options, .result = result};
    c.eval_tokens = options->eval_tokens ? options->eval_tokens : EVAL_TOKENS;
    pha_status status = run(&c);
    pha_trainer_close(c.t);
    pha_model_close(c.teacher);
    pha__claim_close(&c.claim);
    pha__free(c.checkpoint);
    result->seconds = pha__seconds() - began, result->peak_bytes = pha__mem_peak();
    return status;
}
