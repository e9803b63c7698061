"""The law of `pha new` (src/runtime/new/law.c): its numbers out of runs.json, and how far they are off.

    fit.py                               prints the numbers, and the error on each text by the numbers of the others
    fit.py run NAME DATA WIDTH TOKENS    trains a model of that width with the recipe of `pha new` in DATA-WIDTH-TOKENS,
                                         and adds what came of it under the name of the text
    fit.py add NAME FOLDER               adds what a `pha new` left in FOLDER

DATA is a folder of `pha prepare`. PHA and BENCH_TEXT name the programs (default: in build/).
"""
import json
import math
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
RUNS = os.path.join(HERE, "runs.json")
BUILD = os.path.join(HERE, "..", "..", "build")
LAYERS = {32: 2, 48: 2, 64: 2, 96: 3, 128: 4, 192: 5, 256: 6, 384: 8, 512: 10}
SCORED = 65536


def load():
    with open(RUNS) as f:
        return json.load(f)


# ---- the law ---------------------------------------------------------------------------------------------------------


def counts_at(m, tokens):
    """pha__ngram_at."""
    i = 1 if tokens > m["trained"][1] else 0
    a, b = m["trained"][i], m["trained"][i + 1]
    slope = math.log(m["loss"][i + 1] / m["loss"][i]) / math.log(b / a)
    return m["loss"][i + 1] * (tokens / b) ** slope


def terms(run, texts):
    """loss / counts is a sum of these by the numbers; and the counts."""
    m = texts[run["text"]]
    distinct = min(run["tokens"], m["tokens"])
    counts = counts_at(m, distinct)
    body = (run["body"] / 1e5) ** -0.5 * counts_at(m, 1e6) / counts
    return [1, body, (run["tokens"] / 1e6) ** -0.4, 1 - distinct / run["tokens"]], counts


def least_squares(rows, y):
    n = len(rows[0])
    a = [[sum(r[i] * r[j] for r in rows) for j in range(n)] + [sum(r[i] * v for r, v in zip(rows, y))]
         for i in range(n)]
    for i in range(n):
        a[i][i] += 1e-6  # where one text alone was read more than once
    for i in range(n):
        p = max(range(i, n), key=lambda k: abs(a[k][i]))
        a[i], a[p] = a[p], a[i]
        for k in range(n):
            if k != i:
                f = a[k][i] / a[i][i]
                a[k] = [u - f * v for u, v in zip(a[k], a[i])]
    return [a[i][n] / a[i][i] for i in range(n)]


def fit(runs, texts):
    points = [terms(r, texts) for r in runs]
    return least_squares([x for x, _ in points], [r["loss"] / c for r, (_, c) in zip(runs, points)])


def predicted(numbers, run, texts):
    x, c = terms(run, texts)
    return c * sum(u * v for u, v in zip(numbers, x))


def show():
    table = load()
    runs, texts = table["runs"], table["texts"]
    numbers = fit(runs, texts)
    print("LEVEL = %.4f, BODY = %.4f, TOKENS = %.4f, AGAIN = %.4f" % tuple(numbers))
    print("%-22s %6s %11s %8s %8s %8s %10s" % ("text", "width", "tokens", "loss", "fit", "held out", "error"))
    errors = []
    for name in texts:
        others = fit([r for r in runs if texts[r["text"]]["of"] != texts[name]["of"]], texts)
        for r in sorted((r for r in runs if r["text"] == name), key=lambda r: (r["width"], r["tokens"])):
            p = predicted(others, r, texts)
            errors.append(abs(p / r["loss"] - 1))
            print("%-22s %6d %11d %8.4f %8.4f %8.4f %9.1f%%" % (name, r["width"], r["tokens"], r["loss"],
                                                            predicted(numbers, r, texts), p, 100 * (p / r["loss"] - 1)))
    errors.sort()
    print("held out: %d runs, three of four within %.1f %%, all within %.1f %%"
          % (len(errors), 100 * errors[len(errors) * 3 // 4 - 1], 100 * errors[-1]))


# ---- runs ------------------------------------------------------------------------------------------------------------


def measure(data):
    program = os.environ.get("BENCH_TEXT", os.path.join(BUILD, "bench", "bench_text"))
    return json.loads(subprocess.run([program, data, str(SCORED)], check=True, stdout=subprocess.PIPE).stdout)


def add(name, folder, data, tokens, loss):
    table = load()
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    m = measure(data)
    text = "%s-%d" % (name, m["vocab_size"])
    table["texts"][text] = {"of": name, "vocab_size": m["vocab_size"], "tokens": m["tokens"], "trained": m["trained"],
                            "loss": m["loss"]}
    inspect = [os.environ.get("PHA", os.path.join(BUILD, "pha")), "inspect", os.path.join(folder, "model"), "--json"]
    parameters = json.loads(subprocess.run(inspect, check=True, stdout=subprocess.PIPE).stdout)["parameters"]
    body = parameters["total"] - parameters["embedding"]
    run = {"text": text, "width": config["d_model"], "body": body, "tokens": tokens, "loss": round(loss, 5)}
    table["runs"] = [r for r in table["runs"] if [r[k] for k in ("text", "width", "tokens")]
                     != [run[k] for k in ("text", "width", "tokens")]] + [run]
    with open(RUNS, "w") as f:
        f.write('{"texts": {\n' + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}"
                                             for k, v in sorted(table["texts"].items())) + '},\n "runs": [\n'
                + ",\n".join("  " + json.dumps(r) for r in table["runs"]) + "]}\n")


def run(name, data, width, tokens):
    d, out = int(width), f"{data.rstrip('/')}-{width}-{tokens}"
    step = max(512, 2 ** int(math.log2(int(tokens) / 600)))
    steps, heads = int(tokens) // step, d // 16 if d < 64 else d // 32
    config = {"arch": "pha", "d_model": d, "n_layer": LAYERS[d], "n_head": heads,
              "n_kv_head": heads if heads % 2 else heads // 2, "d_state": (5 * d // 2 + 15) // 16 * 16, "d_ffn": 2 * d,
              "d_aux": (3 * d // 4 + 15) // 16 * 16}
    with open(out + ".json", "w") as f:
        json.dump(config, f)
    options = {"config": out + ".json", "data": data, "out": out, "context": 256, "batch": step // 256,
               "micro-batch": min(step // 256, 8), "steps": steps, "lr": 4e-3 * math.sqrt(128 / d),
               "warmup": max(1, min(steps // 20, 100)), "lr-min-ratio": 0.05, "keep-best": 0, "average-best": 0,
               "eval-tokens": SCORED}
    command = [os.environ.get("PHA", os.path.join(BUILD, "pha")), "train", "-q"]
    for key, value in options.items():
        command += ["--" + key, str(value)]
    subprocess.run(command, check=True)
    with open(os.path.join(out, "log.jsonl")) as f:
        end = json.loads(f.readlines()[-1])
    add(name, out, data, end["tokens"], end["valid_loss"])


def add_new(name, folder):
    with open(os.path.join(folder, "plan.json")) as f:
        done = json.load(f)
    p = done["plan"]
    add(name, folder, os.path.join(folder, "data"), p["steps"] * p["batch"] * p["context"], done["result"]["loss"])


if __name__ == "__main__":
    what, rest = (sys.argv[1:2] or ["show"])[0], sys.argv[2:]
    {"show": show, "run": run, "add": add_new}[what](*rest)
