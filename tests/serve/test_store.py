"""Texts on disk: known after a restart and after a kill, never wrong, and each tenant's own."""
import glob
import json
import os
import shutil
import signal
import subprocess
import time

import lab
from lab import PHA, Server, main, model, run, until

FOLDER = os.path.join(lab.ROOT, "texts")
LONG = "".join("Line %d of a long text that is read once. " % i for i in range(20))  # 900 tokens of a byte
ASK = {"prompt": LONG, "max_tokens": 8, "temperature": 0, "logprobs": 3}


def server(*options, **more):
    return Server("--state-disk", FOLDER, "--max-context", "2048", *options, **more)


def files():
    return sorted(glob.glob(os.path.join(FOLDER, "*", "*")))


def essence(answer):
    return answer["choices"]


def plainly():
    with Server("--state-ram", "0", "--max-context", "2048") as s:
        return essence(s.complete(**ASK))


def ours(s, **more):
    answer = s.complete(**{**ASK, **more})
    return essence(answer), answer["pha"]


def restart():
    wanted = plainly()
    shutil.rmtree(FOLDER, ignore_errors=True)
    with server() as s:
        got, first = ours(s)
        assert got == wanted and first["reused"] == 0 and first["miss"] == "first_use", first
        assert s.metric("state_read_total") == 0
    assert len(files()) == (len(LONG) + 7) // 64  # the last token that was made has not been read
    with server() as s:
        got, again = ours(s)
        assert got == wanted and again["reused"] == (len(LONG) - 1) // 64 * 64 // 256 * 256, again
        assert s.metric("state_read_total") >= again["reused"] // 64 and s.metric("state_damaged_total") == 0
        assert s.metric("state_ram_bytes") > 0 and s.metric("state_disk_bytes") > 0
        # Several prompts at once, streams, and a scored one, of which nothing is passed over.
        many = s.complete(**{**ASK, "prompt": [LONG, LONG[:700]], "n": 2})
        assert [c["text"] for c in many["choices"][:1]] == [wanted[0]["text"]]
        scored = s.complete(**{**ASK, "echo": True})
        assert scored["pha"] == {**scored["pha"], "reused": 0, "miss": "scored"}
    # A server whose folder can't be used doesn't start.
    with open(os.path.join(lab.ROOT, "file"), "w") as f:
        f.write("no folder")
    bad = subprocess.run([PHA, "serve", "--model", model(), "--state-disk", os.path.join(lab.ROOT, "file"), "--port",
                          "0"], capture_output=True, text=True, cwd=lab.ROOT)
    assert bad.returncode and "file" in bad.stderr, bad
    bad = subprocess.run([PHA, "serve", "--model", model(), "--state-disk", FOLDER, "--state-ram", "0", "--port", "0"],
                         capture_output=True, text=True, cwd=lab.ROOT)
    assert bad.returncode == 2 and "--state-ram" in bad.stderr, bad


def killed():
    """What a killed server had pushed out of memory is known to the next one, and right."""
    wanted = plainly()
    shutil.rmtree(FOLDER, ignore_errors=True)
    s = server("--state-ram", "1")
    for i in range(40):
        s.complete(prompt="%d %s" % (i, LONG), max_tokens=1)
    s.complete(**ASK)
    until(lambda: s.metric("state_written_total") > 4, "nothing is written")
    s.process.send_signal(signal.SIGKILL)
    s.process.wait()
    s.process.stdout.close()
    assert files()
    with server() as s:
        for i in range(40):
            s.complete(prompt="%d %s" % (i, LONG), max_tokens=1)
        assert ours(s)[0] == wanted
        assert s.metric("state_damaged_total") == 0 and s.metric("state_read_total") > 0


def tenants():
    shutil.rmtree(FOLDER, ignore_errors=True)
    keys = os.path.join(lab.ROOT, "keys")
    with open(keys, "w") as f:
        f.write("ann:secret-of-ann\nbob:secret-of-bob\n")
    with server("--api-key-file", keys) as s:
        s.key = "secret-of-ann"
        ours(s)
    with server("--api-key-file", keys) as s:
        s.key = "secret-of-bob"
        about = ours(s)[1]
        assert about["miss"] == "first_use" and about["reused"] == about["at"] == 0, about
        s.key = "secret-of-ann"
        assert ours(s)[1]["reused"] > 0


def damage():
    wanted = plainly()
    shutil.rmtree(FOLDER, ignore_errors=True)
    with server() as s:
        ours(s)
    for path in files():
        with open(path, "r+b") as f:
            f.seek(-9, os.SEEK_END)
            byte = f.read(1)
            f.seek(-9, os.SEEK_END)
            f.write(bytes([byte[0] ^ 16]))
    n = len(files())
    with server() as s:
        got, about = ours(s)
        assert got == wanted and about["miss"] == "damaged" and about["reused"] == about["at"] == 0, about
        assert s.metric("state_damaged_total") == 1 and len(files()) == n - 1
        assert 'pha_misses_total{reason="damaged"} 1' in s.get("/metrics").body.decode()
    with server(folder=model("another", d_model=48)) as s:  # the same tokens, another model
        about = ours(s)[1]
        assert about["miss"] == "other_model" and about["reused"] == 0, about
    with server("--weights", "bf16") as s:
        assert ours(s)[1]["miss"] == "other_model"


def the_command():
    """pha generate uses the same folder; a text of nobody is not one of a tenant."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    prompt = os.path.join(lab.ROOT, "prompt")
    with open(prompt, "w") as f:
        f.write(LONG)

    def generate(*more):
        return json.loads(run("generate", "--model", model(), "-f", prompt, "-n", "8", "-t", "0", "--json", *more))
    plain = generate()
    first = generate("--state-disk", FOLDER)
    again = generate("--state-disk", FOLDER, "--state-disk-budget", "50")
    assert plain["text"] == first["text"] == again["text"] and "reused" not in plain
    assert first["reused"] == 0 and first["miss"] == "first_use" and again["reused"] >= 512, (first, again)
    with server() as s:  # one folder, two programs at once
        assert ours(s)[1]["miss"] == "first_use"
        assert generate("--state-disk", FOLDER)["reused"] >= 512
        assert ours(s)[1]["reused"] >= 512


def soon():
    """Behind 4,000 tokens that are known the first one comes in a twentieth of the time; from disk, too."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    wide = dict(folder=model("wide", d_model=192, n_layer=4, n_head=4, n_kv_head=2, d_ffn=512, d_state=192, d_aux=256))
    options = ("--max-context", "5000", "--state-disk", FOLDER)
    texts = [str(i) + "".join(chr(97 + (i + k * k) % 26) for k in range(3999)) for i in range(2)]

    def first_token(s, text, known):
        c, began = s.connect(1000), time.monotonic()
        a = s.post("/v1/completions", {"prompt": text, "max_tokens": 1, "temperature": 0}, connection=c).json()
        assert (a["pha"]["reused"] >= 3900) == known, a["pha"]
        return time.monotonic() - began, essence(a)
    with Server(*options, **wide) as s:
        cold, wanted = zip(*(first_token(s, t, False) for t in texts))
        warm, got = zip(*(first_token(s, t, True) for t in texts))
        assert got == wanted
    with Server(*options, **wide) as s:
        disk, got = zip(*(first_token(s, t, True) for t in texts))
        assert got == wanted
    print("        first token after %.2f s, known %.3f s, from disk %.3f s" % (min(cold), min(warm), min(disk)))
    assert min(warm) < 0.05 * min(cold), (warm, cold)


main([restart, killed, tenants, damage, the_command, soon])
