/* plan_file.c -- plan.json: what a folder is being made of, and what came of it (docs/format.md) */
#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/print.h"
#include "runtime/new/new.h"

enum { FORMAT = 1 };

typedef enum kind { INT32, INT64, REAL } kind;

static const struct row {
    const char *key;
    kind kind;
    size_t offset;
    double low, high;
} rows[] = {
#define ROW(key, kind, low, high) {#key, kind, offsetof(pha_plan, key), low, high}
    ROW(text_bytes, INT64, 1, 1e18),       ROW(train_tokens, INT64, 1, 1e15),    ROW(held_tokens, INT64, 1, 1e15),
    ROW(scored_tokens, INT64, 1, 1e15),    ROW(vocab_size, INT32, 257, 1 << 20), ROW(bytes_per_token, REAL, 0, 1e9),
    ROW(d_model, INT32, 1, 1 << 20),       ROW(n_layer, INT32, 1, 256),          ROW(parameters, INT64, 1, 1e15),
    ROW(context, INT32, 1, 1 << 20),       ROW(batch, INT32, 1, 1 << 20),        ROW(steps, INT64, 1, 1e15),
    ROW(warmup, INT64, 0, 1e15),           ROW(lr, REAL, 0, 10),                 ROW(dropout, REAL, 0, 0.95),
    ROW(passes, REAL, 0, 1e9),             ROW(threads, INT32, 0, 1024),         ROW(tokens_per_second, REAL, 0, 1e15),
    ROW(memory_bytes, INT64, 0, 1e18),     ROW(disk_bytes, INT64, 0, 1e18),      ROW(prepare_seconds, REAL, 0, 1e12),
    ROW(train_seconds, REAL, 0, 1e12),     ROW(seconds, REAL, 0, 1e12),          ROW(loss, REAL, 0, 100),
    ROW(loss_error, REAL, 0, 10),          ROW(token_ppl, REAL, 0, 1e30),        ROW(bits_per_byte, REAL, 0, 1e6),
#undef ROW
};
enum { ROWS = sizeof rows / sizeof *rows };

/* ---- writing --------------------------------------------------------------------------------------------- */

static json_t *plan_json(const pha_plan *p)
{
    json_t *o = pha__json_object(), *losses = pha__json_list();
    for (int i = 0; i < ROWS; i++) {
        const char *at = (const char *)p + rows[i].offset;
        json_t *x = rows[i].kind == REAL ? pha__json_decimal(*(const double *)(const void *)at)
                    : pha__json_number(rows[i].kind == INT32 ? *(const int32_t *)(const void *)at
                                                             : *(const int64_t *)(const void *)at);
        pha__json_set(&o, rows[i].key, x);
    }
    for (int i = 0; i < 3; i++) pha__json_add(&losses, pha__json_decimal(p->order_loss[i]));
    pha__json_set(&o, "order_loss", losses);
    pha__json_set(&o, "bound", pha__json_text(p->bound));
    return o;
}

static json_t *result_json(const pha__new_file *f)
{
    json_t *o = pha__json_object();
    pha__json_set(&o, "loss", pha__json_decimal(f->loss));
    pha__json_set(&o, "token_ppl", pha__json_decimal(f->token_ppl));
    pha__json_set(&o, "bits_per_byte", pha__json_decimal(f->bits_per_byte));
    pha__json_set(&o, "accuracy", pha__json_decimal(f->accuracy));
    return o;
}

pha_status pha__new_save(const pha__new_file *f, const char *out)
{
    char *path = pha__path_join(out, "plan.json");
    if (!path) return PHA_NO_MEMORY;
    json_t *o = pha__json_object();
    pha__json_set(&o, "format", pha__json_number(FORMAT));
    pha__json_set(&o, "text", pha__json_hex(f->text.identity));
    pha__json_set(&o, "files", pha__json_number((int64_t)f->text.files));
    pha__json_set(&o, "minutes", pha__json_decimal(f->minutes));
    pha__json_set(&o, "most_steps", pha__json_number(f->most_steps));
    pha__json_set(&o, "seed", pha__json_hex(f->seed));
    pha__json_set(&o, "plan", plan_json(&f->plan));
    pha__json_set(&o, "seconds", pha__json_decimal(f->seconds));
    if (f->complete) pha__json_set(&o, "result", result_json(f));
    pha__json_seal(&o);
    pha_status status = pha__json_save(o, path);
    json_decref(o);
    pha__free(path);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

static pha_status read_row(pha_plan *p, const struct row *r, const json_t *o, const char *path)
{
    char *at = (char *)p + r->offset;
    double x;
    int64_t n;
    if (r->kind == REAL) {
        TRY(pha__json_real(&x, o, r->key, path));
        if (!(x >= r->low && x <= r->high)) FAIL(BAD_INPUT, "%s: '%s' is out of its range", path, r->key);
        *(double *)(void *)at = x;
        return PHA_OK;
    }
    TRY(pha__json_int(&n, o, r->key, (int64_t)r->low, (int64_t)r->high, path));
    if (r->kind == INT32) *(int32_t *)(void *)at = (int32_t)n;
    else *(int64_t *)(void *)at = n;
    return PHA_OK;
}

static pha_status read_plan(pha_plan *p, const json_t *o, const char *path)
{
    const char *bound;
    const json_t *losses = json_object_get(o, "order_loss");
    for (int i = 0; i < ROWS; i++) TRY(read_row(p, &rows[i], o, path));
    for (size_t i = 0; i < 3; i++) p->order_loss[i] = json_number_value(json_array_get(losses, i));
    TRY(pha__json_string(&bound, o, "bound", path));
    pha__print(p->bound, sizeof p->bound, "%s", bound);
    return PHA_OK;
}

static pha_status read_hex(uint64_t *out, const json_t *o, const char *key, const char *path)
{
    const char *text;
    TRY(pha__json_string(&text, o, key, path));
    if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        FAIL(BAD_INPUT, "%s: '%s' is no number of 16 hexadecimal digits", path, key);
    *out = 0;
    for (; *text; text++) *out = *out << 4 | (uint64_t)(*text <= '9' ? *text - '0' : *text - 'a' + 10);
    return PHA_OK;
}

static pha_status read_result(pha__new_file *f, const json_t *o, const char *path)
{
    f->complete = o != NULL;
    if (!o) return PHA_OK;
    TRY(pha__json_real(&f->loss, o, "loss", path));
    TRY(pha__json_real(&f->token_ppl, o, "token_ppl", path));
    TRY(pha__json_real(&f->bits_per_byte, o, "bits_per_byte", path));
    return pha__json_real(&f->accuracy, o, "accuracy", path);
}

static pha_status read_file(pha__new_file *f, json_t *o, const char *path)
{
    int64_t format, files;
    TRY(pha__json_check_seal(o, path));
    TRY(pha__json_int(&format, o, "format", 1, INT64_MAX, path));
    if (format != FORMAT) FAIL(BAD_INPUT, "%s: format %lld is of a later pha", path, (long long)format);
    TRY(read_hex(&f->text.identity, o, "text", path));
    TRY(pha__json_int(&files, o, "files", 1, INT64_MAX, path));
    f->text.files = (uint64_t)files;
    TRY(pha__json_real(&f->minutes, o, "minutes", path));
    TRY(pha__json_int(&f->most_steps, o, "most_steps", 0, INT64_MAX, path));
    TRY(read_hex(&f->seed, o, "seed", path));
    TRY(pha__json_real(&f->seconds, o, "seconds", path));
    TRY(read_plan(&f->plan, json_object_get(o, "plan"), path));
    f->text.bytes = f->plan.text_bytes;
    return read_result(f, json_object_get(o, "result"), path);
}

pha_status pha__new_load(pha__new_file *f, const char *out, bool *there)
{
    json_t *o;
    char *path = pha__path_join(out, "plan.json");
    *f = (pha__new_file){.complete = false};
    *there = false;
    if (!path) return PHA_NO_MEMORY;
    pha_status status = PHA_OK;
    if (pha__exists(path)) {
        status = pha__json_load(&o, path, 1 << 20);
        if (!status) {
            status = read_file(f, o, path);
            json_decref(o);
        }
        *there = !status;
    }
    pha__free(path);
    return status;
}
