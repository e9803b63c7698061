/* results.c -- lab.json: the cells of all calls into one folder, each with its setting and its result
 *
 * A cell is known again by its setting, whole. What is there of other calls stays.
 */
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/range.h"
#include "runtime/lab/lab.h"

static const size_t MOST = (size_t)64 << 20; /* bytes of lab.json */

/* A share, or null: the training diverged. */
static pha_status check_share(const json_t *of, const char *path, size_t i)
{
    const json_t *x = json_object_get(of, "accuracy");
    if (json_is_null(x) || (json_is_number(x) && pha__in_range(json_number_value(x), 0, 1))) return PHA_OK;
    FAIL(BAD_INPUT, "%s: the accuracy of cell %zu is neither null nor a number from 0 to 1", path, i + 1);
}

static pha_status check_cell(const json_t *cell, const char *path, size_t i)
{
    const json_t *result = json_object_get(cell, "result"), *depths = json_object_get(result, "depths");
    if (!json_is_object(json_object_get(cell, "setting")) || !json_is_object(result))
        FAIL(BAD_INPUT, "%s: cell %zu has no setting or no result; name another folder for the results", path, i + 1);
    TRY(check_share(result, path, i));
    for (size_t k = 0; k < json_array_size(depths); k++) TRY(check_share(json_array_get(depths, k), path, i));
    return PHA_OK;
}

/* Gives a result to the cell of this call that it is of; false: it is of none. */
static bool known(pha__lab *l, const json_t *cell)
{
    for (size_t i = 0; i < l->n_cells; i++) {
        pha__lab_cell *mine = &l->cells[i];
        if (!json_equal(mine->setting, json_object_get(cell, "setting"))) continue;
        if (!mine->result) mine->result = json_incref(json_object_get(cell, "result"));
        return true;
    }
    return false;
}

/* Its configuration in the words of this build; one that it cannot read stays what it is, of no cell of this call. */
static pha_status renew(json_t *cell, const char *path)
{
    json_t *setting = json_object_get(cell, "setting"), *was = json_object_get(setting, "config"), *now;
    pha__config_rules rules = pha__rules();
    if (!was) return PHA_OK;
    pha_status status = pha__config_renew(&now, was, path, &rules);
    if (status) return status == PHA_NO_MEMORY ? status : PHA_OK;
    json_t *held = json_incref(setting);
    pha__json_set(&held, "config", now);
    if (!held) FAIL(NO_MEMORY, "%s: no memory for its cells", path);
    json_decref(held);
    return PHA_OK;
}

static pha_status take(pha__lab *l, const json_t *file, const char *path)
{
    const json_t *cells = json_object_get(file, "cells");
    if (!json_is_array(cells))
        FAIL(BAD_INPUT, "%s: has no list of cells, so it is not of the laboratory; name another folder", path);
    for (size_t i = 0; i < json_array_size(cells); i++) {
        json_t *cell = json_array_get(cells, i);
        TRY(check_cell(cell, path, i));
        TRY(renew(cell, path));
        if (!known(l, cell)) pha__json_add(&l->others, json_incref(cell));
    }
    if (!l->others) FAIL(NO_MEMORY, "%s: no memory for its cells", path);
    return PHA_OK;
}

pha_status pha__lab_load(pha__lab *l)
{
    json_t *file;
    l->others = pha__json_list();
    char *path = pha__path_join(l->o.out, "lab.json");
    pha_status status = path ? PHA_OK : PHA_NO_MEMORY;
    if (!status && pha__exists(path) && !(status = pha__json_load(&file, path, MOST))) {
        status = take(l, file, path);
        json_decref(file);
    }
    pha__free(path);
    return status;
}

json_t *pha__lab_cells_json(const pha__lab *l, bool others)
{
    json_t *cells = pha__json_list(), *file = pha__json_object();
    for (size_t i = 0; others && i < json_array_size(l->others); i++)
        pha__json_add(&cells, json_incref(json_array_get(l->others, i)));
    for (size_t i = 0; i < l->n_cells; i++) {
        if (!l->cells[i].result) continue;
        json_t *cell = pha__json_object();
        pha__json_set(&cell, "model", pha__json_path(l->cells[i].model));
        pha__json_set(&cell, "setting", json_incref(l->cells[i].setting));
        pha__json_set(&cell, "result", json_incref(l->cells[i].result));
        pha__json_add(&cells, cell);
    }
    pha__json_set(&file, "cells", cells);
    return file;
}

static pha_status save_figure(const pha__lab *l)
{
    pha__str svg = {0};
    pha__lab_figure(&svg, l);
    char *path = pha__path_join(l->o.out, "lab.svg");
    pha_status status = path && !svg.failed ? PHA_OK : PHA_NO_MEMORY;
    if (!status && svg.size) status = pha__write_file(path, svg.data, svg.size);
    pha__free(path);
    pha__str_free(&svg);
    return status;
}

pha_status pha__lab_save(const pha__lab *l)
{
    char *path = pha__path_join(l->o.out, "lab.json");
    if (!path) return PHA_NO_MEMORY;
    json_t *file = pha__lab_cells_json(l, true);
    pha_status status = pha__json_save(file, path);
    json_decref(file);
    pha__free(path);
    return status ? status : save_figure(l);
}
