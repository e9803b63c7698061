/* formulas.c -- the equations of the models, written down once more (pha.md 2, 8 and 10, baselines.md 1, 2, 4 to 8)
 *
 * In double, with nothing shared with the library but the configuration and the weights by name.
 */
/* long file: the equations of all models, which share their pieces */
#include <complex.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models/formulas.h"

enum { T = FORMULA_T, D = 64, V = 256, L = 2, MAX = 256 };

typedef double value[T][MAX]; /* (T, width) */

static const lab *model;
static const pha__config *config;
static int layer;

/* A weight of this layer ("gss.gate"); NULL: there is none. */
static const float *weight(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "layer%d.%s", layer, name);
    Var w = pha__find_param(model->program, path);
    return w ? lab_weight(model, w->index) : NULL;
}

/* A weight outside of the layers. */
static const float *shared(const char *name) { return lab_weight(model, pha__find_param(model->program, name)->index); }

static void linear(value out, const char *name, value x, int n, int width)
{
    const float *w = weight(name);
    if (!w) fail_msg("no weight '%s'", name);
    for (int t = 0; t < T; t++)
        for (int j = 0; j < n; j++) {
            out[t][j] = 0;
            for (int i = 0; i < width; i++) out[t][j] += (double)w[j * width + i] * x[t][i];
        }
}

static void rmsnorm(value out, const float *gain, value x, int width)
{
    for (int t = 0; t < T; t++) {
        double sum = 0;
        for (int i = 0; i < width; i++) sum += x[t][i] * x[t][i];
        for (int i = 0; i < width; i++) out[t][i] = (gain ? gain[i] : 1) * x[t][i] / sqrt(sum / width + 1e-6);
    }
}

/* W x + b */
static void biased(value out, const char *name, value x, int n, int width)
{
    char bias[32];
    snprintf(bias, sizeof bias, "%s_bias", name);
    linear(out, name, x, n, width);
    for (int t = 0; t < T; t++)
        for (int j = 0; j < n; j++) out[t][j] += weight(bias)[j];
}

static void layernorm(value out, const float *gain, const float *bias, value x)
{
    for (int t = 0; t < T; t++) {
        double mean = 0, variance = 0;
        for (int i = 0; i < D; i++) mean += x[t][i] / D;
        for (int i = 0; i < D; i++) variance += (x[t][i] - mean) * (x[t][i] - mean) / D;
        for (int i = 0; i < D; i++) out[t][i] = gain[i] * (x[t][i] - mean) / sqrt(variance + 1e-5) + bias[i];
    }
}

static double gelu(double x) { return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double silu(double x) { return x * sigmoid(x); }
static double softplus(double x) { return log(1 + exp(x)); }

static void swiglu(value out, const char *name, value x, int n)
{
    static value g, u;
    char path[32];
    snprintf(path, sizeof path, "%s.gate", name);
    linear(g, path, x, n, D);
    snprintf(path, sizeof path, "%s.up", name);
    linear(u, path, x, n, D);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < n; i++) g[t][i] = silu(g[t][i]) * u[t][i];
    snprintf(path, sizeof path, "%s.down", name);
    linear(out, path, g, D, n);
}

/* s_c of pha.md 5 for one of S channels that forgets at rate rho, or of S pairs (pha.md 10), computed anew */
static double input_scale(int c, int S, bool pairs)
{
    double delta = pow(10, -3 + (S > 16 ? 2 * (c / 16) / (double)(S / 16 - 1) : 0));
    double rho = pairs ? delta / 2 : delta * (c % 16 + 1);
    double g = config->gate_bias == PHA__BIAS_MATCHED ? exp(-rho) : 0.5, l = g * exp(-rho);
    return sqrt(1 - l * l) / g;
}

static void scan(value h, value z, value u, int S)
{
    const float *bias = weight("gss.bias"), *theta = weight("gss.theta");
    assert_true((bias == NULL) == (config->gate_bias == PHA__BIAS_NONE));
    for (int c = 0; c < S; c++) {
        double a = exp(-exp(theta[c])), before = 0;
        double s = config->wb_scale == PHA__WB_FIXED ? input_scale(c, S, false) : 1;
        for (int t = 0; t < T; t++)
            h[t][c] = before = sigmoid(z[t][c] + (bias ? bias[c] : 0)) * (a * before + s * u[t][c]);
    }
}

/* pha.md 10: N pairs, the real parts first */
static void scan_of_pairs(value h, value z, value u, int N)
{
    const float *bias = weight("gss.bias"), *theta = weight("gss.theta"), *omega = weight("gss.omega");
    for (int c = 0; c < N; c++) {
        double size = exp(-exp(theta[c])), re = 0, im = 0;
        double s = config->wb_scale == PHA__WB_FIXED ? input_scale(c, N, true) : 1;
        for (int t = 0; t < T; t++) {
            double g = sigmoid(z[t][c] + (bias ? bias[c] : 0)), x = cos(omega[c]) * size, y = sin(omega[c]) * size;
            double old = re;
            re = g * (x * re - y * im + s * u[t][c]);
            im = g * (x * im + y * old + s * u[t][N + c]);
            h[t][c] = re, h[t][N + c] = im;
        }
    }
}

/* pha.md 2.3, 8 (A7) and 10 */
static void gss(value out, value x)
{
    static value z, u, f, h;
    int S = config->d_state, gates = config->gss_state == PHA__STATE_COMPLEX ? S / 2 : S;
    linear(z, "gss.gate", x, gates, D);
    linear(u, "gss.in", x, S, D);
    if (config->gss_filter == PHA__FILTER_CONV4) { /* u_t <- sum_j k_j u_(t-j), later tokens first */
        const float *k = weight("gss.conv");
        for (int t = T - 1; t >= 0; t--)
            for (int c = 0; c < S; c++) {
                u[t][c] *= k[4 * c];
                for (int j = 1; j < 4 && j <= t; j++) u[t][c] += k[4 * c + j] * u[t - j][c];
            }
    }
    if (gates < S) scan_of_pairs(h, z, u, gates);
    else scan(h, z, u, S);
    if (config->gss_filter == PHA__FILTER_SILU) {
        linear(f, "gss.filter", x, S, D);
        for (int t = 0; t < T; t++)
            for (int c = 0; c < S; c++) h[t][c] *= silu(f[t][c]);
    }
    if (config->gss_filter == PHA__FILTER_NORM) rmsnorm(h, weight("gss.filter_norm"), h, S);
    linear(out, "gss.out", h, D, S);
}

/* One head: norm, gain, rotation (pha.md 2.2, 10). */
static void rotate(double *x, int t, const float *gain)
{
    int dh = D / config->n_head, m = dh / 2;
    double sum = 0, n = 1;
    for (int i = 0; i < dh; i++) sum += x[i] * x[i];
    if (config->qk == PHA__QK_COSINE) n = sqrt(sum + 1e-12);
    if (config->qk == PHA__QK_RMS) n = sqrt(sum / dh + 1e-6);
    for (int i = 0; i < dh; i++) x[i] *= (gain ? gain[i] : 1) / n;
    for (int j = 0; j < m; j++) {
        double angle = t * pow(config->rope_theta, -2.0 * j / dh);
        int p = config->rope == PHA__ROPE_HALF ? j : 2 * j, q = config->rope == PHA__ROPE_HALF ? j + m : 2 * j + 1;
        double a = x[p], b = x[q];
        x[p] = a * cos(angle) - b * sin(angle);
        x[q] = a * sin(angle) + b * cos(angle);
    }
}

static void attend(double *out, int head, int t, value q, value k, value v)
{
    int dh = D / config->n_head, kv = head * config->n_kv_head / config->n_head, window = config->window[layer];
    const float *tau = weight("attn.tau");
    bool cosine = config->qk == PHA__QK_COSINE && (!strcmp(config->arch, "pha") || !strcmp(config->arch, "seq"));
    assert_true((tau != NULL) == cosine);
    double scale = tau ? exp(fmin(tau[head], log(100))) : 1 / sqrt(dh), p[T], sum = 0;
    for (int s = 0; s <= t; s++) {
        double dot = 0;
        for (int i = 0; i < dh; i++) dot += q[t][head * dh + i] * k[s][kv * dh + i];
        bool far = (window && t - s >= window) || (config->local && t / config->local != s / config->local);
        p[s] = far ? 0 : exp(scale * dot);
        sum += p[s];
    }
    for (int i = 0; i < dh; i++) {
        out[i] = 0;
        for (int s = 0; s <= t; s++) out[i] += p[s] / sum * v[s][kv * dh + i];
    }
}

static void attention(value out, value x)
{
    static value q, k, v, o;
    int dh = D / config->n_head, kv = config->n_kv_head * dh;
    linear(q, "attn.q", x, D, D);
    linear(k, "attn.k", x, kv, D);
    linear(v, "attn.v", x, kv, D);
    for (int t = 0; t < T; t++) {
        for (int i = 0; i < config->n_head; i++) rotate(q[t] + i * dh, t, weight("attn.q_gain"));
        for (int i = 0; i < config->n_kv_head; i++) rotate(k[t] + i * dh, t, weight("attn.k_gain"));
    }
    for (int t = 0; t < T; t++)
        for (int i = 0; i < config->n_head; i++) attend(o[t] + i * dh, i, t, q, k, v);
    linear(out, "attn.out", o, D, D);
}

/* The tables of pha.md 8: sum = base factor * (x or x^) + factor * f. `first`: the first sub-layer of a layer; `keep`:
 * false without the main residual, where the sum is f. */
static void residual(value sum, value x, value u, value f, bool first, bool keep)
{
    const double alpha = config->alpha;
    for (int t = 0; t < T; t++)
        for (int i = 0; i < D; i++) {
            double base = 0, more = f[t][i];
            switch (config->residual) {
            case PHA__RES_POST: base = alpha * u[t][i]; break;
            case PHA__RES_POST_RAW: base = alpha * (first ? x : u)[t][i]; break;
            case PHA__RES_PRE: base = x[t][i]; break;
            case PHA__RES_PRE_ALPHA: base = alpha * x[t][i]; break;
            case PHA__RES_PRE_INV: base = x[t][i], more /= alpha; break;
            }
            sum[t][i] = keep ? base + more : f[t][i];
        }
}

/* pha.md 2 */
static void parallel_block(value x)
{
    static value u, z[3], y, r;
    static const char *const gains[] = {"attn_norm", "gss_norm", "aux_norm"};
    int n = 0, order[3];
    rmsnorm(u, weight("norm"), x, D);
    for (int k = 0; k < 3; k++) {
        if (!(config->branches & 1 << k)) continue;
        if (k == 0) attention(z[n], u);
        if (k == 1) gss(z[n], u);
        if (k == 2) swiglu(z[n], "aux", u, config->d_aux);
        order[n++] = k;
    }
    for (int k = 0; k < n; k++) {
        assert_true((weight(gains[order[k]]) != NULL) == config->branch_gain);
        rmsnorm(z[k], weight(gains[order[k]]), z[k], D);
    }
    const float *p = weight("mix"), *m = weight("mix_input");
    for (int t = 0; t < T; t++) {
        double s[3], sum = 0;
        for (int k = 0; k < n; k++) {
            double c = p ? p[k] : 0;
            for (int i = 0; m && i < D; i++) c += (double)m[k * D + i] * u[t][i];
            sum += s[k] = softplus(c);
        }
        for (int i = 0; i < D; i++) {
            y[t][i] = 0;
            for (int k = 0; k < n; k++) y[t][i] += s[k] / sum * z[k][t][i];
        }
    }
    residual(x, x, u, y, true, true);
    rmsnorm(r, weight("ffn_norm"), x, D);
    swiglu(y, "ffn", r, config->d_ffn);
    residual(x, x, r, y, false, config->main_residual);
}

/* baselines.md 2 */
static void sequential_block(value x)
{
    static value u, f;
    rmsnorm(u, weight("attn_norm"), x, D);
    attention(f, u);
    if (config->seq_norm) rmsnorm(f, weight("attn_out_norm"), f, D);
    residual(x, x, u, f, true, true);
    rmsnorm(u, weight("gss_norm"), x, D);
    gss(f, u);
    if (config->seq_norm) rmsnorm(f, weight("gss_out_norm"), f, D);
    residual(x, x, u, f, false, true);
    rmsnorm(u, weight("ffn_norm"), x, D);
    swiglu(f, "ffn", u, config->d_ffn);
    residual(x, x, u, f, false, true);
}

/* baselines.md 1: x + W_o MHA(LN x), x + W_2 gelu(W_1 LN x), with biases */
static void softmax_attention(value o, value q, value k, value v)
{
    for (int t = 0; t < T; t++)
        for (int i = 0; i < config->n_head; i++) attend(o[t] + i * (D / config->n_head), i, t, q, k, v);
}

/* The same with any mixer of q, k and v, under a name. */
static void gpt2_block_with(const char *name, value x, void (*heads)(value o, value q, value k, value v))
{
    static value u, q, k, v, o, h;
    bool attention = !strcmp(name, "attn");
    int kv = attention ? config->n_kv_head * (D / config->n_head) : D;
    int F = strcmp(config->arch, "gss") ? config->d_ffn : 4 * D;
    char path[4][16];
    static const char *const maps[] = {"q", "k", "v", "out"};
    for (int i = 0; i < 4; i++) snprintf(path[i], sizeof path[i], "%s.%s", name, maps[i]);
    layernorm(u, weight("norm.gain"), weight("norm.bias"), x);
    biased(q, path[0], u, D, D);
    biased(k, path[1], u, kv, D);
    biased(v, path[2], u, kv, D);
    heads(o, q, k, v);
    biased(u, path[3], o, D, D);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < D; i++) x[t][i] += u[t][i];
    layernorm(u, weight("mlp_norm.gain"), weight("mlp_norm.bias"), x);
    biased(h, "mlp.up", u, F, D);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < F; i++) h[t][i] = gelu(h[t][i]);
    biased(u, "mlp.down", h, D, F);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < D; i++) x[t][i] += u[t][i];
}

static void gpt2_block_of(value x, void (*heads)(value o, value q, value k, value v))
{
    gpt2_block_with("attn", x, heads);
}

/* baselines.md 7, 8: weights b = phi(q_t) . phi(k_s), pair by pair */
static void weigh(value o, int head, value q, value k, value v, int M, double eps)
{
    int dh = D / config->n_head;
    for (int t = 0; t < T; t++) {
        double b[T], sum = eps;
        for (int s = 0; s <= t; s++) {
            b[s] = 0;
            for (int i = 0; i < M; i++) b[s] += q[t][i] * k[s][i];
            sum += b[s];
        }
        for (int j = head * dh; j < (head + 1) * dh; j++) {
            o[t][j] = 0;
            for (int s = 0; s <= t; s++) o[t][j] += b[s] / sum * v[s][j];
        }
    }
}

static double elu1(double x) { return x > 0 ? x + 1 : exp(x); }

static void elu_attention(value o, value q, value k, value v)
{
    static value fq, fk;
    int dh = D / config->n_head;
    for (int head = 0; head < config->n_head; head++) {
        for (int t = 0; t < T; t++)
            for (int i = 0; i < dh; i++)
                fq[t][i] = elu1(q[t][head * dh + i]), fk[t][i] = elu1(k[t][head * dh + i]);
        weigh(o, head, fq, fk, v, dh, 1e-6);
    }
}

PHA__OWN_KEYS(hedgehog) { int32_t hedgehog_map; };

/* [softmax(W x); softmax(-W x)], or exp of [W x; -W x] less the largest */
static void learned_features(value f, const char *map, value x, int head)
{
    int dh = D / config->n_head;
    bool together = hedgehog_of(config)->hedgehog_map == 1;
    const float *w = weight(map) + head * dh * dh;
    for (int t = 0; t < T; t++) {
        double plus = 0, minus = 0, top = 0;
        for (int i = 0; i < dh; i++) {
            double y = 0;
            for (int j = 0; j < dh; j++) y += w[i * dh + j] * x[t][head * dh + j];
            f[t][i] = exp(y), f[t][dh + i] = exp(-y);
            plus += f[t][i], minus += f[t][dh + i], top = fmax(top, exp(fabs(y)));
        }
        for (int i = 0; i < dh; i++) {
            f[t][i] = fmax(f[t][i] / (together ? top : plus), 1e-12);
            f[t][dh + i] = fmax(f[t][dh + i] / (together ? top : minus), 1e-12);
        }
    }
}

static void hedgehog_attention(value o, value q, value k, value v)
{
    static value fq, fk;
    for (int head = 0; head < config->n_head; head++) {
        learned_features(fq, "attn.map_q", q, head);
        learned_features(fk, "attn.map_k", k, head);
        weigh(o, head, fq, fk, v, 2 * D / config->n_head, 0);
    }
}

static void gpt2_block(value x) { gpt2_block_of(x, softmax_attention); }
static void linear_block(value x) { gpt2_block_of(x, elu_attention); }
static void hedgehog_block(value x) { gpt2_block_of(x, hedgehog_attention); }

/* ---- baselines.md 4 to 6 ---- */

PHA__OWN_KEYS(gss_keys) { int32_t d_gate, d_ssm, n_mode, ssm; };
PHA__OWN_KEYS(h3_keys) { int32_t n_shift, ssm_state, ssm_init; };
enum { GSS, DSS }; /* of ssm; all else are S4D */

static int gate_width(const pha__config *c) { return gss_keys_of(c)->d_gate ? gss_keys_of(c)->d_gate : 4 * c->d_model; }
static int ssm_width(const pha__config *c) { return gss_keys_of(c)->d_ssm ? gss_keys_of(c)->d_ssm : c->d_model / 4; }

static const float *of_block(const char *block, const char *name)
{
    char path[48];
    snprintf(path, sizeof path, "%s.%s", block, name);
    return weight(path);
}

/* K_p[l] as the sum stands: kappa Re sum C B (e^(lambda D) - 1) / lambda e^(lambda D l) */
static double kernel_at(const char *block, int kind, int p, int modes, int l)
{
    bool all = kind == GSS || kind == DSS;
    double dt = kind == GSS ? 1 : exp(of_block(block, "log_dt")[p]), sum = 0;
    for (int n = 0; n < modes; n++) {
        int k = all ? n : p * modes + n, i = p * modes + n;
        double im = of_block(block, all ? "nu" : "im")[k];
        double complex lambda = -exp(of_block(block, all ? "rho" : "log_neg_re")[k]) + I * (kind == GSS ? exp(im) : im);
        double complex C = of_block(block, "C_re")[i] + I * of_block(block, "C_im")[i], B = 1;
        if (of_block(block, "B_re")) B = of_block(block, "B_re")[i] + I * of_block(block, "B_im")[i];
        sum += creal(C * B * (cexp(lambda * dt) - 1) / lambda * cexp(lambda * dt * l));
    }
    return (all ? 1 : 2) * sum;
}

static void diagonal(value y, const char *block, int kind, value x, int width, int modes)
{
    for (int p = 0; p < width; p++) {
        double K[T];
        for (int l = 0; l < T; l++) K[l] = kernel_at(block, kind, p, modes, l);
        for (int t = 0; t < T; t++) {
            y[t][p] = of_block(block, "d")[p] * x[t][p];
            for (int s = 0; s <= t; s++) y[t][p] += K[t - s] * x[s][p];
        }
    }
}

static void narrow_layernorm(value out, const char *name, value x, int width)
{
    char gain[32], bias[32];
    snprintf(gain, sizeof gain, "%s.gain", name), snprintf(bias, sizeof bias, "%s.bias", name);
    for (int t = 0; t < T; t++) {
        double mean = 0, variance = 0;
        for (int i = 0; i < width; i++) mean += x[t][i] / width;
        for (int i = 0; i < width; i++) variance += (x[t][i] - mean) * (x[t][i] - mean) / width;
        for (int i = 0; i < width; i++)
            out[t][i] = weight(gain)[i] * (x[t][i] - mean) / sqrt(variance + 1e-5) + weight(bias)[i];
    }
}

static void gss_block(value x)
{
    static value in, u, v, y;
    int F = gate_width(config), P = ssm_width(config);
    if (pha__is_attn_layer(config, layer)) {
        gpt2_block(x);
        return;
    }
    narrow_layernorm(in, "norm", x, D);
    linear(u, "gss.u", in, F, D);
    linear(v, "gss.v", in, P, D);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < P; i++) v[t][i] = gelu(v[t][i]);
    narrow_layernorm(v, "gss.norm", v, P);
    diagonal(y, "gss", gss_keys_of(config)->ssm, v, P, gss_keys_of(config)->n_mode);
    linear(in, "gss.c", y, F, P);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < F; i++) u[t][i] = gelu(u[t][i]) * in[t][i];
    biased(y, "gss.out", u, D, F);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < D; i++) x[t][i] += y[t][i];
}

static void h3_mixer(value o, value q, value k, value v)
{
    static value s, y;
    int m = h3_keys_of(config)->n_shift;
    for (int c = 0; c < D; c++) {
        const float *B = weight("h3.shift_B") + c * m, *C = weight("h3.shift_C") + c * m;
        for (int t = 0; t < T; t++) {
            double sum = weight("h3.shift_d")[c] * k[t][c];
            for (int j = 0; j < m && j <= t; j++)
                for (int i = 0; i + j < m; i++) sum += (double)B[i] * C[i + j] * k[t - j][c];
            s[t][c] = sum * v[t][c];
        }
    }
    diagonal(y, "h3", DSS + 1, s, D, h3_keys_of(config)->ssm_state / 2);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < D; i++) o[t][i] = q[t][i] * y[t][i];
}

static void h3_block(value x)
{
    if (pha__is_attn_layer(config, layer)) gpt2_block(x);
    else gpt2_block_with("h3", x, h3_mixer);
}

/* ---- parameters (pha.md 3 with its options) ---- */

static int64_t attention_count(const pha__config *c)
{
    int64_t width = c->d_model, dh = width / c->n_head;
    int64_t count = 2 * width * width + 2 * width * c->n_kv_head * dh + c->n_head;
    if (c->qk == PHA__QK_DOT) count -= c->n_head;
    if (c->qk == PHA__QK_RMS) count += 2 * dh - c->n_head;
    return count;
}

static int64_t gss_count(const pha__config *c)
{
    int64_t width = c->d_model, S = c->d_state, count = 4 * width * S + 2 * S;
    if (c->gss_state == PHA__STATE_COMPLEX) count -= width * S / 2 + S / 2; /* half the gates, 3 S/2 for 2 S */
    if (c->gate_bias == PHA__BIAS_NONE) count -= c->gss_state == PHA__STATE_COMPLEX ? S / 2 : S;
    if (c->gss_filter != PHA__FILTER_SILU) count -= width * S;
    if (c->gss_filter == PHA__FILTER_NORM) count += S;
    if (c->gss_filter == PHA__FILTER_CONV4) count += 4 * S;
    return count;
}

static int64_t parallel_count(const pha__config *c)
{
    int64_t width = c->d_model, n = 0, count = 2 * width + 3 * width * c->d_ffn;
    if (c->branches & PHA__BRANCH_ATTN) count += attention_count(c), n++;
    if (c->branches & PHA__BRANCH_GSS) count += gss_count(c), n++;
    if (c->branches & PHA__BRANCH_AUX) count += 3 * width * c->d_aux, n++;
    if (c->branch_gain) count += n * width;
    if (n > 1 && c->mix != PHA__MIX_UNIFORM) count += n;
    if (n > 1 && c->mix == PHA__MIX_DYNAMIC) count += n * width;
    return count;
}

static int64_t sequential_count(const pha__config *c)
{
    int64_t width = c->d_model;
    return attention_count(c) + gss_count(c) + 3 * width * c->d_ffn + 3 * width + (c->seq_norm ? 2 * width : 0);
}

static int64_t gpt2_count(const pha__config *c)
{
    int64_t width = c->d_model, kv = c->n_kv_head * (width / c->n_head), F = c->d_ffn;
    return 2 * width * (width + 1) + 2 * kv * (width + 1) + F * (width + 1) + width * (F + 1) + 4 * width;
}

/* Layers differ: that of the number `layer`. */
static int64_t gss_block_count(const pha__config *c)
{
    int64_t width = c->d_model, F = gate_width(c), P = ssm_width(c);
    int64_t N = gss_keys_of(c)->n_mode, kind = gss_keys_of(c)->ssm;
    pha__config gpt2 = *c;
    gpt2.d_ffn = 4 * c->d_model;
    if (pha__is_attn_layer(c, layer)) return gpt2_count(&gpt2);
    int64_t modes = 2 * P * N + (kind <= DSS ? 2 * N : 2 * P * N) + (kind == GSS ? 0 : P);
    return 2 * width * F + width * P + P * F + modes + P + 2 * P + 3 * width;
}

static int64_t h3_block_count(const pha__config *c)
{
    int64_t width = c->d_model, m = h3_keys_of(c)->n_shift, modes = h3_keys_of(c)->ssm_state / 2, F = c->d_ffn;
    if (pha__is_attn_layer(c, layer)) return gpt2_count(c);
    int64_t maps = 4 * width * (width + 1) + F * (width + 1) + width * (F + 1) + 4 * width;
    return maps + width * (2 * m + 6 * modes + 3);
}

static int64_t hedgehog_count(const pha__config *c)
{
    int64_t dh = c->d_model / c->n_head;
    return gpt2_count(c) + c->n_head * 2 * dh * dh;
}

/* ---- the table ---- */

static const struct formula {
    const char *arch;
    void (*block)(value x);
    int64_t (*count)(const pha__config *c); /* of a layer */
    bool gpt2;                              /* no factor of the embedding, LayerNorm at the end */
} formulas[] = {
    {"pha", parallel_block, parallel_count, false},
    {"seq", sequential_block, sequential_count, false},
    {"gpt2", gpt2_block, gpt2_count, true},
    {"linear", linear_block, gpt2_count, true},
    {"hedgehog", hedgehog_block, hedgehog_count, true},
    {"gss", gss_block, gss_block_count, true},
    {"h3", h3_block, h3_block_count, true},
};

static const struct formula *formula_of(const char *arch)
{
    for (size_t i = 0; i < sizeof formulas / sizeof *formulas; i++)
        if (!strcmp(formulas[i].arch, arch)) return &formulas[i];
    fail_msg("tests/models/formulas.c has no formula of arch '%s'", arch);
    return NULL;
}

/* Learned positions: of GPT-2 and those that differ from it in their attention; state spaces have none. */
static int64_t positions_of(const pha__config *c)
{
    return formula_of(c->arch)->gpt2 && strcmp(c->arch, "gss") && strcmp(c->arch, "h3") ? c->n_positions : 0;
}

uint64_t formula_parameters(const pha__config *c)
{
    const struct formula *f = formula_of(c->arch);
    int64_t ends = f->gpt2 ? (positions_of(c) + 2) * (int64_t)c->d_model : c->d_model;
    int64_t layers = 0;
    for (layer = 0; layer < c->n_layer; layer++) layers += f->count(c);
    return (uint64_t)(c->vocab_size * (int64_t)c->d_model + ends + layers);
}

void formula_logits(float *out, const lab *l, const pha__config *c, const int32_t *tokens)
{
    static value x;
    model = l, config = c;
    const float *E = lab_weight(l, pha__find_param(l->program, "embed")->index);
    const struct formula *f = formula_of(c->arch);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < D; i++)
            x[t][i] = positions_of(c) ? E[tokens[t] * D + i] + shared("pos")[t * D + i]
                                             : (f->gpt2 ? 1 : sqrt(D)) * E[tokens[t] * D + i];
    for (layer = 0; layer < L; layer++) f->block(x);
    if (f->gpt2) layernorm(x, shared("norm.gain"), shared("norm.bias"), x);
    else rmsnorm(x, shared("norm"), x, D);
    for (int t = 0; t < T; t++)
        for (int j = 0; j < V; j++) {
            double sum = 0;
            for (int i = 0; i < D; i++) sum += (double)E[j * D + i] * x[t][i];
            out[t * V + j] = (float)sum;
        }
}
