# every option with a value of its own: what run.json has of them, read back; the same run again; another one from there
echo '{"arch": "pha", "d_model": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 1, "d_ffn": 32, "branches": ["attn"], "window": 16}' >tiny.json
seq 1 3000 >text.txt
cp text.txt valid.txt
pha prepare text.txt --tokenizer bytes --valid valid.txt --test-fraction 0 --out data --quiet >/dev/null 2>&1 || exit 1
pha train --config tiny.json --data data --out run --seed 9223372036854775 -T 24 -b 6 --micro-batch 3 -n 8 --lr 2e-3 \
    --schedule plateau --warmup 2 --lr-min-ratio 0.2 --plateau-factor 0.5 --plateau-patience 1 --beta1 0.8 \
    --optimizer muon --beta2 0.95 --eps 1e-7 --weight-decay 0 --decay-all --clip 0.5 --dropout 0.1 --spike 0 --precision bf16 \
    --carry --rope-theta 5e3 --recompute --no-fuse --threads 2 --eval-every 2 --eval-tokens 100 --checkpoint-every 3 --keep-best 2 \
    --average-best 0 --detail-every 4 --json --quiet >/dev/null || exit 1
pha train --run-file run/run.json --print-config
pha train --run-file run/run.json --out again --quiet >/dev/null || exit 1
cmp run/model/model.safetensors again/model/model.safetensors && echo "the same again"
pha train --resume --out run --steps 9 --fuse --lr 1e-3 --keep-best 3 --threads 1 --quiet >/dev/null
