pha train x
pha inspect a b
pha version 1
pha inspect -- -a -b
