#!/bin/sh
# exports.sh -- a shared libpha shows the functions of the public headers, each of them and no others
#
#   tests/api/exports.sh LIBRARY SOURCE_FOLDER
set -eu
library=$1 top=$2
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT
export LC_ALL=C
nm -D --defined-only "$library" | sed -n 's/.* [TDBR] \(.*\)/\1/p' | sort >"$at/shown"
cat "$top"/include/pha/*.h | tr '\n' ' ' | grep -oE 'PHA_API [^;]*;' | sed -nE 's/[^(]*(pha_[a-z0-9_]+)\(.*/\1/p' | sort -u >"$at/declared"
[ "$(wc -l <"$at/declared")" -gt 50 ]
diff "$at/declared" "$at/shown" || { echo "FAILED: < declared only, > shown only"; exit 1; }
