[ -w /dev/full ] || { echo "pha: writing to the standard output failed: No space left on device" >&2; exit 4; }
pha help >/dev/full
