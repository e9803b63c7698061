pha prepare --out d
pha prepare x
pha train
pha train --data d
pha train --data d --out o
pha eval
pha eval --model m
pha eval --model m --tokens a.npy
pha generate
pha init
pha inspect
pha average a --out b
pha convert --to hedgehog --data d --out o
pha convert a --to hedgehog --data d
pha convert a --data d --out o
pha tokenize
pha report
