#!/usr/bin/env bash
# run.sh -- training by several processes: the same bits on any number of them, also over kills and other numbers; a
# process that hangs; one message from one of them
#
#   tests/dist/run.sh PHA_BINARY [KILLS [FOLDER]]
#
# FOLDER: where the emulated card and its libraries are; without it nothing is done on cards.
set -u
pha=$(realpath "$1") kills=${2-3} cards=${3:+$(realpath "$3")}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
unset ${!PHA_@} ${!OMPI_@}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none PHA_THREADS=1
failed=0
bad() { echo "FAILED: $*"; failed=1; }

awk 'BEGIN { x = 7; split("cat dog river friend house tree", w, " "); for (i = 0; i < 4000; i++) {
    x = (x * 69069 + 5) % 4294967296; a = w[int(x / 65536) % 6 + 1]; x = (x * 69069 + 5) % 4294967296
    print "the " a " sees a " w[int(x / 65536) % 6 + 1] " and the " a " goes on." } }' >text.txt
"$pha" prepare text.txt --out data --tokenizer bytes -q >/dev/null 2>&1 || exit 1
echo '{"arch": "pha", "d_model": 32, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "d_ffn": 48, "d_state": 32,
    "d_aux": 32}' >small.json
options="-c small.json -d data -T 64 -b 8 --lanes 4 --dropout 0.1 --eval-tokens 3000 -q"
sums() { (cd "$1" && md5sum checkpoint/*.safetensors model/model.safetensors | cut -d ' ' -f 1); }

# The same bits
for n in 1 2 4; do
    # shellcheck disable=SC2086
    "$pha" train $options --out "bits-$n" -n 12 --ranks $n >"out-$n" 2>"err-$n" || bad "$n ranks: $(cat "err-$n")"
    [ "$(sums "bits-$n")" = "$(sums bits-1)" ] || bad "$n ranks have other bits than one"
    [ "$(grep -c '^steps ' "out-$n")" = 1 ] || bad "$n ranks: the result is not printed once"
done
for n in 1 2; do
    mpirun -q -n $n "$pha" eval -m bits-1/model -d data -q --json 2>/dev/null |
        sed 's/"seconds.*//; s/"peak.*//' >"eval-$n"
done
cmp eval-1 eval-2 || bad "an evaluation by two ranks has other numbers"

# Cards of two processes, linked
card() {
    PHA_DEVICE=far:cuda PHA_CUDA_PLUGIN=$cards/libpha-cuda-emulated.so PHA_CUBLASLT=$cards/libpha_cuda_lt.so \
        PHA_NCCL=$cards/libpha_cuda_nccl.so "$@"
}
for n in ${cards:+1 2}; do
    # shellcheck disable=SC2086
    card "$pha" train $options --out "cards-$n" -n 3 --ranks $n >out 2>err || bad "$n cards: $(cat err)"
    grep 'memory of the hosts' err && bad "the cards are not linked"
    [ "$(sums "cards-$n")" = "$(sums cards-1)" ] || bad "$n cards have other bits than one"
done

# An experiment, whose runs two processes share
cat >farm.json <<'JSON'
{"title": "t", "data": {"folder": "data", "vocab_size": 257}, "options": {"context": 16, "batch": 2, "keep_best": 0,
 "average_best": 0}, "rates": {"lr": [0.001, 0.01], "tokens": 512, "scored_tokens": 512}, "parameters_within": 0.5,
 "stages": [{"tokens": 1024, "seeds": [1, 2]}], "models": {
 "a": {"arch": "pha", "n_layer": 1, "n_head": 2, "n_kv_head": 1, "d_model": 16, "d_ffn": 64, "branches": ["attn"]},
 "b": {"arch": "pha", "n_layer": 1, "n_head": 2, "n_kv_head": 1, "d_model": 16, "d_state": 32, "d_ffn": 32, "d_aux": 16}}}
JSON
for n in 1 2; do
    "$pha" repro farm.json --out "farm-$n" --ranks $n -q >"out-$n" 2>err || bad "an experiment by $n: $(cat err)"
    cut -d , -f 1-15 "farm-$n/table.csv" >"table-$n"
done
[ "$(wc -l <table-1)" = 9 ] || bad "an experiment of eight runs has other results"
cmp table-1 table-2 || bad "an experiment by two processes has other results"
[ "$(grep -c '^# t' out-2)" = 1 ] || bad "the table of an experiment is not printed once"

# The newest of the processes that train into a folder
newest() { pgrep -n -f "train .*--out $1 "; }
training() { # FOLDER: waits until it is at work there
    for ((w = 0; w < 600; w++)); do [ -s "$1/log.jsonl" ] && return; sleep 0.1; done
}
within() { # SECONDS PID: waits for its end
    local end=$((SECONDS + $1))
    while kill -0 "$2" 2>/dev/null; do [ $SECONDS -lt $end ] || return 1; sleep 0.2; done
}

# Kills at any moment, and on with another number
steps=400
# shellcheck disable=SC2086
"$pha" train $options --out whole -n $steps --checkpoint-every 5 >/dev/null 2>&1 || bad "a run of one rank"
numbers=(2 4 1)
for ((i = 0; i < kills; i++)); do
    # shellcheck disable=SC2086
    "$pha" train $options --out killed --resume -n $steps --checkpoint-every 5 --ranks ${numbers[i % 3]} >out 2>err &
    job=$!
    [ -s killed/log.jsonl ] || training killed
    sleep "1.$((RANDOM % 900 + 100))"
    victim=$(newest killed)
    [ -n "$victim" ] && kill -KILL "$victim" 2>/dev/null
    within 30 $job || { bad "the others go on after a kill"; pkill -KILL -f "$work"; }
    wait $job
done
# shellcheck disable=SC2086
"$pha" train $options --out killed --resume -n $steps --checkpoint-every 5 --ranks 2 >out 2>err || bad "$(cat err)"
[ "$(sums killed)" = "$(sums whole)" ] || bad "a run that was killed $kills times has other bits"

# A process that is killed is named, and so is one that hangs
# shellcheck disable=SC2086
"$pha" train $options --out named -n 100000 --ranks 2 >out 2>err &
job=$!
training named && kill -KILL "$(newest named)"
within 30 $job || bad "a kill is not noticed"
wait $job
grep -q 'rank [01] on .* was ended by signal 9' err || { bad "who was killed is not told"; cat err; }
if [ -n "$cards" ]; then # the other one waits for a message of the card
    # shellcheck disable=SC2086
    card "$pha" train $options --out lost -n 100000 --ranks 2 >out 2>err &
    job=$!
    training lost
    kill -9 "$(newest lost)"
    within 30 $job || bad "a killed rank leaves one with a card behind"
    wait $job && bad "a killed rank with a card, and all is well"
fi
# shellcheck disable=SC2086
PHA_RANK_TIMEOUT=4 "$pha" train $options --out hung -n 100000 --ranks 2 >out 2>err &
job=$!
training hung && kill -STOP "$(newest hung)"
within 30 $job || bad "a process that hangs is not noticed"
wait $job
[ "$(grep -c 'has given no sign of life for 4 seconds' err)" = 1 ] || { bad "who hangs is not told once"; cat err; }
pkill -KILL -f "train .*--out hung "

# All of them stopped for a while, as a suspended machine has them
# shellcheck disable=SC2086
PHA_RANK_TIMEOUT=4 "$pha" train $options --out paused -n 100000 --ranks 2 >out 2>err &
job=$!
training paused && pkill -STOP -f "pha train .*--out paused "
sleep 7
pkill -CONT -f "pha train .*--out paused "
lines=$(wc -l <paused/log.jsonl)
sleep 3
kill -0 $job && [ "$(wc -l <paused/log.jsonl)" -gt "$lines" ] || { bad "ranks that were all stopped do not go on"; cat err; }
kill -USR1 $job
within 60 $job || bad "ranks that were all stopped do not stop"

# A request to stop
# shellcheck disable=SC2086
"$pha" train $options --out stopped -n 100000 --ranks 2 >out 2>err &
job=$!
training stopped && kill -INT $job
within 30 $job || bad "a request to stop is not heard"
wait $job
[ $? = 75 ] || { bad "a run that was asked to stop"; cat err; }
[ -f stopped/checkpoint/trainer.json ] || bad "a stop without a checkpoint"

# One message
one() { # CODE TEXT COMMAND...
    local code=$1 text=$2
    shift 2
    timeout 60 "$@" >out 2>err
    local got=$?
    if [ $got != "$code" ] || [ "$(grep -c "$text" err)" != 1 ]; then bad "$* ($got)"; cat err; fi
}
rank() { echo "-n 1 $pha train $options --out refused -n 9 $*"; }
# shellcheck disable=SC2046,SC2086
{
    one 2 '3 ranks: their number must be a power of two' "$pha" train $options --out refused -n 9 --ranks 3
    one 2 'no option --nonsense' "$pha" train $options --out refused -n 9 --ranks 2 --nonsense
    one 4 'rank 1 (.*): nowhere: No such' mpirun -q $(rank) : $(rank -d nowhere)
    one 3 'rank 1 (.*): has seed' mpirun -q $(rank) : $(rank --seed 5)
    one 2 'is work for one process, but 2 were started' mpirun -q -n 2 "$pha" inspect small.json
    sed 's/"d_model": 32/"d_model": 1024/; s/48/8192/' small.json >large.json
    one 5 'rank 1 (.*): no memory for' mpirun -q $(rank -c large.json) : -n 1 \
        bash -c 'ulimit -v 700000 && exec "$@"' limited $(rank -c large.json | cut -d ' ' -f 3-)
    one 6 "plugin for MPI can't be loaded" env PHA_MPI_PLUGIN=/nowhere mpirun -q $(rank) : $(rank)
}
[ ! -e refused ] || bad "a run that was refused has left a folder"
[ $failed = 0 ] && echo "ranks: all well"
exit $failed
