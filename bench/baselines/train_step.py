"""train_step.py -- time and memory of a training step in PyTorch: forward, backward, clip, AdamW

Prints one line of JSON: median seconds of a step, tokens per second, peak resident memory, and what torch alone takes.
On a processor in fp32; set the environment as interleave.sh does. On a GPU (--device cuda) in fp32 or, by autocast over fp32
masters, in bf16, and the peak is that of the device's memory.
"""
import argparse
import contextlib
import json
import resource
import time


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def open_model(path, **options):
    """A model and its configuration, from a model folder or, with fresh weights, from a configuration."""
    import pha_torch

    config = pha_torch.read_config(path)
    if not path.endswith(".json"):
        return pha_torch.Model.open(path, **options), config
    return pha_torch.Model(config, pha_torch.draw_weights(config), **options), config


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--model", required=True, help="a config.json, or a model folder with weights")
    a.add_argument("--context", type=int, default=1024)
    a.add_argument("--batch", type=int, default=1)
    a.add_argument("--steps", type=int, default=3, help="timed steps")
    a.add_argument("--warmup", type=int, default=2)
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--clip", type=float, default=1.0, help="global norm; 0: none")
    a.add_argument("--loss-rows", type=int, default=0, help="take the loss in pieces of so many rows; 0: at once")
    a.add_argument("--compile", action="store_true", help="torch.compile of the element-wise pieces")
    a.add_argument("--compile-all", action="store_true", help="torch.compile of the whole loss (use --scan triton)")
    a.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    a.add_argument("--bf16", action="store_true", help="autocast to bf16")
    a.add_argument("--scan", default="chunked", choices=("chunked", "loop", "triton"))
    a.add_argument("--profile", action="store_true", help="print torch's profile of one more step")
    a = a.parse_args()

    import numpy as np
    import torch

    import pha_torch

    torch.set_num_threads(a.threads)
    imported = peak()
    gpu = a.device == "cuda"
    model, config = open_model(a.model, device=a.device, scan=a.scan)
    if a.compile:
        pha_torch.compile_pieces()
    if a.compile_all:
        torch._dynamo.config.recompile_limit = 1000  # one shape per layer's name, not per call
        torch._dynamo.config.accumulated_recompile_limit = 10000
    loss_of = torch.compile(model.loss, dynamic=False) if a.compile_all else model.loss
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=4.5e-4, betas=(0.9, 0.999), eps=1e-8, fused=True)

    rng = np.random.default_rng(1)
    stream = torch.from_numpy(rng.integers(0, config["vocab_size"], (a.batch, a.context + 1)))
    tokens, targets = stream[:, :-1].contiguous().to(a.device), stream[:, 1:].contiguous().to(a.device)

    def step():
        with torch.autocast(a.device, torch.bfloat16) if a.bf16 else contextlib.nullcontext():
            loss = loss_of(tokens, targets, a.loss_rows)
        loss.backward()
        if a.clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), a.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    losses, seconds = [], []
    for _ in range(a.warmup + a.steps):
        start = time.perf_counter()
        losses.append(step())
        seconds.append(time.perf_counter() - start)
    timed = seconds[a.warmup:]
    median = float(np.median(timed))
    print(json.dumps(dict(what="train", torch=torch.__version__, parameters=model.count(), context=a.context,
                          batch=a.batch, threads=torch.get_num_threads(), loss_rows=a.loss_rows, compile=a.compile,
                          device=torch.cuda.get_device_name() if gpu else "cpu", bf16=a.bf16, scan=a.scan,
                          compile_all=a.compile_all, peak_device=torch.cuda.max_memory_allocated() if gpu else 0,
                          seconds=median, min=min(timed), max=max(timed),
                          tokens_per_second=a.batch * a.context / median, peak_rss=peak(), torch_rss=imported,
                          loss=[losses[0], losses[-1]])), flush=True)
    if a.profile:
        kinds = torch.profiler.ProfilerActivity
        with torch.profiler.profile(activities=[kinds.CPU] + [kinds.CUDA] * gpu) as profile:
            step()
        order = "self_cuda_time_total" if gpu else "self_cpu_time_total"
        print(profile.key_averages().table(sort_by=order, row_limit=25))


if __name__ == "__main__":
    main()
