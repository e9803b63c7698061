/* ranks.c -- one command as several processes: those that a starter (mpirun, srun) made, or --ranks N, which calls one
 *
 * The first rank talks; what the others would say is the same, or comes by the library through the first.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"

static void say_nothing(void *context, int level, const char *text)
{
    (void)context, (void)level, (void)text;
}

int ranks_begin(const Command *command)
{
    int rank = pha_rank(), size = pha_ranks();
    if (rank > 0) {
        talk_mute();
        pha_set_log(say_nothing, NULL);
        if (!freopen("/dev/null", "w", stdout)) return PHA_IO;
    }
    if (size == 1 || command->ranks) return PHA_OK;
    talk_note("pha %s: is work for one process, but %d were started; call it without their starter", command->name,
              size);
    return PHA_USAGE;
}

/* ---- --ranks N ------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t child, asked;

/* mpirun hands SIGUSR1 on to the ranks, which stop at a good place; SIGTERM ends them. */
static void hand_on(int number)
{
    (void)number;
    int before = errno;
    static const char text[] = "\npha: all ranks stop as soon as what is under way allows; a second signal ends them\n";
    if (!asked && write(STDERR_FILENO, text, sizeof text - 1) < 0) errno = before;
    if (child > 0) kill(child, asked++ ? SIGTERM : SIGUSR1);
    errno = before;
}

static void watch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = hand_on;
    action.sa_flags = SA_RESTART;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) sigaction(numbers[i], &action, NULL);
}

static void prefer(const char *name, const char *value) { setenv(name, value, 0); }

/* In the child. The settings are Open MPI's, others don't look at them: more ranks than processors are allowed, none is
 * bound to one. */
static void become(int n, int error)
{
    const struct main_arguments *a = &main_arguments;
    char number[16], self[4096], **all = calloc((size_t)a->n + 5, sizeof *all);
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (!all || size <= 0) _exit(PHA_FAILED);
    self[size] = 0;
    snprintf(number, sizeof number, "%d", n);
    all[0] = "mpirun", all[1] = "-n", all[2] = number, all[3] = self;
    for (int i = 1; i < a->n; i++) all[i + 3] = a->values[i];
    prefer("OMPI_MCA_rmaps_base_oversubscribe", "1");
    prefer("OMPI_MCA_hwloc_base_binding_policy", "none");
    if (geteuid() == 0) prefer("OMPI_ALLOW_RUN_AS_ROOT", "1"), prefer("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    setpgid(0, 0); /* what a terminal sends comes by way of the parent */
    dup2(error, STDERR_FILENO);
    close(error);
    execvp(all[0], all);
    _exit(127);
}

/* What mpirun says between two rulers. */
typedef struct notice {
    char text[4096];
    size_t size;
    bool open;
} notice;

/* That a rank was killed is told in a line; that one has an exit code has been told by the rank. */
static void end_notice(const Call *call, const notice *n)
{
    static const char *const known[] = {"Primary job", "exited with non-zero status", "MPI_ABORT was invoked"};
    const char *process = strstr(n->text, "process rank "), *signal = strstr(n->text, "exited on signal ");
    char where[64] = "";
    if (process) {
        const char *node = strstr(process, "on node ");
        if (node) sscanf(node, "on node %60s", where);
    }
    if (process && signal) {
        talk_note("pha %s: rank %d%s%s was ended by signal %d, and all others with it; --resume goes on from the last "
                  "checkpoint",
                  call->command->name, atoi(process + strlen("process rank ")), *where ? " on " : "", where,
                  atoi(signal + strlen("exited on signal ")));
        return;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strstr(n->text, known[i])) return;
    fputs(n->text, stderr);
}

static void take_line(const Call *call, notice *n, const char *line)
{
    bool ruler = strspn(line, "-") > 40;
    size_t size = strlen(line);
    if (ruler && n->open) end_notice(call, n);
    if (ruler) *n = (notice){.open = !n->open};
    else if (n->open && n->size + size < sizeof n->text) memcpy(n->text + n->size, line, size + 1), n->size += size;
    else if (!n->open && strncmp(line, "mpirun: Forwarding signal", 25) != 0) fputs(line, stderr);
}

static void pass_on(const Call *call, int from)
{
    FILE *file = fdopen(from, "r");
    static notice n;
    static char line[4096];
    while (file && fgets(line, sizeof line, file)) take_line(call, &n, line);
    if (n.open) fputs(n.text, stderr);
    if (file) fclose(file);
}

static int exit_code(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return PHA_FAILED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : PHA_FAILED;
}

int ranks_start(Call *call, int n)
{
    int ends[2];
    if (pipe(ends) != 0) return usage_error(call, "no pipe for --ranks: %s", strerror(errno));
    watch_signals();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        become(n, ends[1]);
    }
    close(ends[1]);
    if (pid < 0) return usage_error(call, "no process for --ranks: %s", strerror(errno));
    child = pid;
    pass_on(call, ends[0]);
    int code = exit_code(pid);
    if (code != 127) return code;
    talk_note("pha %s: --ranks %d needs mpirun, which is not in PATH (Debian: openmpi-bin)", call->command->name, n);
    return PHA_NO_DEVICE;
}
