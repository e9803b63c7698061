"""Training runs over HTTP and on the page: what may be read, in which pieces, and live while a run is trained.

PHA_SERVE_SHOTS=FOLDER keeps pictures of the page.
"""
import json
import math
import os
import re
import subprocess
import time
from urllib.parse import quote

import lab
from lab import PHA, Server, main, run, until
from test_page import BROWSER, DRIVER, Browser, focus, text

PIECE = 262144  # RUN_PIECE


def step(n, loss=None):
    return {"event": "step", "step": n, "tokens": 256 * n, "loss": 5 * n ** -.2 if loss is None else loss,
            "lr": 3e-4 * min(1, n / 20), "tokens_per_second": 5000.0, "time": 1}


def detail(n, a):
    return {"event": "detail", "step": n, "layers": [
        {"mix_scaled": {"attn": a, "gss": (1 - a) / 2 + k / 20, "aux": (1 - a) / 2 - k / 20}} for k in range(3)]}


def evaluation(n):
    return {"event": "eval", "step": n, "valid_loss": 5 * n ** -.19, "valid_ppl": 9}


def write(folder, lines, mode="w"):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "log.jsonl"), mode) as f:
        f.write("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))


def make(name):
    """A folder of runs, two of them whole: "new" with 400 steps, "old" with 300."""
    root = os.path.join(lab.ROOT, name)
    for run_name, n, power, a in (("old", 300, -.15, .4), ("new", 400, -.2, .3)):
        lines = []
        for i in range(1, n + 1):
            lines.append(step(i, 5 * i ** power * (1 + .03 * math.sin(7 * i))))
            if i % 50 == 0:
                lines += [evaluation(i), detail(i, a + i / 4000)]
        write(os.path.join(root, run_name), lines)
        with open(os.path.join(root, run_name, "run.json"), "w") as f:
            json.dump({"command": "pha train --out /secret/place", "host": "secret-host", "parameters": 1234,
                       "started": "2026-01-01T00:00:00Z", "config": {"arch": "pha"},
                       "options": {"steps": 500, "data": "/secret/place"}}, f)
    os.utime(os.path.join(root, "old", "log.jsonl"), (1, 1))
    return root


def log(s, name, start=0):
    a = s.get("/train/%s/log?from=%d" % (name, start))
    assert a.status == 200, a.body
    return a.json()


def only_what_was_named():
    root = make("named")
    outside = os.path.join(lab.ROOT, "outside")
    write(outside, [step(1)])
    write(os.path.join(root, ".hidden"), [step(1)])
    os.symlink(outside, os.path.join(root, "link"))
    os.makedirs(os.path.join(root, "linked-log"))
    os.symlink(os.path.join(outside, "log.jsonl"), os.path.join(root, "linked-log", "log.jsonl"))
    os.makedirs(os.path.join(root, "pipe"))
    os.mkfifo(os.path.join(root, "pipe", "log.jsonl"))
    os.makedirs(os.path.join(root, "no-run"))
    os.makedirs(os.path.join(root, "folder", "log.jsonl"))
    # A run whose log alone leads elsewhere is one that has not begun.
    os.makedirs(os.path.join(root, "half"))
    os.symlink(os.path.join(outside, "log.jsonl"), os.path.join(root, "half", "log.jsonl"))
    with open(os.path.join(root, "half", "run.json"), "w") as f:
        f.write("{torn")
    write(os.path.join(root, "old", "within"), [step(1)])
    with Server("--runs", root) as s:
        found = s.get("/train").json()
        assert found["object"] == "list" and [r["id"] for r in found["data"]][1:] == ["new", "old"], found
        assert found["data"][0]["id"] == "half" and [r["size"] for r in found["data"]][0] == 0, found
        about = s.get("/train/new")
        assert about.json()["steps"] == 500 and about.json()["config"] == {"arch": "pha"}
        assert b"secret" not in about.body and about.json()["parameters"] == 1234
        assert s.get("/train/half").json()["config"] is None
        assert log(s, "half")["lines"] == [] and log(s, "half")["size"] == 0
        for name in (".hidden", "link", "linked-log", "pipe", "no-run", "folder", "..", "%2e%2e", "../outside",
                     "..%2foutside", "old%2fwithin", "old/within", ".", "%2e", "none", "x" * 300, "outside", "%00"):
            for path in ("/train/%s", "/train/%s/log"):
                a = s.get(path % name)
                assert a.status == 404 and "event" not in a.body.decode(), (path, name, a.status, a.body)
                a.error()
    with Server() as s:
        for path in ("/train", "/train/new", "/train/new/log"):
            assert "--runs" in s.get(path).error()["message"] and s.get(path).status == 404
    keys = os.path.join(lab.ROOT, "train-keys")
    with open(keys, "w") as f:
        f.write("ann:secret-of-ann\n")
    with Server("--runs", root, "--api-key-file", keys) as s:
        assert [s.get(p).status for p in ("/train", "/train/new", "/train/new/log")] == [401] * 3
        s.key = "secret-of-ann"
        assert [s.get(p).status for p in ("/train", "/train/new", "/train/new/log")] == [200] * 3
    with Server("--runs", os.path.join(root, "new")) as s:  # a run itself
        assert [r["id"] for r in s.get("/train").json()["data"]] == ["new"]
        assert len(log(s, "new")["lines"]) == 416 and s.get("/train/old").status == 404
    for wrong in (os.path.join(root, "none"), os.path.join(root, "new", "log.jsonl")):
        s = Server("--runs", wrong, wait=False)
        assert s.process.wait(60) == 2 and "--runs" in s.log(), s.log()
        s.process.stdout.close()


def pieces():
    root = os.path.join(lab.ROOT, "pieces")
    folder = os.path.join(root, "r")
    write(folder, [step(1), "no json\n", "\n", "[1]\n", step(2), '{"event": "step", "st'])
    with Server("--runs", root) as s:
        a = log(s, "r")
        assert [x["step"] for x in a["lines"]] == [1, 2] and a["unreadable"] == 2, a
        assert a["next"] == a["size"] - 21 and a["from"] == 0
        b = log(s, "r", a["next"])
        assert b["lines"] == [] and b["next"] == a["next"] and b["unreadable"] == 0
        write(folder, ['ep": 3}\n', step(4)], "a")  # the rest of it
        b = log(s, "r", a["next"])
        assert [x["step"] for x in b["lines"]] == [3, 4] and b["next"] == b["size"] and b["file"] == a["file"]
        assert log(s, "r", b["size"] + 1)["next"] == 0 and log(s, "r", 10 ** 18 - 1)["next"] == 0  # not this log any more
        os.rename(folder, folder + ".old")
        write(folder, [step(1)] * 100)
        assert log(s, "r", b["next"])["file"] != a["file"]
        for wrong in ("-1", "1.5", "x", "", "1e3", "9" * 19, "%31x", "+1"):
            a = s.get("/train/r/log?from=" + wrong)
            assert (a.status, a.error()["param"]) == (400, "from"), (wrong, a.body)
        # Many pieces, each bounded; every line once. One is longer than a piece, so it is none; one fills it exactly.
        many = [step(i) for i in range(1, 6001)]
        exact = {"event": "x", "pad": ""}
        exact["pad"] = "p" * (PIECE - 1 - len(json.dumps(exact)))
        assert len(json.dumps(exact)) + 1 == PIECE
        write(folder, many[:5000] + [exact, {"event": "long", "pad": "q" * (3 * PIECE)}] + many[5000:])
        at, steps, n, bad, exacts = 0, [], 0, 0, 0
        while True:
            a = log(s, "r", at)
            assert a["next"] - at <= PIECE
            steps += [x["step"] for x in a["lines"] if x["event"] == "step"]
            exacts += [x["event"] for x in a["lines"]].count("x")
            n, bad, at = n + 1, bad + a["unreadable"], a["next"]
            if at == a["size"]:
                break
        assert steps == list(range(1, 6001)) and exacts == 1 and n >= 7 and bad >= 1, (len(steps), exacts, n, bad)
        assert s.get("/health").status == 200


def names():
    """Whatever a folder is called; the newest are listed where there are many."""
    root = os.path.join(lab.ROOT, "names")
    odd = ["a b", "\u00e9t\u00e9", 'quo"te', "x" * 127]
    for name in odd:
        write(os.path.join(root, name), [step(1)])
    write(os.path.join(root, "x" * 128), [step(1)])
    with Server("--runs", root) as s:
        assert {r["id"] for r in s.get("/train").json()["data"]} == set(odd)
        for name in odd:
            assert log(s, quote(name))["lines"] == [step(1)], name
        for i in range(300):
            write(os.path.join(root, "n%03d" % i), [step(1)])
            os.utime(os.path.join(root, "n%03d" % i, "log.jsonl"), (i, i))
        found = [r["id"] for r in s.get("/train").json()["data"]]
        assert len(found) == 256 and set(found[:4]) == set(odd) and found[4:] == ["n%03d" % i for i in range(299, 47, -1)]


# ---- the page -----------------------------------------------------------------------------------------------------

def words(b):
    """What is said of each run, by its name."""
    return dict(b.run("return [...document.querySelectorAll('#run-list li')].map(e => "
                      "[e.querySelector('label').textContent.trim(), e.querySelector('p').textContent])"))


def curves(b, chart):
    return b.run("return [...document.querySelectorAll('#chart-' + arguments[0] + ' .curve')].map(e => "
                 "e.getAttribute('points').split(' ').length)", chart)


def tab_to(b, wanted):
    for _ in range(30):
        if focus(b) == wanted or b.run("return document.activeElement.closest('label')?.textContent.trim()") == wanted:
            return
        b.type("Tab")
    raise AssertionError("no %s by keyboard" % wanted)


def clean(b, s):
    problems = [e for e in b.log("browser") if e["level"] in ("SEVERE", "WARNING")]
    assert not problems, problems
    foreign = [u for u in b.requests() if not u.startswith(("http://127.0.0.1:%d/" % s.port, "data:", "chrome"))]
    assert not foreign, foreign


def by_keyboard():
    root = make("keyboard")
    with Server("--runs", root) as s, Browser() as b:
        b.go("http://127.0.0.1:%d/" % s.port)
        until(lambda: "tiny" in text(b, "model"), "the model's name")
        tab_to(b, "training")
        b.type("Enter")
        until(lambda: "step 400" in words(b).get("new", ""), "the newest run is shown")
        said = words(b)
        assert said["old"] == "" and "step 400 of 500" in said["new"] and "goes on" in said["new"], said
        assert re.search(r"loss 1\.\d{4}, validation 1\.\d{4}, rate 3\.00e-4, tokens/s 5,000", said["new"]), said
        assert len(curves(b, "loss")) == 1 and curves(b, "loss")[0] > 300
        tab_to(b, "old")
        b.type("Space")
        until(lambda: len(curves(b, "loss")) == 2, "one over the other")
        assert len(curves(b, "lr")) == 2 and curves(b, "valid") == [8, 6]
        assert curves(b, "mix-attn") == [8, 6] and curves(b, "mix-gss") == [8, 6]
        assert "last written" in words(b)["old"]
        name = b.run("return document.querySelector('#chart-loss svg').getAttribute('aria-label')")
        assert re.match(r"Training loss: new 1\.\d+ at step 400; old 2\.\d+ at step 300$", name), name
        b.shot("training")
        # What they were at an earlier step.
        tab_to(b, "at-step")
        b.type("Left", "Left")
        until(lambda: "step 398 " in words(b)["new"], "an earlier step")
        assert "step 300 " in words(b)["old"] and curves(b, "loss")[0] > 300
        b.type("End")
        until(lambda: "step 400 " in words(b)["new"], "the last one")
        # One layer of the mixing.
        before = b.run("return document.querySelector('#chart-mix-gss svg').getAttribute('aria-label')")
        b.run("document.getElementById('layer').focus()")
        b.type("End")
        until(lambda: b.run("return document.getElementById('layer').value") == "2", "the last layer")
        after = b.run("return document.querySelector('#chart-mix-gss svg').getAttribute('aria-label')")
        assert "new 0.35 at" in before and "new 0.4 at" in after, (before, after)
        # The log grows: the page follows, a torn line waits; the values that a resume repeats replace the first ones.
        write(os.path.join(root, "new"), [step(401), '{"event": "st'], "a")
        until(lambda: "step 401 " in words(b)["new"], "it goes on")
        write(os.path.join(root, "new"), ['ep", "step": 402, "loss": 1.25, "lr": 1}\n'], "a")
        until(lambda: "step 402 of 500, loss 1.2500" in words(b)["new"], "the rest of the line")
        write(os.path.join(root, "new"), [step(i, 2.5) for i in range(301, 311)] + [{"event": "end", "step": 310}], "a")
        until(lambda: "step 310 of 500, loss 2.5000" in words(b)["new"], "steps again after a resume")
        assert "ended" in words(b)["new"] and "unreadable" not in words(b)["new"]
        # Another log under the same name.
        os.rename(os.path.join(root, "new"), os.path.join(root, ".gone"))
        write(os.path.join(root, "new"), [step(1), step(2, 4.5)])
        until(lambda: "step 2, loss 4.5000" in words(b)["new"], "a new run in its place")
        asked = [u for u in b.requests() if "/log" in u]
        assert all("from=" in u for u in asked), asked
        clean(b, s)
        b.run("document.querySelector('[data-view=complete]').click()")
        b.requests()
        time.sleep(3)
        assert not [u for u in b.requests() if "/train" in u], "nobody looks, nobody asks"


def small_and_dark():
    root = make("small")
    with Server("--runs", root) as s, Browser(width=320, dark=True) as b:
        b.go("http://127.0.0.1:%d/" % s.port)
        b.run("document.querySelector('[data-view=training]').click()")
        until(lambda: "step 400" in words(b).get("new", ""), "the newest run is shown")
        b.run("document.querySelectorAll('#run-list input')[1].click()")
        until(lambda: len(curves(b, "mix-aux")) == 2, "one over the other")
        wide = b.run("return [document.documentElement.scrollWidth, ...[...document.querySelectorAll('body *')].filter("
                     "e => !e.closest('svg svg') && e.getBoundingClientRect().right > 321).map(e => e.id || e.tagName)]")
        assert wide == [wide[0]] and wide[0] <= 320, wide
        b.shot("training-small-dark")
        scales = b.run("return [...document.querySelectorAll('figure:not([hidden])')].map("
                       "f => f.querySelectorAll('text[text-anchor=end]').length)")
        assert len(scales) > 4 and min(scales) >= 2, scales  # a figure with one number at its side has no scale

        def light(c):
            rgb = [int(x) / 255 for x in re.findall(r"\d+", c)[:3]]
            return sum(k * (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4)
                       for k, x in zip((0.2126, 0.7152, 0.0722), rgb))
        for scheme in ("dark", "light"):
            b.command("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
            paper = light(b.run("return getComputedStyle(document.body).backgroundColor"))
            for i in range(8):  # a curve is seen as well as a graphic has to be
                c = light(b.run("const e = document.querySelector('.swatch'); e.className = 'swatch r' + arguments[0];"
                                "return getComputedStyle(e).color", i))
                high, low = sorted((c, paper), reverse=True)
                assert (high + 0.05) / (low + 0.05) >= 3.5, (scheme, i)
        b.run("scrollTo(0, 1e6)")
        b.shot("training-small-light")
        clean(b, s)


def while_it_is_trained():
    """A run of `pha train` from its first step on, in a folder that was empty when the page was opened."""
    texts, data, root = (os.path.join(lab.ROOT, n) for n in ("texts", "data", "live"))
    os.makedirs(texts), os.makedirs(root)
    for name, n in (("train", 3000), ("valid", 300)):
        with open(os.path.join(texts, name + ".txt"), "w") as f:
            f.write("".join("the %d history of %d things\n\n" % (i, i * i) for i in range(n)))
    run("prepare", texts + "/train.txt", "--valid", texts + "/valid.txt", "--tokenizer", "bytes", "--out", data)
    with open(os.path.join(lab.ROOT, "live.json"), "w") as f:
        json.dump({**lab.CONFIG, "vocab_size": 257}, f)
    with Server("--runs", root) as s, Browser() as b:
        b.go("http://127.0.0.1:%d/" % s.port)
        b.run("document.querySelector('[data-view=training]').click()")
        until(lambda: "no runs" in text(b, "train-about"), "there are none yet")
        training = subprocess.Popen([PHA, "train", "--config", lab.ROOT + "/live.json", "--data", data, "--out", root + "/r",
                                     "--steps", "100000", "--batch", "2", "--context", "32", "--detail-every", "20"],
                                    cwd=lab.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            steps = []

            def grows():
                found = re.search(r"step (\d+) of 100000", words(b).get("r", ""))
                if found and (not steps or int(found.group(1)) > steps[-1]):
                    steps.append(int(found.group(1)))
                return len(steps) >= 3
            until(grows, "steps as they are made", 60)
            until(lambda: curves(b, "mix-gss"), "mixing")
            assert "goes on" in words(b)["r"] and training.poll() is None, words(b)
            b.shot("training-live")
            clean(b, s)
        finally:
            training.kill()
            training.wait()


if __name__ == "__main__":
    tests = [only_what_was_named, pieces, names]
    if DRIVER and BROWSER:
        tests += [by_keyboard, small_and_dark, while_it_is_trained]
    else:
        print("        without chromium and chromedriver, so the page is not used")
    main(tests)
