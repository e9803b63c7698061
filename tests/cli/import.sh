# tokens of nanoGPT as a data folder, and what is not that
mkdir nano
printf 'a\000b\000 \000c\000\n\000\000\001' >nano/train.bin
printf 'd\000' >nano/val.bin
pha import --from nano --out data
pha import --from nano --tokenizer bytes --out data
pha import --from nano/train.bin --valid nano/val.bin --tokenizer bytes --out data --json
grep -A 9 '"train": {' data/data.json
printf 'a\000b\000 \000\002\001' >nano/train.bin
pha import --from nano --tokenizer bytes --out data
pha import --from nowhere --out data
mkdir empty
pha import --from empty --out data
