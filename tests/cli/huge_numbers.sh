# nobody counts hundreds of digits of a perplexity, and one that no number can hold is told as such
seq 1 3000 >text.txt
seq 2 2 3000 >valid.txt
pha prepare text.txt --tokenizer bytes --valid valid.txt --test-fraction 0 --out data --quiet >/dev/null 2>&1 || exit 1
for d in 64 128; do
    echo "{\"arch\": \"pha\", \"d_model\": $d, \"n_layer\": 1, \"n_head\": 2, \"n_kv_head\": 1, \"d_ffn\": 32,
           \"branches\": [\"attn\"], \"embed_std\": 10}" >loud.json
    pha train --config loud.json --data data --out run$d -T 24 -b 8 -n 1 --lr 1e-9 --threads 1 --quiet 2>/dev/null |
        grep perplexity | sed 's/[0-9.]*e+[0-9][0-9][0-9]$/Xe+NNN/'
    pha eval --model run$d/model --data data --split valid --context 24 --quiet 2>/dev/null |
        grep perplexity | sed 's/[0-9.]*e+[0-9][0-9][0-9]$/Xe+NNN/'
    pha eval --model run$d/model --data data --split valid --context 24 --quiet --json 2>/dev/null |
        grep _ppl | sed 's/[0-9.]*e+*[0-9][0-9][0-9],$/Xe+NNN,/'
done
