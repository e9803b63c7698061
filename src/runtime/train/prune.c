/* prune.c -- snapshots that are no longer named go
 *
 * A run that is taken up again from either checkpoint must find the snapshots that it names. What goes is a folder
 * step-N of a model whose card says that it is the snapshot of that step, and has nothing else in it; whatever else
 * lies in best/, or behind a link, is somebody's.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/print.h"
#include "base/str.h"
#include "runtime/train/run_folder.h"

typedef struct named { /* steps whose snapshots are wanted */
    int64_t step[2 * PHA__MAX_BEST];
    int n;
} named;

/* The snapshots of the older checkpoint. An error: it can't be known, so nothing may go. */
static pha_status add_previous(named *all, const char *previous)
{
    char *path = pha__path_join(previous, "trainer.json");
    if (!path) return PHA_NO_MEMORY;
    json_t *json = NULL;
    pha_status status = pha__exists(path) ? pha__json_load(&json, path, 1 << 20) : PHA_OK;
    const json_t *best = json_object_get(json, "best");
    for (size_t i = 0; i < json_array_size(best) && i < PHA__MAX_BEST; i++)
        all->step[all->n++] = json_integer_value(json_object_get(json_array_get(best, i), "step"));
    json_decref(json);
    pha__free(path);
    return status;
}

/* N of "step-N" as a run writes it, else -1. */
static int64_t step_of(const char *name)
{
    char again[40];
    if (strncmp(name, "step-", 5) != 0) return -1;
    int64_t step = strtoll(name + 5, NULL, 10);
    pha__print(again, sizeof again, "step-%lld", (long long)step);
    return strcmp(again, name) == 0 ? step : -1;
}

static bool is_named(const named *all, int64_t step)
{
    for (int i = 0; i < all->n; i++)
        if (all->step[i] == step) return true;
    return false;
}

/* Does its card say that a run made it? */
static bool is_snapshot(const char *path, int64_t step)
{
    char *card = pha__path_join(path, "README.md"), *text = NULL, line[80];
    size_t size;
    pha__print(line, sizeof line, "\nSnapshot at step %lld, validation loss ", (long long)step);
    bool yes = card && pha__is_own_dir(path) && !pha__may_replace(path, &pha__model_kind, false) &&
               !pha__read_file(&text, &size, card, 1 << 16) && strstr(text, line);
    pha__free(text);
    pha__free(card);
    return yes;
}

static pha_status prune_one(const named *all, const char *best, const char *name)
{
    int64_t step = step_of(name);
    if (step < 0 || is_named(all, step)) return PHA_OK;
    char *path = pha__path_join(best, name);
    if (!path) return PHA_NO_MEMORY;
    if (is_snapshot(path, step)) pha__remove_aside(path, path); /* half of one would be taken for somebody's */
    pha__free(path);
    return PHA_OK;
}

/* Only after a checkpoint has been written that does not name them: a crash in between must leave all that the last one
 * relies on. */
pha_status pha__prune_snapshots(const pha_trainer *t, const char *previous)
{
    named all = {.n = t->n_best};
    for (int i = 0; i < t->n_best; i++) all.step[i] = t->best[i].step;
    if (add_previous(&all, previous)) return PHA_OK;
    char *best = pha__path_join(t->o.out, "best"), **names = NULL;
    size_t n = 0;
    pha_status status = !best ? PHA_NO_MEMORY : pha__is_own_dir(best) ? pha__list_dir(&names, &n, best) : PHA_OK;
    for (size_t i = 0; i < n && !status; i++) status = prune_one(&all, best, names[i]);
    pha__free_list(names, n);
    pha__free(best);
    return status;
}
