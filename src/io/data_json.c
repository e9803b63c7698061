/* data_json.c -- data.json of a data folder: what its splits hold */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/print.h"
#include "io/tokens.h"

enum { VERSION = 1 };
static const size_t LIMIT = 1 << 20;
static const int64_t MOST = (int64_t)1 << 62;

static json_t *split_json(const pha__split_info *s)
{
    json_t *o = pha__json_object();
    pha__json_set(&o, "copies", pha__json_number((int64_t)s->copies));
    pha__json_set(&o, "first_bytes", pha__json_number((int64_t)s->first_bytes));
    pha__json_set(&o, "first_words", pha__json_number((int64_t)s->first_words));
    pha__json_set(&o, "tokens", pha__json_number((int64_t)s->tokens));
    pha__json_set(&o, "bytes", pha__json_number((int64_t)s->bytes));
    pha__json_set(&o, "words", pha__json_number((int64_t)s->words));
    pha__json_set(&o, "lines", pha__json_number((int64_t)s->lines));
    pha__json_set(&o, "documents", pha__json_number((int64_t)s->documents));
    pha__json_set(&o, "tokens_per_word", pha__json_decimal(s->words ? (double)s->tokens / (double)s->words : 0.0));
    return o;
}

static json_t *data_json(const pha__data *data)
{
    json_t *o = pha__json_object(), *splits = pha__json_object();
    for (size_t i = 0; i < data->n; i++)
        pha__json_set(&splits, data->split[i].name, split_json(&data->split[i].info));
    char seed[24]; /* a string: it may be larger than a JSON integer here */
    pha__print(seed, sizeof seed, "%" PRIu64, data->seed);
    pha__json_set(&o, "format", pha__json_text("pha-data"));
    pha__json_set(&o, "version", pha__json_number(VERSION));
    pha__json_set(&o, "vocab_size", pha__json_number(data->vocab_size));
    pha__json_set(&o, "tokenizer_hash", pha__json_hex(data->tokenizer_hash));
    pha__json_set(&o, "seed", pha__json_text(seed));
    pha__json_set(&o, "joined", pha__json_text(data->joined));
    pha__json_set(&o, "end_token", pha__json_number(data->end_token));
    pha__json_set(&o, "splits", splits);
    pha__json_seal(&o);
    return o;
}

pha_status pha__data_write(const char *folder, const pha__data *data)
{
    json_t *json = data_json(data);
    char *path = pha__path_join(folder, "data.json");
    pha_status status = PHA_OK;
    if (!path) status = pha__fail(PHA_NO_MEMORY, "%s: out of memory for data.json", folder);
    if (status == PHA_OK) status = pha__json_save(json, path);
    json_decref(json);
    pha__free(path);
    return status;
}

static pha_status read_count(uint64_t *out, const json_t *object, const char *key, const char *where)
{
    int64_t value;
    TRY(pha__json_int(&value, object, key, 0, MOST, where));
    *out = (uint64_t)value;
    return PHA_OK;
}

/* 0 in a folder of an older version. */
static pha_status read_later_count(uint64_t *out, const json_t *object, const char *key, const char *where)
{
    *out = 0;
    return json_object_get(object, key) ? read_count(out, object, key, where) : PHA_OK;
}

static pha_status read_splits(pha__data *data, json_t *splits, const char *where)
{
    const char *name;
    json_t *object;
    json_object_foreach(splits, name, object) {
        if (data->n == PHA__DATA_SPLITS || strlen(name) > 15) FAIL(BAD_INPUT, "%s: unexpected split '%s'", where, name);
        if (!json_is_object(object)) FAIL(BAD_INPUT, "%s: split '%s' is not an object", where, name);
        strcpy(data->split[data->n].name, name);
        pha__split_info *info = &data->split[data->n++].info;
        TRY(read_count(&info->tokens, object, "tokens", where));
        TRY(read_count(&info->bytes, object, "bytes", where));
        TRY(read_count(&info->words, object, "words", where));
        TRY(read_count(&info->lines, object, "lines", where));
        TRY(read_count(&info->documents, object, "documents", where));
        TRY(read_later_count(&info->copies, object, "copies", where));
        TRY(read_later_count(&info->first_bytes, object, "first_bytes", where));
        TRY(read_later_count(&info->first_words, object, "first_words", where));
        if (info->first_bytes > info->bytes || info->first_words > info->words)
            FAIL(BAD_INPUT, "%s: the first token of '%s' stands for more than its text", where, name);
    }
    return PHA_OK;
}

/* Digits only, of which sscanf would make the highest number. */
static bool is_beyond(const char *digits) { return strlen(digits) == 20 && strcmp(digits, "18446744073709551615") > 0; }

static pha_status read_data(pha__data *data, const json_t *json, const char *where)
{
    const char *format, *hash, *seed, *joined;
    int64_t version, vocab;
    TRY(pha__json_string(&format, json, "format", where));
    TRY(pha__json_int(&version, json, "version", 0, INT32_MAX, where));
    if (strcmp(format, "pha-data") != 0) FAIL(BAD_INPUT, "%s: not the data.json of a data folder of pha", where);
    if (version != VERSION)
        FAIL(BAD_INPUT, "%s: format version %d, this program reads %d; run pha prepare again", where, (int)version,
             VERSION);
    TRY(pha__json_int(&vocab, json, "vocab_size", 1, INT32_MAX, where));
    TRY(pha__json_string(&hash, json, "tokenizer_hash", where));
    TRY(pha__json_string(&seed, json, "seed", where));
    TRY(pha__json_string(&joined, json, "joined", where));
    data->vocab_size = (int32_t)vocab;
    int64_t end_token = -1;
    if (json_object_get(json, "end_token")) TRY(pha__json_int(&end_token, json, "end_token", -1, vocab - 1, where));
    data->end_token = (int32_t)end_token;
    if (strlen(hash) != 16 || strspn(hash, "0123456789abcdefABCDEF") != 16 ||
        sscanf(hash, "%16" SCNx64, &data->tokenizer_hash) != 1)
        FAIL(BAD_INPUT, "%s: tokenizer_hash is not 16 hexadecimal digits", where);
    if (!*seed || strspn(seed, "0123456789") != strlen(seed) || strlen(seed) > 20 || is_beyond(seed) ||
        sscanf(seed, "%" SCNu64, &data->seed) != 1)
        FAIL(BAD_INPUT, "%s: seed is not a whole number of 64 bits", where);
    if ((size_t)pha__print(data->joined, sizeof data->joined, "%s", joined) >= sizeof data->joined)
        FAIL(BAD_INPUT, "%s: 'joined' is '%s'", where, joined);
    json_t *splits = json_object_get(json, "splits");
    if (!json_is_object(splits)) FAIL(BAD_INPUT, "%s: 'splits' is missing", where);
    return read_splits(data, splits, where);
}

pha_status pha__data_read(pha__data *out, const char *folder)
{
    memset(out, 0, sizeof *out);
    TRY(pha__settle(folder, false));
    char *path = pha__path_join(folder, "data.json");
    if (!path) FAIL(NO_MEMORY, "%s: out of memory", folder);
    json_t *json = NULL;
    pha_status status = pha__json_load(&json, path, LIMIT);
    if (status == PHA_OK && !json_is_object(json)) status = pha__fail(PHA_BAD_INPUT, "%s: not a JSON object", path);
    if (status == PHA_OK) status = pha__json_check_seal(json, path);
    if (status == PHA_OK) status = read_data(out, json, path);
    json_decref(json);
    pha__free(path);
    return status;
}

pha_status pha__data_info(pha__split_info *out, const char *folder, const char *split)
{
    memset(out, 0, sizeof *out);
    pha__data data;
    TRY(pha__data_read(&data, folder));
    for (size_t i = 0; i < data.n; i++) {
        if (strcmp(data.split[i].name, split) != 0) continue;
        *out = data.split[i].info;
        return PHA_OK;
    }
    FAIL(BAD_INPUT, "%s: data.json has no split '%s'", folder, split);
}
