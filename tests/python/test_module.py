"""The Python module over libpha: numbers are those of the command, failures are exceptions, callbacks come.

    test_module.py PHA LIBRARY        the sources, over a library just built; skipped (77) without NumPy
    test_module.py --installed        the module that this Python has
"""
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "support"))
import python as support  # noqa: E402

INSTALLED = sys.argv[1:2] == ["--installed"]
try:
    import numpy as np
except ImportError as missing:
    support.elsewhere(missing)

support.forget_options()
ROOT = tempfile.mkdtemp(prefix="pha-python-")
if not INSTALLED:
    shutil.copytree(os.path.join(TOP, "python", "pha"), os.path.join(ROOT, "module", "pha"))
    with open(os.path.join(ROOT, "module", "pha", "_headers.py"), "w") as f:
        subprocess.run([sys.executable, os.path.join(TOP, "python", "headers.py"), os.path.join(TOP, "include")],
                       check=True, stdout=f)
    sys.path.insert(0, os.path.join(ROOT, "module"))
    os.environ["PHA_LIBRARY"] = os.path.abspath(sys.argv[2])
    COMMAND = [os.path.abspath(sys.argv[1])]
else:
    COMMAND = [sys.executable, "-m", "pha"]
import pha  # noqa: E402
from pha import _headers  # noqa: E402

CONFIG = {"arch": "pha", "d_model": 32, "n_layer": 2, "n_head": 2, "n_kv_head": 1, "d_ffn": 64, "d_state": 32,
          "d_aux": 32}


def command(*arguments):
    return subprocess.run([*COMMAND, *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE).stdout


def path(name):
    return os.path.join(ROOT, name)


def model():
    folder = path("model")
    if not os.path.isdir(folder):
        with open(path("config.json"), "w") as f:
            json.dump(CONFIG, f)
        pha.init(path("config.json"), folder, tokenizer="bytes", seed=5)
    return pha.Model(folder)


def text_file(lines=600):
    with open(path("text.txt"), "w") as f:
        f.writelines(f"the cat number {i * 7 % 50} sees a dog by the river.\n" for i in range(lines))
    return path("text.txt")


def fails(status, part, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except pha.Error as e:
        assert e.status == status and part in str(e), (e.status, str(e))
        return
    raise AssertionError("did not fail")


def test_structs():
    """Sizes and places of all fields are those that a compiler sees."""
    cc = shutil.which(os.environ.get("CC", "cc"))
    if INSTALLED or not cc:
        return
    structs = {n: s for n, s in vars(_headers).items() if isinstance(s, type) and issubclass(s, ctypes.Structure)
               and n.startswith("pha_")}
    assert len(structs) > 25
    with open(path("sizes.c"), "w") as f:
        f.write('#include <stdio.h>\n#include "pha.h"\nint main(void) {\n')
        for name, s in structs.items():
            f.write(f'printf("{name} %zu\\n", sizeof({name}));\n')
            f.writelines(f'printf("{name}.{m} %zu\\n", offsetof({name}, {m}));\n' for m, _ in s._fields_)
        f.write("}\n")
    subprocess.run([cc, "-I", os.path.join(TOP, "include"), path("sizes.c"), "-o", path("sizes")], check=True)
    for line in subprocess.run([path("sizes")], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines():
        name, size = line.split()
        struct, _, member = name.partition(".")
        own = getattr(structs[struct], member).offset if member else ctypes.sizeof(structs[struct])
        assert own == int(size), (name, own, size)


def test_all_functions():
    """Each function of the headers is known, and nothing else."""
    if INSTALLED:
        return
    declared = set()
    for folder, _, names in os.walk(os.path.join(TOP, "include")):
        for name in names:
            with open(os.path.join(folder, name)) as f:
                declared |= set(re.findall(r"^PHA_API [^;]*?(pha_\w+)\(", f.read(), re.M))
    assert declared == set(_headers.FUNCTIONS), declared ^ set(_headers.FUNCTIONS)


def test_tokenizer():
    t = pha.Tokenizer("bytes")
    assert len(t) == 257 and t.end == 256
    text = "naïve\0 日本 <|endoftext|>"
    ids = t.encode(text)
    assert ids.dtype == np.int32 and t.decode(ids) == text and t.decode_bytes(ids) == text.encode()
    assert t.encode(text, special=True)[-1] == 256 and t.encode("").shape == (0,)
    assert t.decode(ids[:3]) == "na\ufffd"
    fails("bad_input", "", t.decode, [257])
    fails("io", "nowhere", pha.Tokenizer, path("nowhere"))
    t.close()
    try:
        t.encode("x")
        raise AssertionError("closed, and yet")
    except ValueError:
        pass


def test_session():
    m = model()
    assert (m.arch, m.vocab_size, m.n_layer) == ("pha", 257, 2) and m.parameters > 1000
    ids = m.tokenizer.encode("Some text that is read in two ways.")
    np.save(path("in.npy"), ids[None])
    command("eval", "--model", "model", "--tokens", "in.npy", "--logits", "out.npy")
    want = np.load(path("out.npy"))[0]
    with m.session(max_context=100) as s:
        all_at_once = s.score(ids)
        assert all_at_once.shape == (len(ids), 257) and all_at_once.dtype == np.float32
        assert np.array_equal(all_at_once, want)
        assert s.position == len(ids)
        s.reset()
        s.read(ids[:10])
        middle = s.feed(ids[10:20])
        assert np.array_equal(middle, want[19])
        other = s.fork()
        s.save(path("state"))
        s.feed(ids[20:])
        s.rewind(20)
        for one in (s, other):
            assert np.array_equal(one.feed(ids[20:21]), want[20])
        s.load(path("state"))
        assert s.position == 20 and s.state_bytes > 0
        fails("usage", "", s.read, np.zeros(200))
        other.close()
    s = m.session()
    m.close()  # and what hangs on it
    for used in (lambda: s.read([1]), lambda: m.session(), lambda: m.tokenizer):
        try:
            used()
            raise AssertionError("closed, and yet")
        except ValueError:
            pass
    m = model()
    fails("usage", "", m.session, max_context=-5)
    try:
        m.session(max_contxt=5)
        raise AssertionError("took it")
    except TypeError as e:
        assert "did you mean max_context" in str(e)
    fails("io", "nowhere", pha.Model, path("nowhere"))


def test_generate():
    m = model()
    want = json.loads(command("generate", "--model", "model", "--prompt", "It was", "--temperature", "0.9", "--top-k",
                              "20", "--seed", "4", "--max-tokens", "30", "--ignore-end", "--json", "--quiet"))
    options = dict(temperature=0.9, top_k=20, seed=4, max_tokens=30, ignore_end=True)
    pieces = []
    got = m.generate("It was", on_text=pieces.append, **options)
    assert got.tokens.tolist() == want["tokens"] and got.end == "max_tokens" and got.new_tokens == 30
    assert "".join(pieces) == got.text
    assert m.generate("It was", on_text=lambda t: False, **options).end == "callback"
    stop = got.text[3:5]
    assert m.generate("It was", stop=[stop], **options).text == got.text[:got.text.index(stop)]

    def raises(text):
        raise KeyError("mine")

    try:
        m.generate("It was", on_text=raises, **options)
        raise AssertionError("lost it")
    except KeyError:
        pass
    assert pha.generate(path("model"), "It was", **options) == got.text


def test_train():
    folder = pha.prepare(text_file(), out=path("data"), tokenizer="bytes", valid_fraction=0.1, test_fraction=-1)
    assert folder["train"]["tokens"] > 1000
    model()
    seen = []
    small = dict(config=path("config.json"), data=path("data"), context=32, batch=4, lr=3e-3, threads=1)
    result = pha.train(out=path("run"), steps=12, eval_tokens=500, progress=lambda p: seen.append(p.done), **small)
    assert result["steps"] == 12 and result["train_loss"] < 5.6 and seen
    again = pha.Trainer(**small)
    losses = [again.step()["loss"] for _ in range(3)]
    with open(path("run/log.jsonl")) as f:
        logged = [e["loss"] for e in map(json.loads, f) if e["event"] == "step"]
    assert np.allclose(losses[0], logged[0], rtol=1e-6), (losses, logged)
    again.save_model(path("three"))
    scores = pha.evaluate(path("run/model"), path("data"), context=64)
    assert scores["token_ppl"] > 1 and len(scores["bucket_loss"]) == 16
    assert "d_model" in pha.inspect(path("run/model"))

    def enough(progress):
        raise KeyboardInterrupt

    try:
        pha.train(out=path("stopped"), steps=100000, progress=enough, **small)
        raise AssertionError("went on")
    except KeyboardInterrupt:
        pass
    assert os.path.isdir(path("stopped/checkpoint"))
    assert pha.train(out=path("stopped"), resume=True, steps=40, **small)["steps"] == 40
    decay = pha.Trainer(weight_decay=0, **small)  # 0 is 0, not the default
    other = pha.Trainer(**small)
    for t in (decay, other):
        t.step()
    assert decay.step()["loss"] != other.step()["loss"]
    fails("usage", "", pha.Trainer, **dict(small, batch=4, micro_batch=3))


def test_new():
    options = dict(minutes=0.1, most_steps=3, threads=1)
    plan = pha.plan(text_file(), **options)
    assert plan["steps"] == 3 and plan["loss"] > 0 and plan["bound"] == "steps" and len(plan["order_loss"]) == 3
    made = pha.new(text_file(), path("new"), **options)
    assert made["plan"]["steps"] == 3 and made["loss"] > 0 and not made["complete_before"]
    assert pha.new(text_file(), path("new"), **options)["complete_before"]
    assert pha.Model(path("new/model")).d_model == made["plan"]["d_model"]
    fails("usage", "was planned for", pha.new, text_file(), path("new"), minutes=0.2)


def test_exchange():
    pha.export(model_path(), path("hub"))
    assert os.path.exists(path("hub/modeling_pha.py"))
    told = pha.import_from(path("hub"), path("back"))
    assert told["arch"] == "pha" and told["vocab_size"] == 257
    np.array([1, 2, 3], np.uint16).tofile(path("a.bin"))
    assert pha.import_from([path("a.bin")], path("tokens"), tokenizer="bytes")["train"] == 3


def model_path():
    model().close()
    return path("model")


def test_presets():
    if INSTALLED:
        assert "pha" in pha.inspect("tiny") and pha.version() in command("version").decode()


if __name__ == "__main__":
    code = support.run(globals())
    shutil.rmtree(ROOT, ignore_errors=True)
    sys.exit(code)
