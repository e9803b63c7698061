/* help.c -- what the option tables print: help, manual pages, and where each value came from */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "option.h"
#include "talk.h"

const Option common_options[] = {
    {.name = "device", .kind = OPTION_STRING, .shown = "cpu", .also = "gpu,cuda",
     .help = "where to compute: cpu, cuda, cuda:1"},
    {.name = "print-config", .kind = OPTION_FLAG, .env = "",
     .help = "print every value and where it came from, then stop"},
    {.name = "run-file", .kind = OPTION_PATH, .env = "", .arg = "FILE",
     .help = "JSON object of options by name, or the run.json of an earlier run"},
    {.name = "help", .letter = 'h', .kind = OPTION_FLAG, .env = "", .help = "print this help"},
    {0},
};

bool has_common(const Command *c, const Option *o)
{
    return !strcmp(o->name, "run-file") ? c->run_file : strcmp(o->name, "device") || c->device;
}

static const char *argument(const Option *o)
{
    static const char *const names[] = {"", "N", "NUMBER", "TEXT", "PATH", "", "TEXT", "N,N,...",
                                        "X,X,..."};
    if (o->kind == OPTION_ENUM) return o->choices;
    return o->arg ? o->arg : names[o->kind];
}

void option_spelling(char *text, size_t size, const Option *o, bool roff)
{
    const char *arg = argument(o), *dash = roff ? "\\-" : "-", *before = roff ? "\\fI" : "",
               *after = roff ? "\\fR" : "";
    bool on = o->kind == OPTION_FLAG && (o->invert || (o->fallback && strcmp(o->fallback, "true") == 0));
    char letter[32] = "";
    if (o->letter) snprintf(letter, sizeof letter, "%s%c, ", dash, o->letter);
    if (o->kind == OPTION_FLAG) snprintf(text, size, "%s%s%s%s%s", letter, dash, dash, on ? "no-" : "", o->name);
    else snprintf(text, size, "%s%s%s%s %s%s%s", letter, dash, dash, o->name, before, arg, after);
}

const char *option_env_name(char *text, size_t size, const Option *o)
{
    if (o->env) return o->env[0] ? (snprintf(text, size, "%s", o->env), text) : NULL;
    snprintf(text, size, "PHA_%s", o->name);
    for (char *s = text; *s; s++) *s = *s == '-' ? '_' : (char)toupper((unsigned char)*s);
    return text;
}

/* The default in brackets, and the range where it isn't obvious. */
static void describe(char *text, size_t size, const Option *o)
{
    const char *value = o->shown ? o->shown : o->fallback;
    snprintf(text, size, "%s", o->help);
    if (o->required) snprintf(text + strlen(text), size - strlen(text), " (required)");
    else if (value && o->kind != OPTION_FLAG && *value)
        snprintf(text + strlen(text), size - strlen(text), " [%s]", value);
}

/* ---- --help --------------------------------------------------------------------------------------------- */

#define COLUMN 28
#define WIDTH 100

/* Words of `text` from column `indent` on, lines of at most WIDTH; the cursor is at column `at`. */
static void wrap(FILE *out, const char *text, int indent, int at)
{
    while (*text) {
        int n = (int)strcspn(text, " \n");
        if (at > indent && at + 1 + n > WIDTH) {
            fputc('\n', out);
            at = 0;
        }
        if (at < indent) at += fprintf(out, "%*s", indent - at, "");
        else if (at > indent) fputc(' ', out), at++;
        at += fprintf(out, "%.*s", n, text);
        text += n;
        text += *text == ' ' || *text == '\n';
    }
    fputc('\n', out);
}

static void paragraphs(FILE *out, const char *text)
{
    char part[2048];
    while (text && *text) {
        const char *end = strstr(text, "\n\n");
        size_t n = end ? (size_t)(end - text) : strlen(text);
        snprintf(part, sizeof part, "%.*s", (int)n, text);
        wrap(out, part, 0, 0);
        text = end ? end + 2 : NULL;
        if (text) fputc('\n', out);
    }
}

static void heading(FILE *out, const char *text)
{
    fprintf(out, "\n%s%s%s\n", talk_bold(out), text, talk_plain(out));
}

static void help_option(FILE *out, const Option *o)
{
    char spelling[160], text[512];
    option_spelling(spelling, sizeof spelling, o, false);
    describe(text, sizeof text, o);
    int at = fprintf(out, "  %s%s", o->letter ? "" : "    ", spelling);
    if (at > COLUMN - 2) fputc('\n', out), at = 0;
    wrap(out, text, COLUMN, at);
}

static void each_line(FILE *out, const char *text, const char *before)
{
    while (text && *text) {
        int n = (int)strcspn(text, "\n");
        fprintf(out, "%s%.*s\n", before, n, text);
        text += n + (text[n] == '\n');
    }
}

void help_command(FILE *out, const Command *c)
{
    char before[64];
    fprintf(out, "%spha %s%s -- %s\n", talk_bold(out), c->name, talk_plain(out), c->summary);
    heading(out, "Usage");
    snprintf(before, sizeof before, "  pha %s ", c->name);
    each_line(out, c->usage, before);
    fputc('\n', out);
    paragraphs(out, c->about);
    heading(out, "Options");
    for (const Option *o = c->options; o->name; o++) {
        if (o->group) heading(out, o->group);
        help_option(out, o);
    }
    if (c->options[0].name) fputc('\n', out);
    for (const Option *o = common_options; o->name; o++)
        if (has_common(c, o)) help_option(out, o);
    if (c->examples) {
        heading(out, "Examples");
        each_line(out, c->examples, "  ");
    }
    if (!c->options[0].name) return;
    fputc('\n', out);
    wrap(out, "Each option can also be given in the environment as PHA_ and its name (PHA_SEED=7 for --seed 7). A flag "
              "wins over the environment, that over the run file, that over the default.", 0, 0);
}

/* ---- manual pages --------------------------------------------------------------------------------------- */

static void roff_text(FILE *out, const char *text)
{
    bool start = true;
    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\'')) fputs("\\&", out);
        if (*text == '\\') fputs("\\e", out);
        else if (*text == '-') fputs("\\-", out);
        else fputc(*text, out);
        start = *text == '\n';
    }
}

static void roff_paragraphs(FILE *out, const char *text)
{
    char part[2048];
    for (bool first = true; text && *text; first = false) {
        const char *end = strstr(text, "\n\n");
        snprintf(part, sizeof part, "%.*s", (int)(end ? (size_t)(end - text) : strlen(text)), text);
        if (!first) fputs(".PP\n", out);
        roff_text(out, part);
        fputc('\n', out);
        text = end ? end + 2 : NULL;
    }
}

static void roff_option(FILE *out, const Option *o)
{
    char spelling[192], text[512], env[80];
    option_spelling(spelling, sizeof spelling, o, true);
    describe(text, sizeof text, o);
    fprintf(out, ".TP\n\\fB%s\\fR\n", spelling);
    roff_text(out, text);
    if (o->low != o->high || o->above) {
        if (!isinf(o->high) && o->high < 9e18)
            fprintf(out, "; %s %.15g%s %.15g", o->above ? "above" : "from", o->low, o->below ? ", below" : " to",
                    o->high);
        else fprintf(out, "; %s %.15g", o->above ? "above" : "at least", o->low);
    }
    if (option_env_name(env, sizeof env, o)) fprintf(out, " (environment: %s)", env);
    fputc('\n', out);
}

void help_man(FILE *out, const Command *c)
{
    fprintf(out, ".TH \"PHA\\-%s\" 1 \"\" \"pha %s\" \"pha manual\"\n.SH NAME\npha\\-%s \\- ", c->name, pha_version(),
            c->name);
    roff_text(out, c->summary);
    fprintf(out, "\n.SH SYNOPSIS\n.nf\n");
    for (const char *u = c->usage; u && *u;) {
        char line[256];
        int n = (int)strcspn(u, "\n");
        snprintf(line, sizeof line, "%.*s", n, u);
        fprintf(out, "\\fBpha %s\\fR ", c->name);
        roff_text(out, line);
        fputc('\n', out);
        u += n + (u[n] == '\n');
    }
    fprintf(out, ".fi\n.SH DESCRIPTION\n");
    roff_paragraphs(out, c->about);
    fprintf(out, ".SH OPTIONS\n");
    for (const Option *o = c->options; o->name; o++) {
        if (o->group) fprintf(out, ".SS %s\n", o->group);
        roff_option(out, o);
    }
    for (const Option *o = common_options; o->name; o++)
        if (has_common(c, o)) roff_option(out, o);
    if (c->examples) {
        fprintf(out, ".SH EXAMPLES\n.nf\n");
        roff_text(out, c->examples);
        fprintf(out, "\n.fi\n");
    }
    fprintf(out, ".SH EXIT STATUS\n");
#define X(name, value, text) fprintf(out, ".TP\n%d\n%s\n", value, text);
    PHA_STATUS_MAP(X)
#undef X
    fprintf(out, ".SH SEE ALSO\n.BR pha (1)\n");
}

/* ---- --print-config ------------------------------------------------------------------------------------- */

static const char *source_of(const Call *call, size_t i, char env[80])
{
    const Option *o = &call->command->options[i];
    switch ((option_source)call->sources[i]) {
    case FROM_FLAG: return "flag";
    case FROM_ENVIRONMENT: return option_env_name(env, 80, o), "environment";
    case FROM_FILE: return "file";
    default: return call->texts[i] || o->shown ? "default" : "not set";
    }
}

/* The value as JSON has it: a number, true or false, or text; null if there is none. */
static json_t *value_json(const Option *o, const char *text)
{
    static const char *const on[] = {"true", "1", "yes", "on"};
    if (!text) return json_null();
    if (o->kind == OPTION_INT) return json_integer(strtoll(text, NULL, 10));
    if (o->kind == OPTION_REAL) return talk_real(strtod(text, NULL));
    if (o->kind != OPTION_FLAG) return talk_string(text);
    for (int i = 0; i < 4; i++)
        if (!strcmp(text, on[i])) return json_true();
    return json_false();
}

static bool wants_json(const Call *call)
{
    const Option *options = call->command->options;
    for (size_t i = 0; options[i].name; i++) {
        if (strcmp(options[i].name, "json")) continue;
        json_t *value = value_json(&options[i], call->texts[i]);
        return json_is_true(value); /* true and false are not counted */
    }
    return false;
}

static int print_config_json(const Call *call)
{
    const Option *options = call->command->options;
    json_t *all = json_object();
    for (size_t i = 0; options[i].name; i++) {
        char env[80] = "";
        json_t *one = json_object();
        talk_set(&one, "value", value_json(&options[i], call->texts[i]));
        talk_set(&one, "source", talk_string(source_of(call, i, env)));
        if (env[0]) talk_set(&one, "variable", talk_string(env));
        if (call->sources[i] == FROM_FILE)
            talk_set(&one, "file", talk_string(call->run_file));
        if (!call->texts[i] && options[i].shown) talk_set(&one, "shown", talk_string(options[i].shown));
        talk_set(&all, options[i].name, one);
    }
    return talk_json(all);
}

int help_print_config(FILE *out, const Call *call)
{
    const Option *options = call->command->options;
    if (wants_json(call)) return print_config_json(call);
    for (size_t i = 0; options[i].name; i++) {
        const Option *o = &options[i];
        char env[80] = "", from[700];
        const char *value = call->texts[i], *source = source_of(call, i, env);
        snprintf(from, sizeof from, "%s%s%.79s%.600s", source, env[0] || call->sources[i] == FROM_FILE ? " " : "", env,
                 call->sources[i] == FROM_FILE ? call->run_file : "");
        talk_print(out, "%-18s %-24s %s\n", o->name, value ? value : o->shown ? o->shown : "-", from);
    }
    return PHA_OK;
}
