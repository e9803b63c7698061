"""interleave.py -- runs pha's and PyTorch's training step in turns and prints medians, ranges and ratios

Start it through interleave.sh, which sets the environment. Peak memory is that of the whole process as the system counts
it, the same for both sides; for PyTorch it is also given without what `import torch` alone takes.
"""
import argparse
import json
import os
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


def measure(command):
    """(tokens per second, peak bytes, parsed output) of one run."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    result = parse(text)
    speed = find(result, "tokens_per_second")
    if child.returncode or speed is None:
        raise SystemExit(f"{shlex.join(command)}\nended with status {child.returncode} and no tokens_per_second:\n{text}")
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


def row(name, values, unit, scale=1.0):
    v = [x * scale for x in values]
    print(f"  {name:28s} {statistics.median(v):9.2f} {unit:6s} [{min(v):.2f} .. {max(v):.2f}]  n={len(v)}")


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--pha", help="the pha command")
    a.add_argument("--ours", help="or: any command that prints JSON with tokens_per_second")
    a.add_argument("--model", default=os.path.join(HERE, "../../configs/pha-125m.json"))
    a.add_argument("--context", type=int, default=1024)
    a.add_argument("--repeats", type=int, default=5)
    a.add_argument("--steps", type=int, default=3, help="timed steps of each PyTorch run")
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--torch", action="append", help="a variant's options of train_step.py; may be repeated")
    a.add_argument("--patience", type=float, default=120, help="seconds to wait for an idle machine before each run")
    a = a.parse_args()
    if bool(a.pha) == bool(a.ours):
        raise SystemExit("give either --pha or --ours")
    ours = shlex.split(a.ours) if a.ours else [a.pha, "bench", "--what", "train", "--model", a.model, "--context",
                                               str(a.context), "--json"]
    step = [sys.executable, os.path.join(HERE, "train_step.py"), "--model", a.model, "--context", str(a.context),
            "--steps", str(a.steps), "--threads", str(a.threads)]
    sides = {"pha": ours}
    for options in a.torch or ["", "--loss-rows 128"]:
        sides[("torch " + options).strip()] = step + shlex.split(options)
    speed, memory, base = ({name: [] for name in sides} for _ in range(3))
    for i in range(a.repeats):
        names = list(sides) if i % 2 == 0 else list(sides)[::-1]  # neither side is always first
        for name in names:
            used = wait_until_idle(a.patience)
            s, m, result = measure(sides[name])
            speed[name].append(s)
            memory[name].append(m)
            base[name].append(find(result, "torch_rss") or 0)
            print(f"{time.strftime('%H:%M:%S')} load {os.getloadavg()[0]:.1f}  {name}: {s:.1f} tok/s, {m / 1e9:.3f} GB"
                  + (f"  ({used:.1f} processors were in use before: not to be trusted)" if used > 0.2 else ""), flush=True)
    for name in sides:
        print(name)
        row("speed", speed[name], "tok/s")
        row("peak memory", memory[name], "GB", 1e-9)
        if name == "pha":
            continue
        row("peak less import torch", [m - b for m, b in zip(memory[name], base[name])], "GB", 1e-9)
        row("pha / torch, speed", [p / t for p, t in zip(speed["pha"], speed[name])], "")
        row("torch / pha, memory", [t / p for p, t in zip(memory["pha"], memory[name])], "")
        row("... less import torch", [(m - b) / p for p, m, b in zip(memory["pha"], memory[name], base[name])], "")


if __name__ == "__main__":
    main()
