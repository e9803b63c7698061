"""pha -- parallel hybrid language models from Python, over libpha

    import pha

    model = pha.Model("run/model")
    print(model.generate("Once upon a time", max_tokens=50).text)
    with model.session() as session:
        logits = session.feed(model.tokenizer.encode("It was"))       # (V,) float32, of the last token

    pha.prepare("~/books", out="data", vocab_size=8192)
    pha.train(config="books.json", data="data", out="run", steps=200, progress=lambda p: print(p.line.decode()))
    print(pha.evaluate("run/model", "data")["token_ppl"])

Options have the names of the command's and of pha.h; what is left out has the default there. Failures are pha.Error.
"""
import ctypes
import os
import weakref

import numpy as np

from ._library import HERE, Error, Progress, check, fill, headers, lib, path_of, plain, take_text

__all__ = ["Error", "Generated", "Model", "Session", "Tokenizer", "Trainer", "evaluate", "export", "generate", "init",
           "import_from", "inspect", "new", "plan", "prepare", "train", "version"]
IDS = ctypes.POINTER(ctypes.c_int32)


def version():
    return lib.pha_version().decode()


def _ids(ids):
    """As a contiguous array of int32, and its address."""
    array = np.ascontiguousarray(ids, dtype=np.int32).reshape(-1)
    return array, array.ctypes.data_as(IDS)


class _Handle:
    """Something of the library that is closed once: by close(), at the end of a `with`, or when nobody has it."""

    _close = None

    def __init__(self, handle, keep=None):
        self._handle, self._keep = handle, keep  # keep: what must outlive it

    def close(self):
        if getattr(self, "_handle", None) and self._close:
            self._close(self._handle)
        self._handle = None

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.close()

    def __del__(self):
        self.close()

    @property
    def _open(self):
        if not self._handle:
            raise ValueError(f"this {type(self).__name__} is closed")
        return self._handle


class Tokenizer(_Handle):
    """path: a tokenizer.json, a folder that has one (or GPT-2's files), or "bytes"."""

    _close = lib.pha_tokenizer_close

    def __init__(self, path):
        out = ctypes.c_void_p()
        check(lib.pha_tokenizer_open(ctypes.byref(out), path_of(path)))
        super().__init__(out.value)

    def __len__(self):
        return lib.pha_tokenizer_size(self._open)

    @property
    def end(self):
        """The id of the token that ends a document; None: none is known."""
        end = lib.pha_tokenizer_end(self._open)
        return None if end < 0 else end

    def encode(self, text, special=False):
        """Ids (n,) of a str or bytes. special: special tokens in it become their ids."""
        raw = text.encode() if isinstance(text, str) else bytes(text)
        ids, n = IDS(), ctypes.c_size_t()
        check(lib.pha_tokenizer_encode(self._open, raw, len(raw), special, ctypes.byref(ids), ctypes.byref(n)))
        out = np.ctypeslib.as_array(ids, (n.value,)).copy() if n.value else np.empty(0, np.int32)
        lib.pha_free(ids)
        return out

    def decode_bytes(self, ids):
        array, at = _ids(ids)
        text, size = ctypes.c_void_p(), ctypes.c_size_t()
        check(lib.pha_tokenizer_decode(self._open, at, array.size, ctypes.byref(text), ctypes.byref(size)))
        return take_text(text, size.value)

    def decode(self, ids):
        """The text; bytes that are no UTF-8, as at a cut within a character, become U+FFFD."""
        return self.decode_bytes(ids).decode(errors="replace")


class _ModelTokenizer(Tokenizer):
    """A model's own, which lives as long as that."""

    _close = None

    def __init__(self, handle, model):
        _Handle.__init__(self, handle, model)

    @property
    def _open(self):
        return self._keep._open and self._handle


class Model(_Handle):
    """The weights of a folder, read-only; they may be shared between threads."""

    _close = lib.pha_model_close

    def __init__(self, folder):
        out = ctypes.c_void_p()
        check(lib.pha_model_open(ctypes.byref(out), path_of(folder)))
        super().__init__(out.value)
        info = headers.pha_model_info()
        lib.pha_model_get_info(self._handle, ctypes.byref(info))
        self.arch, self.vocab_size = info.arch.decode(), info.vocab_size
        self.d_model, self.n_layer, self.parameters = info.d_model, info.n_layer, info.parameters
        self._sessions = weakref.WeakSet()

    @property
    def tokenizer(self):
        """That of the folder; None: it has none."""
        own = lib.pha_model_tokenizer(self._open)
        return _ModelTokenizer(own, self) if own else None

    def close(self):
        for session in list(getattr(self, "_sessions", ())):  # they don't outlive it
            session.close()
        super().close()

    def session(self, **options):
        """A text to be read and continued: max_context, chunk, threads, weights, cache (pha_session_options)."""
        o = headers.pha_session_options()
        held = fill(o, options)
        out = ctypes.c_void_p()
        check(lib.pha_session_open(ctypes.byref(out), self._open, ctypes.byref(o)))
        del held
        return Session(out.value, self)

    def generate(self, prompt, on_text=None, session=None, **options):
        """Continues a prompt in a session of its own; options as Session.generate."""
        with self.session(**(session or {})) as s:
            return s.generate(prompt, on_text=on_text, **options)


class Generated:
    """What was generated: text, tokens (ids), end ("max_tokens", "end", "stop", "callback", "full", "stopped"), and
    the numbers of pha_generate_result."""

    ENDS = ("max_tokens", "end", "stop", "callback", "full", "stopped")

    def __init__(self, text, tokens, result):
        self.text, self.tokens, self.end = text, np.array(tokens, np.int32), self.ENDS[result.end]
        self.prompt_tokens, self.new_tokens = result.prompt_tokens, result.new_tokens
        self.prompt_seconds, self.new_seconds = result.prompt_seconds, result.new_seconds

    def __str__(self):
        return self.text


class Session(_Handle):
    """The state of one text; one thread at a time. However a text is cut into calls, the bits are the same."""

    _close = lib.pha_session_close

    def __init__(self, handle, model):
        super().__init__(handle, model)
        model._sessions.add(self)

    def _logits(self, rows):
        return np.empty((rows, self._model.vocab_size), np.float32)

    @property
    def _model(self):
        return self._keep

    def _given(self, text):
        if isinstance(text, (str, bytes)):
            tokenizer = self._model.tokenizer
            if tokenizer is None:
                raise ValueError("the model has no tokenizer; give ids")
            text = tokenizer.encode(text)
        return _ids(text)

    def feed(self, ids):
        """Reads ids (or a text): logits (V,) of the last one."""
        array, at = self._given(ids)
        logits = ctypes.POINTER(ctypes.c_float)()
        check(lib.pha_session_feed(self._open, at, array.size, ctypes.byref(logits)))
        return np.ctypeslib.as_array(logits, (self._model.vocab_size,)).copy()

    def read(self, ids):
        """As feed, without logits, which costs less."""
        array, at = self._given(ids)
        check(lib.pha_session_read(self._open, at, array.size))

    def score(self, ids):
        """As feed: logits (n, V) of all of them."""
        array, at = self._given(ids)
        out = self._logits(array.size)
        check(lib.pha_session_score(self._open, at, array.size, out.ctypes.data_as(ctypes.POINTER(ctypes.c_float))))
        return out

    @property
    def position(self):
        """Tokens read so far."""
        return lib.pha_session_position(self._open)

    @property
    def state_bytes(self):
        return lib.pha_session_state_bytes(self._open)

    def reset(self):
        lib.pha_session_reset(self._open)

    def rewind(self, position):
        """Back to the first `position` tokens, to the bit."""
        check(lib.pha_session_rewind(self._open, position))

    def fork(self):
        """A new session at the same place."""
        out = ctypes.c_void_p()
        check(lib.pha_session_fork(ctypes.byref(out), self._open))
        return Session(out.value, self._model)

    def save(self, path):
        check(lib.pha_session_save(self._open, path_of(path)))

    def load(self, path):
        check(lib.pha_session_load(self._open, path_of(path)))

    def generate(self, prompt="", on_text=None, stop=(), **options):
        """Reads the prompt and continues it. on_text(text): pieces as they come; False ends it. Options: max_tokens,
        temperature (0, the default, is the likeliest token), top_k, top_p, min_p, repetition_penalty, seed, ...
        (pha_generate_options, pha_sample_options)."""
        o, result = headers.pha_generate_options(), headers.pha_generate_result()
        kinds = dict(o._fields_)
        sampling = {name for name, _ in headers.pha_sample_options._fields_}
        fill(o.sample, {k: v for k, v in options.items() if k in sampling})
        held = fill(o, dict({k: v for k, v in options.items() if k not in sampling}, stop=stop))
        pieces, tokens, failure = [], [], []

        def text(user, data, size):
            try:
                pieces.append(ctypes.string_at(data, size))
                return on_text is None or on_text(pieces[-1].decode(errors="replace")) is not False
            except BaseException as e:
                failure.append(e)
                return False

        o.text, o.token = kinds["text"](text), kinds["token"](lambda user, id: tokens.append(id))
        raw = prompt.encode() if isinstance(prompt, str) else bytes(prompt)
        code = lib.pha_generate(self._open, raw, len(raw), ctypes.byref(o), ctypes.byref(result))
        del held
        if failure:
            raise failure[0]
        check(code)
        return Generated(b"".join(pieces).decode(errors="replace"), tokens, result)


# ---- work on folders -------------------------------------------------------------------------------------------------


def _preset(config):
    """The file of a configuration that comes with pha, by its name."""
    own = os.path.join(HERE, "prefix", "share", "pha", "configs", f"{os.fspath(config)}.json")
    return own if os.sep not in os.fspath(config) and os.path.exists(own) and not os.path.exists(config) else config


def _call(name, struct, options, progress, result=None, zero_off=()):
    held, told = fill(struct, options, zero_off), Progress(progress, struct)
    told.run(lambda: getattr(lib, name)(ctypes.byref(struct), ctypes.byref(result) if result is not None else None))
    del held
    return plain(result) if result is not None else None


def _paths(inputs):
    inputs = [inputs] if isinstance(inputs, (str, os.PathLike)) else inputs
    return [os.path.expanduser(os.fspath(i)) for i in inputs]


def prepare(inputs, out, progress=None, **options):
    """Text into a data folder (pha_prepare): tokenizer, vocab_size, valid, test, valid_fraction, end_token, seed, ..."""
    return _call("pha_prepare", headers.pha_prepare_options(), dict(options, inputs=_paths(inputs), out=out), progress,
                 headers.pha_prepare_result())


def plan(inputs, progress=None, **options):
    """What `new` would do and what is expected of it (pha_new_plan); writes nothing."""
    o, out = headers.pha_new_options(), headers.pha_plan()
    return _call("pha_new_plan", o, dict(options, inputs=_paths(inputs)), progress, out)


def new(inputs, out, progress=None, **options):
    """A model of your own text in out/model (pha_new): minutes, most_steps, seed, threads. The same call goes on where
    an earlier one was stopped. The result has the plan under "plan"."""
    return _call("pha_new", headers.pha_new_options(), dict(options, inputs=_paths(inputs), out=os.path.expanduser(out)),
                 progress, headers.pha_new_result())


def train(data, out, config=None, progress=None, **options):
    """Trains into a run folder (pha_train): init_from, resume, steps, epochs, batch, context, lr, schedule, ...; 0 means
    0. progress(p) is called now and then with p.phase, p.done, p.total, p.rate, p.seconds_left and p.line; what it
    raises, and ctrl-C, ends the run with a good checkpoint."""
    if config is not None:
        options["config"] = _preset(config)
    return _call("pha_train", headers.pha_train_options(), dict(options, data=data, out=out), progress,
                 headers.pha_train_result(), headers.ZERO_OFF)


def evaluate(model, data, progress=None, **options):
    """Perplexities of a split (pha_eval): split, context, mode, max_tokens, precision, weights, ..."""
    return _call("pha_eval", headers.pha_eval_options(), dict(options, model=model, data=data), progress,
                 headers.pha_eval_result())


class Trainer(_Handle):
    """Training one step at a time, without a run folder; options as train."""

    _close = lib.pha_trainer_close

    def __init__(self, data, config=None, **options):
        o, out = headers.pha_train_options(), ctypes.c_void_p()
        if config is not None:
            options["config"] = _preset(config)
        held = fill(o, dict(options, data=data), headers.ZERO_OFF)
        check(lib.pha_trainer_open(ctypes.byref(out), ctypes.byref(o)))
        del held
        super().__init__(out.value)

    def step(self):
        """The next batch: loss (before the update), gradient_norm, lr, seconds, tokens, step, skipped."""
        step = headers.pha_step()
        check(lib.pha_trainer_step(self._open, ctypes.byref(step)))
        return plain(step)

    def save(self, folder):
        check(lib.pha_trainer_save(self._open, path_of(folder)))

    def load(self, folder):
        check(lib.pha_trainer_load(self._open, path_of(folder)))

    def save_model(self, folder):
        check(lib.pha_trainer_save_model(self._open, path_of(folder)))


def init(config, out, tokenizer=None, seed=0):
    """An untrained model folder."""
    check(lib.pha_model_init(path_of(_preset(config)), seed, None if tokenizer is None else path_of(tokenizer),
                             path_of(out)))


def export(model, out, to="hf", eval=None):
    """A model as other programs read it (pha_export): to = "hf" or "gpt2"."""
    o = headers.pha_export_options()
    fill(o, dict(model=model, out=out, format=to, eval=eval))
    check(lib.pha_export(ctypes.byref(o)))


def import_from(source, out, tokenizer=None, valid=(), test=()):
    """What another program wrote, as a folder of pha (pha_import): a model, a tokenizer, or token files."""
    o, r = headers.pha_import_options(), headers.pha_import_result()
    held = fill(o, {"from": source, "valid": valid, "test": test, "tokenizer": tokenizer, "out": out})
    check(lib.pha_import(ctypes.byref(o), ctypes.byref(r)))
    del held
    return plain(r)


def inspect(model, what="summary", **options):
    """A view of a model or configuration as text: summary, mixing, program, memory (pha_inspect)."""
    o, text = headers.pha_inspect_options(), ctypes.c_void_p()
    held = fill(o, dict(options, model=_preset(model), what=what))
    check(lib.pha_inspect(ctypes.byref(o), ctypes.byref(text)))
    del held
    return take_text(text).decode(errors="replace")


def generate(model, prompt, **options):
    """The text of Model(model).generate(prompt)."""
    with Model(model) as m:
        return m.generate(prompt, **options).text
