pha train --batch 0
pha train --lr 0
pha train --lr 11
pha train --dropout -0.1
pha train --lr nan
pha train --steps 0
pha train --seed -1
pha train --seed 99999999999999999999
pha train --seed 9223372036854775808
pha prepare x --train-bytes -99999999999999999999
pha generate --top-p 1.5
pha prepare x --vocab-size 12
pha bench --context 1024,0
pha train --threads 4096
