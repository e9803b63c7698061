{
pha lab mqra --show 1; echo $?
pha lab sorting --model tiny; echo $?
pha lab mqar; echo $?
pha lab; echo $?
pha lab mqar --model tyni; echo $?
pha lab mqar --show 1 --length 63; echo $?
pha lab mqar --show 1 --length 64 --pairs 17; echo $?
pha lab mqar --show 1 --vocab 9; echo $?
pha lab mqar --model gpt2-tiny --length 512; echo $?
pha lab mqar --model tiny --width 33; echo $?
pha lab mqar --model tiny --depth 50; echo $?
pha lab passkey --show 1 --depth 101; echo $?
pha lab mqar --model tiny --lr 0.1,x; echo $?
pha lab mqar --model tiny --lr 0.1,0; echo $?
pha lab mqar --model tiny --set n_heat=2; echo $?
pha lab mqar --model tiny --test-only --steps 5; echo $?
pha lab mqar --model nowhere --test-only; echo $?
} 2>&1 | sed 's|/[^ ]*configs/|configs/|'
