#!/usr/bin/env python3
"""Writes tokenizer.json files built like those of released models, with GPT-2's vocabulary in them.

    python3 tests/golden/tokenizers_kinds.py GPT2_FOLDER OUT_FOLDER

GPT2_FOLDER has vocab.bpe and encoder.json. Each OUT_FOLDER/NAME.json can then be compared with tokenizers_compare.py.
"""
import json
import os
import sys

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)"
          r"|\s+")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
             r"|\s*[\r\n]+|\s+(?!\S)|\s+")
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?"
          r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")


def byte_level(prefix=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


def digits(each):
    return {"type": "Digits", "individual_digits": each}


def added(id, content, special=True, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": not special, "special": special, **flags}


END = added(50256, "<|endoftext|>")
NFC = {"type": "NFC"}
KINDS = {
    "gpt2": {},
    "neox": {"normalizer": NFC, "added": [END, added(50257, "        ", False), added(50258, "    ", False),
                                          added(50259, "  ", False), added(50260, "caf\u00e9", False)]},
    "nfd": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "NFD"}]}},
    "nfkd": {"normalizer": {"type": "NFKD"}},
    "llama3": {"pre": sequence(split(LLAMA3), byte_level(regex=False)), "model": {"ignore_merges": True},
               "added": [END, added(60000, "<|begin_of_text|>"), added(60009, "<|eot_id|>")],
               "post_processor": {"type": "TemplateProcessing", "single": [
                   {"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                   "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                   "special_tokens": {"<|begin_of_text|>": {
                       "id": "<|begin_of_text|>", "ids": [60000], "tokens": ["<|begin_of_text|>"]}}}},
    "qwen2": {"normalizer": NFC, "pre": sequence(split(QWEN2), byte_level(regex=False))},
    "cl100k": {"pre": sequence(split(CL100K, "Removed", True), byte_level(regex=False)),
               "added": [END, added(50276, "<|endofprompt|>")]},
    "o200k": {"pre": sequence(split(O200K), byte_level(regex=False))},
    "tekken": {"pre": sequence(split(TEKKEN), byte_level(regex=False))},
    "starcoder": {"pre": sequence(digits(True), byte_level())},
    "digits": {"pre": sequence(digits(False), byte_level(True))},
    "falcon": {"pre": sequence({"type": "Punctuation", "behavior": "Contiguous"}, byte_level(), digits(False),
                               split("[0-9][0-9][0-9]"))},
    "deepseek3": {"normalizer": {"type": "Sequence", "normalizers": []},
                  "pre": sequence(split(r"\p{N}{1,3}"), split("[一-龥\u3040-ゟ゠-ヿ]+"), split(DEEPSEEK3),
                                  byte_level(regex=False))},
    "deepseek1": {"pre": sequence(split(r"[\r\n]"), split(r"\s?[A-Za-zµÀ-ÖØ-öø-ƺ]+"),
                                  split(r"\s?[!-/:-~！-／：-～‘-‟\u3000-。]+"), split(r"\s+$"),
                                  split("[一-龥ࠀ-一가-퟿]+"), digits(True), byte_level(regex=False))},
    "bloom": {"pre": sequence(split(BLOOM), byte_level(regex=False))},
    "roberta": {"pre": byte_level(True), "added": [END, added(50257, "<mask>", lstrip=True),
                                                   added(50258, "of the", False, single_word=True),
                                                   added(50259, "[X]", False, rstrip=True, lstrip=True)]},
    "previous": {"pre": sequence(split(r"\p{P}", "MergedWithPrevious"), byte_level(regex=False))},
    "next": {"pre": sequence(split(" ", "MergedWithNext", kind="String"), byte_level(regex=False))},
    "inverted": {"pre": sequence(split(r"\w+", "MergedWithNext", True),
                                 split(r"[\w']+\b", "Contiguous", True), byte_level(regex=False))},
    "previous, several": {"pre": sequence(split(r"\.", "MergedWithPrevious"), byte_level(regex=False))},
    "next, several": {"pre": sequence(split(r"\w", "MergedWithNext", True), byte_level(regex=False))},
    "removed": {"pre": sequence(split(r"\s", "Removed"), byte_level(True, False))},
    "none": {"pre": byte_level(regex=False)},
}
GAPS = ("llama3", "cl100k")


def main():
    source, out = sys.argv[1:3]
    with open(os.path.join(source, "encoder.json"), encoding="utf-8") as f:
        vocab = json.load(f)
    with open(os.path.join(source, "vocab.bpe"), encoding="utf-8") as f:
        merges = [line for line in f.read().split("\n")[1:] if line]
    os.makedirs(out, exist_ok=True)
    for name, kind in KINDS.items():
        words = vocab
        pairs = [m.split(" ") for m in merges] if name == "qwen2" else merges
        if name in GAPS:  # the package numbers added tokens anew unless the vocabulary has them, too
            words = {**vocab, **{a["content"]: a["id"] for a in kind["added"]}}
        file = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": kind.get("added", [END]),
                "normalizer": kind.get("normalizer"), "pre_tokenizer": kind.get("pre", byte_level()),
                "post_processor": kind.get("post_processor"), "decoder": byte_level(),
                "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                          "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                          **kind.get("model", {}), "vocab": words, "merges": pairs}}
        with open(os.path.join(out, name + ".json"), "w", encoding="utf-8") as f:
            json.dump(file, f, ensure_ascii=False)


if __name__ == "__main__":
    main()
