export PHA_LR=0.5 PHA_RECOMPUTE=1 PHA_QUIET=no PHA_UNKNOWN=7
pha train --print-config | grep -E "^(lr|recompute|quiet) "
pha train --lr 0.25 --print-config | grep "^lr "
