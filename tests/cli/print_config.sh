cat >run.json <<END
{"lr": 0.01, "batch": 6, "weight_decay": 0, "fuse": false, "schedule": "plateau"}
END
PHA_BATCH=8 PHA_SEED=5 pha train --run-file run.json --lr=3e-3 --no-recompute --print-config
