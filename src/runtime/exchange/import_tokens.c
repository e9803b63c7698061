/* import_tokens.c -- token files of nanoGPT and llm.c as a data folder
 *
 * The ids are those of the files. What the text behind them has of bytes, words and lines is counted from the bytes of
 * the tokens, so that numbers per word and per byte are known; a document is what lies between end tokens.
 */
#include <string.h>

#include "io/text.h"
#include "io/token_bin.h"
#include "runtime/data/prepare_impl.h"
#include "runtime/exchange/exchange.h"
#include "runtime/stop.h"

enum { STAGE = 1 << 16 };

typedef struct file {
    char *path;
    int split;
} file;

typedef struct job {
    const pha__tokenizer *tokenizer;
    const char *folder; /* to write into */
    file *files;
    size_t n, capacity;
    pha__data data;
    bool joined;
    int32_t *ids; /* (STAGE) */
} job;

/* ---- the files ------------------------------------------------------------------------------------------- */

static bool is_bin(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && !strcmp(name + n - 4, ".bin");
}

static int split_of(const char *name)
{
    return strstr(name, "val") ? PHA__SPLIT_VALID : strstr(name, "test") ? PHA__SPLIT_TEST : PHA__SPLIT_TRAIN;
}

static pha_status add_file(job *j, char *path, int split)
{
    if (path && j->n == j->capacity) {
        size_t capacity = 2 * j->capacity + 16;
        file *more = pha__realloc(j->files, capacity, sizeof *more);
        if (more) j->files = more, j->capacity = capacity;
    }
    if (!path || j->n == j->capacity) {
        pha__free(path);
        FAIL(NO_MEMORY, "no memory for the list of files");
    }
    j->files[j->n++] = (file){path, split};
    return PHA_OK;
}

/* split < 0: as the names say. nanoGPT puts meta.pkl beside ids of characters, which are of no tokenizer. */
static pha_status add_folder(job *j, const char *folder, int split)
{
    char **names;
    size_t n, before = j->n;
    TRY(pha__list_dir(&names, &n, folder));
    pha_status status = PHA_OK;
    for (size_t i = 0; i < n && !status; i++) {
        if (!strcmp(names[i], "meta.pkl"))
            status = pha__fail(PHA_BAD_INPUT, "%s: has a vocabulary of its own in meta.pkl, not that of a tokenizer; "
                               "use `pha prepare` on its text", folder);
        else if (is_bin(names[i]))
            status = add_file(j, pha__path_join(folder, names[i]), split < 0 ? split_of(names[i]) : split);
    }
    pha__free_list(names, n);
    if (!status && j->n == before) FAIL(BAD_INPUT, "%s: has no token files (.bin)", folder);
    return status;
}

static pha_status add_paths(job *j, const char *const *paths, size_t n, int split)
{
    for (size_t i = 0; i < n; i++) {
        if (!paths[i]) FAIL(USAGE, "a file without a name");
        if (pha__is_dir(paths[i])) TRY(add_folder(j, paths[i], split));
        else TRY(add_file(j, pha__strdup(paths[i]), split < 0 ? PHA__SPLIT_TRAIN : split));
    }
    return PHA_OK;
}

pha_status pha__is_token_path(bool *yes, const char *path)
{
    char **names;
    size_t n;
    *yes = is_bin(path) && !pha__is_dir(path);
    if (!pha__is_dir(path)) return PHA_OK;
    TRY(pha__list_dir(&names, &n, path));
    for (size_t i = 0; i < n; i++) *yes = *yes || is_bin(names[i]);
    pha__free_list(names, n);
    return PHA_OK;
}

/* ---- counting -------------------------------------------------------------------------------------------- */

typedef struct counter {
    pha__split_info *info;
    const pha__tokenizer *tokenizer;
    int32_t eot;
    char before;   /* the last byte of text; '\n' where a document begins */
    bool inside;   /* a document has begun */
    bool open;     /* the first token ended within a word, and what follows it is not known yet */
    bool joined;   /* there was an end token */
} counter;

/* The first token is never a target: what it stands for is told apart. A word counts as its own if it ends there. */
static void count_first(counter *c, const char *text, size_t n)
{
    uint64_t words = 0, lines = 0;
    pha__text_count(text, n, '\n', &words, &lines);
    c->info->first_bytes = n, c->info->first_words = words + lines;
    c->open = n > 0 && !pha__text_is_space(text[n - 1]);
}

static void count(counter *c, int32_t id)
{
    size_t n;
    const char *text = (const char *)pha__tokenizer_bytes(c->tokenizer, id, &n);
    bool first = c->info->tokens++ == 0, end = id == c->eot;
    if (c->open && !end && n) {
        if (!pha__text_is_space(text[0])) c->info->first_words--;
        c->open = false;
    }
    if (end) {
        c->before = '\n', c->inside = c->open = false, c->joined = true;
        return;
    }
    if (!c->inside) c->info->documents++, c->inside = true;
    if (!n) return;
    uint64_t words = 0, lines = 0;
    if (first) count_first(c, text, n);
    pha__text_count(text, n, c->before, &words, &lines);
    c->before = text[n - 1];
    c->info->bytes += n, c->info->lines += lines, c->info->words += words + lines;
}

/* ---- writing --------------------------------------------------------------------------------------------- */

static pha_status copy_file(job *j, const char *path, pha__tokens_writer *w, counter *c)
{
    pha__token_bin b;
    TRY(pha__token_bin_open(&b, path));
    pha_status status = PHA_OK;
    for (uint64_t at = 0; at < b.count && !status; at += STAGE) {
        size_t n = b.count - at < STAGE ? (size_t)(b.count - at) : STAGE;
        status = pha__token_bin_read(&b, at, n, j->data.vocab_size, j->ids);
        for (size_t i = 0; i < n && !status; i++) count(c, j->ids[i]);
        if (!status) status = pha__tokens_writer_add(w, j->ids, n);
        if (!status && pha__stop_requested()) status = pha__fail(PHA_STOPPED, "stopped; nothing was written");
    }
    pha__token_bin_close(&b);
    return status;
}

static pha_status copy_split(job *j, int split)
{
    size_t k = 0;
    while (k < j->n && j->files[k].split != split) k++;
    if (k == j->n) return PHA_OK;
    pha__tokens_writer *w;
    uint64_t written;
    pha__split_info info = {0};
    counter c = {.info = &info, .tokenizer = j->tokenizer, .eot = pha__tokenizer_eot(j->tokenizer), .before = '\n'};
    TRY(pha__tokens_writer_open(&w, j->folder, pha__split_names[split], j->data.vocab_size, j->data.tokenizer_hash));
    pha_status status = PHA_OK;
    for (; k < j->n && !status; k++)
        if (j->files[k].split == split) status = copy_file(j, j->files[k].path, w, &c);
    if (status) pha__tokens_writer_abort(w);
    else status = pha__tokens_writer_finish(w, &written);
    size_t at = j->data.n++;
    memcpy(j->data.split[at].name, pha__split_names[split], strlen(pha__split_names[split]) + 1);
    j->data.split[at].info = info;
    j->joined |= c.joined;
    return status;
}

static pha_status write_folder(job *j)
{
    j->data.vocab_size = pha__tokenizer_size(j->tokenizer);
    j->data.tokenizer_hash = pha__tokenizer_hash(j->tokenizer);
    for (int split = 0; split < PHA__DATA_SPLITS; split++) TRY(copy_split(j, split));
    j->data.end_token = j->joined ? pha__tokenizer_eot(j->tokenizer) : -1;
    memcpy(j->data.joined, j->joined ? "eot" : "none", 5 - j->joined);
    TRY(pha__tokenizer_save_folder(j->tokenizer, j->folder));
    return pha__data_write(j->folder, &j->data);
}

static pha_status into_place(job *j, const char *out)
{
    pha__prepare_place place;
    pha_status status = pha__prepare_place_open(&place, out); /* closed also after a failure */
    j->folder = place.partial;
    if (!status) status = write_folder(j);
    if (!status) status = pha__prepare_place_commit(&place, out);
    pha__prepare_place_close(&place);
    return status;
}

static pha_status run(job *j, const pha_import_options *o)
{
    pha__tokenizer *t;
    if (!o->tokenizer)
        FAIL(USAGE, "token files need the tokenizer that made them: GPT-2's for those of nanoGPT and llm.c");
    TRY(add_paths(j, o->from, o->n_from, -1));
    TRY(add_paths(j, o->valid, o->n_valid, PHA__SPLIT_VALID));
    TRY(add_paths(j, o->test, o->n_test, PHA__SPLIT_TEST));
    TRY(pha__tokenizer_open(&t, o->tokenizer));
    j->tokenizer = t;
    j->ids = pha__alloc(STAGE, sizeof *j->ids);
    pha_status status = j->ids ? into_place(j, o->out) : pha__fail(PHA_NO_MEMORY, "no memory for tokens");
    pha__tokenizer_close(t);
    return status;
}

pha_status pha__import_tokens(const pha_import_options *o, pha_import_result *r)
{
    job j = {0};
    pha_status status = run(&j, o);
    for (size_t i = 0; i < j.data.n; i++) {
        uint64_t n = j.data.split[i].info.tokens;
        const char *name = j.data.split[i].name;
        *(!strcmp(name, "train") ? &r->train : !strcmp(name, "valid") ? &r->valid : &r->test) = n;
    }
    r->vocab_size = j.data.vocab_size;
    for (size_t i = 0; i < j.n; i++) pha__free(j.files[i].path);
    pha__free(j.files);
    pha__free(j.ids);
    return status;
}
