"""modeling_pha.py -- PHA and sequential hybrid language models for transformers

    x = sqrt(D) E[c];  per layer
      pha   u = norm(x);  r = norm(alpha u + sum_k w_k norm_k(branch_k(u)));  x = alpha r + SwiGLU(r)
      seq   x = alpha u + norm(GQA(u));  x = alpha u + norm(GSS(u));  x = alpha u + SwiGLU(u);  each u = norm(x)
    logits = E norm(x)

Branches are attention over grouped queries (GQA), a gated state space h_t = g_t (a h_(t-1) + u_t) (GSS) and SwiGLU.
Parameters have the names that pha gives them in model.safetensors. Needs torch 2.5 and transformers 4.56, or later.

Padding may stand on either side, or between tokens: where an attention mask has zeros, each sequence is brought into
the order padding, tokens; positions count tokens, attention does not see padding and the state passes through it.
"""
import math

import torch
import torch.nn.functional as F
from torch import nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import CausalLMOutputWithPast

from .configuration_pha import PHAConfig

EPS = 1e-6  # of RMS norms
CHUNK = 16  # tokens that the scan reads one after the other
CACHE = "cache" if "cache" in CausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"  # its name has changed


def wide(x):
    """In fp32, or what it is if that is wider."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def rms_norm(x, gain=None):
    y = wide(x)
    y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + EPS)
    return (y if gain is None else y * gain).to(x.dtype)


def empty(*shape):
    return nn.Parameter(torch.empty(*shape))


# ---- the scan --------------------------------------------------------------------------------------------------------


def sweep(decay, x):
    """h_t = decay_t h_(t-1) + x_t along dim 1 of (B, T, S), 0 before the first.

    Chunks advance side by side, CHUNK steps; then what each hands on is swept likewise and reaches into the next."""
    B, T, S = x.shape
    n = -(-T // CHUNK)
    size = min(T, CHUNK)
    decay, x = (F.pad(v, (0, 0, 0, n * size - T)).reshape(B, n, size, S) for v in (decay, x))
    h, reach = [x[:, :, 0]], [decay[:, :, 0]]
    for t in range(1, size):
        h.append(torch.addcmul(x[:, :, t], decay[:, :, t], h[-1]))
        reach.append(decay[:, :, t] * reach[-1])
    h = torch.stack(h, 2)
    if n > 1:
        handed = F.pad(sweep(reach[-1], h[:, :, -1])[:, :-1], (0, 0, 1, 0))
        h = torch.addcmul(h, torch.stack(reach, 2), handed[:, :, None])
    return h.flatten(1, 2)[:, :T].contiguous()


@torch.library.custom_op("pha::scan", mutates_args=())
def scan(decay: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """sweep as one node to torch.compile, which would unroll it and take minutes; keeps its decays and its result for
    the way back and nothing of what is between."""
    return sweep(decay, x)


@scan.register_fake
def _(decay, x):
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _keep(ctx, inputs, output):
    ctx.save_for_backward(inputs[0], output)


def _back(ctx, dh):
    decay, h = ctx.saved_tensors
    # e_t = dh_t + decay_(t+1)* e_(t+1): the same recurrence from the end
    later = F.pad(decay[:, 1:].conj().resolve_conj(), (0, 0, 0, 1))
    e = scan(later.flip(1), dh.flip(1)).flip(1)
    return e * F.pad(h[:, :-1], (0, 0, 1, 0)).conj(), e


scan.register_autograd(_back, setup_context=_keep)


# ---- what reading leaves behind --------------------------------------------------------------------------------------


def after(past, new, pads):
    """(B, P, ...) and (B, T, ...), of which the first pads[b] are padding: as (B, P + T, ...) padding, past, new."""
    if past is None:
        return new
    both, P = torch.cat((past, new), 1), past.shape[1]
    if pads is None:
        return both
    at, pads = torch.arange(both.shape[1], device=both.device)[None], pads[:, None]
    index = torch.where(at < pads, at + P, torch.where(at < pads + P, at - pads, at))
    return both.gather(1, index.view(*index.shape, *[1] * (both.dim() - 2)).expand_as(both))


class PHACache(Cache):
    """Per layer: keys and values (B, P, Hkv, dh) as far back as attention looks, the position of each key where there
    is padding (-1: it is), the state h (B, S), and the last three inputs of a convolution. It cannot go back."""

    is_compileable = is_croppable = False
    is_sliding = is_linear = is_dummy = [False]

    def __init__(self, n_layer):
        self.layers = []  # of the library's own kind
        self.seen = 0  # columns of input, padding among them
        self.tokens = None  # (B,) tokens; None: all of the columns
        self.states = [{} for _ in range(n_layer)]

    def get_seq_length(self, layer_idx=0):
        return self.seen

    def get_max_length(self, layer_idx=None):
        return -1

    def get_max_cache_shape(self, layer_idx=None):
        return -1

    def has_previous_state(self, *args, **kwargs):
        return self.seen > 0

    def activate_past_recording(self):
        pass

    def crop(self, *args):
        raise NotImplementedError("a state space cannot go back; read the text again")

    def reset(self):
        self.__init__(len(self.states))

    def _rows(self, choose):
        self.tokens = None if self.tokens is None else choose(self.tokens)
        self.states = [{name: choose(x) for name, x in state.items()} for state in self.states]

    def reorder_cache(self, beam_idx):
        self._rows(lambda x: x.index_select(0, beam_idx.to(x.device)))

    def batch_select_indices(self, indices):
        self._rows(lambda x: x[indices])

    def batch_repeat_interleave(self, repeats):
        self._rows(lambda x: x.repeat_interleave(repeats, 0))


# ---- pieces ----------------------------------------------------------------------------------------------------------


def rotary(config, position):
    """cos and sin (B, T, dh/2) of positions; angles are made in double where there is such a thing."""
    m = config.d_model // config.n_head // 2
    real = torch.float32 if position.device.type == "mps" else torch.float64
    steps = torch.arange(m, device=position.device, dtype=real) / m
    angle = position[..., None].to(real) * config.rope_theta ** -steps
    return angle.cos(), angle.sin()


def rotate(x, cos, sin, interleaved):
    """x: (B, T, H, dh)"""
    cos, sin = cos[:, :, None].to(x.dtype), sin[:, :, None].to(x.dtype)
    a, b = (x[..., 0::2], x[..., 1::2]) if interleaved else x.chunk(2, -1)
    a, b = a * cos - b * sin, a * sin + b * cos
    return torch.stack((a, b), -1).flatten(-2) if interleaved else torch.cat((a, b), -1)


class Attention(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        c, D, dh = config, config.d_model, config.d_model // config.n_head
        self.config, self.layer, self.dh = config, layer, dh
        self.q, self.k, self.v = empty(D, D), empty(c.n_kv_head * dh, D), empty(c.n_kv_head * dh, D)
        self.out = empty(D, D)
        if c.qk == "cosine":
            self.tau = empty(c.n_head)
        if c.qk == "rms":
            self.q_gain, self.k_gain = empty(dh), empty(dh)

    def _normalised(self, q, k):
        """q and k with their factors: q.k is then the logit."""
        q, k, kind = wide(q), wide(k), self.config.qk
        if kind == "cosine":
            scale = torch.exp(torch.clamp(self.tau, max=math.log(100)))[:, None]
            q = q * torch.rsqrt(q.square().sum(-1, keepdim=True) + 1e-12) * scale
            return q, k * torch.rsqrt(k.square().sum(-1, keepdim=True) + 1e-12)
        if kind == "rms":
            q, k = rms_norm(q, self.q_gain), rms_norm(k, self.k_gain)
        return q * self.dh ** -0.5, k

    def _mask(self, query, key, padded):
        """None: all of the past, or what a single token may see; query (B or 1, T) and key (B or 1, K): positions."""
        c, reach, T, K = self.config, self.config.reach(self.layer), query.shape[1], key.shape[1]
        if not padded and not c.local and (not reach or K <= reach) and (T == 1 or T == K):
            return None
        query, key = query[:, :, None], key[:, None]
        mask = key <= query
        if reach and not c.local:
            mask = mask & (query - key < reach)
        if c.local:
            mask = mask & (query // c.local == key // c.local)
        if padded:
            mask = (mask & (key >= 0)) | (query < 0)  # padding sees something: no row of a softmax is empty
        return mask[:, None]

    def forward(self, x, run, state):
        c, B, T = self.config, x.shape[0], x.shape[1]
        q, k, v = (F.linear(x, w).view(B, T, -1, self.dh) for w in (self.q, self.k, self.v))
        q, k = (rotate(y, *run.rotary, c.rope == "interleaved").to(v.dtype) for y in self._normalised(q, k))
        key = run.position
        if state is not None:
            k, v = after(state.get("k"), k, run.pads), after(state.get("v"), v, run.pads)
            key = torch.arange(run.end - k.shape[1], run.end, device=x.device)[None]
            if run.padded:  # before the first padding positions are columns
                key = after(state.get("place", key[:, :-T].expand(B, -1)), run.position.expand(B, T), run.pads)
            reach = c.reach(self.layer)
            first = max(k.shape[1] - (reach - 1), 0) if reach else 0
            state["k"], state["v"] = k[:, first:], v[:, first:]
            if run.padded:
                state["place"] = key[:, first:]
        mask = self._mask(run.position, key, run.padded)
        o = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), mask,
                                           is_causal=mask is None and T > 1, scale=1.0, enable_gqa=True)
        return F.linear(o.transpose(1, 2).flatten(2), self.out)

    def fill(self, beta):
        for name, gain in (("q", 1), ("k", 1), ("v", beta), ("out", beta)):
            nn.init.xavier_normal_(self._parameters[name], gain)
        if self.config.qk == "cosine":
            nn.init.constant_(self.tau, math.log(10))
        if self.config.qk == "rms":
            nn.init.ones_(self.q_gain), nn.init.ones_(self.k_gain)


class StateSpace(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        c, D, S = config, config.d_model, config.d_state
        N = S // 2 if c.gss_state == "complex" else S
        self.config = config
        shapes = {"gate": (N, D), "in": (S, D), "out": (D, S), "theta": (N,)}
        if c.gss_state == "complex":
            shapes["omega"] = (N,)
        if c.gate_bias != "none":
            shapes["bias"] = (N,)
        shapes.update({"silu": {"filter": (S, D)}, "norm": {"filter_norm": (S,)}, "conv4": {"conv": (S, 4)},
                       "none": {}}[c.gss_filter])
        for name, shape in shapes.items():
            self.register_parameter(name, empty(*shape))

    def _rates(self, device=None):
        """Decay rates and frequencies of the channels, or pairs, at the start."""
        N = self.theta.shape[0]
        at = torch.arange(N, device=device, dtype=torch.float32)
        step = 10.0 ** (2 * torch.div(at, 16, rounding_mode="floor") / max(N // 16 - 1, 1) - 3)
        if self.config.gss_state == "complex":
            return step / 2, math.pi * (at % 16) * step
        return step * (at % 16 + 1), None

    def _bias(self, rate):
        return -torch.log(torch.expm1(rate)) if self.config.gate_bias == "matched" else torch.zeros_like(rate)

    def _in_scale(self, device):
        """Starts every channel with about the same variance; a constant with wb_scale = fixed."""
        rate, _ = self._rates(device)
        g = torch.sigmoid(self._bias(rate))
        scale = torch.sqrt(1 - (g * torch.exp(-rate)) ** 2) / g
        return scale.repeat(2) if self.config.gss_state == "complex" else scale

    def _convolved(self, u, run, state):
        past = u.new_zeros(u.shape[0], 3, u.shape[2])
        if state is not None:
            past = state.get("u", past)
        u = after(past, u, run.pads)
        if state is not None:
            state["u"] = u[:, -3:]
        T = u.shape[1] - 3
        return sum(self.conv[:, j] * u[:, 3 - j:3 - j + T] for j in range(4))

    def forward(self, x, run, state):
        c, z, u = self.config, wide(F.linear(x, self.gate)), wide(F.linear(x, self._parameters["in"]))
        if c.gate_bias != "none":
            z = z + self.bias
        if c.wb_scale == "fixed":
            u = u * self._in_scale(x.device)
        if c.gss_filter == "conv4":  # padding lies before the inputs of the past, where no token sees it
            u = self._convolved(u, run, state)
        g, a = torch.sigmoid(z), torch.exp(-torch.exp(wide(self.theta)))
        if c.gss_state == "complex":
            a, u = torch.polar(a, wide(self.omega)), torch.complex(*u.chunk(2, -1))
        decay, u = g * a, g * u
        if run.pads is not None:  # the state passes through padding
            decay, u = decay.masked_fill(run.is_pad, 1), u.masked_fill(run.is_pad, 0)
        if state is not None and "h" in state:  # what is carried in is one more input of the first token
            u = torch.cat((torch.addcmul(u[:, :1], decay[:, :1], state["h"][:, None]), u[:, 1:]), 1)
        h = scan(decay, u) if u.shape[1] > 1 else u
        if state is not None:
            state["h"] = h[:, -1]
        if c.gss_state == "complex":
            h = torch.cat((h.real, h.imag), -1)
        h = h.to(x.dtype)
        if c.gss_filter == "silu":
            h = F.silu(F.linear(x, self.filter)) * h
        if c.gss_filter == "norm":
            h = rms_norm(h, self.filter_norm)
        return F.linear(h, self.out)

    def fill(self, beta):
        c, rate, frequency = self.config, *self._rates()
        values = {"theta": torch.log(rate), "omega": frequency, "bias": self._bias(rate),
                  "conv": torch.tensor([1.0, 0, 0, 0]), "filter_norm": torch.ones(1)}
        for name, p in self._parameters.items():
            if name in values:
                p.copy_(values[name])
            else:
                nn.init.xavier_normal_(p, 1 if name in ("gate", "filter") else beta)
        if c.wb_scale == "init":
            self._parameters["in"].mul_(self._in_scale(None)[:, None])


class SwiGLU(nn.Module):
    def __init__(self, config, width):
        super().__init__()
        D = config.d_model
        self.gate, self.up, self.down = empty(width, D), empty(width, D), empty(D, width)

    def forward(self, x):
        return F.linear(F.silu(F.linear(x, self.gate)) * F.linear(x, self.up), self.down)

    def fill(self, beta):
        for p in self.parameters():
            nn.init.xavier_normal_(p, beta)


# ---- the model -------------------------------------------------------------------------------------------------------


class Block(GradientCheckpointingLayer):
    def __init__(self, config, layer):
        super().__init__()
        c, self.config, self.layer = config, config, layer
        gains = ["norm"] if c.arch == "pha" else ["attn_norm", "gss_norm"]
        for part in c.parts:
            self.add_module(part, Attention(c, layer) if part == "attn" else
                            StateSpace(c, layer) if part == "gss" else SwiGLU(c, c.d_aux))
            if c.branch_gain if c.arch == "pha" else c.seq_norm:
                gains.append(f"{part}_norm" if c.arch == "pha" else f"{part}_out_norm")
        self.ffn = SwiGLU(c, c.d_ffn)
        for name in gains + ["ffn_norm"]:
            self.register_parameter(name, empty(c.d_model))
        if c.arch == "pha" and len(c.parts) > 1 and c.mix != "uniform":
            self.mix = empty(len(c.parts))
            if c.mix == "dynamic":
                self.mix_input = empty(len(c.parts), c.d_model)

    def _add(self, x, u, y, first):
        """A sub-layer's sum: x is its input, u = norm(x)."""
        mode, alpha = self.config.residual, self.config.residual_scale
        if mode in ("post", "post_raw"):
            return alpha * (x if mode == "post_raw" and first else u) + y
        return (alpha if mode == "pre_alpha" else 1) * x + (y / alpha if mode == "pre_inv" else y)

    def _part(self, name, u, run, state):
        module = self._modules[name]
        return module(u) if name == "aux" else module(u, run, state)

    def _shares(self, u):
        """Of the branches: numbers, or (B, T, 1) each."""
        n = len(self.config.parts)
        if "mix" not in self._parameters:
            return [1 / n] * n
        p = wide(self.mix)
        if self.config.mix == "dynamic":
            p = p + F.linear(wide(u), wide(self.mix_input))
        s = F.softplus(p)
        return (s / s.sum(-1, keepdim=True)).to(u.dtype).split(1, -1)

    def forward(self, x, run, state=None):
        if self.config.arch == "seq":
            return self._sequential(x, run, state)
        u = rms_norm(x, self.norm)
        y = 0
        for name, share in zip(self.config.parts, self._shares(u)):
            y = y + share * rms_norm(self._part(name, u, run, state), self._parameters.get(f"{name}_norm"))
        r = self._add(x, u, y, True)
        v = rms_norm(r, self.ffn_norm)
        return self._add(r, v, self.ffn(v), False) if self.config.main_residual else self.ffn(v)

    def _sequential(self, x, run, state):
        for name in ("attn", "gss", "ffn"):
            u = rms_norm(x, self._parameters[f"{name}_norm"])
            y = self.ffn(u) if name == "ffn" else self._part(name, u, run, state)
            if self.config.seq_norm and name != "ffn":
                y = rms_norm(y, self._parameters[f"{name}_out_norm"])
            x = self._add(x, u, y, name == "attn")
        return x

    def fill(self, beta):
        behind = [f"{p}_norm" if self.config.arch == "pha" else f"{p}_out_norm" for p in self.config.parts]
        for name, p in self._parameters.items():
            damped = name in behind and self.config.residual.startswith("pre")
            nn.init.constant_(p, 0 if name.startswith("mix") else 0.25 if damped else 1)


class Run:
    """What the layers share: positions (B or 1, T), padding, rotary angles."""

    def __init__(self, config, T, device, mask, cache):
        seen = cache.seen if cache is not None else 0
        tokens = cache.tokens if cache is not None else None
        self.end, self.order, self.pads = seen + T, None, None
        self.position = torch.arange(seen, seen + T, device=device)[None]
        if mask is not None:
            self.pads = T - mask.sum(1)
            at = torch.arange(T, device=device)[None]
            self.is_pad = (at < self.pads[:, None])[:, :, None]
            self.order = torch.argsort(mask, dim=1, stable=True)  # padding, then tokens
            # tokens back to where they were; behind them the last one, which is what comes before a next token
            self.back = torch.where(mask, mask.cumsum(1) - 1 + self.pads[:, None], T - 1)
        self.padded = mask is not None or tokens is not None
        if self.padded:
            B = (mask if mask is not None else tokens).shape[0]
            before = torch.full((B,), seen, device=device) if tokens is None else tokens
            self.position = torch.arange(T, device=device)[None] + before[:, None]
            self.tokens = before + T
            if mask is not None:
                self.position = (self.position - self.pads[:, None]).masked_fill(self.is_pad[:, :, 0], -1)
                self.tokens = self.tokens - self.pads
        self.rotary = rotary(config, self.position.clamp(min=0)) if "attn" in config.parts else None


class PHAForCausalLM(PreTrainedModel, GenerationMixin):
    config_class = PHAConfig
    base_model_prefix = ""
    _no_split_modules = ["Block"]
    _supports_sdpa = supports_gradient_checkpointing = True
    _is_stateful = True  # no going back in generation

    def __init__(self, config):
        super().__init__(config)
        self.embed, self.norm = empty(config.vocab_size, config.d_model), empty(config.d_model)
        for layer in range(config.n_layer):
            self.add_module(f"layer{layer}", Block(config, layer))
        self.post_init()
        self._keep_in_fp32_modules_strict = {"tau", "theta", "omega", "bias", "mix"}  # post_init wants modules

    def _init_weights(self, module):
        """As `pha init` does it, in distribution."""
        if module is self:
            nn.init.normal_(self.embed, 0.0, self.config.embed_std), nn.init.ones_(self.norm)
        elif hasattr(module, "fill"):
            module.fill((8 * self.config.n_layer) ** -0.25)

    def get_input_embeddings(self):
        return None  # a parameter, not a module

    def get_output_embeddings(self):
        return None

    def resize_token_embeddings(self, new_num_tokens=None, *args, **kwargs):
        if new_num_tokens not in (None, self.config.vocab_size):
            raise NotImplementedError("the vocabulary is that of the weights; use one of its tokens for padding")

    @classmethod
    def _supports_default_dynamic_cache(cls):
        return False

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, inputs_embeds=None, use_cache=True,
                                      next_sequence_length=None, logits_to_keep=0, output_hidden_states=None, **kwargs):
        cache = kwargs.get("cache", kwargs.get("past_key_values"))
        seen = cache.get_seq_length() if cache is not None else 0
        total = input_ids.shape[1] if attention_mask is None else attention_mask.shape[1]
        given = {CACHE: cache, "attention_mask": attention_mask, "use_cache": use_cache,
                 "logits_to_keep": logits_to_keep, "output_hidden_states": output_hidden_states}
        if inputs_embeds is not None and not seen:
            return dict(given, inputs_embeds=inputs_embeds)
        return dict(given, input_ids=input_ids[:, -(total - seen):] if seen and total > seen else input_ids)

    def _read_mask(self, mask, x):
        """The mask of the new tokens; None: there is no padding among them."""
        if mask is None:
            return None
        if mask.dim() != 2:
            raise ValueError(f"attention_mask has {mask.dim()} dimensions; this model takes (batch, tokens)")
        mask = mask[:, -x.shape[1]:].to(x.device).bool()
        if not torch.compiler.is_compiling() and bool(mask.all()):
            return None
        return mask

    def forward(self, input_ids=None, attention_mask=None, cache=None, past_key_values=None, inputs_embeds=None,
                labels=None, use_cache=None, output_hidden_states=None, return_dict=None, logits_to_keep=0, **kwargs):
        for key in ("position_ids", "output_attentions"):
            if kwargs.pop(key, None) not in (None, False):
                raise ValueError(f"{key} is nothing that this model has: positions follow from the attention mask")
        c, cache = self.config, cache if cache is not None else past_key_values
        x = inputs_embeds if inputs_embeds is not None else F.embedding(input_ids, self.embed)
        x = math.sqrt(c.d_model) * x
        if use_cache if use_cache is not None else c.use_cache and not self.training:
            cache = PHACache(c.n_layer) if cache is None else cache
        run = Run(c, x.shape[1], x.device, self._read_mask(attention_mask, x), cache)
        if run.order is not None:
            x = x.gather(1, run.order[:, :, None].expand_as(x))
        seen = []
        for layer in range(c.n_layer):
            seen.append(x)
            x = self._modules[f"layer{layer}"](x, run, None if cache is None else cache.states[layer])
        if cache is not None:
            cache.seen, cache.tokens = run.end, run.tokens if run.padded else None
        seen.append(rms_norm(x, self.norm))
        if not output_hidden_states:
            seen = seen[-1:]
        if run.order is not None:
            seen = [y.gather(1, run.back[:, :, None].expand_as(y)) for y in seen]
        keep = slice(-logits_to_keep or None, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = F.linear(seen[-1][:, keep], self.embed)
        loss = self.loss_function(logits, labels, c.vocab_size, **kwargs) if labels is not None else None
        out = CausalLMOutputWithPast(loss=loss, logits=logits, **{CACHE: cache},
                                     hidden_states=tuple(seen) if output_hidden_states else None)
        return out if return_dict is not False else out.to_tuple()
