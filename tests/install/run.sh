#!/bin/sh
# run.sh -- installs a build into a temporary folder and uses it from there as others would: the command, pkg-config,
# find_package
#
#   tests/install/run.sh BUILD_FOLDER [COMPILER]
set -eu
build=$(realpath "$1") cc=${2:-cc} here=$(cd "$(dirname "$0")" && pwd)
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT
quietly() { "$@" >"$at/log" 2>&1 || { cat "$at/log"; echo "FAILED: $*"; exit 1; }; }

# The tree is moved after it has been installed: nothing in it may depend on its place.
quietly cmake --install "$build" --prefix "$at/first"
mv "$at/first" "$at/prefix"
for file in bin/pha include/pha.h include/pha/session.h share/pha/configs/tiny.json share/man/man1/pha.1 share/man/man1/pha-train.1 \
    share/bash-completion/completions/pha share/zsh/site-functions/_pha share/fish/vendor_completions.d/pha.fish; do
    [ -s "$at/prefix/$file" ] || { echo "FAILED: $file is not there, or empty"; exit 1; }
done
cd "$at"
quietly prefix/bin/pha version
# The faults that tests ask for (tests/support/faults.c) are not in what is installed.
for file in prefix/bin/pha "$(find prefix -name 'libpha.*' -type f | head -1)"; do
    if grep -q PHA_FAULT_ "$file"; then echo "FAILED: $file has the faults of the tests"; exit 1; fi
done
quietly env PHA_FAULT_WRITE=1 prefix/bin/pha init --config tiny --out model
prefix/bin/pha train --config tiny --print-config >"$at/tiny" 2>&1 || { cat "$at/tiny"; echo "FAILED: a preset by name"; exit 1; }
if command -v bash >/dev/null; then quietly bash -n prefix/share/bash-completion/completions/pha; fi
"$here/completion.sh" prefix

# What was installed goes again, and nothing else.
quietly cmake --install "$build" --prefix "$at/gone"
echo mine >"$at/gone/share/pha/configs/mine.json"
quietly cmake "-DMANIFEST=$build/install_manifest.txt" -P "$here/../../cmake/uninstall.cmake"
left=$(cd gone && find . ! -type d)
[ "$left" = ./share/pha/configs/mine.json ] || { echo "FAILED: after uninstalling there is left: $left"; exit 1; }
[ ! -e gone/include/pha ] || { echo "FAILED: uninstalling leaves include/pha"; exit 1; }
if cmake "-DMANIFEST=$build/install_manifest.txt" -P "$here/../../cmake/uninstall.cmake" 2>"$at/log"; then
    echo "FAILED: uninstalling twice is no error"; exit 1
fi

export PKG_CONFIG_PATH="$(dirname "$(find "$at/prefix" -name pha.pc)")"
export LD_LIBRARY_PATH="${PKG_CONFIG_PATH%/pkgconfig}"
# shellcheck disable=SC2046
quietly $cc -Wall -Werror "$here/use.c" -o "$at/by-pkg-config" $(pkg-config --cflags --libs pha)
quietly "$at/by-pkg-config"
# shellcheck disable=SC2046
quietly $cc -Wall -Werror "$here/use.c" -o "$at/by-pkg-config" $(pkg-config --static --cflags --libs pha)
quietly "$at/by-pkg-config"

mkdir "$at/user"
cp "$here/use.c" "$at/user/"
cat >"$at/user/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.18)
project(user C)
find_package(pha 0.1 REQUIRED)
add_executable(use use.c)
target_link_libraries(use pha::pha)
END
quietly cmake -S "$at/user" -B "$at/user/build" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$at/prefix"
quietly cmake --build "$at/user/build"
quietly "$at/user/build/use"
echo "the command, pkg-config and find_package work from an installed tree"
