"""gpt2_numpy.py -- GPT-2, the linear Transformer and Hedgehog in plain NumPy, in double, against the logits of pha

    gpt2_numpy.py --pha build/pha [--only NAME ...] [--tokens 150] [--batch 2] [--keep DIR]

Shares nothing with pha but the files: attention is a T x T matrix in all three. For each variant it makes a model with
`pha init`, shakes every tensor, writes it in our names -- and, for GPT-2, in the names of the Hugging Face hub, too, with and
without `transformer.` -- runs `pha eval --tokens in.npy --logits out.npy`, and prints E2 = |a - b| / |b| and
max |a - b| / max |b|. `gpt2-125`, `linear-125`, `hedgehog-125` are the real shapes (half a gigabyte each; not among the
default ones). Ends with status 1 if an E2 exceeds --limit.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

SMALL = dict(arch="gpt2", vocab_size=199, d_model=64, n_layer=3, n_head=4, d_ffn=256, n_positions=256)
FULL = dict(arch="gpt2", vocab_size=50257, d_model=768, n_layer=12, n_head=12, d_ffn=3072, n_positions=1024)

VARIANTS = {
    "gpt2": SMALL,
    "gpt2-shared-heads": dict(SMALL, n_kv_head=2),
    "gpt2-odd-sizes": dict(SMALL, d_model=76, n_head=2, d_ffn=100, n_positions=151),
    "gpt2-local": dict(SMALL, local=32, n_kv_head=4),
    "linear": dict(SMALL, arch="linear"),
    "linear-odd-sizes": dict(SMALL, arch="linear", d_model=76, n_head=2, d_ffn=100),
    "hedgehog": dict(SMALL, arch="hedgehog"),
    "hedgehog-exp": dict(SMALL, arch="hedgehog", hedgehog_map="exp"),
    "gpt2-125": FULL,
    "linear-125": dict(FULL, arch="linear"),
    "hedgehog-125": dict(FULL, arch="hedgehog"),
}
LARGE = [name for name in VARIANTS if name.endswith("-125")]


# ---- the models ----------------------------------------------------------------------------------------------


def layernorm(x, gain, bias):
    d = x - x.mean(-1, keepdims=True)
    return gain * d / np.sqrt((d * d).mean(-1, keepdims=True) + 1e-5) + bias


def gelu(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def features(w, path, x, c):
    """(B, H, T, dh) -> (B, H, T, M)."""
    if c["arch"] == "linear":
        return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))
    dh = x.shape[-1]
    y = np.einsum("bhtj,hij->bhti", x, w[path].reshape(-1, dh, dh))
    if c.get("hedgehog_map", "softmax") == "softmax":
        f = np.concatenate([softmax(y), softmax(-y)], -1)
    else:
        f = np.concatenate([y, -y], -1)
        f = np.exp(f - f.max(-1, keepdims=True))
    return np.maximum(f, 1e-12)


def attention(w, at, u, c):
    B, T, D = u.shape
    heads, kv = c["n_head"], c.get("n_kv_head", c["n_head"])
    dh = D // heads

    def project(name, n):
        return (u @ w[f"{at}.{name}"].T + w[f"{at}.{name}_bias"]).reshape(B, T, n, dh).transpose(0, 2, 1, 3)

    q, k, v = project("q", heads), project("k", kv), project("v", kv)
    k, v = np.repeat(k, heads // kv, 1), np.repeat(v, heads // kv, 1)
    past = np.tril(np.ones((T, T), bool))
    if c.get("local"):
        chunk = np.arange(T) // c["local"]
        past &= chunk[:, None] == chunk
    if c["arch"] == "gpt2":
        a = softmax(np.where(past, q @ k.transpose(0, 1, 3, 2) / np.sqrt(dh), -np.inf))
    else:
        b = np.where(past, features(w, f"{at}.map_q", q, c) @ features(w, f"{at}.map_k", k, c).transpose(0, 1, 3, 2), 0)
        a = b / (b.sum(-1, keepdims=True) + (1e-6 if c["arch"] == "linear" else 0))
    o = (a @ v).transpose(0, 2, 1, 3).reshape(B, T, D)
    return o @ w[f"{at}.out"].T + w[f"{at}.out_bias"]


def logits(w, c, tokens):
    x = w["embed"][tokens] + w["pos"][: tokens.shape[1]]
    for i in range(c["n_layer"]):
        at = f"layer{i}"
        x = x + attention(w, f"{at}.attn", layernorm(x, w[f"{at}.norm.gain"], w[f"{at}.norm.bias"]), c)
        u = layernorm(x, w[f"{at}.mlp_norm.gain"], w[f"{at}.mlp_norm.bias"])
        h = gelu(u @ w[f"{at}.mlp.up"].T + w[f"{at}.mlp.up_bias"])
        x = x + h @ w[f"{at}.mlp.down"].T + w[f"{at}.mlp.down_bias"]
    return layernorm(x, w["norm.gain"], w["norm.bias"]) @ w["embed"].T


# ---- files ---------------------------------------------------------------------------------------------------


def read_safetensors(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        data = f.read()
    header.pop("__metadata__", None)
    return {name: np.frombuffer(data[t["data_offsets"][0]:t["data_offsets"][1]], "<f4").reshape(t["shape"]).copy()
            for name, t in header.items()}


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, t in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [at, at + 4 * t.size]}
        at += 4 * t.size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for t in tensors.values():
            f.write(np.ascontiguousarray(t, "<f4").tobytes())


def shake(tensors, seed=1):
    rng = np.random.default_rng(seed)
    for name in sorted(tensors):
        t = tensors[name]
        t += rng.standard_normal(t.shape).astype("f4") * np.float32(0.3 if t.ndim == 1 else 0.2 * t.std() + 1e-3)


def hub_names(w, c, prefix):
    """The tensors as GPT2LMHeadModel has them: linear maps as [in, out], q, k and v side by side."""
    out = {f"{prefix}wte.weight": w["embed"], f"{prefix}wpe.weight": w["pos"],
           f"{prefix}ln_f.weight": w["norm.gain"], f"{prefix}ln_f.bias": w["norm.bias"]}
    for i in range(c["n_layer"]):
        ours, at = f"layer{i}", f"{prefix}h.{i}"
        out[f"{at}.attn.c_attn.weight"] = np.concatenate([w[f"{ours}.attn.{k}"].T for k in "qkv"], 1)
        out[f"{at}.attn.c_attn.bias"] = np.concatenate([w[f"{ours}.attn.{k}_bias"] for k in "qkv"])
        for a, b in (("attn.c_proj", "attn.out"), ("mlp.c_fc", "mlp.up"), ("mlp.c_proj", "mlp.down")):
            out[f"{at}.{a}.weight"], out[f"{at}.{a}.bias"] = w[f"{ours}.{b}"].T, w[f"{ours}.{b}_bias"]
        for a, b in (("ln_1", "norm"), ("ln_2", "mlp_norm")):
            out[f"{at}.{a}.weight"], out[f"{at}.{a}.bias"] = w[f"{ours}.{b}.gain"], w[f"{ours}.{b}.bias"]
    return out


def hub_config(c):
    return {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "activation_function": "gelu_new",
            "vocab_size": c["vocab_size"], "n_embd": c["d_model"], "n_layer": c["n_layer"], "n_head": c["n_head"],
            "n_inner": c["d_ffn"], "n_positions": c["n_positions"], "n_ctx": c["n_positions"],
            "layer_norm_epsilon": 1e-5, "resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1}


# ---- comparing -----------------------------------------------------------------------------------------------


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\nfailed with status {done.returncode}:\n{done.stdout}")


def of_pha(pha, folder, tokens):
    given, out = folder + ".in.npy", folder + ".out.npy"
    np.save(given, tokens)
    run([pha, "eval", "--model", folder, "--tokens", given, "--logits", out])
    return np.load(out)


def folders(pha, name, work):
    """The folders that hold the variant, and its numbers."""
    c, ours = VARIANTS[name], os.path.join(work, name)
    with open(ours + ".json", "w", encoding="utf-8") as f:
        json.dump(c, f)
    run([pha, "init", "--config", ours + ".json", "--out", ours])
    w = read_safetensors(os.path.join(ours, "model.safetensors"))
    shake(w)
    write_safetensors(os.path.join(ours, "model.safetensors"), w)
    made = [(name, ours)]
    for prefix in ("", "transformer.") if c["arch"] == "gpt2" and "n_kv_head" not in c else ():
        hub = f"{ours}-hub{'-prefix' if prefix else ''}"
        os.makedirs(hub, exist_ok=True)
        with open(os.path.join(hub, "config.json"), "w", encoding="utf-8") as f:
            json.dump(hub_config(c), f)
        write_safetensors(os.path.join(hub, "model.safetensors"), hub_names(w, c, prefix))
        made.append((os.path.basename(hub), hub))
    return made, w


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--pha", required=True, help="the pha command")
    a.add_argument("--only", nargs="+", choices=list(VARIANTS), metavar="NAME",
                   default=[name for name in VARIANTS if name not in LARGE])
    a.add_argument("--tokens", type=int, default=150)
    a.add_argument("--batch", type=int, default=2)
    a.add_argument("--limit", type=float, default=2e-5)
    a.add_argument("--keep", help="work in this folder and leave it")
    a = a.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as temporary:
        work = a.keep or temporary
        os.makedirs(work, exist_ok=True)
        for name in a.only:
            made, w = folders(a.pha, name, work)
            c = VARIANTS[name]
            tokens = np.random.default_rng(7).integers(0, c["vocab_size"], (a.batch, a.tokens), dtype=np.int32)
            want = logits({k: t.astype("f8") for k, t in w.items()}, c, tokens)
            for label, folder in made:
                got = of_pha(a.pha, folder, tokens).reshape(want.shape)
                two = np.linalg.norm(got - want) / np.linalg.norm(want)
                largest = abs(got - want).max() / abs(want).max()
                bad += not two <= a.limit
                print(f"{label:28s} E2 {two:.3e}  max {largest:.3e}{'' if two <= a.limit else '  ABOVE THE LIMIT'}",
                      flush=True)
    print(f"{bad} above {a.limit:g}")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
