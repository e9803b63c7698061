"""scan_triton.py -- h_t = g_t (a h_(t-1) + u_t), g = sigmoid(z), as a Triton kernel of one walk through time

What a careful user of PyTorch on a GPU would write; pha_torch.Scan takes some hundred launches a layer instead. State and
sums are fp32, inputs and outputs of any type. Needs a GPU and triton.
"""
import torch
import triton
import triton.language as tl


@triton.jit
def _forward(z, u, a, h, T, S, BLOCK: tl.constexpr):
    c = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = c < S
    at = tl.program_id(1).to(tl.int64) * T * S + c
    decay = tl.load(a + c, mask=inside, other=0.0).to(tl.float32)
    state = tl.zeros([BLOCK], tl.float32)
    for _ in range(T):
        g = tl.sigmoid(tl.load(z + at, mask=inside, other=0.0).to(tl.float32))
        state = g * (decay * state + tl.load(u + at, mask=inside, other=0.0).to(tl.float32))
        tl.store(h + at, state, mask=inside)
        at += S


@triton.jit
def _backward(z, h, a, dh, dz, du, da, T, S, BLOCK: tl.constexpr):
    c = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = c < S
    at = (tl.program_id(1).to(tl.int64) * T + T - 1) * S + c
    decay = tl.load(a + c, mask=inside, other=0.0).to(tl.float32)
    e = tl.zeros([BLOCK], tl.float32)
    sums = tl.zeros([BLOCK], tl.float32)
    for i in range(T):
        g = tl.sigmoid(tl.load(z + at, mask=inside, other=0.0).to(tl.float32))
        e += tl.load(dh + at, mask=inside, other=0.0).to(tl.float32)
        now = tl.load(h + at, mask=inside, other=0.0).to(tl.float32)
        before = tl.load(h + at - S, mask=inside & (i < T - 1), other=0.0).to(tl.float32)
        tl.store(dz + at, e * now * (1 - g), mask=inside)
        eg = e * g
        tl.store(du + at, eg, mask=inside)
        sums += eg * before
        e = decay * eg
        at -= S
    tl.store(da + tl.program_id(1) * S + c, sums, mask=inside)


class TritonScan(torch.autograd.Function):
    BLOCK = 64

    @staticmethod
    def forward(ctx, z, u, a):
        B, T, S = z.shape
        z, u, h = z.contiguous(), u.contiguous(), torch.empty_like(u, memory_format=torch.contiguous_format)
        _forward[(triton.cdiv(S, TritonScan.BLOCK), B)](z, u, a, h, T, S, BLOCK=TritonScan.BLOCK, num_warps=2)
        ctx.save_for_backward(z, a, h)
        return h

    @staticmethod
    def backward(ctx, dh):
        z, a, h = ctx.saved_tensors
        B, T, S = z.shape
        dz, du, dh = torch.empty_like(z), torch.empty_like(h), dh.contiguous()
        da = torch.empty(B, S, dtype=torch.float32, device=z.device)
        _backward[(triton.cdiv(S, TritonScan.BLOCK), B)](z, h, a, dh, dz, du, da, T, S, BLOCK=TritonScan.BLOCK, num_warps=2)
        return dz, du, da.sum(0)
