/* nn.h -- pieces with parameters, from which the models are written
 *
 * Each records one equation under a name; a parameter is declared where the equation uses it, and its path is its key
 * in the checkpoint. Values are (B, T, W). The short names below are for model files, which read as the paper does.
 */
#ifndef PHA__NN_H
#define PHA__NN_H

#include "base/config.h"
#include "nn/shown.h"
#include "program/program.h"

#define RMS_EPS 1e-6f        /* pha.md 1 */
#define LAYER_NORM_EPS 1e-5f /* baselines.md 1 */

/* Dropout masks are named by place: 8 sites per layer, the embedding being layer -1. */
static inline uint32_t dropout_site(Params p, int site) { return (uint32_t)((p.layer + 1) * 8 + site); }
enum { ATTN_SITE = 7 }; /* the weights of attention */

static inline int32_t width(Var x) { return x->width; }
static inline Params sub(Params p, const char *name) { return pha__sub(p, name); }
/* The same place in the tree of names; what is recorded there counts under a part of shown.h. */
static inline Params part(Params p, int of) { return pha__of_part(p, &pha__parts[of]); }

/* ---- initial values (init.c; pha.md 5) ---- */
pha__init pha__init_normal(double std);
pha__init pha__init_constant(double value);
pha__init pha__init_identities(void);                               /* squares, one below the other */
pha__init pha__init_first_tap(void);                                /* of a convolution: it passes its input on */
pha__init pha__init_uniform(double low, double high);
pha__init pha__init_xavier(double gain);                            /* std = gain sqrt(2 / (rows + width)) */
/* Of the gated state space, whose channels, or pairs of them, forget at rates rho_c (pha.md 5, 10): */
pha__init pha__init_theta(pha__gss_state state);                             /* ln rho_c */
pha__init pha__init_omega(void);                                             /* radians a token, of pairs */
pha__init pha__init_gate_bias(pha__gss_state state, pha__gate_bias bias);    /* zero, or matched to the rates */
pha__init pha__init_input_scale(pha__gss_state state, pha__gate_bias bias);  /* the factors s_c */
pha__init pha__init_input_scaled(double gain, pha__gss_state state, pha__gate_bias bias); /* Xavier, row c times s_c */
double pha__beta(const pha__config *c);                             /* DeepNorm: (8 L)^(-1/4) */

/* Modes of a diagonal state space (init_modes.c; baselines.md 4 and 5): one of each pair of eigenvalues for all kinds
 * but PHA__MODES_GSS, whose modes are drawn. In the order of the names of keys. */
typedef enum pha__modes {
    PHA__MODES_GSS, PHA__MODES_DSS, PHA__MODES_LIN, PHA__MODES_INV, PHA__MODES_REAL, PHA__MODES_LEGS
} pha__modes;
enum { PHA__MODES_MOST = 256 }; /* of DSS and LegS, whose eigenvalues have to be found */
pha__init pha__init_modes_rate(pha__modes kind); /* ln(-Re lambda), every row the same */
pha__init pha__init_modes_im(pha__modes kind);   /* Im lambda */

/* ---- pieces ---- */
Var pha__linear_at(Params p, const char *name, Var x, int32_t n, pha__init init, const char *file, int line);
#define linear(p, name, x, n, init) pha__linear_at(p, name, x, n, init, __FILE__, __LINE__)

/* RMSNorm with gain `name`. */
Var pha__rmsnorm_at(Params p, const char *name, Var x, double gain, const char *file, int line);
#define rmsnorm(p, name, x) pha__rmsnorm_at(p, name, x, 1.0, __FILE__, __LINE__)

/* LayerNorm with `name`.gain and `name`.bias. */
Var pha__layernorm_at(Params p, const char *name, Var x, const char *file, int line);
#define layernorm(p, name, x) pha__layernorm_at(p, name, x, __FILE__, __LINE__)

/* Grouped-query attention with rotary positions and the configured query/key normalisation (pha.md 2.2). */
Var pha__gqa(Params p, const char *name, Var x, const pha__config *c, int layer);
#define gqa(...) pha__gqa(__VA_ARGS__)

/* Gated state space (pha.md 2.3). */
Var pha__gss(Params p, const char *name, Var x, const pha__config *c);
#define gss(...) pha__gss(__VA_ARGS__)

/* W_down (SiLU(W_gate x) * W_up x) with hidden width n (pha.md 2.4). It counts under the part that p says, else as
 * feed-forward. */
Var pha__swiglu(Params p, const char *name, Var x, int32_t n, const pha__config *c);
#define swiglu(...) pha__swiglu(__VA_ARGS__)

/* a * b, and the tanh form of GELU, element by element. */
Var pha__product(Params p, const char *name, Var a, Var b);
#define product(...) pha__product(__VA_ARGS__)
Var pha__gelu(Params p, const char *name, Var x);
#define gelu(...) pha__gelu(__VA_ARGS__)

/* ---- of the GPT-2 family (baselines.md 1): maps with biases, matrices from 0.02 ---- */

#define GPT2_STD 0.02
double pha__gpt2_last(const pha__config *c); /* of a sub-layer's last matrix: 0.02 / sqrt(2 L) */

/* W x + b: matrix `name`, normal with std; bias `name`_bias, from 0. */
Var pha__biased_at(Params p, const char *name, Var x, int32_t n, double std, const char *file, int line);
#define biased(p, name, x, n, std) pha__biased_at(p, name, x, n, std, __FILE__, __LINE__)

/* Softmax attention without rotation: logits q . k / sqrt(dh). */
Var pha__mha(Params p, const char *name, Var x, const pha__config *c, int layer);
#define mha(...) pha__mha(__VA_ARGS__)

/* Linear attention over features elu(.) + 1, and over learned ones: PHA__MAP_* of ops/hedgehog (baselines.md 7, 8). */
Var pha__linear_attention(Params p, const char *name, Var x, const pha__config *c, int layer);
Var pha__hedgehog(Params p, const char *name, Var x, int map, const pha__config *c);
/* Softmax attention of the same q, k and v, and the loss `loss` of how far the weights of Hedgehog's are from its own,
 * mean over heads and, with the weight 1 / L, over layers (baselines.md 8 (b)). */
Var pha__taught_hedgehog(Params p, const char *name, Var x, const char *loss, int map, const pha__config *c);

/* W_down gelu(W_up x) with hidden width n. */
Var pha__mlp(Params p, const char *name, Var x, int32_t n, const pha__config *c);
#define mlp(...) pha__mlp(__VA_ARGS__)

/* drop(x + P[t]) with the table `name` of c->n_positions rows. */
Var pha__positions(Params p, const char *name, Var x, const pha__config *c);

/* ---- state spaces that do not depend on the data (ssm.c) ---- */

/* Diagonal, with n modes per channel: of all channels (GSS; DSS, with steps per channel), or of each; B: a parameter
 * too. It adds no name of its own to p. */
Var pha__diagonal(Params p, Var x, pha__modes kind, int32_t n, bool B);
#define diagonal(...) pha__diagonal(__VA_ARGS__)

/* The state of n places that shifts by one per token (H3). */
Var pha__shift(Params p, Var x, int32_t n);
#define shift(...) pha__shift(__VA_ARGS__)

/* Shows the rms of what a piece gives to its layer, under the piece's name. */
void pha__watch_rms(Params p, const char *name, Var z);

/* One branch of a mix: its output and its path segment ("attn": gain attn_norm), under which its share is shown. */
typedef struct Branch {
    const char *name;
    Var z;
} Branch;

/* alpha base + beta drop(sum_k w_k RMSNorm_k(z_k)); n = 1: no weights. u: what dynamic mixing reads (pha.md 2, 2.1,
 * 10). */
Var pha__mix_at(Params p, const char *name, Var base, Var u, const Branch *branches, int n, double alpha, double beta,
                const pha__config *c, int site, const char *file, int line);
#define mix(...) pha__mix_at(__VA_ARGS__, __FILE__, __LINE__)

/* alpha a + beta drop(b); a may be NULL: nothing is added */
Var pha__residual_at(Params p, const char *name, Var a, Var b, double alpha, double beta, const pha__config *c,
                     int site, const char *file, int line);
#define pha__residual(...) pha__residual_at(__VA_ARGS__, __FILE__, __LINE__)

/* weight * mean over tokens of the cross-entropy of E x with the next token, added to what training minimises; logged
 * under its name. */
void pha__cross_entropy_at(Params p, const char *name, Var x, Var E, double weight, const char *file, int line);
#define cross_entropy(...) pha__cross_entropy_at(__VA_ARGS__, __FILE__, __LINE__)

/* The residual modes of pha.md 8 for one sub-layer whose input is x and whose normalised input is u: which base, and
 * the factors of base and of the new term. */
typedef struct Residual {
    Var base;
    double alpha, beta;
} Residual;
Residual pha__residual_mode_of(const pha__config *c, Var x, Var u, bool first);

#endif
