/* card.c -- the model card of an export: what the model is, how to open it, the run that made it, how good it is
 *
 * What is not known is left out. Texts from files are put where Markdown reads nothing into them.
 */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "runtime/exchange/exchange.h"
#include "runtime/look/report_log.h"
#include "runtime/look/subject.h"

#define LIMIT ((size_t)16 << 20)

/* ---- the run --------------------------------------------------------------------------------------------- */

static pha_status load_run(pha__origin_run *run, const char *folder)
{
    char *path = pha__path_join(folder, "run.json");
    pha_status status = path ? PHA_OK : PHA_NO_MEMORY;
    if (!status && pha__exists(path)) {
        status = pha__json_load(&run->json, path, LIMIT);
        run->folder = status ? NULL : pha__strdup(folder);
        if (!status && !run->folder) status = PHA_NO_MEMORY;
    }
    pha__free(path);
    return status;
}

/* Cuts the last name off; false: there is none. */
static bool up(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash || slash == path) return false;
    *slash = 0;
    return true;
}

void pha__run_of_model_free(pha__origin_run *run)
{
    pha__free(run->folder);
    json_decref(run->json);
    *run = (pha__origin_run){0};
}

pha_status pha__run_of_model(pha__origin_run *run, const char *model)
{
    char *at;
    *run = (pha__origin_run){0};
    TRY(pha__resolve(&at, model));
    pha_status status = PHA_OK;
    for (int level = 0; level < 2 && !status && !run->folder && up(at); level++) status = load_run(run, at);
    pha__free(at);
    if (status) pha__run_of_model_free(run);
    return status;
}

/* ---- pieces ---------------------------------------------------------------------------------------------- */

/* Without what would end a cell of a table or begin something else. */
static void plain(pha__str *out, const char *text)
{
    for (; *text; text++) pha__str_add(out, strchr("|`<>\n\r\\*_[]", *text) ? " " : text, 1);
}

static void row(pha__str *out, const char *name, const char *text)
{
    pha__str_printf(out, "| %s | ", name);
    plain(out, text);
    pha__str_puts(out, " |\n");
}

static void row_count(pha__str *out, const char *name, double n)
{
    if (n > 0 && n < 1e18) pha__str_printf(out, "| %s | %s |\n", name, pha__digits((uint64_t)n).text);
}

static void row_real(pha__str *out, const char *name, double x, int decimals)
{
    if (isfinite(x)) pha__str_printf(out, "| %s | %.*f |\n", name, decimals, x);
}

static void row_plain(pha__str *out, const char *name, double x)
{
    if (isfinite(x)) pha__str_printf(out, "| %s | %g |\n", name, x);
}

static double real_of(const json_t *object, const char *key)
{
    const json_t *x = json_object_get(object, key);
    return json_is_number(x) ? json_number_value(x) : NAN;
}

static const char *text_of(const json_t *object, const char *key)
{
    const json_t *x = json_object_get(object, key);
    const char *text = json_string_value(json_is_object(x) ? json_object_get(x, "shown") : x);
    return text ? text : "";
}

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* ---- sections -------------------------------------------------------------------------------------------- */

static const char *parts_of(const pha__config *c)
{
    static const char *const names[] = {
        [1] = "attention", [2] = "a gated state space", [3] = "attention and a gated state space",
        [4] = "a feed-forward part", [5] = "attention and a feed-forward part",
        [6] = "a gated state space and a feed-forward part",
        [7] = "attention, a gated state space and a feed-forward part"};
    return names[c->branches & 7];
}

static void put_head(pha__str *out, const pha_model *m)
{
    const pha__config *c = &m->config;
    bool seq = !strcmp(c->arch, "seq");
    pha__str_printf(out, "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags: [pha]\n---\n"
                    "# A %s language model\n\n", seq ? "sequential hybrid" : "parallel hybrid");
    const char *how = seq ? "one after the other" : "side by side";
    pha__str_printf(out, "%s parameters, %d layers of width %d, vocabulary %d; in each layer %s %s, then a "
                    "feed-forward part. Written by pha %s.\n\n", pha__digits(m->names->parameters).text, c->n_layer,
                    c->d_model, c->vocab_size, parts_of(c), how, pha_version());
    pha__str_puts(out, "```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
                  "model = AutoModelForCausalLM.from_pretrained(\"THIS FOLDER\", trust_remote_code=True)\n");
    if (m->tokenizer)
        pha__str_puts(out, "tokenizer = AutoTokenizer.from_pretrained(\"THIS FOLDER\", trust_remote_code=True)\n"
                      "ids = tokenizer(\"Once upon a time\", return_tensors=\"pt\")\n"
                      "print(tokenizer.decode(model.generate(**ids, max_new_tokens=64)[0]))\n");
    pha__str_puts(out, "```\n\n`pha generate --model \"THIS FOLDER\"` opens it, too, and `pha import` brings back "
                  "what was trained further.\n");
}

static void put_training(pha__str *out, const json_t *run, const pha__report_log *log)
{
    const json_t *o = json_object_get(run, "options"), *data = json_object_get(run, "data");
    double end = real_of(log->end, "tokens"), tokens = isfinite(end) ? end : log->last_tokens;
    double of = real_of(data, "train_tokens");
    pha__str_puts(out, "\n## Training\n\n| | |\n|---|---|\n");
    row(out, "data", last_name(text_of(data, "folder")));
    row_count(out, "tokens of the data", of);
    row_count(out, "tokens seen", tokens);
    if (tokens > 0 && of > 0) row_real(out, "passes over the data", tokens / of, 2);
    row_count(out, "steps", log->last_step);
    row_count(out, "sequences per step", real_of(o, "batch"));
    row_count(out, "tokens per sequence", real_of(o, "context"));
    row(out, "optimizer", text_of(o, "optimizer"));
    row(out, "schedule", text_of(o, "schedule"));
    row_plain(out, "learning rate", real_of(o, "lr"));
    row_plain(out, "dropout", real_of(o, "dropout"));
    row_plain(out, "weight decay", real_of(o, "weight_decay"));
    row(out, "precision", text_of(o, "precision"));
    row(out, "version", text_of(run, "pha_version"));
}

/* The evaluations of the run itself, which cover the first tokens of the split. */
static void put_validation(pha__str *out, const json_t *run, const pha__report_log *log)
{
    const json_t *o = json_object_get(run, "options");
    double loss = real_of(log->end, "valid_loss"), context = real_of(o, "context"), n = real_of(o, "eval_tokens");
    double averaged = real_of(log->end, "averaged_valid_ppl");
    if (!isfinite(loss) || !(context > 0)) return;
    pha__str_puts(out, "\n## Validation in training\n\n| | |\n|---|---|\n");
    row_real(out, "loss, nats per token", loss, 4);
    row_real(out, "perplexity per token", exp(loss), 3);
    row_real(out, "of the averaged weights", averaged, 3);
    pha__str_printf(out, "\nOf the validation split, windows of %.0f tokens without overlap, state zero in each",
                    context);
    if (n > 0) pha__str_printf(out, ", the first %.0f tokens", n);
    pha__str_puts(out, ", at the end of the run.\n");
}

static void put_eval(pha__str *out, const json_t *e)
{
    pha__str_puts(out, "\n## Evaluation\n\n| | |\n|---|---|\n");
    row(out, "data", last_name(text_of(e, "data")));
    row(out, "split", text_of(e, "split"));
    row_count(out, "tokens scored", real_of(e, "tokens"));
    row_real(out, "perplexity per token", real_of(e, "token_ppl"), 3);
    row_real(out, "perplexity per word", real_of(e, "word_ppl"), 3);
    row_real(out, "bits per byte", real_of(e, "bits_per_byte"), 4);
    row_real(out, "accuracy, percent", 100 * real_of(e, "accuracy"), 2);
    pha__str_puts(out, "\nProtocol: ");
    plain(out, text_of(e, "protocol"));
    pha__str_puts(out, ".\n");
}

static pha_status add_run(pha__str *out, const pha__origin_run *run)
{
    pha__report_log log = {0};
    if (!run->folder) return PHA_OK;
    char *path = pha__path_join(run->folder, "log.jsonl");
    pha_status status = path ? pha__report_log_read(&log, path) : PHA_NO_MEMORY;
    if (!status) put_training(out, run->json, &log), put_validation(out, run->json, &log);
    pha__report_log_free(&log);
    pha__free(path);
    return status;
}

static pha_status add_eval(pha__str *out, const char *path)
{
    json_t *e;
    if (!path) return PHA_OK;
    TRY(pha__json_load(&e, path, LIMIT));
    bool known = isfinite(real_of(e, "token_ppl")) && *text_of(e, "protocol");
    if (known) put_eval(out, e);
    json_decref(e);
    if (!known) FAIL(BAD_INPUT, "%s: is not what `pha eval --json` prints: it has no token_ppl and protocol", path);
    return PHA_OK;
}

static pha_status add_mixing(pha__str *out, const pha_model *m)
{
    const pha__config *c = &m->config;
    char *text;
    if (strcmp(c->arch, "pha") || !(c->branches & (c->branches - 1))) return PHA_OK;
    TRY(pha_inspect(&(pha_inspect_options){.model = m->folder, .what = PHA_INSPECT_MIXING}, &text));
    char *body = strchr(text, '\n'); /* the first line names the folder */
    pha__str_puts(out, "\n## Mixing weights of the branches, percent\n\n```\n");
    pha__str_puts(out, body ? body + 1 : text);
    pha__str_puts(out, "```\n");
    pha_free(text);
    return PHA_OK;
}

pha_status pha__card(pha__str *out, const pha_model *m, const pha__origin_run *run, const pha_export_options *o)
{
    put_head(out, m);
    TRY(add_run(out, run));
    TRY(add_eval(out, o->eval));
    return add_mixing(out, m);
}
