/* new.c -- pha_new: look, prepare, plan, train, score, report; each stage leaves something behind from which the same
 * call goes on
 *
 *   data/         after preparing, written as a whole
 *   plan.json     after planning; from here on the plan is fixed, and with it every bit of the result
 *   checkpoint/ and all else of a run: pha_train, which resumes
 *   plan.json     again, with the result: complete
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/place.h"
#include "base/print.h"
#include "base/range.h"
#include "runtime/model.h"
#include "runtime/new/new.h"
#include "runtime/stop.h"

static const double MINUTES = 10, MINUTES_LEAST = 0.05, MINUTES_MOST = 1e5;
/* Bytes a second that preparing surely reads, and the share of the time that it may take. */
static const double READING = 5e6, READING_SHARE = 0.5;
/* A prediction of the time that fails by more is told. */
static const double LATE = 0.2;

/* ---- options --------------------------------------------------------------------------------------------- */

static pha_status open_options(pha_new_options *o, const pha_new_options *given)
{
    *o = *given;
    if (o->minutes == 0) o->minutes = MINUTES;
    if (!pha__in_range(o->minutes, MINUTES_LEAST, MINUTES_MOST))
        FAIL(USAGE, "minutes = %g is not between %g and %g", o->minutes, MINUTES_LEAST, MINUTES_MOST);
    if (o->most_steps < 0) FAIL(USAGE, "most_steps = %lld is below 0", (long long)o->most_steps);
    if (o->threads < 0 || o->threads > 1024) FAIL(USAGE, "threads = %d is not between 0 and 1024", o->threads);
    return PHA_OK;
}

static pha_status check_time(const pha__look *look, const pha_new_options *o)
{
    double seconds = look->text / READING;
    if (seconds <= READING_SHARE * 60 * o->minutes) return PHA_OK;
    FAIL(USAGE, "%.1f GB of text may take %.0f minutes to read alone; give --minutes %.0f, or a part of the text",
         look->text / 1e9, ceil(seconds / 60), ceil(seconds / 60 / READING_SHARE));
}

/* Two bytes a token, which stands for two bytes of text at least, as a rule. */
static double data_bytes(const pha__look *look) { return look->text + 1e6; }

/* ---- preparing ------------------------------------------------------------------------------------------- */

static pha_status prepare(const pha_new_options *o, const pha__look *look, const char *data)
{
    pha_prepare_options p = {.inputs = o->inputs, .n_inputs = o->n_inputs, .out = data,
                             .vocab_size = pha__new_vocabulary(look->text, o->minutes),
                             .valid_fraction = pha__new_held(look->text), .test_fraction = -1, .seed = o->seed,
                             .threads = o->threads, .progress = o->progress, .user = o->user};
    return pha_prepare(&p, NULL);
}

/* ---- planning alone -------------------------------------------------------------------------------------- */

static pha_status make_temporary(char **folder)
{
    const char *tmp = getenv("TMPDIR");
    pha__str path = {0};
    pha__str_printf(&path, "%s/pha-new-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    *folder = NULL;
    if (path.failed) return PHA_NO_MEMORY;
    if (!mkdtemp(path.data)) {
        pha_status status = pha__fail(PHA_IO, "%s: %s", path.data, strerror(errno));
        pha__str_free(&path);
        return status;
    }
    *folder = path.data;
    return PHA_OK;
}

static pha_status plan_in(pha_plan *plan, const pha_new_options *o, const pha__look *look, const char *folder,
                          double began)
{
    char *data = pha__path_join(folder, "data");
    pha_status status = data ? pha__need_room(folder, data_bytes(look)) : PHA_NO_MEMORY;
    if (!status) status = prepare(o, look, data);
    if (!status) status = pha__new_make_plan(plan, o, data, began);
    plan->text_bytes = look->bytes;
    pha__free(data);
    return status;
}

pha_status pha_new_plan(const pha_new_options *given, pha_plan *plan)
{
    pha_new_options o;
    pha__look look;
    char *folder;
    double began = pha__seconds();
    NEED(plan, "a place for its result");
    *plan = (pha_plan){0};
    NEED(given, "options");
    TRY(open_options(&o, given));
    o.out = NULL;
    TRY(pha__look_at(&look, &o));
    TRY(check_time(&look, &o));
    TRY(make_temporary(&folder));
    pha_status status = plan_in(plan, &o, &look, folder, began);
    if (status) *plan = (pha_plan){0};
    pha__discard(folder);
    pha__free(folder);
    return status;
}

/* ---- the work -------------------------------------------------------------------------------------------- */

typedef struct work {
    pha_new_options o;
    pha__new_file file;
    char *data, *config, *model;
    double began;
} work;

static pha_status open_paths(work *w)
{
    w->data = pha__path_join(w->o.out, "data");
    w->config = pha__path_join(w->o.out, "config.json");
    w->model = pha__path_join(w->o.out, "model");
    return w->data && w->config && w->model ? PHA_OK : PHA_NO_MEMORY;
}

static void close_paths(work *w)
{
    pha__free(w->data);
    pha__free(w->config);
    pha__free(w->model);
}

/* Is what lies there the same piece of work? */
static pha_status compare(const work *w, const pha__look *look)
{
    const pha__new_file *f = &w->file;
    const pha_new_options *o = &w->o;
    if (f->text.identity != look->identity)
        FAIL(USAGE, "%s: was made of another text (%llu files, %llu bytes; here %llu, %llu); choose another --out",
             o->out, (unsigned long long)f->text.files, (unsigned long long)f->text.bytes,
             (unsigned long long)look->files, (unsigned long long)look->bytes);
    if (f->minutes != o->minutes)
        FAIL(USAGE, "%s: was planned for %g minutes, not %g; choose another --out, or --minutes %g", o->out, f->minutes,
             o->minutes, f->minutes);
    if (f->most_steps != o->most_steps || f->seed != o->seed)
        FAIL(USAGE, "%s: was planned with another %s; choose another --out", o->out,
             f->seed != o->seed ? "seed" : "bound on its steps");
    return PHA_OK;
}

/* What a call leaves that ended before there was a plan; while a file is written it has another name. */
static bool is_of_a_start(const char *name)
{
    static const char *const known[] = {"plan.json", "config.json", "data", ".data.partial", ".data.lock",
                                        ".data.replaced", ".data.removed"};
    char whole[256];
    pha__whole_name(whole, name);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(whole, known[i])) return true;
    return false;
}

static pha_status check_new(const work *w)
{
    char **names, other[256] = "";
    size_t n;
    if (!pha__exists(w->o.out)) return PHA_OK;
    TRY(pha__need_dir(w->o.out, "choose another name for the folder"));
    TRY(pha__list_dir(&names, &n, w->o.out));
    for (size_t i = 0; i < n && !*other; i++)
        if (!is_of_a_start(names[i])) pha__print_visible(other, sizeof other, names[i]);
    pha__free_list(names, n);
    if (*other)
        FAIL(USAGE, "%s: holds %s, which this command did not make; choose another --out", w->o.out, other);
    return PHA_OK;
}

/* Data that a stopped call has left is of this text if it was written for it: there is no plan yet that says so, so it
 * is made again. */
static pha_status make_plan(work *w, const pha__look *look)
{
    TRY(check_new(w));
    TRY(check_time(look, &w->o));
    TRY(pha__need_room(w->o.out, data_bytes(look)));
    TRY(pha__mkdirs(w->o.out));
    TRY(prepare(&w->o, look, w->data));
    w->file = (pha__new_file){.text = *look, .minutes = w->o.minutes, .most_steps = w->o.most_steps, .seed = w->o.seed};
    TRY(pha__new_make_plan(&w->file.plan, &w->o, w->data, w->began));
    w->file.plan.text_bytes = look->bytes;
    TRY(pha__need_room(w->o.out, (double)w->file.plan.disk_bytes));
    return pha__new_save(&w->file, w->o.out);
}

static pha_status write_config(const work *w)
{
    pha__config c;
    pha__config_rules rules = pha__rules();
    int rung = 0;
    if (pha__exists(w->config)) return PHA_OK; /* the run's */
    for (; rung < pha__rungs(); rung++) {
        TRY(pha__rung_config(&c, rung, w->file.plan.vocab_size));
        if (c.d_model == w->file.plan.d_model && c.n_layer == w->file.plan.n_layer)
            return pha__config_save(&c, w->config, &rules);
    }
    FAIL(BAD_INPUT, "%s: its plan has a model that this pha does not know", w->o.out);
}

static pha_status train(work *w)
{
    const pha_plan *p = &w->file.plan;
    int64_t quarter = p->steps / 4 > 0 ? p->steps / 4 : 1;
    pha_train_options o = {.config = w->config, .data = w->data, .out = w->o.out, .resume = true, .seed = w->o.seed,
                           .context = p->context, .batch = p->batch, .micro_batch = pha__together(p->batch),
                           .steps = p->steps, .lr = p->lr, .warmup = p->warmup, .lr_min_ratio = 0.05,
                           .weight_decay = 0.1, .clip = 1, .dropout = p->dropout, .spike = p->batch < 8 ? -1 : 0,
                           .eval_every = quarter, .eval_tokens = pha__new_glance(p), .checkpoint_every = quarter,
                           .keep_best = -1, .average_best = -1, .threads = w->o.threads, .command = w->o.command,
                           .progress = w->o.progress, .user = w->o.user};
    TRY(write_config(w));
    return pha_train(&o, NULL);
}

static pha_status score(work *w)
{
    pha_eval_result r;
    pha__new_file *f = &w->file;
    bool all = f->plan.scored_tokens >= f->plan.held_tokens;
    pha_eval_options o = {.model = w->model, .data = w->data, .split = "valid", .context = f->plan.context,
                          .max_tokens = all ? 0 : (int64_t)f->plan.scored_tokens, .threads = w->o.threads,
                          .progress = w->o.progress, .user = w->o.user};
    TRY(pha_eval(&o, &r));
    f->loss = r.nll / (double)r.tokens, f->token_ppl = r.token_ppl, f->accuracy = r.accuracy;
    /* Of a part the bytes are not known; its tokens are as long as those of the whole. */
    f->bits_per_byte = all && r.scored_bytes ? r.bits_per_byte : f->loss / f->plan.bytes_per_token / log(2);
    return PHA_OK;
}

/* ---- a sample for the report ----------------------------------------------------------------------------- */

static bool collect(void *user, const char *text, size_t size)
{
    pha__str_add(user, text, size);
    return true;
}

static pha_status sample(pha__str *text, const work *w)
{
    pha_model *model;
    pha_session *session = NULL;
    pha_generate_options o = {.sample = {.temperature = 0.8, .top_p = 0.95, .seed = w->o.seed}, .max_tokens = 60,
                              .ignore_end = true, .text = collect, .user = text};
    TRY(pha_model_open(&model, w->model));
    pha_status status = pha_session_open(&session, model, &(pha_session_options){.threads = w->o.threads,
                                                                                  .max_context = 256});
    if (!status) status = pha_generate(session, "The", 3, &o, NULL);
    pha_session_close(session);
    pha_model_close(model);
    return text->failed ? PHA_NO_MEMORY : status;
}

static pha_status report(work *w)
{
    pha__str text = {0};
    pha__str_puts(&text, "The");
    pha_status status = sample(&text, w);
    const char *samples[] = {text.data};
    if (!status) status = pha_report(w->o.out, samples, 1);
    pha__str_free(&text);
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------------------- */

static void tell_time(const work *w, const pha_new_result *r)
{
    double planned = w->file.plan.seconds;
    if (r->resumed || fabs(r->seconds / planned - 1) <= LATE) return;
    pha__log(PHA__LOG_NOTE,
             "it took %.0f s and not %.0f as planned: the machine was %s than when it was measured; the result is that "
             "of the plan",
             r->seconds, planned, r->seconds > planned ? "slower" : "faster");
}

static void fill_result(pha_new_result *r, const pha__new_file *f)
{
    r->plan = f->plan;
    r->loss = f->loss, r->token_ppl = f->token_ppl, r->bits_per_byte = f->bits_per_byte, r->accuracy = f->accuracy;
    r->seconds = f->seconds;
}

static pha_status do_work(work *w, pha_new_result *r)
{
    TRY(train(w));
    TRY(score(w));
    TRY(report(w));
    w->file.seconds += pha__seconds() - w->began;
    w->file.complete = true;
    TRY(pha__new_save(&w->file, w->o.out));
    fill_result(r, &w->file);
    tell_time(w, r);
    return PHA_OK;
}

/* What was spent before a stop counts, too. */
static pha_status keep_time(work *w, pha_status status)
{
    if (status != PHA_STOPPED) return status;
    pha__message first = pha__message_keep();
    w->file.seconds += pha__seconds() - w->began;
    pha__new_save(&w->file, w->o.out);
    pha__message_restore(&first);
    return status;
}

static pha_status run(work *w, pha_new_result *r)
{
    pha__look look;
    bool there;
    TRY(pha__new_load(&w->file, w->o.out, &there));
    TRY(pha__look_at(&look, &w->o));
    if (there) TRY(compare(w, &look));
    else TRY(make_plan(w, &look));
    r->complete_before = w->file.complete, r->resumed = there && !w->file.complete;
    fill_result(r, &w->file);
    if (w->file.complete) return PHA_OK;
    if (w->o.planned) w->o.planned(w->o.user, &w->file.plan, there);
    return keep_time(w, do_work(w, r));
}

pha_status pha_new(const pha_new_options *given, pha_new_result *result)
{
    pha_new_result unused;
    work w = {.began = pha__seconds()};
    pha__lock lock;
    if (!result) result = &unused;
    *result = (pha_new_result){.loss = NAN};
    NEED(given, "options");
    TRY(open_options(&w.o, given));
    if (!w.o.out) FAIL(USAGE, "a folder for the model is missing");
    TRY(pha__place_lock(&lock, w.o.out, "pha new"));
    pha_status status = open_paths(&w);
    if (!status) status = run(&w, result);
    close_paths(&w);
    pha__lock_close(&lock);
    return status;
}
