echo '{"command": "x", "options": {"lr": 0.002, "unknown": 1, "epochs": null}, "parameters": 3}' >run.json
pha train --run-file run.json --print-config | grep -E "^(lr|epochs) "
