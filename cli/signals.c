/* signals.c -- ctrl-C and kill ask for a clean end first */
#include <signal.h>
#include <string.h>

#include "command.h"

static volatile sig_atomic_t interrupts;

static void on_signal(int number)
{
    if (number == SIGINT) interrupts++;
    pha_request_stop();
}

void signals_install(bool interactive)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_signal;
    action.sa_flags = (int)SA_RESETHAND; /* the second one finds the default action */
    sigaction(SIGTERM, &action, NULL);
    if (interactive) action.sa_flags = 0; /* without SA_RESTART a waiting read returns */
    sigaction(SIGINT, &action, NULL);
}

int signals_count(void)
{
    return interrupts;
}
