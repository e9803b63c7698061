#!/usr/bin/env python3
"""from_text.py -- tasks of two forms made of prose, for `pha eval --task`

    from_text.py --out DIR [--items 500] [--seed 1] BOOK.txt ...
    zstd -dc BOOK.txt.zst | from_text.py --out DIR -

DIR/last-word.jsonl: passages of about 60 to 120 words that end with a sentence, whose last word stands in the passage
before it and is none of the commonest (the form of LAMBADA: {"text"}). DIR/continuation.jsonl: three sentences, and of
four sentences the one that follows them; the others are from elsewhere in the same book and about as long
({"context", "choices", "label"}). The same texts and seed give the same files. Needs Python 3 alone.
"""
import argparse
import collections
import json
import os
import random
import re
import sys

WORDS = (60, 120)
COMMONEST = 150  # words that are never asked for


def paragraphs(text):
    for part in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        part = " ".join(part.split())
        if len(part) > 40:
            yield part


def sentences(paragraph):
    return [s for s in re.split(r"(?<=[.!?]) (?=[A-Z])", paragraph) if s]


def word_of(s):
    m = re.search(r"([A-Za-z]{3,})[.!?]$", s)
    return m and m.group(1)


def last_word(book, common):
    """Passages of whole sentences, none of which is in two of them."""
    out, passage = [], []
    for s in (s for paragraph in book for s in sentences(paragraph)):
        passage.append(s)
        while sum(len(x.split()) for x in passage) > WORDS[1]:
            passage.pop(0)
        word = word_of(s)
        if sum(len(x.split()) for x in passage) < WORDS[0] or not word or word.lower() in common:
            continue
        before = " ".join(passage)[: -len(word) - 1]
        if re.search(rf"\b{word}\b", before):
            out.append({"text": before + word})
            passage = []
    return out


def continuation(book, rng):
    whole = [sentences(p) for p in book]
    every = [s for p in whole for s in p if 6 <= len(s.split()) <= 40]
    by_length = collections.defaultdict(list)
    for s in every:
        by_length[len(s.split()) // 4].append(s)
    out = []
    for p in whole:
        for i in range(0, len(p) - 3, 4):
            true = p[i + 3]
            like = by_length[len(true.split()) // 4]
            if not 6 <= len(true.split()) <= 40 or len(set(like)) < 8:
                continue
            choices = {true}
            while len(choices) < 4:
                choices.add(rng.choice(like))
            choices = sorted(choices)
            rng.shuffle(choices)
            out.append({"context": " ".join(p[i : i + 3]), "choices": choices, "label": choices.index(true)})
    return out


def write(path, items, n, rng):
    if len(items) < n:
        print(f"{path}: the text gives {len(items)} items, not {n}", file=sys.stderr)
    with open(path, "w", encoding="utf-8") as f:
        for item in rng.sample(items, min(n, len(items))):
            f.write(json.dumps(item) + "\n")


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("books", nargs="+", help="plain text, - for what comes in")
    a.add_argument("--out", required=True)
    a.add_argument("--items", type=int, default=500)
    a.add_argument("--seed", type=int, default=1)
    a = a.parse_args()
    rng, words, choices = random.Random(a.seed), [], []
    for name in a.books:
        text = sys.stdin.read() if name == "-" else open(name, encoding="utf-8").read()
        book = list(paragraphs(text))
        count = collections.Counter(w.lower() for p in book for w in re.findall(r"[A-Za-z]+", p))
        words += last_word(book, {w for w, _ in count.most_common(COMMONEST)})
        choices += continuation(book, rng)
    os.makedirs(a.out, exist_ok=True)
    write(os.path.join(a.out, "last-word.jsonl"), words, a.items, rng)
    write(os.path.join(a.out, "continuation.jsonl"), choices, a.items, rng)


if __name__ == "__main__":
    main()
