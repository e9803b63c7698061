config() { echo '{"arch": "pha", "d_model": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 1, "d_ffn": 32, "branches": ["attn"]'"$1}"; }
config "" >full.json
config ', "window": 16' >window.json
seq 1 800 >text.txt
cp text.txt valid.txt
pha prepare text.txt --tokenizer bytes --valid valid.txt --test-fraction 0 --out data --quiet >/dev/null 2>&1 || exit 1
for name in full window; do
    pha init --config $name.json --tokenizer bytes --out $name >/dev/null || exit 1
    # numbers of an untrained model are of no interest: the protocol and the parts
    pha eval --model $name --data data --by-position --context 1024 --quiet --svg $name.svg 2>/dev/null |
        sed -E 's/ +[0-9.]+ +([0-9.]+|-) +[0-9.]+$/ N/; s/(perplexity) +[0-9.]+/\1 N/'
    grep -c '<svg' $name.svg
done
pha eval --model window --data data --by-position --max-tokens 5 --json --quiet | grep -E '"(from|to|tokens|window|windows|state_grows)"'
pha eval --model window --data data --by-position --mode carried
pha eval --model window --data data --svg x.svg
