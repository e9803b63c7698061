"""gpt2_transformers.py -- a GPT2LMHeadModel of the transformers library, opened by pha, gives the same logits, and back

    gpt2_transformers.py --pha build/pha [--size 125|tiny] [--tokens 64] [--batch 2] [--keep DIR]

The model is drawn at random, every tensor is shaken (biases start as 0), and save_pretrained writes it; `pha eval` opens
that folder as it is. The library computes in double. Then the way out: `pha init` and `pha export` make a folder of the
same shape, which the library opens; its weights must be all there, and its logits those of pha. Prints E2 = |a - b| / |b|
for both ways; ends with status 1 above --limit.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from compare_logits import shake

SIZES = {"125": {}, "tiny": dict(vocab_size=199, n_embd=64, n_layer=3, n_head=4, n_positions=128)}


def make(size, folder):
    torch.manual_seed(1)
    model = GPT2LMHeadModel(GPT2Config(**SIZES[size])).eval()
    with torch.no_grad():
        for p in model.parameters():
            p += torch.randn_like(p) * (0.3 if p.dim() == 1 else 0.2 * float(p.std()))
    model.save_pretrained(folder, safe_serialization=True)
    return model


def compare(pha, folder, model, batch, length, work, what):
    """E2 between `pha eval` of the folder and the library's model."""
    given, out = (os.path.join(work, name) for name in ("in.npy", "out.npy"))
    tokens = np.random.default_rng(7).integers(0, model.config.vocab_size, (batch, length), dtype=np.int32)
    np.save(given, tokens)
    subprocess.run([pha, "eval", "--model", folder, "--tokens", given, "--logits", out], check=True)
    with torch.no_grad():
        want = model.double()(torch.from_numpy(tokens.astype("i8"))).logits.numpy()
    got = np.load(out).reshape(want.shape)
    two = np.linalg.norm(got - want) / np.linalg.norm(want)
    print(f"{what}: {sum(p.numel() for p in model.parameters()):,} parameters: E2 {two:.3e}  "
          f"max {abs(got - want).max() / abs(want).max():.3e}")
    return two


def export(pha, size, work):
    """A model of pha's own, exported, and the library's model of that folder."""
    c = GPT2Config(**SIZES[size])
    config, ours, theirs = (os.path.join(work, name) for name in ("config.json", "ours", "exported"))
    with open(config, "w", encoding="utf-8") as f:
        json.dump(dict(arch="gpt2", vocab_size=c.vocab_size, d_model=c.n_embd, n_layer=c.n_layer, n_head=c.n_head,
                       d_ffn=4 * c.n_embd, n_positions=c.n_positions), f)
    subprocess.run([pha, "init", "--config", config, "--seed", "3", "--out", ours], check=True)
    shake(ours)
    subprocess.run([pha, "export", "--model", ours, "--out", theirs, "--format", "gpt2"], check=True)
    model, told = GPT2LMHeadModel.from_pretrained(theirs, output_loading_info=True)
    if told["missing_keys"] or told["unexpected_keys"] or told["mismatched_keys"]:
        raise SystemExit(f"{theirs}: the library finds other tensors than it asks for: {told}")
    return ours, model.eval()


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--pha", required=True, help="the pha command")
    a.add_argument("--size", choices=list(SIZES), default="125")
    a.add_argument("--tokens", type=int, default=64)
    a.add_argument("--batch", type=int, default=2)
    a.add_argument("--limit", type=float, default=2e-5)
    a.add_argument("--keep", help="work in this folder and leave it")
    a = a.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = a.keep or temporary
        folder = os.path.join(work, "gpt2")
        model = make(a.size, folder)
        into = compare(a.pha, folder, model, a.batch, a.tokens, work, "in")
        ours, model = export(a.pha, a.size, work)
        out = compare(a.pha, ours, model, a.batch, a.tokens, work, "out")
    return int(not max(into, out) <= a.limit)


if __name__ == "__main__":
    sys.exit(main())
