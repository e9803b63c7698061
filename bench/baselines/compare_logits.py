"""compare_logits.py -- logits of pha against models of their own, for every option of the configuration

    compare_logits.py --pha build/pha [--only NAME ...] [--tokens 150] [--batch 2] [--keep DIR]
    compare_logits.py --files A.npy B.npy

For each variant it makes a small model with `pha init`, shakes every tensor (so that no gain is 1 and no bias 0), runs
`pha eval --model DIR --tokens in.npy --logits out.npy` and, in double, the PyTorch model (pha_torch.py; of arch gss and h3
that in NumPy, ssm_numpy.py), and prints E2 = |a - b| / |b| and max |a - b| / max |b|. Ends with status 1 if an E2 exceeds
--limit.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

SMALL = dict(arch="pha", vocab_size=199, d_model=64, n_layer=3, n_head=4, n_kv_head=2, d_ffn=96, d_state=80, d_aux=48)
SEQ = dict(SMALL, arch="seq")
del SEQ["d_aux"]
ATTN = dict(SMALL, branches=["attn"])
del ATTN["d_state"], ATTN["d_aux"]
GSS = dict(SMALL, branches=["gss"])
for key in ("n_head", "n_kv_head", "d_aux"):
    del GSS[key]
STATE = dict(arch="gss", vocab_size=199, d_model=64, n_layer=3, n_mode=24)
H3 = dict(arch="h3", vocab_size=199, d_model=64, n_layer=3, d_ffn=96)

VARIANTS = {
    "default": SMALL,
    "one-kv-head": dict(SMALL, n_kv_head=1),
    "odd-sizes": dict(SMALL, d_model=76, n_head=2, n_kv_head=1, d_state=176, d_ffn=100, d_aux=36),
    "window": dict(SMALL, window=9),
    "window-per-layer": dict(SMALL, window=[5, None, 17]),
    "local": dict(SMALL, local=9),
    "mix-uniform": dict(SMALL, mix="uniform"),
    "mix-dynamic": dict(SMALL, mix="dynamic"),
    "qk-rms": dict(SMALL, qk="rms"),
    "qk-dot": dict(SMALL, qk="dot"),
    "rope-interleaved": dict(SMALL, rope="interleaved"),
    "rope-theta": dict(SMALL, rope_theta=500.0),
    "post-raw": dict(SMALL, residual="post_raw"),
    "pre": dict(SMALL, residual="pre"),
    "pre-alpha": dict(SMALL, residual="pre_alpha"),
    "pre-inv": dict(SMALL, residual="pre_inv"),
    "no-main-residual": dict(SMALL, main_residual=False),
    "pre-inv-no-main": dict(SMALL, residual="pre_inv", main_residual=False),
    "alpha": dict(SMALL, alpha=1.7),
    "gate-none": dict(SMALL, gate_bias="none"),
    "gate-matched": dict(SMALL, gate_bias="matched"),
    "wb-none": dict(SMALL, wb_scale="none"),
    "wb-fixed": dict(SMALL, wb_scale="fixed"),
    "wb-fixed-matched": dict(SMALL, wb_scale="fixed", gate_bias="matched"),
    "no-branch-gain": dict(SMALL, branch_gain=False),
    "filter-none": dict(SMALL, gss_filter="none"),
    "filter-norm": dict(SMALL, gss_filter="norm"),
    "filter-conv4": dict(SMALL, gss_filter="conv4"),
    "complex": dict(SMALL, gss_state="complex", d_state=96),
    "complex-fixed": dict(SMALL, gss_state="complex", d_state=96, wb_scale="fixed", gate_bias="matched", gss_filter="norm"),
    "complex-conv4": dict(GSS, gss_state="complex", d_state=96, gss_filter="conv4", gate_bias="none"),
    "attention-only": ATTN,
    "gss-only": GSS,
    "attn-gss": dict({k: v for k, v in SMALL.items() if k != "d_aux"}, branches=["attn", "gss"]),
    "attn-aux": dict({k: v for k, v in SMALL.items() if k != "d_state"}, branches=["attn", "aux"]),
    "seq": SEQ,
    "seq-no-norm": dict(SEQ, seq_norm=False),
    "seq-post-raw": dict(SEQ, residual="post_raw"),
    "seq-complex": dict(SEQ, gss_state="complex", d_state=96),
    "seq-conv4": dict(SEQ, gss_filter="conv4", wb_scale="fixed"),
    "seq-pre": dict(SEQ, residual="pre"),
    "seq-pre-inv": dict(SEQ, residual="pre_inv"),
    "seq-local": dict(SEQ, local=64),
    "seq-window-rms": dict(SEQ, window=7, qk="rms"),
    "gss": STATE,
    "gss-sizes": dict(STATE, d_gate=100, d_ssm=20, n_mode=7),
    "gss-hybrid": dict(STATE, attn_layers=[1], n_head=4),
    "gss-hybrid-local": dict(STATE, attn_layers=[0, 2], n_head=4, n_kv_head=2, local=32),
    "gss-dss": dict(STATE, ssm="dss"),
    "gss-s4d-lin": dict(STATE, ssm="s4d-lin", n_mode=8),
    "gss-s4d-legs": dict(STATE, ssm="s4d-legs", n_mode=8),
    "h3": H3,
    "h3-sizes": dict(H3, n_shift=5, ssm_state=12),
    "h3-real": dict(H3, ssm_init="real", ssm_state=16),
    "h3-hybrid": dict(H3, attn_layers=[1], n_head=4, n_kv_head=2),
}


def errors(a, b):
    """E2 and the largest difference relative to the largest reference value."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        raise SystemExit(f"shapes differ: {a.shape} and {b.shape}")
    if not np.isfinite(a).all():
        return float("inf"), float("inf")
    return float(np.linalg.norm(a - b) / np.linalg.norm(b)), float(np.abs(a - b).max() / np.abs(b).max())


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name in sorted(tensors):
        size = tensors[name].size * 4
        header[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for name in sorted(tensors):
            f.write(np.ascontiguousarray(tensors[name], "<f4").tobytes())


def shake(folder, seed=3):
    """Adds noise to every tensor of a model folder. One head's tau goes above its clamp."""
    import pha_torch

    path = os.path.join(folder, "model.safetensors")
    rng, tensors = np.random.default_rng(seed), pha_torch.read_safetensors(path)
    for name in sorted(tensors):
        t = tensors[name]
        noise = rng.standard_normal(t.shape).astype("f4")
        t += noise * np.float32(0.3 if t.ndim == 1 or name.endswith("mix_input") else 0.2 * t.std() + 1e-3)
        if name.endswith("layer0.attn.tau"):
            t[0] = 5.0
    write_safetensors(path, tensors)


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\nfailed with status {done.returncode}:\n{done.stdout}")


def make_model(pha, name, work):
    config, folder = os.path.join(work, name + ".json"), os.path.join(work, name)
    with open(config, "w", encoding="utf-8") as f:
        json.dump(VARIANTS[name], f)
    run([pha, "init", "--config", config, "--out", folder])
    shake(folder)
    return folder


def reference(folder, c, tokens):
    """Logits of the model that is not pha's, in double."""
    import pha_torch

    if c["arch"] in ("gss", "h3"):
        import ssm_numpy

        return ssm_numpy.logits(pha_torch.read_safetensors(os.path.join(folder, "model.safetensors")), c, tokens)
    import torch

    model = pha_torch.Model.open(folder, dtype=torch.float64, scan="loop")
    with torch.no_grad():
        return model.logits(torch.from_numpy(tokens.astype(np.int64))).numpy()


def compare(pha, name, work, batch, length):
    folder = make_model(pha, name, work)
    tokens = np.random.default_rng(7).integers(0, VARIANTS[name]["vocab_size"], (batch, length), dtype=np.int32)
    given, out = os.path.join(work, name + ".in.npy"), os.path.join(work, name + ".out.npy")
    np.save(given, tokens)
    run([pha, "eval", "--model", folder, "--tokens", given, "--logits", out])
    want = reference(folder, VARIANTS[name], tokens)
    return errors(np.load(out).reshape(want.shape), want)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--pha", help="the pha command")
    a.add_argument("--files", nargs=2, metavar="NPY", help="compare two arrays instead")
    a.add_argument("--only", nargs="+", choices=list(VARIANTS), metavar="NAME", default=list(VARIANTS))
    a.add_argument("--tokens", type=int, default=150, help="more than pha reads at once, so that state is carried")
    a.add_argument("--batch", type=int, default=2)
    a.add_argument("--limit", type=float, default=2e-5)
    a.add_argument("--keep", help="work in this folder and leave it")
    a = a.parse_args()
    if bool(a.files) == bool(a.pha):
        raise SystemExit("give either --pha COMMAND or --files A.npy B.npy")
    if a.files:
        two, largest = errors(*(np.load(f) for f in a.files))
        print(f"E2 {two:.3e}  max {largest:.3e}")
        return int(not two <= a.limit)
    bad = 0
    with tempfile.TemporaryDirectory() as temporary:
        work = a.keep or temporary
        os.makedirs(work, exist_ok=True)
        for name in a.only:
            two, largest = compare(a.pha, name, work, a.batch, a.tokens)
            bad += not two <= a.limit
            print(f"{name:20s} E2 {two:.3e}  max {largest:.3e}{'' if two <= a.limit else '  ABOVE THE LIMIT'}", flush=True)
    print(f"{len(a.only) - bad} of {len(a.only)} within {a.limit:g}")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
