"""ssm_numpy.py -- the gated state space and H3, with attention layers or without, in plain NumPy, in double

Shares nothing with pha but the files: the kernel of a state space is summed as it stands, mode by mode, and applied as a
lower triangular matrix; the shifting state is stepped token by token. compare_logits.py holds it against pha.
"""
import numpy as np

from gpt2_numpy import attention, gelu, layernorm


def norm(w, at, x):
    return layernorm(x, w[f"{at}.gain"], w[f"{at}.bias"])


def diagonal(w, at, x, kind):
    """(B, T, P): y_t = sum_s K[t - s] x_s + d x_t; modes of all channels (gss, dss) or of each (the others)."""
    T, P = x.shape[1:]
    shared = kind in ("gss", "dss")
    C = w[f"{at}.C_re"] + 1j * w[f"{at}.C_im"]
    B = w[f"{at}.B_re"] + 1j * w[f"{at}.B_im"] if f"{at}.B_re" in w else 1
    rate, im = (w[f"{at}.rho"], w[f"{at}.nu"]) if shared else (w[f"{at}.log_neg_re"], w[f"{at}.im"])
    lam = np.broadcast_to(-np.exp(rate) + 1j * (np.exp(im) if kind == "gss" else im), C.shape)
    step = np.ones((P, 1)) if kind == "gss" else np.exp(w[f"{at}.log_dt"])[:, None]
    weight = C * B * np.expm1(lam * step) / lam
    K = np.array([(weight * np.exp(lam * step * l)).sum(1).real for l in range(T)]) * (1 if shared else 2)
    y = w[f"{at}.d"] * x
    for t in range(T):
        y[:, t] += np.einsum("sp,bsp->bp", K[t::-1], x[:, : t + 1])
    return y


def shift(w, at, x):
    """(B, T, P): the state of m places moves by one at every token, takes B x in, and gives C state + d x."""
    B, C, out = w[f"{at}.shift_B"], w[f"{at}.shift_C"], np.empty_like(x)
    state = np.zeros((x.shape[0],) + B.shape)
    for t in range(x.shape[1]):
        state[..., 1:] = state[..., :-1].copy()
        state[..., 0] = 0
        state += B * x[:, t, :, None]
        out[:, t] = (C * state).sum(-1) + w[f"{at}.shift_d"] * x[:, t]
    return out


def mapped(w, at, x):
    return x @ w[at].T + w[f"{at}_bias"]


def gss(w, at, x, c):
    u, v = gelu(x @ w[f"{at}.u"].T), gelu(x @ w[f"{at}.v"].T)
    y = diagonal(w, at, norm(w, f"{at}.norm", v), c.get("ssm", "gss"))
    return mapped(w, f"{at}.out", u * (y @ w[f"{at}.c"].T))


def h3(w, at, x):
    q, k, v = (mapped(w, f"{at}.{name}", x) for name in "qkv")
    return mapped(w, f"{at}.out", q * diagonal(w, at, shift(w, at, k) * v, "s4d"))


def logits(w, c, tokens):
    w = {name: t.astype("f8") for name, t in w.items()}
    x = w["embed"][tokens]
    for i in range(c["n_layer"]):
        at, attends = f"layer{i}", i in c.get("attn_layers", [])
        u = norm(w, f"{at}.norm", x)
        if attends:
            x = x + attention(w, f"{at}.attn", u, dict(c, arch="gpt2"))
        else:
            x = x + (gss(w, f"{at}.gss", u, c) if c["arch"] == "gss" else h3(w, f"{at}.h3", u))
        if attends or c["arch"] == "h3":
            h = gelu(mapped(w, f"{at}.mlp.up", norm(w, f"{at}.mlp_norm", x)))
            x = x + mapped(w, f"{at}.mlp.down", h)
    return norm(w, "norm", x) @ w["embed"].T
