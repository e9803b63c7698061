/* stop.c -- the request to stop: one flag of the process, set by signal handlers and polled between runs */
#include "runtime/stop.h"

#include <signal.h>

#include "pha.h"

static volatile sig_atomic_t requested;

void pha_request_stop(void) { requested = 1; }
void pha_clear_stop(void) { requested = 0; }
bool pha__stop_requested(void) { return requested != 0; }
