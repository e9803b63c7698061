/* checkpoint.c -- a training checkpoint: a folder from which a run goes on with bit-identical results
 *
 *   weights.safetensors, m.safetensors, v.safetensors    fp32, by parameter path (checkpoint_files.c)
 *   carried.safetensors                                  the states of a run with carry (carry.c)
 *   trainer.json                                         step, schedule, guard, snapshots; a checksum per file; with
 *                                                        what options and on what kernels it was made (origin.c)
 *
 * The folder is written beside its place and swapped in, so that the last good checkpoint is there at any moment.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "runtime/train/checkpoint_files.h"
#include "runtime/train/origin.h"
#include "runtime/train/run_folder.h"

#define state_name "trainer.json"
static double get_real(const json_t *object, const char *key, double missing)
{
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : missing;
}

static json_t *state_json(const pha_trainer *t)
{
    json_t *o = pha__json_object(), *best = pha__json_list();
    pha__json_set(&o, "version", pha__json_number(1));
    pha__origin_write(t, &o);
    pha__json_set(&o, "step", pha__json_number(t->step));
    pha__json_set(&o, "updates", pha__json_number((int64_t)t->optimizer.updates));
    pha__json_set(&o, "skipped", pha__json_number(t->skipped));
    pha__json_set(&o, "skipped_in_row", pha__json_number(t->skipped_in_row));
    pha__json_set(&o, "guard_seen", pha__json_number(t->guard.seen));
    pha__json_set(&o, "loss_mean", pha__json_decimal(t->guard.loss.mean));
    pha__json_set(&o, "loss_variance", pha__json_decimal(t->guard.loss.variance));
    pha__json_set(&o, "norm_mean", pha__json_decimal(t->guard.norm.mean));
    pha__json_set(&o, "norm_variance", pha__json_decimal(t->guard.norm.variance));
    pha__json_set(&o, "last_valid", pha__json_decimal(t->last_valid));
    pha__json_set(&o, "eval_due", json_boolean(t->eval_due));
    pha__json_set(&o, "plateau_best", pha__json_decimal(t->schedule.best));
    pha__json_set(&o, "plateau_scale", pha__json_decimal(t->schedule.scale));
    pha__json_set(&o, "plateau_bad", pha__json_number(t->schedule.bad));
    for (int i = 0; i < t->n_best; i++) {
        json_t *entry = pha__json_object();
        pha__json_set(&entry, "step", pha__json_number(t->best[i].step));
        pha__json_set(&entry, "loss", pha__json_decimal(t->best[i].loss));
        pha__json_add(&best, entry);
    }
    pha__json_set(&o, "best", best);
    return o;
}

static pha_status read_back_state(const char *path)
{
    json_t *json;
    pha_status status = pha__json_load(&json, path, 1 << 20);
    if (!status) status = pha__json_check_seal(json, path);
    json_decref(json);
    return status == PHA_BAD_INPUT ? pha__fail_in(PHA_IO, "written, and read back otherwise") : status;
}

static pha_status write_state(const pha_trainer *t, const char *folder, json_t *sums)
{
    json_t *state = state_json(t), **json = &state;
    pha__json_set(json, "checksums", sums);
    pha__json_seal(json);
    char *path = pha__path_join(folder, state_name);
    pha_status status = path ? pha__json_save(state, path) : PHA_NO_MEMORY;
    if (!status) status = read_back_state(path);
    pha__free(path);
    json_decref(state);
    return status;
}

static bool is_part(const char *name)
{
    bool part = !strcmp(name, state_name);
    for (int i = 0; i < PHA__CHECKPOINT_FILES; i++) part |= !strcmp(name, pha__checkpoint_files[i]);
    return part;
}

const pha__kind pha__checkpoint_kind = {"a checkpoint", (const char *const[]){state_name, NULL}, is_part};

static pha_status begin(pha__claim *claim, const char *folder)
{
    TRY(pha__claim_open(claim, folder, &pha__checkpoint_kind));
    pha_status status = pha__mkdirs(claim->beside);
    if (status) pha__claim_close(claim);
    return status;
}

static pha_status finish(const pha_trainer *t, pha__claim *claim, json_t *sums)
{
    pha_status status = write_state(t, claim->beside, json_incref(sums));
    return status ? status : pha__claim_commit(claim);
}

pha_status pha_trainer_save(pha_trainer *t, const char *folder)
{
    pha__claim claim = {0};
    NEED(t, "a trainer");
    NEED(folder, "a folder");
    bool leads = pha__leads(t);
    pha_status begun = leads ? begin(&claim, folder) : PHA_OK, status = pha__comm_agree(t->comm, begun);
    json_t *sums = pha__json_object();
    if (!status) status = pha__checkpoint_write_files(t, claim.beside, &sums);
    if (!status) status = pha__comm_agree(t->comm, leads ? finish(t, &claim, sums) : PHA_OK);
    json_decref(sums);
    if (leads && !begun) pha__claim_close(&claim);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

static pha_status read_best(pha_trainer *t, const json_t *list, const char *path)
{
    t->n_best = 0;
    for (size_t i = 0; i < json_array_size(list) && i < PHA__MAX_BEST; i++) {
        int64_t step;
        double loss;
        const json_t *entry = json_array_get(list, i);
        TRY(pha__json_int(&step, entry, "step", 0, INT64_MAX / 2, path));
        TRY(pha__json_real(&loss, entry, "loss", path));
        t->best[t->n_best++] = (pha__best){step, loss};
    }
    return PHA_OK;
}

/* A checkpoint of an earlier build has a mean of the loss alone: the guard begins anew. */
static pha_status read_guard(pha__guard *g, const json_t *json, int64_t step, const char *path)
{
    *g = (pha__guard){0};
    if (!json_object_get(json, "guard_seen")) return PHA_OK;
    TRY(pha__json_int(&g->seen, json, "guard_seen", 0, step, path));
    TRY(pha__json_real(&g->loss.mean, json, "loss_mean", path));
    TRY(pha__json_real(&g->loss.variance, json, "loss_variance", path));
    TRY(pha__json_real(&g->norm.mean, json, "norm_mean", path));
    return pha__json_real(&g->norm.variance, json, "norm_variance", path);
}

static pha_status read_state(pha_trainer *t, const json_t *json, const char *path)
{
    int64_t step, updates, skipped, in_row, bad;
    TRY(pha__json_int(&step, json, "step", 0, INT64_MAX / 2, path));
    TRY(pha__json_int(&updates, json, "updates", 0, step, path));
    TRY(pha__json_int(&skipped, json, "skipped", 0, step, path));
    TRY(pha__json_int(&in_row, json, "skipped_in_row", 0, step, path));
    TRY(pha__json_int(&bad, json, "plateau_bad", 0, INT32_MAX, path));
    TRY(pha__json_real(&t->schedule.scale, json, "plateau_scale", path));
    TRY(read_guard(&t->guard, json, step, path));
    TRY(read_best(t, json_object_get(json, "best"), path));
    t->step = step, t->skipped = skipped, t->skipped_in_row = in_row;
    t->optimizer.updates = (uint64_t)updates;
    t->schedule.bad = (int32_t)bad;
    t->schedule.best = get_real(json, "plateau_best", INFINITY);
    t->last_valid = get_real(json, "last_valid", NAN);
    t->eval_due = json_is_true(json_object_get(json, "eval_due"));
    return PHA_OK;
}

/* First of all, so that what is told is not a tensor's shape where the reason is another configuration. */
static pha_status check_json(const pha_trainer *t, const json_t *json, const char *path)
{
    int64_t version;
    TRY(pha__json_int(&version, json, "version", 1, 1, path));
    return pha__origin_check(t, json, path);
}

static pha_status open_json(const pha_trainer *t, const char *path, json_t **json)
{
    if (!path) return PHA_NO_MEMORY;
    TRY(pha__json_load(json, path, 1 << 20));
    TRY(pha__json_check_seal(*json, path));
    return check_json(t, *json, path);
}

/* Plain data that a checkpoint holds. */
static pha_status share_state(pha_trainer *t)
{
    const struct { void *data; size_t size; } parts[] = {
        {&t->step, sizeof t->step},           {&t->skipped, sizeof t->skipped},
        {&t->guard, sizeof t->guard},         {&t->skipped_in_row, sizeof t->skipped_in_row},
        {&t->schedule, sizeof t->schedule},   {&t->optimizer.updates, sizeof t->optimizer.updates},
        {t->best, sizeof t->best},            {&t->n_best, sizeof t->n_best},
        {&t->last_valid, sizeof t->last_valid}, {&t->eval_due, sizeof t->eval_due},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        TRY(pha__comm_broadcast(t->comm, 0, NULL, parts[i].data, parts[i].size));
    return PHA_OK;
}

static pha_status load(pha_trainer *t, const char *folder, const char *path, json_t **json)
{
    bool leads = pha__leads(t);
    TRY(pha__comm_agree(t->comm, leads ? open_json(t, path, json) : PHA_OK));
    TRY(pha__checkpoint_read_files(t, folder, *json));
    TRY(pha__comm_agree(t->comm, leads ? read_state(t, *json, path) : PHA_OK));
    TRY(share_state(t));
    if (leads) pha__origin_tell(t, *json, path);
    return PHA_OK;
}

pha_status pha_trainer_load(pha_trainer *t, const char *folder)
{
    NEED(t, "a trainer");
    NEED(folder, "a folder");
    TRY(pha__comm_agree(t->comm, pha__leads(t) ? pha__settle(folder, false) : PHA_OK));
    char *path = pha__path_join(folder, state_name);
    json_t *json = NULL;
    pha_status status = load(t, folder, path, &json);
    json_decref(json);
    pha__free(path);
    return status;
}
