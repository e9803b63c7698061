/* checkpoint_files.c -- see checkpoint_files.h */
#include "runtime/train/checkpoint_files.h"

#include <stdlib.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "runtime/tensors.h"
#include "runtime/train/ranks_file.h"

enum { ROLES = 3, FILES = PHA__CHECKPOINT_FILES };
const char *const pha__checkpoint_files[FILES] = {"weights.safetensors", "m.safetensors", "v.safetensors",
                                                  "carried.safetensors"};
static const pha__role roles[ROLES] = {PHA__WEIGHT, PHA__MOMENT_1, PHA__MOMENT_2};

static int n_files(const pha_trainer *t) { return t->o.carry ? FILES : ROLES; }
static bool learned_alone(int i) { return roles[i] != PHA__WEIGHT; }

static pha_status file_hash(const char *path, uint64_t *out)
{
    pha__map map;
    TRY(pha__map_open(&map, path));
    *out = pha__hash(map.data, map.size, 0);
    pha__map_close(&map);
    return PHA_OK;
}

/* ---- whose numbers are where ------------------------------------------------------------------------------ */

/* Elements [begin, end) of the layout, of a rank, from byte `at` of a file's data on. */
static pha_status add_range(pha__ranks_file *f, const pha_trainer *t, int i, int rank, const int64_t range[2],
                            uint64_t at)
{
    char *data = rank == t->comm->rank ? pha__optimizer_place(&t->optimizer, roles[i], range[0]) : NULL;
    return pha__ranks_file_add(f, &(pha__file_piece){at, (uint64_t)(range[1] - range[0]) * sizeof(float), rank, data});
}

/* A parameter whose data in file i begins at byte `at`: each rank has the part of it that it updates, the leading one
 * what is frozen. */
static pha_status add_param(pha__ranks_file *f, const pha_trainer *t, int i, int param, uint64_t at)
{
    const pha__node *v = t->program->params[param];
    const int64_t *cut = t->optimizer.shard.cut, all[2] = {v->offset, v->offset + pha__param_size(t->program, param)};
    if (!pha__learned(v)) return add_range(f, t, i, 0, all, at);
    for (int part = 0; part < t->comm->size; part++) {
        int64_t here[2] = {all[0] > cut[part] ? all[0] : cut[part], all[1] < cut[part + 1] ? all[1] : cut[part + 1]};
        if (here[0] >= here[1]) continue;
        TRY(add_range(f, t, i, pha__comm_owner(t->comm, part), here,
                      at + (uint64_t)(here[0] - all[0]) * sizeof(float)));
    }
    return PHA_OK;
}

/* ---- writing --------------------------------------------------------------------------------------------- */

typedef struct plan { /* of a file that ranks write together */
    pha__tensor *tensors;
    size_t n;
    pha__ranks_file file;
} plan;

static pha_status plan_role(plan *w, const pha_trainer *t, int i)
{
    const pha__program *p = t->program;
    uint64_t at = 0;
    w->tensors = pha__alloc_zero((size_t)p->n_params + 1, sizeof *w->tensors);
    if (!w->tensors) return PHA_NO_MEMORY;
    w->n = pha__tensors_name(p, learned_alone(i), w->tensors);
    TRY(pha__safetensors_order(w->tensors, w->n, pha__checkpoint_files[i]));
    for (size_t k = 0; k < w->n; at += w->tensors[k++].size)
        TRY(add_param(&w->file, t, i, pha__find_param(p, w->tensors[k].name)->index, at));
    return PHA_OK;
}

static pha_status plan_carry(plan *w, pha_trainer *t)
{
    w->tensors = pha__alloc_zero(1, sizeof *w->tensors);
    if (!w->tensors) return PHA_NO_MEMORY;
    *w->tensors = pha__carry_tensor(&t->carry, t->carry.position), w->n = 1;
    TRY(pha__safetensors_order(w->tensors, 1, pha__checkpoint_files[ROLES]));
    TRY(pha__carry_take(&t->carry));
    return pha__carry_pieces(&t->carry, t->carry.position, &w->file);
}

static pha_status write_together(pha_trainer *t, const char *path, int i, bool *done)
{
    plan w = {.file = {.comm = t->comm, .device = i < ROLES ? t->device : NULL}};
    pha_status status = pha__comm_agree(t->comm, i < ROLES ? plan_role(&w, t, i) : plan_carry(&w, t));
    if (!status) status = pha__ranks_file_write(&w.file, path, w.tensors, w.n, done);
    pha__ranks_file_free(&w.file);
    pha__free(w.tensors);
    return status;
}

/* By the leading rank, once all have brought what they have. */
static pha_status write_alone(pha_trainer *t, const char *path, int i)
{
    pha__role role = PHA__WEIGHT;
    TRY(i < ROLES ? pha__optimizer_collect(&t->optimizer, roles[i], &role) : pha__carry_collect(&t->carry));
    if (!pha__leads(t)) return PHA_OK;
    return i < ROLES ? pha__tensors_write(path, t->store, role, false, NULL) : pha__carry_write(&t->carry, path);
}

/* What is on the disk now, before it takes the place of the last good one: the numbers are those of the memory. */
static pha_status read_back(const char *path)
{
    pha__safetensors *file;
    pha_status status = pha__safetensors_open(&file, path);
    if (!status) status = pha__safetensors_verify(file);
    pha__safetensors_close(file);
    return status == PHA_BAD_INPUT ? pha__fail_in(PHA_IO, "written, and read back otherwise") : status;
}

static pha_status add_sum(const char *path, int i, json_t **sums)
{
    uint64_t hash = 0;
    TRY(read_back(path));
    TRY(file_hash(path, &hash));
    pha__json_set(sums, pha__checkpoint_files[i], pha__json_hex(hash));
    return PHA_OK;
}

/* path: NULL but for the leading rank. */
static pha_status write_file(pha_trainer *t, const char *path, int i, bool together, json_t **sums)
{
    bool done = false;
    TRY(pha__comm_agree(t->comm, path || !pha__leads(t) ? PHA_OK : PHA_NO_MEMORY));
    if (together) TRY(write_together(t, path, i, &done));
    if (!done) TRY(pha__comm_agree(t->comm, write_alone(t, path, i)));
    return pha__comm_agree(t->comm, pha__leads(t) ? add_sum(path, i, sums) : PHA_OK);
}

pha_status pha__checkpoint_write_files(pha_trainer *t, const char *folder, json_t **sums)
{
    bool together;
    pha_status status = pha__ranks_file_wanted(t->comm, &together);
    for (int i = 0; i < n_files(t) && !status; i++) {
        char *path = pha__leads(t) ? pha__path_join(folder, pha__checkpoint_files[i]) : NULL;
        status = write_file(t, path, i, together, sums);
        pha__free(path);
    }
    pha__carry_drop(&t->carry);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

static pha_status match_role(pha__ranks_file *f, const pha_trainer *t, int i, const pha__safetensors *file)
{
    const pha__program *p = t->program;
    const pha__tensor **tensor = pha__alloc_zero((size_t)p->n_params + 1, sizeof *tensor);
    pha_status status = tensor ? pha__tensors_match_fp32(file, p, learned_alone(i), tensor) : PHA_NO_MEMORY;
    for (int k = 0; k < p->n_params && !status; k++)
        if (tensor[k]) status = add_param(f, t, i, k, pha__safetensors_offset(file, tensor[k]));
    pha__free(tensor);
    return status;
}

static pha_status match_carry(pha__ranks_file *f, pha_trainer *t, int64_t position, const pha__safetensors *file)
{
    if (pha__leads(t)) TRY(pha__carry_check(&t->carry, file, position));
    TRY(pha__carry_room(&t->carry, position));
    return pha__carry_pieces(&t->carry, position, f);
}

/* What each has read goes to where it is needed. */
static pha_status put(pha_trainer *t, int i, int64_t position)
{
    if (i < ROLES) return pha__optimizer_share(&t->optimizer, roles[i]);
    return pha__comm_agree(t->comm, pha__carry_put(&t->carry, position));
}

static pha_status read_together(pha_trainer *t, const char *path, int i, int64_t position, bool *done)
{
    pha__ranks_file f = {.comm = t->comm, .device = i < ROLES ? t->device : NULL};
    pha__safetensors *file;
    TRY(pha__ranks_file_open(t->comm, path, &file));
    if (!file) return PHA_OK;
    pha_status status = i < ROLES ? match_role(&f, t, i, file) : match_carry(&f, t, position, file);
    status = pha__comm_agree(t->comm, status);
    if (!status) status = pha__ranks_file_read(&f, file, done);
    if (!status && *done) status = put(t, i, position);
    pha__ranks_file_free(&f);
    pha__safetensors_close(file);
    return status;
}

/* The leading rank reads into where it is spread from. */
static pha_status read_alone(pha_trainer *t, const char *path, int i, int64_t position)
{
    pha_status status = PHA_OK;
    if (pha__leads(t))
        status = i < ROLES ? pha__tensors_read(path, t->store, pha__optimizer_whole(&t->optimizer, roles[i]))
                           : pha__carry_read(&t->carry, path, position);
    TRY(pha__comm_agree(t->comm, status));
    return i < ROLES ? pha__optimizer_spread(&t->optimizer, roles[i]) : pha__carry_spread(&t->carry, position);
}

/* The file is the one that belongs to trainer.json. *position: of carried states. */
static pha_status check_file(const pha_trainer *t, const char *path, int i, const json_t *json, int64_t *position)
{
    int64_t step;
    uint64_t hash;
    if (!path) return PHA_NO_MEMORY;
    TRY(pha__json_int(&step, json, "step", 0, INT64_MAX / 2, path));
    *position = t->o.carry ? pha__carried_tokens(t, step) : 0;
    TRY(file_hash(path, &hash));
    const char *text =
        json_string_value(json_object_get(json_object_get(json, "checksums"), pha__checkpoint_files[i]));
    if (!text || strtoull(text, NULL, 16) != hash)
        FAIL(BAD_INPUT, "%s: its checksum is not that in trainer.json; the checkpoint is damaged", path);
    return PHA_OK;
}

static pha_status read_file(pha_trainer *t, const char *path, int i, bool together, const json_t *json)
{
    int64_t position = 0;
    bool done = false;
    pha_status status = pha__leads(t) ? check_file(t, path, i, json, &position) : PHA_OK;
    TRY(pha__from_leader(t, status, &position, sizeof position));
    if (i >= ROLES && !position) return PHA_OK; /* the next step clears the states */
    if (together) TRY(read_together(t, path, i, position, &done));
    return done ? PHA_OK : read_alone(t, path, i, position);
}

pha_status pha__checkpoint_read_files(pha_trainer *t, const char *folder, const json_t *json)
{
    bool together;
    pha_status status = pha__ranks_file_wanted(t->comm, &together);
    for (int i = 0; i < n_files(t) && !status; i++) {
        char *path = pha__leads(t) ? pha__path_join(folder, pha__checkpoint_files[i]) : NULL;
        status = read_file(t, path, i, together, json);
        pha__free(path);
    }
    pha__carry_drop(&t->carry);
    return status;
}
