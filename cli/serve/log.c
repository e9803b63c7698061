/* log.c -- one line a request */
#include "serve/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "talk.h"

/* talk_note belongs to the main thread. */
void log_note(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    flockfile(stderr);
    talk_line(stderr, text);
    fputc('\n', stderr);
    funlockfile(stderr);
}

static void put_string(Text *t, const char *name, const char *value)
{
    text_print(t, "%s\"%s\":", t->size > 1 ? "," : "", name);
    text_json(t, value, strlen(value));
}

static void say(Text *t)
{
    if (!t->failed) log_note("%s", t->data);
    text_free(t);
}

void log_tokens(Server *s, const LogLine *l)
{
    Text t = {0};
    if (s->quiet) return;
    if (!s->log_json) {
        log_note("%s %.64s %d %s: read %lld, reused %lld, made %lld; waited %.0f ms, read %.0f ms, made %.0f ms",
                  l->id, l->tenant, l->status, l->end, l->read, l->reused, l->made, 1e3 * l->waiting,
                  1e3 * l->reading, 1e3 * l->decoding);
        return;
    }
    text_put(&t, "{");
    put_string(&t, "id", l->id);
    put_string(&t, "tenant", l->tenant);
    put_string(&t, "end", l->end);
    text_print(&t, ",\"status\":%d,\"read\":%lld,\"reused\":%lld,\"made\":%lld,\"waited_ms\":%.1f,\"reading_ms\":%.1f,"
               "\"making_ms\":%.1f}", l->status, l->read, l->reused, l->made, 1e3 * l->waiting, 1e3 * l->reading,
               1e3 * l->decoding);
    say(&t);
}

void log_plain(Server *s, const char *tenant, const char *method, const char *path, int status)
{
    Text t = {0};
    if (s->quiet) return;
    if (!s->log_json) {
        log_note("%.16s %.100s %.64s %d", method, path, tenant, status);
        return;
    }
    text_put(&t, "{");
    put_string(&t, "method", method);
    put_string(&t, "path", path);
    put_string(&t, "tenant", tenant);
    text_print(&t, ",\"status\":%d}", status);
    say(&t);
}
