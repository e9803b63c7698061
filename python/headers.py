"""headers.py -- what ctypes has to know of libpha, out of its headers: enums, structs, functions

    headers.py INCLUDE_FOLDER >pha/_headers.py

The compiler's preprocessor makes plain C of pha.h, in which declarations are simple enough to be read here.
"""
import os
import re
import subprocess
import sys

PLAIN = {"void": "None", "char": "c_char", "int": "c_int", "bool": "c_bool", "_Bool": "c_bool", "float": "c_float",
         "double": "c_double", "size_t": "c_size_t", "int32_t": "c_int32", "uint32_t": "c_uint32",
         "int64_t": "c_int64", "uint64_t": "c_uint64"}


def preprocessed(include):
    cc = os.environ.get("CC", "cc")
    text = subprocess.run([cc, "-E", "-P", "-I", include, os.path.join(include, "pha.h")], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    text = re.sub(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)", "", text)
    return re.sub(r"\s+", " ", text)


def declarations(text):
    """The declarations at the outermost level, without what stands between braces."""
    out, depth, begin = [], 0, 0
    for i, c in enumerate(text):
        depth += (c == "{") - (c == "}")
        if c == ";" and depth == 0:
            out.append(text[begin:i].strip())
            begin = i + 1
    return out


class Reader:
    def __init__(self):
        self.enums, self.structs, self.callbacks, self.functions, self.opaque = {}, {}, {}, {}, set()

    def type_of(self, text, in_struct=False):
        """ctypes' name of a C type without the name of what has it."""
        stars = text.count("*")
        name = re.sub(r"\b(const|struct|enum)\b|\*", " ", text).strip()
        if stars == 0:
            if name in self.enums:
                return "c_int"
            return PLAIN[name] if name in PLAIN else self.struct(name)
        if name in self.callbacks and stars == 1:
            return name
        if name == "char" and stars == 2:  # a list of texts, or a place for a text
            return "POINTER(c_char_p)" if "const" in text else "POINTER(c_void_p)"
        if name == "char":
            return "c_char_p"
        if name in PLAIN and name != "void" and not in_struct:
            return "POINTER(" * stars + PLAIN[name] + ")" * stars
        return "c_void_p" if stars == 1 else "POINTER(c_void_p)"

    def struct(self, name):
        if name not in self.structs:
            raise SystemExit(f"headers.py: what is '{name}'?")
        return name

    def callback(self, result, arguments):
        kinds = [self.type_of(self.unnamed(a)) for a in self.split(arguments)]
        kinds = ["c_void_p" if kind == "c_char_p" else kind for kind in kinds]  # texts with a size, and any bytes
        return f"CFUNCTYPE({', '.join([self.type_of(result), *kinds])})"

    @staticmethod
    def split(arguments):
        parts = [a.strip() for a in arguments.split(",")]
        return [] if parts in ([""], ["void"]) else parts

    @staticmethod
    def unnamed(argument):
        """The type of a parameter."""
        argument = re.sub(r"\[[^\]]*\]", "*", argument)
        return re.sub(r"\b(?!const\b)\w+$", "", argument) if len(re.findall(r"\w+", argument)) > 1 + (
            "const" in argument) + ("struct" in argument) else argument

    def members(self, body):
        out = []
        for line in (m.strip() for m in body.split(";")):
            if not line:
                continue
            function = re.fullmatch(r"(.+?)\(\s*\*\s*(\w+)\s*\)\s*\((.*)\)", line)
            if function:
                out.append((function[2], self.callback(function[1], function[3]), None))
                continue
            first, *more = line.split(",")
            base = re.match(r"((?:const |struct )*\w+)(?=[\s*])", first)[1]
            for declarator in [first[len(base):], *more]:
                name, size = re.search(r"(\w+)\s*(?:\[(\w+)\])?$", declarator.strip()).groups()
                kind = self.type_of(base + "*" * declarator.count("*"), True)
                enum = base if base in self.enums and "*" not in declarator else None
                out.append((name, f"{kind} * {size}" if size else kind, enum))
        return out

    def read(self, text):
        if m := re.fullmatch(r"typedef enum (pha_\w+) \{(.*)\} \1", text):
            value, self.enums[m[1]] = -1, {}
            for item in filter(None, (i.strip() for i in m[2].split(","))):
                name, _, given = (p.strip() for p in item.partition("="))
                value = int(given, 0) if given else value + 1
                self.enums[m[1]][name] = value
        elif m := re.fullmatch(r"typedef struct (pha_\w+) \{(.*)\} \1", text) or \
                re.fullmatch(r"struct (pha_\w+) \{(.*)\}", text):
            self.structs[m[1]] = self.members(m[2])
        elif m := re.fullmatch(r"typedef struct (pha_\w+) \1", text):
            self.opaque.add(m[1])
        elif m := re.fullmatch(r"typedef (.+?)(pha_\w+)\s*\((.*)\)", text):
            self.callbacks[m[2]] = self.callback(m[1], m[3])
        elif m := re.fullmatch(r"(?!typedef)(.+?)\b(pha_\w+)\s*\((.*)\)", text):
            kinds = [self.type_of(self.unnamed(a)) for a in self.split(m[3])]
            self.functions[m[2]] = (self.type_of(m[1]), kinds, m[1].strip())
        elif re.match(r"(typedef )?(struct|enum) pha_", text):
            raise SystemExit(f"headers.py: cannot read {text[:80]}")


def switched_off_by_zero(include):
    """Options of training of which 0 means "none": in the struct that is a negative number."""
    with open(os.path.join(include, "pha_train.def")) as f:
        return re.findall(r"OPTION\((\w+),(?:(?!OPTION\().)*?\.zero_off = true", f.read(), re.S)


def main(include):
    r = Reader()
    for text in declarations(preprocessed(include)):
        r.read(text.strip())
    print('"""Made by headers.py out of the headers of libpha: do not edit."""\nfrom ctypes import *  # noqa: F403\n')
    for name, kind in r.callbacks.items():
        print(f"{name} = {kind}")
    for name, members in r.structs.items():
        print(f"\n\nclass {name}(Structure):\n    _fields_ = [")
        for member, kind, _ in members:
            print(f'        ("{member}", {kind}),')
        print("    ]")
        enums = {member: enum for member, _, enum in members if enum}
        print(f"    enums = {enums!r}")
    print(f"\n\nENUMS = {r.enums!r}\nFUNCTIONS = {{")
    for name, (result, kinds, _) in r.functions.items():
        print(f'    "{name}": ({result}, [{", ".join(kinds)}]),')
    print(f"}}\nZERO_OFF = {switched_off_by_zero(include)!r}")


if __name__ == "__main__":
    main(sys.argv[1])
