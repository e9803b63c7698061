seq 1 3000 >text.txt
pha prepare text.txt --tokenizer bytes --valid-fraction 0.1 --test-fraction 0 --out data --quiet >/dev/null 2>&1 || exit 1
echo '{"arch": "gpt2", "d_model": 16, "n_layer": 1, "n_head": 2, "d_ffn": 32, "n_positions": 32}' >gpt2.json
pha train --config gpt2.json --data data --out run -T 32 -b 8 -n 60 --lr 1e-2 --quiet >/dev/null 2>&1 || exit 1
pha convert run/model --to hedgehog --data data --out hedgehog -n 20 --quiet --eval-tokens 500 --threads 1 |
    sed 's/[0-9][0-9.,]*[a-z]*$/N/; s/[0-9]*\.[0-9]* /N /; s/ [0-9.]* MB/ N/; s/  */ /g'
pha convert run/model --to hedgehog --data data --out again -n 20 --quiet --eval-tokens 500 --threads 1 --json |
    sed 's/\(: [0-9]\)[0-9]*\.[0-9].*[0-9]/\1/; s/"peak_bytes": .*/"peak_bytes": N/; s/[0-9]*,$/N,/'
cmp hedgehog/model.safetensors again/model.safetensors && echo the same
pha inspect hedgehog | head -3
pha convert run/model --to hedgehog --data data --out run/model
pha convert hedgehog --to hedgehog --data data --out third
pha convert run/model --to hedgehog --data data --out third -T 64
echo '{"arch": "hedgehog", "d_model": 16, "n_layer": 2, "n_head": 2, "d_ffn": 32, "n_positions": 32}' >other.json
pha convert run/model --to hedgehog --config other.json --data data --out third
pha convert run/model --to pha --data data --out third
