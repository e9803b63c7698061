"""What `pha export --to hf` writes, opened by transformers: the same logits and texts as pha, with padding, caches and
further training, and back with `pha import`.

    test_hf.py PHA [TEST ...]

Without torch and transformers it is skipped (77); PHA_TORCH_PYTHON names a Python that has them.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import python as support  # noqa: E402

sys.path.insert(0, os.path.join(HERE, "..", "..", "bench", "baselines"))
ROOT = tempfile.mkdtemp(prefix="pha-hf-")
os.environ["HF_HOME"] = os.path.join(ROOT, "home")  # where transformers copies the Python files to
os.environ["HF_HUB_OFFLINE"] = "1"
try:
    import numpy as np
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer
except ImportError as missing:
    shutil.rmtree(ROOT)
    support.elsewhere(missing)

support.forget_options()

import compare_logits as lab

PHA = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else "pha"
LIMIT = 1e-4
NAMES = [name for name, v in lab.VARIANTS.items() if v["arch"] in ("pha", "seq")]
BYTES = dict(vocab_size=257, d_model=32, n_layer=2, n_head=4, n_kv_head=2, d_ffn=64, d_state=64, d_aux=32)
transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
torch.manual_seed(1)


def pha(*arguments, status=0):
    done = subprocess.run([PHA, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == status, f"pha {' '.join(arguments)}: {done.returncode}\n{done.stderr.decode()}"
    return done.stdout if status == 0 else done.stderr.decode()


def export(folder, *options):
    out = os.path.join(ROOT, "hub-" + os.path.basename(folder))
    pha("export", "--model", folder, "--out", out, *options)
    return out


def opened(folder, **more):
    return AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, **more).eval()


def logits_of_pha(folder, tokens):
    np.save(os.path.join(ROOT, "in.npy"), tokens.numpy().astype(np.int32))
    pha("eval", "--model", folder, "--tokens", "in.npy", "--logits", "out.npy")
    return torch.from_numpy(np.load(os.path.join(ROOT, "out.npy"))).view(*tokens.shape, -1)


def near(a, b, what):
    assert a.shape == b.shape, (what, a.shape, b.shape)
    error = (a - b).abs().max().item()
    assert error <= LIMIT, f"{what}: differs by {error:g}"


def with_bytes(name, **keys):
    """A model over the tokenizer of bytes, every tensor shaken."""
    folder = os.path.join(ROOT, name)
    with open(folder + ".json", "w") as f:
        json.dump({"arch": "pha", **BYTES, **keys}, f)
    pha("init", "--config", folder + ".json", "--tokenizer", "bytes", "--out", folder)
    lab.shake(folder)
    return folder


# ---- reading ---------------------------------------------------------------------------------------------------------

PLACES = {"left": lambda n, length: torch.arange(length - n, length), "right": lambda n, length: torch.arange(n),
          "holes": lambda n, length: torch.randperm(length)[:n].sort().values}


def read_in_pieces(model, tokens, cuts, mask=None):
    cache, parts = None, []
    for begin, end in zip(cuts, cuts[1:]):
        out = model(tokens[:, begin:end], attention_mask=None if mask is None else mask[:, :end], use_cache=True,
                    past_key_values=cache)
        cache = out[1 if out.loss is None else 2]
        parts.append(out.logits)
    return torch.cat(parts, 1), cache


def check_padding(model, tokens, kind):
    """Two texts of unequal lengths side by side are each as if alone, at once and in pieces, and so is what follows."""
    texts, length = (tokens[0, :23], tokens[1, :61]), 80
    x, mask = torch.full((2, length), 5), torch.zeros(2, length, dtype=torch.long)
    for row, text in enumerate(texts):
        at = PLACES[kind](len(text), length)
        x[row, at], mask[row, at] = text, 1
    pieces, cache = read_in_pieces(model, x, (0, 31, 32, 60, length), mask)
    whole = model(x, attention_mask=mask).logits
    more = torch.tensor([[7], [9]])
    last = model(more, attention_mask=torch.cat((mask, mask.new_ones(2, 1)), 1), past_key_values=cache).logits[:, -1]
    for row, text in enumerate(texts):
        alone = model(torch.cat((text, more[row]))[None]).logits[0]
        near(whole[row][mask[row] == 1], alone[:-1], f"{kind} padding")
        near(pieces[row][mask[row] == 1], alone[:-1], f"{kind} padding, in pieces")
        near(last[row], alone[-1], f"{kind} padding, the next token")


@torch.no_grad()
def test_variants():
    """Every option of the configuration: logits of pha, a cache, padding."""
    for name in NAMES:
        folder = lab.make_model(PHA, name, ROOT)
        model = opened(export(folder))
        tokens = torch.randint(0, model.config.vocab_size, (2, 150))
        whole = model(tokens).logits
        near(whole, logits_of_pha(folder, tokens), name)
        near(read_in_pieces(model, tokens, (0, 60, 61, 100, 101, 102, 150))[0], whole, f"{name}, in pieces")
        for kind in PLACES:
            check_padding(model, tokens, kind)
        shutil.rmtree(folder)


@torch.no_grad()
def test_padding_after_none():
    """A cache that has seen no padding goes on with some."""
    for keys in ({}, {"window": 6, "gss_filter": "conv4"}):
        model = opened(export(with_bytes("later", **keys)))
        a, b = torch.randint(0, 256, (2, 20)), torch.randint(0, 256, (2, 12))
        mask = torch.ones(2, 32, dtype=torch.long)
        mask[0, 20:27] = 0
        _, cache = read_in_pieces(model, a, (0, 20))
        got = model(b, attention_mask=mask, past_key_values=cache).logits[0, -5:]
        near(got, model(torch.cat((a[:1], b[:1, -5:]), 1)).logits[0, -5:], "padding after none")


# ---- writing ---------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_generate():
    """64 greedy tokens are those of pha; cached as uncached, padded as alone, beams too."""
    for name, keys in {"plain": {}, "windowed": {"window": 9}, "sequential": {"arch": "seq", "d_aux": None},
                       "pairs": {"gss_state": "complex", "gss_filter": "conv4", "mix": "dynamic"}}.items():
        keys = {k: v for k, v in {**BYTES, **keys}.items() if v is not None}
        folder = os.path.join(ROOT, name)
        with open(folder + ".json", "w") as f:
            json.dump({"arch": "pha", **keys}, f)
        pha("init", "--config", folder + ".json", "--tokenizer", "bytes", "--out", folder)
        lab.shake(folder)
        hub = export(folder)
        model, tokenizer = opened(hub), AutoTokenizer.from_pretrained(hub, trust_remote_code=True)
        prompts = ["The sea was", "Of all the towns along that coast it was"]
        said = json.loads(pha("generate", "--model", folder, "--prompt", prompts[0], "--temperature", "0",
                              "--max-tokens", "64", "--ignore-end", "--json", "--quiet"))
        ids = tokenizer(prompts[0], return_tensors="pt")
        new = model.generate(**ids, max_new_tokens=64, eos_token_id=None)[0, ids.input_ids.shape[1]:]
        assert new.tolist() == said["tokens"], (name, new.tolist(), said)
        short = dict(max_new_tokens=12, eos_token_id=None)
        alone = [model.generate(**tokenizer(p, return_tensors="pt"), **short)[0, -12:].tolist() for p in prompts]
        assert alone[0] == model.generate(**ids, use_cache=False, **short)[0, -12:].tolist()
        tokenizer.pad_token = tokenizer.eos_token
        for side in ("left", "right"):
            batch = tokenizer(prompts, return_tensors="pt", padding=True, padding_side=side)
            assert model.generate(**batch, **short)[:, -12:].tolist() == alone, (name, side)
        beams = [model.generate(**ids, num_beams=3, use_cache=cached, **short).tolist() for cached in (True, False)]
        assert beams[0] == beams[1], name


# ---- training --------------------------------------------------------------------------------------------------------


def test_compiled():
    """One graph without breaks, forward and backward, and the same numbers."""
    model = opened(export(with_bytes("compiled", gss_filter="conv4"))).train()
    tokens = torch.randint(0, 256, (2, 50))
    compiled = torch.compile(model.forward, backend="aot_eager", fullgraph=True)
    for f in (model, compiled):
        model.zero_grad()
        loss = f(tokens, labels=tokens, use_cache=False).loss
        loss.backward()
        seen = {name: p.grad.clone() for name, p in model.named_parameters()}
        if f is model:
            first, want = loss.item(), seen
    assert abs(loss.item() - first) < 1e-5, (loss.item(), first)
    for name, gradient in want.items():
        near(seen[name], gradient, f"compiled: {name}")


def test_gradients():
    """The scan's own way back is that of a loop under autograd; checkpoints of blocks change nothing."""
    folder = export(with_bytes("gradients"))
    module = sys.modules[type(opened(folder)).__module__]
    for complex_ in (False, True):
        kind = torch.complex128 if complex_ else torch.float64
        decay, x = torch.rand(2, 37, 3).to(kind), torch.randn(2, 37, 3, dtype=kind)
        if complex_:
            decay = decay * torch.polar(torch.ones(3).double(), torch.randn(3).double())
        decay, x = decay.requires_grad_(), x.requires_grad_()
        weight = torch.randn(2, 37, 3, dtype=kind)
        h, out = torch.zeros(2, 3, dtype=kind), []
        for t in range(37):
            h = decay[:, t] * h + x[:, t]
            out.append(h)
        results = []
        for y in (torch.stack(out, 1), module.scan(decay, x)):
            results.append((y, *torch.autograd.grad((y * weight).sum().real, (decay, x))))
        for a, b in zip(*results):
            assert (a - b).abs().max() < 1e-10, (a - b).abs().max()
    tokens, losses = torch.randint(0, 256, (2, 30)), []
    for checkpoints in (False, True):
        model = opened(folder).train()
        if checkpoints:
            model.gradient_checkpointing_enable()
        model(tokens, labels=tokens).loss.backward()
        losses.append([p.grad for p in model.parameters()])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*losses))


def test_trainer():
    """Ten steps of transformers.Trainer lower the loss; `pha import` reads what was saved, whole and in shards."""
    try:
        import accelerate  # noqa: F401
    except ImportError:
        return print("  accelerate is missing: left out")
    from transformers import Trainer, TrainingArguments, default_data_collator

    hub, tuned = export(with_bytes("start")), os.path.join(ROOT, "tuned")
    model, tokens = opened(hub), torch.randint(0, 256, (8, 40))
    rows = [{"input_ids": row, "labels": row} for row in tokens]
    arguments = TrainingArguments(tuned, max_steps=10, per_device_train_batch_size=8, learning_rate=3e-3, report_to=[],
                                  save_strategy="no", use_cpu=True, disable_tqdm=True, logging_steps=1)
    trainer = Trainer(model, arguments, train_dataset=rows, data_collator=default_data_collator)
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    assert float(losses[-1]) < float(losses[0]) - 0.1, losses
    trainer.save_model(tuned)
    AutoTokenizer.from_pretrained(hub, trust_remote_code=True).save_pretrained(tuned)
    sharded = os.path.join(ROOT, "shards")
    model.save_pretrained(sharded, max_shard_size="60KB")
    assert len([n for n in os.listdir(sharded) if n.endswith(".safetensors")]) > 1
    with torch.no_grad():
        want = model.eval()(tokens).logits
    for folder in (tuned, sharded):
        back = folder + "-back"
        said = json.loads(pha("import", "--from", folder, "--out", back, "--json"))
        assert said["kind"] == "model" and said["arch"] == "pha", said
        near(logits_of_pha(back, tokens), want, folder)
    assert os.path.exists(os.path.join(tuned + "-back", "tokenizer.json"))
    again = opened(export(tuned + "-back"))
    with torch.no_grad():
        near(again(tokens).logits, want, "out again")


def test_types():
    """16 bits in transformers, and weights that pha stored in fewer bits."""
    folder = with_bytes("types")
    tokens = torch.randint(0, 256, (2, 30))
    half = opened(export(folder), dtype=torch.bfloat16)
    assert half.layer0.gss.theta.dtype == torch.float32 and half.layer0.gss.gate.dtype == torch.bfloat16
    with torch.no_grad():
        assert (half(tokens).logits.float() - logits_of_pha(folder, tokens)).abs().max() < 0.2
        for weights in ("bf16", "q8"):
            small = os.path.join(ROOT, "small-" + weights)
            pha("quantize", "--model", folder, "--out", small, "--to", weights)
            model = opened(export(small))
            want = logits_of_pha(small, tokens)
            if weights == "bf16":
                near(model(tokens).logits, want, weights)
            else:  # pha rounds what is multiplied, too
                assert (model(tokens).logits - want).abs().max() < 2e-3


@torch.no_grad()
def test_gpt2():
    """A model of arch gpt2 is a plain GPT-2, without code."""
    folder = os.path.join(ROOT, "gpt2")
    with open(folder + ".json", "w") as f:
        json.dump(dict(arch="gpt2", vocab_size=257, d_model=32, n_layer=2, n_head=4, d_ffn=96, n_positions=64), f)
    pha("init", "--config", folder + ".json", "--tokenizer", "bytes", "--out", folder)
    lab.shake(folder)
    hub = export(folder)
    assert not [n for n in os.listdir(hub) if n.endswith(".py")]
    model, tokens = AutoModelForCausalLM.from_pretrained(hub).eval(), torch.randint(0, 257, (2, 50))
    near(model(tokens).logits, logits_of_pha(folder, tokens), "gpt2")
    shards = os.path.join(ROOT, "gpt2-shards")
    model.save_pretrained(shards, max_shard_size="20KB")
    pha("import", "--from", shards, "--out", "gpt2-back")
    near(logits_of_pha(os.path.join(ROOT, "gpt2-back"), tokens), model(tokens).logits, "gpt2, back")


def test_from_nothing():
    """A configuration alone makes a model that trains: its first loss is about ln V."""
    config = transformers.AutoConfig.from_pretrained(export(with_bytes("nothing")), trust_remote_code=True)
    for keys in ({}, {"gate_bias": "matched", "residual": "pre"}, {"gss_state": "complex", "gss_filter": "conv4"}):
        for key, value in keys.items():
            setattr(config, key, value)
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=True)
        assert all(p.isfinite().all() for p in model.parameters())
        assert (model.layer0.attn_norm == (0.25 if model.config.residual == "pre" else 1)).all()
        tokens = torch.randint(0, 257, (2, 60))
        assert abs(model(tokens, labels=tokens).loss.item() - np.log(257)) < 1, keys


if __name__ == "__main__":
    code = support.run(globals(), sys.argv[2:])
    shutil.rmtree(ROOT, ignore_errors=True)
    sys.exit(code)
