# What the help says about the way from text to a model works as it is written.
mkdir my-texts
for i in $(seq 400); do echo "Once upon a time there were $i words in text $((i % 7)), $((i * i % 97)) of them new."; done >my-texts/a.txt
pha help | sed -n '/From text to a model/,/^$/s/^  pha/pha/p' >lines
pha help train | sed -n 's/^ *\(pha train --config quickstart.*\)/\1 --steps 1 --context 64 --out again/p' >>lines
while read -r line; do
    echo "$line"
    (eval "$line") >out 2>err </dev/null || { echo "failed: $?"; cat err; }
done <lines
ls run/model again/model
