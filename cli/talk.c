/* talk.c -- messages and progress for a person, JSON for programs */
#include "talk.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PLAIN_EVERY 5.0   /* seconds between lines of progress in a file */
#define REWRITE_EVERY 0.1 /* on a terminal */

static struct {
    bool open;        /* a rewritten line is on the terminal */
    double last;      /* when something was printed */
    char phase[64];
} shown;

static bool mute;

void talk_mute(void)
{
    mute = true;
}

bool talk_colour(FILE *file)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(file)) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

const char *talk_bold(FILE *file)
{
    return talk_colour(file) ? "\033[1m" : "";
}

const char *talk_plain(FILE *file)
{
    return talk_colour(file) ? "\033[0m" : "";
}

void talk_error(const char *who, const char *text)
{
    if (mute) return;
    talk_progress_end();
    fflush(stdout);
    fprintf(stderr, "%s%s:%s ", talk_colour(stderr) ? "\033[1;31m" : "", who, talk_plain(stderr));
    talk_line(stderr, text);
    fputc('\n', stderr);
}

void talk_note(const char *format, ...)
{
    char text[1024];
    va_list args;
    if (mute) return;
    talk_progress_end();
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    talk_line(stderr, text);
    fputc('\n', stderr);
}

/* ---- progress ------------------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

/* At most `columns` characters of UTF-8 text. */
static int cut(const char *text, size_t columns)
{
    size_t i = 0;
    for (size_t n = 0; text[i]; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80 && n++ == columns) break;
    return (int)i;
}

void talk_progress(void *user, const pha_progress *p)
{
    (void)user;
    bool terminal = isatty(STDERR_FILENO),
         new_phase = p->phase && strncmp(shown.phase, p->phase, sizeof shown.phase - 1);
    bool done = p->total > 0 && p->done >= p->total;
    double t = now(), every = terminal ? REWRITE_EVERY : PLAIN_EVERY;
    if (!new_phase && !done && shown.last > 0 && t - shown.last < every) return;
    if (new_phase) {
        talk_progress_end();
        snprintf(shown.phase, sizeof shown.phase, "%s", p->phase);
    }
    char own[160];
    const char *line = p->line;
    if (!line || !*line) {
        double share = p->total > 0 ? 100 * p->done / p->total : 0;
        char left[32];
        snprintf(own, sizeof own, "%s %3.0f%%  %.4g of %.4g %s  %.4g/s  %s left", p->phase ? p->phase : "", share,
                 p->done, p->total, p->unit ? p->unit : "", p->rate,
                 p->seconds_left < 0 ? "?" : talk_seconds(left, p->seconds_left));
        line = own;
    }
    shown.last = t;
    if (!terminal) {
        talk_line(stderr, line);
        fputc('\n', stderr);
        return;
    }
    char shown_part[1024];
    snprintf(shown_part, sizeof shown_part, "%.*s", cut(line, width() - 1), line);
    fputs("\r\033[K", stderr);
    talk_line(stderr, shown_part);
    fflush(stderr);
    shown.open = true;
}

void talk_progress_end(void)
{
    if (shown.open) fputc('\n', stderr);
    shown.open = false;
}

pha_progress_fn *talk_progress_unless(bool quiet)
{
    return quiet ? NULL : talk_progress;
}

/* ---- JSON ----------------------------------------------------------------------------------------------- */

static void give_up(json_t **whole)
{
    json_decref(*whole);
    *whole = NULL;
}

/* jansson takes the value over even where it fails, and refuses NULL. */
void talk_set(json_t **object, const char *key, json_t *value)
{
    if (!*object) json_decref(value);
    else if (json_object_set_new(*object, key, value) != 0) give_up(object);
}

void talk_add(json_t **list, json_t *value)
{
    if (!*list) json_decref(value);
    else if (json_array_append_new(*list, value) != 0) give_up(list);
}

int talk_json(json_t *json)
{
    char *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) : NULL;
    json_decref(json);
    if (!text) {
        talk_error("pha", "out of memory while writing JSON");
        return PHA_NO_MEMORY;
    }
    talk_write(stdout, text, strlen(text)), putchar('\n'); /* whether that arrived, main.c looks at the end */
    free(text);
    return PHA_OK;
}

json_t *talk_string(const char *text)
{
    return talk_text(text, strlen(text));
}

const char *talk_number(char text[32], double value, int decimals)
{
    bool fixed = fabs(value) < 1e9;
    snprintf(text, 32, fixed ? "%.*f" : "%.*e", fixed ? decimals : 4, value);
    return text;
}

json_t *talk_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *talk_text(const char *text, size_t size)
{
    char *copy = malloc(3 * size + 1);
    size_t n = 0;
    for (size_t i = 0, k; copy && i < size; i += k ? k : 1) {
        k = pha_utf8(text + i, size - i);
        memcpy(copy + n, k ? text + i : "\xef\xbf\xbd", k ? k : 3);
        n += k ? k : 3;
    }
    json_t *string = copy ? json_stringn(copy, n) : NULL;
    free(copy);
    return string;
}

json_t *talk_hash(uint64_t hash)
{
    char text[20];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    return json_string(text);
}

/* ---- numbers -------------------------------------------------------------------------------------------- */

const char *talk_count(char text[32], uint64_t n)
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), at = 0;
    for (int i = 0; i < size; i++) {
        if (i && (size - i) % 3 == 0) text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = 0;
    return text;
}

const char *talk_seconds(char text[32], double seconds)
{
    long s = (long)(seconds + 0.5);
    if (seconds < 10) snprintf(text, 32, "%.1fs", seconds);
    else if (s < 60) snprintf(text, 32, "%lds", s);
    else if (s < 3600) snprintf(text, 32, "%ldm %02lds", s / 60, s % 60);
    else snprintf(text, 32, "%ldh %02ldm", s / 3600, s / 60 % 60);
    return text;
}

const char *talk_bytes(char text[32], double bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    int i = 0;
    while (bytes >= 1000 && i < 4) bytes /= 1000, i++;
    snprintf(text, 32, "%.*f %s", i ? 1 : 0, bytes, units[i]);
    return text;
}
