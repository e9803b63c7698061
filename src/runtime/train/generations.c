/* generations.c -- the two checkpoints of a run
 *
 *   checkpoint/            the last one
 *   checkpoint.previous/   the one before: what a run goes on from if the last is damaged or gone
 *   checkpoint.new/        whole, and about to become the last one: only between two renames
 *   checkpoint.damaged/    one that could not be read, kept for a person to look at
 *
 * The name checkpoint.new is given by a rename of what is written and synced, so whoever finds it finishes the turn:
 * last to previous, new to last. Nothing here needs names that are swapped at once, and at any moment two are whole.
 */
#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/str.h"
#include "runtime/train/run_folder.h"

enum { LAST, PREVIOUS, NEW, DAMAGED, NAMES };

typedef struct generations {
    char *path[NAMES];
} generations;

static void close_names(generations *g)
{
    for (int i = 0; i < NAMES; i++) pha__free(g->path[i]);
}

/* Behind a link, if checkpoint/ is one: all four lie where the last one does. */
static pha_status open_names(generations *g, const char *folder)
{
    static const char *const endings[] = {"", ".previous", ".new", ".damaged"};
    *g = (generations){0};
    char *inside = pha__path_join(folder, "checkpoint"), *place = NULL;
    pha_status status = inside ? pha__resolve(&place, inside) : PHA_NO_MEMORY;
    for (int i = 0; i < NAMES && !status; i++) {
        pha__str name = {0};
        pha__str_printf(&name, "%s%s", place, endings[i]);
        g->path[i] = name.data;
        if (name.failed) status = PHA_NO_MEMORY;
    }
    pha__free(inside);
    pha__free(place);
    if (status) close_names(g);
    return status;
}

static pha_status move(const char *from, const char *to)
{
    if (pha__sys_rename(from, to) == 0) return PHA_OK;
    FAIL(IO, "%s: cannot be renamed to %s: %s", from, to, pha__error_text(errno));
}

/* Makes room for another of the kind; what is not one stays and is an error. */
static pha_status clear(const char *path)
{
    TRY(pha__may_replace(path, &pha__checkpoint_kind, true));
    return pha__remove_tree(path);
}

static pha_status turn(const generations *g)
{
    if (!pha__is_own_dir(g->path[NEW])) return PHA_OK;
    if (pha__exists(g->path[LAST])) {
        TRY(clear(g->path[PREVIOUS]));
        TRY(move(g->path[LAST], g->path[PREVIOUS]));
    }
    TRY(move(g->path[NEW], g->path[LAST]));
    return pha__sync_parent(g->path[LAST]);
}

/* What only the leading rank does, with one outcome for all. */
static pha_status turn_by_leader(const pha_trainer *t, const generations *g)
{
    return pha__comm_agree(t->comm, pha__leads(t) ? turn(g) : PHA_OK);
}

pha_status pha__checkpoint_save(pha_trainer *t)
{
    generations g;
    TRY(pha__comm_agree(t->comm, open_names(&g, t->o.out)));
    pha_status status = turn_by_leader(t, &g);
    if (!status) status = pha_trainer_save(t, g.path[NEW]);
    if (!status) status = turn_by_leader(t, &g);
    if (!status) status = pha__comm_agree(t->comm, pha__leads(t) ? pha__prune_snapshots(t, g.path[PREVIOUS]) : PHA_OK);
    close_names(&g);
    return status;
}

/* ---- loading --------------------------------------------------------------------------------------------- */

static pha_status lost(const char *folder)
{
    const char *what;
    TRY(pha__run_has_history(folder, &what));
    if (what)
        FAIL(BAD_INPUT,
             "%s: has %s but no checkpoint to go on from, and a run does not start over by itself; put checkpoint/ or "
             "checkpoint.previous/ back, or train the same again in another folder: pha train --run-file %s/run.json "
             "--out NEW (with --init-from %s/best/step-N it begins with the weights of a snapshot)",
             folder, what, folder, folder);
    pha__log(PHA__LOG_NOTE, "%s: has no checkpoint yet; the run starts from the beginning", folder);
    return PHA_OK;
}

/* Is it said of both for the same reason, as of options that belong to another run? Paths stand before ": ". */
static bool same_reason(const char *a, const char *b)
{
    const char *x = strstr(a, ": "), *y = strstr(b, ": ");
    return x && y && !strcmp(x, y);
}

/* A damaged one makes way, so that the next turn does not put it over the good one. */
static pha_status step_back(pha_trainer *t, const generations *g, const pha__message *why)
{
    pha__log(PHA__LOG_WARN, "%s; the run goes on from %s, step %lld", why->text, g->path[PREVIOUS],
             (long long)t->step);
    if (!pha__exists(g->path[LAST])) return PHA_OK;
    TRY(clear(g->path[DAMAGED]));
    TRY(move(g->path[LAST], g->path[DAMAGED]));
    pha__log(PHA__LOG_NOTE, "%s: is kept as %s; remove it when you like", g->path[LAST], g->path[DAMAGED]);
    return pha__sync_parent(g->path[LAST]);
}

/* Which of the two there are, as the leading rank sees it. */
static pha_status look(const pha_trainer *t, const generations *g, bool there[2])
{
    there[LAST] = pha__exists(g->path[LAST]), there[PREVIOUS] = pha__exists(g->path[PREVIOUS]);
    return pha__from_leader(t, PHA_OK, there, 2 * sizeof *there);
}

static pha_status load(pha_trainer *t, const generations *g, const bool there[2])
{
    pha_status status = PHA_BAD_INPUT;
    if (there[LAST]) status = pha_trainer_load(t, g->path[LAST]);
    else pha__fail(status, "%s: is missing", g->path[LAST]);
    if ((status != PHA_BAD_INPUT && status != PHA_IO) || !there[PREVIOUS]) return status;
    pha__message first = pha__message_keep();
    if (!pha_trainer_load(t, g->path[PREVIOUS]))
        return pha__comm_agree(t->comm, pha__leads(t) ? step_back(t, g, &first) : PHA_OK);
    pha__message second = pha__message_keep();
    if (same_reason(first.text, second.text)) pha__message_restore(&first);
    else pha__fail(status, "%.500s; and %.500s", first.text, second.text);
    return status;
}

pha_status pha__checkpoint_load(pha_trainer *t, bool *loaded)
{
    generations g;
    bool there[2];
    TRY(pha__comm_agree(t->comm, open_names(&g, t->o.out)));
    pha_status status = turn_by_leader(t, &g);
    if (!status) status = look(t, &g, there);
    *loaded = !status && (there[LAST] || there[PREVIOUS]);
    if (*loaded) status = load(t, &g, there);
    else if (!status) status = pha__comm_agree(t->comm, pha__leads(t) ? lost(t->o.out) : PHA_OK);
    close_names(&g);
    return status;
}
