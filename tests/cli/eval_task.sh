echo '{"arch": "pha", "d_model": 16, "n_layer": 1, "n_head": 2, "n_kv_head": 1, "d_ffn": 32, "branches": ["attn"]}' >tiny.json
pha init --config tiny.json --tokenizer bytes --out model >/dev/null || exit 1
echo '{"text": "the cat sat on the mat"}' >words.jsonl
printf '%s\n' '{"goal": "To boil water", "sol1": "put it on a stove.", "sol2": "Put it in a fridge."}' \
    '{"goal": "How?", "sol1": "So.", "sol2": "Yes"}' >piqa.jsonl
printf '0\n1\n' >piqa-labels.lst
echo '{"query": "a", "choices": ["b", "c"], "gold": 1}' >plain.jsonl
# numbers of an untrained model are of no interest: protocol and form
show() { pha eval --model model --task "$@" --quiet 2>/dev/null | sed -E 's/^(acc[a-z_]*|perplexity)( *) [0-9.]+( \+- [0-9.]+)?/\1\2 N/'; }
show words.jsonl
show piqa.jsonl --context 24
show plain.jsonl
pha eval --model model --task piqa.jsonl --max-items 1 --scores scores.jsonl --quiet --json 2>/dev/null |
    grep -E '"(form|items|truncated|acc_norm_stderr)"'
grep -c '"ll"' scores.jsonl
pha eval --model model --task words.jsonl --data x
pha eval --model model --data x --max-items 3
echo '{"query": "a", "choices": ["b", "c"]}' >bad.jsonl
pha eval --model model --task bad.jsonl
