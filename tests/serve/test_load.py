"""The same request gets the same answer alone and under any load; who goes away takes nothing along.

PHA_SERVE_SECONDS=600 PHA_SERVE_CLIENTS=1000 makes the long run of it.
"""
import http.client
import json
import os
import random
import re
import resource
import statistics
import threading
import time

from lab import Server, joined, main, model, until

SECONDS = float(os.environ.get("PHA_SERVE_SECONDS", "6"))
CLIENTS = int(os.environ.get("PHA_SERVE_CLIENTS", "40"))


def bodies(n, seed):
    """Requests of every kind, the same for the same seed."""
    r = random.Random(seed)
    words = ["the ", "history ", "of ", "\u00e9t\u00e9 ", "a", "\n", "1, 2, 3 ", "<|endoftext|>", "zz"]
    out = []
    for i in range(n):
        prompt = "".join(r.choice(words) for _ in range(r.choice([0, 1, 5, 30, 120])))
        b = {"prompt": prompt, "max_tokens": r.choice([0, 1, 7, 30]), "seed": r.randrange(1 << 40),
             "temperature": r.choice([0, 0.7, 1, 3])}
        if r.random() < .3:
            b["logprobs"] = r.choice([0, 1, 5])
        if r.random() < .3:
            b["echo"] = True
        if r.random() < .2:
            b["n"] = r.choice([2, 3])
        if r.random() < .2:
            b["prompt"] = [prompt, "b" * r.randrange(1, 300)]
        if r.random() < .3:
            b["stop"] = r.choice([["e"], ["th", "\n"], "q"])
        if r.random() < .3:
            b.update(top_k=r.choice([1, 5, 50]), top_p=r.choice([0.5, 0.95]))
        if r.random() < .2:
            b.update(frequency_penalty=1, repetition_penalty=1.2)
        out.append(b)
    return out


def essence(answer):
    return {c["index"]: (c["text"], c["finish_reason"], {k: v for k, v in (c["logprobs"] or {}).items() if v})
            for c in answer["choices"]}


def slowly(answer):
    """Reads little at a time, with pauses."""
    parts = []
    while True:
        parts.append(answer.read(500))
        if not parts[-1]:
            return b"".join(parts)
        if len(parts) < 20:
            time.sleep(.03)


class Load:
    """Clients that ask, some of which go away in the middle or read slowly, until the time is over."""

    def __init__(self, server, wanted, seconds):
        self.server, self.wanted, self.end = server, wanted, time.monotonic() + seconds
        self.lock, self.answered, self.left, self.refused, self.wrong = threading.Lock(), 0, 0, 0, []

    def note(self, **more):
        with self.lock:
            for name, value in more.items():
                setattr(self, name, getattr(self, name) + value)

    def one(self, r, c):
        body, want = r.choice(self.wanted)
        stream, goes = r.random() < .5, r.random() < .3
        c.request("POST", "/v1/completions", json.dumps({**body, "stream": stream}))
        if goes:
            if r.random() < .5:
                time.sleep(r.random() * .05)
            if stream and r.random() < .5:
                c.getresponse().read(10)
            self.note(left=1)
            return False
        a = c.getresponse()
        text = slowly(a) if r.random() < .1 else a.read()
        if a.status in (429, 503):
            assert a.headers["Retry-After"]
            self.note(refused=1)
            time.sleep(.05)
            return True
        got = joined(text) if stream else essence(json.loads(text))
        if a.status != 200 or got != want:
            self.note(wrong=[(body, stream, a.status, got, want)])
        self.note(answered=1)
        return True

    def client(self, number):
        r = random.Random(number)
        c = None
        while time.monotonic() < self.end:
            c = c or self.server.connect()
            try:
                if not self.one(r, c):
                    c.close()
                    c = None
            except (http.client.HTTPException, OSError) as e:
                self.note(wrong=[repr(e)])
                c = None
        if c:
            c.close()

    def run(self, clients):
        threads = [threading.Thread(target=self.client, args=(i,)) for i in range(clients)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        return self


def status_of(server):
    with open("/proc/%d/status" % server.process.pid) as f:
        rows = dict(line.split(":", 1) for line in f)
    return int(rows["VmRSS"].split()[0]), len(os.listdir("/proc/%d/fd" % server.process.pid))


def same_under_load():
    slots, queue = ("7", "20") if CLIENTS < 200 else ("64", "4000")
    with Server("--max-context", "2048", "--slots", slots, "--limit", "queue=" + queue, "--limit", "connections=4000",
                "--state-ram", "20") as s:
        wanted = [(b, essence(s.complete(**b))) for b in bodies(60, 1)]
        for b, want in wanted:  # a stream has the same text
            a = s.post("/v1/completions", {**b, "stream": True})
            assert joined(a.body) == want, b
        Load(s, wanted, SECONDS / 3).run(CLIENTS)
        until(lambda: s.metric("running") == 0 and s.metric("waiting") == 0, "nothing is left")
        before = status_of(s)
        load = Load(s, wanted, SECONDS * 2 / 3).run(CLIENTS)
        until(lambda: s.metric("running") == 0 and s.metric("waiting") == 0, "nothing is left")
        after = status_of(s)
        assert not load.wrong, (len(load.wrong), load.wrong[0])
        print("        %d answered, %d went away, %d refused; %d kB, then %d kB" % (
            load.answered, load.left, load.refused, before[0], after[0]))
        assert load.answered > 20 and load.left > 5 and (load.refused > 0 or CLIENTS >= 200)
        until(lambda: status_of(s)[1] <= before[1] + 2, "descriptors are closed")
        with open("/proc/%d/maps" % s.process.pid) as f:
            keeps = re.search("lib[at]san", f.read())  # what was freed, to see its use
        assert keeps or after[0] < before[0] + 30000, "memory grows"
        assert s.metric("failed_total") == 0


def turns():
    """One who asks for much does not keep another from a slot: the other's wait is that of one sequence."""
    keys = os.path.join(os.path.dirname(model()), "two-keys")
    with open(keys, "w") as f:
        f.write("greedy:key-of-greedy\nmodest:key-of-modest\n")
    with Server("--slots", "2", "--api-key-file", keys, "--max-context", "4096") as s:
        s.key = "key-of-greedy"
        body = {"prompt": "a", "max_tokens": 1500, "ignore_eos": True}
        threads = [threading.Thread(target=s.post, args=("/v1/completions", body)) for _ in range(14)]
        for t in threads:
            t.start()
        until(lambda: s.metric("waiting") >= 10, "many wait")
        s.key = "key-of-modest"
        a = s.post("/v1/completions", {**body, "max_tokens": 20})
        s.key = "key-of-greedy"
        assert a.status == 200
        assert s.metric("waiting") >= 6, "the others still wait"
        for t in threads:
            t.join()


def long_prompts_between():
    """While long prompts are read, sequences that decode go on."""
    with Server("--max-context", "8000", "--slots", "4", "--limit", "slow=60") as s:
        times = []

        def stream():
            c = s.connect()
            c.request("POST", "/v1/completions", json.dumps({"prompt": "a", "max_tokens": 300, "stream": True,
                                                             "ignore_eos": True, "logit_bias": {"98": 100}}))
            a = c.getresponse()
            while a.readline():
                times.append(time.monotonic())
            c.close()
        t = threading.Thread(target=stream)
        t.start()
        until(lambda: len(times) > 20, "it streams")
        s.complete(prompt="x" * 6000, max_tokens=1)
        after = len(times)
        t.join()
        assert after > 40, "tokens came while the prompt was read: %d" % after
        gaps = [b - a for a, b in zip(times, times[1:])]
        print("        between tokens: median %.4f s, longest %.4f s" % (statistics.median(gaps), max(gaps)))


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    main([same_under_load, turns, long_prompts_between])
