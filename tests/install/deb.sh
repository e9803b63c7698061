#!/bin/sh
# deb.sh -- builds the Debian packages and looks at them: lintian is content, they are the same bytes each time, no file
# is in two of them, what is unpacked works, and a program is linked with what the -dev package has
#
#   tests/install/deb.sh      77: this is no Debian, or dpkg-dev is missing
set -eu
unset PHA_DATA # the command reads its options there
here=$(cd "$(dirname "$0")" && pwd)
command -v dpkg-shlibdeps >/dev/null || { echo "skipped: no dpkg-dev"; exit 77; }
at=$(mktemp -d)
trap 'rm -rf "$at"' EXIT
fail() { echo "FAILED: $*"; exit 1; }
"$here/../../packaging/deb" --out "$at/debs" >/dev/null
"$here/../../packaging/deb" --out "$at/again" >/dev/null
for deb in "$at"/debs/*.deb; do
    cmp -s "$deb" "$at/again/${deb##*/}" || fail "${deb##*/}: other bytes the second time"
    dpkg-deb -c "$deb" | awk '$1 !~ /^d/ { print $6 }' >>"$at/files"
    dpkg-deb -x "$deb" "$at/root"
done
[ "$(ls "$at/debs")" = "$(cd "$at/debs" && echo libpha-dev_*.deb libpha0_*.deb pha_*.deb | tr ' ' '\n')" ] || fail "three packages"
[ -z "$(sort "$at/files" | uniq -d)" ] || fail "in two packages: $(sort "$at/files" | uniq -d)"
if command -v lintian >/dev/null; then
    said=$(lintian --allow-root "$at"/debs/*.deb 2>&1) || fail "lintian: $said"
    [ -z "$said" ] || fail "lintian: $said"
fi
cd "$at"
lib=$(dirname "$(find root/usr/lib -name libpha.so.0)")
export LD_LIBRARY_PATH="$at/$lib"
root/usr/bin/pha version
root/usr/bin/pha train --config tiny --print-config >/dev/null || fail "a preset by name"
for page in root/usr/share/man/man1/*.gz; do
    warned=$(gunzip -c "$page" | man --warnings -E UTF-8 -l - 2>&1 >/dev/null) || true
    [ -z "$warned" ] || fail "$page: $warned"
done
[ "$(ls root/usr/share/man/man1 | wc -l)" -gt 15 ] || fail "a page for each command"
export PKG_CONFIG_PATH="$at/$lib/pkgconfig"
# shellcheck disable=SC2046
cc -Wall -Werror "$here/use.c" -o use $(pkg-config --cflags --libs pha)
./use >/dev/null || fail "a program over the -dev package"
echo "the packages build, lint and work"
