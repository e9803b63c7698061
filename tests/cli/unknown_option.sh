pha train --learning-rate 3
pha train --bach 3
pha train --no-recmpute
pha train --seq-len=5
pha train -lr 3
pha train --zzzzzzzz
pha eval --windw 5
pha generate --temprature 1
pha generate --chat
pha version -x
