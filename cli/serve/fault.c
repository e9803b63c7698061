/* fault.c -- errors as clients are told */
#include "serve/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool fault_set(Fault *f, int status, const char *param, const char *format, ...)
{
    va_list args;
    *f = (Fault){.status = status};
    snprintf(f->param, sizeof f->param, "%s", param ? param : "");
    va_start(args, format);
    vsnprintf(f->message, sizeof f->message, format, args);
    va_end(args);
    return false;
}

bool fault_library(Fault *f, pha_status status)
{
    bool theirs = status == PHA_USAGE || status == PHA_BAD_INPUT;
    return fault_set(f, theirs ? 400 : status == PHA_NO_MEMORY ? 503 : 500, NULL, "%s", pha_errmsg());
}

static const char *type_of(int status)
{
    switch (status) {
    case 401: return "authentication_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    default:  return status >= 500 ? "server_error" : "invalid_request_error";
    }
}

void fault_print(Text *t, const Fault *f)
{
    text_put(t, "{\"error\":{\"message\":");
    text_json(t, f->message, strlen(f->message));
    text_print(t, ",\"type\":\"%s\",\"param\":", type_of(f->status));
    if (f->param[0]) text_json(t, f->param, strlen(f->param));
    else text_put(t, "null");
    if (f->code) text_print(t, ",\"code\":\"%s\"}}", f->code);
    else text_put(t, ",\"code\":null}}");
}
