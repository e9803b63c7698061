# The tasks are what they were: the same examples from the same seed, on every machine.
pha lab mqar --show 2 --length 24 --pairs 3 --vocab 40
pha lab induction --show 1 --length 12 --vocab 8
pha lab copy --show 1 --length 12 --pairs 3 --vocab 8
pha lab selective --show 1 --length 12 --pairs 3 --vocab 8
pha lab passkey --show 1 --length 32 --pairs 3 --vocab 30 --depth 50
pha lab needle --show 1 --length 20 --pairs 2 --vocab 16 --depth 100
pha lab tracking --show 1 --length 28 --pairs 3 --chains 2 --vocab 30 --seed 7
pha lab mqar --show 1 --length 8 --pairs 1 --vocab 4 --json
