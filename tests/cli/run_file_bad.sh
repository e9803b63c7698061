try() { echo "$1" >f.json; pha train --run-file f.json -d d -o o; echo $?; }
try '{"lrr": 1}'
try '{"lr": 100}'
try '{"lr": '
try '[1]'
try '{"lr": {}}'
try '{"lr": [1]}'
try '{"lr": 1, "lr": 2}'
pha train --run-file missing.json; echo $?
