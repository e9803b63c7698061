echo '{"arch": "pha", "d_model": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 1, "d_ffn": 32, "branches": ["attn"]}' >tiny.json
seq 1 3000 >text.txt
pha init --config tiny.json --tokenizer bytes --out model >/dev/null || exit 1
pha prepare text.txt --tokenizer bytes --valid text.txt --test-fraction 0 --out data --quiet >/dev/null 2>&1 || exit 1
for options in "" "--context 512" "--max-tokens 2000" "--max-tokens 99999" "--mode sliding --stride 512" "--mode carried --max-tokens 5000"; do
    echo "eval $options"
    pha eval --model model --data data --quiet $options 2>/dev/null | grep -E '^(protocol|tokens|words|bytes)'
    pha eval --model model --data data --quiet $options --json | grep -E '"(comparable|protocol)"'
done
