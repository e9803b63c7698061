/* run_folder.c -- who may train into a folder, and what a killed run left in it */
#include "runtime/train/run_folder.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "base/inside.h"
#include "base/json.h"

static bool has(const char *folder, const char *name)
{
    char *path = pha__path_join(folder, name);
    bool yes = !path || pha__exists(path); /* without memory nothing is taken to be absent */
    pha__free(path);
    return yes;
}

/* ---- may a run begin here? ------------------------------------------------------------------------------- */

/* What is there before the first checkpoint is. */
static bool of_a_start(const char *name, bool is_run)
{
    static const char *const always[] = {"lock", ".run.json.pha-tmp"}, *const then[] = {
        "run.json", "config.json", ".config.json.pha-tmp", "checkpoint.new.writing", ".checkpoint.new.lock"};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (!strcmp(name, always[i])) return true;
    for (size_t i = 0; is_run && i < sizeof then / sizeof *then; i++)
        if (!strcmp(name, then[i])) return true;
    return false;
}

/* Is run.json that of the same command? */
static bool same_command(const pha_train_options *o)
{
    char *path = pha__path_join(o->out, "run.json");
    json_t *json = NULL, *now = o->command ? pha__json_text(o->command) : NULL;
    bool same = path && now && !pha__json_load(&json, path, 1 << 24) &&
                json_equal(json_object_get(json, "command"), now);
    json_decref(json);
    json_decref(now);
    pha__free(path);
    return same;
}

pha_status pha__run_check(const pha_train_options *o)
{
    if (!o->out) FAIL(USAGE, "training needs a run folder to write to");
    if (!pha__exists(o->out)) return PHA_OK;
    TRY(pha__need_dir(o->out, "choose another name for the run folder"));
    if (o->init_from && pha__is_inside(o->init_from, o->out))
        FAIL(USAGE, "%s: is a part of the run in %s and would be replaced; copy it to another place first",
             o->init_from, o->out);
    if (o->resume) return PHA_OK;
    char **names;
    size_t n, others = 0;
    TRY(pha__list_dir(&names, &n, o->out));
    bool is_run = has(o->out, "run.json");
    for (size_t i = 0; i < n; i++) others += !of_a_start(names[i], is_run);
    pha__free_list(names, n);
    if (is_run && (others || !same_command(o)))
        FAIL(USAGE, "%s: holds a run; resume it with --resume, or choose another folder", o->out);
    if (others) FAIL(USAGE, "%s: is not empty and not a run; choose another folder", o->out);
    return PHA_OK;
}

pha_status pha__run_lock(pha__lock *lock, const char *folder)
{
    return pha__lock_folder(lock, folder, "training into");
}

pha_status pha__run_has_history(const char *folder, const char **what)
{
    char *log = pha__path_join(folder, "log.jsonl");
    if (!log) return PHA_NO_MEMORY;
    bool logged = pha__exists(log) && pha__file_size(log) != 0;
    pha__free(log);
    *what = logged ? "a log of steps" : has(folder, "best") ? "a best/" : has(folder, "model") ? "a model/" : NULL;
    return PHA_OK;
}

/* ---- sweeping -------------------------------------------------------------------------------------------- */

typedef void sweep(const char *path);

static void sweep_model(const char *path) { pha__sweep(path, &pha__model_kind); }
static void sweep_checkpoint(const char *path) { pha__sweep(path, &pha__checkpoint_kind); }

static void sweep_file(const char *path)
{
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISREG(info.st_mode)) pha__sys_remove(path);
}

/* Taken and left, unless somebody has it. */
static void sweep_lock(const char *path)
{
    pha__lock lock;
    if (pha__file_size(path) == 0 && !pha__lock_open(&lock, path)) pha__lock_close(&lock);
}

static const struct rule {
    const char *begin, *end; /* end NULL: the whole name */
    sweep *sweep;
} in_run[] = {{"checkpoint.new.writing", NULL, sweep_checkpoint}, {"checkpoint.writing", NULL, sweep_checkpoint},
              {"model.writing", NULL, sweep_model},               {".model.average", NULL, sweep_model},
              {".model.average.writing", NULL, sweep_model},      {"model.average.writing", NULL, sweep_model},
              {".model.replaced", NULL, sweep_model},             {".model.removed", NULL, sweep_model},
              {".run.json.pha-tmp", NULL, sweep_file},            {".config.json.pha-tmp", NULL, sweep_file},
              {".", ".lock", sweep_lock},                         {0}},
  in_best[] = {{"step-", ".writing", sweep_model},
               {".step-", ".replaced", sweep_model},
               {".step-", ".removed", sweep_model},
               {".step-", ".lock", sweep_lock},
               {0}};

static bool matches(const struct rule *r, const char *name)
{
    if (!r->end) return !strcmp(name, r->begin);
    size_t n = strlen(name), a = strlen(r->begin), b = strlen(r->end);
    return n > a + b && !strncmp(name, r->begin, a) && !strcmp(name + n - b, r->end);
}

static void sweep_folder(const char *folder, const struct rule *rules)
{
    char **names;
    size_t n;
    if (!pha__is_dir(folder) || pha__list_dir(&names, &n, folder)) return;
    for (size_t i = 0; i < n; i++) {
        char *path = pha__path_join(folder, names[i]);
        for (const struct rule *r = rules; path && r->begin; r++)
            if (matches(r, names[i])) r->sweep(path);
        pha__free(path);
    }
    pha__free_list(names, n);
}

void pha__run_sweep(const char *folder)
{
    pha__message first = pha__message_keep();
    char *best = pha__path_join(folder, "best");
    sweep_folder(folder, in_run);
    if (best && pha__is_own_dir(best)) sweep_folder(best, in_best);
    pha__free(best);
    pha__message_restore(&first);
}
