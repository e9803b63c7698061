pha trian; echo $?
pha evaluate; echo $?
pha generat; echo $?
pha xyzzyxyzzy; echo $?
