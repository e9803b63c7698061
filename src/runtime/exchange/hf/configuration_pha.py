"""configuration_pha.py -- the configuration of PHA and sequential hybrid models for transformers

The keys are those of pha's own config.json. Those that a model has no use for are absent, in memory None.
"""
from transformers import PretrainedConfig

BRANCHES = ("attn", "gss", "aux")
ATTENTION = dict(n_head=None, n_kv_head=None, window=None, local=None, qk="cosine", rope_theta=10000.0, rope="half")
STATE_SPACE = dict(d_state=None, gate_bias="zero", wb_scale="init", gss_state="real", gss_filter="silu")
OTHERS = dict(d_ffn=None, residual="post", alpha=None, embed_std=0.02)
PARALLEL = dict(d_aux=None, branches=None, main_residual=True, mix="learned", branch_gain=True)
MAY_BE_NULL = ("window", "alpha")


class PHAConfig(PretrainedConfig):
    model_type = "pha"
    has_no_defaults_at_init = True  # sizes must be given
    keys_to_ignore_at_inference = ["cache", "past_key_values"]
    attribute_map = {"hidden_size": "d_model", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head",
                     "num_key_value_heads": "n_kv_head", "intermediate_size": "d_ffn"}

    def __init__(self, arch="pha", vocab_size=50257, d_model=768, n_layer=10, use_cache=True, **kwargs):
        self.arch, self.vocab_size, self.d_model, self.n_layer = arch, vocab_size, d_model, n_layer
        self.use_cache = use_cache
        if arch not in ("pha", "seq"):
            raise ValueError(f"arch is '{arch}', neither pha nor seq")
        own = dict(OTHERS, **(PARALLEL if arch == "pha" else dict(seq_norm=True)))
        given = kwargs.get("branches") if arch == "pha" else BRANCHES[:2]
        branches = [b for b in BRANCHES if b in (given or BRANCHES)]
        if "attn" in branches:
            own.update(ATTENTION)
        if "gss" in branches:
            own.update(STATE_SPACE)
        for key, default in own.items():
            setattr(self, key, kwargs.pop(key, default))
        self._own = ("arch", "vocab_size", "d_model", "n_layer", *own)
        if arch == "pha":
            self.branches = branches
        if "attn" in branches and self.n_kv_head is None:
            self.n_kv_head = self.n_head
        needed = ["d_ffn"] + ["n_head"] * ("attn" in branches) + ["d_state"] * ("gss" in branches)
        for key in needed + ["d_aux"] * ("aux" in branches):
            if getattr(self, key) is None:
                raise ValueError(f"the configuration has no {key}")
        kwargs.setdefault("tie_word_embeddings", True)
        super().__init__(**kwargs)

    @property
    def parts(self):
        """The branches, side by side in pha, one after the other in seq."""
        return self.branches if self.arch == "pha" else list(BRANCHES[:2])

    @property
    def residual_scale(self):
        return self.alpha or (2 * self.n_layer) ** 0.25

    def reach(self, layer):
        """How many tokens attention of a layer looks back at, its own among them; None: all."""
        window = self.window[layer % len(self.window)] if isinstance(self.window, list) else self.window
        return window or self.local

    def to_dict(self):
        out = super().to_dict()
        for key in list(out):
            if key == "_own" or (out[key] is None and key in self._own and key not in MAY_BE_NULL):
                del out[key]
        return out
