# A sweep of four cells of which one cannot be; a second call runs nothing, so its seconds are those of the first.
run="pha lab copy --model tiny,gss-tiny --width 32 --length 8,4 --pairs 3 --set embed_std=0.02 --steps 1 --tests 2 --batch 1
     --out results --quiet --threads 1"
$run > first
$run --json > json
$run > second
cmp first second && head -n 2 first | tr -s ' ' && wc -l < first
grep -c '"result"' json results/lab.json
grep -c '<svg' results/lab.svg
ls -A results
