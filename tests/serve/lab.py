"""What the tests of `pha serve` share: a tiny model, a server, a client of the standard library, a runner."""
import array
import http.client
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

PHA = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "pha"
ROOT = tempfile.mkdtemp(prefix="pha-serve-")
END = 256  # the id of <|endoftext|> in the tokenizer of bytes
CONFIG = {"arch": "pha", "d_model": 32, "n_layer": 2, "n_head": 2, "n_kv_head": 1, "d_ffn": 64, "d_state": 32,
          "d_aux": 32}
KEPT = ("PHA_ISA", "PHA_SERVE_", "PHA_CUDA_PLUGIN", "PHA_CUBLASLT")
for name in [n for n in os.environ if n.startswith("PHA_") and not n.startswith(KEPT)]:
    del os.environ[name]


def run(*arguments, **more):
    return subprocess.run([PHA, *arguments], cwd=ROOT, check=True, capture_output=True, **more).stdout


def model(name="tiny", tokenizer="bytes", **keys):
    """The folder of an untrained model, made once."""
    folder = os.path.join(ROOT, name)
    if not os.path.isdir(folder):
        with open(folder + ".json", "w") as f:
            json.dump({**CONFIG, **keys}, f)
        run("init", "--config", folder + ".json", "--tokenizer", tokenizer, "--out", folder)
    return folder


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def error(self):
        """The error object, after a look at its shape."""
        e = self.json()["error"]
        assert set(e) == {"message", "type", "param", "code"}, e
        assert isinstance(e["message"], str) and "\n" not in e["message"] and e["message"], e
        return e


class Server:
    def __init__(self, *options, folder=None, wait=True):
        self.error = tempfile.TemporaryFile("w+", dir=ROOT)
        self.process = subprocess.Popen([PHA, "serve", "--model", folder or model(), "--port", "0", *options],
                                        stdout=subprocess.PIPE, stderr=self.error, text=True, cwd=ROOT)
        self.port, self.key = 0, None
        if wait:
            line = self.process.stdout.readline()
            found = re.search(r":(\d+)/v1", line)
            assert found, (line, self.log())
            self.port = int(found.group(1))

    def log(self):
        self.error.seek(0)
        return self.error.read()

    def connect(self, timeout=60):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, path, body=None, headers=None, connection=None):
        c = connection or self.connect()
        h = {"Content-Type": "application/json", **(headers or {})}
        if self.key:
            h["Authorization"] = "Bearer " + self.key
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        c.request(method, path, body, h)
        r = c.getresponse()
        answer = Answer(r.status, r.headers, r.read())
        if not connection:
            c.close()
        return answer

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def post(self, path, body, **more):
        return self.ask("POST", path, body, **more)

    def complete(self, **body):
        a = self.post("/v1/completions", body)
        assert a.status == 200, a.body
        return a.json()

    def metric(self, name):
        found = re.search(r"^pha_%s (-?\d+)" % name, self.get("/metrics").body.decode(), re.M)
        return int(found.group(1))

    def stop(self, number=signal.SIGTERM):
        """Asks it to end and waits; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        self.process.stdout.close()
        return code

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if kind is SystemExit and not error.code:
            kind = None
        if kind:
            print(self.log(), file=sys.stderr)
            self.process.kill()
        code = self.stop()
        assert kind or code == 0, (code, self.log())


def events(body):
    """The events of a stream; the last one is [DONE]."""
    found = [e for e in body.decode().split("\n\n") if e and not e.startswith(":")]
    assert all(e.startswith("data: ") for e in found), found
    assert found[-1] == "data: [DONE]", found[-1]
    return [json.loads(e[6:]) for e in found[:-1]]


def joined(body):
    """A stream as the answer that it would be without: {index: (text, finish, tokens, logprobs)}."""
    choices = {}
    for e in events(body):
        for c in e["choices"]:
            text, finish, logprobs = choices.get(c["index"], ("", None, {}))
            assert finish is None, "something after the end"
            text += c["text"] if "text" in c else c["delta"].get("content", "")
            for key, value in (c["logprobs"] or {}).items():
                logprobs[key] = logprobs.get(key, []) + (value or [])
            choices[c["index"]] = (text, c["finish_reason"], logprobs)
    return choices


def npy_write(path, rows):
    shape = (len(rows), len(rows[0]))
    head = repr({"descr": "<i4", "fortran_order": False, "shape": shape}).encode()
    head += b" " * (63 - (10 + len(head)) % 64) + b"\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head)
        f.write(array.array("i", [x for row in rows for x in row]).tobytes())


def npy_read(path):
    with open(path, "rb") as f:
        data = f.read()
    n = struct.unpack("<H", data[8:10])[0]
    shape = eval(data[10:10 + n].decode())["shape"]
    return shape, array.array("f", data[10 + n:])


def until(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def main(tests):
    """Runs the functions whose names are given behind the program, or all; prints and exits as ctest wants it."""
    wanted, failed = sys.argv[2:], 0
    try:
        for test in tests:
            if wanted and test.__name__ not in wanted:
                continue
            begin = time.monotonic()
            try:
                test()
                print("ok      %s (%.1f s)" % (test.__name__, time.monotonic() - begin), flush=True)
            except Exception:
                failed += 1
                traceback.print_exc()
                print("FAILED  %s" % test.__name__, flush=True)
    finally:
        shutil.rmtree(ROOT, ignore_errors=True)
    sys.exit(1 if failed else 0)
