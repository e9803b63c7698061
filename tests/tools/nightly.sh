#!/bin/sh
# nightly.sh -- the script of the night goes on behind a part that fails and says so, and its parts of the mutations are
# all of them, each once
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $*"; cat "$work/said"; exit 1; }

mkdir -p "$work/build/tests"
for program in test_engine:0 test_no_memory:1 test_prepare:0 pha_faulty:0; do
    printf '#!/bin/sh\nexit %s\n' "${program#*:}" >"$work/build/tests/${program%:*}"
    chmod +x "$work/build/tests/${program%:*}"
done
BUILD=$work/build tools/nightly allocations isas >"$work/said" 2>&1 && fail "a part failed, and the night did not"
grep -q '^allocations  FAILED' "$work/said" || fail "the summary says nothing of the part that failed"
grep -q '^isas         ok' "$work/said" || fail "nothing came behind the part that failed"
printf '#!/bin/sh\nexit 77\n' >"$work/build/tests/test_engine" # an instruction set that is not there
BUILD=$work/build tools/nightly isas >"$work/said" 2>&1 || fail "a night without failures fails"
BUILD=$work/build tools/nightly isas dreams >"$work/said" 2>&1 && fail "there is no part dreams"

: >"$work/parts"
for k in 1 2 3 4 5 6 7; do
    MUTATE_SLICE=$k/7 tools/mutate.sh --list >>"$work/parts" || fail "part $k of 7"
done
tools/mutate.sh --list >"$work/whole" && cmp "$work/whole" "$work/parts" || fail "seven parts are not the whole"
[ "$(tools/mutate.sh --list scan test_schedule | cut -d ' ' -f 1 | sort -u | tr '\n' ' ')" = "scan test_schedule " ] ||
    fail "other mutations than those of the names"
for slice in 0/3 4/3 x 1/ /2 1/0 1/2/3 -1/2; do
    MUTATE_SLICE=$slice tools/mutate.sh --list >"$work/said" 2>&1 && fail "$slice is no part"
done
exit 0
