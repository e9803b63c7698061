"""lm_eval_tasks.py -- pha eval --task and the Language Model Evaluation Harness give one model the same numbers

    lm_eval_tasks.py --pha build/pha [--arch gpt2|pha|seq] [--items 60] [--positions 64] [--keep DIR]

A random GPT2LMHeadModel, or what `pha export` makes of a model of arch pha or seq (read with trust_remote_code, in
batches with padding), with a tokenizer of `pha prepare`, and tasks of random words in the forms of LAMBADA, PIQA,
HellaSwag and of plain choices: with contexts that are too long, empty or end with blanks, and with letters of several
bytes. The harness (0.4.9) reads them with the definitions that it has for the published ones. Compared are every digit
that it prints (of perplexities seven, since both compute in fp32), and the likelihood of every continuation; ends with
status 1 where they differ.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import lm_eval
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

WORDS = "the of and a to in river stone naïve green Zürich 日本 walked café time; house, light. 12 [mark] [title]".split()
MEASURES = {"acc,none": "acc", "acc_norm,none": "acc_norm", "perplexity,none": "perplexity"}
CHOICE = "output_type: multiple_choice\nmetric_list:\n  - metric: acc\n  - metric: acc_norm\n"
WORD = "output_type: loglikelihood\nmetric_list:\n  - metric: perplexity\n  - metric: acc\n"


def some(rng, least, most):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(least, most)))


def make_data(a, work):
    text, data = os.path.join(work, "text.txt"), os.path.join(work, "data")
    rng = random.Random(1)
    with open(text, "w") as f:
        f.write("\n".join(some(rng, 5, 30) for _ in range(2000)))
    subprocess.run([a.pha, "prepare", text, "--vocab-size", "400", "--out", data, "--quiet"], check=True,
                   stdout=subprocess.DEVNULL)
    return data


def make_exported(a, work):
    import compare_logits

    config, folder, hub = (os.path.join(work, name) for name in ("config.json", "ours", "model"))
    with open(config, "w") as f:
        json.dump(dict(arch=a.arch, d_model=64, n_layer=3, n_head=4, n_kv_head=2, d_ffn=96, d_state=80,
                       **({"d_aux": 48} if a.arch == "pha" else {})), f)
    for command in (["init", "--config", config, "--tokenizer", make_data(a, work), "--out", folder],
                    ["export", "--model", folder, "--out", hub]):
        subprocess.run([a.pha, *command], check=True, stdout=subprocess.DEVNULL)
        if command[0] == "init":
            compare_logits.shake(folder)
    more = dict(trust_remote_code=True)
    return hub, AutoModelForCausalLM.from_pretrained(hub, **more).eval(), AutoTokenizer.from_pretrained(hub, **more)


def make_gpt2(a, work):
    data = make_data(a, work)
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=os.path.join(data, "tokenizer.json"),
                                        eos_token="<|endoftext|>", bos_token="<|endoftext|>")
    torch.manual_seed(1)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_embd=64, n_layer=3, n_head=4,
                                       n_positions=a.positions)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p += torch.randn_like(p) * (0.3 if p.dim() == 1 else float(p.std()))
    folder = os.path.join(work, "model")
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return folder, model, tokenizer


def with_likeliest(model, tokenizer, rng):
    """A text whose last word is the one token that the model finds likeliest there."""
    for _ in range(50):
        ids = tokenizer.encode(some(rng, 20, 30))[:64]
        with torch.no_grad():
            best = model(torch.tensor([ids])).logits[0].argmax(-1).tolist()
        for n in range(4, len(ids)):
            context, text = tokenizer.decode(ids[:n]), tokenizer.decode(ids[:n] + [best[n - 1]])
            word = text[len(context):]
            if word[:1] == " " and word[1:] and " " not in word[1:] and \
                    tokenizer.encode(text) == ids[:n] + [best[n - 1]] and tokenizer.encode(context) == ids[:n]:
                return text
    return some(rng, 3, 20)


def make_tasks(a, work, model, tokenizer):
    rng = random.Random(2)
    lambada, piqa, swag, plain = [], [], [], []
    for i in range(a.items):
        long = some(rng, 3, 3 * a.positions)
        text = long if i % 9 == 0 else with_likeliest(model, tokenizer, rng) if i % 2 else some(rng, 3, 20)
        lambada.append({"text": text})
        piqa.append({"goal": some(rng, 2, 9), "sol1": some(rng, 1, 8), "sol2": " " * (i % 5 == 0) + some(rng, 1, 8),
                     "label": rng.randint(0, 1)})
        swag.append({"activity_label": some(rng, 1, 2), "ctx_a": " " * (i % 4) + some(rng, 2, 2 * a.positions // 3),
                     "ctx_b": rng.choice(["", "élan " + some(rng, 1, 5), "THEN [a] she"]),
                     "endings": [some(rng, 2, 9) + " [title] " * (i % 3) for _ in range(4)],
                     "label": rng.choice([str, int])(rng.randint(0, 3))})
        plain.append({"query": "" if i == 7 else some(rng, 1, 20) + ["", " ", " \u2003 ", "\n"][i % 4],
                      "choices": [some(rng, 1, 5) for _ in range(3)], "gold": rng.randint(0, 2)})
    tasks = {"t_lambada": lambada, "t_piqa": piqa, "t_hellaswag": swag, "t_plain": plain}
    for row in swag:
        row["label"] = str(row["label"])  # a column of the harness has one type
    shapes = {
        "t_lambada": WORD + "doc_to_text: \"{{text.split(' ')[:-1]|join(' ')}}\"\n"
                            "doc_to_target: \"{{' '+text.split(' ')[-1]}}\"\n",
        "t_piqa": CHOICE + 'doc_to_text: "Question: {{goal}}\\nAnswer:"\ndoc_to_target: label\n'
                           'doc_to_choice: "{{[sol1, sol2]}}"\n',
        "t_hellaswag": CHOICE + "process_docs: !function utils.process_docs\n"
                                'doc_to_text: "{{query}}"\ndoc_to_target: "{{gold}}"\ndoc_to_choice: "choices"\n',
        "t_plain": CHOICE + 'doc_to_text: "{{query}}"\ndoc_to_target: gold\ndoc_to_choice: choices\n',
    }
    with open(os.path.join(work, "utils.py"), "w") as f:
        f.write("from lm_eval.tasks.hellaswag.utils import process_docs\n")
    for name, rows in tasks.items():
        path = os.path.join(work, name + ".jsonl")
        with open(path, "w") as f:
            f.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        with open(os.path.join(work, name + ".yaml"), "w") as f:
            f.write(f"task: {name}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {path}\n"
                    f"test_split: test\n{shapes[name]}")
    return list(tasks)


def compare(a, work, folder, name, results):
    out = os.path.join(work, "scores.jsonl")
    ours = json.loads(subprocess.run([a.pha, "eval", "--model", folder, "--task", os.path.join(work, name + ".jsonl"),
                                      "--scores", out, "--json", "--quiet"], check=True, stdout=subprocess.PIPE).stdout)
    theirs, same = results["results"][name], True
    for key, short in MEASURES.items():
        for their, our in ((key, short), (key.replace(",", "_stderr,"), short + "_stderr")):
            if their in theirs:
                x, y = f"{theirs[their]:.4f}", f"{ours[our]:.4f}"
                good = abs(theirs[their] / ours[our] - 1) < 1e-6 if short == "perplexity" else x == y
                same &= good
                print(f"{name:12} {our:18} harness {x:>12}  pha {y:>12}{'' if good else '  DIFFERENT'}")
    worst = 0
    with open(out) as f:
        lines = [json.loads(line) for line in f]
    for sample in results["samples"][name]:
        line = lines[sample["doc_id"]]
        for (ll, greedy), x, hit in zip((r[0] for r in sample["resps"]), line["ll"], line["greedy"]):
            worst = max(worst, abs(float(ll) - x) / max(1, abs(x)))
            same &= (str(greedy) == "True") == hit
    print(f"{name:12} {ours['items']} items, {ours['truncated']} truncated; likelihoods differ by {worst:.1e} at most")
    return same and worst < 1e-4


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--pha", required=True, help="the pha command")
    a.add_argument("--arch", choices=["gpt2", "pha", "seq"], default="gpt2")
    a.add_argument("--items", type=int, default=60)
    a.add_argument("--positions", type=int, default=64)
    a.add_argument("--keep", help="work in this folder and leave it")
    a = a.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = os.path.abspath(a.keep or temporary)
        os.makedirs(work, exist_ok=True)
        folder, model, tokenizer = (make_gpt2 if a.arch == "gpt2" else make_exported)(a, work)
        names = make_tasks(a, work, model, tokenizer)
        harness = HFLM(pretrained=folder, trust_remote_code=True, batch_size=4, device="cpu") if a.arch != "gpt2" else \
            HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, device="cpu")
        results = lm_eval.simple_evaluate(model=harness, tasks=names, task_manager=TaskManager(include_path=work),
                                          log_samples=True)
        return int(not all([compare(a, work, folder, name, results) for name in names]))


if __name__ == "__main__":
    sys.exit(main())
