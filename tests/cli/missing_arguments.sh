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
pha tokenize
pha report
