#!/bin/sh
# examples.sh BUILD SOURCE -- runs every example on a small text; each stays under 80 lines
set -eu
build=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for f in "$source"/examples/*.c; do
    [ "$(wc -l <"$f")" -lt 80 ] || { echo "$f has 80 lines or more"; exit 1; }
done
cat "$source"/docs/*.md "$source"/README.md "$source"/src/*/*.h >"$work/text.txt"
mkdir "$work/out"
"$build/01_train" "$work/text.txt" "$source/configs/quickstart.json" "$work/out"
"$build/02_generate" "$work/out/model" "The program" >"$work/a"
"$build/02_generate" "$work/out/model" "The program" >"$work/b"
cat "$work/a"
[ "$(sed '$d' "$work/a")" = "$(sed '$d' "$work/b")" ] || { echo "the same seed gave another text"; exit 1; }
"$build/03_stream" "$work/out/model" "Reading it in one piece gives the same."
"$build/04_many" "$work/out/model" "The program" "A session" "One more" >"$work/three"
cat "$work/three"
[ "$("$build/04_many" "$work/out/model" "A session" | cut -d: -f2-)" = "$(sed -n 's/^2://p' "$work/three")" ] ||
    { echo "a text among others went on in another way"; exit 1; }
if "$build/02_generate" "$work/nothing" x 2>"$work/error"; then echo "a missing model must fail"; exit 1; fi
grep -q nothing "$work/error"
