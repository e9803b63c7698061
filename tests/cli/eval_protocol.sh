echo '{"arch": "pha", "d_model": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 1, "d_ffn": 32, "branches": ["attn"]}' >tiny.json
seq 1 3000 >text.txt
pha init --config tiny.json --tokenizer bytes --out model >/dev/null || exit 1
cp text.txt valid.txt
pha prepare text.txt --tokenizer bytes --valid valid.txt --test-fraction 0 --out data --quiet >/dev/null 2>&1 || exit 1
for options in "" "--context 512" "--max-tokens 2000" "--max-tokens 99999" "--mode sliding --stride 512" "--mode carried --max-tokens 5000"; do
    echo "eval $options"
    pha eval --model model --data data --quiet $options 2>/dev/null | grep -E '^(protocol|tokens|words|bytes)'
    pha eval --model model --data data --quiet $options --json | grep -E '"(comparable|protocol)"'
done
show() { pha eval --model model --data "$1" --split test --quiet 2>/dev/null | grep -E '^(protocol|tokens|end|words|bytes)'; }
echo "a short text"
printf 'ab' >two.txt
pha prepare --test two.txt --tokenizer bytes --join never --out short --quiet >/dev/null 2>&1 || exit 1
show short
echo "as many words as WikiText, as rows"
yes a | head -n 213886 | paste -sd ' ' | fold -w 2000 | sed 's/.*/{"text":"&"}/' >rows.jsonl
pha prepare --test rows.jsonl --tokenizer bytes --out rows --quiet >/dev/null 2>&1 || exit 1
show rows
echo "a file that is all of the test split"
pha prepare text.txt --test-fraction 1 --tokenizer bytes --out all --quiet 2>/dev/null | cut -c 1-50
