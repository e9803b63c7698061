#!/usr/bin/env bash
# run.sh -- snapshot tests of the command
#
#   tests/cli/run.sh PHA_BINARY [NAME...]            runs every case, or the named ones
#   tests/cli/run.sh --update PHA_BINARY [NAME...]   rewrites the expectations from what the command does now
#
# A case is NAME.sh with its expectations beside it: NAME.stdout, NAME.stderr (exact; absent: empty), NAME.exit (absent:
# 0). NAME.stdout.glob or NAME.stderr.glob is a shell pattern instead. A case runs in an empty folder with `pha` in PATH
# and no PHA_ variable set.
set -u
update=
if [ "${1-}" = --update ]; then update=1; shift; fi
if [ $# -lt 1 ] || [ ! -x "$1" ]; then
    echo "usage: $0 [--update] PHA_BINARY [NAME...]" >&2
    exit 2
fi
binary=$(realpath "$1"); shift
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" && ln -s "$binary" "$work/bin/pha"
unset ${!PHA_@} NO_COLOR
export PATH="$work/bin:$PATH" LC_ALL=C TERM=dumb

# matches NAME stdout|stderr: compares $work/NAME with the expectation
matches() {
    local got="$work/$2" exact="$here/$1.$2"
    if [ -f "$exact.glob" ]; then
        # shellcheck disable=SC2053
        [[ "$(cat "$got")" == $(cat "$exact.glob") ]] && return 0
        echo "  $2 does not match $(basename "$exact").glob:"; sed 's/^/    /' "$got"
        return 1
    fi
    [ -f "$exact" ] || exact=/dev/null
    cmp -s "$exact" "$got" && return 0
    echo "  $2 differs:"; diff -u "$exact" "$got" | sed 's/^/    /' | head -40
    return 1
}

keep() { # NAME stdout|stderr
    [ -f "$here/$1.$2.glob" ] && return
    if [ -s "$work/$2" ]; then cp "$work/$2" "$here/$1.$2"; else rm -f "$here/$1.$2"; fi
}

passed=0; failed=0
for case in "$here"/*.sh; do
    name=$(basename "$case" .sh)
    [ "$name" = run ] && continue
    if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
    rm -rf "$work/dir" && mkdir "$work/dir"
    (cd "$work/dir" && timeout 120 bash "$case" >"$work/stdout" 2>"$work/stderr" </dev/null); code=$?
    if [ -n "$update" ]; then
        keep "$name" stdout; keep "$name" stderr
        if [ $code -ne 0 ]; then echo $code >"$here/$name.exit"; else rm -f "$here/$name.exit"; fi
    fi
    want=$(cat "$here/$name.exit" 2>/dev/null || echo 0)
    good=1
    report=$(matches "$name" stdout; a=$?; matches "$name" stderr; exit $((a | $?))) || good=
    if [ "$code" != "$want" ]; then good=; report="  exit $code instead of $want"$'\n'"$report"; fi
    if [ -n "$good" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED $name"; echo "$report"; fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
