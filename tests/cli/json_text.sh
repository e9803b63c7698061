pha tokenize --tokenizer bytes --decode --json --text '104 195 169 255 240 159 152 128 224 160 0 237 160 128 46'
echo '{"d_model": 16, "n_layer": 1, "arch": "pha", "branches": ["attn"], "n_head": 2, "n_kv_head": 1, "d_ffn": 32}' >tiny.json
pha init --config tiny.json --tokenizer bytes --out model >/dev/null || exit 1
pha generate --model model --prompt "$(printf 'a\377b')" --max-tokens 24 --ignore-end --json >out.json || exit 1
grep -E '"(prompt|new_tokens)"' out.json
grep '"text": null' out.json
sed -n '/"tokens"/,/]/p' out.json | grep -cE '^ +[0-9]+,?$'
