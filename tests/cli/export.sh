# a model of arch gpt2 under the names of the hub: the same logits, and the way back
echo '{"arch": "gpt2", "vocab_size": 257, "d_model": 16, "n_layer": 2, "n_head": 2, "d_ffn": 64, "n_positions": 32}' >gpt2.json
echo '{"arch": "pha", "vocab_size": 257, "d_model": 16, "n_layer": 1, "d_ffn": 8, "d_state": 32, "branches": ["gss"]}' >pha.json
pha init --config gpt2.json --tokenizer bytes --out ours >/dev/null
pha init --config pha.json --tokenizer bytes --out other >/dev/null
pha export --model ours --out theirs
cat theirs/config.json
pha export --model theirs --out again --to gpt2 --json
cmp theirs/model.safetensors again/model.safetensors && cmp theirs/config.json again/config.json && echo "the same again"
printf 'some text' | pha generate --model ours --max-tokens 20 --quiet >a
printf 'some text' | pha generate --model theirs --max-tokens 20 --quiet >b
cmp a b && echo "the same text"
pha export --model other --out none --to gpt2
pha export --model ours --out none --to onnx
# for transformers, and back
pha export --model other --out hub
ls hub
pha import --from hub --out back
printf 'some text' | pha generate --model other --max-tokens 20 --quiet >a
printf 'some text' | pha generate --model back --max-tokens 20 --quiet >b
cmp a b && echo "the same text"
echo '{"model_type": "llama"}' >hub/config.json && echo '# Llama' >hub/README.md
pha export --model other --out hub
pha export --model ours --out m.gguf --to gguf --weights q8
head -c 4 m.gguf; echo
pha export --model other --out o.gguf --to gguf
