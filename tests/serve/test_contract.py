"""The requests that unmodified clients send, and what they read of the answers; numbers against `pha eval`."""
import math
import os
import shutil

import lab
from lab import END, Server, events, joined, main, model, npy_read, npy_write, run

server = None


def ids_of(text):
    return list(text.encode())


def eval_logprobs(rows):
    """Log-probabilities by `pha eval --logits`, in double: for each row a list of lists over the vocabulary."""
    tokens, logits = os.path.join(lab.ROOT, "t.npy"), os.path.join(lab.ROOT, "l.npy")
    npy_write(tokens, rows)
    run("eval", "--model", model(), "--tokens", tokens, "--logits", logits)
    (B, T, V), x = npy_read(logits)
    out = []
    for b in range(B):
        out.append([])
        for t in range(T):
            row = x[(b * T + t) * V:(b * T + t + 1) * V]
            top = max(row)
            total = top + math.log(sum(math.exp(y - top) for y in row))
            out[b].append([y - total for y in row])
    return out


# ---- the evaluation harness, local-completions ----------------------------------------------------------------

def harness_tokenizer():
    info = server.get("/tokenizer_info")
    assert info.status == 200 and info.json()["eos_token"] == "<|endoftext|>"
    assert set(info.json()) >= {"bos_token", "pad_token", "chat_template"} and info.json()["chat_template"]
    for path in ("/tokenize", "/v1/tokenize"):
        a = server.post(path, {"prompt": "test", "add_special_tokens": False})
        assert a.json()["tokens"] == ids_of("test") and a.json()["count"] == 4 and a.json()["max_model_len"] == 4096
        a = server.post(path, {"prompt": "<|endoftext|>", "add_special_tokens": False})
        assert a.json()["tokens"] == [END], a.body
    for path in ("/detokenize", "/v1/detokenize"):
        assert server.post(path, {"tokens": [84, 104, 101]}).json()["prompt"] == "The"
        assert server.post(path, {"tokens": [0xc3, 0xa9, 0xc3]}).json()["prompt"] == "\u00e9\ufffd"
        assert "300" in server.post(path, {"tokens": [300]}).error()["message"]


def scored(prompts, **more):
    body = {"model": "tiny", "prompt": prompts, "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234,
            "echo": True, **more}
    a = server.post("/v1/completions", body, headers={"Authorization": "Bearer "})  # an empty key, as it is sent
    assert a.status == 200, a.body
    return a


def harness_likelihoods():
    texts = ["The history of the", "a", "Question: what is it?\nAnswer: nothing at all", "b" * 300]
    answers = scored([ids_of(t) for t in texts]).json()
    assert [c["index"] for c in answers["choices"]] == [0, 1, 2, 3]
    for text, c in zip(texts, answers["choices"]):
        ids, p = ids_of(text), c["logprobs"]
        assert all(len(p[key]) == len(ids) + 1 for key in p), "prompt and one token that was generated"
        assert p["token_logprobs"][0] is None and p["top_logprobs"][0] is None
        want = eval_logprobs([ids])[0]
        for i in range(1, len(ids)):
            assert abs(p["token_logprobs"][i] - want[i - 1][ids[i]]) < 1e-9
            assert abs(max(p["top_logprobs"][i].values()) - max(want[i - 1])) < 1e-9
        for i in range(1, len(ids) + 1):  # "greedy" is equality with the largest of the map
            top = p["top_logprobs"][i]
            assert p["token_logprobs"][i] in top.values() and len(top) <= 2
        greedy = max(range(257), key=lambda k: want[-1][k])
        assert abs(p["token_logprobs"][-1] - want[-1][greedy]) < 1e-9
    for text, c in zip(texts, answers["choices"]):  # beside others, alone, as text: the same numbers to the bit
        alone = scored([ids_of(text)]).json()["choices"][0]
        assert alone["logprobs"] == c["logprobs"] and alone["text"] == c["text"]
        assert scored(text).json()["choices"][0]["logprobs"] == c["logprobs"]
        assert scored(ids_of(text)).json()["choices"][0]["logprobs"] == c["logprobs"]


def harness_rolling():
    ids = [END] + ids_of("perplexity of a text")
    p = scored([ids]).json()["choices"][0]["logprobs"]
    want = eval_logprobs([ids])[0]
    got = sum(p["token_logprobs"][1:-1])
    assert abs(got - sum(want[i][ids[i + 1]] for i in range(len(ids) - 1))) < 1e-8


def harness_generation():
    body = {"prompt": [ids_of("The ")], "model": "tiny", "max_tokens": 8, "temperature": 0.0,
            "stop": ["\n", "Q:", "<|endoftext|>"], "seed": 1234}
    c = server.complete(**body)["choices"]
    want = run("generate", "--model", model(), "--prompt", "The ", "--max-tokens", "8", "--temperature", "0",
               "--stop", "\n", "--quiet").decode("utf-8", "replace")
    assert len(c) == 1 and c[0]["index"] == 0 and c[0]["logprobs"] is None
    assert c[0]["text"] + "\n" == want, (c[0]["text"], want)


def scoring_only():
    p = scored([ids_of("abc"), ids_of("d")], max_tokens=0).json()
    assert [c["text"] for c in p["choices"]] == ["abc", "d"]
    assert [len(c["logprobs"]["tokens"]) for c in p["choices"]] == [3, 1]
    assert p["usage"]["completion_tokens"] == 0 and p["usage"]["prompt_tokens"] == 4
    assert [c["finish_reason"] for c in p["choices"]] == ["length", "length"]
    assert server.complete(prompt="abc", max_tokens=0)["choices"][0]["text"] == ""


def the_end_token():
    # forced, so that it is what comes
    c = server.complete(prompt="abc", max_tokens=1, logprobs=1, echo=True, logit_bias={"256": 100})["choices"][0]
    assert c["text"] == "abc" and c["finish_reason"] == "stop" and len(c["logprobs"]["tokens"]) == 4
    assert c["logprobs"]["tokens"][3] == "<|endoftext|>"
    c = server.complete(prompt="abc", max_tokens=2, logit_bias={"256": 100}, ignore_eos=True)["choices"][0]
    assert c["text"] == "<|endoftext|>" * 2 and c["finish_reason"] == "length"


# ---- the client library ---------------------------------------------------------------------------------------

def models():
    a = server.get("/v1/models").json()
    assert a["object"] == "list" and a["data"][0]["id"] == "tiny" and a["data"][0]["owned_by"]
    assert server.get("/v1/models/tiny").json()["id"] == "tiny"
    e = server.get("/v1/models/other")
    assert e.status == 404 and e.error()["code"] == "model_not_found"
    assert server.post("/v1/embeddings", {"input": "a"}).status == 404
    assert "<title>pha</title>" in server.get("/").body.decode()


def names():
    """A model in a run folder has the name of the run, however its path is written."""
    place = os.path.join(lab.ROOT, "a-run")
    shutil.copytree(model(), os.path.join(place, "model"))
    for folder in ("a-run/model", "a-run/model/.", "a-run/../a-run/model/"):
        with Server(folder=folder) as s:
            assert s.get("/v1/models").json()["data"][0]["id"] == "a-run", folder


def all_fields():
    body = {"model": "tiny", "prompt": "Hi", "max_tokens": 4, "logprobs": 3, "echo": True, "n": 2, "stop": ["\n"],
            "seed": 7, "temperature": .5, "top_p": .9, "logit_bias": {"50": -100}, "user": "me", "top_k": 40,
            "min_p": .01, "repetition_penalty": 1.1, "presence_penalty": .1, "frequency_penalty": .1}
    a = server.complete(**body)
    assert a["object"] == "text_completion" and a["model"] == "tiny" and a["id"].startswith("cmpl-")
    assert [c["index"] for c in a["choices"]] == [0, 1] and a["pha"]["seed"] == 7
    assert a["choices"][0]["text"] != a["choices"][1]["text"]
    for c in a["choices"]:
        assert c["text"].startswith("Hi") and "2" not in c["text"]
        assert c["logprobs"]["text_offset"][:3] == [0, 1, 2]
        assert all(3 <= len(t) <= 4 for t in c["logprobs"]["top_logprobs"][1:])
    again = server.complete(**body)
    assert [c["text"] for c in again["choices"]] == [c["text"] for c in a["choices"]]
    one = server.complete(**{**body, "n": 1})
    assert one["choices"][0]["text"] == a["choices"][0]["text"]


def nulls_and_zeros():
    c = server.complete(prompt=["hi"], frequency_penalty=0, logprobs=None, max_tokens=256, n=1, presence_penalty=0,
                        seed=None, temperature=0.7, top_p=1, stop=None, best_of=1, suffix=None, echo=None)
    assert c["choices"][0]["logprobs"] is None and isinstance(c["pha"]["seed"], int)
    assert c["usage"]["completion_tokens"] <= 256
    assert server.complete(prompt="a", max_tokens=3.0, temperature=0, seed=5.0)["usage"]["completion_tokens"] == 3
    assert server.complete(prompt="a")["usage"]["completion_tokens"] <= 16
    assert server.complete(max_tokens=1, prompt="")["usage"]["prompt_tokens"] == 1  # the end token
    assert server.complete(max_tokens=1)["usage"]["prompt_tokens"] == 1
    assert server.complete(max_tokens=1, prompt=[])["usage"]["prompt_tokens"] == 1


def four_prompts():
    forms = ["ab", ["ab"], [97, 98], [[97, 98]]]
    texts = {server.complete(prompt=p, max_tokens=5, temperature=1, seed=3)["choices"][0]["text"] for p in forms}
    assert len(texts) == 1, texts
    c = server.complete(prompt=["a", "b"], n=2, max_tokens=3, seed=1)["choices"]
    assert [x["index"] for x in c] == [0, 1, 2, 3]
    b = server.complete(prompt="b", n=2, max_tokens=3, seed=1)["choices"]
    assert [x["text"] for x in c[2:]] == [x["text"] for x in b]
    assert server.complete(prompt="<|endoftext|>ab", max_tokens=1)["usage"]["prompt_tokens"] == 3


def streams():
    for more in ({}, {"n": 2, "prompt": ["a", "bc"]}, {"logprobs": 2}, {"logprobs": 0, "echo": True},
                 {"stop": ["e", "xyz", "\u00e9"]}, {"max_tokens": 0, "echo": True}, {"temperature": 2, "top_k": 0}):
        body = {"prompt": "The", "max_tokens": 40, "seed": 11, "temperature": 1, **more}
        a = server.post("/v1/completions", {**body, "stream": True, "stream_options": {"include_usage": True}})
        assert a.status == 200 and a.headers["Content-Type"] == "text/event-stream"
        whole, parts, last = server.complete(**body), joined(a.body), events(a.body)[-1]
        assert last["choices"] == [] and last["usage"] == whole["usage"], (last, whole["usage"])
        assert set(parts) == {c["index"] for c in whole["choices"]}
        for c in whole["choices"]:
            text, finish, logprobs = parts[c["index"]]
            assert (text, finish) == (c["text"], c["finish_reason"]), (text, c["text"])
            assert logprobs == (c["logprobs"] or {})
    assert all("usage" not in e for e in events(server.post("/v1/completions", {"prompt": "a", "stream": True}).body))


def stop_strings():
    text = server.complete(prompt="x", max_tokens=60, seed=5, temperature=1)["choices"][0]["text"]
    for at in range(3, 40, 6):
        stop = text[at:at + 2]
        if "\ufffd" in stop or stop in text[:at + 1]:
            continue
        c = server.complete(prompt="x", max_tokens=60, seed=5, temperature=1, stop=[stop], logprobs=0)["choices"][0]
        assert c["text"] == text[:text.index(stop)] and c["finish_reason"] == "stop", (c["text"], stop)
        offsets = c["logprobs"]["text_offset"]
        assert all(o < len(c["text"]) for o in offsets)
        stream = server.post("/v1/completions", {"prompt": "x", "max_tokens": 60, "seed": 5, "stop": stop,
                                                 "stream": True})
        assert joined(stream.body)[0][:2] == (c["text"], "stop")


def penalties_and_bias():
    c = server.complete(prompt="a", max_tokens=20, temperature=0, logit_bias={"98": 100})["choices"][0]
    assert c["text"] == "b" * 20
    for name in ("presence_penalty", "frequency_penalty"):
        for value, want in ((0, "bb"), (2, "bc")):
            c = server.complete(prompt="a", max_tokens=2, temperature=0, logit_bias={"98": 60, "99": 58.8},
                                **{name: value})["choices"][0]
            assert c["text"] == want, (name, value, c["text"])
    c = server.complete(prompt="a", max_tokens=12, temperature=1, logit_bias={"98": 100, "99": 99}, min_p=0.9)
    assert c["choices"][0]["text"] == "b" * 12
    e = server.post("/v1/completions", {"prompt": "a", "logit_bias": {"257": 1}})
    assert e.status == 400 and e.error()["param"] == "logit_bias"


def extremes():
    """What nobody asks for, and is allowed: an answer all the same."""
    for body in ({"repetition_penalty": 5e-324}, {"temperature": 5e-324}, {"top_p": 5e-324}, {"min_p": 1},
                 {"presence_penalty": -2, "frequency_penalty": -2, "temperature": 5e-324, "repetition_penalty": 5e-324}):
        for seed in range(5):
            a = server.complete(prompt="abc", max_tokens=20, seed=seed, ignore_eos=True, logprobs=2, **body)
            assert a["usage"]["completion_tokens"] == 20, (body, a)


def characters():
    # bytes that are no UTF-8, and a character of two tokens
    ids = [0xc3, 0xa9, 0xff, 0x61, 0xe2, 0x82, 0xac, 0xe2]
    c = server.complete(prompt=ids, max_tokens=0, echo=True, logprobs=1)["choices"][0]
    assert c["text"] == "\u00e9\ufffda\u20ac\ufffd"
    assert c["logprobs"]["text_offset"] == [0, 0, 1, 2, 3, 3, 3, 4]
    assert c["logprobs"]["tokens"][:4] == ["bytes:\\xc3", "bytes:\\xa9", "bytes:\\xff", "a"]
    a = server.post("/v1/completions", {"prompt": "a\u0000\ud83d\ude00\"\\\t", "echo": True, "max_tokens": 0})
    assert a.json()["choices"][0]["text"] == "a\u0000\U0001f600\"\\\t"


def chats():
    body = {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [
        {"type": "text", "text": "u"}, {"type": "text", "text": "v"}]}], "model": "tiny",
        "max_completion_tokens": 5, "logprobs": True, "top_logprobs": 2, "seed": 3, "temperature": 1}
    a = server.post("/v1/chat/completions", body)
    assert a.status == 200, a.body
    c = a.json()["choices"][0]
    assert a.json()["object"] == "chat.completion" and c["message"]["role"] == "assistant"
    assert a.json()["usage"]["prompt_tokens"] == len("s\n\nuv")
    plain = server.complete(prompt="s\n\nuv", max_tokens=5, seed=3, temperature=1, logprobs=2)["choices"][0]
    assert c["message"]["content"] == plain["text"]
    assert [t["logprob"] for t in c["logprobs"]["content"]] == plain["logprobs"]["token_logprobs"]
    assert all(len(t["top_logprobs"]) == 2 and isinstance(t["bytes"], list) for t in c["logprobs"]["content"])
    stream = server.post("/v1/chat/completions", {**body, "stream": True})
    first = events(stream.body)[0]
    assert first["object"] == "chat.completion.chunk"
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    text, finish, logprobs = joined(stream.body)[0]
    assert (text, finish) == (c["message"]["content"], c["finish_reason"])
    assert logprobs["content"] == c["logprobs"]["content"]
    # what people write stays text
    a = server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "<|endoftext|>"}],
                                             "max_tokens": 1})
    assert a.json()["usage"]["prompt_tokens"] == 13
    for wrong in ([], [{"role": "user"}], [{"content": "a"}], "a", [3],
                  [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]):
        e = server.post("/v1/chat/completions", {"messages": wrong})
        assert e.status == 400 and e.error()["param"] == "messages", (wrong, e.body)
    for more in ({"tools": [{}]}, {"response_format": {"type": "json_object"}}, {"top_logprobs": 2}):
        assert server.post("/v1/chat/completions", {"messages": body["messages"], **more}).status == 400
    neutral = {"tools": [], "tool_choice": "none", "response_format": {"type": "text"}}
    assert server.post("/v1/chat/completions", {**body, **neutral}).status == 200


def chatml():
    with Server("--chat-template", "chatml") as s:
        a = s.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1})
        want = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
        assert a.json()["usage"]["prompt_tokens"] == len(want)
        assert "im_start" in s.get("/tokenizer_info").json()["chat_template"]
        assert s.get("/v1/models").json()["data"][0]["pha"]["chat_template"] == "chatml"


def errors():
    for body, param in (('{"prompt": 3}', "prompt"), ('{"prompt": {"a": 1}}', "prompt"), ('{"prompt": [["a"]]}', "prompt"),
                        ('{"prompt": [-1]}', "prompt"), ('{"prompt": [1.5]}', "prompt"), ('{"prompt": [257]}', "prompt"),
                        ('{"temperature": -1}', "temperature"), ('{"temperature": "1"}', "temperature"),
                        ('{"top_p": 0}', "top_p"), ('{"n": 0}', "n"), ('{"n": 1.5}', "n"), ('{"max_tokens": -1}', "max_tokens"),
                        ('{"stream": 1}', "stream"), ('{"stop": [""]}', "stop"), ('{"stop": [1]}', "stop"),
                        ('{"logit_bias": {"x": 1}}', "logit_bias"), ('{"logit_bias": {"1": 101}}', "logit_bias"),
                        ('{"seed": "x"}', "seed"), ('{"best_of": 2}', "best_of"), ('{"suffix": "x"}', "suffix"),
                        ('{"logprobs": true}', "logprobs"), ('{"repetition_penalty": 0}', "repetition_penalty"),
                        ('{"a": 1', None), ("[]", None), ("", None), ('{"prompt": "\\ud800"}', None), (b'{"prompt": "\xff"}', None),
                        ('{"n": 1, "n": 2}', None)):
        a = server.post("/v1/completions", body)
        if body == "":
            assert a.status == 200  # all fields have a default
            continue
        assert a.status == 400, (body, a.status, a.body)
        assert a.error()["param"] == param and a.error()["type"] == "invalid_request_error", (body, a.error())
        assert a.headers["Retry-After"] is None
    e = server.post("/v1/completions", {"model": "other", "prompt": "a"})
    assert e.status == 404 and e.error()["code"] == "model_not_found" and "tiny" in e.error()["message"]
    assert server.get("/v1/completions").status == 405
    a = server.post("/v1/models", {})
    assert a.status == 405 and a.headers["Allow"] == "GET" and a.error()["message"].endswith("takes GET, not POST")
    assert server.ask("HEAD", "/health").status == 200
    assert server.complete(prompt="a", max_tokens=1, some_new_field=1)
    assert server.complete(prompt="a", max_tokens=1, some_new_field=1)
    assert server.log().count("some_new_field") == 1


def openapi():
    a = server.get("/openapi.json").json()
    fields = a["paths"]["/v1/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    for name, schema in fields.items():  # a value of another type is refused by name, as the table says
        if name in ("user", "skip_special_tokens", "response_format"):  # ignored; of a shape of its own
            continue
        wrong = "x" if "object" in schema["type"] else {"x": 1}
        e = server.post("/v1/completions", {name: wrong})
        assert e.status == 400 and e.error()["param"] == name, (name, e.status, e.body)
        if "maximum" in schema:
            low = schema.get("minimum", schema.get("exclusiveMinimum"))
            assert server.post("/v1/completions", {name: schema["maximum"] * 2 + 1}).status == 400, name
            assert server.post("/v1/completions", {name: low - 1}).status == 400, name
    for path, methods in a["paths"].items():
        for method, about in methods.items():
            assert {"200", "401", "503"} <= set(about["responses"]), path
            answer = server.ask(method.upper(), path.replace("{id}", "x"), "{}" if method == "post" else None)
            assert str(answer.status) in about["responses"], (path, answer.status)


def reuse():
    """A prompt that begins as an earlier one is not read again, and says so; the answer is the same."""
    text = "".join(chr(97 + i * i % 26) for i in range(700))
    body = {"prompt": text, "max_tokens": 8, "seed": 1}
    with Server() as s, Server("--state-ram", "0") as plain:
        want = plain.complete(**body)
        assert want["pha"]["miss"] == "disabled" and want["pha"]["reused"] == 0
        first, second = s.complete(**body), s.complete(**body)
        assert first["pha"]["miss"] == "first_use" and first["pha"]["reused"] == 0
        assert second["pha"]["reused"] == 640 and second["pha"]["miss"] == "none", second["pha"]
        assert second["usage"]["prompt_tokens_details"]["cached_tokens"] == 640
        assert first["choices"] == second["choices"] == want["choices"]
        other = {**body, "prompt": text[:500] + "!" + text[501:]}
        a, b = s.complete(**other), plain.complete(**other)
        assert a["pha"]["miss"] == "differs" and a["pha"]["at"] == 500 and 0 < a["pha"]["reused"] <= 448, a["pha"]
        assert a["choices"] == b["choices"]
        scored = {**body, "echo": True, "logprobs": 1}
        a, b = s.complete(**scored), plain.complete(**scored)
        assert a["pha"]["miss"] == "scored" and a["pha"]["reused"] == 0 and a["choices"] == b["choices"]
        a = s.complete(prompt=[text, "short", text], max_tokens=1, n=2)
        assert a["usage"]["prompt_tokens_details"]["cached_tokens"] == 1280
        talk = [{"role": "user", "content": text}]
        a = s.post("/v1/chat/completions", {"messages": talk, "max_tokens": 100, "seed": 3, "ignore_eos": True}).json()
        talk += [{"role": "assistant", "content": "x"}, {"role": "user", "content": "and then?"}]
        b = s.post("/v1/chat/completions", {"messages": talk, "max_tokens": 5, "seed": 3}).json()
        assert b["pha"]["reused"] >= 640, b["pha"]
        assert s.metric("tokens_reused_total") > 640 * 4 and s.metric("misses_total{reason=\"differs\"}".replace(
            "{", "\\{").replace("}", "\\}")) >= 1


def keep_alive():
    c = server.connect()
    for _ in range(3):
        assert server.get("/health", connection=c).json() == {"status": "ok"}
        assert server.post("/v1/completions", {"prompt": "a", "max_tokens": 2}, connection=c).status == 200
        assert server.post("/v1/completions", {"prompt": "a", "stream": True}, connection=c).status == 200
        assert server.post("/v1/completions", {"n": 0}, connection=c).status == 400
    c.close()


def one_generation_at_a_time():
    with Server("--slots", "1", "--max-context", "256") as s:
        a = s.complete(prompt="a" * 250, max_tokens=100, seed=1)  # ends where the context is full
        assert a["usage"]["completion_tokens"] == 7 and a["choices"][0]["finish_reason"] == "length"
        assert s.complete(prompt="a" * 256, max_tokens=1, echo=True, logprobs=0)["usage"]["completion_tokens"] == 1
        e = s.post("/v1/completions", {"prompt": "a" * 257})
        assert e.status == 400 and e.error()["code"] == "context_length_exceeded"
        assert s.complete(prompt=["a", "b", "c"], n=3, max_tokens=3)["choices"][8]["index"] == 8


if __name__ == "__main__":
    with Server() as server:
        tests = [harness_tokenizer, harness_likelihoods, harness_rolling, harness_generation, scoring_only,
                 the_end_token, models, names, all_fields, nulls_and_zeros, four_prompts, streams, stop_strings,
                 penalties_and_bias, extremes, characters, chats, chatml, errors, openapi, reuse, keep_alive,
                 one_generation_at_a_time]
        main(tests)
