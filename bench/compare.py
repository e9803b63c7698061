#!/usr/bin/env python3
"""compare.py -- the table of docs/performance.md: formats of weights, batches and threads, in turns

    bench/compare.py --pha build/pha
    bench/compare.py --pha build/pha --llama-bench ~/llama.cpp/build/bin/llama-bench --gguf F16=m-f16.gguf,Q8_0=m-q8.gguf

Every round runs every cell once, so that a machine whose speed wanders does so for all of them; medians over rounds.
The floor of a decoded token is what it has to read (weights in their format, keys and values, the state) over the rate
at which the same call copies memory. llama.cpp, where it is at hand, takes its turns on models of the same size. PyTorch
has its own driver, bench/baselines/interleave.sh. Needs Python alone.
"""
import argparse
import json
import statistics
import subprocess
import sys

FORMATS = ["fp32", "bf16", "fp16", "q8", "q4"]


def cells(a):
    """(name, arguments of pha bench, threads): what is measured."""
    decode, prompt = ["--what", "decode"], ["--what", "prefill"]
    for w in FORMATS:
        yield f"decode, {w}", decode + ["--context", "64", "--weights", w], a.threads
    for w in FORMATS:
        yield f"prompt of 512, {w}", prompt + ["--context", "512", "--weights", w], a.threads
    for context in a.contexts.split(","):
        for cache in ["fp32", "bf16"]:
            yield (f"decode behind {context}, bf16, cache of {cache}",
                   decode + ["--context", context, "--weights", "bf16", "--cache", cache], a.threads)
    for w in ["fp32", "bf16", "q8"]:
        yield f"decode, {w}, 16 at once", decode + ["--context", "64", "--weights", w, "--batch", "16"], a.threads
    for w in ["fp32", "bf16", "q8"]:
        yield f"decode, {w}, one thread", decode + ["--context", "64", "--weights", w], 1
    yield "prompt of 512, fp32, one thread", prompt + ["--context", "512", "--weights", "fp32"], 1


def pha(a, arguments, threads):
    """(tokens per second, share of the floor or of the peak) of one run."""
    command = [a.pha, "bench", "--model", a.model, "--repeats", str(a.repeats), "--threads", str(threads), "--json",
               "--quiet"]
    out = json.loads(subprocess.run(command + arguments, check=True, capture_output=True, text=True).stdout)
    r = out["results"][0]
    if "skipped" in r:
        return None
    return r["tokens_per_second"], r.get("share_of_copy", r["share_of_peak"])


def llama(a, path, what):
    """Tokens per second of one run of llama-bench; what: "pp512" or "tg64"."""
    flag = ["-p", what[2:], "-n", "0"] if what.startswith("pp") else ["-p", "0", "-n", what[2:]]
    command = [a.llama_bench, "-m", path, "-t", str(a.threads), "-r", "1", "-o", "json"] + flag
    out = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return out[0]["avg_ts"], None


def middle(values):
    return f"{statistics.median(values):.3g}"


def show(name, seen):
    seen = [s for s in seen if s]
    if not seen:
        print(f"| {name} | no room | | |")
        return
    rates, shares = [s[0] for s in seen], [s[1] for s in seen if s[1] is not None]
    share = f"{100 * statistics.median(shares):.0f} %" if shares else ""
    print(f"| {name} | {middle(rates)} | {min(rates):.3g} to {max(rates):.3g} | {share} |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--pha", required=True)
    p.add_argument("--model", default="pha-125m", help="a preset, a config.json or a model folder")
    p.add_argument("--contexts", default="4096,16384", help="of decoding behind a long text")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--repeats", type=int, default=3, help="of pha bench")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--only", default="", help="cells whose name has this in it")
    p.add_argument("--llama-bench")
    p.add_argument("--gguf", default="", help="NAME=FILE, with commas between")
    a = p.parse_args()
    runs = [(name, lambda more=more, threads=threads: pha(a, more, threads)) for name, more, threads in cells(a)]
    for pair in filter(None, a.gguf.split(",") if a.llama_bench else []):
        name, path = pair.split("=", 1)
        for what in ["tg64", "pp512"]:
            runs.append((f"llama.cpp {what}, {name}", lambda path=path, what=what: llama(a, path, what)))
    runs = [r for r in runs if a.only in r[0]]
    seen = {name: [] for name, _ in runs}
    for turn in range(a.rounds):
        for name, run in runs:
            print(f"round {turn + 1} of {a.rounds}: {name}", file=sys.stderr)
            seen[name].append(run())
    print("| what | tokens/s | from, to | of the floor (decode) or the peak (prompt) |\n|---|---|---|---|")
    for name, _ in runs:
        show(name, seen[name])


if __name__ == "__main__":
    main()
