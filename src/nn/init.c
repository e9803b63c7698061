/* init.c -- initial values of parameters (pha.md 5); every number is a function of (seed, path) */
#include <math.h>

#include "base/rng.h"
#include "nn/nn.h"

static void fill_normal(float *out, int32_t rows, int32_t width, const double *arg, uint64_t seed, const char *path)
{
    pha__fill_normal(out, (int64_t)rows * width, arg[0], seed, path);
}

/* arg: low, high */
static void fill_uniform(float *out, int32_t rows, int32_t width, const double *arg, uint64_t seed, const char *path)
{
    uint64_t h = pha__hash_path(path);
    for (int64_t i = 0; i < (int64_t)rows * width; i++) {
        uint32_t counter[4] = {(uint32_t)(i / 4), (uint32_t)h, (uint32_t)(h >> 32), PHA__STREAM_INIT}, word[4];
        pha__philox(seed, counter, word);
        out[i] = (float)(arg[0] + (arg[1] - arg[0]) * (double)pha__uniform(word[i % 4]));
    }
}

static void fill_constant(float *out, int32_t rows, int32_t width, const double *arg, uint64_t seed, const char *path)
{
    (void)seed, (void)path;
    for (int64_t i = 0; i < (int64_t)rows * width; i++) out[i] = (float)arg[0];
}

static void fill_identities(float *out, int32_t rows, int32_t width, const double *arg, uint64_t seed,
                            const char *path)
{
    (void)arg, (void)seed, (void)path;
    for (int64_t i = 0; i < (int64_t)rows * width; i++) out[i] = i / width % width == i % width;
}

/* Taps (channels, n): 1 for the current token, 0 for those before it. */
static void fill_first_tap(float *out, int32_t rows, int32_t width, const double *arg, uint64_t seed, const char *path)
{
    (void)arg, (void)seed, (void)path;
    for (int64_t i = 0; i < (int64_t)rows * width; i++) out[i] = i % width == 0;
}

static void fill_xavier(float *out, int32_t rows, int32_t width, const double *arg, uint64_t seed, const char *path)
{
    pha__fill_normal(out, (int64_t)rows * width, arg[0] * sqrt(2.0 / ((double)rows + width)), seed, path);
}

/* Delta_j of the S/16 groups j of channels, log-spaced from 1e-3 to 1e-1 */
static double step_size(int32_t c, int32_t S)
{
    int32_t groups = S / 16, j = c / 16;
    return pow(10.0, -3.0 + (groups > 1 ? 2.0 * j / (groups - 1) : 0.0));
}

/* rho_c of S channels, with n = c mod 16: S4D-Real from the spectrum of LegS, Delta_j (n + 1); or of S pairs, S4D-Lin:
 * -Delta_j (-1/2 + i pi n) */
static double rate(int32_t c, int32_t S, double complex) { return step_size(c, S) * (complex != 0 ? 0.5 : c % 16 + 1); }

/* What an `arg` of these says. */
enum { GAIN, MATCHED, COMPLEX };

static void fill_theta(float *out, int32_t rows, int32_t width, const double *arg, uint64_t seed, const char *path)
{
    (void)rows, (void)seed, (void)path;
    for (int32_t c = 0; c < width; c++) out[c] = (float)log(rate(c, width, arg[COMPLEX]));
}

static void fill_omega(float *out, int32_t rows, int32_t width, const double *arg, uint64_t seed, const char *path)
{
    (void)rows, (void)arg, (void)seed, (void)path;
    for (int32_t c = 0; c < width; c++) out[c] = (float)(acos(-1) * (c % 16) * step_size(c, width));
}

/* logit(e^-rho) = -ln(e^rho - 1): gate and transition forget at the same rate */
static double gate_bias(int32_t c, int32_t S, const double *arg)
{
    return arg[MATCHED] != 0 ? -log(expm1(rate(c, S, arg[COMPLEX]))) : 0.0;
}

static void fill_gate_bias(float *out, int32_t rows, int32_t width, const double *arg, uint64_t seed, const char *path)
{
    (void)rows, (void)seed, (void)path;
    for (int32_t c = 0; c < width; c++) out[c] = (float)gate_bias(c, width, arg);
}

/* s_c = sqrt(1 - lambda_c^2) / g_c: white input gives every channel of the state about the same variance */
static double input_scale(int32_t c, int32_t S, const double *arg)
{
    double g = 1.0 / (1.0 + exp(-gate_bias(c, S, arg))), lambda = g * exp(-rate(c, S, arg[COMPLEX]));
    return sqrt(1.0 - lambda * lambda) / g;
}

static void fill_input_scale(float *out, int32_t rows, int32_t width, const double *arg, uint64_t seed,
                             const char *path)
{
    (void)rows, (void)seed, (void)path;
    for (int32_t c = 0; c < width; c++) out[c] = (float)input_scale(c, width, arg);
}

/* Of pairs, the rows of all real parts stand before those of the imaginary ones. */
static void fill_input_scaled(float *out, int32_t rows, int32_t width, const double *arg, uint64_t seed,
                              const char *path)
{
    int32_t S = arg[COMPLEX] != 0 ? rows / 2 : rows;
    fill_xavier(out, rows, width, arg, seed, path);
    for (int32_t c = 0; c < rows; c++) {
        float s = (float)input_scale(c % S, S, arg);
        for (int32_t i = 0; i < width; i++) out[(int64_t)c * width + i] *= s;
    }
}

pha__init pha__init_normal(double std) { return (pha__init){fill_normal, {std}}; }
pha__init pha__init_uniform(double low, double high) { return (pha__init){fill_uniform, {low, high}}; }
pha__init pha__init_constant(double value) { return (pha__init){fill_constant, {value}}; }
pha__init pha__init_identities(void) { return (pha__init){fill_identities, {0}}; }
pha__init pha__init_first_tap(void) { return (pha__init){fill_first_tap, {0}}; }
pha__init pha__init_xavier(double gain) { return (pha__init){fill_xavier, {gain}}; }

static pha__init of_rates(pha__init_fn *fill, double gain, pha__gss_state state, pha__gate_bias bias)
{
    return (pha__init){fill, {[GAIN] = gain, [MATCHED] = bias == PHA__BIAS_MATCHED,
                              [COMPLEX] = state == PHA__STATE_COMPLEX}};
}

pha__init pha__init_theta(pha__gss_state state) { return of_rates(fill_theta, 0, state, PHA__BIAS_ZERO); }
pha__init pha__init_omega(void) { return (pha__init){fill_omega, {0}}; }
pha__init pha__init_gate_bias(pha__gss_state state, pha__gate_bias bias)
{
    return of_rates(fill_gate_bias, 0, state, bias);
}
pha__init pha__init_input_scale(pha__gss_state state, pha__gate_bias bias)
{
    return of_rates(fill_input_scale, 0, state, bias);
}
pha__init pha__init_input_scaled(double gain, pha__gss_state state, pha__gate_bias bias)
{
    return of_rates(fill_input_scaled, gain, state, bias);
}

double pha__beta(const pha__config *c) { return pow(8.0 * c->n_layer, -0.25); }
