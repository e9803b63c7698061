/* prepare.c -- the passes over the text: sizes, vocabulary, tokens */
#include "runtime/data/prepare.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/range.h"
#include "base/utf8.h"
#include "runtime/data/prepare_impl.h"

enum {
    PIECE = 512 << 10, /* small enough that each thread has several in a batch */
    FEW = 100,         /* documents: fewer may be cut to give every split its share */
    LEAST = 2,         /* bytes of a part of the text: one to go by, one to foretell */
};

typedef struct prepare {
    const pha__prepare_options *o;
    pha__prepare_result *result;
    pha__splitter splitter;
    pha__pool *pool;
    pha__tokenizer *tokenizer;
    pha__cuts cuts; /* where its words end; those of GPT-2 while it is being trained */
    pha__bpe_trainer *trainer;
    pha__tokens_writer *writers[PHA__DATA_SPLITS];
    pha__batcher *batcher;
    pha__prepare_place place;
    pha__inputs inputs;
    pha__copies *copies;
    pha__sample sample;               /* of the training text, for the vocabulary */
    uint64_t bytes[PHA__DATA_SPLITS]; /* of text, from the first pass */
    uint64_t files;                   /* bytes of all inputs on disk */
    bool told;                        /* what is odd about the files */
    pha__prepare_progress progress;
    double phase_began, last_told;
    bool enough; /* the pass needs no more text */
    bool stopped;
} prepare;

static void begin_phase(prepare *p, const char *phase, uint64_t total)
{
    p->progress = (pha__prepare_progress){.phase = phase, .total = total};
    p->phase_began = pha__seconds(), p->last_told = 0;
}

/* At most ten times a second, and at the end of a phase. */
static void tell(prepare *p, bool last)
{
    double time = pha__seconds();
    if (!p->o->progress || (!last && time - p->last_told < 0.1)) return;
    p->last_told = time;
    p->progress.seconds = time - p->phase_began;
    p->stopped |= p->o->progress(p->o->context, &p->progress);
}

static pha_status stop_if_asked(const prepare *p)
{
    if (p->stopped) FAIL(STOPPED, "%s: stopped; nothing was written", p->o->out);
    return PHA_OK;
}

typedef pha_status segment_fn(prepare *p, const pha__segment *segment);

/* Calls fn for every segment of some paths. split >= 0: all of it is that split. */
static pha_status walk_text(prepare *p, pha__text *text, int split, segment_fn *fn)
{
    pha__text_stats stats;
    uint64_t before = p->progress.done;
    for (;;) {
        pha__piece piece;
        TRY(pha__text_next(text, &piece));
        if (!piece.data || p->enough) break;
        p->progress.text_bytes += piece.size;
        while (piece.size) {
            pha__segment segment = {piece.data, piece.size, split, piece.begins, piece.ends, piece.wikitext,
                                    piece.path};
            if (split < 0)
                segment = pha__splitter_next(&p->splitter, &piece);
            else
                piece.size = 0;
            TRY(fn(p, &segment));
        }
        pha__text_get_stats(text, &stats);
        p->progress.done = before + stats.bytes_done;
        tell(p, false);
        TRY(stop_if_asked(p));
    }
    pha__text_get_stats(text, &stats);
    p->progress.done = before + stats.bytes_done;
    p->result->files += stats.files, p->result->files_skipped += stats.files_skipped;
    p->result->bad_lines += stats.bad_lines, p->result->replaced += stats.replaced;
    return PHA_OK;
}

static pha_status walk(prepare *p, int source, segment_fn *fn)
{
    pha__text_options options = {.text_key = p->o->text_key,
                                 .skip_bad = p->o->skip_bad,
                                 .piece = PIECE,
                                 .cuts = p->cuts,
                                 .quiet = p->told,
                                 .check = !p->told};
    pha__text *text;
    if (p->inputs.list[source].n == 0) return PHA_OK;
    TRY(pha__text_open_list(&text, &p->inputs.list[source], &options));
    pha_status status = walk_text(p, text, source == PHA__SPLIT_TRAIN ? -1 : source, fn);
    pha__text_close(text);
    return status;
}

static pha_status walk_all(prepare *p, const char *phase, segment_fn *fn)
{
    begin_phase(p, phase, p->files);
    p->result->files = p->result->files_skipped = p->result->bad_lines = p->result->replaced = 0;
    p->enough = false;
    pha__splitter_rewind(&p->splitter);
    for (int i = 0; i < PHA__DATA_SPLITS; i++) TRY(walk(p, i, fn));
    p->told = true;
    tell(p, true);
    return stop_if_asked(p);
}

/* First pass: how much text each split has, and which documents. */
static pha_status measure_segment(prepare *p, const pha__segment *segment)
{
    p->bytes[segment->split] += segment->size;
    return pha__copies_remember(p->copies, segment);
}

static pha_status measure_once(prepare *p)
{
    memset(p->bytes, 0, sizeof p->bytes);
    pha__copies_forget(p->copies);
    TRY(walk_all(p, "reading", measure_segment));
    return pha__copies_end_pass(p->copies, false);
}

/* Few documents may leave a split of the inputs without text, or with next to none. */
static bool is_uneven(const prepare *p)
{
    double total = (double)p->splitter.position;
    for (int i = 0; i < PHA__DATA_SPLITS; i++) {
        double share = pha__splitter_share(&p->splitter, i), has = (double)p->bytes[i];
        if (share > 0 && (has == 0 || (p->splitter.document < FEW && has < share * total / 4))) return true;
    }
    return false;
}

static pha_status check_split(const prepare *p, int split)
{
    const char *out = p->o->out, *name = pha__split_names[split];
    size_t given = split == PHA__SPLIT_VALID ? p->o->n_valid : split == PHA__SPLIT_TEST ? p->o->n_test : 0;
    double share = pha__splitter_share(&p->splitter, split);
    if (p->bytes[split] >= (given || share == 1 ? 1 : LEAST) || (!given && share == 0)) return PHA_OK;
    if (given)
        FAIL(BAD_INPUT, "%s: no text in the input of the %s split, '%s'", out, name,
             split == PHA__SPLIT_VALID ? p->o->valid[0] : p->o->test[0]);
    if (split != PHA__SPLIT_TRAIN)
        FAIL(BAD_INPUT, "%s: too little text for a %s split; name a file for it, or set its fraction to 0", out, name);
    if (p->o->n_inputs == 0) return PHA_OK;
    if (p->inputs.taken_out)
        FAIL(BAD_INPUT, "%s: no text for training is left in the input, for its files are given for valid or test, too",
             out);
    FAIL(BAD_INPUT, "%s: no text for training in the input", out);
}

static pha_status measure(prepare *p)
{
    TRY(measure_once(p));
    if (p->splitter.position > 0 && is_uneven(p)) {
        p->result->by_position = true;
        pha__log(PHA__LOG_NOTE,
                 "%s: too few documents (%" PRIu64
                 ") to give every split its share; the splits are the head and the tail of the text",
                 p->o->out, p->splitter.document);
        pha__splitter_by_position(&p->splitter, p->splitter.position);
        TRY(measure_once(p));
    }
    for (int i = 0; i < PHA__DATA_SPLITS; i++) TRY(check_split(p, i));
    if (!p->tokenizer && p->bytes[PHA__SPLIT_TRAIN] == 0)
        FAIL(USAGE, "%s: no text to train a vocabulary on, for there is no training split; name a tokenizer",
             p->o->out);
    return PHA_OK;
}

/* Second pass: a sample of the training split for the vocabulary. */
static pha_status feed_segment(prepare *p, const pha__segment *segment)
{
    if (segment->split != PHA__SPLIT_TRAIN) return PHA_OK;
    size_t begin, end;
    while (pha__sample_next(&p->sample, segment->data, segment->size, &begin, &end)) {
        p->result->sampled += end - begin;
        TRY(pha__bpe_trainer_feed(p->trainer, segment->data + begin, end - begin));
        TRY(pha__bpe_trainer_break(p->trainer)); /* what is fed next need not follow */
    }
    p->enough = p->sample.run == p->sample.runs;
    return PHA_OK;
}

static bool merged(void *context, int32_t done, int32_t wanted)
{
    prepare *p = context;
    p->progress.done = (uint64_t)done, p->progress.total = (uint64_t)wanted;
    tell(p, done == wanted);
    return p->stopped;
}

static pha_status train_tokenizer(prepare *p)
{
    TRY(pha__bpe_trainer_open(&p->trainer, p->o->vocab_size, 0));
    pha__sample_begin(&p->sample, p->o->seed, p->bytes[PHA__SPLIT_TRAIN], p->o->train_bytes);
    TRY(walk_all(p, "counting pairs", feed_segment));
    begin_phase(p, "merging", 0);
    pha_status status = pha__bpe_trainer_finish(p->trainer, &p->tokenizer, merged, p);
    TRY(stop_if_asked(p)); /* in its own words */
    TRY(status);
    pha__bpe_trainer_close(p->trainer);
    p->trainer = NULL;
    return PHA_OK;
}

/* Last pass. */
static pha_status encode_segment(prepare *p, const pha__segment *segment)
{
    TRY(pha__copies_look(p->copies, segment));
    return pha__batcher_add(p->batcher, segment);
}

/* No text should be in two splits: what is measured on it would not be what it seems. */
static void tell_copies(const prepare *p, const uint64_t copies[PHA__DATA_SPLITS])
{
    const pha__data *data = &p->result->data;
    for (size_t i = 0; i < data->n; i++)
        for (int k = PHA__SPLIT_VALID; k < PHA__DATA_SPLITS; k++)
            if (copies[k] && !strcmp(data->split[i].name, pha__split_names[k]))
                pha__log(PHA__LOG_NOTE,
                         "%s: %s%" PRIu64 " of the %" PRIu64 " documents of the %s split also lie in another split",
                         p->o->out, p->result->estimated ? "about " : "", copies[k], data->split[i].info.documents,
                         pha__split_names[k]);
}

static pha_status finish_splits(prepare *p, pha__split_info *infos)
{
    pha__data *data = &p->result->data;
    uint64_t with, without, copies[PHA__DATA_SPLITS];
    TRY(pha__copies_end_pass(p->copies, true));
    p->result->estimated = !pha__copies_count(p->copies, copies);
    pha__batcher_joined(p->batcher, &with, &without);
    strcpy(data->joined, with && without ? "mixed" : with ? "eot" : "none");
    data->end_token = with ? pha__tokenizer_eot(p->tokenizer) : -1;
    for (int i = 0; i < PHA__DATA_SPLITS; i++) {
        if (!p->writers[i]) continue;
        if (infos[i].bytes != p->bytes[i]) FAIL(IO, "%s: the input changed while it was read; run again", p->o->out);
        pha__tokens_writer *w = p->writers[i];
        p->writers[i] = NULL;
        uint64_t tokens;
        TRY(pha__tokens_writer_finish(w, &tokens));
        infos[i].copies = copies[i];
        strcpy(data->split[data->n].name, pha__split_names[i]);
        data->split[data->n++].info = infos[i];
    }
    tell_copies(p, copies);
    return PHA_OK;
}

static pha_status encode_all(prepare *p)
{
    pha__split_info infos[PHA__DATA_SPLITS] = {0};
    pha__join join = p->o->join;
    pha__data *data = &p->result->data;
    if (join == PHA__JOIN_AUTO && pha__tokenizer_eot(p->tokenizer) < 0) join = PHA__JOIN_NONE;
    if (join == PHA__JOIN_EOT && pha__tokenizer_eot(p->tokenizer) < 0)
        FAIL(USAGE,
             "%s: no end token is known in the tokenizer %s to join documents with; name one of its tokens with "
             "--end-token", p->o->out, p->o->tokenizer);
    data->vocab_size = pha__tokenizer_size(p->tokenizer);
    data->tokenizer_hash = pha__tokenizer_hash(p->tokenizer);
    data->seed = p->o->seed;
    for (int i = 0; i < PHA__DATA_SPLITS; i++)
        if (p->bytes[i])
            TRY(pha__tokens_writer_open(&p->writers[i], p->place.partial, pha__split_names[i], data->vocab_size,
                                        data->tokenizer_hash));
    TRY(pha__batcher_open(&p->batcher, p->tokenizer, p->pool, join, p->writers, infos));
    TRY(walk_all(p, "encoding", encode_segment));
    TRY(pha__batcher_flush(p->batcher));
    p->result->encode_seconds = pha__seconds() - p->phase_began;
    return finish_splits(p, infos);
}

static pha_status check_options(const pha__prepare_options *o)
{
    if (o->n_inputs + o->n_valid + o->n_test == 0) FAIL(USAGE, "no input: name files or folders of text");
    if (!o->out || !*o->out) FAIL(USAGE, "no output folder");
    if (!o->tokenizer || !*o->tokenizer) FAIL(USAGE, "no tokenizer: a path, \"bytes\", or \"train\"");
    double v = o->valid_fraction, t = o->test_fraction;
    if (strcmp(o->tokenizer, "train") == 0 && o->end_token)
        FAIL(USAGE, "--end-token is for a finished tokenizer (--tokenizer); a trained one has <|endoftext|>");
    if (!pha__in_range(v, 0, 1) || !pha__in_range(t, 0, 1) || v + t > 1 + 1e-9)
        FAIL(USAGE, "fractions %g (valid) and %g (test): each at least 0, together at most 1", v, t);
    if (strcmp(o->tokenizer, "train") == 0 && o->train_bytes == 0)
        FAIL(USAGE, "no text (0 bytes) to train a vocabulary on");
    return PHA_OK;
}

static pha_status open_tokenizer(prepare *p)
{
    const pha__prepare_options *o = p->o;
    TRY(pha__tokenizer_open(&p->tokenizer, o->tokenizer));
    if (o->end_token) return pha__tokenizer_set_end(p->tokenizer, o->end_token, "--end-token");
    if (pha__tokenizer_eot(p->tokenizer) < 0)
        pha__log(PHA__LOG_WARN,
                 "%s: no end token is known in this tokenizer, so documents are joined with nothing, and a model won't "
                 "know where a text ends; if it has such a token, name it with --end-token", o->tokenizer);
    return PHA_OK;
}

/* Which token ends documents, for the result. */
static void describe_end(prepare *p)
{
    size_t size;
    pha__prepare_result *r = p->result;
    r->end_id = pha__tokenizer_eot(p->tokenizer);
    r->end_from = pha__tokenizer_end_from(p->tokenizer);
    const unsigned char *text = pha__tokenizer_bytes(p->tokenizer, r->end_id, &size);
    if (!text) return;
    if (size >= sizeof r->end_token) size = pha__utf8_whole(text, sizeof r->end_token - 1);
    memcpy(r->end_token, text, size);
}

static pha_status received(void *context, uint64_t bytes)
{
    prepare *p = context;
    p->progress.done = bytes;
    tell(p, false);
    return stop_if_asked(p);
}

static pha_status open_inputs(prepare *p)
{
    begin_phase(p, "receiving", 0);
    TRY(pha__inputs_open(&p->inputs, p->o, p->place.partial, received, p));
    for (int i = 0; i < PHA__DATA_SPLITS; i++) p->files += p->inputs.list[i].bytes;
    return PHA_OK;
}

static pha_status write_folder(prepare *p)
{
    TRY(pha__tokenizer_save_folder(p->tokenizer, p->place.partial));
    describe_end(p);
    TRY(pha__data_write(p->place.partial, &p->result->data));
    return pha__prepare_place_commit(&p->place, p->o->out);
}

static pha_status run(prepare *p)
{
    const pha__prepare_options *o = p->o;
    bool train = strcmp(o->tokenizer, "train") == 0;
    TRY(check_options(o));
    TRY(pha__prepare_place_open(&p->place, o->out));
    p->splitter.seed = o->seed;
    p->splitter.fraction[PHA__SPLIT_VALID] = o->n_valid || !o->n_inputs ? 0 : o->valid_fraction;
    p->splitter.fraction[PHA__SPLIT_TEST] = o->n_test || !o->n_inputs ? 0 : o->test_fraction;
    if (!train) TRY(open_tokenizer(p));
    p->cuts = train ? PHA__CUT_BLANK | PHA__CUT_LINE_END : pha__tokenizer_cuts(p->tokenizer);
    TRY(pha__pool_open(&p->pool, o->threads));
    TRY(open_inputs(p));
    TRY(pha__copies_open(&p->copies));
    TRY(measure(p));
    if (train) TRY(train_tokenizer(p));
    TRY(encode_all(p));
    return write_folder(p);
}

static void close_all(prepare *p)
{
    pha__batcher_close(p->batcher);
    pha__copies_close(p->copies);
    pha__inputs_close(&p->inputs);
    for (int i = 0; i < PHA__DATA_SPLITS; i++) pha__tokens_writer_abort(p->writers[i]);
    pha__bpe_trainer_close(p->trainer);
    pha__tokenizer_close(p->tokenizer);
    pha__pool_close(p->pool);
    pha__prepare_place_close(&p->place);
}

void pha__prepare_defaults(pha__prepare_options *options)
{
    *options = (pha__prepare_options){.tokenizer = "train",
                                      .vocab_size = 16384,
                                      .train_bytes = (uint64_t)64 << 20,
                                      .valid_fraction = 0.005,
                                      .test_fraction = 0.005};
}

pha_status pha__prepare(const pha__prepare_options *options, pha__prepare_result *result)
{
    pha__prepare_result unused;
    pha__prepare_options own = *options;
    prepare p = {.o = &own, .result = result ? result : &unused};
    char *place = NULL; /* behind links, so that the folder is replaced there */
    *p.result = (pha__prepare_result){0};
    double began = pha__seconds();
    pha_status status = own.out && *own.out ? pha__resolve(&place, own.out) : PHA_OK;
    if (place) own.out = place;
    if (!status) status = run(&p);
    pha__message message = pha__message_keep(); /* of the failure: closing may fail too */
    p.result->seconds = pha__seconds() - began;
    close_all(&p);
    pha__free(place);
    pha__message_restore(&message);
    return status;
}
