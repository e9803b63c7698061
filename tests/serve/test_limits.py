"""Every row of the table of limits one below, at and one above it; keys; what no client should send."""
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import lab
from lab import PHA, Server, main, model, until


def completion(s, status=200, **body):
    a = s.post("/v1/completions", {"max_tokens": 1, **body})
    assert a.status == status, (a.status, a.body)
    if status >= 400:
        return a.error()
    return a.json()


def around(limit, make, param, status=400, options=()):
    """`make(n)` is a request that asks for n; one server with a limit of `limit` for it."""
    name, n = limit
    with Server("--limit", "%s=%d" % (name, n), *options) as s:
        for k in (n - 1, n):
            body = make(k)
            a = s.post("/v1/completions", body) if not callable(body) else body(s)
            assert a.status == 200, (name, k, a.status, a.body)
        body = make(n + 1)
        a = s.post("/v1/completions", body) if not callable(body) else body(s)
        assert a.status == status, (name, n + 1, a.status, a.body)
        e = a.error()
        assert e["param"] == param, e
        assert s.post("/v1/completions", make(n) if not callable(make(n)) else {"max_tokens": 1}).status == 200


def limits_of_fields():
    around(("prompts", 3), lambda n: {"prompt": ["a"] * n, "max_tokens": 1}, "prompt")
    around(("n", 3), lambda n: {"n": n, "max_tokens": 1}, "n")
    around(("stop", 3), lambda n: {"stop": ["a"] * n, "max_tokens": 1}, "stop")
    around(("stop_bytes", 5), lambda n: {"stop": "\u00e9" + "a" * (n - 2), "max_tokens": 1}, "stop")
    around(("logprobs", 3), lambda n: {"logprobs": n, "max_tokens": 1}, "logprobs")
    around(("bias", 3), lambda n: {"logit_bias": {str(i): 1 for i in range(n)}, "max_tokens": 1}, "logit_bias")
    around(("messages", 3), lambda n: lambda s: s.post("/v1/chat/completions", {
        "messages": [{"role": "user", "content": "a"}] * n, "max_tokens": 1}), "messages")
    # (1 + 1) log-probabilities for each of n - 1 tokens of the prompt and one behind it
    around(("entries", 20), lambda n: {"prompt": "a" * (n - 11), "echo": True, "logprobs": 1, "max_tokens": 1},
           "logprobs")


def limits_of_bodies():
    def padded(n):
        head, tail = '{"max_tokens":1,"user":"', '"}'
        return head + "x" * (n - len(head) - len(tail)) + tail
    around(("body", 1000), padded, None, 413)
    around(("depth", 6), lambda n: '{"max_tokens":1,"x":' + "[" * (n - 1) + "]" * (n - 1) + "}", None)
    # the object itself, its two fields and the list with its elements
    around(("values", 64), lambda n: '{"max_tokens":1,"x":[%s]}' % ",".join(["1"] * (n - 3)), None)
    with Server("--limit", "bodies=65536", "--limit", "body=60000") as s:
        a, b = s.connect(), s.connect()
        for c in (a, b):  # both are received at once
            c.putrequest("POST", "/v1/completions")
            c.putheader("Content-Length", "50000")
            c.endheaders()
        a.send(b" " * 40000)
        until(lambda: True, "")
        time.sleep(0.2)
        b.send(b" " * 50000)
        answer = b.getresponse()
        assert answer.status == 503 and answer.headers["Retry-After"], answer.read()
        a.send(b" " * 9998 + b"{}")
        assert a.getresponse().status == 200
        a.close(), b.close()


def the_table_itself():
    with open(os.path.join(os.path.dirname(__file__), "../../cli/serve/limits.def")) as f:
        rows = [line.split("(")[1].split(",")[0] for line in f if line.startswith("LIMIT(")]
    tested = {"body", "bodies", "depth", "values", "prompts", "n", "stop", "stop_bytes", "logprobs", "entries", "bias",
              "messages", "queue", "states", "all_states", "state_tokens", "connections", "receive", "seconds",
              "unsent", "slow", "drain"}
    assert set(rows) == tested, set(rows) ^ tested
    for wrong in ("nothing=1", "body", "body=x", "body=0", "body=-1", "body=99999999999999999999", "=3"):
        p = subprocess.run([PHA, "serve", "--model", model(), "--limit", wrong], capture_output=True, text=True)
        assert p.returncode == 2 and "--limit" in p.stderr and p.stderr.count("\n") == 1, p.stderr
    with open(os.path.join(os.path.dirname(__file__), "../../docs/serve.md")) as f:
        text = f.read()
    assert all("`%s`" % row in text for row in rows), [r for r in rows if "`%s`" % r not in text]


def the_queue():
    """One slot, and room for two that wait: the fourth is sent away, and one comes in when there is room again."""
    with Server("--slots", "1", "--limit", "queue=2", "--max-context", "100000") as s:
        long = {"prompt": "a", "max_tokens": 90000, "stream": True, "ignore_eos": True}
        first = s.connect()
        first.request("POST", "/v1/completions", lab.json.dumps(long))
        until(lambda: s.metric("running") == 1, "it runs")
        results = []
        others = [threading.Thread(target=lambda: results.append(s.post("/v1/completions", {"max_tokens": 1})))
                  for _ in range(2)]
        for t in others:
            t.start()
        until(lambda: s.metric("waiting") == 2, "two wait")
        a = s.post("/v1/completions", {"max_tokens": 1})
        assert a.status == 429 and int(a.headers["Retry-After"]) >= 1 and a.error()["type"] == "rate_limit_error"
        first.sock.close()  # the client goes away: its sequence ends
        first.close()
        for t in others:
            t.join(30)
        assert [r.status for r in results] == [200, 200]
        until(lambda: s.metric("running") == 0 and s.metric("waiting") == 0, "all is over")
        assert completion(s)


def seconds():
    with Server("--limit", "seconds=1", "--max-context", "1000000", "--slots", "2") as s:
        a = s.post("/v1/completions", {"prompt": "a", "max_tokens": 900000, "ignore_eos": True})
        assert a.status == 504 and "1 second" in a.error()["message"], a.body
        a = s.post("/v1/completions", {"prompt": "a", "max_tokens": 900000, "ignore_eos": True, "stream": True})
        last = [e for e in a.body.decode().split("\n\n") if e][-1]
        assert a.status == 200 and '"error"' in last and "[DONE]" not in a.body.decode(), last
        assert s.metric("timed_out_total") == 2 and completion(s)


def slow_requests():
    """A request that comes byte by byte has its time; one that takes long to answer is no such, nor a connection in use."""
    def ends(head, drip):
        with socket.create_connection(("127.0.0.1", s.port), timeout=0.2) as c:
            c.sendall(head)
            begin = time.monotonic()
            while time.monotonic() < begin + 15:
                try:
                    c.sendall(drip)
                    if c.recv(1000) == b"":
                        return time.monotonic() - begin
                except socket.timeout:
                    pass
                except ConnectionError:
                    return time.monotonic() - begin
    with Server("--limit", "receive=1", "--max-context", "1000000") as s:
        for head, drip in ((b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nX: ", b"a"), (b"", b"\r\n"), (b"G", b""),
                           (b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n", b" "),
                           (b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n", b" ")):
            took = ends(head, drip)
            assert took and 0.9 < took < 10, (head, took)
        took, n = 0, 50
        while took < 2:  # longer than `receive`, whatever the machine
            begin, n = time.monotonic(), 2 * n
            assert s.post("/v1/completions", {"max_tokens": n, "ignore_eos": True}).status == 200
            took = time.monotonic() - begin


def connections():
    with Server("--limit", "connections=5") as s:
        open_ones = [socket.create_connection(("127.0.0.1", s.port)) for _ in range(8)]
        time.sleep(0.2)
        for c in open_ones:
            c.close()
        until(lambda: s.get("/health").status == 200, "room again")


def slow_readers():
    """A reader that takes nothing holds up nobody, waits once its buffer is full, and is cut off in the end."""
    with Server("--limit", "unsent=4096", "--limit", "slow=1", "--limit", "entries=60000000", "--max-context",
                "1000000") as s:
        c = socket.socket()
        c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.connect(("127.0.0.1", s.port))
        body = b'{"max_tokens": 900000, "stream": true, "ignore_eos": true, "logprobs": 20}'
        c.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        until(lambda: s.metric("running") == 1, "it runs")
        assert completion(s, prompt="others", max_tokens=5)
        until(lambda: s.metric("running") == 0, "it was cut off", 60)
        made = s.metric("tokens_made_total")
        assert made < 100000, made
        c.close()
        until(lambda: s.metric("hung_up_total") == 1, "its connection has gone")


def keys():
    path = os.path.join(lab.ROOT, "keys")
    with open(path, "w") as f:
        f.write("# who may ask\nann:first-key-of-ann\n\nsecond-key\n")
    with Server("--api-key-file", path) as s:
        assert s.get("/health").status == 200
        for wrong in (None, "", "first-key-of-an", "first-key-of-annn", "ann:first-key-of-ann", "second-keY"):
            s.key = wrong
            for a in (s.get("/v1/models"), s.get("/metrics"), s.get("/nothing"), s.post("/v1/completions", {}),
                      s.post("/tokenize", {"prompt": "a"})):
                assert a.status == 401 and a.error()["code"] == "invalid_api_key" and a.headers["WWW-Authenticate"]
                assert "auth_token" in a.error()["message"] and (not wrong or wrong not in a.error()["message"])
        for right in ("first-key-of-ann", "second-key"):
            s.key = right
            assert completion(s) and s.get("/v1/models").status == 200
        with open(path, "w") as f:
            f.write("third-key\n")
        s.process.send_signal(signal.SIGHUP)
        until(lambda: s.get("/v1/models").status == 401, "the old key is out")
        s.key = "third-key"
        assert completion(s)
        with open(path, "w") as f:
            f.write("short\n")
        s.process.send_signal(signal.SIGHUP)
        until(lambda: "stay as they were" in s.log(), "said so")
        assert completion(s)
        assert "third-key" not in s.log() and "short" not in s.log().replace("shorter", "")
    # What is kept belongs to a name, so that no key gets what was another's when lines come and go.
    for text, part in (("first-key\nsecond-key\n", "line 2 is a second key without a name"),
                       ("ann:first-key\n\n# and\nbob:first-key\n", "line 4 is a key that is there already"),
                       (":first-key\nsecond-key\n", "without a name")):
        with open(path, "w") as f:
            f.write(text)
        p = subprocess.run([PHA, "serve", "--model", model(), "--api-key-file", path], capture_output=True, text=True,
                           timeout=60)
        assert p.returncode == 2 and part in p.stderr and "t-key" not in p.stderr, p.stderr
    with open(path, "w") as f:
        f.write("ann:old-key-of-ann\nann:new-key-of-ann\nbob-without-a-name\n")  # one after the other: the same ann
    for mode, said in ((0o644, True), (0o640, False)):
        os.chmod(path, mode)
        with Server("--api-key-file", path) as s:
            assert ("everybody on this machine" in s.log()) == said
            s.key = "old-key-of-ann"
            state = s.post("/v1/states", {"prompt": "a"}).json()["id"]
            s.key = "new-key-of-ann"
            assert s.get("/v1/states/" + state).status == 200
            s.key = "bob-without-a-name"
            assert s.get("/v1/states/" + state).status == 404
    with open(path, "w") as f:
        f.write("short\n")
    for options, part in ((("--host", "0.0.0.0"), "--api-key-file"), (("--api-key-file", path), "line 1"),
                          (("--api-key-file", path + "x"), "No such file"), (("--tls-cert", path), "--tls-key")):
        p = subprocess.run([PHA, "serve", "--model", model(), "--port", "0", *options], capture_output=True, text=True)
        assert p.returncode == 2 and part in p.stderr, p.stderr
    with Server("--host", "0.0.0.0", "--insecure") as s:
        assert completion(s)


def raw(s, data, wait=5):
    with socket.create_connection(("127.0.0.1", s.port), timeout=wait) as c:
        c.sendall(data)
        out = b""
        try:
            while True:
                more = c.recv(65536)
                if not more:
                    break
                out += more
        except (socket.timeout, ConnectionError):
            pass
        return out


def odd_requests():
    with Server("--limit", "body=100000") as s:
        assert b" 400 " in raw(s, b"nonsense\r\n\r\n")[:20] or not raw(s, b"nonsense\r\n\r\n")
        raw(s, b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{", 0.3)  # goes away in the middle
        raw(s, b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\nConnection: close\r\n\r\n", 0.5)
        raw(s, b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 0.5)
        raw(s, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 100000 + b"\r\n\r\n", 0.5)
        raw(s, b"\x16\x03\x01\x00\xa5\x01\x00\x00", 0.3)
        a = raw(s, b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\nExpect: 100-continue\r\n\r\n", 0.5)
        assert b"100 Continue" in a  # too long is known when it has come
        a = raw(s, b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\nExpect: 100-continue\r\n\r\n", 0.5)
        assert b" 404 " in a and b"100 Continue" not in a
        chunked = b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        a = raw(s, chunked + b'10\r\n{"max_tokens": 1\r\n1\r\n}\r\n0\r\n\r\n')
        assert b" 200 " in a.split(b"\r\n")[0], a
        a = raw(s, chunked + b"ffffff\r\n" + b" " * 150000, 1)
        assert b" 200 " not in a
        # Whose end is a matter of opinion, so that a proxy may take something else for the next request.
        for lengths in (b"Content-Length: 2\r\nContent-Length: 29", b"Content-Length: 2\r\nTransfer-Encoding: chunked"):
            a = raw(s, b"POST /v1/completions HTTP/1.1\r\nHost: a\r\n" + lengths + b"\r\n\r\n" +
                    b"2\r\n{}\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            assert a.startswith(b"HTTP/1.1 400 ") and b"more than once" in a and a.count(b"HTTP/1.1") == 1, a
        assert s.get("/health%00x").status == 404 and s.get("/he%61lth").status == 200 and s.get("/health%").status == 404
        assert s.post("/v1/completions", b" " * 200000).status == 413
        assert s.get("/v1/models/" + "a" * 200).status == 404
        assert s.get("/v1/models/%2e%2e%2f").status == 404
        assert s.get("/../../etc/passwd").status == 404
        assert completion(s)


def the_log():
    """A line for each request, and nothing of what was said."""
    for options in ((), ("--log-json",)):
        with Server(*options) as s:
            completion(s, prompt="a secret", max_tokens=3, ignore_eos=True)
            completion(s, 400, prompt="a secret", n=0)
            s.post("/tokenize", {"prompt": "a secret"})
            s.get("/v1/nothing%1b[2J"), s.get("/health")
            lines = s.log().splitlines()[1:]
            assert len(lines) == 4 and "secret" not in s.log() and "\x1b" not in s.log(), lines
            if options:
                read = [lab.json.loads(line) for line in lines]
                assert [r["status"] for r in read] == [200, 400, 200, 404] and read[0]["made"] == 3, read
                assert read[0]["read"] == 8 and read[0]["end"] == "ok" and read[1]["path"] == "/v1/completions"
            else:
                assert "made 3" in lines[0] and "/v1/completions" in lines[1] and " 404" in lines[3], lines
    with Server("--quiet") as s:
        assert completion(s) and s.log() == ""


def cors():
    with Server() as s:
        assert s.get("/v1/models").headers["Access-Control-Allow-Origin"] is None
        assert s.ask("OPTIONS", "/v1/completions").status == 405
    with Server("--cors", "https://a.example") as s:
        assert s.get("/v1/models").headers["Access-Control-Allow-Origin"] == "https://a.example"
    keys = os.path.join(lab.ROOT, "cors-keys")
    with open(keys, "w") as f:
        f.write("ann:secret-of-ann\n")
    with Server("--cors", "https://a.example", "--api-key-file", keys) as s:  # what a browser asks first, without a key
        for path, methods in (("/v1/completions", "POST"), ("/v1/states/x", "GET, DELETE, PUT"), ("/v1/models", "GET")):
            a = s.ask("OPTIONS", path, headers={"Origin": "https://a.example", "Access-Control-Request-Method": "POST"})
            assert a.status == 204 and a.body == b"" and a.headers["Access-Control-Allow-Methods"] == methods, (path, a.headers)
            assert a.headers["Access-Control-Allow-Origin"] == "https://a.example"
            assert "Authorization" in a.headers["Access-Control-Allow-Headers"]
        assert s.ask("OPTIONS", "/none").status in (401, 404)
        assert s.post("/v1/completions", {"max_tokens": 1}).status == 401


def starts_and_stops():
    p = subprocess.run([PHA, "serve", "--model", lab.ROOT + "/none"], capture_output=True, text=True)
    assert p.returncode == 4 and "none" in p.stderr
    with Server() as s:
        p = subprocess.run([PHA, "serve", "--model", model(), "--port", str(s.port)], capture_output=True, text=True)
        assert p.returncode == 4 and "in use" in p.stderr, p.stderr
    s = Server("--max-context", "100000")  # a stream that is under way ends, new ones are sent away
    got = []
    t = threading.Thread(target=lambda: got.append(s.post("/v1/completions", {
        "prompt": "a", "max_tokens": 3000, "stream": True, "ignore_eos": True})))
    t.start()
    until(lambda: s.metric("running") == 1, "it runs")
    s.process.send_signal(signal.SIGTERM)
    until(lambda: s.get("/health").status == 503, "it drains")
    a = s.post("/v1/completions", {"max_tokens": 1})
    assert a.status == 503 and a.headers["Retry-After"], a.body
    t.join(60)
    assert b"[DONE]" in got[0].body
    assert s.process.wait(20) == 0 and s.stop() == 0
    s = Server("--max-context", "1000000", "--limit", "drain=0")
    t = threading.Thread(target=lambda: got.append(s.post("/v1/completions", {
        "prompt": "a", "max_tokens": 900000, "stream": True, "ignore_eos": True})))
    t.start()
    until(lambda: s.metric("running") == 1, "it runs")
    assert s.stop() == 0
    t.join(10)
    assert b"stopping" in got[1].body and b"[DONE]" not in got[1].body
    s = Server("--max-context", "1000000")
    c = s.connect()
    c.request("POST", "/v1/completions", '{"max_tokens": 900000, "stream": true, "ignore_eos": true}')
    until(lambda: s.metric("running") == 1, "it runs")
    s.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert s.stop() == -signal.SIGTERM  # a second one ends it at once
    c.close()


def managers():
    """Readiness is told, and a socket that somebody else opened is used."""
    path = os.path.join(lab.ROOT, "notify")
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(path)
    told.settimeout(20)
    listening = socket.create_server(("127.0.0.1", 0))
    script = "exec 3<&%d; LISTEN_FDS=1 LISTEN_PID=$$ exec %s serve --model %s" % (listening.fileno(), PHA, model())
    p = subprocess.Popen(["sh", "-c", script], pass_fds=[listening.fileno()], env={**os.environ, "NOTIFY_SOCKET": path},
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert told.recv(100) == b"READY=1"
    port = listening.getsockname()[1]
    listening.close()
    s = object.__new__(Server)
    s.port, s.key = port, None
    assert s.get("/health").status == 200
    p.terminate()
    assert told.recv(100) == b"STOPPING=1" and p.wait(20) == 0
    told.close()


def passed_sockets():
    """One that other machines reach needs keys, whoever opened it, and by whatever name it goes."""
    for address, family, alone in (("0.0.0.0", socket.AF_INET, False), ("::", socket.AF_INET6, False),
                                   ("127.0.0.2", socket.AF_INET, True), ("::1", socket.AF_INET6, True)):
        try:
            listening = socket.create_server((address, 0), family=family)
        except OSError:
            continue  # a machine without IPv6
        for more in ([], ["--insecure"]):
            script = "exec 3<&%d; LISTEN_FDS=1 LISTEN_PID=$$ exec %s serve --model %s %s" % (
                listening.fileno(), PHA, model(), " ".join(more))
            p = subprocess.Popen(["sh", "-c", script], pass_fds=[listening.fileno()], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
            if alone or more:
                assert "/v1" in p.stdout.readline(), address
                p.terminate()
                assert p.wait(20) == 0
            else:
                assert p.wait(20) != 0 and "--api-key-file" in p.stderr.read(), address
            p.stdout.close(), p.stderr.close()
        listening.close()


def under_systemd():
    """The files that are installed, and the server behind what opens sockets for systemd's services."""
    example = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/serve")
    if shutil.which("systemd-analyze"):
        for name in ("pha.service", "pha.socket"):
            with open(os.path.join(example, name)) as f, open(os.path.join(lab.ROOT, name), "w") as to:
                to.write(f.read().replace("/usr/local/bin/pha", PHA))
        r = subprocess.run(["systemd-analyze", "verify", "./pha.service", "./pha.socket"], cwd=lab.ROOT, text=True,
                           capture_output=True)
        assert r.returncode == 0 and "pha." not in r.stderr, r.stderr
    tool = shutil.which("systemd-socket-activate")
    if not tool:
        print("systemd-socket-activate is not here: left out")
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        s = object.__new__(Server)
        s.port, s.key = free.getsockname()[1], None
    p = subprocess.Popen([tool, "-l", "127.0.0.1:%d" % s.port, PHA, "serve", "--model", model()],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def listens():
        with socket.socket() as c:
            return c.connect_ex(("127.0.0.1", s.port)) == 0
    until(listens, "it listens")
    assert s.complete(prompt="a", max_tokens=2)["usage"]["completion_tokens"] <= 2  # waits until the model is there
    p.terminate()
    assert p.wait(20) == 0
    p.stdout.close()


if __name__ == "__main__":
    main([limits_of_fields, limits_of_bodies, the_table_itself, the_queue, seconds, slow_requests, connections, slow_readers, keys,
          odd_requests, the_log, cors, starts_and_stops, managers, passed_sockets, under_systemd])
