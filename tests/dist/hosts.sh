#!/usr/bin/env bash
# hosts.sh -- training on two hosts with a slow network between them, one of which is cut off in the middle: all ranks
# end by themselves, and the run goes on to the same bits. The hosts are network namespaces of this machine (100 Mbit/s,
# 20 ms); that takes root. Exit code 77: not possible here.
#
#   tests/dist/hosts.sh PHA_BINARY
set -u
pha=$(realpath "$1")
if [ "$(id -u)" != 0 ] || ! command -v ip mpirun unshare python3 >/dev/null; then
    echo "hosts.sh: needs root, ip, mpirun and Python"
    exit 77
fi
work=$(mktemp -d) || exit 1
a=pha-a-$$ b=pha-b-$$
left() { ip netns pids $a; ip netns pids $b; }
clean() {
    kill "$wire"
    left | xargs -r kill -KILL
    ip netns del $a
    ip netns del $b
    rm -rf "$work"
} 2>/dev/null
trap clean EXIT
ip netns add $a && ip netns add $b || exit 77
# 10 ms each way
python3 "$(dirname "$(realpath "$0")")/wire.py" $a 10.77.0.1/24 $b 10.77.0.2/24 10 100 >"$work/wire" &
wire=$!
until [ -s "$work/wire" ]; do sleep 0.1; kill -0 $wire || exit 77; done
cd "$work" || exit 1
unset ${!PHA_@} ${!OMPI_@}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_MCA_btl_tcp_if_include=10.77.0.0/24 OMPI_MCA_oob_tcp_if_include=10.77.0.0/24
# Else mpirun itself waits for a quarter of an hour for a host that is gone: an idle connection is asked for, one that
# has something to send gives up after some tries.
export OMPI_MCA_oob_tcp_keepalive_time=4 OMPI_MCA_oob_tcp_keepalive_intvl=2 OMPI_MCA_oob_tcp_keepalive_probes=3
for host in $a $b; do ip netns exec $host sh -c 'echo 5 >/proc/sys/net/ipv4/tcp_retries2'; done
export OMPI_MCA_btl=self,tcp OMPI_MCA_orte_execute_quiet=1 PHA_THREADS=1 PHA_RANK_TIMEOUT=5
failed=0
bad() { echo "FAILED: $*"; failed=1; }

# What mpirun starts the other host's part with, in place of ssh: HOST COMMAND...
cat >agent <<END
#!/bin/sh
shift
exec ip netns exec $b unshare --uts sh -c "hostname $b; cd $work; \$*"
END
chmod +x agent
export OMPI_MCA_plm_rsh_agent="$work/agent"
on_hosts() {
    ip netns exec $a unshare --uts sh -c "hostname $a; exec \"\$@\"" sh \
        mpirun --host 10.77.0.1,10.77.0.2 -n 2 "$@"
}

awk 'BEGIN { for (i = 0; i < 3000; i++) print "line " i % 97 " of a text that says " i * i % 89 "." }' >text.txt
"$pha" prepare text.txt --out data --tokenizer bytes -q >/dev/null 2>&1 || exit 1
echo '{"arch": "pha", "d_model": 32, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "d_ffn": 48, "d_state": 32,
    "d_aux": 32}' >small.json
steps=60
train="$pha train -c small.json -d data -T 64 -b 8 --lanes 2 --dropout 0.1 --eval-tokens 1000 -q"
train="$train --checkpoint-every 5 -n $steps"
sums() { (cd "$1" && md5sum checkpoint/*.safetensors model/model.safetensors | cut -d ' ' -f 1); }

$train --out whole >/dev/null 2>&1 || bad "a run of one rank"
# shellcheck disable=SC2086
on_hosts $train --out hosts >out 2>err || { bad "two hosts"; cat err; }
[ "$(sums hosts)" = "$(sums whole)" ] || bad "two hosts have other bits than one"
grep '^time' out

# Cut off
# shellcheck disable=SC2086
on_hosts $train --out cut >out 2>err &
job=$!
until [ -s cut/log.jsonl ] && [ "$(grep -c '"step"' cut/log.jsonl)" -gt 12 ]; do sleep 0.2; kill -0 $job || break; done
kill -USR1 $wire
began=$SECONDS
while [ -n "$(left)" ] && [ $((SECONDS - began)) -lt 40 ]; do sleep 0.5; done
echo "cut off: all gone after $((SECONDS - began)) s"
[ -z "$(left)" ] || bad "processes are left 40 seconds after a host was cut off"
wait $job
grep -q 'has given no sign of life' err || { bad "who is cut off is not told"; cat err; }
kill -USR1 $wire
# shellcheck disable=SC2086
on_hosts $train --out cut --resume >out 2>err || { bad "going on"; cat err; }
[ "$(sums cut)" = "$(sums whole)" ] || bad "a run that was cut off has other bits"
[ $failed = 0 ] && echo "hosts: all well"
exit $failed
