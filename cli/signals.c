/* signals.c -- ctrl-C, kill and a terminal that closes ask for a clean end first; what else may come from outside */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "command.h"

static volatile sig_atomic_t interrupts;

/* What is said at once: the end may be a while in coming. NULL: nothing. On a terminal it begins a line. */
static const char *answer;

static void on_signal(int number)
{
    int before = errno;
    if (number == SIGINT) interrupts++;
    pha_request_stop();
    const char *text = answer;
    answer = NULL;
    if (text && write(STDERR_FILENO, text, strlen(text)) < 0) errno = 0;
    errno = before;
}

void signals_install(bool interactive)
{
    struct sigaction action;
    static const char text[] = "\npha: stopping as soon as what is under way allows; a second signal ends at once\n";
    if (!interactive && pha_ranks() == 1) answer = text + !isatty(STDERR_FILENO);
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_signal;
    /* What ends a process unless it is told otherwise: from people, from terminals (SIGHUP; not under nohup), and from
     * batch systems, which announce by one of the others that the time is up. */
    static const int ends[] = {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct sigaction before;
        action.sa_flags = ends[i] == SIGXCPU ? 0 : (int)SA_RESETHAND; /* comes again every second; others end it then */
        if (sigaction(ends[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(ends[i], &action, NULL);
    }
    action.sa_flags = (int)SA_RESETHAND;
    if (interactive) action.sa_flags = 0; /* without SA_RESTART a waiting read returns */
    sigaction(SIGINT, &action, NULL);
}

int signals_count(void)
{
    return interrupts;
}

void signals_outlive_output(void)
{
    signal(SIGPIPE, SIG_IGN);
}

/* Else the first files that are opened would get these numbers, and messages would be written into them. */
static void open_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd) _exit(PHA_IO);
}

static void say(const char *text)
{
    for (const char *s = text; *s; s++) { /* a path may hold what a terminal takes for commands */
        char c = (unsigned char)*s < ' ' || *s == 127 ? '?' : *s;
        if (write(STDERR_FILENO, &c, 1) < 0) return;
    }
}

/* A mapped file that somebody truncated. Another cause finds the default action when the instruction is repeated. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    (void)context;
    const char *path = pha_mapped_file(info->si_addr);
    if (!path) {
        signal(number, SIG_DFL);
        return;
    }
    say("pha: ");
    say(path);
    say(": was made shorter, or can no longer be read, while it is in use; put the whole file back and run this again");
    if (write(STDERR_FILENO, "\n", 1) < 0) _exit(PHA_IO);
    _exit(PHA_IO);
}

void signals_at_start(void)
{
    struct sigaction action;
    open_standard_files();
    signal(SIGXFSZ, SIG_IGN); /* the write fails instead, and is told */
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGBUS, &action, NULL);
}
