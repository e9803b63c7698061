# the text of a special token in a prompt is that token, or, with --no-special, text
echo '{"d_model": 16, "n_layer": 1, "arch": "pha", "branches": ["attn"], "n_head": 2, "n_kv_head": 1, "d_ffn": 32}' >tiny.json
pha init --config tiny.json --tokenizer bytes --out model >/dev/null || exit 1
for switch in '' --special --no-special; do
    pha generate --model model --prompt 'a<|endoftext|>b' --max-tokens 1 --ignore-end --json $switch 2>/dev/null |
        grep -E '"prompt_tokens"'
done
# of a file or of standard input it is text, unless --special says otherwise
printf 'a<|endoftext|>b' >prompt
for switch in '' --special --no-special; do
    pha generate --model model --prompt-file prompt --max-tokens 1 --ignore-end --json $switch 2>/dev/null |
        grep -E '"prompt_tokens"'
    pha generate --model model --max-tokens 1 --ignore-end --json $switch <prompt 2>/dev/null | grep -E '"prompt_tokens"'
    (cat prompt; echo) | pha generate --model model --max-tokens 1 --ignore-end --interactive $switch 2>&1 >text |
        grep -oE 'prompt [0-9]+'
done
