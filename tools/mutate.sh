#!/bin/sh
# mutate.sh -- are the op tests able to fail? Applies each line of tests/ops/mutations.txt to a copy of the sources,
# builds test_ops there and expects the tests of that op to fail. Takes some minutes; meant for a nightly run.
#
#   tools/mutate.sh [op ...]      only the mutations of these ops
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
for part in CMakeLists.txt cmake configs include src tests cli tools; do
    if [ -e "$root/$part" ]; then cp -R "$root/$part" "$copy/"; fi
done
# The kernels have one source for all instruction sets: one is enough, and -O1 builds fast.
cmake -S "$copy" -B "$copy/build" -DPHA_BENCH=OFF -DPHA_ISAS=generic -DCMAKE_BUILD_TYPE=Debug >"$copy/log"
build() { cmake --build "$copy/build" --target test_ops -j "$(nproc)" >"$copy/log" 2>&1; }
build || { cat "$copy/log"; echo "mutate: the sources do not build"; exit 1; }
# A test that fails anyway would count as one that notices everything.
"$copy/build/tests/test_ops" >"$copy/log" 2>&1 ||
    { cat "$copy/log"; echo "mutate: test_ops fails without a mutation"; exit 1; }

survived=0 number=0
while read -r op file change; do
    case "$op" in '' | '#') continue ;; esac
    if [ $# -gt 0 ]; then
        case " $* " in *" $op "*) ;; *) continue ;; esac
    fi
    number=$((number + 1))
    source="src/ops/$op/$file"
    sed -i "$change" "$copy/$source"
    if cmp -s "$root/$source" "$copy/$source"; then
        echo "STALE     $op: $change changes nothing; bring tests/ops/mutations.txt up to date"
        survived=$((survived + 1))
    elif ! build; then
        echo "NO BUILD  $op: $change"
        survived=$((survived + 1))
    elif "$copy/build/tests/test_ops" "$op/*" >/dev/null 2>&1; then
        echo "SURVIVED  $op: $change"
        survived=$((survived + 1))
    else
        echo "noticed   $op: $change"
    fi
    cp "$root/$source" "$copy/$source"
done <"$root/tests/ops/mutations.txt"
echo "$number mutations, $survived not noticed"
[ "$survived" -eq 0 ]
