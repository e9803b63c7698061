"""Named states: a text that goes on, forks and goes back is to the bit what it would be if it were sent whole."""
import json
import os
import threading

import lab
from lab import END, Server, joined, main, model, until

server = None


def make(s, **body):
    a = s.post("/v1/states", body)
    assert a.status == 200, a.body
    return a.json()["id"]


def info(s, state):
    a = s.get("/v1/states/" + state)
    assert a.status == 200, a.body
    return a.json()


def tokens(s, state):
    a = s.get("/v1/states/%s/export" % state)
    assert a.status == 200, a.body
    return a.json()["tokens"]


def same(s, state, plain, **more):
    """The state goes on as a prompt of its tokens does on a server that keeps nothing."""
    before = tokens(s, state)
    body = {"max_tokens": 3, "temperature": 0.9, "seed": 5, "logprobs": 4, "ignore_eos": True, **more}
    extra = list(more.get("prompt", "").encode())
    a = s.complete(**{**body, "state": state})
    b = plain.complete(**{**body, "prompt": before + extra})
    assert a["choices"] == b["choices"], (a, b)
    assert a["usage"]["prompt_tokens"] == len(before) + len(extra)
    made = tokens(s, state)
    assert made[:len(before) + len(extra)] == before + extra and len(made) == len(before) + len(extra) + 3
    assert a["pha"]["state"] == state and a["pha"]["state_tokens"] == len(made)
    return a


def rewinds():
    """To each of many positions of a text, and on from there."""
    text = "".join(chr(97 + i * i % 26) for i in range(400))
    with Server() as s, Server("--state-ram", "0") as plain:
        whole = make(s, prompt=text)
        s.complete(state=whole, max_tokens=40, seed=1, ignore_eos=True)
        n = info(s, whole)["tokens"]
        assert n == 440
        for position in list(range(n, 0, -7)) + [0]:
            a = s.post("/v1/states/%s/rewind" % whole, {"position": position})
            assert a.status == 200 and a.json()["tokens"] == position
            fork = s.post("/v1/states/%s/fork" % whole, {}).json()["id"]
            if position:
                reused = same(s, fork, plain)["pha"]["reused"]
                assert position < 330 or reused >= 256  # and none of it was read again from the start
            assert s.ask("DELETE", "/v1/states/" + fork).json()["deleted"]
            assert info(s, whole)["tokens"] == position  # a fork is another text
        assert s.complete(state=whole, prompt="x", max_tokens=0)["pha"]["state_tokens"] == 1


def goes_on():
    with Server("--state-ram", "0") as plain:
        state = make(server)
        assert info(server, state) == {**info(server, state), "object": "pha.state", "tokens": 0, "busy": False}
        same(server, state, plain, prompt="The history of ")
        same(server, state, plain, prompt=" and then ")
        same(server, state, plain)
        fork = server.post("/v1/states/%s/fork" % state, {"position": 9}).json()
        assert fork["tokens"] == 9 and fork["id"] != state and tokens(server, fork["id"]) == tokens(server, state)[:9]
        same(server, fork["id"], plain, prompt="!")
        # A stream, and a chat.
        before = tokens(server, state)
        a = server.post("/v1/completions", {"state": state, "prompt": "a", "stream": True, "seed": 2, "max_tokens": 4,
                                            "ignore_eos": True})
        b = plain.complete(prompt=before + [97], seed=2, max_tokens=4, ignore_eos=True)
        assert joined(a.body)[0][0] == b["choices"][0]["text"]
        assert len(tokens(server, state)) == len(before) + 5
        before = tokens(server, state)
        talk = {"messages": [{"role": "user", "content": "hello"}], "seed": 2, "max_tokens": 4, "ignore_eos": True}
        a = server.post("/v1/chat/completions", {**talk, "state": state})
        b = plain.complete(prompt=before + list(b"hello"), seed=2, max_tokens=4, ignore_eos=True)
        assert a.json()["choices"][0]["message"]["content"] == b["choices"][0]["text"]
        for id in (state, fork["id"]):
            server.ask("DELETE", "/v1/states/" + id)


def where_a_text_ends():
    """What ended a text is not of it: neither the token of the end nor a stop string."""
    state = make(server, prompt="a")
    a = server.complete(state=state, logit_bias={str(END): 100}, max_tokens=5)
    assert a["choices"][0]["finish_reason"] == "stop" and tokens(server, state) == [97]
    force = {"logit_bias": {str(ord("b")): 100}, "temperature": 0}
    server.complete(state=state, stop=["bbb"], max_tokens=9, **force)
    assert tokens(server, state) == [97]
    server.complete(state=state, stop=["bbbb"], max_tokens=3, **force)
    assert tokens(server, state) == [97, 98, 98, 98]
    server.complete(state=state, max_tokens=1, logit_bias={str(END): 100}, ignore_eos=True)
    assert tokens(server, state) == [97, 98, 98, 98, END]
    server.ask("DELETE", "/v1/states/" + state)


def out_and_in():
    state = make(server, prompt="to be taken along")
    out = server.get("/v1/states/%s/export" % state).body
    with Server("--weights", "fp32") as other:  # another process, with nothing in memory
        a = other.ask("PUT", "/v1/states/mine", out)
        assert a.status == 200 and a.json()["id"] == "mine" and a.json()["tokens"] == 17, a.body
        same(other, "mine", server, prompt=" and on")
        a = other.ask("PUT", "/v1/states/mine", out)  # in the place of what was there
        assert a.json()["tokens"] == 17 and other.get("/v1/states").json()["data"] == [a.json()]
    with Server(folder=model("another", d_model=48)) as other:
        a = other.ask("PUT", "/v1/states/mine", out)
        assert a.status == 400 and a.error()["param"] == "fingerprint"
        assert other.get("/v1/states").json()["data"] == []
        assert other.ask("PUT", "/v1/states/mine", {"tokens": json.loads(out)["tokens"]}).status == 200
    for body, param in (({}, "tokens"), ({"tokens": "x"}, "tokens"), ({"tokens": [1, -1]}, "tokens"),
                        ({"tokens": [9999]}, "prompt"), ({"tokens": [1], "fingerprint": 3}, "fingerprint"),
                        ({"tokens": [1] * 4097}, "prompt")):
        a = server.ask("PUT", "/v1/states/bad", body)
        assert a.status == 400 and a.error()["param"] == param, (body, a.body)
    for name in ("a.b", "a%2fb", "x" * 65, "%c3%a9"):
        assert server.ask("PUT", "/v1/states/" + name, {"tokens": [1]}).status in (400, 404), name
    assert server.ask("PUT", "/v1/states/" + "x" * 64, {"tokens": []}).status == 200
    for a in server.get("/v1/states").json()["data"]:
        server.ask("DELETE", "/v1/states/" + a["id"])


def errors():
    state = make(server, prompt="abc")

    def refused(status, param, method, path, body=None):
        a = server.ask(method, path, body)
        assert a.status == status and a.error()["param"] == param, (path, a.status, a.body)
    for method, path, body in (("GET", "/v1/states/none", None), ("DELETE", "/v1/states/none", None),
                               ("GET", "/v1/states/none/export", None), ("POST", "/v1/states/none/fork", {}),
                               ("POST", "/v1/states/none/rewind", {"position": 0}),
                               ("POST", "/v1/completions", {"state": "none"}),
                               ("POST", "/v1/completions", {"state": ""})):
        refused(404, "state", method, path, body)
    here = "/v1/states/" + state
    refused(400, "position", "POST", here + "/rewind", {})
    refused(400, "position", "POST", here + "/rewind", {"position": 4})
    refused(400, "position", "POST", here + "/rewind", {"position": -1})
    refused(400, "position", "POST", here + "/rewind", {"position": 1.5})
    refused(400, "position", "POST", here + "/fork", {"position": 4})
    refused(400, "prompt", "POST", "/v1/states", {"prompt": ["a", "b"]})
    refused(400, "prompt", "POST", "/v1/states", {"prompt": [99999]})
    refused(400, "n", "POST", "/v1/completions", {"state": state, "n": 2})
    refused(400, "prompt", "POST", "/v1/completions", {"state": state, "prompt": ["a", "b"]})
    refused(400, "echo", "POST", "/v1/completions", {"state": state, "echo": True})
    refused(400, "logprobs", "POST", "/v1/completions", {"state": state, "logprobs": 999})
    refused(400, "logit_bias", "POST", "/v1/completions", {"state": state, "logit_bias": {"99999": 1}})
    refused(400, "prompt", "POST", "/v1/completions", {"state": state, "prompt": "x" * 4094})
    assert server.ask("PATCH", here).status == 405
    assert info(server, state) == {**info(server, state), "tokens": 3, "busy": False}  # and it is nobody's
    server.ask("DELETE", here)


def one_at_a_time():
    """While a request goes on with a state nobody else does; if it fails or its client leaves, nothing has changed."""
    with Server("--max-context", "100000", "--limit", "seconds=2") as s:
        state = make(s, prompt="abc")
        long = {"state": state, "max_tokens": 90000, "stream": True, "ignore_eos": True}
        c = s.connect()
        c.request("POST", "/v1/completions", json.dumps(long))
        until(lambda: s.metric("running") == 1, "it runs")
        assert info(s, state)["busy"]
        for method, path, body in (("POST", "/v1/completions", {"state": state}), ("DELETE", "", None),
                                   ("POST", "/rewind", {"position": 0}), ("PUT", "", {"tokens": [1]})):
            a = s.ask(method, path if "/v1" in path else "/v1/states/" + state + path, body)
            assert a.status == 409 and a.error()["param"] == "state", (method, path, a.body)
        fork = s.post("/v1/states/%s/fork" % state, {})
        assert fork.status == 200 and fork.json()["tokens"] == 3
        c.sock.close(), c.close()
        until(lambda: not info(s, state)["busy"], "it is free again")
        assert tokens(s, state) == [97, 98, 99]
        assert s.post("/v1/completions", {**long, "stream": False}).status == 504
        assert tokens(s, state) == [97, 98, 99] and not info(s, state)["busy"]
        # Many at once: each of those that got in has added its own.
        added = []

        def add():
            a = s.post("/v1/completions", {"state": state, "prompt": "x", "max_tokens": 1, "ignore_eos": True})
            assert a.status in (200, 409)
            added.append(a.status == 200)
        threads = [threading.Thread(target=add) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(added) == 8 and len(tokens(s, state)) == 3 + 2 * sum(added) and sum(added) >= 1


def tenants():
    keys = os.path.join(lab.ROOT, "keys")
    with open(keys, "w") as f:
        f.write("ann:secret-of-ann\nbob:secret-of-bob\n")
    with Server("--api-key-file", keys, "--limit", "states=2", "--limit", "all_states=3") as s:
        s.key = "secret-of-ann"
        state = make(s, prompt="mine")
        s.ask("PUT", "/v1/states/name", {"tokens": [1]})
        assert s.post("/v1/states", {}).status == 400
        s.key = "secret-of-bob"
        assert s.get("/v1/states").json()["data"] == []
        for path in ("/v1/states/" + state, "/v1/states/%s/export" % state):
            assert s.get(path).status == 404
        assert s.ask("DELETE", "/v1/states/" + state).status == 404
        assert s.post("/v1/completions", {"state": state}).status == 404
        assert s.ask("PUT", "/v1/states/name", {"tokens": [2, 3]}).status == 200  # a name of one's own
        a = s.post("/v1/states", {})
        assert a.status == 400 and "holds 3 states" in a.error()["message"]
        s.key = "secret-of-ann"
        assert tokens(s, "name") == [1] and len(s.get("/v1/states").json()["data"]) == 2


def limits():
    with Server("--limit", "states=3", "--limit", "state_tokens=64") as s:
        for _ in range(3):
            state = make(s)
        a = s.post("/v1/states", {})
        assert a.status == 400 and a.error()["param"] == "state"
        assert s.post("/v1/states/%s/fork" % state, {}).status == 400
        assert s.ask("PUT", "/v1/states/new", {"tokens": []}).status == 400
        for n, status in ((63, 200), (64, 200), (65, 400)):
            assert s.ask("PUT", "/v1/states/" + state, {"tokens": [1] * n}).status == status, n
        assert s.ask("PUT", "/v1/states/" + state, {"tokens": [1] * 50}).status == 200
        body = {"state": state, "prompt": "x" * 10, "ignore_eos": True}
        for n, status in ((5, 400), (4, 200)):
            a = s.post("/v1/completions", {**body, "max_tokens": n})
            assert a.status == status, (n, a.body)
        assert info(s, state)["tokens"] == 64
        assert s.post("/v1/completions", {"state": state, "max_tokens": 0}).status == 200
        s.post("/v1/states/%s/rewind" % state, {"position": 1})
        assert s.post("/v1/completions", {"state": state, "max_tokens": 62, "ignore_eos": True}).status == 200
    with Server("--limit", "state_tokens=100000", "--max-context", "100000") as s:  # what may still come counts
        a, b = make(s), make(s)
        c = s.connect()
        c.request("POST", "/v1/completions", json.dumps({"state": a, "prompt": "x", "max_tokens": 99000, "stream": True,
                                                         "ignore_eos": True}))
        until(lambda: s.metric("running") == 1, "it runs")
        assert s.ask("PUT", "/v1/states/" + b, {"tokens": [1] * 999}).status == 200
        assert s.ask("PUT", "/v1/states/" + b, {"tokens": [1] * 1000}).status == 400
        c.sock.close(), c.close()
        until(lambda: not info(s, a)["busy"], "it is free again")
        assert s.ask("PUT", "/v1/states/" + b, {"tokens": [1] * 1000}).status == 200


if __name__ == "__main__":
    with Server() as server:
        main([goes_on, rewinds, where_a_text_ends, out_and_in, errors, one_at_a_time, tenants, limits])
