#!/bin/sh
# completion.sh -- the completions of an installed tree, asked by the shells that are here: commands, options, choices
#
#   tests/install/completion.sh PREFIX
set -eu
prefix=$(realpath "$1")
fail() { echo "FAILED: completion of $*"; exit 1; }

if command -v fish >/dev/null; then
    file=$prefix/share/fish/vendor_completions.d/pha.fish
    ask() { env HOME="$prefix" XDG_CONFIG_HOME="$prefix" XDG_DATA_HOME="$prefix" fish --no-config -c "source $file; complete -C '$1'" | cut -f 1 | tr '\n' ' '; }
    fish --no-config --no-execute "$file" || fail fish
    [ "$(ask 'pha tra')" = "train " ] || fail "fish: a command"
    [ "$(ask 'pha train --sche')" = "--schedule " ] || fail "fish: an option"
    [ "$(ask 'pha train --schedule p')" = "plateau " ] || fail "fish: a choice"
    [ "$(ask 'pha help inspe')" = "inspect " ] || fail "fish: help"
    [ -z "$(ask 'pha bench --zz')" ] || fail "fish: nothing"
fi
if command -v zsh >/dev/null; then
    file=$prefix/share/zsh/site-functions/_pha
    zsh -n "$file" || fail zsh
    # A line typed with tabs into a zsh on a terminal.
    said=$(TYPED=$(printf 'pha tra\t --sched\t pl\t') FOLDER=${file%/*} timeout 60 zsh -f -c '
        zmodload zsh/zpty && zpty -b z "TERM=vt100 zsh -f -i"
        zpty -w z "fpath=(\$FOLDER \$fpath); autoload -Uz compinit; compinit -u -D; echo RE\"\"ADY"
        all= piece= tries=0
        until [[ $all == *READY* ]] || (( ++tries > 200 )); do sleep 0.1; while zpty -r -t z piece; do all+=$piece; done; done
        zpty -n -w z "$TYPED"
        until [[ $all == *plateau* ]] || (( ++tries > 400 )); do sleep 0.1; while zpty -r -t z piece; do all+=$piece; done; done
        print -r -- "$all"' | tr -d '\000' | sed 's/\x1b\[[0-9;?]*[a-zA-Z]//g')
    for part in "pha train" "--schedule" "plateau"; do
        case $said in *"$part"*) ;; *) printf '%s\n' "$said"; fail "zsh: $part" ;; esac
    done
fi
echo "completion works in the shells that are here"
