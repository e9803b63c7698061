"""stream.py -- time and memory of reading a prompt and of decoding behind it in PyTorch, fp32

Prints one line of JSON like train_step.py. --what prefill: the whole prompt at once, without the head (only the last
token's logits are of use); --what decode: single tokens with logits behind a prompt of --context tokens. Before that it
checks that streaming gives the logits of the whole sequence. Set the environment as interleave.sh does.
"""
import argparse
import json
import time

from train_step import open_model, peak


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--model", required=True, help="a config.json, or a model folder with weights")
    a.add_argument("--what", choices=["prefill", "decode"], required=True)
    a.add_argument("--context", type=int, default=1024)
    a.add_argument("--batch", type=int, default=1)
    a.add_argument("--steps", type=int, default=3, help="timed prompts; eight times as many single tokens")
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--warmup", type=int, default=1)
    a = a.parse_args()

    import numpy as np
    import torch

    torch.set_num_threads(a.threads)
    imported = peak()
    model, config = open_model(a.model)
    rng = np.random.default_rng(1)
    room = a.context + 8 * a.steps + a.warmup + 1
    tokens = torch.from_numpy(rng.integers(0, config["vocab_size"], (a.batch, room)))

    with torch.inference_mode():
        import pha_torch

        def state(n):
            return pha_torch.State(config, a.batch, n)

        s, n = state(40), 32  # whole, and in pieces: 20, 1, 11
        whole = model.logits(tokens[:, :n])
        pieces = torch.cat([model.logits(tokens[:, i:j], s) for i, j in ((0, 20), (20, 21), (21, n))], 1)
        error = ((whole - pieces).norm() / whole.norm()).item()
        if not error < 1e-5:
            raise SystemExit(f"streaming differs from the whole sequence: E2 = {error}")

        seconds, s = [], None
        for _ in range((a.warmup + a.steps) if a.what == "prefill" else 1):
            s = state(room)
            start = time.perf_counter()
            model.hidden(tokens[:, :a.context], s)[:, -1].sum().item()
            seconds.append(time.perf_counter() - start)
        if a.what == "decode":
            seconds = []
            for i in range(a.context, a.context + a.warmup + 8 * a.steps):
                start = time.perf_counter()
                model.logits(tokens[:, i:i + 1], s).argmax().item()
                seconds.append(time.perf_counter() - start)
    timed = seconds[a.warmup:]
    median, count = float(np.median(timed)), a.context if a.what == "prefill" else 1
    print(json.dumps(dict(what=a.what, torch=torch.__version__, parameters=model.count(), context=a.context,
                          batch=a.batch, threads=torch.get_num_threads(), seconds=median, min=min(timed), max=max(timed),
                          tokens_per_second=a.batch * count / median, peak_rss=peak(), torch_rss=imported)), flush=True)


if __name__ == "__main__":
    main()
