/* prepare_api.c -- pha_prepare of pha.h over runtime/data/prepare.h */
#include <math.h>
#include <string.h>

#include "base/print.h"
#include "base/range.h"
#include "pha.h"
#include "runtime/data/prepare.h"
#include "runtime/stop.h"

typedef struct relay {
    pha_progress_fn *progress;
    void *user;
} relay;

/* "  1m 20s left", "" where it can't be known */
static void time_left(char *text, size_t size, double seconds)
{
    long s = (long)(seconds + 0.5);
    text[0] = 0;
    if (seconds < 0) return;
    if (s < 60) pha__print(text, size, "  %lds left", s);
    else if (s < 3600) pha__print(text, size, "  %ldm %02lds left", s / 60, s % 60);
    else pha__print(text, size, "  %ldh %02ldm left", s / 3600, s / 60 % 60);
}

static bool pass_on(void *context, const pha__prepare_progress *p)
{
    const relay *r = context;
    if (!r->progress) return pha__stop_requested();
    double rate = p->seconds > 0 ? (double)p->done / p->seconds : 0;
    double left = rate > 0 && p->total >= p->done ? (double)(p->total - p->done) / rate : -1;
    bool merging = p->phase[0] == 'm';
    char line[160], end[40];
    time_left(end, sizeof end, left);
    pha__print(line, sizeof line, "%s  %.1f/%.1f %s  %.1f %s/s%s", p->phase, (double)p->done / (merging ? 1 : 1e6),
               (double)p->total / (merging ? 1 : 1e6), merging ? "merges" : "MB", rate / (merging ? 1 : 1e6),
               merging ? "merges" : "MB", end);
    pha_progress out = {p->phase, merging ? "merges" : "bytes", line, (double)p->done, (double)p->total, rate, left};
    r->progress(r->user, &out);
    return pha__stop_requested();
}

/* The default gives way to what is asked of the other split; what is no number at all stays, to be refused. */
static double fraction(double x, double other)
{
    if (x == 0) return other + 0.005 > 1 ? 0 : 0.005;
    return pha__in_range(x, -INFINITY, 0) ? 0 : x;
}

static pha_split split(const pha__data *data, const char *name)
{
    for (size_t i = 0; i < data->n; i++) {
        const pha__split_info *s = &data->split[i].info;
        if (!strcmp(data->split[i].name, name))
            return (pha_split){s->tokens, s->bytes, s->words, s->lines, s->documents, s->copies};
    }
    return (pha_split){0};
}

pha_status pha_prepare(const pha_prepare_options *o, pha_prepare_result *result)
{
    pha_prepare_result unused;
    if (!result) result = &unused;
    *result = (pha_prepare_result){0};
    NEED(o, "options");
    if (!o->inputs && o->n_inputs) FAIL(USAGE, "no inputs, but %zu of them", o->n_inputs);
    if ((!o->valid && o->n_valid) || (!o->test && o->n_test)) FAIL(USAGE, "inputs of a split are missing");
    relay r = {o->progress, o->user};
    pha__prepare_options p;
    pha__prepare_defaults(&p);
    p.inputs = o->inputs, p.n_inputs = o->n_inputs;
    p.valid = o->valid, p.n_valid = o->n_valid;
    p.test = o->test, p.n_test = o->n_test;
    p.out = o->out;
    if (o->tokenizer) p.tokenizer = o->tokenizer;
    p.end_token = o->end_token;
    if (o->vocab_size) p.vocab_size = o->vocab_size;
    if (o->train_bytes) p.train_bytes = o->train_bytes;
    p.seed = o->seed;
    p.valid_fraction = fraction(o->valid_fraction, o->test_fraction);
    p.test_fraction = fraction(o->test_fraction, o->valid_fraction);
    p.join = o->join == 1 ? PHA__JOIN_EOT : o->join == 2 ? PHA__JOIN_NONE : PHA__JOIN_AUTO;
    if (o->text_key) p.text_key = o->text_key;
    p.skip_bad = o->skip_bad_lines;
    p.threads = o->threads;
    p.progress = pass_on, p.context = &r;
    pha__prepare_result out = {0};
    TRY(pha__prepare(&p, &out));
    *result = (pha_prepare_result){.train = split(&out.data, "train"),
                                   .valid = split(&out.data, "valid"),
                                   .test = split(&out.data, "test"),
                                   .vocab_size = out.data.vocab_size,
                                   .tokenizer_hash = out.data.tokenizer_hash,
                                   .skipped_lines = out.bad_lines,
                                   .replaced_characters = out.replaced,
                                   .seconds = out.seconds,
                                   .end_id = out.end_id,
                                   .end_from = out.end_from};
    memcpy(result->end_token, out.end_token, sizeof result->end_token);
    return PHA_OK;
}
