echo '{"arch": "pha", "vocab_size": 300, "d_model": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 1, "d_ffn": 32, "branches": ["attn"]}' >tiny.json
# margins, seconds and the sets of the machine differ
steady() { sed -E 's/[0-9.]+e-[0-9]+ of/N of/; s/ +[0-9.]+ s / S /; s/kernels of .*/kernels/; s/furthest: .*/furthest/; s/ in [0-9.ms ]+$/ in S/'; }
pha check tiny.json 2>/dev/null | steady
pha check tiny.json --json 2>/dev/null | grep -cE '"(what|passed|error|limit|seconds|text)"'
pha check
pha check absent
