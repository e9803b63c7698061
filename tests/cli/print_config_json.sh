echo '{"lr": 0.002}' >run.json
PHA_SEED=5 pha train --run-file run.json --json --fuse --no-recompute --epochs=2 --out 'a b' --print-config | tr -d '\n ' | sed 's/},/},\n/g' |
    grep -E '"(lr|seed|json|fuse|recompute|epochs|out|context|data|schedule)":'
echo
pha prepare x -o y --valid v1 --valid v2 --json --print-config | tr -d '\n ' | sed 's/},/},\n/g' | grep -E '"(valid|tokenizer)"'
pha train --no-json --print-config | head -1
