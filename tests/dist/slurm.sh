#!/usr/bin/env bash
# slurm.sh -- jobs of SLURM: a cluster of this machine alone, set up in a folder of its own, and what it is asked for
#
#   tests/dist/slurm.sh PHA_BINARY        77: there is no slurmctld, slurmd, munged or PMIx plugin here
#
# Takes one to four minutes, most of them waiting for a time limit and for the steps that were made until then.
set -u
PATH=$PATH:/usr/sbin:/sbin
pha=$(realpath "$1")
for tool in slurmctld slurmd munged srun sbatch scancel; do
    command -v $tool >/dev/null || { echo "no $tool here"; exit 77; }
done
unset ${!PHA_@} ${!OMPI_@} ${!SLURM_@}
work=$(mktemp -d) || exit 1
chmod 755 "$work"
cd "$work" || exit 1
end() {
    for daemon in slurmd slurmctld munged; do [ -f $daemon.pid ] && kill "$(cat $daemon.pid)"; done
    for ((w = 0; w < 100; w++)); do [ -f slurmctld.pid ] || break; sleep 0.1; done
    rm -rf "$work"
}
trap end EXIT
export PHA_THREADS=1 SLURM_CONF=$work/slurm.conf
failed=0
bad() { echo "FAILED: $*"; failed=1; }
until_true() { # SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@"; do [ $SECONDS -lt $end ] || return 1; sleep 0.2; done
}

# The cluster: eight processors, whatever the machine has
mkdir spool state
me=$(id -un) host=$(hostname -s)
head -c 256 /dev/urandom >key
chmod 400 key
munged --force --key-file="$work/key" --socket="$work/socket" --pid-file="$work/munged.pid" \
    --log-file="$work/munged.log" --seed-file="$work/seed" || exit 1
cat >slurm.conf <<CONF
ClusterName=tries
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$((20000 + $$ % 10000))
SlurmdPort=$((30000 + $$ % 10000))
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/munge
AuthInfo=socket=$work/socket
CredType=cred/munge
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SwitchType=switch/none
MpiDefault=none
PropagateResourceLimits=NONE
NodeName=$host NodeAddr=127.0.0.1 CPUs=8 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES State=UP
CONF
srun --mpi=list 2>&1 | grep -q pmix || { echo "SLURM has no PMIx here"; exit 77; }
slurmctld -f "$work/slurm.conf" && slurmd -f "$work/slurm.conf" -N "$host" || exit 1
idle() { sinfo -h -o %t 2>/dev/null | grep -q idle; }
until_true 30 idle || { echo "the cluster does not start"; tail -n 5 ./*.log; exit 1; }

awk 'BEGIN { x = 7; split("cat dog river friend house tree", w, " "); for (i = 0; i < 4000; i++) {
    x = (x * 69069 + 5) % 4294967296; a = w[int(x / 65536) % 6 + 1]; x = (x * 69069 + 5) % 4294967296
    print "the " a " sees a " w[int(x / 65536) % 6 + 1] " and the " a " goes on." } }' >text.txt
"$pha" prepare text.txt --out data --tokenizer bytes -q >/dev/null 2>&1 || exit 1
echo '{"arch": "pha", "d_model": 32, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "d_ffn": 48, "d_state": 32,
    "d_aux": 32}' >small.json
options="-c small.json -d data -T 64 -b 8 --lanes 4 --dropout 0.1 --eval-tokens 3000 -q"
same() { cmp "$1/model/model.safetensors" "$2/model/model.safetensors"; }

# A step of a job, by each way
# shellcheck disable=SC2086
{
    "$pha" train $options --out one -n 12 >/dev/null 2>&1 || bad "one process"
    srun --mpi=pmix -n 4 "$pha" train $options --out four -n 12 >out 2>err || { bad "srun"; cat err; }
    [ "$(grep -c '^steps ' out)" = 1 ] || bad "srun: the result is not printed once"
    srun -n 1 "$pha" train $options --out inner -n 12 --ranks 2 >out 2>err || { bad "--ranks in srun"; cat err; }
}
same one four || bad "srun has other bits"
same one inner || bad "--ranks in srun has other bits"
"$pha" eval -m one/model -d data -q --json 2>/dev/null | sed 's/"seconds.*//; s/"peak.*//' >eval-1
srun --mpi=pmix -n 4 "$pha" eval -m one/model -d data -q --json 2>err | sed 's/"seconds.*//; s/"peak.*//' >eval-4
cmp eval-1 eval-4 || { bad "an evaluation by four has other numbers"; cat err; }

# Wrong uses: one message, and the exit code of its kind
# shellcheck disable=SC2086
{
    srun --mpi=none -n 2 "$pha" train $options --out refused -n 12 >out 2>err && bad "no way for messages, and all is well"
    [ "$(grep -c 'pha: srun offers no PMIx' err)" = 1 ] || { bad "srun --mpi=none is not explained once"; cat err; }
    srun --mpi=pmix -n 3 "$pha" train $options --out refused -n 12 >out 2>err
    [ $? = 2 ] && [ "$(grep -c 'must be a power of two' err)" = 1 ] || { bad "three ranks"; cat err; }
}
[ ! -e refused ] || bad "what was refused has left a folder"

# A rank that is killed takes all with it
# shellcheck disable=SC2086
srun --mpi=pmix -n 4 "$pha" train $options --out killed -n 1000000 >out 2>err &
job=$!
until_true 60 [ -s killed/log.jsonl ] && kill -KILL "$(pgrep -n -f "pha train .*--out killed ")"
gone() { ! kill -0 $job 2>/dev/null; }
until_true 40 gone || bad "a killed rank leaves the others"
wait $job && bad "a killed rank, and all is well"

# What scancel says is heard, and the job goes on elsewhere
job_file() { # NAME STEPS TIME: as docs/scale.md has it
    cat >"$1.sh" <<JOB
#!/bin/bash
#SBATCH --ntasks=2 --time=$3 --signal=USR1@5 --requeue --open-mode=append --output=$1.out
srun --mpi=pmix "$pha" train $options --out $1 -n $2 --checkpoint-every 1000000 --resume
code=\$?
echo "code \$code"
[ \$code = 75 ] && scontrol requeue "\$SLURM_JOB_ID"
exit \$code
JOB
    sbatch --parsable "$1.sh"
}
state() { squeue -h -j "$1" -o %t 2>/dev/null; }
pending() { [ "$(state "$1")" = PD ]; }
over() { local s; s=$(state "$1"); [ -z "$s" ] || [ "$s" = CD ]; }
id=$(job_file canceled 1000000 10)
until_true 60 [ -s canceled/log.jsonl ] || bad "a job does not start"
scancel "$id"
until_true 60 grep -qs 'stopped; .pha train --resume' canceled.out || { bad "scancel"; cat canceled.out; }
[ -f canceled/checkpoint/trainer.json ] || bad "scancel leaves no checkpoint"

# A time limit: as many steps as are made in its first part and as many again
id=$(job_file limited 1000000 1)
until_true 120 grep -qs '^code 75' limited.out || { bad "a time limit"; cat limited.out; }
until_true 60 pending "$id" || bad "a job is not put back in the queue"
step=$(sed -n 's/.*"step":\([0-9]*\),.*/\1/p' limited/log.jsonl | tail -n 1)
[ "${step:-0}" -gt 10 ] || bad "no steps before the time limit"
scancel "$id"
# shellcheck disable=SC2086
"$pha" train $options --out whole -n $((step + 100)) --checkpoint-every 1000000 >/dev/null 2>&1 ||
    bad "a run of one process"
rm -rf limited limited.out
id=$(job_file limited $((step + 100)) 10)
until_true 60 [ -s limited/log.jsonl ] || bad "a job does not start again"
scancel --signal=USR1 "$id"
until_true 60 pending "$id" || bad "a job that was asked to stop is not put back in the queue"
scontrol update JobId="$id" StartTime=now
until_true 120 grep -qs '^code 0' limited.out || { bad "a job that goes on"; cat limited.out; }
until_true 60 over "$id" || bad "a job that is done goes on"
same whole limited || bad "a job that was put back in the queue has other bits"
[ $failed = 0 ] && echo "slurm: all well"
exit $failed
