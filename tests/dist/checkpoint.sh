#!/usr/bin/env bash
# checkpoint.sh -- a checkpoint that several processes write: kills of one of them in the middle of it, full disks, a
# folder that not all of them see. Whatever happens, the last good one stays, the run goes on to the same bits, and
# nothing is left behind.
#
#   tests/dist/checkpoint.sh PHA_FAULTY PLUGIN [STEP]      every STEP-th place (7; tools/nightly has all)
#
# PHA_FAULTY is the command linked with tests/support/faults.c, PLUGIN libpha-mpi.so.
set -u
pha=$(realpath "$1") plugin=$(realpath "$2") stride=${3-7}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
unset ${!PHA_@} ${!OMPI_@}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_orte_execute_quiet=1 PHA_THREADS=1 LC_ALL=C PHA_MPI_PLUGIN=$plugin
failed=0
bad() { echo "FAILED: $*"; failed=1; }

seq 1 2000 >text.txt
"$pha" prepare text.txt --out data --tokenizer bytes -q >/dev/null 2>&1 || exit 1
echo '{"arch": "pha", "d_model": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 1, "d_ffn": 32, "d_state": 32, "d_aux": 16,
    "window": 16}' >tiny.json
options="-c tiny.json -d data -T 16 -b 4 --lanes 4 -n 4 --checkpoint-every 2 --eval-every 4 --eval-tokens 40 --carry -q"
sums() { (cd "$1" && md5sum checkpoint/*.safetensors checkpoint/trainer.json model/model.safetensors | cut -d ' ' -f 1); }
left() { find "$1" \( -name '*.pha-tmp' -o -name '*.writing' -o -name '*.new' -o -name '*.lock' -o -name lock \) -print; }
# shellcheck disable=SC2086
"$pha" train $options --out whole >/dev/null 2>&1 || { bad "a run of one process"; exit 1; }

# OUT RANK COMMAND...: four ranks, of which this one is called by way of the command
four() {
    local out=$1 rank=$2 calls=() i
    shift 2
    for i in 0 1 2 3; do
        [ $i = 0 ] || calls+=(:)
        calls+=(-n 1)
        [ "$i" = "$rank" ] && calls+=("$@")
        # shellcheck disable=SC2206
        calls+=("$pha" train $options --out "$out" --resume)
    done
    timeout 60 mpirun -q "${calls[@]}" >said 2>err
    local code=$?
    [ $code != 124 ] || bad "$*: not ended after a minute"
    return $code
}
goes_on() { # WHAT NUMBER: the same run, by other ranks
    # shellcheck disable=SC2086
    "$pha" train $options --out run --resume --ranks "$2" >said 2>err || { bad "$1: does not go on"; cat err; }
    [ "$(sums run)" = "$(sums whole)" ] || bad "$1: other bits"
    [ -z "$(left run)" ] || bad "$1: leaves $(left run)"
    rm -rf run
}

four run 0 env || { bad "four ranks"; cat err; }
grep -q 'leading rank alone' err && { bad "a folder that all see is written by one"; cat err; }
goes_on "four ranks" 1
PHA_CHECKPOINT=leader four run 0 env || { bad "the leading rank alone"; cat err; }
goes_on "the leading rank alone" 2

# A rank is killed, or its disk is full, at each of the calls by which it writes. All but the leading one write nothing
# else than checkpoints.
numbers=(2 4 1)
for rank in 1 3 0; do
    for ((n = 1; n < 400; n += stride)); do
        rm -f seen
        four run $rank env PHA_FAULT_WRITE=$n PHA_FAULT_SEEN="$work/seen" && [ -e seen ] && bad "a kill of rank $rank is not noticed"
        [ -e seen ] || { rm -rf run; break; }
        goes_on "rank $rank killed at call $n" ${numbers[n % 3]}
        [ $rank = 0 ] && continue
        rm -f seen
        four run $rank env PHA_FAULT_ENOSPC=$n PHA_FAULT_SEEN="$work/seen"
        code=$?
        [ $code = 4 ] && [ "$(grep -c "rank $rank (.*No space left" err)" = 1 ] || { bad "a full disk of rank $rank at call $n ($code)"; cat err; }
        goes_on "rank $rank without space at call $n" ${numbers[n % 3]}
    done
    [ "$n" -gt 20 ] || bad "rank $rank makes no more than $n calls"
done

# What the leading rank has on a disk of its own: the others have an empty folder in the place of the run's
hidden() { unshare -rm true 2>/dev/null && echo "unshare -rm"; }
if [ -n "$(hidden)" ]; then
    mkdir there
    hide='mount -t tmpfs none there && exec "$@"'
    four there/run 2 unshare -rm bash -c "$hide" hide || { bad "a folder that one does not see"; cat err; }
    [ "$(grep -c 'by the leading rank alone; rank 2: ' err)" = 1 ] || { bad "that one does not see it is not told once"; cat err; }
    mv there/run run
    goes_on "a folder that one does not see" 4
    # and one that it does not see is read for it
    four run 0 env && cp -r run there/run && rm -rf there/run/model there/run/log.jsonl
    options="${options/-n 4/-n 6}"
    four there/run 3 unshare -rm bash -c "$hide" hide || { bad "a checkpoint that one does not see"; cat err; }
    # shellcheck disable=SC2086
    "$pha" train $options --out run --resume >/dev/null 2>&1
    [ "$(sums run)" = "$(sums there/run)" ] || bad "a checkpoint that one does not see: other bits"
else
    echo "no mount namespaces: a folder that one rank does not see is left out"
fi
[ $failed = 0 ] && echo "checkpoints of ranks: all well"
exit $failed
