/* child.h -- work that is killed, or whose system calls fail, in a process of its own */
#ifndef CHILD_H
#define CHILD_H

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/check.h"

/* Calls act(context) in a child with the environment variable = n, one of those of faults.c. What act returned, or -1
 * if it was killed. */
static inline int in_child(const char *variable, int n, int (*act)(void *context), void *context)
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char text[16];
        snprintf(text, sizeof text, "%d", n);
        setenv(variable, text, 1);
        _exit(act(context));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) return WEXITSTATUS(status);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    return -1;
}

#endif
