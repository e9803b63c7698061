# the text of a special token in a prompt is that token, or, with --no-special, text
echo '{"d_model": 16, "n_layer": 1, "arch": "pha", "branches": ["attn"], "n_head": 2, "n_kv_head": 1, "d_ffn": 32}' >tiny.json
pha init --config tiny.json --tokenizer bytes --out model >/dev/null || exit 1
for switch in '' --special --no-special; do
    pha generate --model model --prompt 'a<|endoftext|>b' --max-tokens 1 --ignore-end --json $switch 2>/dev/null |
        grep -E '"prompt_tokens"'
done
