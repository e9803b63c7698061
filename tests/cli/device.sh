# one option says where to compute, for every command that computes, and no other has it
pha inspect tiny --memory --device gpu
echo "exit $?" >&2
pha inspect tiny --memory --device cpu:nosuch
echo "exit $?" >&2
pha tokenize --device cuda
pha bench --device
PHA_DEVICE=gpu pha inspect tiny --memory --device=far | grep -c 'all together'
