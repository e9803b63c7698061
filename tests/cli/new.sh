# own text by one command: it goes on, is complete once, and refuses what does not fit; the numbers are the machine's
words() { sed -E 's/[0-9][0-9.,]*(e[-+]?[0-9]+)?/N/g; s/N(m|h) N(s|m)/N s/g; s/Ns/N s/g; s/N (MB|kB|GB|B)/N B/g; s/(N B of memory).*/\1/'; }
mkdir notes
for i in $(seq 400); do echo "Once upon a time there were $i words in text $((i % 7)), $((i * i % 97)) of them new."; done >notes/a.txt
pha new notes --minutes 0.2 --steps 3 --dry-run -q 2>/dev/null | words; ls
pha new notes --minutes 0.2 --steps 3 -q 2>/dev/null | words; ls runs/notes/model runs/notes/report.html
pha new notes --minutes 0.2 --steps 3 -q | words
pha new notes --minutes 0.2 --steps 3 -q --json 2>/dev/null | grep -c '"complete_before": true'
pha generate --model runs/notes/model --prompt "Once" --max-tokens 3 >/dev/null 2>&1 && echo generated
pha new notes --minutes 0.3; echo $?
echo more >>notes/a.txt
pha new notes --minutes 0.2 --steps 3; echo $?
pha new; echo $?
pha new . ; echo $?
pha new notes --minutes 0; echo $?
pha new notes --out notes/model; echo $?
head -c 100 notes/a.txt >tiny.txt
pha new tiny.txt; echo $?
ls runs
