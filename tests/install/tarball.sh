#!/bin/sh
# tarball.sh -- the binary tarball: unpacked elsewhere, its command and its library are used
#
#   tests/install/tarball.sh BUILD_FOLDER [COMPILER]
set -eu
build=$(realpath "$1") cc=${2:-cc} here=$(cd "$(dirname "$0")" && pwd)
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT
fail() { echo "FAILED: $*"; exit 1; }
quietly() { "$@" >"$at/log" 2>&1 || { cat "$at/log"; fail "$*"; }; }

before=$(cat "$build/install_manifest.txt" 2>/dev/null || true)
quietly "$here/../../packaging/tarball" --build "$build" --out "$at/dist"
file=$(echo "$at"/dist/pha-*.tar.gz)
[ -s "$file" ] || fail "there is no tarball"
[ "$(cat "$build/install_manifest.txt" 2>/dev/null || true)" = "$before" ] || fail "what 'make uninstall' reads was changed"
quietly "$here/../../packaging/tarball" --build "$build" --out "$at/again"
cmp "$file" "$at"/again/*.tar.gz || fail "the same build gives other bytes"
[ "$(ls "$at/dist")" = "$(basename "$file")" ] || fail "something is left beside the tarball"

# One folder, named as the file is; everything belongs to root and is readable.
name=$(basename "$file" .tar.gz)
tar -tzf "$file" | grep -v "^$name/" && fail "a file lies outside of $name/"
tar -tvzf "$file" | grep -v ' 0/0 ' && fail "a file belongs to who made it"
mkdir "$at/a place"
tar -C "$at/a place" -xzf "$file"
tree="$at/a place/$name"
cd "$at"
env -i "$tree/bin/pha" --version >"$at/version" || fail "bin/pha --version"
want=$(echo "$name" | cut -d- -f2)
grep -q "$want" "$at/version" || fail "bin/pha is not version $want: $(cat "$at/version")"
env -i "$tree/bin/pha" train --config tiny --print-config >"$at/log" 2>&1 || fail "a preset by name"
[ -s "$tree/LICENSE" ] && grep -q libjansson "$tree/INSTALL" || fail "INSTALL does not name the libraries"
if grep -rl "$at/\|$build" "$tree" | grep .; then fail "these files name the place where they were made"; fi

# The library, by pkg-config, from where it was unpacked. (A path with a blank is quoted in what pkg-config says.)
mv "$tree" "$at/moved"
PKG_CONFIG_PATH=$(dirname "$(find "$at/moved" -name pha.pc)")
export PKG_CONFIG_PATH LD_LIBRARY_PATH="${PKG_CONFIG_PATH%/pkgconfig}"
[ "$(realpath "$(pkg-config --variable=prefix pha)")" = "$at/moved" ] || fail "the prefix does not move"
# shellcheck disable=SC2046
quietly $cc -Wall -Werror "$here/use.c" -o "$at/use" $(pkg-config --cflags --libs pha)
quietly "$at/use"
# shellcheck disable=SC2046
quietly $cc -Wall -Werror "$here/use.c" -o "$at/use" $(pkg-config --static --cflags --libs pha)
quietly "$at/use"
echo "$name: the command and the library work where it is unpacked"
