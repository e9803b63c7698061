"""_library.py -- libpha in this process: its functions with their types, failures as exceptions, options by name"""
import ctypes
import ctypes.util
import difflib
import os

from . import _headers as headers

HERE = os.path.dirname(os.path.abspath(__file__))
STOPPED = headers.ENUMS["pha_status"]["PHA_STOPPED"]
STATUS = {value: name[4:].lower() for name, value in headers.ENUMS["pha_status"].items()}


class Error(Exception):
    """A call that failed: str() is the reason, `status` one of usage, bad_input, io, no_memory, no_device, numeric,
    stopped, failed."""

    def __init__(self, code, reason):
        super().__init__(reason)
        self.status = STATUS.get(code, "failed")


def _find():
    """PHA_LIBRARY, that of the package, or that of the system."""
    own = os.path.join(HERE, "prefix", "lib", "libpha.so.0")
    path = os.environ.get("PHA_LIBRARY") or (own if os.path.exists(own) else ctypes.util.find_library("pha"))
    if not path:
        raise ImportError("libpha is neither in the package nor on this system; PHA_LIBRARY names its file")
    return path


lib = ctypes.CDLL(_find())
for _name, (_result, _kinds) in headers.FUNCTIONS.items():
    _function = getattr(lib, _name)
    _function.restype, _function.argtypes = _result, _kinds


def check(code):
    if code:
        raise Error(code, lib.pha_errmsg().decode(errors="replace") or STATUS.get(code, ""))


def path_of(path):
    return os.fsencode(path)


def choice(enum, value):
    """'muon' or PHA_OPTIMIZER_MUON of pha_optimizer, as its number."""
    names = headers.ENUMS[enum]
    found = [n for name, n in names.items() if name.lower().endswith("_" + str(value).lower()) or name == value]
    if isinstance(value, int) and value in names.values():
        return value
    if len(found) != 1:
        raise TypeError(f"'{value}' is none of {', '.join(name.lower() for name in names)}")
    return found[0]


class Held:
    """A list of texts as an array of C, with what has to stay while it is used."""

    def __init__(self, texts):
        self.array = (ctypes.c_char_p * max(len(texts), 1))(*texts)
        self.n = len(texts)


def texts_of(values):
    if isinstance(values, (str, bytes, os.PathLike)):
        values = [values]
    return [path_of(v) if not isinstance(v, bytes) else v for v in values]


def fill(struct, options, zero_off=()):
    """A struct of options from keywords; a list of texts needs its n_ field. Returns what has to stay alive."""
    kinds, held = dict(struct._fields_), []
    for name, value in options.items():
        if name not in kinds or name in ("progress", "user"):
            near = difflib.get_close_matches(name, [k for k in kinds if k not in ("progress", "user")], 1)
            raise TypeError(f"no option '{name}'" + (f"; did you mean {near[0]}?" if near else ""))
        if value is None:
            continue
        if name in struct.enums:
            value = choice(struct.enums[name], value)
        elif "n_" + name in kinds:
            held.append(Held(texts_of(value)))
            setattr(struct, "n_" + name, held[-1].n)
            value = ctypes.cast(held[-1].array, kinds[name])
        elif kinds[name] is ctypes.c_char_p:
            value = path_of(value)
        elif name in zero_off and value == 0:
            value = -1
        setattr(struct, name, value)
    return held


class Progress:
    """Calls `told(progress)` now and then from within a long call, and lets what it raises out of that call."""

    def __init__(self, told, struct):
        self.failure = None

        def call(user, progress):
            try:
                told(ctypes.cast(progress, ctypes.POINTER(headers.pha_progress)).contents)
            except BaseException as failure:  # ctrl-C, too: C has no way for it
                self.failure = failure
                lib.pha_request_stop()

        if told:
            struct.progress = self.function = headers.pha_progress_fn(call)

    def run(self, call):
        lib.pha_clear_stop()
        code = call()
        if self.failure is not None:
            lib.pha_clear_stop()
            raise self.failure
        check(code)


def plain(struct):
    """The numbers of a struct of results, by name."""
    out = {}
    for name, _ in struct._fields_:
        value = getattr(struct, name)
        if isinstance(value, ctypes.Array):
            value = list(value)
        elif isinstance(value, ctypes.Structure):
            value = plain(value)
        elif isinstance(value, bytes):
            value = value.decode(errors="replace")
        out[name] = value
    return out


def take_text(place, size=None):
    """A text that the library gave away."""
    text = ctypes.string_at(place) if size is None else ctypes.string_at(place, size)
    lib.pha_free(place)
    return text
