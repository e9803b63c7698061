"""PyTorch's Fourier convolution beside pha's op `ssm`, in turns, one thread each.

    venv/bin/python bench/baselines/fft_conv.py build/bench/bench_ssm [--repeats 3] [--tokens 1024 16384]

Both go forward and backward. PyTorch is given the kernel K as a parameter and its sequences channel by channel,
(B, P, T), as its transforms want them; pha makes K from its modes, takes (B, T, P) and has the gradients of all modes.
Prints nanoseconds of processor time per channel and token, the least of the repeats, and exits 1 where pha takes more than
twice as long.
"""
import argparse
import re
import subprocess
import time

import torch

parser = argparse.ArgumentParser()
parser.add_argument("bench")
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("--tokens", type=int, nargs="+", default=[1024, 16384])
options = parser.parse_args()
torch.set_num_threads(1)


def convolve(x, K, d):
    n = 2 * x.shape[-1]
    y = torch.fft.irfft(torch.fft.rfft(x, n) * torch.fft.rfft(K, n), n)[..., : x.shape[-1]]
    return y + d[:, None] * x


def once(B, P, T):
    x = torch.randn(B, P, T, requires_grad=True)
    K = torch.randn(P, T, requires_grad=True)
    d = torch.randn(P, requires_grad=True)
    g = torch.randn(B, P, T)
    best = float("inf")
    for _ in range(4):
        x.grad = K.grad = d.grad = None
        start = time.process_time()
        convolve(x, K, d).backward(g)
        best = min(best, time.process_time() - start)
    return best / (B * P * T) * 1e9


def main():
    ours, theirs = {}, {}
    for _ in range(options.repeats):
        for T in options.tokens:
            out = subprocess.run([options.bench, str(T)], check=True, capture_output=True, text=True).stdout
            for name, B, P, ns in re.findall(r"^(\w+) +(\d+) x +\d+ +(\d+) channels.*together +([\d.]+)$", out, re.M):
                key = (name, T)
                ours[key] = min(ours.get(key, float("inf")), float(ns))
                theirs[key] = min(theirs.get(key, float("inf")), once(int(B), int(P), T))
    print("forward and backward, ns per channel and token, one thread")
    print(f"{'':6} {'tokens':>7} {'pha':>8} {'PyTorch':>8} {'ratio':>7}")
    for (name, T), ns in ours.items():
        print(f"{name:6} {T:7} {ns:8.2f} {theirs[name, T]:8.2f} {theirs[name, T] / ns:7.2f}")
    return 1 if any(ns > 2 * theirs[key] for key, ns in ours.items()) else 0


raise SystemExit(main())
