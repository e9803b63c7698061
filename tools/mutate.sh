#!/bin/sh
# mutate.sh -- are the tests able to fail? Applies each line of tests/ops/mutations.txt to a copy of the sources, builds
# there and expects the tests of that op (or the test program that is named) to fail. Takes some minutes; meant for a
# nightly run.
#
#   tools/mutate.sh [op ...]      only the mutations of these ops or test programs
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
for part in CMakeLists.txt cmake configs include src tests cli tools; do
    if [ -e "$root/$part" ]; then cp -R "$root/$part" "$copy/"; fi
done
# The kernels have one source for all instruction sets: one is enough, and -O1 builds fast.
cmake -S "$copy" -B "$copy/build" -DPHA_BENCH=OFF -DPHA_ISAS=generic -DCMAKE_BUILD_TYPE=Debug >"$copy/log"
build() { cmake --build "$copy/build" --target "$1" -j "${JOBS:-$(nproc)}" >"$copy/log" 2>&1; }
# A test that fails anyway would count as one that notices everything.
for program in test_ops $(grep -o '^test_[a-z_]*' "$root/tests/ops/mutations.txt" | sort -u); do
    case " $* " in "  " | *" $program "*) ;; *) [ "$program" = test_ops ] || continue ;; esac
    build "$program" || { cat "$copy/log"; echo "mutate: the sources do not build"; exit 1; }
    "$copy/build/tests/$program" >"$copy/log" 2>&1 ||
        { cat "$copy/log"; echo "mutate: $program fails without a mutation"; exit 1; }
done

survived=0 number=0
while read -r op file change; do
    case "$op" in '' | '#') continue ;; esac
    if [ $# -gt 0 ]; then
        case " $* " in *" $op "*) ;; *) continue ;; esac
    fi
    number=$((number + 1))
    case "$file" in */*) source=$file ;; *) source="src/ops/$op/$file" ;; esac
    case "$op" in test_*) program=$op only= ;; *) program=test_ops only="$op/*" ;; esac
    sed -i "$change" "$copy/$source"
    if cmp -s "$root/$source" "$copy/$source"; then
        echo "STALE     $op: $change changes nothing; bring tests/ops/mutations.txt up to date"
        survived=$((survived + 1))
    elif ! build "$program"; then
        echo "NO BUILD  $op: $change"
        survived=$((survived + 1))
    elif "$copy/build/tests/$program" ${only:+"$only"} >/dev/null 2>&1; then
        echo "SURVIVED  $op: $change"
        survived=$((survived + 1))
    else
        echo "noticed   $op: $change"
    fi
    cp "$root/$source" "$copy/$source"
done <"$root/tests/ops/mutations.txt"
echo "$number mutations, $survived not noticed"
[ "$survived" -eq 0 ]
