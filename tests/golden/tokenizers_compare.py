#!/usr/bin/env python3
"""Compares pha's byte-level BPE with the `tokenizers` package: ids on mixed text, then speed (one thread each, in turns).

    RAYON_NUM_THREADS=1 python3 tests/golden/tokenizers_compare.py BENCH_TOKENIZER TOKENIZER TEXT... [--random MB] [--time]

BENCH_TOKENIZER is the built bench/bench_tokenizer. TOKENIZER is a folder with vocab.bpe and encoder.json, or a
tokenizer.json. TEXT files are UTF-8; --random adds lines of random characters from all planes. Needs `tokenizers`; uses
`tiktoken` for a second opinion on speed if it is there. A line that differs is an error, unless the two sides' versions of Unicode disagree
about one of its characters; such lines are counted.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("RAYON_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
import numpy as np
import tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers


def load(path):
    if os.path.isfile(path):
        return Tokenizer.from_file(path)
    with open(os.path.join(path, "encoder.json"), encoding="utf-8") as f:
        vocab = json.load(f)
    with open(os.path.join(path, "vocab.bpe"), encoding="utf-8") as f:
        merges = [tuple(line.split()) for line in f.read().split("\n")[1:] if line]
    t = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken("<|endoftext|>", normalized=False)])
    return t


def random_lines(size, seed=1):
    """Lines of characters from all planes, half of them from the blocks that text uses, with spaces and digits between."""
    r = random.Random(seed)
    common = [(0x20, 0x7F), (0xA0, 0x250), (0x370, 0x590), (0x590, 0x780), (0x900, 0xE00), (0x1100, 0x1200), (0x1680, 0x16A0),
              (0x2000, 0x2070), (0x2150, 0x2190), (0x2460, 0x2500), (0x3000, 0x3100), (0x4E00, 0x9FFF), (0xAC00, 0xD7A0),
              (0x1F300, 0x1F700), (0x1D400, 0x1D800)]
    glue = [" ", "  ", "\t", "'s", "'ll", "'S", "\u00a0", "\u3000", "\r", "123", "abc", "'", "\u017f", "<|endoftext|>", "\x85", "\u2028"]
    lines, n = [], 0
    while n < size:
        out = []
        for _ in range(r.randrange(1, 60)):
            kind = r.random()
            if kind < 0.25:
                out.append(r.choice(glue))
            elif kind < 0.75:
                out.append(chr(r.randrange(*r.choice(common))))
            else:
                code = r.randrange(0x110000)
                out.append(chr(code) if not 0xD800 <= code < 0xE000 and code != 10 else " ")
        line = "".join(out).replace("\n", " ")
        lines.append(line)
        n += len(line.encode()) + 1
    return lines


def ours(bench, tokenizer, path, mode):
    return np.frombuffer(subprocess.run([bench, tokenizer, path, mode], check=True, stdout=subprocess.PIPE).stdout, dtype="<i4")


def by_line(ids):
    cuts = np.flatnonzero(ids == -1)
    begin = 0
    for cut in cuts:
        yield ids[begin:cut].tolist()
        begin = cut + 1


def unicode_differs(bench, tokenizer, theirs, work):
    """Characters that only one side takes for a letter, number or space: then X'll is X, 'll and else X', ll."""
    texts = [chr(c) + "'ll" for c in range(0x80, 0x110000) if not 0xD800 <= c < 0xE000]
    path = os.path.join(work, "chars.txt")
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.writelines(t + "\n" for t in texts)
    bad, got = set(), by_line(ours(bench, tokenizer, path, "--lines"))
    for start in range(0, len(texts), 50000):
        part = texts[start:start + 50000]
        bad.update(t[0] for t, e in zip(part, theirs.encode_batch(part, add_special_tokens=False)) if e.ids != next(got))
    return bad


def compare_lines(name, bench, tokenizer, theirs, path, work, known):
    with open(path, encoding="utf-8", newline="") as f:
        lines = f.read().split("\n")
    got = list(by_line(ours(bench, tokenizer, path, "--lines")))
    bad = excused = 0
    for i, e in enumerate(theirs.encode_batch(lines[:len(got)], add_special_tokens=False)):
        if e.ids == got[i]:
            continue
        if known.intersection(lines[i]):
            excused += 1
            continue
        bad += 1
        if bad <= 3:
            print(f"  line {i + 1}: {lines[i]!r}\n    pha {got[i]}\n    tokenizers {e.ids}")
    size = os.path.getsize(path)
    print(f"{name}: {len(got)} lines, {size / 1e6:.2f} MB: {bad} differ, {excused} differ by the version of Unicode")
    return bad


def compare_whole(name, bench, tokenizer, theirs, path):
    with open(path, encoding="utf-8", newline="") as f:
        text = f.read()
    a, b = ours(bench, tokenizer, path, "--ids"), np.array(theirs.encode(text, add_special_tokens=False).ids, dtype="<i4")
    same = len(a) == len(b) and bool((a == b).all())
    print(f"{name}, as one text: {len(a)} ids, {'all equal' if same else 'DIFFERENT'}")
    return 0 if same else 1


def timings(bench, tokenizer, theirs, path, rounds=3):
    with open(path, encoding="utf-8", newline="") as f:
        text = f.read()
    size = len(text.encode()) / 1e6
    rows = {"pha": [], "tokenizers (whole text)": [], "tokenizers (batch of lines)": []}
    lines = text.splitlines(keepends=True)
    tt = None
    try:
        import tiktoken
        if os.path.isdir(tokenizer):
            from tiktoken.load import data_gym_to_mergeable_bpe_ranks
            ranks = data_gym_to_mergeable_bpe_ranks(os.path.join(tokenizer, "vocab.bpe"), os.path.join(tokenizer, "encoder.json"))
            pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
            tt = tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256})
            rows["tiktoken"] = []
    except Exception as e:  # an optional second opinion
        print("tiktoken not used:", e)
    for _ in range(rounds):
        out = subprocess.run([bench, tokenizer, path], check=True, stdout=subprocess.PIPE, text=True).stdout
        rows["pha"].append(float(out.split(",")[-1].split()[0]))
        begin = time.perf_counter()
        theirs.encode(text)
        rows["tokenizers (whole text)"].append(size / (time.perf_counter() - begin))
        begin = time.perf_counter()
        theirs.encode_batch_fast(lines)
        rows["tokenizers (batch of lines)"].append(size / (time.perf_counter() - begin))
        if tt:
            begin = time.perf_counter()
            ids = tt.encode_ordinary(text)
            rows["tiktoken"].append(size / (time.perf_counter() - begin))
    if tt:
        a = ours(bench, tokenizer, path, "--ids")
        print("tiktoken's ids:", "all equal" if a.tolist() == ids else "DIFFERENT")
    for name, rates in rows.items():
        print(f"{name:30s} {np.median(rates):8.1f} MB/s   ({', '.join(f'{r:.1f}' for r in rates)})")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("bench")
    p.add_argument("tokenizer")
    p.add_argument("text", nargs="+")
    p.add_argument("--random", type=float, default=0, metavar="MB")
    p.add_argument("--time", action="store_true")
    a = p.parse_args()
    theirs = load(a.tokenizer)
    print("tokenizers", tokenizers.__version__)
    with tempfile.TemporaryDirectory() as work:
        known = unicode_differs(a.bench, a.tokenizer, theirs, work) if a.random else set()
        if a.random:
            codes = sorted(map(ord, known))
            print(f"{len(codes)} characters of 1,112,064 classed differently (versions of Unicode):",
                  " ".join(f"U+{c:04X}" for c in codes[:12]), "..." if len(codes) > 12 else "")
        bad = 0
        for path in a.text:
            bad += compare_lines(os.path.basename(path), a.bench, a.tokenizer, theirs, path, work, known)
            bad += compare_whole(os.path.basename(path), a.bench, a.tokenizer, theirs, path)
        if a.random:
            path = os.path.join(work, "random.txt")
            with open(path, "w", encoding="utf-8", newline="") as f:
                f.write("\n".join(random_lines(int(a.random * 1e6))) + "\n")
            bad += compare_lines("random", a.bench, a.tokenizer, theirs, path, work, known)
        if a.time:
            timings(a.bench, a.tokenizer, theirs, a.text[0])
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
