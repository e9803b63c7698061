# smaller weights: a folder that every command reads; mistakes in the call
echo '{"arch": "pha", "vocab_size": 257, "d_model": 64, "n_layer": 1, "n_head": 2, "d_ffn": 64, "d_state": 64, "d_aux": 32}' >pha.json
pha init --config pha.json --tokenizer bytes --out ours >/dev/null
pha quantize --model ours --to q8 --out small
printf 'some text' | pha generate --model small --max-tokens 20 --quiet >a
printf 'some text' | pha generate --model ours --weights q8 --max-tokens 20 --quiet >b
cmp a b && echo "the same text"
pha quantize --model ours --to q4 --out smaller --json | sed 's/"seconds":.*/"seconds": some/'
pha quantize --model ours --to q5 --out none
pha quantize --model ours --out none --context 5
pha quantize --model ours --report
pha quantize --model ours
pha quantize --model ours --to q8 --out ours
