"""pha_torch.py -- the PHA and sequential models in plain, eager PyTorch, for comparison with pha

It reads a model folder of pha (config.json and model.safetensors) or draws fresh weights for a configuration, and
computes logits, loss and gradients. It is what a careful user of PyTorch would write: fused attention kernel, a scan in
chunks with its own backward pass, no Python loop over tokens.

    x = sqrt(D) E[c];   per layer:
      u = norm(x);  r = norm(alpha u + sum_k w_k norm_k(branch_k(u)));  x = alpha r + SwiGLU(r)
    logits = E norm(x)

Comparisons run without dropout. Needs torch and numpy.
"""
import json
import math
import os

import numpy as np
import torch
import torch.nn.functional as F

RMS_EPS = 1e-6

# ---- configuration and weights ---------------------------------------------------------------------------------------

DEFAULTS = dict(branches=["attn", "gss", "aux"], residual="post", main_residual=True, alpha=None, embed_std=0.02,
                gate_bias="zero", wb_scale="init", seq_norm=True, window=None, local=None, mix="learned",
                qk="cosine", branch_gain=True, rope_theta=10000.0, rope="half", gss_state="real", gss_filter="silu")


def read_config(path):
    """A configuration with every default filled in; path: a config.json or the folder of one."""
    if os.path.isdir(path):
        path = os.path.join(path, "config.json")
    with open(path, encoding="utf-8") as f:
        c = {**DEFAULTS, **json.load(f)}
    if c["arch"] not in ("pha", "seq"):
        raise ValueError(f"{path}: arch '{c['arch']}' is neither pha nor seq")
    if c["arch"] == "seq":
        c["branches"] = ["attn", "gss"]
    c["branches"] = [b for b in ("attn", "gss", "aux") if b in c["branches"]]
    c["alpha"] = c["alpha"] or (2 * c["n_layer"]) ** 0.25
    if "attn" in c["branches"]:
        c["n_kv_head"] = c.get("n_kv_head") or c["n_head"]
    if not isinstance(c["window"], list):
        c["window"] = [c["window"]] * c["n_layer"]
    return c


def read_safetensors(path):
    """{name: float32 array}: 8 bytes of header size, a JSON header, then the data."""
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        data = f.read()
    header.pop("__metadata__", None)
    out = {}
    for name, t in header.items():
        raw = data[t["data_offsets"][0]:t["data_offsets"][1]]
        if t["dtype"] == "F32":
            a = np.frombuffer(raw, "<f4")
        elif t["dtype"] == "BF16":
            a = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
        else:
            raise ValueError(f"{path}: {name} has dtype {t['dtype']}")
        out[name] = a.reshape(t["shape"]).copy()
    return out


def shapes(c):
    """{name: shape} of all parameters, in the names of model.safetensors."""
    D, out = c["d_model"], {"embed": (c["vocab_size"], c["d_model"]), "norm": (c["d_model"],)}

    def ffn(at, width):
        out.update({f"{at}.gate": (width, D), f"{at}.up": (width, D), f"{at}.down": (D, width)})

    for n in range(c["n_layer"]):
        L, nb = f"layer{n}", len(c["branches"])
        if "attn" in c["branches"]:
            dh = D // c["n_head"]
            kv = c["n_kv_head"] * dh
            out.update({f"{L}.attn.q": (D, D), f"{L}.attn.k": (kv, D), f"{L}.attn.v": (kv, D), f"{L}.attn.out": (D, D)})
            if c["qk"] == "cosine":
                out[f"{L}.attn.tau"] = (c["n_head"],)
            if c["qk"] == "rms":
                out.update({f"{L}.attn.q_gain": (dh,), f"{L}.attn.k_gain": (dh,)})
        if "gss" in c["branches"]:
            S = c["d_state"]
            N = S // 2 if c["gss_state"] == "complex" else S  # gates
            out.update({f"{L}.gss.gate": (N, D), f"{L}.gss.in": (S, D), f"{L}.gss.out": (D, S), f"{L}.gss.theta": (N,)})
            if c["gss_state"] == "complex":
                out[f"{L}.gss.omega"] = (N,)
            if c["gate_bias"] != "none":
                out[f"{L}.gss.bias"] = (N,)
            if c["gss_filter"] == "silu":
                out[f"{L}.gss.filter"] = (S, D)
            if c["gss_filter"] == "norm":
                out[f"{L}.gss.filter_norm"] = (S,)
            if c["gss_filter"] == "conv4":
                out[f"{L}.gss.conv"] = (S, 4)
        ffn(f"{L}.ffn", c["d_ffn"])
        out[f"{L}.ffn_norm"] = (D,)
        if c["arch"] == "seq":
            out.update({f"{L}.attn_norm": (D,), f"{L}.gss_norm": (D,)})
            if c["seq_norm"]:
                out.update({f"{L}.attn_out_norm": (D,), f"{L}.gss_out_norm": (D,)})
            continue
        out[f"{L}.norm"] = (D,)
        if "aux" in c["branches"]:
            ffn(f"{L}.aux", c["d_aux"])
        if c["branch_gain"]:
            out.update({f"{L}.{b}_norm": (D,) for b in c["branches"]})
        if nb > 1 and c["mix"] != "uniform":
            out[f"{L}.mix"] = (nb,)
        if nb > 1 and c["mix"] == "dynamic":
            out[f"{L}.mix_input"] = (nb, D)
    return out


def step_sizes(S):
    """Of the state's channels, or pairs: 16 to a group, groups log-spaced from 1e-3 to 1e-1."""
    return 10.0 ** (-3 + 2 * (np.arange(S) // 16) / max(S // 16 - 1, 1))


def rates(c):
    """Decay rates of the state's channels, or pairs."""
    if c["gss_state"] == "complex":
        return step_sizes(c["d_state"] // 2) / 2
    return step_sizes(c["d_state"]) * (np.arange(c["d_state"]) % 16 + 1)


def frequencies(c):
    """Radians a token of pairs."""
    return math.pi * (np.arange(c["d_state"] // 2) % 16) * step_sizes(c["d_state"] // 2)


def input_scale(c):
    """Factor on rows of W_B that starts every channel with about equal variance."""
    rho = np.tile(rates(c), 2 if c["gss_state"] == "complex" else 1)
    bias = -np.log(np.expm1(rho)) if c["gate_bias"] == "matched" else np.zeros_like(rho)
    g = 1 / (1 + np.exp(-bias))
    return np.sqrt(1 - (g * np.exp(-rho)) ** 2) / g


def draw_weights(c, seed=1):
    """Fresh weights of the specified distribution (not the same numbers as `pha init`)."""
    rng, beta, out = np.random.default_rng(seed), (8 * c["n_layer"]) ** -0.25, {}
    for name, shape in shapes(c).items():
        last = name.split(".")[-1]
        if last == "theta":
            out[name] = np.log(rates(c)).astype("f4")
        elif last == "omega":
            out[name] = frequencies(c).astype("f4")
        elif last == "tau":
            out[name] = np.full(shape, math.log(10), "f4")
        elif last == "bias":
            out[name] = np.zeros(shape, "f4")
            if c["gate_bias"] == "matched":
                out[name] = -np.log(np.expm1(rates(c))).astype("f4")
        elif last in ("mix", "mix_input"):
            out[name] = np.zeros(shape, "f4")
        elif last == "conv":  # the identity
            out[name] = np.zeros(shape, "f4")
            out[name][:, 0] = 1
        elif len(shape) == 1:
            out[name] = np.ones(shape, "f4")
        else:
            gain = 1 if last in ("q", "k", "filter") or name.endswith("gss.gate") else beta
            std = c["embed_std"] if name == "embed" else gain * math.sqrt(2 / sum(shape))
            out[name] = rng.standard_normal(shape, "f4") * np.float32(std)
            if name.endswith("gss.in") and c["wb_scale"] == "init":
                out[name] *= input_scale(c)[:, None].astype("f4")
    return out


# ---- the scan --------------------------------------------------------------------------------------------------------


def _sweep(decay, x):
    """h_t = decay_t h_(t-1) + x_t along dim 1 of (B, T, S), h before the first = 0; overwrites neither input.

    sqrt(T) chunks advance side by side; then each receives what the one before carried into it."""
    B, T, S = x.shape
    n = max(1, 1 << round(math.log2(math.sqrt(T))))  # positions in a chunk
    while T % n:
        n //= 2
    decay, h = decay.reshape(B, T // n, n, S), x.reshape(B, T // n, n, S).clone()
    reach = decay.clone()  # product of the decays since the chunk began
    for i in range(1, n):
        h[:, :, i].addcmul_(decay[:, :, i], h[:, :, i - 1])
        reach[:, :, i].mul_(reach[:, :, i - 1])
    for k in range(1, T // n):
        h[:, k].addcmul_(reach[:, k], h[:, k - 1, -1:])
    return h.reshape(B, T, S)


class Scan(torch.autograd.Function):
    """h_t = g_t (a h_(t-1) + u_t), g = sigmoid(z)"""

    @staticmethod
    def forward(ctx, z, u, a):
        g = torch.sigmoid(z)
        h = _sweep(g * a, g * u)
        ctx.save_for_backward(g, u, a, h)
        return h

    @staticmethod
    def backward(ctx, dh):
        g, u, a, h = ctx.saved_tensors
        # e_t = dL/dh_t over all later tokens: e_t = dh_t + g_(t+1) a e_(t+1), the same recurrence backwards
        decay = torch.zeros_like(g)
        decay[:, :-1] = g[:, 1:] * a
        e = _sweep(decay.flip(1), dh.flip(1)).flip(1)
        before = torch.zeros_like(h)
        before[:, 1:] = h[:, :-1]
        eg = e * g
        da = (eg * before).sum((0, 1))
        dz = eg * (1 - g) * torch.addcmul(u, a, before)
        return dz, eg, da


def scan_loop(z, u, a):
    """The same by a loop over tokens and autograd: the reference of Scan."""
    g, h, out = torch.sigmoid(z), torch.zeros_like(z[:, 0]), []
    for t in range(z.shape[1]):
        h = g[:, t] * (a * h + u[:, t])
        out.append(h)
    return torch.stack(out, 1)


# ---- the loss, in pieces ---------------------------------------------------------------------------------------------


class RowsLoss(torch.autograd.Function):
    """Mean cross-entropy of x E^T in pieces of `rows` rows. The gradients are taken at once, so that the logits of only
    one piece exist at a time and no product is repeated."""

    @staticmethod
    def forward(ctx, x, E, targets, rows):
        n, total = x.shape[0], 0.0
        dx, dE = torch.empty_like(x), torch.zeros_like(E)
        for i in range(0, n, rows):
            at, part = slice(i, i + rows), targets[i:i + rows, None]
            p = x[at] @ E.T
            norm = torch.logsumexp(p, 1, keepdim=True)
            total = total + (norm - p.gather(1, part)).sum()
            p.sub_(norm).exp_()
            p.scatter_add_(1, part, torch.full_like(norm, -1.0))
            p.mul_(1.0 / n)
            torch.mm(p, E, out=dx[at])
            dE.addmm_(p.T, x[at])
        ctx.save_for_backward(dx, dE)
        return total / n

    @staticmethod
    def backward(ctx, d):
        dx, dE = ctx.saved_tensors
        return dx * d, dE * d, None, None


# ---- the model -------------------------------------------------------------------------------------------------------


def rmsnorm(x, gain=None):
    return F.rms_norm(x, (x.shape[-1],), gain if gain is None else gain.to(x.dtype), RMS_EPS)  # mixed types are not fused


def silu_mul(a, b):
    return F.silu(a) * b


def rotate(x, cos, sin):
    """Rotary positions, half-split, on (B, H, T, dh)."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


def compile_pieces():
    """torch.compile of what is element-wise. The whole model does not compile in useful time: the scan's loops unroll."""
    global rmsnorm, silu_mul, rotate
    rmsnorm, silu_mul, rotate = (torch.compile(f, dynamic=False) for f in (rmsnorm, silu_mul, rotate))


class State:
    """What reading leaves behind: keys, values, the last h and inputs of each layer, with room for `room` tokens."""

    def __init__(self, config, batch, room, dtype=torch.float32):
        c, self.n = config, 0  # tokens read
        shape = (c["n_layer"], batch, c.get("n_kv_head") or 1, room, c["d_model"] // (c.get("n_head") or 1))
        attention = "attn" in c["branches"]
        self.k = torch.zeros(shape, dtype=dtype) if attention else None
        self.v = torch.zeros(shape, dtype=dtype) if attention else None
        self.h = torch.zeros(c["n_layer"], batch, c.get("d_state") or 1, dtype=dtype)
        self.u = torch.zeros(c["n_layer"], batch, 3, c.get("d_state") or 1, dtype=dtype)  # conv4: the last inputs

    def append(self, layer, k, v):
        """Keys and values of all tokens so far; k, v (B, Hkv, T, dh) are those of the new ones."""
        end = self.n + k.shape[2]
        self.k[layer, :, :, self.n:end], self.v[layer, :, :, self.n:end] = k, v
        return self.k[layer, :, :, :end], self.v[layer, :, :, :end]


class Model:
    """weights: {name: array}. dtype: torch.float32 or torch.float64. scan: 'chunked', 'loop' or 'triton' (on a GPU)."""

    def __init__(self, config, weights, dtype=torch.float32, scan="chunked", device="cpu"):
        self.c, self.device = config, device
        expected = shapes(config)
        if set(expected) != set(weights):
            raise ValueError(f"tensors differ from those of the configuration: {sorted(set(expected) ^ set(weights))[:5]}")
        self.w = {}
        for name, a in weights.items():
            if tuple(a.shape) != expected[name]:
                raise ValueError(f"{name}: shape {tuple(a.shape)}, expected {expected[name]}")
            self.w[name] = torch.from_numpy(np.ascontiguousarray(a)).to(device, dtype).requires_grad_()
        self.dtype, self.scan = dtype, Scan.apply if scan == "chunked" else scan_loop
        if scan == "triton":
            from scan_triton import TritonScan

            self.scan = TritonScan.apply
        self.tables = None
        self.in_scale = None
        if "gss" in config["branches"] and config["wb_scale"] == "fixed":
            self.in_scale = torch.from_numpy(input_scale(config)).to(device, dtype)

    @classmethod
    def open(cls, folder, **options):
        return cls(read_config(folder), read_safetensors(os.path.join(folder, "model.safetensors")), **options)

    def parameters(self):
        return list(self.w.values())

    def count(self):
        return sum(p.numel() for p in self.parameters())

    # -- attention

    def _angles(self, at, T):
        """cos and sin (T, dh/2) of the positions from `at`, computed in double."""
        if self.tables is None or self.tables[0].shape[0] < at + T:
            m = self.c["d_model"] // self.c["n_head"] // 2
            angle = np.arange(2 * (at + T))[:, None] * self.c["rope_theta"] ** (-np.arange(m) / m)[None]
            self.tables = [torch.from_numpy(f(angle)).to(self.device, self.dtype) for f in (np.cos, np.sin)]
        return [table[at:at + T] for table in self.tables]

    def _rotate(self, x, at):
        """x: (B, H, T, dh), the first token at position `at`"""
        cos, sin = self._angles(at, x.shape[2])
        if self.c["rope"] == "half":
            return rotate(x, cos, sin)
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)

    def gqa(self, layer, x, state):
        c, w, p, window = self.c, self.w, f"layer{layer}.attn.", self.c["window"][layer]
        B, T, D = x.shape
        at = state.n if state else 0
        dh = D // c["n_head"]

        def heads(name, n):
            return (x @ w[p + name].T).view(B, T, n, dh).transpose(1, 2)

        q, k, v = heads("q", c["n_head"]), heads("k", c["n_kv_head"]), heads("v", c["n_kv_head"])
        scale = 1 / math.sqrt(dh)
        if c["qk"] == "cosine":
            tau = torch.exp(torch.clamp(w[p + "tau"], max=math.log(100)))
            q = q * (torch.rsqrt(q.square().sum(-1, keepdim=True) + 1e-12) * tau[:, None, None])
            k = k * torch.rsqrt(k.square().sum(-1, keepdim=True) + 1e-12)
            scale = 1.0
        elif c["qk"] == "rms":
            q, k = rmsnorm(q, w[p + "q_gain"]), rmsnorm(k, w[p + "k_gain"])
        q, k = self._rotate(q, at), self._rotate(k, at)
        if state:
            k, v = state.append(layer, k, v)
        mask, keys = None, k.shape[2]
        if (window and window < keys) or (at and T > 1) or c["local"]:
            query, key = torch.arange(at, keys)[:, None], torch.arange(keys)[None]
            mask = (query >= key) & (query - key < (window or keys))
            if c["local"]:
                mask &= query // c["local"] == key // c["local"]
        o = F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None and T == keys, scale=scale,
                                           enable_gqa=True)
        return o.transpose(1, 2).reshape(B, T, D) @ w[p + "out"].T

    # -- state space, feed-forward

    def gss(self, layer, x, state):
        c, w, p = self.c, self.w, f"layer{layer}.gss."
        z, u = x @ w[p + "gate"].T, x @ w[p + "in"].T
        if c["gate_bias"] != "none":
            z = z + w[p + "bias"]
        if self.in_scale is not None:
            u = u * self.in_scale
        if c["gss_filter"] == "conv4":
            u = torch.cat((state.u[layer] if state else torch.zeros_like(u[:, :1]).expand(-1, 3, -1), u), 1)
            if state:
                state.u[layer] = u[:, -3:]
            u = F.conv1d(u.transpose(1, 2), w[p + "conv"].flip(1)[:, None], groups=u.shape[2]).transpose(1, 2)
        a, before, scan = torch.exp(-torch.exp(w[p + "theta"])), state.h[layer] if state else None, self.scan
        pairs = c["gss_state"] == "complex"
        if pairs:
            a, u, scan = torch.polar(a, w[p + "omega"]), torch.complex(*u.chunk(2, -1)), scan_loop
            before = torch.complex(*before.chunk(2, -1)) if state else None
        if state:  # what is carried in is one more input of the first token
            u = torch.cat((u[:, :1] + (a * before)[:, None], u[:, 1:]), 1)
        h = scan(z, u, a) if x.shape[1] > 1 else torch.sigmoid(z) * u
        if pairs:
            h = torch.cat((h.real, h.imag), -1)
        if state:
            state.h[layer] = h[:, -1]
        if c["gss_filter"] == "silu":
            h = silu_mul(x @ w[p + "filter"].T, h)
        elif c["gss_filter"] == "norm":
            h = rmsnorm(h, w[p + "filter_norm"])
        return h @ w[p + "out"].T

    def swiglu(self, p, x):
        w = self.w
        return silu_mul(x @ w[p + "gate"].T, x @ w[p + "up"].T) @ w[p + "down"].T

    # -- blocks

    def _base(self, x, u, first):
        """What a sub-layer's output is added to, its factor, and the factor of the output."""
        alpha = self.c["alpha"]
        return {"post": (u, alpha, 1.0), "post_raw": (x if first else u, alpha, 1.0), "pre": (x, 1.0, 1.0),
                "pre_alpha": (x, alpha, 1.0), "pre_inv": (x, 1.0, 1 / alpha)}[self.c["residual"]]

    def _mixing(self, L, u):
        """One factor per branch: a number, a 0-dim tensor, or (B, T, 1)."""
        n = len(self.c["branches"])
        if n == 1 or self.c["mix"] == "uniform":
            return [1.0 / n] * n
        p = self.w[f"{L}.mix"]
        if self.c["mix"] == "dynamic":
            p = p + u @ self.w[f"{L}.mix_input"].T
        s = F.softplus(p)
        s = s / s.sum(-1, keepdim=True)
        return s.split(1, -1) if self.c["mix"] == "dynamic" else s.unbind()

    def _block_pha(self, x, layer, state):
        c, w, L = self.c, self.w, f"layer{layer}"
        u = rmsnorm(x, w[f"{L}.norm"])
        mixing = self._mixing(L, u)
        y = 0
        for share, b in zip(mixing, c["branches"]):
            if b == "attn":
                z = self.gqa(layer, u, state)
            elif b == "gss":
                z = self.gss(layer, u, state)
            else:
                z = self.swiglu(f"{L}.aux.", u)
            y = y + share * rmsnorm(z, w[f"{L}.{b}_norm"] if c["branch_gain"] else None)
        base, alpha, beta = self._base(x, u, True)
        s = alpha * base + beta * y
        r = rmsnorm(s, w[f"{L}.ffn_norm"])
        base, alpha, beta = self._base(s, r, False)
        f = self.swiglu(f"{L}.ffn.", r)
        return alpha * base + beta * f if c["main_residual"] else f

    def _block_seq(self, x, layer, state):
        c, w, L = self.c, self.w, f"layer{layer}"
        for i, name in enumerate(("attn", "gss", "ffn")):
            u = rmsnorm(x, w[f"{L}.{name}_norm"])
            f = (self.gqa(layer, u, state) if i == 0 else
                 self.gss(layer, u, state) if i == 1 else self.swiglu(f"{L}.ffn.", u))
            if c["seq_norm"] and i < 2:
                f = rmsnorm(f, w[f"{L}.{name}_out_norm"])
            base, alpha, beta = self._base(x, u, i == 0)
            x = alpha * base + beta * f
        return x

    def hidden(self, tokens, state=None):
        """tokens: (B, T) of int64. The normalised output of the last layer. With a state the tokens follow those that it
        has seen (not for training)."""
        c = self.c
        x = math.sqrt(c["d_model"]) * F.embedding(tokens, self.w["embed"])
        block = self._block_pha if c["arch"] == "pha" else self._block_seq
        for layer in range(c["n_layer"]):
            x = block(x, layer, state)
        if state:
            state.n += tokens.shape[1]
        return rmsnorm(x, self.w["norm"])

    def logits(self, tokens, state=None):
        return self.hidden(tokens, state) @ self.w["embed"].T

    def loss(self, tokens, targets, rows=0):
        """Mean over tokens of -log softmax(logits)[target]; rows: see RowsLoss, 0: all at once."""
        if rows:
            return RowsLoss.apply(self.hidden(tokens).flatten(0, 1), self.w["embed"], targets.flatten(), rows)
        return F.cross_entropy(self.logits(tokens).flatten(0, 1), targets.flatten())

    def gradients(self, tokens, targets):
        """loss and {name: gradient}"""
        loss = self.loss(tokens, targets)
        grads = torch.autograd.grad(loss, self.parameters())
        return loss.item(), {n: g.cpu().numpy() for n, g in zip(self.w, grads)}
