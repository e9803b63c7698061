pha train --batch
pha train -c
pha train --lr --batch 3
pha train --run-file
pha train --help=yes --print-config
