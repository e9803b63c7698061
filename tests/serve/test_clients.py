"""Unmodified clients: the openai package, LangChain, the Language Model Evaluation Harness, schemathesis.

    python3 -m venv v && v/bin/pip install openai langchain-openai 'lm_eval[api]' schemathesis
    PHA_CLIENTS_PYTHON=v/bin/python test_clients.py PHA [TEST ...]

The harness scores a choice, a rolling and a generation task, and its numbers are those of `pha eval` and `pha generate` to
1e-6. Without the packages it is skipped (77); PHA_CLIENTS_PYTHON names a Python that has them. PHA_FUZZ_EXAMPLES [20] is how
many requests schemathesis makes up for each route.
"""
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys

EXAMPLES = os.environ.get("PHA_FUZZ_EXAMPLES", "20")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import python as support  # noqa: E402

try:
    import langchain_openai
    import lm_eval  # noqa: F401
    import lm_eval.utils as harness
    import openai
    import schemathesis  # noqa: F401
except ImportError as missing:
    support.elsewhere(missing, "PHA_CLIENTS_PYTHON")

import lab  # noqa: E402
from lab import END, Server, main, model, npy_read, npy_write, run  # noqa: E402

os.environ.update(HF_HOME=os.path.join(lab.ROOT, "home"), HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1")
for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
    os.environ.pop(name, None)


def plain(s, **body):
    return s.complete(model="tiny", **body)


# ---- the client library -------------------------------------------------------------------------------------------

def openai_package():
    with Server() as s:
        c = openai.OpenAI(base_url="http://127.0.0.1:%d/v1" % s.port, api_key="any", max_retries=0)
        assert [m.id for m in c.models.list().data] == ["tiny"] and c.models.retrieve("tiny").owned_by == "pha"
        body = dict(prompt="Hi", max_tokens=4, logprobs=3, echo=True, n=2, stop=["\n"], seed=7, temperature=.5, top_p=.9,
                    logit_bias={"50": -100})
        a, want = c.completions.create(model="tiny", **body), plain(s, **body)
        assert [(x.text, x.logprobs.token_logprobs, x.finish_reason) for x in a.choices] == \
            [(x["text"], x["logprobs"]["token_logprobs"], x["finish_reason"]) for x in want["choices"]]
        assert a.usage.total_tokens == want["usage"]["total_tokens"]
        a = c.completions.create(model="tiny", prompt=[[1, 2], [3]], max_tokens=0, echo=True, logprobs=1)
        assert [len(x.logprobs.tokens) for x in a.choices] == [2, 1]
        body = dict(prompt="the history", max_tokens=30, seed=3)
        parts = list(c.completions.create(model="tiny", stream=True, stream_options={"include_usage": True}, **body))
        text = "".join(x.text for e in parts for x in e.choices)
        assert text == plain(s, **body)["choices"][0]["text"] and parts[-1].usage.completion_tokens == 30
        say = [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]
        a = c.chat.completions.create(model="tiny", messages=say, logprobs=True, top_logprobs=2, max_completion_tokens=5, seed=1,
                                      extra_body={"top_k": 4, "min_p": .1})
        assert len(a.choices[0].logprobs.content) == 5 and len(a.choices[0].logprobs.content[0].top_logprobs) == 2
        more = dict(model="tiny", messages=say, max_tokens=20, seed=5)
        whole = c.chat.completions.create(**more).choices[0].message.content
        parts = list(c.chat.completions.create(stream=True, **more))
        assert "".join(p.choices[0].delta.content or "" for p in parts) == whole and parts[0].choices[0].delta.role == "assistant"
        for call, kind in ((lambda: c.embeddings.create(model="tiny", input="a"), openai.NotFoundError),
                           (lambda: c.completions.create(model="other", prompt="a"), openai.NotFoundError),
                           (lambda: c.completions.create(model="tiny", prompt="a", n=0), openai.BadRequestError)):
            try:
                call()
                raise AssertionError("no error")
            except kind as e:
                assert e.body["message"] and e.body["type"] in ("not_found_error", "invalid_request_error"), e.body


def langchain():
    with Server("--chat-template", "chatml") as s:
        at = dict(base_url="http://127.0.0.1:%d/v1" % s.port, api_key="any", model="tiny", seed=1)
        llm = langchain_openai.OpenAI(**at)
        want = plain(s, prompt="hi", max_tokens=256, seed=1, temperature=0.7)["choices"][0]["text"]
        assert llm.invoke("hi") == want and "".join(llm.stream("hi")) == want
        assert llm.batch(["hi", "ho"])[0] == want
        chat = langchain_openai.ChatOpenAI(max_tokens=20, temperature=1, **at)
        a = chat.invoke([("system", "be brief"), ("user", "hi")])
        want = s.post("/v1/chat/completions", {"messages": [{"role": "system", "content": "be brief"},
                                                            {"role": "user", "content": "hi"}], "max_tokens": 20, "seed": 1})
        assert a.content == want.json()["choices"][0]["message"]["content"] and a.usage_metadata["output_tokens"] == 20
        assert "".join(p.content for p in chat.stream([("system", "be brief"), ("user", "hi")])) == a.content


# ---- the evaluation harness ---------------------------------------------------------------------------------------

def lines(path, rows):
    with open(path, "w") as f:
        f.writelines(json.dumps(row) + "\n" for row in rows)


def make_tasks(folder):
    """Three tasks of local files, as their authors would write them; the answers of the last are what pha generates to the
    even questions. Returns the texts of the rolling one and the questions."""
    r = random.Random(1)
    words = "the cat sat on a red mat and it was blue or ran to see if".split()
    some = lambda low, high: " ".join(r.choice(words) for _ in range(r.randint(low, high)))  # noqa: E731
    os.makedirs(folder)
    lines(folder + "/choice.jsonl", [{"query": some(3, 9), "choices": [some(1, 5) for _ in range(4)], "gold": r.randrange(4)}
                                     for _ in range(40)])
    texts = [some(5, 60) for _ in range(6)]
    lines(folder + "/texts.jsonl", [{"text": t} for t in texts])
    questions = [some(3, 6) for _ in range(8)]
    answers = [run("generate", "--model", model(), "--prompt", q, "--max-tokens", "8", "--temperature", "0", "--stop", "\n",
                   "--quiet").decode("utf-8", "replace")[:-1] for q in questions]
    lines(folder + "/questions.jsonl", [{"q": q, "a": a if i % 2 == 0 else "no such answer"}
                                        for i, (q, a) in enumerate(zip(questions, answers))])
    for name, kind, file, rest in (
            ("choice", "multiple_choice", "choice", 'doc_to_text: "{{query}}"\ndoc_to_target: "{{gold}}"\ndoc_to_choice: '
             '"{{choices}}"\nmetric_list: [{metric: acc}, {metric: acc_norm}]'),
            ("rolling", "loglikelihood_rolling", "texts", 'doc_to_text: ""\ndoc_to_target: "{{text}}"\nmetric_list: '
             '[{metric: word_perplexity}, {metric: bits_per_byte}]'),
            ("generation", "generate_until", "questions", 'doc_to_text: "{{q}}"\ndoc_to_target: "{{a}}"\ngeneration_kwargs: '
             '{until: ["\\n"], max_gen_toks: 8}\nmetric_list: [{metric: exact_match}]')):
        with open("%s/%s.yaml" % (folder, name), "w") as f:
            f.write("task: pha_%s\ndataset_path: json\ndataset_kwargs: {data_files: {test: %s/%s.jsonl}}\noutput_type: %s\n"
                    "test_split: test\n%s\n" % (name, folder, file, kind, rest))
    return texts, questions, answers


def evaluate(s, kind, path, tasks, folder, out, *more, **arguments):
    """Runs the harness as a command; its results, and what it asked and got for each task."""
    where = dict(base_url="http://127.0.0.1:%d/v1/%s" % (s.port, path), model="tiny", **arguments)
    done = subprocess.run([sys.executable, "-m", "lm_eval", "run", "--model", kind, "--model_args",
                           ",".join("%s=%s" % a for a in where.items()), "--tasks", ",".join("pha_" + t for t in tasks),
                           "--include_path", folder, "--output_path", out, "--log_samples", *more],
                          cwd=lab.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    files = [os.path.join(d, f) for d, _, names in os.walk(out) for f in names]
    with open([f for f in files if "results_" in f][0]) as f:
        results = json.load(f)["results"]
    samples = {}
    for t in tasks:
        with open([f for f in files if "samples_pha_" + t in f][0]) as f:
            samples[t] = sorted((json.loads(line) for line in f), key=lambda x: x["doc_id"])
    return results, samples


def rolling_sum(text, longest):
    """The log-likelihood of a text in the harness's own windows, by `pha eval --logits`."""
    total, tokens, out = 0, os.path.join(lab.ROOT, "t.npy"), os.path.join(lab.ROOT, "l.npy")
    for context, wanted in map(harness.make_disjoint_window, harness.get_rolling_token_windows(
            token_list=list(text.encode()), prefix_token=END, max_seq_len=longest, context_len=1)):
        row = list(context) + list(wanted)
        npy_write(tokens, [row])
        run("eval", "--model", model(), "--tokens", tokens, "--logits", out)
        (_, _, V), x = npy_read(out)
        for i in range(len(context), len(row)):
            logits = x[(i - 1) * V:i * V]
            top = max(logits)
            total += logits[row[i]] - top - math.log(sum(math.exp(v - top) for v in logits))
    return total


def near(a, b):
    assert abs(a - b) <= 1e-6 * max(1, abs(b)), (a, b)


def harness_completions():
    folder, longest = os.path.join(lab.ROOT, "tasks"), 100
    texts, questions, answers = make_tasks(folder)
    scores = os.path.join(lab.ROOT, "scores.jsonl")
    about = json.loads(run("eval", "--model", model(), "--task", folder + "/choice.jsonl", "--scores", scores, "--json"))
    with open(scores) as f:
        wanted = [json.loads(line) for line in f]
    rolling = [rolling_sum(t, longest - 2) for t in texts]
    with Server() as s:
        for out, more, arguments in (("alone", (), {}), ("many", ("--batch_size", "3"), dict(num_concurrent=4))):
            results, samples = evaluate(s, "local-completions", "completions", ["choice", "rolling", "generation"], folder,
                                        os.path.join(lab.ROOT, out), *more, max_length=longest, **arguments)
            near(results["pha_choice"]["acc,none"], about["acc"])
            near(results["pha_choice"]["acc_norm,none"], about["acc_norm"])
            for got, want in zip(samples["choice"], wanted):
                for (value, greedy), ll, most in zip((g[0] for g in got["resps"]), want["ll"], want["greedy"]):
                    near(float(value), ll)
                    assert str(greedy) == str(bool(most)), (greedy, most)
            for got, want in zip(samples["rolling"], rolling):
                near(float(got["resps"][0][0]), want)
            near(results["pha_rolling"]["bits_per_byte,none"],
                 -sum(rolling) / sum(len(t.encode()) for t in texts) / math.log(2))
            near(results["pha_rolling"]["word_perplexity,none"],
                 math.exp(-sum(rolling) / sum(len(re.split(r"\s+", t)) for t in texts)))
            assert [g["resps"][0][0] for g in samples["generation"]] == answers
            near(results["pha_generation"]["exact_match,none"], sum(
                a == b["doc"]["a"] for a, b in zip(answers, samples["generation"])) / len(answers))
    shutil.rmtree(folder)


def harness_chats():
    folder = os.path.join(lab.ROOT, "chats")
    _, questions, answers = make_tasks(folder)
    with Server() as s:  # the plain form of one message is the message
        results, samples = evaluate(s, "local-chat-completions", "chat/completions", ["generation"], folder,
                                    os.path.join(lab.ROOT, "chat-out"), "--apply_chat_template")
        assert [g["resps"][0][0] for g in samples["generation"]] == answers
        near(results["pha_generation"]["exact_match,none"], sum(
            a == b["doc"]["a"] for a, b in zip(answers, samples["generation"])) / len(answers))


# ---- requests that are made up ------------------------------------------------------------------------------------

def made_up_requests():
    """No request makes the server fail, and no status comes that openapi.json does not tell of."""
    command = os.path.join(os.path.dirname(sys.executable), "schemathesis")
    runs, keys = os.path.join(lab.ROOT, "runs"), os.path.join(lab.ROOT, "made-up-keys")
    os.makedirs(runs + "/r")
    lines(runs + "/r/log.jsonl", [{"event": "step", "step": 1, "loss": 1.5}])
    with open(keys, "w") as f:
        f.write("ann:secret-of-ann\n")
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance," \
             "response_headers_conformance,unsupported_method"
    for options, more, also in ((("--runs", runs), (), ""),
                                (("--api-key-file", keys), ("--header", "Authorization: Bearer secret-of-ann"), ",ignored_auth")):
        with Server("--max-context", "64", "--limit", "values=5000", *options) as s:
            s.key = "secret-of-ann"
            done = subprocess.run([command, "run", "http://127.0.0.1:%d/openapi.json" % s.port, "--checks", checks + also,
                                   "--max-examples", EXAMPLES, "--seed", "1", "--request-timeout", "60", *more],
                                  cwd=lab.ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
            found = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", done.stdout)
            assert found and found.group(1) == found.group(2) == found.group(3) and int(found.group(1)) >= 26, done.stdout
            assert s.metric("failed_total") == 0
            print("        %s" % re.search(r"(\d+) generated", done.stdout).group(0))


if __name__ == "__main__":
    main([openai_package, langchain, harness_completions, harness_chats, made_up_requests])
