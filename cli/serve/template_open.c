/* template_open.c -- where a template comes from: a file, or the model's folder */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "read.h"
#include "serve/template.h"

enum { MOST = 4 << 20 /* bytes of a file */ };

/* NULL: there is none, or *why says what is wrong with it. */
static char *read_file(const char *path, char *why)
{
    const char *what;
    FILE *f = read_open(path, &what);
    if (!f && errno != ENOENT) snprintf(why, 500, "%.200s: %s", path, what);
    if (!f) return NULL;
    char *text = malloc(MOST + 1);
    size_t n = text ? fread(text, 1, MOST + 1, f) : 0;
    bool bad = !text || ferror(f) || n > MOST || memchr(text, 0, n);
    if (bad) {
        what = !text ? "out of memory" : ferror(f) ? "cannot be read" : n > MOST ? "too long" : "has a zero byte in it";
        snprintf(why, 500, "%.200s: %s", path, what);
        free(text);
        text = NULL;
    } else text[n] = 0;
    fclose(f);
    return text;
}

/* A token is a text, or an object with its content. */
static char *token_of(const json_t *config, const char *key)
{
    const json_t *v = json_object_get(config, key);
    const char *text = json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
    return text ? strdup(text) : NULL;
}

/* A text, or a list of {name, template} with one that is called default. */
static const char *template_in(const json_t *config)
{
    const json_t *v = json_object_get(config, "chat_template");
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *one = json_array_get(v, i);
        const char *name = json_string_value(json_object_get(one, "name"));
        if (name && strcmp(name, "default") == 0) return json_string_value(json_object_get(one, "template"));
    }
    return json_string_value(v);
}

static bool read_config(Template *t, const char *folder, bool template, char *why)
{
    char path[4200];
    json_error_t error;
    snprintf(path, sizeof path, "%s/tokenizer_config.json", folder);
    char *text = read_file(path, why);
    if (!text) return !*why;
    json_t *config = json_loads(text, 0, &error);
    free(text);
    if (!config) return snprintf(why, 500, "%.200s: line %d: %s", path, error.line, error.text), false;
    t->bos = token_of(config, "bos_token"), t->eos = token_of(config, "eos_token");
    const char *found = template ? template_in(config) : NULL;
    if (found) t->text = strdup(found), snprintf(t->name, sizeof t->name, "tokenizer_config.json");
    json_decref(config);
    return true;
}

bool template_load(Template *t, const char *wanted, const char *folder, char *why)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/chat_template.jinja", folder);
    *why = 0;
    t->text = read_file(wanted ? wanted : path, why);
    if (*why) return false;
    if (wanted && !t->text)
        return snprintf(why, 500, "%.200s: there is no such file, and neither is it plain or chatml", wanted), false;
    const char *slash = wanted ? strrchr(wanted, '/') : NULL;
    snprintf(t->name, sizeof t->name, "%s", !wanted ? "chat_template.jinja" : slash ? slash + 1 : wanted);
    return read_config(t, folder, !t->text, why);
}
