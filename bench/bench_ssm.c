/* bench_ssm.c -- the state space that does not depend on the data: forward and backward of the op, one thread
 *
 *   bench_ssm [tokens ...]       default: 1024 16384
 *
 * Prints, for the sizes of GSS (512 modes of all channels) and H3 (32 of each), nanoseconds of processor time per
 * channel and token: the least of several runs. All parameters have their gradients. `baselines/fft_conv.py` runs it in
 * turns with PyTorch. PHA_ISA chooses the instruction set.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/cpu/detect.h"
#include "ops/ssm/ssm.h"

typedef struct size {
    const char *name;
    int channels, modes, shared;
} size;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float *numbers(size_t n, float low, float high)
{
    float *x = aligned_alloc(64, (n + 16) / 16 * 64);
    uint64_t seed = n;
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        x[i] = low + (high - low) * (float)(seed >> 40) * 0x1p-24f;
    }
    return x;
}

static pha__view view(int rows, int width, float low, float high, size_t n)
{
    return (pha__view){numbers(n, low, high), width, rows, width, PHA__F32};
}

static double run(const pha__kernel *kernel, const pha__args *a, pha__pass pass, void *scratch)
{
    double start = now();
    for (int phase = 0;; phase++) {
        int64_t n = kernel->tasks(a, pass, phase);
        if (n == 0) return now() - start;
        (pass == PHA__FORWARD ? kernel->forward : kernel->backward)(a, phase, 0, n, scratch);
    }
}

static size_t more(size_t a, size_t b) { return a > b ? a : b; }

static void measure(const pha__kernel *kernel, const size *s, int B, int T)
{
    size_t values = (size_t)B * (size_t)T * (size_t)s->channels, modes = (size_t)s->channels * (size_t)s->modes;
    static pha__ssm_attr attr = {.gradients = true};
    attr.kappa = s->shared ? 1 : 2;
    pha__args a = {.B = B, .T = T, .n_in = PHA__SSM_INPUTS, .attr = &attr};
    int rows = s->shared ? 1 : s->channels;
    a.in[PHA__SSM_X] = view(0, s->channels, -1, 1, values);
    a.in[PHA__SSM_C_RE] = view(s->channels, s->modes, -1, 1, modes);
    a.in[PHA__SSM_C_IM] = view(s->channels, s->modes, -1, 1, modes);
    a.in[PHA__SSM_RATE] = view(rows, s->modes, -1, 1, modes);
    a.in[PHA__SSM_IM] = view(rows, s->modes, 0, 3, modes);
    a.in[PHA__SSM_D] = view(1, s->channels, -1, 1, (size_t)s->channels);
    if (!s->shared) a.in[PHA__SSM_LOG_DT] = view(1, s->channels, -7, -2, (size_t)s->channels);
    a.out = view(0, s->channels, 0, 1, values);
    a.d_out = view(0, s->channels, -1, 1, values);
    for (int i = 0; i < PHA__SSM_INPUTS; i++) {
        a.d_in[i] = a.in[i];
        if (a.in[i].data) a.d_in[i].data = numbers(i ? modes + values / (size_t)T : values, 0, 0);
    }
    pha__shape shape = {.B = B, .T = T, .attr = &attr};
    shape.in[PHA__SSM_X].width = s->channels;
    a.saved = numbers((size_t)pha__op_ssm.saved(&shape), 0, 0);
    size_t work = more(kernel->work(&a, PHA__FORWARD), kernel->work(&a, PHA__BACKWARD));
    a.work = numbers(work / 4, 0, 0);
    void *scratch = numbers(more(kernel->scratch(&a, PHA__FORWARD), kernel->scratch(&a, PHA__BACKWARD)) / 4, 0, 0);
    double forward = 1e9, backward = 1e9;
    for (int k = 0; k < 5; k++) {
        double t = run(kernel, &a, PHA__FORWARD, scratch);
        forward = t < forward ? t : forward;
        t = run(kernel, &a, PHA__BACKWARD, scratch);
        backward = t < backward ? t : backward;
    }
    printf("%-8s %2d x %5d  %4d channels, %3d modes   forward %6.2f   backward %6.2f   together %6.2f\n", s->name, B, T,
           s->channels, s->modes, forward / (double)values * 1e9, backward / (double)values * 1e9,
           (forward + backward) / (double)values * 1e9);
    fflush(stdout);
    for (int i = 0; i < PHA__SSM_INPUTS; i++) free(a.in[i].data), free(a.d_in[i].data);
    free(a.out.data), free(a.d_out.data), free(a.saved), free(a.work), free(scratch);
}

int main(int argc, char **argv)
{
    static const size sizes[] = {{"gss", 192, 512, 1}, {"h3", 768, 32, 0}};
    static const char *const usual[] = {"1024", "16384"};
    if (pha__cpu_select()) return fprintf(stderr, "%s\n", pha_errmsg()), 1;
    const pha__kernel *kernel = pha__cpu_kernel(pha__cpu_set(""), "ssm");
    printf("nanoseconds per channel and token, one thread, %s\n", pha__cpu_isa());
    for (int k = 0; k < (argc > 1 ? argc - 1 : 2); k++) {
        int T = atoi(argc > 1 ? argv[k + 1] : usual[k]), B = T <= 2048 ? 8 : 1;
        if (T < 1) return fprintf(stderr, "usage: bench_ssm [tokens ...]\n"), 2;
        for (int i = 0; i < 2; i++) measure(kernel, &sizes[i], B, T);
    }
    return 0;
}
