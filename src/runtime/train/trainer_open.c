/* trainer_open.c -- opening what a run needs: its data, its configuration, the program, the weights to begin with */
#include "runtime/train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/print.h"
#include "ops/lm_loss/lm_loss.h"
#include "runtime/train/options.h"
#include "runtime/train/origin.h"

/* ---- data ------------------------------------------------------------------------------------------------- */

static pha_status open_valid(pha_trainer *t)
{
    pha__data data;
    TRY(pha__data_read(&data, t->o.data));
    for (size_t i = 0; i < data.n && i < PHA__DATA_SPLITS; i++)
        if (!strcmp(data.split[i].name, "valid") && data.split[i].info.tokens > 1)
            return pha__tokens_open(&t->valid, t->o.data, "valid", true);
    if (!t->lesson)
        pha__log(PHA__LOG_NOTE, "%s: has no validation split; nothing is evaluated, and model/ gets the last weights",
                 t->o.data);
    return PHA_OK;
}

static pha_status open_tokenizer(pha_trainer *t)
{
    char *path = pha__path_join(t->o.data, "tokenizer.json");
    if (!path) return PHA_NO_MEMORY;
    pha_status status = PHA_OK;
    if (pha__exists(path)) status = pha__tokenizer_open(&t->tokenizer, path);
    else pha__log(PHA__LOG_WARN, "%s: is not there; the model will have no tokenizer and read no text", path);
    pha__free(path);
    return status;
}

static pha_status read_sequence(void *loader, uint64_t index, int32_t *inputs, int32_t *targets)
{
    return pha__loader_get(loader, index, inputs, targets);
}

static pha_status open_data(pha_trainer *t)
{
    TRY(pha__tokens_open(&t->data, t->o.data, "train", true));
    if (!t->o.context) {
        uint64_t count = pha__tokens_count(t->data);
        t->o.context = count > 1024 ? 1024 : count > 2 ? (int32_t)count - 1 : 1;
    }
    if (t->o.carry) TRY(pha__loader_open_lanes(&t->loader, t->data, t->o.context, t->o.seed, t->o.batch));
    else TRY(pha__loader_open(&t->loader, t->data, t->o.context, t->o.seed));
    t->source = (pha__source){read_sequence, &t->loader};
    TRY(open_valid(t));
    return open_tokenizer(t);
}

static pha_status open_config(pha_trainer *t)
{
    if (t->lesson) {
        t->config = t->lesson->config;
        return PHA_OK;
    }
    const char *path = t->o.config;
    char *inside = NULL;
    if (!path) TRY(pha__settle(t->o.init_from, false));
    if (!path) path = inside = pha__path_join(t->o.init_from, "config.json");
    if (!path) return PHA_NO_MEMORY;
    bool gpt2;
    pha_status status = pha__model_config(&t->config, &gpt2, path);
    int32_t V = pha__tokens_vocab(t->data);
    if (!status && !t->config.vocab_size) t->config.vocab_size = V;
    if (!status && t->config.vocab_size < V)
        status = pha__fail(PHA_BAD_INPUT,
                           "%s: vocab_size %d is below the %d of the data in %s; remove the key to take the "
                           "data's",
                           path, t->config.vocab_size, V, t->o.data);
    if (!status) status = pha__config_rope(&t->config, t->o.rope_theta, path);
    pha__free(inside);
    t->config.dropout = t->o.dropout, t->config.attn_dropout = t->o.attn_dropout;
    return status;
}

static pha_status own_initial_weights(pha_trainer *t)
{
    TRY(pha__init_weights(t->store, t->o.seed));
    if (!pha__leads(t)) return PHA_OK;
    if (t->lesson) return pha__store_copy_named(t->store, t->lesson->from->store);
    if (!t->o.init_from) return PHA_OK;
    pha_model *model;
    TRY(pha_model_open(&model, t->o.init_from));
    if (model->tokenizer && pha__tokenizer_hash(model->tokenizer) != pha__tokens_tokenizer_hash(t->data)) {
        pha_model_close(model);
        FAIL(BAD_INPUT,
             "%s: has another tokenizer than the data in %s; prepare the data with --tokenizer %s", t->o.init_from,
             t->o.data, t->o.init_from);
    }
    pha_status status = pha__model_verify(model);
    if (!status) status = pha__store_convert(t->store, PHA__WEIGHT, model->store, PHA__WEIGHT);
    pha_model_close(model);
    return status;
}

/* How long the run is, and when it is looked at, by its data. */
static void open_cadences(pha_trainer *t)
{
    pha_train_options *o = &t->o;
    double epochs = o->epochs > 0 ? o->epochs : 1;
    if (o->steps <= 0) {
        o->steps = (int64_t)(epochs * (double)pha__loader_windows(&t->loader) / o->batch);
        if (o->steps < 1) o->steps = 1;
    }
    int64_t quarter = o->steps / 4 > 0 ? o->steps / 4 : 1; /* the end of an epoch is a time for it anyway */
    bool four = pha__sequences(o) / 4 >= pha__loader_windows(&t->loader);
    if (o->eval_every <= 0) o->eval_every = four ? o->steps : quarter;
    if (o->checkpoint_every <= 0) o->checkpoint_every = o->eval_every;
}

static void open_schedule(pha_trainer *t)
{
    const pha_train_options *o = &t->o;
    t->schedule = (pha__schedule){.kind = o->schedule,
                                  .lr = o->lr,
                                  .min_ratio = o->lr_min_ratio,
                                  .factor = o->plateau_factor,
                                  .warmup = o->warmup,
                                  .total = o->steps,
                                  .patience = o->plateau_patience,
                                  .best = INFINITY,
                                  .scale = 1};
}

/* Where a machine has several ranks each takes a card of its own. */
static pha_status open_device(pha_trainer *t)
{
    const char *name = getenv("PHA_DEVICE");
    char own[32];
    bool card = t->comm->locals > 1 && name && !strcmp(name, "cuda");
    int threads = pha__comm_threads(t->comm, t->o.threads);
    pha__print(own, sizeof own, "cuda:%d", t->comm->local);
    return pha__device_open(&t->device, card ? own : NULL, threads);
}

static pha_status open_buffers(pha_trainer *t)
{
    size_t tokens = (size_t)pha__lanes_sequences(&t->lanes) * (size_t)t->o.context;
    t->ids = pha__alloc(tokens, sizeof *t->ids);
    t->targets = pha__alloc(tokens, sizeof *t->targets);
    t->losses = pha__alloc(PHA__LOSS_WIDTH * (size_t)t->o.micro_batch * (size_t)t->o.context, sizeof *t->losses);
    t->lane_losses = pha__alloc((size_t)t->lanes.here * (size_t)t->program->n_outputs + 1, sizeof *t->lane_losses);
    return t->ids && t->targets && t->losses && t->lane_losses ? PHA_OK : PHA_NO_MEMORY;
}

static pha_status open_lanes(pha_trainer *t)
{
    TRY(pha__lanes_open(&t->lanes, t->comm, t->o.lanes, t->o.batch, t->program->n_outputs));
    if (t->lanes.sequences % t->o.micro_batch)
        FAIL(USAGE, "a lane has %d of the %d sequences, which is no multiple of micro_batch = %d", t->lanes.sequences,
             t->o.batch, t->o.micro_batch);
    return PHA_OK;
}

static pha_status open_program(pha_trainer *t)
{
    TRY(open_device(t));
    bool half = t->o.precision == PHA_BF16;
    pha__program_options options = {.B = t->o.micro_batch,
                                    .T = t->o.context,
                                    .dtype = half ? PHA__BF16 : PHA__F32,
                                    .gradients = true,
                                    .recompute = t->o.recompute,
                                    .unfused = t->o.no_fuse ? PHA__FUSE_ALL : 0};
    options.by_sequence = t->device->backend->by_sequence && t->o.micro_batch < t->o.batch / t->o.lanes;
    if (t->o.carry) TRY(pha__carry_context(&options.max_context, &t->config, t->o.context));
    TRY(pha__record_as(&t->program, t->lesson ? t->lesson->row : NULL, &t->config, &options, PHA__HEAD_LOSS));
    TRY(open_lanes(t));
    TRY(pha__store_open(&t->store, t->program, t->device));
    TRY(pha__optimizer_open(&t->optimizer, t->store,
                            &(pha__optimizer_options){half, t->o.optimizer == PHA_OPTIMIZER_MUON, t->comm}));
    return pha__lanes_place(&t->lanes, t->store);
}

/* Once the weights are there. */
static pha_status open_exec(pha_trainer *t)
{
    bool half = t->o.precision == PHA_BF16;
    t->weights = (pha__weights){t->config, half ? PHA__BF16 : PHA__F32, t->device, t->store};
    t->weights.config.dropout = t->weights.config.attn_dropout = 0;
    TRY(pha__exec_open(&t->exec, t->program, t->store, t->device));
    TRY(pha__sections_open(&t->sections, t->program, &t->lanes, &t->optimizer));
    if (t->o.carry) TRY(pha__carry_open(&t->carry, t->program, t->device, pha__lanes_sequences(&t->lanes), t->comm));
    return open_buffers(t);
}

static pha_status open_options(pha_trainer *t, bool reads)
{
    bool guarded = t->o.spike == 0; /* a negative number is 0 from here on */
    TRY(reads ? pha__options_open(&t->o, &t->strings) : pha__options_values(&t->o, &t->strings));
    if (guarded && t->o.batch >= PHA__GUARD_BATCH) t->o.spike = 8;
    if (t->o.lanes < t->comm->size) t->o.lanes = t->comm->size;
    return PHA_OK;
}

/* What each rank reads by itself. */
static pha_status open_text(pha_trainer *t)
{
    TRY(open_options(t, true));
    return open_data(t);
}

pha_status pha__from_leader(const pha_trainer *t, pha_status status, void *data, size_t size)
{
    TRY(pha__comm_agree(t->comm, status));
    return pha__comm_broadcast(t->comm, 0, NULL, data, size);
}

/* From the options on. What a rank does alone ends with an agreement: none goes on where another has failed. The
 * weights are those of the leading rank, which alone needs to have the model that they come from. */
static pha_status open_run(pha_trainer *t)
{
    open_schedule(t);
    TRY(pha__comm_agree(t->comm, open_program(t)));
    TRY(pha__optimizer_join(&t->optimizer));
    TRY(pha__comm_agree(t->comm, own_initial_weights(t)));
    TRY(pha__optimizer_spread(&t->optimizer, PHA__WEIGHT));
    return pha__comm_agree(t->comm, open_exec(t));
}

/* What changes no bits but decides what ranks do together (checkpoints, resuming) is as the leading rank has it. What
 * does is compared (pha__origin_compare). */
static pha_status share_options(pha_trainer *t)
{
    for (size_t i = 0; i < pha__n_train_options; i++) {
        const pha__option *row = &pha__train_options[i];
        bool free = row->role == PHA__FREE || row->role == PHA__CALL || row->role == PHA__BY_DEVICE;
        if (!free || row->kind == PHA__OPTION_PATH || !strcmp(row->key, "threads")) continue;
        TRY(pha__comm_broadcast(t->comm, 0, NULL, (char *)&t->o + row->offset, row->size));
    }
    return PHA_OK;
}

static pha_status open_parts(pha_trainer *t)
{
    TRY(share_options(t));
    TRY(pha__comm_agree(t->comm, open_text(t)));
    TRY(pha__from_leader(t, pha__leads(t) ? open_config(t) : PHA_OK, &t->config, sizeof t->config));
    open_cadences(t);
    TRY(open_run(t));
    return pha__origin_compare(t);
}

static pha_status open_made(pha_trainer *t)
{
    TRY(open_options(t, false));
    t->config.dropout = t->o.dropout, t->config.attn_dropout = t->o.attn_dropout;
    return open_run(t);
}

static pha_status finish_open(pha_trainer **out, pha_trainer *t, pha_status status)
{
    if (status) pha_trainer_close(t);
    else *out = t;
    return status;
}

static pha_trainer *new_trainer(const pha_train_options *options)
{
    pha_trainer *t = pha__alloc_zero(1, sizeof *t);
    if (!t) return NULL;
    static pha__comm alone = {.size = 1};
    t->o = *options;
    t->comm = &alone;
    t->last_valid = NAN;
    return t;
}

pha_status pha__trainer_open_rank(pha_trainer **out, const pha_train_options *options, pha__comm *comm)
{
    *out = NULL;
    pha_trainer *t = new_trainer(options);
    if (!t) return PHA_NO_MEMORY;
    t->comm = comm;
    return finish_open(out, t, open_parts(t));
}

pha_status pha_trainer_open(pha_trainer **out, const pha_train_options *options)
{
    pha__comm *comm;
    NEED(out, "a place for its result");
    *out = NULL;
    NEED(options, "options");
    TRY(pha__comm_world(&comm));
    return pha__trainer_open_rank(out, options, comm);
}

pha_status pha__trainer_open_lesson(pha_trainer **out, const pha_train_options *options, const pha__lesson *lesson)
{
    *out = NULL;
    pha_trainer *t = new_trainer(options);
    if (!t) return PHA_NO_MEMORY;
    t->lesson = lesson;
    return finish_open(out, t, open_parts(t));
}

pha_status pha__trainer_open_made(pha_trainer **out, const pha_train_options *options, const pha__config *config,
                                  const pha__source *source)
{
    *out = NULL;
    pha_trainer *t = new_trainer(options);
    if (!t) return PHA_NO_MEMORY;
    t->config = *config, t->source = *source;
    t->o.config = t->o.init_from = t->o.data = NULL;
    return finish_open(out, t, open_made(t));
}

void pha_trainer_close(pha_trainer *t)
{
    if (!t) return;
    pha__exec_close(t->probe);
    pha__program_close(t->probe_program);
    pha__exec_close(t->exec);
    pha__carry_close(&t->carry);
    pha__sections_close(&t->sections);
    pha__lanes_close(&t->lanes);
    pha__optimizer_close(&t->optimizer);
    pha__store_close(t->store);
    pha__program_close(t->program);
    pha__device_close(t->device);
    pha__tokenizer_close(t->tokenizer);
    pha__tokens_close(t->data);
    pha__tokens_close(t->valid);
    pha__free(t->ids);
    pha__free(t->targets);
    pha__free(t->losses);
    pha__free(t->lane_losses);
    pha__arena_free(&t->strings);
    pha__free(t);
}

