#!/usr/bin/env python3
"""Time between tokens of many streams that `pha serve` computes at once, as a client sees it.

    bench/serve.py build/pha MODEL [--streams 16] [--tokens 200] [--prompt 64] [--readers 0] [--rounds 2] [-- SERVER OPTIONS]

Each stream has a prompt of its own, and gets so many tokens. Only gaps while all streams run are counted, so a step has as
many rows as there are streams. --readers N: beside them N clients have prompts of 1,000 tokens read, one after another, each
for one token. One thread reads everything, so that the client takes little of the processors that it measures.

    bench/serve.py build/pha MODEL --streams 1,16 --rounds 3 --llama llama.cpp/build/bin/llama-server --gguf MODEL.gguf

compares with the server of llama.cpp over the same weights (`pha export --to gguf`), in turns: each round asks both, first one
stream, then sixteen, and at the end stand medians and ratios. Idle servers wait without work.
"""
import argparse
import json
import os
import random
import re
import selectors
import socket
import statistics
import subprocess
import sys
import time
import urllib.request


class Stream:
    def __init__(self, port, body):
        self.socket = socket.create_connection(("127.0.0.1", port))
        data = json.dumps(body).encode()
        self.socket.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        self.socket.setblocking(False)
        self.times, self.done = [], False

    def read(self):
        now = time.monotonic()
        data = self.socket.recv(1 << 16)
        self.times += [now] * data.count(b"data: {")
        if not data or b"[DONE]" in data or b'"error"' in data:
            self.done = True
            self.socket.close()


def prompt(n, vocabulary):
    return [random.randrange(vocabulary) for _ in range(n)]


def measure(port, o, streams, vocabulary):
    """Gaps between events while all streams run, and tokens a second: a token that is part of a character has no event of
    its own."""
    select = selectors.DefaultSelector()

    def start(n_prompt, n_tokens):
        s = Stream(port, {"prompt": prompt(n_prompt, vocabulary), "max_tokens": n_tokens, "stream": True,
                          "ignore_eos": True, "temperature": o.temperature, "top_k": 0, "top_p": 1, "min_p": 0})
        select.register(s.socket, selectors.EVENT_READ, s)
        return s

    streams = [start(o.prompt, o.tokens) for _ in range(streams)]
    readers = [start(1000, 1) for _ in range(o.readers)]
    n_read = 0
    while not all(s.done for s in streams):
        for key, _ in select.select():
            s = key.data
            was = s.socket
            s.read()
            if not s.done:
                continue
            select.unregister(was)
            if s in readers:
                n_read += not any(s.done for s in streams)
                readers[readers.index(s)] = start(1000, 1)
    began = max(s.times[0] for s in streams)
    ended = min(s.times[-1] for s in streams)
    for s in readers:
        select.unregister(s.socket)
        s.socket.close()
    gaps = sorted(b - a for s in streams for a, b in zip(s.times, s.times[1:]) if a >= began and b <= ended)
    events = sum(len(s.times) for s in streams)
    return gaps, n_read, len(gaps) * len(streams) * o.tokens / events / (ended - began)


def start_pha(o, slots, more):
    process = subprocess.Popen([o.pha, "serve", "--model", o.model, "--port", "0", "--quiet", "--slots", str(slots), *more],
                               stdout=subprocess.PIPE, text=True)
    return process, int(re.search(r":(\d+)/v1", process.stdout.readline()).group(1))


def start_llama(o, slots):
    """Its slots share the context, and it says nothing on stdout when it is ready."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    room = slots * (o.prompt + o.tokens + 64)
    process = subprocess.Popen([o.llama, "-m", o.gguf, "--port", str(port), "-np", str(slots), "-c", str(room), "-t",
                                str(len(os.sched_getaffinity(0))), *o.llama_options.split()],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        time.sleep(0.2)
        if process.poll() is not None:
            sys.exit("%s ended with %d" % (o.llama, process.returncode))
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d/health" % port):
                return process, port
        except OSError:
            pass


def tell(name, round, streams, gaps, n_read, speed):
    at = lambda q: 1e3 * gaps[min(len(gaps) - 1, int(q * len(gaps)))]
    print("%sround %d, %d streams: %.1f tokens/s; between tokens: median %.1f ms, 90 %% %.1f, 99 %% %.1f (%.2f times the "
          "median), longest %.1f; %d prompts were read beside" % (name, round, streams, speed, at(.5), at(.9),
                                                                  at(.99), at(.99) / max(at(.5), 1e-3), 1e3 * gaps[-1], n_read), flush=True)


def compare(found):
    """Medians over the rounds, and how many times as fast as with one stream, and as the other server."""
    middle = {key: statistics.median(v) for key, v in found.items()}
    for (name, streams), speed in middle.items():
        text = "%s%d streams: median %.1f tokens/s" % (name, streams, speed)
        if streams > 1 and (name, 1) in middle:
            text += ", %.2f times one stream" % (speed / middle[name, 1])
        if name == "pha: " and ("llama.cpp: ", streams) in middle:
            text += ", %.2f times llama.cpp" % (speed / middle["llama.cpp: ", streams])
        print(text)


def main():
    options = sys.argv[1:]
    more = options[options.index("--") + 1:] if "--" in options else []
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pha")
    p.add_argument("model")
    p.add_argument("--streams", default="16")
    for name, value in (("tokens", 200), ("prompt", 64), ("readers", 0), ("rounds", 2)):
        p.add_argument("--" + name, type=int, default=value)
    p.add_argument("--temperature", type=float, default=1)
    p.add_argument("--llama")
    p.add_argument("--gguf")
    p.add_argument("--llama-options", default="")
    o = p.parse_args(options[:options.index("--")] if "--" in options else options)
    if (o.llama is None) != (o.gguf is None):
        p.error("--llama and --gguf go together")
    random.seed(1)
    many = [int(n) for n in o.streams.split(",")]
    servers = {"pha: " if o.llama else "": start_pha(o, max(many) + o.readers, more)}
    found = {}
    try:
        if o.llama:
            servers["llama.cpp: "] = start_llama(o, max(many) + o.readers)
        for round in range(o.rounds):
            for streams in many:
                for name, (_, port) in servers.items():
                    gaps, n_read, speed = measure(port, o, streams, 250)
                    tell(name, round + 1, streams, gaps, n_read, speed)
                    found.setdefault((name, streams), []).append(speed)
                    time.sleep(0.5)
        compare(found)
    finally:
        for process, _ in servers.values():
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
