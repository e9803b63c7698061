#!/usr/bin/env python3
"""Time between tokens of many streams that `pha serve` computes at once, as a client sees it.

    bench/serve.py build/pha MODEL [--streams 16] [--tokens 200] [--prompt 64] [--readers 0] [--rounds 2] [-- SERVER OPTIONS]

Each stream has a prompt of its own, and gets so many tokens. Only gaps while all streams run are counted, so a step has as
many rows as there are streams. --readers N: beside them N clients have prompts of 1,000 tokens read, one after another, each
for one token. One thread reads everything, so that the client takes little of the processors that it measures.
"""
import argparse
import json
import random
import re
import selectors
import socket
import subprocess
import sys
import time


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


def measure(port, o, vocabulary):
    """Gaps between tokens while all streams run."""
    select = selectors.DefaultSelector()

    def start(n_prompt, n_tokens):
        s = Stream(port, {"prompt": prompt(n_prompt, vocabulary), "max_tokens": n_tokens, "stream": True,
                          "ignore_eos": True, "temperature": 1})
        select.register(s.socket, selectors.EVENT_READ, s)
        return s

    streams = [start(o.prompt, o.tokens) for _ in range(o.streams)]
    readers = [start(1000, 1) for _ in range(o.readers)]
    n_read = 0
    while not any(s.done for s in streams):
        for key, _ in select.select():
            s = key.data
            fd = s.socket
            if s.done:
                continue
            was = s.socket
            s.read()
            if not s.done:
                continue
            select.unregister(was)
            if s in readers:
                n_read += 1
                readers[readers.index(s)] = start(1000, 1)
    began = max(s.times[0] for s in streams)
    ended = min(s.times[-1] for s in streams)
    for s in streams + readers:
        if not s.done:
            select.unregister(s.socket)
            s.socket.close()
    gaps = sorted(b - a for s in streams for a, b in zip(s.times, s.times[1:]) if a >= began and b <= ended)
    return gaps, n_read, ended - began


def main():
    options = sys.argv[1:]
    server = options[options.index("--") + 1:] if "--" in options else []
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pha")
    p.add_argument("model")
    for name, value in (("streams", 16), ("tokens", 200), ("prompt", 64), ("readers", 0), ("rounds", 2)):
        p.add_argument("--" + name, type=int, default=value)
    o = p.parse_args(options[:options.index("--")] if "--" in options else options)
    random.seed(1)
    process = subprocess.Popen([o.pha, "serve", "--model", o.model, "--port", "0", "--quiet", "--slots",
                                str(o.streams + o.readers), *server], stdout=subprocess.PIPE, text=True)
    port = int(re.search(r":(\d+)/v1", process.stdout.readline()).group(1))
    try:
        for round in range(o.rounds):
            gaps, n_read, seconds = measure(port, o, 250)
            at = lambda q: 1e3 * gaps[min(len(gaps) - 1, int(q * len(gaps)))]
            print("round %d: %d gaps in %.1f s, median %.1f ms, 90 %% %.1f, 99 %% %.1f (%.2f times the median), "
                  "longest %.1f; %d prompts were read beside" % (round + 1, len(gaps), seconds, at(.5), at(.9), at(.99),
                                                                 at(.99) / at(.5), 1e3 * gaps[-1], n_read), flush=True)
            time.sleep(1)
    finally:
        process.terminate()
        process.wait()


main()
