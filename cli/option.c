/* option.c -- reads the arguments, the environment and the run file into a command's options struct by its table */
#include "option.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "read.h"
#include "talk.h"

/* ---- the command line ----------------------------------------------------------------------------------- */

static size_t count(const Option *options)
{
    size_t n = 0;
    while (options[n].name) n++;
    return n;
}

/* The option that was probably meant: by a name that people use for it, or by a typo in any of these names. */
static const char *suggestion(const Call *call, const char *name)
{
    const char *names[256], *means[256];
    char also[256][32];
    size_t n = 0;
    for (int own = 0; own < 2; own++)
        for (const Option *o = own ? common_options : call->command->options; o->name && n < 240; o++) {
            if (own && !has_common(call->command, o)) continue;
            names[n] = means[n] = o->name;
            n++;
            for (const char *a = o->also ? o->also : ""; *a && n < 240; a += strcspn(a, ","), a += *a == ',') {
                snprintf(also[n], sizeof also[n], "%.*s", (int)strcspn(a, ","), a);
                names[n] = also[n], means[n] = o->name;
                n++;
            }
        }
    const char *near = nearest(name, names, n);
    for (size_t i = 0; i < n; i++)
        if (names[i] == near) return means[i];
    return NULL;
}

static int unknown(const Call *call, const char *shown, const char *name)
{
    const char *near = suggestion(call, name), *no = "";
    if (!near && strncmp(name, "no-", 3) == 0) near = suggestion(call, name + 3), no = "no-";
    if (near) return usage_error(call, "no option %s; did you mean --%s%s?", shown, no, near);
    return usage_error(call, "no option %s; `pha %s --help` lists them", shown, call->command->name);
}

/* One of the parser's own. Returns -1 if it is none of them, or none of this command. */
static int common(Call *call, const char *name, const char *value, int *used, const char *next)
{
    if (strcmp(name, "help") == 0 || strcmp(name, "print-config") == 0) {
        if (value) return usage_error(call, "--%s takes no value", name);
        if (name[0] == 'h') call->help = true;
        else call->print_config = true;
        return 0;
    }
    bool file = !strcmp(name, "run-file") && call->command->run_file;
    if (!file && (strcmp(name, "device") || !call->command->device)) return -1;
    if (!value) value = next, *used = 1;
    if (!value) return usage_error(call, "--%s needs a value: %s", name, file ? "FILE" : "cpu, cuda, cuda:1");
    if (file) call->run_file = value;
    else setenv("PHA_DEVICE", value, 1);
    return 0;
}

static int parse_option(Call *call, void *options, const char *name, const char *value, const char *next, int *used)
{
    const Option *table = call->command->options;
    const char *plain = strncmp(name, "no-", 3) == 0 ? name + 3 : NULL;
    char where[80];
    int bad = common(call, name, value, used, next);
    if (bad >= 0) return bad;
    for (size_t i = 0; table[i].name; i++) {
        const Option *o = &table[i];
        snprintf(where, sizeof where, "--%s", o->name);
        if (o->kind == OPTION_FLAG && plain && strcmp(plain, o->name) == 0 && !value)
            return option_set(call, options, i, "false", FROM_FLAG, where);
        if (strcmp(name, o->name)) continue;
        if (o->kind == OPTION_FLAG) return option_set(call, options, i, value ? value : "true", FROM_FLAG, where);
        if (!value && next && !(next[0] == '-' && next[1] == '-' && next[2])) value = next, *used = 1;
        char spelling[128];
        option_spelling(spelling, sizeof spelling, o, false);
        if (!value) return usage_error(call, "--%s needs a value: %s", o->name, spelling);
        return option_set(call, options, i, value, FROM_FLAG, where);
    }
    snprintf(where, sizeof where, "--%.60s", name);
    return unknown(call, where, name);
}

static int parse_letter(Call *call, void *options, const char *arg, const char *next, int *used)
{
    if (arg[1] == 'h' && !arg[2]) return parse_option(call, options, "help", NULL, NULL, used);
    for (const Option *o = call->command->options; o->name; o++)
        if (o->letter && o->letter == arg[1]) {
            const char *value = arg[2] ? arg + 2 : NULL;
            if (o->kind == OPTION_FLAG && value) break;
            return parse_option(call, options, o->name, value, next, used);
        }
    return unknown(call, arg, arg + 1); /* -lr: perhaps --lr was meant */
}

/* An argument too many: the message names the option that it was probably meant for. */
static int too_many(const Call *call, const char *arg)
{
    const Command *c = call->command;
    struct stat info;
    bool folder = stat(arg, &info) == 0 && S_ISDIR(info.st_mode);
    for (const char *name = c->meant ? c->meant : ""; *name; name += strcspn(name, ","), name += *name == ',') {
        size_t n = strcspn(name, ",/"), i = 0;
        while (c->options[i].name && (strncmp(c->options[i].name, name, n) || c->options[i].name[n])) i++;
        const Option *o = &c->options[i];
        if (!o->name || (name[n] == '/' && !folder)) continue;
        if (call->sources[i] == FROM_DEFAULT)
            return usage_error(call, "'%s' is one argument too many; did you mean --%s %s?", arg, o->name,
                               strpbrk(arg, " \t\n") ? "with it" : arg);
        if (o->kind == OPTION_STRING)
            return usage_error(call, "'%s' is one argument too many; several words need quotes: --%s '%s %s'", arg,
                               o->name, call->texts[i], arg);
    }
    return usage_error(call, "'%s' is one argument too many; `pha %s --help` shows the usage", arg, c->name);
}

static int parse_arguments(Call *call, void *options, int argc, char **argv)
{
    const Command *c = call->command;
    List *operands = c->operand ? (List *)((char *)options + c->operands_offset) : NULL;
    const char *extra = NULL; /* told at the end, when it is known what else was given */
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        char *arg = argv[i], *equals;
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        int used = 0, bad = 0;
        if (only_operands || arg[0] != '-' || !arg[1]) {
            if (operands && operands->n < c->operands_max) option_append(call, operands, arg);
            else if (!extra) extra = arg;
        } else if (strcmp(arg, "--") == 0) {
            only_operands = true;
        } else if (arg[1] == '-') {
            equals = strchr(arg, '=');
            char *name = option_copy(call, arg + 2, equals ? (size_t)(equals - arg - 2) : strlen(arg + 2));
            bad = parse_option(call, options, name, equals ? equals + 1 : NULL, next, &used);
        } else {
            bad = parse_letter(call, options, arg, next, &used);
        }
        if (bad) return bad;
        i += used;
    }
    return extra ? too_many(call, extra) : 0;
}

/* ---- environment, run file, defaults -------------------------------------------------------------------- */

static int read_environment(Call *call, void *options)
{
    const Option *table = call->command->options;
    for (size_t i = 0; table[i].name; i++) {
        char name[80];
        const char *text = option_env_name(name, sizeof name, &table[i]) ? getenv(name) : NULL;
        if (!text || !*text || call->sources[i] != FROM_DEFAULT) continue;
        int bad = option_set(call, options, i, text, FROM_ENVIRONMENT, name);
        if (bad) return bad;
    }
    return 0;
}

/* {"bytes": hexadecimal}, as run.json has a path that is not UTF-8; NULL: it is no such thing. */
static const char *path_of(Call *call, const json_t *value)
{
    const char *hex = json_string_value(json_object_get(value, "bytes"));
    size_t n = hex ? strlen(hex) : 1;
    if (n % 2 || strspn(hex, "0123456789abcdef") != n) return NULL;
    char *path = option_take(call, n / 2 + 1);
    for (size_t i = 0; i < n / 2; i++) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], 0};
        path[i] = (char)strtol(two, NULL, 16);
        if (!path[i]) return NULL;
    }
    return path;
}

/* One member of the run file as text; an array gives one text after another. */
static int set_json(Call *call, void *options, size_t i, const json_t *value, const char *where)
{
    char number[40];
    const char *text = number;
    if (json_is_array(value)) {
        if (call->command->options[i].kind != OPTION_LIST)
            return usage_error(call, "%s: a list where one value is meant", where);
        for (size_t k = 0; k < json_array_size(value); k++) {
            int bad = set_json(call, options, i, json_array_get(value, k), where);
            if (bad) return bad;
        }
        return 0;
    }
    if (json_is_string(value)) text = json_string_value(value);
    else if (json_is_integer(value)) snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value)) snprintf(number, sizeof number, "%.17g", json_real_value(value));
    else if (json_is_boolean(value)) text = json_is_true(value) ? "true" : "false";
    else text = path_of(call, value);
    if (!text) return usage_error(call, "%s: neither a number, a string, true nor false", where);
    return option_set(call, options, i, text, FROM_FILE, where);
}

static int read_members(Call *call, void *options, json_t *object, bool lenient)
{
    const Option *table = call->command->options;
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        char name[80], where[600];
        size_t i = 0;
        snprintf(name, sizeof name, "%s", key);
        for (char *s = name; *s; s++)
            if (*s == '_') *s = '-';
        while (table[i].name && strcmp(table[i].name, name)) i++;
        snprintf(where, sizeof where, "%.400s: %.79s", call->run_file, key);
        if (!table[i].name && lenient) continue;
        if (!table[i].name) {
            const char *near = suggestion(call, name);
            return near ? usage_error(call, "%.400s: no option %.79s; did you mean %s?", call->run_file, key, near)
                        : usage_error(call, "%.400s: no option %.79s; `pha %s --help` lists them", call->run_file, key,
                                      call->command->name);
        }
        if (json_is_null(value) || call->sources[i] > FROM_FILE) continue;
        int bad = set_json(call, options, i, value, where);
        if (bad) return bad;
    }
    return 0;
}

/* A run file is an object of options; a run.json of an earlier run has them under "options" and may hold more. */
static int read_run_file(Call *call, void *options)
{
    json_error_t error;
    const char *why;
    FILE *file = read_open(call->run_file, &why);
    if (!file) {
        usage_error(call, "--run-file %s: %s", call->run_file, why);
        return PHA_IO;
    }
    json_t *json = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    fclose(file);
    if (!json && json_error_code(&error) == json_error_out_of_memory) {
        usage_error(call, "%s: out of memory", call->run_file);
        return PHA_NO_MEMORY;
    }
    if (!json) {
        usage_error(call, "%s:%d:%d: %s", call->run_file, error.line, error.column, error.text);
        return PHA_BAD_INPUT;
    }
    json_t *inner = json_object_get(json, "options");
    bool is_run = json_is_object(inner);
    int bad = json_is_object(json) ? read_members(call, options, is_run ? inner : json, is_run)
                                   : usage_error(call, "%s: not an object { \"lr\": 0.001, ... }", call->run_file);
    json_decref(json);
    return bad ? PHA_BAD_INPUT : 0;
}

static int set_defaults(Call *call, void *options)
{
    const Option *table = call->command->options;
    for (size_t i = 0; table[i].name; i++) {
        const Option *o = &table[i];
        const char *text = o->fallback ? o->fallback : o->kind == OPTION_FLAG ? (o->invert ? "true" : "false") : NULL;
        if (!text || call->sources[i] != FROM_DEFAULT) continue;
        char where[80];
        snprintf(where, sizeof where, "default of --%s", o->name);
        int bad = option_set(call, options, i, text, FROM_DEFAULT, where);
        if (bad) return bad;
    }
    return 0;
}

static int check_present(const Call *call, const void *options)
{
    const Command *c = call->command;
    for (size_t i = 0; c->options[i].name; i++) {
        const Option *o = &c->options[i];
        char spelling[128];
        option_spelling(spelling, sizeof spelling, o, false);
        if (o->required && call->sources[i] == FROM_DEFAULT)
            return usage_error(call, "%s is missing: %s", spelling, o->help);
    }
    const List *operands = c->operand ? (const List *)((const char *)options + c->operands_offset) : NULL;
    if (operands && operands->n < c->operands_min)
        return usage_error(call, "%s is missing; usage: pha %s %.*s", c->operand, c->name,
                           (int)strcspn(c->usage, "\n"), c->usage);
    return 0;
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

static void quote_line(Call *call, int argc, char **argv)
{
    size_t size = strlen(call->command->name) + 8;
    for (int i = 0; i < argc; i++) size += 4 * strlen(argv[i]) + 4;
    char *to = call->line = option_take(call, size);
    to += sprintf(to, "pha %s", call->command->name);
    for (int i = 0; i < argc; i++) {
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./,:+@%";
        bool quote = !argv[i][0] || argv[i][strspn(argv[i], plain)];
        *to++ = ' ';
        if (quote) *to++ = '\'';
        for (const char *s = argv[i]; *s; s++)
            if (*s == '\'') to += sprintf(to, "'\\''");
            else *to++ = *s;
        if (quote) *to++ = '\'';
        *to = 0;
    }
}

int option_parse(Call *call, const Command *command, void *options, int argc, char **argv)
{
    memset(call, 0, sizeof *call);
    memset(options, 0, command->size);
    call->command = command;
    size_t n = count(command->options);
    call->sources = option_take(call, n + 1);
    call->texts = option_take(call, (n + 1) * sizeof *call->texts);
    quote_line(call, argc, argv);
    for (int i = 0; i < argc && strcmp(argv[i], "--"); i++) /* help wins over every mistake */
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            call->help = true;
            return 0;
        }
    int bad = parse_arguments(call, options, argc, argv);
    if (!bad) bad = read_environment(call, options);
    if (!bad && !call->run_file && command->own_run_file) call->run_file = command->own_run_file(call, options);
    if (!bad && call->run_file) bad = read_run_file(call, options);
    if (!bad) bad = set_defaults(call, options);
    if (!bad && !call->print_config) bad = check_present(call, options);
    return bad;
}

option_source option_from(const Call *call, const char *name)
{
    for (size_t i = 0; call->command->options[i].name; i++)
        if (strcmp(call->command->options[i].name, name) == 0) return call->sources[i];
    return FROM_DEFAULT;
}

bool option_given(const Call *call, const char *name)
{
    return option_from(call, name) != FROM_DEFAULT;
}
