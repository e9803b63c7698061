"""interleave.py -- runs pha and PyTorch in turns and prints medians, ranges and ratios by context length

Start it through interleave.sh, which sets the environment. Peak memory is that of the whole process as the system counts
it, the same for both sides; for PyTorch it is also given without what `import torch` alone takes.
"""
import argparse
import json
import os
import resource
import shlex
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def find(value, key):
    """The first value of a key anywhere in parsed JSON."""
    if isinstance(value, dict):
        if key in value:
            return value[key]
        value = list(value.values())
    if isinstance(value, list):
        for v in value:
            found = find(v, key)
            if found is not None:
                return found
    return None


def parse(text):
    """JSON of a whole output, or of its last line that is JSON."""
    for part in [text] + text.strip().splitlines()[::-1]:
        try:
            value = json.loads(part)
        except ValueError:
            continue
        if isinstance(value, (dict, list)):
            return value
    return None


def available():
    """Bytes of memory that can be had without swapping."""
    try:
        with open("/proc/meminfo", encoding="ascii") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return resource.RLIM_INFINITY


def measure(command):
    """(tokens per second, peak bytes, parsed output) of one run; None if it needs more memory than there is."""
    room = int(0.95 * available())
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (room, room)))
    with child.stderr:  # one after the other is enough: neither side says much
        text, talk = child.stdout.read(), child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    result = parse(text)
    speed = find(result, "tokens_per_second")
    if find(result, "skipped") or "can't allocate memory" in talk or "MemoryError" in talk:
        return None
    if child.returncode or speed is None:
        raise SystemExit(f"{shlex.join(command)}\nended with status {child.returncode} and no tokens_per_second:\n"
                         f"{text}{talk}")
    return speed, usage.ru_maxrss * 1024, result


def busy(seconds=1.0):
    """Processors in use by others, over a moment (Linux; 0 where it cannot be told)."""
    def count():
        with open("/proc/stat", encoding="ascii") as f:
            t = [int(x) for x in f.readline().split()[1:9]]
        return sum(t) - t[3] - t[4]  # all but idle and waiting for a disk
    try:
        before = count()
        time.sleep(seconds)
        return (count() - before) / os.sysconf("SC_CLK_TCK") / seconds
    except OSError:
        return 0.0


def wait_until_idle(patience):
    """A thread that must wait for its processor stalls all of OpenMP: on a busy machine PyTorch runs many times slower."""
    end = time.time() + patience
    used = busy()
    while used > 0.2 and time.time() < end:
        used = busy(5.0)
    return used


def commands(a, context):
    """{name: command} of the sides to compare"""
    ours = shlex.split(a.ours) if a.ours else [a.pha, "bench", "--what", a.what, "--model", a.model, "--context",
                                               str(context), "--json", "--quiet"]
    script = os.path.join(HERE, "train_step.py" if a.what == "train" else "stream.py")
    theirs = [sys.executable, script, "--model", a.model, "--context", str(context), "--threads", str(a.threads)]
    if a.what != "train":
        theirs += ["--what", a.what]
    # pha bench, too, takes one run for the result, after a first one, where that is long
    theirs += ["--warmup", "1", "--steps", "1"] if context >= a.long and a.what != "decode" else ["--steps", str(a.steps)]
    variants = a.torch or (["", "--loss-rows 128"] if a.what == "train" else [""])
    return {"pha": ours, **{("torch " + v).strip(): theirs + shlex.split(v) for v in variants}}


def compare(a, context):
    """{name: [(speed, peak, what `import torch` takes), ...]}; an empty list: no room"""
    sides, seen = commands(a, context), {}
    for i in range(a.repeats):
        names = list(sides) if i % 2 == 0 else list(sides)[::-1]  # neither side is always first
        for name in names:
            if seen.setdefault(name, []) == [] and i:
                continue
            used = wait_until_idle(a.patience)
            run = measure(sides[name])
            told = "not enough memory"
            if run:
                seen[name].append((run[0], run[1], find(run[2], "torch_rss") or 0))
                told = f"{run[0]:.1f} tok/s, {run[1] / 1e9:.3f} GB"
            print(f"{time.strftime('%H:%M:%S')} load {os.getloadavg()[0]:.1f}  {a.what} {context} {name}: {told}"
                  + (f"  ({used:.1f} processors were in use before: not to be trusted)" if used > 0.2 else ""),
                  file=sys.stderr, flush=True)
    return {name: seen[name] for name in sides}


def spread(values, digits):
    v = list(values)
    return f"{statistics.median(v):.{digits}f} [{min(v):.{digits}f} .. {max(v):.{digits}f}]"


def show(a, context, seen):
    ours = seen["pha"]
    for name, runs in seen.items():
        cells = [f"{a.what:8s}", f"{context:7d}", f"{name:22s}"]
        if not runs:
            print(" ".join(cells), "not enough memory", flush=True)
            continue
        cells += [f"{spread((r[0] for r in runs), 1):>26s}", f"{spread((r[1] / 1e9 for r in runs), 2):>22s}"]
        if name != "pha" and ours:
            pairs = list(zip(ours, runs))
            cells += [f"{spread((p[0] / t[0] for p, t in pairs), 2):>22s}", f"{spread((t[1] / p[1] for p, t in pairs), 2):>22s}",
                      f"{spread(((t[1] - t[2]) / p[1] for p, t in pairs), 2):>22s}"]
        print(" ".join(cells), flush=True)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--pha", help="the pha command")
    a.add_argument("--ours", help="or: any command that prints JSON with tokens_per_second")
    a.add_argument("--model", default=os.path.join(HERE, "../../configs/pha-125m.json"))
    a.add_argument("--what", default="train", choices=["train", "prefill", "decode"])
    a.add_argument("--context", default="1024", help="lengths, with commas between")
    a.add_argument("--repeats", type=int, default=5)
    a.add_argument("--steps", type=int, default=3, help="timed steps of each PyTorch run")
    a.add_argument("--long", type=int, default=4096, help="from this context on one run is enough")
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--torch", action="append", help="a variant's options of the PyTorch script; may be repeated")
    a.add_argument("--patience", type=float, default=120, help="seconds to wait for an idle machine before each run")
    a = a.parse_args()
    if bool(a.pha) == bool(a.ours):
        raise SystemExit("give either --pha or --ours")
    print(f"{a.model}: medians [range] of {a.repeats} turns")
    print(f"{'what':8s} {'context':>7s} {'side':22s} {'tokens/s':>26s} {'peak GB':>22s} {'pha / torch, speed':>22s} "
          f"{'torch / pha, memory':>22s} {'.. less import torch':>22s}", flush=True)
    for context in (int(n) for n in a.context.split(",")):
        show(a, context, compare(a, context))


if __name__ == "__main__":
    main()
