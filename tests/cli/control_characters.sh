# What comes from outside reaches a terminal with its control characters shown, a file or a pipe as it is.
echo '{"d_model": 16, "n_layer": 1, "arch": "pha", "branches": ["attn"], "n_head": 2, "n_kv_head": 1, "d_ffn": 32}' >tiny.json
pha init --config tiny.json --tokenizer bytes --out model >/dev/null || exit 1
bad=$(printf 'a\033[31mb\rc\177d\302\233e\342\200\256f\377g')
# names of files, of options, of configurations, of keys and of commands in messages
pha generate -m "$bad" -p x
pha train "--$bad"
pha "$bad"
pha init --config "$bad" --out y
printf '{"arch": "pha", "d_model": 16, "n_l\\u001byer": 1}' >key.json
pha init --config key.json --out y
pha train --config tiny.json --data "$bad" --out z
# text that a model wrote: with these bytes in a pipe, without them on a terminal
text="pha generate -m model -p x --temperature 50 --max-tokens 400 --ignore-end -q"
$text | LC_ALL=C tr -d '\n\t\040-\176' | wc -c | awk '{ print ($1 > 100 ? "many" : "no") " control characters in a pipe" }'
on_terminal() { script -qec "$1" /dev/null </dev/null | tr -d '\r\n\t' | LC_ALL=C tr -d '\040-\176\200-\377' | wc -c; }
on_terminal "$text"
on_terminal "$text --echo --prompt '$bad'"
on_terminal "pha tokenize --tokenizer bytes --decode --text '27 91 51 49 109 7 8 127'"
mkdir -p "$bad"
on_terminal "pha init --config tiny.json --tokenizer bytes --out '$bad/model'"
script -qec "pha tokenize --tokenizer bytes --decode --text '65 27 91 51 49 109 10 194 155 255 9 66'" /dev/null </dev/null
