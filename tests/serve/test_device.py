"""`pha serve --device cuda`, on an emulated card: answers near those of the processor, and the same texts alone, beside others
and behind what was known. Log-probabilities may differ in the last digits there, as products of few rows and of many do.

PHA_CUDA_PLUGIN and PHA_CUBLASLT name the emulated card and its products (ctest sets them); without them it is skipped (77).
"""
import os
import sys

import lab
from lab import Server, main, until
from test_load import Load, bodies, essence

OPTIONS = ("--device", "cuda", "--max-context", "1024", "--slots", "5", "--limit", "queue=1000", "--state-ram", "20")


def near_the_processor():
    ids = list(b"The history of the " * 12)
    body = {"prompt": [ids, ids[:70], ids[:1]], "max_tokens": 1, "logprobs": 2, "echo": True, "temperature": 0}
    with Server(*OPTIONS) as s, Server() as processor:
        got, want = s.complete(**body), processor.complete(**body)
        assert got["system_fingerprint"] and len(got["choices"]) == 3
        for a, b in zip(got["choices"], want["choices"]):
            for x, y in zip(a["logprobs"]["token_logprobs"][1:], b["logprobs"]["token_logprobs"][1:]):
                assert abs(x - y) < 1e-4, (x, y)
        body = dict(prompt="The ", max_tokens=30, temperature=0)
        assert s.complete(**body)["choices"] == processor.complete(**body)["choices"]


def alone_and_beside():
    with Server(*OPTIONS) as s:
        asked = [{**b, "logprobs": None} for b in bodies(12, 3)]
        wanted = [(b, essence(s.complete(**b))) for b in asked]
        load = Load(s, wanted, 4).run(6)
        until(lambda: s.metric("running") == 0 and s.metric("waiting") == 0, "nothing is left")
        assert not load.wrong and load.answered > 4, (load.answered, str(load.wrong[:1])[:2000])
        print("        %d answered, %d went away" % (load.answered, load.left))


def known_texts_and_states():
    text = "".join(chr(97 + i * i % 26) for i in range(600))
    body = {"prompt": text, "max_tokens": 8, "seed": 1}
    with Server(*OPTIONS) as s, Server(*OPTIONS, "--state-ram", "0") as plain:
        want = plain.complete(**body)["choices"]
        assert s.complete(**body)["choices"] == want
        again = s.complete(**body)
        assert again["choices"] == want and again["pha"]["reused"] >= 512, again["pha"]
        state = s.post("/v1/states", {"prompt": text}).json()["id"]
        for position in (599, 576, 300, 64):
            s.post("/v1/states/%s/rewind" % state, {"position": position})
            fork = s.post("/v1/states/%s/fork" % state, {}).json()["id"]
            got = s.complete(state=fork, prompt="x", max_tokens=6, seed=2)["choices"]
            assert got == plain.complete(prompt=text[:position] + "x", max_tokens=6, seed=2)["choices"], position


if __name__ == "__main__":
    if not os.environ.get("PHA_CUDA_PLUGIN"):
        print("skipped: PHA_CUDA_PLUGIN names no emulated card")
        lab.shutil.rmtree(lab.ROOT)
        sys.exit(77)
    main([near_the_processor, alone_and_beside, known_texts_and_states])
