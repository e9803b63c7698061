# a folder whose name is not UTF-8 is found again by what run.json has of it; what is no path there is refused
echo '{"arch": "pha", "d_model": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 1, "d_ffn": 32, "branches": ["attn"]}' >tiny.json
seq 1 3000 >text.txt
seq 2 2 3000 >valid.txt
data=$(printf 'd\351j\340')
pha prepare text.txt --tokenizer bytes --valid valid.txt --test-fraction 0 --out "$data" --quiet >/dev/null 2>&1 || exit 1
pha train --config tiny.json --data "$data" --out run -T 24 -b 6 -n 4 --threads 1 --json --quiet >/dev/null 2>&1 || exit 1
grep -A 3 '"data": {' run/run.json | grep -v '"data": {$' | head -2
grep -c '"bytes": "64e96ae0"' run/run.json
pha train --resume --out run --steps 5 --json --quiet 2>/dev/null | grep '"steps"'
for bad in '{"bytes": "64e"}' '{"bytes": "6400"}' '{"bytes": "zz"}' '{"bytes": 1}' '{}'; do
    echo "{\"data\": $bad, \"out\": \"no\"}" >bad.json
    pha train --run-file bad.json --config tiny.json
done
