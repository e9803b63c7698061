"""Runs the commands of README.md, in order, in a folder with texts; run.py calls it.

They are made short by options of the environment (what is not said on the line), by a few exchanges below, and by small
files under the names of large ones. What can't be run here stands below with the reason. An exchange or a reason that fits
no line is an error, so that the lists keep to the page.
"""
import json
import os
import re
import shutil
import struct
import subprocess

LEFT_OUT = [  # (the line, why)
    (r"make (quickstart|check)", "whole builds and tests: tools/nightly has them"),
    (r"make (install|uninstall|deb|dist|tarball|site)\b", "tests/install, tests/docs"),
    (r"python/wheel|pip install", "tests/python/wheel.sh"),
    (r"cc app\.c", "tests/install"),
    (r"repro systems-10m --texts wikitext-2$", "85 runs; the line above is their plan"),
    (r"PHA_TRACE=1 .*\.\.\.", "not a whole command"),
]
SHORTER = [  # (pattern, replacement): of a line, before it runs
    (r"(new ~/letters --minutes) 10", r"\1 0.2 --steps 4"),
    (r"(build/pha serve .*)", r"serving \1 --port 0"),
    (r"--epochs (1|12)\b", "--steps 2"),
    (r"--context 1024 --batch 24", "--context 64 --batch 2"),
    (r"--batch 24", "--batch 2 --context 64"),
    (r"train --config pha-125m", "train --config quickstart"),
    (r"(--out runs/hedgehog) --lr 6e-4", r"\1 --lr 6e-4 --context 64 --batch 2 --steps 2"),
    (r"(lab (?!.*--show)(?!.*--test-only).*)", r"\1 --steps 2 --examples 8"),
    (r"--context 65536", "--context 512"),
    (r"bench --model pha-125m --context 1024,4096", "bench --model tiny --context 64,128 --repeats 1"),
    (r"--length 32,64 --lr 0.001,0.003", "--length 32 --lr 0.001"),
    (r"attn-125,pha-125m,gss-125", "tiny,h3-tiny"),
]
SHORT = {  # options that a command is given by the environment
    "generate": {"PHA_MAX_TOKENS": "8"},
    "lab": {"PHA_TESTS": "4"},
    "convert": {"PHA_STEPS": "2", "PHA_CONTEXT": "32"},
}
WORDS = "the river a town old ship sails past some lights and people who sing of winter while rain falls".split()


def lines_of(text):
    """The commands: indented blocks of the page, without those of Python and of output."""
    out = []
    for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.M):
        block = re.sub(r"^    ", "", block, flags=re.M).replace("\\\n", " ")
        if block.startswith(("Installing", "\nInstalling")) or "== prepare" in block:
            continue
        block = re.sub(r" +# .*", "", block)
        out += [line.strip() for line in block.splitlines() if re.match(r"(build/|make|sed|python/|pip|cc|PHA_)", line)]
    return out


def python_of(text):
    block = re.search(r"^    import pha\n(?:    .*\n)+", text, re.M)[0]
    return re.sub(r"^    ", "", block, flags=re.M)


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def prose(seed, lines):
    return "".join(" ".join(WORDS[(i * i * 7 + i * j * 13 + seed * 31 + j * 5) % len(WORDS)]
                            for j in range(12)).capitalize() + ".\n" for i in range(lines))


def set_up(work, top, run):
    for k in range(4):
        write(f"{work}/books/{k}.txt", prose(k, 300))
        write(f"{work}/letters/{k}.txt", prose(k + 9, 200))
    for k, split in enumerate(("train", "valid", "test")):
        write(f"{work}/wiki.{split}.raw", "".join(f" = A {w} = \n\n {prose(k, 40)}\n" for w in WORDS[:5]))
    os.makedirs(f"{work}/build")
    os.symlink(os.path.join(work, "bin", "pha"), f"{work}/build/pha")
    shutil.copytree(os.path.join(top, "configs"), f"{work}/configs")
    with open(f"{top}/configs/tiny.json") as f:
        tiny = json.load(f)
    write(f"{work}/configs/pha-90m.json", json.dumps(tiny, indent=1))
    write(f"{work}/keys", "me:secret-key-of-a-test\n")
    write(f"{work}/lambada_test.jsonl", '{"text": "the old ship sails past some lights"}\n' * 2)
    serving = ('#!/bin/sh\n"$@" >served 2>&1 &\npid=$!\nfor i in $(seq 300); do\n'
               '  grep -q "http://" served && break\n  kill -0 $pid || break\n  sleep 0.1\ndone\n'
               'cat served\nkill -TERM $pid\nwait $pid\n')
    write(f"{work}/bin/serving", serving)
    os.chmod(f"{work}/bin/serving", 0o755)
    run("build/pha prepare books --out small --vocab-size 400 -q")
    with open(f"{top}/configs/gpt2-tiny.json") as f:
        write(f"{work}/gpt2-tiny.json", json.dumps(dict(json.load(f), vocab_size=400)))
    run("build/pha init --config gpt2-tiny.json --tokenizer small/tokenizer.json --out gpt2")
    run("build/pha train --config quickstart --data small --out runs/quickstart/run --steps 1 --batch 1 --context 64 -q")
    ids = [i * i % 300 for i in range(3000)]
    write(f"{work}/openwebtext/train.bin", struct.pack(f"<{len(ids)}H", *ids))
    write(f"{work}/openwebtext/val.bin", struct.pack("<500H", *ids[:500]))


def shorter(line, used):
    for pattern, replacement in SHORTER:
        if re.search(pattern, line):
            used.add(pattern)
            line = re.sub(pattern, replacement, line)
    return line


def run_readme(top, work, env, python):
    with open(os.path.join(top, "README.md"), encoding="utf-8") as f:
        text = f.read()
    env = dict(env, HOME=work)

    def run(line):
        words = line.split()
        done = subprocess.run(["bash", "-euc", line], cwd=work, env=dict(env, **SHORT.get(words[1], {})), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        if done.returncode:
            raise SystemExit(f"README.md: failed with status {done.returncode}:\n{line}\n{done.stdout}")

    set_up(work, top, run)
    used, ran = set(), 0
    for line in lines_of(text):
        why = [p for p, _ in LEFT_OUT if re.search(p, line)]
        used.update(why)
        if why:
            continue
        if "import --from tuned" in line:  # what a Trainer saves of it
            shutil.copytree(f"{work}/hub", f"{work}/tuned")
        run(shorter(line, used))
        ran += 1
    stale = [p for p, _ in LEFT_OUT + SHORTER if p not in used]
    assert not stale, f"README.md: no line is like {stale}"
    assert ran > 30, f"README.md: {ran} commands are too few"
    code, interpreter = python_of(text), python("import numpy")
    if interpreter:
        code = code.replace("steps=500", "steps=2, batch=1, context=64")
        subprocess.run([interpreter, "-B", "-c", code], cwd=work, env=env, check=True, stdout=subprocess.DEVNULL)
    print(f"README.md: {ran} commands{'' if interpreter else '; Python left out, for want of numpy'}", flush=True)
