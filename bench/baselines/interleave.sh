#!/bin/sh
# interleave.sh -- pha against PyTorch, in turns: speed and memory of a training step, of a prompt, of single tokens
#
#   PYTHON=venv/bin/python bench/baselines/interleave.sh --pha build/pha --what decode --context 1024,4096 --repeats 5
#
# Everything PyTorch wants for a fair run is set here: threads bound, and an allocator that keeps memory instead of giving
# it back to the system after every tensor (faults on fresh pages cost a third of the step otherwise).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
threads=${THREADS:-2}
export PHA_THREADS="$threads" OMP_NUM_THREADS="$threads" MKL_NUM_THREADS="$threads" CUDA_VISIBLE_DEVICES=
export OMP_PROC_BIND=true OMP_PLACES=cores
export MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=68719476736 MALLOC_TOP_PAD_=67108864
exec "${PYTHON:-python3}" "$here/interleave.py" --threads "$threads" "$@"
