pha train x
pha inspect a b
pha version 1
pha inspect -- -a -b
mkdir -p folder
pha train pha-125m
pha train folder
pha train folder --data folder
pha generate 'some text'
pha generate folder
pha generate hello --model x
pha generate -m x --prompt It was a dark night
pha eval folder
pha eval folder --model x
pha eval folder --model x --data folder
pha init pha-90m --out x
pha bench pha-90m
