#!/usr/bin/env bash
# run.sh -- kills, full disks, failing system calls and failing allocations under the commands that write folders
#
#   tests/faults/run.sh PHA_FAULTY           a sample, for every check
#   tests/faults/run.sh PHA_FAULTY --whole   every place, and then as --calls (tools/nightly)
#   tests/faults/run.sh PHA_FAULTY --calls   failing system calls of any kind, put there by strace
#
# PHA_FAULTY is the command linked with tests/support/faults.c. After each fault what was there before or what was to be
# made is there, whole, as who reads it next sees it; the same command again succeeds, leaves nothing behind, and what
# it makes has the same bits as without a fault.
set -u
pha=$(realpath "$1") whole=${2-}
work=$(mktemp -d "${TMPDIR:-/tmp}/pha-faults-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
unset ${!PHA_@}
export LC_ALL=C
tried=0

fail() { echo "FAILED: $*"; cat said; exit 1; }
# How long something took is not among the bits.
bits() {
    [ -d "$1" ] && (cd "$1" && for f in *; do echo "$f"; [ -d "$f" ] || sed '/^ *"seconds": /d' "$f"; done) | sha256sum
}

# What lies beside and is nobody's.
nothing_left() {
    found=$(find . -path ./half -prune -o \( -name '*.pha-tmp' -o -name '*.writing' -o -name '*.partial' -o \
        -name '*.lock' -o -name lock -o -name '*.replaced' -o -name '*.removed' -o -name '*.new' -o -name .model.average \) -print | head -3)
    [ -z "$found" ] || fail "$* left $found"
}

# ---- what is tried ----

config='{"arch": "pha", "d_model": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 1, "d_ffn": 32, "branches": ["attn"]'
echo "$config}" >tiny.json
echo "$config, \"vocab_size\": 257}" >sized.json
echo '{"arch": "gpt2", "d_model": 16, "n_layer": 1, "n_head": 2, "d_ffn": 32, "vocab_size": 257}' >gpt2.json
seq 1 1500 >text.txt
seq 1 700 >other.txt
prepare() { "$@" prepare text.txt --tokenizer bytes --valid other.txt --test-fraction 0 --quiet --threads 1 --out data; }
other_data() { "$pha" prepare other.txt --tokenizer bytes --valid text.txt --test-fraction 0 --quiet --out data; }
init() { "$@" init --config sized.json --seed 1 --tokenizer bytes --out model; }
average() { "$@" average one two --out model; }
as_gpt2() { "$@" export --model gpt2 --out model; }
smaller() { "$@" quantize --model one --to q8 --out model --threads 1 --quiet; }
imported() { "$@" import --from hub --out model; }
other_model() { "$pha" init --config sized.json --seed 9 --out model; }
nothing() { :; }
train() {
    "$@" train --config tiny.json --data basis -T 24 -b 4 -n 6 --eval-every 2 --eval-tokens 100 --keep-best 1 \
        --average-best 2 --threads 1 --quiet --out run
}
resume() { "$@" train --resume --out run --quiet; }
lab() { "$@" lab copy --model tiny.json -T 6 -n 2,3 --steps 2 -b 1 --tests 2 --threads 1 --quiet --out cells; }
lab_of_one() { "$pha" lab copy --model tiny.json -T 6 -n 2 --steps 2 -b 1 --tests 2 --threads 1 --quiet --out cells; }
half_a_run() { cp -r half run; }

# How a folder is read, which also puts back what a killed command left aside.
reads() {
    case $1 in
    data) "$pha" eval --model one --data data --max-tokens 50 >/dev/null 2>said ;;
    model) "$pha" inspect model >/dev/null 2>said ;;
    esac
}

# Is there what was there before ($2), or what is made ($3)?
whole_place() {
    [ -d "$1" ] || [ -d ".$1.replaced" ] || { [ -z "$2" ] && return; fail "$1 is gone after $4"; }
    reads "$1" || fail "$1 can't be read after $4"
    now=$(bits "$1")
    [ "$now" = "$2" ] || [ "$now" = "$3" ] || fail "$1 is neither the old nor the new after $4"
}

# A command that a fault has ended, from COMMAND (init, ...) over what BEFORE makes: then again, without a fault.
again() { # place command before-bits wanted-bits what
    if [ "$1" = run ]; then
        if [ "$2" = train ] && ! train "$pha" >said 2>&1; then
            grep -q "resume it with --resume" said || fail "train again after $5"
            resume "$pha" >said 2>&1 || fail "resuming after $5"
        elif [ "$2" = resume ]; then
            resume "$pha" >said 2>&1 || fail "resuming after $5"
        fi
        [ "$(bits run/model)" = "$4" ] || fail "another model after $5"
    elif [ "$1" = cells ]; then # cells that are done stay
        lab "$pha" >said 2>&1 || fail "lab again after $5"
        [ "$(bits cells)" = "$4" ] || fail "other cells after $5"
    else
        whole_place "$1" "$3" "$4" "$5"
        "$2" "$pha" >said 2>&1 || fail "$2 again after $5"
        [ "$(bits "$1")" = "$4" ] || fail "other bits after $5"
    fi
    nothing_left "$2 after $5"
}

# ---- how ----

# One fault: 0 if it was reached.
try() { # place command before variable n swap
    local what="$2 over $3 with $4=$5${6:+ and no swapping of names}" old
    rm -rf "$1" .[!.]*.* "$1".* seen
    "$3" >said 2>&1 || fail "$3"
    old=$(bits "$1")
    "$2" env PHA_FAULT_SEEN="$work/seen" PHA_FAULT_EXCHANGE="$6" "$4=$5" "$pha" >said 2>&1
    local code=$?
    [ $code -lt 128 ] || [ $code -eq 137 ] || fail "exit $code of $what"
    [ $code -eq 0 ] || [ $code -eq 137 ] || grep -q "^pha" said || fail "exit $code and no message of $what"
    [ $code -ne 0 ] || [ "$1" = run ] || [ "$(bits "$1")" = "$wanted" ] || fail "exit 0 of $what, and not what was asked for"
    again "$1" "$2" "$old" "$wanted" "$what"
    tried=$((tried + 1))
    [ -e seen ] || [ $code -ne 0 ]
}

# Each place, or every so often: 1, 2, 4, 7, 11 ...
storm() { # place command before [swap]
    rm -rf "$1"
    "$3" >said 2>&1 || fail "$3"
    "$2" "$pha" >said 2>&1 || fail "$2 without a fault"
    wanted=$(if [ "$1" = run ]; then bits run/model; else bits "$1"; fi)
    for variable in PHA_FAULT_WRITE PHA_FAULT_ENOSPC PHA_FAULT_EIO PHA_FAULT_MEMORY; do
        [ -z "${4-}" ] || [ $variable = PHA_FAULT_WRITE ] || [ $variable = PHA_FAULT_EIO ] || continue
        n=1 by=1 ends=0
        while [ $ends -lt 3 ]; do # an allocation that fails may be one that can be done without
            try "$1" "$2" "$3" $variable $n "${4-}" || ends=$((ends + 1))
            [ $variable = PHA_FAULT_MEMORY ] || [ $ends -eq 0 ] || break
            case ${whole:-sample}${4-}$variable in
            sampleEINVAL*) n=$((n + 1)) ;; # one place of each kind at every call
            sample*MEMORY) n=$((n + by)) by=$((2 + n)) ;;
            *MEMORY) n=$((n + by)) by=$((1 + n / 9)) ;;
            sample*) n=$((n + by)) by=$((by + 2 + n / 6)) ;;
            *) n=$((n + 1)) ;;
            esac
            [ $n -lt 1000000 ] || fail "$variable never ends"
        done
    done
    rm -rf "$1"
}

# Errors that strace puts before system calls of any kind, reading ones too.
inject() { # place command before
    rm -rf "$1"
    "$3" >said 2>&1 || fail "$3"
    "$2" "$pha" >said 2>&1 || fail "$2 without a fault"
    wanted=$(bits "$1")
    for call in openat read fstat mmap lseek pwrite64 write fsync rename renameat2 mkdir unlink rmdir flock getdents64; do
        for error in EIO EACCES ENOMEM; do
            for n in 1 2 3 5 8 13 21 34 55 89; do
                rm -rf "$1" .[!.]*.* "$1".*
                "$3" >said 2>&1 || fail "$3"
                old=$(bits "$1")
                what="$2 over $3 with $error from $call number $n"
                timeout 60 "$2" strace -f -qq -o /dev/null -e trace=$call -e inject=$call:error=$error:when=$n "$pha" \
                    >said 2>&1 || [ $? -ne 124 ] || fail "$what hangs"
                again "$1" "$2" "$old" "$wanted" "$what"
                tried=$((tried + 1))
            done
        done
    done
}

set_up() {
    prepare "$pha" && mv data basis && other_data && mv data another
    "$pha" init --config sized.json --seed 2 --tokenizer bytes --out one &&
        "$pha" init --config sized.json --seed 3 --tokenizer bytes --out two &&
        "$pha" init --config gpt2.json --seed 4 --tokenizer bytes --out gpt2 &&
        "$pha" export --model gpt2 --out hub && train "$pha" && mv run done
    train env PHA_FAULT_WRITE=120 "$pha" || mv run half
}
set_up >said 2>&1
[ -d done ] && [ -d half/checkpoint ] || fail "setting up"
old_data() { cp -r another data; }

began=$SECONDS
if [ "$whole" != --calls ]; then
    storm data prepare nothing
    storm data prepare old_data
    storm data prepare old_data ENOSYS
    storm model init nothing
    storm model init other_model
    storm model init other_model EINVAL
    storm model average other_model ENOSYS
    storm cells lab nothing
    storm cells lab lab_of_one
    storm model as_gpt2 other_model
    storm model smaller other_model
    storm model imported other_model
    storm run train nothing
    storm run resume half_a_run
    [ -z "$whole" ] || storm run resume half_a_run ENOSYS
fi
if [ -n "$whole" ] && command -v strace >/dev/null; then
    for over in "data prepare old_data" "model init other_model"; do
        # shellcheck disable=SC2086
        inject $over
    done
fi
echo "$tried faults in $((SECONDS - began)) s: each left the old or the new, and the same command made the same bits"
