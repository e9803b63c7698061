# A line that no longer fits is told, on every line, and the command fails at the end; /reset makes room again.
echo '{"d_model": 16, "n_layer": 1, "arch": "pha", "branches": ["attn"], "n_head": 2, "n_kv_head": 1, "d_ffn": 32}' >tiny.json
pha init --config tiny.json --tokenizer bytes --out model >/dev/null || exit 1
run() { pha generate -m model --interactive --max-context 24 --max-tokens 4 --ignore-end "$@" >text; echo "exit $?, $(grep -c '' text) texts" >&2; }
printf '%s\n' 'The function returns a' 'one' 'four more words here' '/reset' 'The function' | run -q
printf '%s\n' 'The function returns a new object' | run -q
printf 'ab\0cd\n' | run 2>&1 >/dev/null | sed 's/, [0-9.]* tokens\/s//g' >&2
# a text that the full context cuts is told when quiet too
pha generate -m model --prompt 'The function returns' --max-context 24 --max-tokens 9 --ignore-end -q >text; echo "exit $?" >&2
pha generate -m model --prompt 'The function' --max-context 24 --max-tokens 9 --ignore-end -q >text; echo "exit $?" >&2
