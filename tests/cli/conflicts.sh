pha train --config a --init-from b --data d --out o
pha train -c x -d d -o o --steps 3 --epochs 1
pha train -c x -d d -o o --batch 6 --micro-batch 4
pha eval -m m -d d --stride 5
pha eval -m m -d d --mode sliding
pha inspect x --mixing --memory
pha generate -m m -i --prompt x
pha prepare x -o d --valid v --valid-fraction 0.1
for option in "--split test" "--context 64" "--mode sliding" "--stride 3" "--batch 2" "--max-tokens 5" "--precision bf16"; do
    pha eval -m m --tokens in.npy --logits out.npy $option
done
