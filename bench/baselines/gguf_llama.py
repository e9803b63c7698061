"""gguf_llama.py -- what `pha export --to gguf` writes, opened by llama.cpp: the same tokens, logits and greedy text

    gguf_llama.py --pha build/pha --text FILE [--keep DIR]

Needs llama-cpp-python and numpy. A small model of arch gpt2 over a vocabulary of the text, with noise on every tensor.
Ends with status 1 where tokens or texts differ, or logits by more than 1e-3 (fp32, where its GELU is a table of halves),
1e-2 (fp16) or 5e-2 (q8) of the largest.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
from llama_cpp import Llama

import compare_logits

CONFIG = dict(arch="gpt2", d_model=64, n_layer=3, n_head=4, d_ffn=256, n_positions=256)
LIMITS = {"fp32": 1e-3, "fp16": 1e-2, "q8": 5e-2}
TEXT = "Before we proceed any further, hear me speak.\nna\u00efve 12345 don't<|endoftext|>".encode()


def pha(a, work, *arguments, text=None):
    return subprocess.run([a.pha, *arguments], cwd=work, check=True, input=text, stdout=subprocess.PIPE).stdout


def shake(path):
    """Adds noise to all numbers of a safetensors file of fp32."""
    with open(path, "rb") as f:
        raw = f.read()
    n = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:n])
    header.pop("__metadata__", None)
    rng, tensors = np.random.default_rng(3), {}
    for name, t in header.items():
        begin, end = (n + x for x in t["data_offsets"])
        x = np.frombuffer(raw[begin:end], "<f4").reshape(t["shape"])
        tensors[name] = x + rng.standard_normal(x.shape).astype("f4") * np.float32(0.1)
    compare_logits.write_safetensors(path, tensors)


def compare(a, work, weights):
    pha(a, work, "export", "--model", "model", "--out", weights + ".gguf", "--to", "gguf", "--weights", weights)
    m = Llama(os.path.join(work, weights + ".gguf"), n_ctx=256, logits_all=True, verbose=False,
              type_k=0, type_v=0, flash_attn=False)  # a cache of fp32
    ids = m.tokenize(TEXT, add_bos=False, special=False)
    ours = pha(a, work, "tokenize", "--tokenizer", "data/tokenizer.json", text=TEXT).split()
    same = [int(i) for i in ours] == list(ids) and m.detokenize(ids) == TEXT
    m.eval(ids)
    np.save(os.path.join(work, "in.npy"), np.array([ids], np.int32))
    pha(a, work, "eval", "--model", "model", "--tokens", "in.npy", "--logits", "out.npy")
    want = np.load(os.path.join(work, "out.npy"))[0]
    error = np.abs(np.array(m.scores[:len(ids)]) - want).max() / np.abs(want).max()
    theirs = m.create_completion("First of all", max_tokens=20, temperature=0)["choices"][0]["text"]
    text = pha(a, work, "generate", "--model", "model", "--prompt", "First of all", "--temperature", "0",
               "--max-tokens", "20", "--quiet").decode(errors="replace")
    good = same and error <= LIMITS[weights] and (weights != "fp32" or theirs.strip() == text.strip())
    print(f"{weights}: {len(ids)} tokens {'the same' if same else 'DIFFER'}, logits within {error:.1e} of the largest"
          f"{'' if good else '  BAD'}")
    return good


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--pha", required=True)
    a.add_argument("--text", required=True)
    a.add_argument("--keep")
    a = a.parse_args()
    a.pha, a.text = os.path.abspath(a.pha), os.path.abspath(a.text)
    with tempfile.TemporaryDirectory() as temporary:
        work = os.path.abspath(a.keep or temporary)
        os.makedirs(work, exist_ok=True)
        with open(os.path.join(work, "config.json"), "w") as f:
            json.dump(CONFIG, f)
        pha(a, work, "prepare", a.text, "--vocab-size", "600", "--out", "data", "--quiet")
        pha(a, work, "init", "--config", "config.json", "--tokenizer", "data", "--out", "model")
        shake(os.path.join(work, "model", "model.safetensors"))
        return int(not all([compare(a, work, weights) for weights in LIMITS]))


if __name__ == "__main__":
    sys.exit(main())
