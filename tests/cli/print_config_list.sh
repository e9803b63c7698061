pha generate --stop a --stop 'b c' -n5 -m m --print-config
