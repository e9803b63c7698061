pha train --batch abc
pha train --batch 3x
pha train --lr fast
pha train --schedule cosin
pha train --precision fp8
pha train --fuse=maybe
pha bench --context 12,
PHA_LR=x pha train
pha train --resume=
