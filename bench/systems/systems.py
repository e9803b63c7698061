#!/usr/bin/env python3
"""systems.py -- every system at about ten million parameters on one text: rates, seeds, a table

    systems.py --pha build/pha --train wiki2.train.tokens --valid wiki2.valid.tokens --work DIR [--only NAME ...] [--long]
    systems.py --work DIR --table

Per system of models.json: three learning rates for 0.25 M tokens each, the best by the first 65,536 tokens of the validation
split for 1 M tokens with seeds 1 and 2, which are scored on all of it; with --long one run of 5 M tokens for LONG. Every run is `pha train` in a folder of its own
below DIR, its result one line of DIR/results.jsonl: what is there is not run again, and a run that was broken off is
resumed. --minutes stops between runs. Needs Python 3 alone.
"""
import argparse
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
RATES = (7.5e-4, 1.5e-3, 3e-3)
LONG = ("pha", "attn", "seq", "h3-hybrid", "hedgehog")
VOCABULARY, CONTEXT, BATCH = 8192, 1024, 2


def steps_of(tokens):
    return round(tokens / (CONTEXT * BATCH))


class Bench:
    def __init__(self, a):
        self.pha, self.work, self.threads = a.pha, a.work, a.threads
        self.file = os.path.join(a.work, "results.jsonl")
        self.until = time.time() + 60 * a.minutes if a.minutes else None
        os.makedirs(a.work, exist_ok=True)
        with open(os.path.join(HERE, "models.json"), encoding="utf-8") as f:
            self.models = json.load(f)
        self.results = {}
        if os.path.exists(self.file):
            with open(self.file, encoding="utf-8") as f:
                for line in f:
                    r = json.loads(line)
                    self.results[r["run"]] = r

    def call(self, *args):
        """Runs the command; its output is that of --json, or nothing."""
        r = subprocess.run([self.pha, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if r.returncode:
            sys.exit(f"pha {' '.join(map(str, args))}:\n{r.stderr[-2000:]}")
        return r.stdout

    def prepare(self, train, valid):
        data = os.path.join(self.work, "data")
        if not os.path.exists(data):
            self.call("prepare", train, "--valid", valid, "--test-fraction", 0, "--vocab-size", VOCABULARY, "--quiet",
                      "--out", data)
        return data

    def run(self, data, name, tokens, rate, seed, scored=None):
        """The result of one run: from the file, or by training and scoring (the first `scored` tokens)."""
        key = f"{name}-{tokens / 1e6:g}M-{rate:g}-{seed}"
        if key in self.results:
            return self.results[key]
        if self.until and time.time() > self.until:
            sys.exit(0)
        config, out = os.path.join(self.work, f"{name}.json"), os.path.join(self.work, key)
        with open(config, "w", encoding="utf-8") as f:
            json.dump({**self.models[name], "vocab_size": VOCABULARY}, f)
        steps, start = steps_of(tokens), time.time()
        resumed = os.path.exists(out)
        if resumed:
            self.call("train", "--resume", "--out", out, "--quiet")
        else:
            self.call("train", "--config", config, "--data", data, "--out", out, "--context", CONTEXT, "--batch", BATCH,
                      "--micro-batch", BATCH, "--steps", steps, "--lr", rate, "--warmup", steps // 10, "--weight-decay",
                      0.1, "--seed", seed, "--eval-every", steps if scored else max(steps // 4, 1), "--eval-tokens",
                      2048 if scored else 32768, "--keep-best", 0,
                      "--average-best", 0, "--threads", self.threads, "--quiet")
        seconds = time.time() - start
        score = json.loads(self.call("eval", "--model", f"{out}/model", "--data", data, "--split", "valid", "--context",
                                     CONTEXT, "--threads", self.threads, "--json", "--quiet",
                                     *(["--max-tokens", scored] if scored else [])))
        model = json.loads(self.call("inspect", f"{out}/model", "--json"))
        plan = json.loads(self.call("inspect", config, "--memory", "--batch", BATCH, "--json"))
        r = dict(run=key, system=name, tokens=tokens, rate=rate, seed=seed, steps=steps, score=score,
                 parameters=model["parameters"]["total"], memory=plan["total"],
                 tokens_per_second=None if resumed else steps * BATCH * CONTEXT / seconds, load=os.getloadavg()[0])
        with open(self.file, "a", encoding="utf-8") as f:
            f.write(json.dumps(r) + "\n")
        self.results[key] = r
        print(f"{key}: token perplexity {score['token_ppl']:.2f}", flush=True)
        return r

    def best_rate(self, data, name):
        runs = [self.run(data, name, 0.25e6, rate, 1, 65536) for rate in RATES]
        return min(runs, key=lambda r: r["score"]["token_ppl"])["rate"]


def table(bench):
    print("| system | parameters | rate | tokens | token perplexity | word perplexity | accuracy |")
    print("|---|---|---|---|---|---|---|")
    done = [r for r in bench.results.values() if r["tokens"] >= 1e6]
    groups = sorted({(r["system"], r["tokens"]) for r in done}, key=lambda g: (g[1], list(bench.models).index(g[0])))
    for name, tokens in groups:
        runs = sorted((r for r in done if (r["system"], r["tokens"]) == (name, tokens)), key=lambda r: r["seed"])

        def column(key, form):
            return ", ".join(form % r["score"][key] for r in runs)

        print(f"| {name} | {runs[0]['parameters']} | {runs[0]['rate']:g} | {tokens / 1e6:g} M | {column('token_ppl', '%.1f')} |"
              f" {column('word_ppl', '%.0f')} | {column('accuracy', '%.4f')} |")


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--pha", default="build/pha")
    a.add_argument("--train")
    a.add_argument("--valid")
    a.add_argument("--work", required=True)
    a.add_argument("--only", nargs="+", metavar="NAME")
    a.add_argument("--rates-only", action="store_true", help="stop behind the search for rates")
    a.add_argument("--long", action="store_true", help="also the runs of 5 M tokens")
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--minutes", type=float, help="start no run after so many minutes")
    a.add_argument("--table", action="store_true")
    a = a.parse_args()
    bench = Bench(a)
    if a.table:
        return table(bench)
    if not a.train or not a.valid:
        sys.exit("systems.py: --train and --valid: the text")
    data = bench.prepare(a.train, a.valid)
    names = a.only or list(bench.models)
    unknown = [n for n in names if n not in bench.models]
    if unknown:
        sys.exit(f"systems.py: no system {unknown[0]!r}; there are {', '.join(bench.models)}")
    rates = {name: bench.best_rate(data, name) for name in names}
    if a.rates_only:
        return None
    for seed in (1, 2):
        for name in names:
            bench.run(data, name, 1e6, rates[name], seed)
    if a.long:
        for name in names:
            if name in LONG:
                bench.run(data, name, 5e6, rates[name], 1)
    return table(bench)


if __name__ == "__main__":
    main()
