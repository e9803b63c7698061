#!/bin/sh
# mutate.sh -- are the tests able to fail? Applies each line of tests/*/mutations.txt to a copy of the sources, builds
# there and expects the tests of that op (or the test program that is named) to fail. All of them take some ten hours on
# two cores; tools/nightly makes a tenth.
#
#   tools/mutate.sh [op ...]             only the mutations of these ops or test programs
#   MUTATE_SLICE=2/10 tools/mutate.sh    the second of ten parts of them
#   tools/mutate.sh --list [op ...]      says which they are, and makes none
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
list_only=
if [ "${1-}" = --list ]; then list_only=1 && shift; fi
slice=${MUTATE_SLICE:-1/1}
case "$slice" in
*[!0-9/]* | */*/* | /* | */ | 0* | */0*) bad=1 ;;
*/*) bad=$((${slice%/*} > ${slice#*/})) ;;
*) bad=1 ;;
esac
if [ "$bad" = 1 ]; then echo "mutate: MUTATE_SLICE=$slice is none of 1/n to n/n" >&2 && exit 2; fi
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
wanted=" $* "
cat "$root"/tests/*/mutations.txt | while read -r op file change; do
    case "$op" in '' | '#'*) continue ;; esac
    case "$wanted" in "  " | *" $op "*) printf "%s\n" "$op $file $change" ;; esac
done | sort -s -k 1,1 >"$copy/all"
# A part is a stretch of the list in order of ops and programs, so that it builds few of them.
awk -v k="${slice%/*}" -v n="${slice#*/}" '{ line[NR] = $0 } END {
    for (i = int((k - 1) * NR / n) + 1; i <= int(k * NR / n); i++) print line[i] }' "$copy/all" >"$copy/list"
if [ -n "$list_only" ]; then cat "$copy/list" && exit 0; fi
for part in CMakeLists.txt cmake configs include src tests cli tools; do
    if [ -e "$root/$part" ]; then cp -R "$root/$part" "$copy/"; fi
done
program_of() { case "$1" in test_*) echo "$1" ;; *) echo test_ops ;; esac }
only_of() { case "$1" in test_*) ;; *) echo "$1/*" ;; esac }

# The kernels have one source for all instruction sets: one is enough, and -O1 builds fast.
if command -v ninja >/dev/null; then set -- -G Ninja; else set --; fi
if command -v ccache >/dev/null; then set -- "$@" -DCMAKE_C_COMPILER_LAUNCHER=ccache; fi
cmake -S "$copy" -B "$copy/build" "$@" -DPHA_BENCH=OFF -DPHA_ISAS=generic -DCMAKE_BUILD_TYPE=Debug >"$copy/log"
build() { cmake --build "$copy/build" --target "$1" -j "${JOBS:-$(nproc)}" >"$copy/log" 2>&1; }
# The emulated card, and the library of products that it multiplies with.
export PHA_CUBLASLT="$copy/build/tests/libpha_cuda_lt.so" PHA_TEST_PLUGIN="$copy/build/tests/libpha-cuda-emulated.so"
export PHA_CUDA_PLUGIN="$PHA_TEST_PLUGIN" PHA_NCCL="$copy/build/tests/libpha_cuda_nccl.so"
# A test that hangs has noticed, too.
passes() { timeout 600 "$copy/build/tests/$@" >"$copy/log" 2>&1; }
# A test that fails anyway would count as one that notices everything.
for op in $(cut -d ' ' -f 1 <"$copy/list" | sort -u); do
    program=$(program_of "$op") only=$(only_of "$op")
    build "$program" || { cat "$copy/log"; echo "mutate: the sources do not build"; exit 1; }
    passes "$program" ${only:+"$only"} || { cat "$copy/log"; echo "mutate: $op fails without a mutation"; exit 1; }
done

survived=0 number=0
while read -r op file change; do
    number=$((number + 1))
    program=$(program_of "$op") only=$(only_of "$op")
    case "$file" in */*) source=$file ;; *) source="src/ops/$op/$file" ;; esac
    cp "$copy/$source" "$copy/whole" # not that of the root, which may have been edited since
    sed -i "$change" "$copy/$source"
    if cmp -s "$copy/whole" "$copy/$source"; then
        echo "STALE     $op: $change changes nothing in $source; bring its list up to date"
        survived=$((survived + 1))
    elif ! build "$program"; then
        echo "NO BUILD  $op: $change"
        survived=$((survived + 1))
    elif passes "$program" ${only:+"$only"}; then
        echo "SURVIVED  $op: $change"
        survived=$((survived + 1))
    else
        echo "noticed   $op: $change"
    fi
    cp "$copy/whole" "$copy/$source"
done <"$copy/list"
echo "$number mutations (part $slice), $survived not noticed"
[ "$survived" -eq 0 ]
