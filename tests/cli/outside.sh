# what comes from outside: closed standard files, a reader that goes away, limits, hangups, a file that is cut in use
echo '{"arch": "pha", "d_model": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 1, "d_ffn": 32, "branches": ["attn"]}' >tiny.json
seq 1 3000 >text.txt; seq 3001 4000 >valid.txt
prepare="pha prepare text.txt --tokenizer bytes --valid valid.txt --test-fraction 0"
train="pha train --config tiny.json --data data -T 24 -b 6 --threads 1"
$prepare --out data >/dev/null 2>&1 || exit 1
$train --out run -n 6 >/dev/null 2>&1 || exit 1

$prepare --out closed <&- >&- 2>&- && cmp data/train-00000.tok closed/train-00000.tok && echo "prepared with nothing open"
$train --out closed-run -n 6 <&- >&- 2>&- && cmp run/model/model.safetensors closed-run/model/model.safetensors &&
    echo "trained with nothing open"

$train --out piped -n 6 2>&1 | true
until [ -d piped/model ]; do sleep 0.05; done
cmp run/model/model.safetensors piped/model/model.safetensors && echo "trained though nobody listens"

(ulimit -f 1; $train --out limited -n 6 --quiet) 2>said
echo "exit $?"
grep '^pha train' said

$train --out hung -n 100000 --quiet >/dev/null 2>&1 &
until [ -s hung/log.jsonl ]; do sleep 0.05; done
kill -HUP $!; wait $!; echo "hung up: exit $?"
grep -c '"step"' hung/checkpoint/trainer.json

for signal in USR1 XCPU; do # as batch systems announce the end, the latter once a second
    $train --out batch-$signal -n 100000 --quiet >/dev/null 2>&1 &
    until [ -s batch-$signal/log.jsonl ]; do sleep 0.05; done
    kill -$signal $!; [ $signal = USR1 ] || kill -$signal $! 2>/dev/null
    wait $!; echo "$signal: exit $?"
done

(trap '' HUP; exec $train --out nohup -n 100000 --quiet) >/dev/null 2>&1 &
until [ -s nohup/log.jsonl ]; do sleep 0.05; done
kill -HUP $!; sleep 0.2; kill -TERM $!; wait $!; echo "ignored, then terminated: exit $?"

$train --out told -n 100000 --quiet >/dev/null 2>said &
until [ -s told/log.jsonl ]; do sleep 0.05; done
kill -TERM $!; wait $!; grep 'stopping' said
grep -c 'writing the checkpoint of step' said

cp -r data cut
$train --data cut --out cut-run -n 1000000 --quiet 2>said &
until [ -s cut-run/log.jsonl ]; do sleep 0.05; done
: >cut/train-00000.tok
wait $!; echo "cut: exit $?"
grep cut/ said

mkfifo fifo
pha train --run-file fifo
timeout 20 pha generate --model run/model --prompt-file fifo
pha generate --model run/model --max-tokens 1 -q --prompt-file <(echo a) >/dev/null && echo "a pipe that was meant"
pha train --resume --out run --quiet --steps 6 >/dev/null 2>&1 && echo "no harm done"
