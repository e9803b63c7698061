echo '{"arch": "pha", "d_model": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 1, "d_ffn": 32, "branches": ["attn"]}' >tiny.json
pha init --config tiny.json --tokenizer bytes --out model >/dev/null || exit 1
header="{'descr': '<i4', 'fortran_order': False, 'shape': (1, 2), }"
printf '\223NUMPY\1\0v\0%-117s\n' "$header" >in.npy
printf 'a\0\0\0b\0\0\0' >>in.npy
pha eval --model model --tokens in.npy --logits out.npy --json && test -s out.npy && echo written
