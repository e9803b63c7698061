"""gpt2_transformers.py -- a GPT2LMHeadModel of the transformers library, opened by pha, gives the same logits

    gpt2_transformers.py --pha build/pha [--size 125|tiny] [--tokens 64] [--batch 2] [--keep DIR]

The model is drawn at random, every tensor is shaken (biases start as 0), and save_pretrained writes it; `pha eval` opens
that folder as it is. The library computes in double. Prints E2 = |a - b| / |b|; ends with status 1 above --limit.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

SIZES = {"125": {}, "tiny": dict(vocab_size=199, n_embd=64, n_layer=3, n_head=4, n_positions=128)}


def make(size, folder):
    torch.manual_seed(1)
    model = GPT2LMHeadModel(GPT2Config(**SIZES[size])).eval()
    with torch.no_grad():
        for p in model.parameters():
            p += torch.randn_like(p) * (0.3 if p.dim() == 1 else 0.2 * float(p.std()))
    model.save_pretrained(folder, safe_serialization=True)
    return model


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
        folder, given, out = (os.path.join(work, name) for name in ("gpt2", "in.npy", "out.npy"))
        model = make(a.size, folder)
        tokens = np.random.default_rng(7).integers(0, model.config.vocab_size, (a.batch, a.tokens), dtype=np.int32)
        np.save(given, tokens)
        subprocess.run([a.pha, "eval", "--model", folder, "--tokens", given, "--logits", out], check=True)
        with torch.no_grad():
            want = model.double()(torch.from_numpy(tokens.astype("i8"))).logits.numpy()
        got = np.load(out).reshape(want.shape)
        two = np.linalg.norm(got - want) / np.linalg.norm(want)
        print(f"{sum(p.numel() for p in model.parameters()):,} parameters: E2 {two:.3e}  "
              f"max {abs(got - want).max() / abs(want).max():.3e}")
        return int(not two <= a.limit)


if __name__ == "__main__":
    sys.exit(main())
